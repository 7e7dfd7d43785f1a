"""Where the exporter listens, and under which URL people reach it."""

from pathlib import Path

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.parsers import Address
from rk_exporter.config.sources import ConfigError, Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.config.web_options import (
    parse_addresses,
    parse_external_url,
    parse_route_prefix,
    prefix_of,
)


ENVIRONMENT = {TOKEN_VARIABLE: "simulated"}
ONE = "account_id: account\napp_id: app\nmeeting_ids: [a]\n"


def loaded(folder: Path, web: str = "", **flags: str | list[str]) -> Config:
    """Return the configuration of a file with the mapping *web*, and of *flags*."""
    path = folder / "rk.yml"
    path.write_text(f"{ONE}web: {web}\n")
    settings = {
        f"web.{name}": Setting(value, f"--web.{name.replace('_', '-')}")
        for name, value in flags.items()
    }
    return load(path, settings, ENVIRONMENT)


def mistake(folder: Path, web: str = "", **flags: str | list[str]) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, web, **flags)
    return str(caught.value).removeprefix(f"{folder}/")


class TestListenAddresses:
    @pytest.mark.parametrize(
        "web",
        [
            '{listen_address: ":1, 127.0.0.1:0,[::1]:65535"}',
            '{listen_address: [":1", "127.0.0.1:0", "[::1]:65535"]}',
            '{listen_address: [":1,127.0.0.1:0", "[::1]:65535"]}',
        ],
    )
    def test_in_the_file(self, tmp_path: Path, web: str) -> None:
        """The file has a list, or a text in which commas separate the addresses."""
        expected = (Address("", 1), Address("127.0.0.1", 0), Address("::1", 65535))
        assert expected == loaded(tmp_path, web).listen_addresses

    def test_flags_replace_the_file(self, tmp_path: Path) -> None:
        """Repeated flags are all used, and none of the file's."""
        config = loaded(tmp_path, '{listen_address: ":1"}', listen_address=[":2", ":3,:4"])
        assert (Address("", 2), Address("", 3), Address("", 4)) == config.listen_addresses

    @pytest.mark.parametrize(
        ("addresses", "message"),
        [
            (["10058"], "invalid address '10058'; write e.g. :10058"),
            ([":1", ":99999"], "invalid address ':99999'"),
            ([":1", ":1"], ":1 is given twice; leave out one of them"),
            (["[::1]:1", "[0:0::1]:1"], "[0:0::1]:1 is given twice"),
            (["HOST:1", "host:1"], "host:1 is given twice"),
            ([":1,127.0.0.1:1"], ":1 already includes 127.0.0.1:1; leave out one of them"),
            (["[::1]:1", ":1"], ":1 already includes [::1]:1"),
            (["0.0.0.0:1", "localhost:1"], "0.0.0.0:1 already includes localhost:1"),
            (["10.0.0.1:1", "0.0.0.0:1"], "0.0.0.0:1 already includes 10.0.0.1:1"),
            (["[::]:1", "0.0.0.0:1"], "[::]:1 already includes 0.0.0.0:1"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, addresses: list[str], message: str) -> None:
        """An invalid or repeated address is an error that names it."""
        error = mistake(tmp_path, listen_address=addresses)
        assert error.startswith(f"--web.listen-address: {message}")

    @pytest.mark.parametrize(
        ("web", "message"),
        [
            ('{listen_address: [":1", nowhere]}', "listen_address[1]: invalid address 'nowhere'"),
            ('{listen_address: [":1", {a: b}]}', "listen_address[1]: expected an address"),
            ("{listen_address: []}", "listen_address: expected at least one address"),
            ("{listen_address: {a: b}}", "listen_address: expected a list, e.g. ["),
        ],
    )
    def test_mistakes_in_the_file(self, tmp_path: Path, web: str, message: str) -> None:
        """The error names the item of the list."""
        assert mistake(tmp_path, web).startswith(f"rk.yml:4: web.{message}")

    @pytest.mark.parametrize(
        "text",
        [
            ":0,:0",
            "127.0.0.1:0,127.0.0.1:0",
            ":1,:2",
            "0.0.0.0:1,[::1]:1",
            "127.0.0.1:1,10.0.0.1:1",
        ],
    )
    def test_different_addresses(self, text: str) -> None:
        """Addresses are different if a process can listen on both; each port 0 is another one."""
        assert 2 == len(parse_addresses(text))


class TestSystemdSocket:
    def test_instead_of_addresses(self, tmp_path: Path) -> None:
        """It is off by default, and excludes addresses that somebody has chosen."""
        assert not loaded(tmp_path).systemd_socket
        assert loaded(tmp_path, "{systemd_socket: true}").systemd_socket
        message = "cannot be combined with web.listen_address; leave out one of them"
        both = mistake(tmp_path, '{listen_address: ":1", systemd_socket: true}')
        assert f"rk.yml:4: web.systemd_socket: {message}" == both
        flag = mistake(tmp_path, '{listen_address: ":1"}', systemd_socket="true")
        assert f"--web.systemd-socket: {message}" == flag


class TestPrefixes:
    @pytest.mark.parametrize(
        ("web", "served", "links"),
        [
            ("", "", ""),
            ("{external_url: https://monitoring.example}", "", ""),
            ("{external_url: https://monitoring.example/}", "", ""),
            ("{external_url: https://monitoring.example:8443/rk/}", "/rk", "/rk"),
            ("{external_url: /rk}", "/rk", "/rk"),
            ("{external_url: https://monitoring.example/a/b}", "/a/b", "/a/b"),
            ("{external_url: https://monitoring.example/rk, route_prefix: /}", "", "/rk"),
            ("{external_url: https://monitoring.example/rk, route_prefix: inner}", "/inner", "/rk"),
            ("{external_url: https://monitoring.example, route_prefix: /rk}", "/rk", ""),
            ("{route_prefix: /rk/}", "/rk", "/rk"),
            ("{route_prefix: /}", "", ""),
        ],
    )
    def test_served_and_linked(self, tmp_path: Path, web: str, served: str, links: str) -> None:
        """The prefix of requests is by default the path of the URL; links have the URL's path."""
        config = loaded(tmp_path, web)
        assert (served, links) == (config.served_prefix, config.link_prefix)

    @pytest.mark.parametrize(
        "text",
        [
            "rk",
            "ftp://monitoring.example/",
            "https://",
            "https://user:canary@monitoring.example/",
            "https://monitoring.example/?a=b",
            "https://monitoring.example/#part",
            "https://monitoring.example:0/",
            "https://[monitoring.example/",
            "https://monitoring.example/a b",
            "https://monitoring.example/a/../b",
            '"https://monitoring.example"',
            "//monitoring.example/rk",
        ],
    )
    def test_invalid_url(self, tmp_path: Path, text: str) -> None:
        """Other URLs are refused, without showing a password in them."""
        error = mistake(tmp_path, external_url=text)
        assert error.startswith("--web.external-url: must be a URL, e.g. https://")
        assert "canary" not in error

    @pytest.mark.parametrize("text", ["/a b", "/a//b", "/../a", "/./a", "/a?b", "/%61", '/"a"'])
    def test_invalid_prefix(self, tmp_path: Path, text: str) -> None:
        """A prefix has only characters that neither browsers nor proxies change."""
        error = mistake(tmp_path, route_prefix=text)
        assert error.startswith(f"--web.route-prefix: invalid prefix {text!r}; write e.g. /rk")

    @given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20))
    def test_any_text(self, text: str) -> None:
        """Whatever is accepted begins with one slash and ends with none, or is empty."""
        for parse in (parse_route_prefix, lambda value: prefix_of(parse_external_url(value))):
            try:
                prefix = parse(text)
            except ValueError:
                continue
            assert prefix == "" or (prefix[0] == "/" and prefix[1] != "/" and prefix[-1] != "/")
            assert prefix == prefix_of(prefix)

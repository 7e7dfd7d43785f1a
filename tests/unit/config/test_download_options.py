"""The options of downloads, at the top of the file and in single apps."""

from pathlib import Path

import pytest

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.sources import ConfigError, Setting
from rk_exporter.downloads.hosts import HostPattern


APPS = """\
account_id: account
apps:
  - {app_id: first, meetings: {discover: true}}
  - app_id: second
    meetings: {discover: true}
    downloads: {verify: false, allowed_hosts: [b.test]}
"""


def loaded(folder: Path, text: str, **settings: list[str]) -> Config:
    (folder / "rk.yml").write_text(text)
    given = {
        f"downloads.{key}": Setting(value, f"--downloads.{key}") for key, value in settings.items()
    }
    return load(folder / "rk.yml", given, {"CLOUDFLARE_API_TOKEN": "token"})


def test_off(tmp_path: Path) -> None:
    """Downloads are not verified unless the configuration says so."""
    assert [False, False] == [app.verify_downloads for app in loaded(tmp_path, APPS).apps]


def test_of_all_apps(tmp_path: Path) -> None:
    """Options at the top apply to the apps that have none of their own."""
    top = "downloads: {verify: true, allowed_hosts: [a.test], allow_private_addresses: true}\n"
    first, second = loaded(tmp_path, top + APPS).apps
    assert (True, False) == (first.verify_downloads, second.verify_downloads)
    assert (HostPattern(("a", "test")),) == first.download_hosts
    assert (HostPattern(("b", "test")),) == second.download_hosts
    assert (True, True) == (first.allow_private_addresses, second.allow_private_addresses)


def test_hosts_from_a_flag(tmp_path: Path) -> None:
    """A flag may give several hosts; one that is given twice counts once."""
    app, _ = loaded(tmp_path, APPS, allowed_hosts=["a.test", "A.test:443", "c.test:8443"]).apps
    assert (HostPattern(("a", "test")), HostPattern(("c", "test"), 8443)) == app.download_hosts


@pytest.mark.parametrize(
    ("hosts", "place", "message"),
    [
        ("[a.test, 'https://b.test']", "allowed_hosts[1]", "invalid host; write"),
        ("['*']", "allowed_hosts[0]", "'*' would allow too many hosts; write more of the end"),
        ("[a.test, [b]]", "allowed_hosts[1]", "expected a host, e.g. files.example.com"),
        ("a.test", "allowed_hosts", "expected a list, e.g. [files.example.com"),
        ("['a.test:99999']", "allowed_hosts[0]", "invalid host 'a.test:99999'"),
    ],
)
def test_invalid_hosts(tmp_path: Path, hosts: str, place: str, message: str) -> None:
    """A mistake in the list is reported with its place and the remedy."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"downloads: {{allowed_hosts: {hosts}}}\n{APPS}")
    assert f"downloads.{place}: {message}" in str(caught.value)

"""The web configuration in real processes: beside node_exporter, and scraped by Prometheus."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.monitoring.servers import eventually, free_port, started_prometheus
from tests.support.processes import invoke
from tests.support.programs import required_program
from tests.support.web_config import (
    CLIENT_CERTIFICATES,
    PASSWORD,
    TLS_FILES,
    USER,
    Authority,
    Pair,
    authority,
    bcrypt_hash,
    client_context,
    write_web_config,
)


REFUSED = "refused"
APP = ("--account-id", "account", "--app-id", "app", "--meeting-id", "meeting")
# Nothing listens there, so that scrapes are short; each shows the current values.
API = ("--api.base-url", "http://127.0.0.1:1/client/v4", "--scrape.min-interval", "0s")
LONG = "x" * 72
USERS = {USER: bcrypt_hash(), "long": bcrypt_hash(LONG), "empty": bcrypt_hash("")}
PATHS = ("/metrics", "/", "/nope")


@dataclass(frozen=True, slots=True)
class Process:
    """A server in a process of its own."""

    address: str
    log: Path
    pid: int

    def status(self, path: str = "/metrics", *, scheme: str, **options: Any) -> int | str:
        """Return the status of a response, or that there was none."""
        try:
            with httpx.Client(timeout=20, trust_env=False, **options) as client:
                return client.get(
                    f"{scheme}://localhost:{self.address.partition(':')[2]}{path}"
                ).status_code
        except httpx.TransportError:
            return REFUSED


@contextlib.contextmanager
def running(
    folder: Path, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Run a server that gets its address by `--web.listen-address`."""
    address = f"127.0.0.1:{free_port()}"
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--web.listen-address={address}"],
            stdout=output,
            stderr=output,
            env={"PATH": os.environ["PATH"], **(environment or {})},
        )
    host, _, port = address.partition(":")

    def is_listening() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return True
        return False

    try:
        eventually(is_listening, what=f"{name} listens", details=log.read_text)
        yield Process(address, log, process.pid)
    finally:
        process.terminate()
        process.wait(20)


def exporting(folder: Path, config: Path) -> contextlib.AbstractContextManager[Process]:
    command = [sys.executable, "-m", "rk_exporter", "serve", *APP, *API]
    return running(
        folder,
        "rk-exporter",
        [*command, f"--web.config.file={config}"],
        {"CLOUDFLARE_API_TOKEN": "simulated"},
    )


def node_exporter() -> list[str]:
    program = required_program(
        "prometheus-node-exporter", "node_exporter", package="prometheus-node-exporter"
    )
    return [program, "--collector.disable-defaults", "--collector.time"]


def node_exporting(folder: Path, config: Path) -> contextlib.AbstractContextManager[Process]:
    return running(folder, "node_exporter", [*node_exporter(), f"--web.config.file={config}"])


def starts(folder: Path, command: Sequence[str]) -> bool:
    """Return whether an exporter of the Prometheus project accepts its web configuration."""
    log = folder / "start.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{free_port()}"],
            stdout=output,
            stderr=output,
        )
    try:
        # It says whether TLS is on after it has checked the file.
        eventually(
            lambda: process.poll() is not None or "TLS is " in log.read_text(),
            what="the file is accepted or refused",
            details=log.read_text,
        )
        return process.poll() is None
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def both(folder: Path, config: Path) -> Iterator[tuple[Process, Process]]:
    """Run node_exporter and the exporter with the same web configuration."""
    with node_exporting(folder, config) as node, exporting(folder, config) as ours:
        yield node, ours


CREDENTIALS: dict[str, dict[str, Any]] = {
    "none": {},
    "right": {"auth": (USER, PASSWORD)},
    "wrong": {"auth": (USER, "wrong")},
    "unknown user": {"auth": ("nobody", PASSWORD)},
    "unknown user with the toolkit's password": {"auth": ("nobody", "fakepassword")},
    "other user's password": {"auth": ("long", PASSWORD)},
    "72 bytes": {"auth": ("long", LONG)},
    "73 bytes": {"auth": ("long", LONG + "y")},
    "71 bytes": {"auth": ("long", LONG[:-1])},
    "empty password": {"auth": ("empty", "")},
    "empty": {"auth": ("", "")},
    "upper-case user": {"auth": (USER.upper(), PASSWORD)},
    "bearer": {"headers": {"Authorization": "Bearer x"}},
    "not base64": {"headers": {"Authorization": "Basic ???"}},
    "no colon": {"headers": {"Authorization": "Basic eHh4"}},
    "lower-case scheme": {"headers": {"Authorization": "basic ZW1wdHk6"}},
    "no padding": {"headers": {"Authorization": "Basic ZW1wdHk6MQ"}},
}


LET_IN = {"right", "72 bytes", "73 bytes", "empty password", "lower-case scheme"}


def test_passwords_as_in_node_exporter(tmp_path: Path) -> None:
    """The same file lets the same requests in, on all paths, and refuses the same ones."""
    config = write_web_config(tmp_path, basic_auth_users=USERS)
    with both(tmp_path, config) as servers:
        for name, options in CREDENTIALS.items():
            for path in PATHS:
                theirs, ours = (one.status(path, scheme="http", **options) for one in servers)
                # node_exporter answers unknown paths with its landing page.
                assert (theirs == 401, name in LET_IN) == (ours == 401, ours != 401), (name, path)


def test_tls_as_in_node_exporter(tmp_path: Path) -> None:
    """With the same files, the same clients get a connection."""
    config = write_web_config(
        tmp_path,
        tls=CLIENT_CERTIFICATES,
        basic_auth_users=USERS,
        http_server_config={"headers": {"X-Frame-Options": "deny"}},
    )
    right = client_context(authority().issue("prometheus"), folder=tmp_path)
    wrong = client_context(authority("other").issue("prometheus"), folder=tmp_path)
    distrusting = client_context(trusts=authority("other"))
    old = client_context(authority().issue("prometheus"), folder=tmp_path)
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    older = client_context(authority().issue("prometheus"), folder=tmp_path)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    cases: dict[str, tuple[dict[str, Any], int | str]] = {
        "right certificate and password": ({"verify": right, "auth": (USER, PASSWORD)}, 200),
        "right certificate, no password": ({"verify": right}, 401),
        "right certificate, wrong password": ({"verify": right, "auth": (USER, "x")}, 401),
        "right certificate, unknown user": ({"verify": right, "auth": ("x", PASSWORD)}, 401),
        "no certificate": ({"verify": client_context(), "auth": (USER, PASSWORD)}, REFUSED),
        "wrong certificate": ({"verify": wrong, "auth": (USER, PASSWORD)}, REFUSED),
        "another authority": ({"verify": distrusting, "auth": (USER, PASSWORD)}, REFUSED),
        "TLS 1.2": ({"verify": older, "auth": (USER, PASSWORD)}, 200),
        "TLS 1.1": ({"verify": old, "auth": (USER, PASSWORD)}, REFUSED),
    }
    with both(tmp_path, config) as servers:
        for name, (options, expected) in cases.items():
            found = [one.status(scheme="https", **options) for one in servers]
            assert [expected, expected] == found, name
        assert [400, 400] == [one.status(scheme="http") for one in servers]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "basic_auth_users:\n",
        "http_server_config: {http2: no}",
        "basic_auth_users: {a: 1}",
        "basic_auth_users: []",
        "junk",
        "tls_server_config: {cert_filse: a}",
        "tls_server_config: {cert_file: missing, key_file: server.key}",
        "tls_server_config: {cert_file: server.crt, key_file: ''}",
        "tls_server_config: {cert_file: server.crt, key_file: other.key}",
        "tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: TLS111}",
        "tls_server_config: {cert_file: server.crt, key_file: server.key, cipher_suites: [x]}",
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt}",
        "http_server_config: {headers: {Content-Type: a}}",
        "http_server_config: {headers: {X-Frame-Options: a}}",
        "tls_server_config: {cert_file: server.crt, key_file: server.key, max_version: TLS12}",
    ],
)
def test_files_as_in_node_exporter(tmp_path: Path, text: str) -> None:
    """What node_exporter accepts or refuses at its start, the exporter does too."""
    authority().issue().write(tmp_path)
    authority().issue().write(tmp_path, "other")
    (tmp_path / "ca.crt").write_bytes(authority().pem)
    config = tmp_path / "web.yml"
    config.write_text(text)
    theirs = starts(tmp_path, [*node_exporter(), f"--web.config.file={config}"])
    result = invoke("check", "--offline", *APP, "--web.config.file", str(config))
    assert theirs is (result.exit_code == 0), result.output
    assert (result.exit_code == 2) is (not theirs)


def test_prometheus_scrapes_with_certificate_and_password(prometheus: str, tmp_path: Path) -> None:
    """A real Prometheus scrapes over TLS with a client certificate and a password."""
    config = write_web_config(
        tmp_path,
        tls={**CLIENT_CERTIFICATES, "client_allowed_sans": ["prometheus.example.net"]},
        basic_auth_users=USERS,
    )
    authority().issue("prometheus.example.net").write(tmp_path, "client")
    scraping = {
        "scheme": "https",
        "tls_config": {
            "ca_file": str(tmp_path / "client-ca.crt"),
            "cert_file": str(tmp_path / "client.crt"),
            "key_file": str(tmp_path / "client.key"),
        },
        "basic_auth": {"username": USER, "password": PASSWORD},
    }
    with (
        exporting(tmp_path, config) as ours,
        started_prometheus(
            prometheus, tmp_path, targets={"rk": [ours.address]}, scraping=scraping
        ) as server,
    ):
        eventually(lambda: server.number("up") == 1, what="the exporter is scraped")
        assert 1 == server.number("rk_web_config_last_reload_successful")
        # A certificate of another authority, with the same names: Prometheus must refuse it.
        authority("other").issue().write(tmp_path)
        eventually(
            lambda: (
                (server.number("rk_web_config_last_reload_success_timestamp_seconds") or 0)
                > time.time() - 60
                and "web configuration loaded" in ours.log.read_text()
            ),
            what="the new certificate is in use",
        )
        # Prometheus keeps its connection, which goes on with the old one.
        assert 1 == server.number("min_over_time(up[10s])")
        changed = {**USERS, USER: bcrypt_hash("changed")}
        write_users(config, changed)
        eventually(lambda: server.number("up") == 0, what="the password has changed")
        write_users(config, USERS)
        eventually(lambda: server.number("up") == 1, what="the old password is back")


def write_users(config: Path, users: Mapping[str, str]) -> None:
    """Replace the users in a web configuration, as tools do: write a new file and rename it."""
    document = json.loads(config.read_text())
    document["basic_auth_users"] = users
    new = config.with_suffix(".new")
    new.write_text(json.dumps(document))
    new.rename(config)


def until(condition: Callable[[], bool], what: str) -> None:
    eventually(condition, what=what)


def certificate_seen(process: Process, trusts: Authority) -> bool:
    """Return whether a new connection gets a certificate of an authority."""
    client = client_context(trusts=trusts)
    return process.status("/-/healthy", scheme="https", verify=client) != REFUSED


def test_rotation_while_it_runs(tmp_path: Path) -> None:
    """Certificates and users change without a lost connection; broken files change nothing."""
    config = write_web_config(tmp_path, tls=TLS_FILES, basic_auth_users=USERS)
    first, second = authority(), authority("other")
    kept = httpx.Client(verify=client_context(), auth=(USER, PASSWORD), trust_env=False, timeout=20)
    with exporting(tmp_path, config) as ours, kept:
        url = f"https://{ours.address}"

        def metric(name: str = "rk_web_config_last_reload_successful") -> str:
            # Over one and the same connection.
            text = kept.get(f"{url}/metrics").raise_for_status().text
            return next(
                line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")
            )

        assert "1.0" == metric()
        connection = connection_of(kept)
        second.issue().write(tmp_path)
        until(lambda: certificate_seen(ours, second), "the new certificate is in use")
        assert not certificate_seen(ours, first)
        assert "1.0" == metric()
        for broken in (b"garbage", b"", None):
            file = tmp_path / "server.key"
            file.unlink() if broken is None else file.write_bytes(broken)
            until(lambda: metric() == "0.0", "the broken key is noticed")
            assert certificate_seen(ours, second)
            second.issue().write(tmp_path)
            until(lambda: metric() == "1.0", "the good key is back")
        mismatched = Pair(first.issue().cert, first.issue().key)
        mismatched.write(tmp_path)
        until(lambda: metric() == "0.0", "the pair does not match")
        assert certificate_seen(ours, second)
        first.issue().write(tmp_path)
        until(lambda: certificate_seen(ours, first), "the first authority is back")

        def status() -> int:
            return kept.get(f"{url}/-/healthy").status_code

        write_users(config, {"other": bcrypt_hash()})
        until(lambda: status() == 401, "the user is removed")
        write_users(config, {USER: "junk"})
        until(lambda: status() == 500, "broken users let nobody in")
        config.unlink()
        assert 500 == status()
        config.write_text(json.dumps({"tls_server_config": TLS_FILES, "basic_auth_users": USERS}))
        until(lambda: status() == 200, "the users are back")
        assert connection == connection_of(kept)
        log = ours.log.read_text()
    assert "Traceback" not in log
    for secret in (PASSWORD, USERS[USER], "PRIVATE KEY"):
        assert secret not in log


def test_reload_signal(tmp_path: Path) -> None:
    """SIGHUP reads the web configuration too; a mistake in it refuses the whole reload."""
    config = write_web_config(tmp_path, basic_auth_users=USERS)
    with exporting(tmp_path, config) as ours:

        def logged(text: str) -> bool:
            return text in ours.log.read_text()

        config.write_text("basic_auth_users: {a: junk}")
        os.kill(ours.pid, signal.SIGHUP)
        until(lambda: logged("configuration was not reloaded"), "the reload is refused")
        assert logged("basic_auth_users.a: must be a bcrypt hash")
        assert 500 == ours.status(scheme="http", auth=(USER, PASSWORD))
        config.write_text(json.dumps({"basic_auth_users": USERS}))
        os.kill(ours.pid, signal.SIGHUP)
        until(lambda: logged('msg="configuration reloaded"'), "the configuration is reloaded")
        assert 200 == ours.status(scheme="http", auth=(USER, PASSWORD))


def connection_of(client: httpx.Client) -> object:
    """Return the identity of a client's only connection."""
    (connection,) = client._transport._pool.connections  # type: ignore[attr-defined] # noqa: SLF001 # no public way
    return connection


def test_flood_of_wrong_passwords(tmp_path: Path) -> None:
    """While others send wrong passwords, a scrape with the right one takes less than a second."""
    config = write_web_config(tmp_path, basic_auth_users={USER: bcrypt_hash(cost=8)})
    with exporting(tmp_path, config) as ours:
        right = httpx.Client(auth=(USER, PASSWORD), timeout=20, trust_env=False)
        assert 200 == right.get(f"http://{ours.address}/-/healthy").status_code
        flood = subprocess.Popen(
            [sys.executable, "-c", _FLOOD, f"http://{ours.address}/metrics"], stdout=subprocess.PIPE
        )
        seconds = []
        while flood.poll() is None:
            begun = time.monotonic()
            assert 200 == right.get(f"http://{ours.address}/-/healthy").status_code
            seconds.append(time.monotonic() - begun)
        statuses = json.loads(flood.communicate()[0])
        right.close()
    assert {"401", "503"} >= {*statuses}
    assert 100 == sum(statuses.values())
    assert max(seconds) < 1


_FLOOD = """\
import asyncio, collections, httpx, json, sys

async def flood():
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=20)) as client:
        answers = [client.get(sys.argv[1], auth=("prometheus", str(n))) for n in range(100)]
        return collections.Counter(a.status_code for a in await asyncio.gather(*answers))

print(json.dumps(asyncio.run(flood())))
"""


@pytest.mark.parametrize("arguments", [("--offline",), ("--offline", "--format", "json")])
def test_check_refuses_a_broken_file(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """`check` finds a key that does not belong to the certificate, and names file and field."""
    config = write_web_config(tmp_path, tls=TLS_FILES)
    (tmp_path / "server.key").write_bytes(authority().issue().key)
    result = invoke("check", *arguments, *APP, "--web.config.file", str(config))
    assert 2 == result.exit_code
    assert "key_file" in result.output
    assert "does not belong to the certificate" in result.output
    assert "PRIVATE" not in result.output


@pytest.mark.parametrize(
    ("addresses", "tls", "is_warned"),
    [
        (":10058", None, True),
        ("127.0.0.1:0,0.0.0.0:0", None, True),
        ("[::1]:0,127.0.0.1:0,localhost:0", None, False),
        (":10058", TLS_FILES, False),
    ],
)
def test_passwords_in_clear_text(
    tmp_path: Path, addresses: str, tls: dict[str, Any] | None, *, is_warned: bool
) -> None:
    """Passwords without TLS give a warning, unless they stay on this machine."""
    config = write_web_config(tmp_path, tls=tls, basic_auth_users=USERS)
    result = invoke(
        *("check", "--offline", *APP, "--web.config.file", str(config)),
        *("--web.listen-address", addresses),
    )
    assert 0 == result.exit_code, result.output
    assert is_warned is ("sent in clear text" in result.output)


def test_option_in_the_configuration_file(tmp_path: Path) -> None:
    """`web.config_file` in the YAML file is relative to it."""
    (tmp_path / "web.yml").write_text("junk")
    file = tmp_path / "rk.yml"
    file.write_text("account_id: a\napp_id: b\nmeeting_ids: [c]\nweb: {config_file: web.yml}\n")
    result = invoke("check", "--offline", "--config.file", str(file))
    assert 2 == result.exit_code
    assert f"web.config_file: {tmp_path}/web.yml:1: expected a mapping" in result.output


def test_serve_refuses_a_broken_file(tmp_path: Path) -> None:
    """The exporter does not start with a broken file, so that it never listens without users."""
    config = tmp_path / "web.yml"
    config.write_text("basic_auth_users: {a: junk}")
    result = invoke("serve", *APP, "--web.config.file", str(config))
    assert 2 == result.exit_code
    assert "basic_auth_users.a: must be a bcrypt hash" in result.output

"""The web configuration in use, while its files change."""

import asyncio
import errno
import logging
import os
import threading

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rk_exporter.config.sources import ConfigError
from rk_exporter.config.web_config import WebConfig, parse_web_config
from rk_exporter.runtime.files import read_regular_file
from rk_exporter.web import web_config_file
from rk_exporter.web.web_config_file import WebConfigFile
from tests.support.building import Time
from tests.support.web_config import (
    CLIENT_CERTIFICATES,
    PASSWORD,
    TLS_FILES,
    USER,
    authority,
    bcrypt_hash,
    write_web_config,
)


NOW, LATER = 1000.0, 2000.0


def with_file(path: Path, test: Callable[[WebConfigFile, Time], Awaitable[None]]) -> None:
    """Run *test* with the web configuration at *path*, read at NOW; it is LATER then."""

    async def run() -> None:
        clock = Time(NOW)
        file = WebConfigFile(path, clock=clock)
        clock.now = LATER
        await test(file, clock)

    asyncio.run(run())


async def settled(file: WebConfigFile) -> None:
    """Look twice, as if the files had not changed in between."""
    await file.refresh()
    await file.refresh()


def users(file: WebConfigFile) -> set[bytes]:
    return {*file.config.users.hashes}


def state(file: WebConfigFile) -> tuple[bool, bool, float]:
    return file.is_usable, file.last_reload_successful, file.last_success_timestamp_seconds


def with_users(folder: Path, *names: str) -> Path:
    return write_web_config(folder, basic_auth_users={name: bcrypt_hash() for name in names})


def with_tls(folder: Path) -> Path:
    return write_web_config(folder, tls=CLIENT_CERTIFICATES)


def test_users_change(tmp_path: Path) -> None:
    """New users count after a change, and the metrics show when."""
    path = with_users(tmp_path, "one")

    async def test(file: WebConfigFile, _clock: Time) -> None:
        assert {b"one"} == users(file)
        assert (True, NOW) == (file.last_reload_successful, file.last_success_timestamp_seconds)
        with_users(tmp_path, "one", "two")
        await settled(file)
        assert {b"one", b"two"} == users(file)
        assert LATER == file.last_success_timestamp_seconds

    with_file(path, test)


def test_unchanged_files(tmp_path: Path) -> None:
    """Nothing happens as long as the content stays, whatever happens to the files' times."""
    path = with_tls(tmp_path)

    async def test(file: WebConfigFile, _clock: Time) -> None:
        tls, config = file.tls, file.config
        for name in ("web.yml", "server.key"):
            os.utime(tmp_path / name, (1, 1))
        await settled(file)
        assert (tls, config, NOW) == (file.tls, file.config, file.last_success_timestamp_seconds)

    with_file(path, test)


def test_half_written_file(tmp_path: Path) -> None:
    """A file that is being written is not used: its first half may be valid and have no users."""
    path = with_users(tmp_path, "one")
    text = path.read_text()

    async def test(file: WebConfigFile, _clock: Time) -> None:
        path.write_text("")
        await file.refresh()
        assert {b"one"} == users(file)
        path.write_text(text.replace("one", "two"))
        await file.refresh()
        assert {b"one"} == users(file)
        await file.refresh()
        assert {b"two"} == users(file)

    with_file(path, test)


def test_short_change(tmp_path: Path) -> None:
    """A change that is taken back within two looks has no effect."""
    path = with_users(tmp_path, "one")
    text = path.read_text()

    async def test(file: WebConfigFile, _clock: Time) -> None:
        for content in ("", text, "", text):
            path.write_text(content)
            await file.refresh()
            assert {b"one"} == users(file)
        assert NOW == file.last_success_timestamp_seconds

    with_file(path, test)


@pytest.mark.parametrize("content", ["junk", f"basic_auth_users: {{a: {PASSWORD}}}", None, b"\xff"])
def test_broken_configuration(
    tmp_path: Path, content: str | bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """If the configuration is broken or gone, it says so, once, until it is good again."""
    caplog.set_level(logging.INFO)
    path = with_users(tmp_path, USER)
    text = path.read_bytes()

    async def test(file: WebConfigFile, _clock: Time) -> None:
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        for _ in range(3):
            await settled(file)
        assert (False, False, NOW) == state(file)
        (record,) = caplog.records
        assert "web configuration cannot be used, all requests are refused" in record.message
        assert str(path) in record.message
        path.write_bytes(text)
        await settled(file)
        assert (True, True, LATER) == state(file)
        assert "web configuration loaded" == caplog.records[-1].message

    with_file(path, test)
    assert PASSWORD not in caplog.text


def test_rotated_certificate(tmp_path: Path) -> None:
    """A new pair is used for new connections, in a context of its own."""
    path = with_tls(tmp_path)

    async def test(file: WebConfigFile, _clock: Time) -> None:
        before = file.tls
        authority().issue("new").write(tmp_path)
        await settled(file)
        assert file.tls is not None
        assert file.tls is not before
        assert file.tls_source is not None
        assert file.tls_source() is file.tls

    with_file(path, test)


@pytest.mark.parametrize("name", ["server.crt", "server.key", "client-ca.crt"])
@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_broken_tls_file(
    tmp_path: Path, name: str, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """If a TLS file is broken or gone, the last good ones stay in use, and its name is logged."""
    path = with_tls(tmp_path)
    broken = tmp_path / name
    good = broken.read_bytes()

    async def test(file: WebConfigFile, _clock: Time) -> None:
        before = file.tls
        broken.unlink() if content is None else broken.write_bytes(content)
        for _ in range(3):
            await settled(file)
        assert file.tls is before
        assert (True, False, NOW) == state(file)
        (record,) = caplog.records
        assert "TLS files cannot be used, the last good ones stay in use" in record.message
        assert f"{path}: tls_server_config." in record.message
        assert str(broken) in record.message
        broken.write_bytes(good)
        await settled(file)
        assert (True, True, LATER) == state(file)
        assert file.tls is not None

    with_file(path, test)


def test_pair_that_does_not_match(tmp_path: Path) -> None:
    """Between the two writes of a rotation, the old pair stays in use."""
    path = with_tls(tmp_path)
    new = authority().issue("new")

    async def test(file: WebConfigFile, _clock: Time) -> None:
        before = file.tls
        (tmp_path / "server.crt").write_bytes(new.cert)
        await settled(file)
        assert file.tls is before
        (tmp_path / "server.key").write_bytes(new.key)
        await settled(file)
        assert file.tls is not before
        assert file.last_reload_successful

    with_file(path, test)


def test_users_change_while_tls_is_broken(tmp_path: Path) -> None:
    """A user who is removed is out, even if the certificate cannot be used."""
    path = write_web_config(tmp_path, tls=TLS_FILES, basic_auth_users={"one": bcrypt_hash()})

    async def test(file: WebConfigFile, _clock: Time) -> None:
        path.write_text(path.read_text().replace("one", "two"))
        (tmp_path / "server.crt").write_bytes(b"")
        await settled(file)
        assert {b"two"} == users(file)
        assert file.tls is not None
        assert not file.last_reload_successful

    with_file(path, test)


@pytest.mark.parametrize("starts_with_tls", [True, False])
def test_tls_cannot_come_or_go(tmp_path: Path, *, starts_with_tls: bool) -> None:
    """TLS stays on or off until a restart, and the reload says so."""
    path = write_web_config(tmp_path, tls=TLS_FILES if starts_with_tls else None)

    async def test(file: WebConfigFile, _clock: Time) -> None:
        before = file.tls
        write_web_config(
            tmp_path,
            tls=None if starts_with_tls else TLS_FILES,
            basic_auth_users={"new": bcrypt_hash()},
        )
        await settled(file)
        assert file.tls is before
        assert {b"new"} == users(file)
        assert not file.last_reload_successful
        with pytest.raises(ConfigError, match="restart the exporter"):
            await file.reload()

    with_file(path, test)


def test_reload(tmp_path: Path) -> None:
    """A reload takes what is there immediately, and raises what is wrong with it."""
    path = with_users(tmp_path, "one")

    async def test(file: WebConfigFile, _clock: Time) -> None:
        with_users(tmp_path, "two")
        await file.reload()
        assert {b"two"} == users(file)
        assert LATER == file.last_success_timestamp_seconds
        path.write_text("rate_limit: {burst: x}")
        with pytest.raises(ConfigError, match=r"web\.yml:1: rate_limit\.burst: must be"):
            await file.reload()
        assert not file.is_usable

    with_file(path, test)


def test_many_reloads(tmp_path: Path) -> None:
    """Reloads and looks at the same time do not disturb each other."""
    path = with_tls(tmp_path)

    async def test(file: WebConfigFile, _clock: Time) -> None:
        await asyncio.gather(*(file.reload() for _ in range(10)), *(file.refresh() for _ in "abc"))
        assert file.last_reload_successful

    with_file(path, test)


def test_hanging_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the file system hangs, the last configuration stays in use, and nobody waits for it."""
    path = with_users(tmp_path, "one")
    released = threading.Event()
    monkeypatch.setattr(web_config_file, "_MAX_WAIT_SECONDS", 0.05)

    def hanging(path: Path, *, max_bytes: int) -> bytes:
        released.wait()
        return read_regular_file(path, max_bytes=max_bytes)

    async def test(file: WebConfigFile, _clock: Time) -> None:
        monkeypatch.setattr(web_config_file, "read_regular_file", hanging)
        try:
            for _ in range(3):
                await file.refresh()
            with pytest.raises(ConfigError, match="does not answer"):
                await file.reload()
            assert file.is_usable
            assert not file.last_reload_successful
            assert 1 == caplog.text.count("cannot be read again, the last one stays in use")
        finally:
            released.set()
        monkeypatch.setattr(web_config_file, "_MAX_WAIT_SECONDS", 20)
        while not file.last_reload_successful:
            await file.refresh()
            await asyncio.sleep(0.01)

    with_file(path, test)


def test_slow_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the file system has a time limit at the start: all else runs in the caller's thread."""
    threads = []

    def observed(path: Path, content: bytes) -> WebConfig:
        threads.append(threading.current_thread())
        return parse_web_config(path, content)

    monkeypatch.setattr(web_config_file, "parse_web_config", observed)
    WebConfigFile(with_users(tmp_path, "one"))
    assert [threading.current_thread()] == threads


def test_too_few_open_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the process lacks something, e.g. open files, all stays as it is until it has it again."""
    path = with_tls(tmp_path)

    def failing(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    async def test(file: WebConfigFile, _clock: Time) -> None:
        before = file.tls
        with monkeypatch.context() as patch:
            patch.setattr(os, "memfd_create", failing)
            authority().issue("new").write(tmp_path)
            await settled(file)
            with pytest.raises(ConfigError, match=r"web\.yml: Too many open files"):
                await file.reload()
            with pytest.raises(ConfigError, match=r"web\.yml: Too many open files"):
                WebConfigFile(path)
        assert file.tls is before
        assert (True, False, NOW) == state(file)
        assert 1 == len(caplog.records)
        await settled(file)
        assert file.tls is not before
        assert (True, True, LATER) == state(file)

    with_file(path, test)


def test_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is watched, changes are found without any request."""
    monkeypatch.setattr(web_config_file, "_CHECK_SECONDS", 0.001)
    path = with_users(tmp_path, "one")

    async def test(file: WebConfigFile, _clock: Time) -> None:
        async with file.watched():
            with_users(tmp_path, "two")
            async with asyncio.timeout(20):
                while users(file) != {b"two"}:  # noqa: ASYNC110 # there is no event
                    await asyncio.sleep(0.001)
        with_users(tmp_path, "three")
        await asyncio.sleep(0.01)
        assert {b"two"} == users(file)

    with_file(path, test)


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ({**TLS_FILES, "cert_file": "missing.crt"}, "cert_file: .*missing.crt cannot be read"),
        ({**TLS_FILES, "key_file": "server.crt"}, "key_file: .*server.crt has no private key"),
        ({**TLS_FILES, "cert_file": "."}, r"cert_file: .* cannot be read \(Is a directory\)"),
        ({**CLIENT_CERTIFICATES, "client_ca_file": "web.yml"}, "client_ca_file: .*web.yml has no"),
    ],
)
def test_first_read(tmp_path: Path, tls: dict[str, str], message: str) -> None:
    """What is wrong at the start is an error that names file and field."""
    path = write_web_config(tmp_path, tls=tls)
    with pytest.raises(ConfigError, match=rf"web\.yml: tls_server_config\.{message}"):
        WebConfigFile(path)


def test_no_file(tmp_path: Path) -> None:
    """A missing file is an error."""
    with pytest.raises(ConfigError, match=r"web\.yml: cannot be read \(No such file"):
        WebConfigFile(tmp_path / "web.yml")

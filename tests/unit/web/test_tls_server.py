"""The server over TLS, on real sockets, with clients that misbehave."""

import asyncio
import contextlib
import gc
import logging
import socket
import ssl

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

import pytest

from rk_exporter.config.web_config import parse_web_config
from rk_exporter.web import protocol, tls_door
from rk_exporter.web import tls as tls_module
from rk_exporter.web.tls import Pems, ServerContext, server_context
from rk_exporter.web.tls_door import TlsDoor
from tests.support.running_server import (
    LARGE_BYTES,
    MAX_CONNECTIONS,
    SHORT_SECONDS,
    Peer,
    Site,
    request,
    with_site,
)
from tests.support.web_config import Pair, authority, client_context


CLIENTS = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt"
CLIENT_HELLO = bytes.fromhex("1603010200010001fc0303")


@cache
def pair() -> Pair:
    return authority().issue()


def context(more: str = "", of: Pair | None = None) -> ServerContext:
    text = f"tls_server_config: {{cert_file: server.crt, key_file: server.key{more}}}"
    config = parse_web_config(Path("web.yml"), text.encode())
    used = of or pair()
    return server_context(config, Pems(used.cert, used.key, authority().pem))


def with_tls(
    test: Callable[[Site], Awaitable[None]],
    *,
    tls: Callable[[], ServerContext] | None = None,
    headers: dict[str, str] | None = None,
) -> None:
    only = context()
    with_site(test, tls=tls or (lambda: only), headers=headers)


@pytest.fixture
def short_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the deadline for a handshake."""
    monkeypatch.setattr(tls_door, "HANDSHAKE_SECONDS", SHORT_SECONDS)


@pytest.fixture(autouse=True)
def _nothing_is_reported(caplog: pytest.LogCaptureFixture) -> object:
    """Let nothing be logged at a higher level than info, as asyncio does after mistakes."""
    caplog.set_level(logging.INFO)
    # The collection is slow unless it is only about what the test has made.
    gc.freeze()
    yield
    gc.collect()
    gc.unfreeze()
    assert [] == [record for record in caplog.records if record.levelno > logging.INFO]


async def answers(peer: Peer, path: str = "/x") -> bool:
    await peer.get(path)
    return await peer.response() == (200, f"{path}\n".encode())


def test_connection_is_kept() -> None:
    """Many requests in sequence use one connection, and its address is an https URL."""

    async def test(site: Site) -> None:
        assert site.listener.url.startswith("https://127.0.0.1:")
        peer = await site.connect_tls(client_context())
        for number in range(50):
            assert await answers(peer, f"/{number}")

    with_tls(test)


def test_large_response() -> None:
    """A long response arrives whole."""

    async def test(site: Site) -> None:
        peer = await site.connect_tls(client_context())
        await peer.get("/large/3000000", "Connection: close")
        head, _, body = (await peer.rest()).partition(b"\r\n\r\n")
        assert b"200 OK" in head
        assert 3_000_000 == len(body)

    with_tls(test)


@pytest.mark.usefixtures("short_handshake")
@pytest.mark.parametrize("first", [b"", b"\x16", CLIENT_HELLO, b"\x16\x03\x01\x02\x00"])
def test_silent_clients(first: bytes) -> None:
    """Clients that begin no handshake, or half of one, block nobody, and are gone soon."""

    async def test(site: Site) -> None:
        silent = [await site.connect() for _ in range(50)]
        for peer in silent:
            await peer.send(first)
        assert await answers(await site.connect_tls(client_context()))
        for peer in silent:
            assert b"" == await peer.rest()
        assert await answers(await site.connect_tls(client_context()))

    with_tls(test)


def test_many_silent_clients() -> None:
    """If too many are in their handshake, the oldest make room, and others get through."""

    async def test(site: Site) -> None:
        silent = [await site.connect() for _ in range(MAX_CONNECTIONS + 20)]
        for peer in silent[:20]:
            assert b"" == await peer.rest()
        assert await answers(await site.connect_tls(client_context()))

    with_tls(test)


def test_many_idle_connections() -> None:
    """Also after the handshake, the longest idle connection makes room for a new one."""

    async def test(site: Site) -> None:
        idle = [await site.connect_tls(client_context()) for _ in range(MAX_CONNECTIONS)]
        assert await answers(await site.connect_tls(client_context()))
        assert b"" == await idle[0].rest()
        assert await answers(idle[-1])

    with_tls(test)


@pytest.mark.parametrize(
    "sent", [request("/x"), b"GET /x", b"\r\n\r\n", b"\x80\x2e\x01\x00\x02", b"\0"]
)
def test_plain_http(sent: bytes) -> None:
    """A client without TLS gets a 400 that advises https, with the configured headers."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        await peer.send(sent)
        head, _, body = (await peer.rest()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"X-Frame-Options: deny" in head
        assert b"this port speaks TLS; use https://\n" == body
        assert await answers(await site.connect_tls(client_context()))

    with_tls(test, headers={"X-Frame-Options": "deny"})


@pytest.mark.usefixtures("short_handshake")
def test_plain_client_that_does_not_leave() -> None:
    """A client that goes on sending without TLS is cut off at the deadline."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        with contextlib.suppress(ConnectionError):
            assert await peer.send_slowly(b"x" * 10_000) < 10_000

    with_tls(test)


def test_reset_during_handshake() -> None:
    """Clients that reset the connection leave nothing behind."""

    async def test(site: Site) -> None:
        for first in (b"", CLIENT_HELLO, b"GET /"):
            for _ in range(20):
                peer = await site.connect()
                await peer.send(first)
                peer.reset()
        assert await answers(await site.connect_tls(client_context()))

    with_tls(test)


def test_garbage_in_handshake() -> None:
    """A client that sends garbage as a handshake gets an alert, and the log says why, once."""

    async def test(site: Site) -> None:
        for _ in range(5):
            peer = await site.connect()
            await peer.send(b"\x16\x03\x01\x00\x04abcd")
            peer.writer.write_eof()
            alert = await peer.rest()
            assert alert[:1] == b"\x15"

    with_tls(test)


def test_refused_clients_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client learns why it is refused, as with node_exporter, and so does the log."""
    monkeypatch.setattr(tls_module, "_LOG_SECONDS", -1.0)
    wrong = client_context(authority("other").issue("x"), folder=tmp_path)
    right = client_context(authority().issue("x"), folder=tmp_path)

    async def test(site: Site) -> None:
        for client, alert in ((client_context(), "required|handshake"), (wrong, "unknown ca")):
            with pytest.raises(ssl.SSLError, match=f"(?i){alert.replace(' ', '.')}"):
                # With TLS 1.3 the client believes the handshake to be complete.
                await answers_or_raise(await site.connect_tls(client))
        assert await answers(await site.connect_tls(right))

    only = context(CLIENTS)
    with_tls(test, tls=lambda: only)
    said = [record.message for record in caplog.records if "TLS handshake failed" in record.message]
    assert [
        "TLS handshake failed: peer did not return a certificate",
        "TLS handshake failed: unable to get local issuer certificate",
    ] == said


async def answers_or_raise(peer: Peer) -> None:
    peer.writer.write(request("/x"))
    await peer.reader.read(1)
    raise AssertionError("the server has answered")


def test_log_is_not_flooded(caplog: pytest.LogCaptureFixture) -> None:
    """Failed handshakes are logged every 10 s at most."""

    async def test(site: Site) -> None:
        for _ in range(20):
            peer = await site.connect()
            await peer.send(b"\x16\x03\x01\x00\x04abcd")
            peer.writer.write_eof()
            await peer.rest()

    with_tls(test)
    assert 1 == caplog.text.count("TLS handshake failed")


def test_names_of_clients(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A certificate without an allowed name is refused before any byte of HTTP."""
    allowed = client_context(authority().issue("prometheus.example.net"), folder=tmp_path)
    other = client_context(authority().issue("other.example.net"), folder=tmp_path)

    async def test(site: Site) -> None:
        assert await answers(await site.connect_tls(allowed))
        peer = await site.connect_tls(other)
        await peer.get("/x")
        assert b"" == await peer.rest()
        assert 1 == site.application.finished

    only = context(f"{CLIENTS}, client_allowed_sans: [prometheus.example.net]")
    with_tls(test, tls=lambda: only)
    assert "client certificate has none of the allowed names" in caplog.text


def test_changed_context(tmp_path: Path) -> None:
    """New connections get the new TLS whole; those that are open go on."""
    current = [context()]
    trusted = client_context(authority().issue("x"), folder=tmp_path)
    other = client_context(trusts=authority("other"))

    async def test(site: Site) -> None:
        first = await site.connect_tls(client_context())
        current[0] = context(of=authority("other").issue())
        second = await site.connect_tls(other)
        with pytest.raises(ssl.SSLCertVerificationError):
            await site.connect_tls(client_context())
        # Not only the certificate changes, but also what is asked of clients, and the versions.
        current[0] = context(f"{CLIENTS}, min_version: TLS13")
        third = await site.connect_tls(trusted)
        with pytest.raises(ssl.SSLError):
            await answers_or_raise(await site.connect_tls(client_context()))
        old = client_context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await site.connect_tls(old)
        for peer in (first, second, third):
            assert await answers(peer)

    with_tls(test, tls=lambda: current[0])


def test_sessions_end_with_their_context(tmp_path: Path) -> None:
    """A session of the old TLS cannot be resumed, so a revoked authority is out."""
    current = [context()]
    client = client_context(authority().issue("x"), folder=tmp_path)
    client.maximum_version = ssl.TLSVersion.TLSv1_2

    async def resumed(site: Site, session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession]:
        def connect() -> tuple[bool, ssl.SSLSession]:
            with (
                ssl.create_connection(site.address) as raw,  # type: ignore[attr-defined] # it has it
                client.wrap_socket(raw, server_hostname="localhost", session=session) as one,
            ):
                assert one.session is not None
                return bool(one.session_reused), one.session

        return await asyncio.to_thread(connect)

    async def test(site: Site) -> None:
        _, session = await resumed(site, None)
        assert (True, True) == ((await resumed(site, session))[0], session.has_ticket)
        current[0] = context(CLIENTS)
        assert not (await resumed(site, session))[0]

    with_tls(test, tls=lambda: current[0])


def test_half_closed() -> None:
    """A client that ends TLS after its request is gone; nothing is reported."""

    async def test(site: Site) -> None:
        peer = await site.connect_tls(client_context())
        await peer.get("/hold/1")
        await site.until(lambda: site.application.held == 1)
        peer.writer.close()
        with contextlib.suppress(ssl.SSLError):
            await peer.writer.wait_closed()
        site.application.release.set()
        await site.until(lambda: site.application.finished == 1)
        assert await answers(await site.connect_tls(client_context()))

    with_tls(test)


def test_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not read its response is cut off, and its response is not held whole."""
    monkeypatch.setattr(protocol, "RESPONSE_DEADLINE_SECONDS", SHORT_SECONDS)

    async def test(site: Site) -> None:
        peer = await site.connect_tls(client_context())
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport has it
        await peer.get(f"/large/{LARGE_BYTES}")
        await site.until(lambda: site.application.finished == 1)
        peer.writer.transport.abort()

    with_tls(test)


def test_slow_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline for a request's head begins after the handshake."""
    monkeypatch.setattr(protocol, "HEAD_DEADLINE_SECONDS", SHORT_SECONDS)

    async def test(site: Site) -> None:
        peer = await site.connect_tls(client_context())
        assert b"" == await peer.rest()

    with_tls(test)


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET\r\n\r\n", b"400"), (request("/x", "X-Long: " + "x" * 20_000), b"431")],
)
def test_headers_of_the_server_itself(sent: bytes, status: bytes) -> None:
    """The answers that the application does not see have the configured headers, too."""

    async def test(site: Site) -> None:
        peer = await site.connect_tls(client_context())
        await peer.send(sent)
        answer = await peer.rest()
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"\r\nX-Frame-Options: deny\r\n" in answer

    with_tls(test, headers={"X-Frame-Options": "deny"})


def test_stop_during_handshake() -> None:
    """The server does not wait for handshakes when it stops, and finishes responses."""

    async def test(site: Site) -> None:
        peer = await site.connect_tls(client_context())
        await peer.get("/hold/1")
        for first in (b"", CLIENT_HELLO):
            await (await site.connect()).send(first)
        await site.until(lambda: site.application.held == 1)
        asyncio.get_running_loop().call_later(0.05, site.application.release.set)

    with_tls(test)


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_no_files_are_left() -> None:
    """Connections that come and go in all ways leave no open file."""

    async def test(site: Site) -> None:
        await (await site.connect_tls(client_context())).get("/x")
        before = open_files()
        for _ in range(20):
            for first in (b"", b"G", CLIENT_HELLO, b"\x16\x03\x01\x00\x04abcd"):
                peer = await site.connect()
                await peer.send(first)
                peer.reset()
            secure = await site.connect_tls(client_context())
            assert await answers(secure)
            secure.writer.transport.abort()
        await site.until(lambda: open_files() <= before)

    with_tls(test)


def test_byte_of_a_client_that_must_leave() -> None:
    """If the byte of a client comes while it makes room for another one, that is no error."""
    problems: list[object] = []

    async def test() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, problem: problems.append(problem))
        door = TlsDoor(lambda: pytest.fail("no handshake"), headers=dict, max_waiting=1)
        first, first_client = socket.socketpair()
        second, second_client = socket.socketpair()
        with first_client, second_client:
            for end in (first, second):
                end.setblocking(False)  # noqa: FBT003 # the standard library's signature
            door.admit(first, asyncio.Protocol)
            await asyncio.sleep(0)
            first_client.send(b"x")
            # In the iteration that also sees the byte, and before it.
            loop.call_soon(door.admit, second, asyncio.Protocol)
            for _ in range(5):
                await asyncio.sleep(0)
            door.close()

    asyncio.run(test())
    assert problems == []

"""Requests for files, to a real server with TLS that answers with any bytes."""

import asyncio
import ssl

from collections.abc import Awaitable, Callable, Sequence

import pytest
import trustme

from rk_exporter.downloads.fetch import MOST_BYTES, Fetcher, FetchFailed, resolve
from rk_exporter.downloads.hosts import DownloadRules, download_rules, parse_pattern
from rk_exporter.downloads.verdict import Answer
from rk_exporter.model.download import CheckFailure
from rk_exporter.model.secret import Secret
from tests.support.fault_server import (
    TEST_TIMEOUT_SECONDS,
    Behaviour,
    FaultServer,
    Flood,
    close,
    drip,
    hang,
    reset,
    send,
)


HOST = "files.example.com"
MP4 = b"\x00\x00\x00\x20ftypisom" + bytes(500)
SIGNED = "a.mp4?X-Amz-Signature=SIGNATURE"
PART = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-511/1000\r\n"
LOOPBACK = ("127.0.0.1",)
AUTHORITY = trustme.CA()
FOREIGN = trustme.CA()


def server_tls(authority: trustme.CA = AUTHORITY, name: str = HOST) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def fetcher(
    addresses: Sequence[str] | OSError = LOOPBACK, *, timeout_seconds: float = TEST_TIMEOUT_SECONDS
) -> Fetcher:
    """Return a fetcher that finds *addresses* for each host."""
    context = ssl.create_default_context(cadata=AUTHORITY.cert_pem.bytes().decode())

    async def look_up(host: str, port: int) -> Sequence[str]:
        assert host == HOST
        assert port > 0
        if isinstance(addresses, OSError):
            raise addresses
        return addresses

    return Fetcher(context, resolver=look_up, timeout_seconds=timeout_seconds)


def rules(server: FaultServer, *, allow_private: bool = True) -> DownloadRules:
    host = parse_pattern(f"{HOST}:{server.port}")
    return download_rules([host], allow_private_addresses=allow_private)


def with_server(
    test: Callable[[FaultServer], Awaitable[None]],
    behaviour: Behaviour,
    tls: ssl.SSLContext | None = None,
) -> FaultServer:
    """Run *test* with a server that always behaves in one way, and return the server."""

    async def run() -> FaultServer:
        async with FaultServer().running(tls or server_tls()) as server:
            server.script(SIGNED, behaviour)
            await test(server)
            return server

    return asyncio.run(run())


def url(server: FaultServer) -> Secret:
    return Secret(f"https://{HOST}:{server.port}/{SIGNED}")


def answer_to(behaviour: Behaviour, fetch: Fetcher | None = None) -> Answer:
    """Return the answer of a server that behaves in one way."""
    found: list[Answer] = []

    async def test(server: FaultServer) -> None:
        found.append(await (fetch or fetcher())(url(server), rules(server)))

    with_server(test, behaviour)
    return found[0]


def failure_of(
    behaviour: Behaviour, fetch: Fetcher | None = None, tls: ssl.SSLContext | None = None
) -> CheckFailure:
    """Return why there is no answer of a server that behaves in one way."""
    found: list[FetchFailed] = []

    async def test(server: FaultServer) -> None:
        with pytest.raises(FetchFailed) as caught:
            await (fetch or fetcher())(url(server), rules(server))
        found.append(caught.value)

    with_server(test, behaviour, tls)
    assert "SIGNATURE" not in str(found[0])
    assert found[0].__cause__ is None
    return found[0].failure


def with_length(head: bytes, body: bytes) -> bytes:
    return head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_request() -> None:
    """The request has the host and a range, and neither a token nor a cookie."""
    cookie = PART + b"Set-Cookie: id=1; Path=/\r\n"

    async def test(server: FaultServer) -> None:
        fetch = fetcher()
        for _ in range(2):
            assert Answer(206, 1000, MP4) == await fetch(url(server), rules(server))

    server = with_server(test, send(with_length(cookie, MP4)))
    assert 2 == server.connections
    for request in server.requests:
        assert f"/{SIGNED}" == request.path
        assert f"{HOST}:{server.port}" == request.headers["host"]
        assert "bytes=0-511" == request.headers["range"]
        assert "identity" == request.headers["accept-encoding"]
        assert {"authorization", "cookie", "referer"}.isdisjoint(request.headers)


def test_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables for proxies change nothing: a proxy would choose the address."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert Answer(206, 1000, MP4) == answer_to(send(with_length(PART, MP4)))


OK = b"HTTP/1.1 200 OK\r\n"
RANGE = b"HTTP/1.1 206 Partial Content\r\nContent-Range: "
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "whole file": (with_length(OK, MP4), Answer(200, 512, MP4)),
    "whole long file": (with_length(OK, MP4 * 3), Answer(200, 1536, MP4)),
    "short file": (with_length(RANGE + b"bytes 0-3/4\r\n", b"abcd"), Answer(206, 4, b"abcd")),
    "unknown size": (with_length(RANGE + b"bytes 0-511/*\r\n", MP4), Answer(206, None, MP4)),
    "odd range": (with_length(RANGE + b"nonsense\r\n", MP4), Answer(206, None, MP4)),
    "no range": (with_length(b"HTTP/1.1 206 OK\r\n", MP4), Answer(206, None, MP4)),
    "empty": (
        with_length(b"HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\n", b""),
        Answer(416, 0),
    ),
    "error": (with_length(b"HTTP/1.1 404 No\r\n", b"<html>"), Answer(404)),
    "redirect": (
        with_length(b"HTTP/1.1 302 No\r\nLocation: http://169.254.169.254/\r\n", b""),
        Answer(302),
    ),
    "hints": (
        b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n" + with_length(PART, MP4),
        Answer(206, 1000, MP4),
    ),
    "chunks": (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", Answer(200, None, b"abc")),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name: str) -> None:
    """Status, size and beginning are read from any documented form of an answer."""
    data, answer = ANSWERS[name]
    assert answer == answer_to(send(data))


def test_body_that_ends_with_the_connection() -> None:
    """A body without a length ends when the server closes the connection."""
    assert Answer(200, None, b"abc") == answer_to(close(b"HTTP/1.1 200 OK\r\n\r\nabc"))


def test_large_body() -> None:
    """After the beginning of a file the connection is closed, however much would follow."""
    flood = Flood(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n", most_bytes=64 << 20)
    assert Answer(200, 9_000_000_000, bytes(512)) == answer_to(flood)
    assert flood.sent_bytes < 64 << 20


BROKEN = {
    "closed": (close(), CheckFailure.CONNECT),
    "reset": (reset(), CheckFailure.CONNECT),
    "a byte is missing": (close(with_length(PART, MP4)[:-1]), CheckFailure.CONNECT),
    "half a head": (close(PART), CheckFailure.CONNECT),
    "no HTTP": (close(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), CheckFailure.SERVER_ERROR),
    "huge header": (send(PART + b"X: " + b"x" * 40_000 + b"\r\n\r\n"), CheckFailure.SERVER_ERROR),
    "many heads": (send(b"HTTP/1.1 100 Continue\r\n\r\n" * 4000), CheckFailure.SERVER_ERROR),
    "another part": (
        send(with_length(RANGE + b"bytes 5-516/1000\r\n", MP4)),
        CheckFailure.SERVER_ERROR,
    ),
    "odd length": (send(OK + b"Content-Length: a\r\n\r\n"), CheckFailure.SERVER_ERROR),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_answers(name: str) -> None:
    """A connection that breaks and an answer that is no HTTP have their own reasons."""
    behaviour, failure = BROKEN[name]
    assert failure is failure_of(behaviour)


def test_endless_chunks() -> None:
    """No more than 64 KiB of an answer are read, whatever its parts are."""
    chunks = b"1;" + b"x" * 1000 + b"\r\na\r\n"
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks * 400
    assert len(data) > MOST_BYTES
    assert CheckFailure.SERVER_ERROR is failure_of(hang(data))


def test_slow_server() -> None:
    """A server that is silent or slow costs the time limit, not more."""
    for behaviour in (hang(), hang(PART), drip(MP4 * 20, head=PART + b"\r\n")):
        assert CheckFailure.TIMEOUT is failure_of(behaviour, fetcher(timeout_seconds=0.5))


@pytest.mark.parametrize(
    ("authority", "name"),
    [(FOREIGN, HOST), (AUTHORITY, "other.example.com"), (AUTHORITY, "127.0.0.1")],
    ids=["foreign", "other name", "address"],
)
def test_certificates(authority: trustme.CA, name: str) -> None:
    """A certificate must be trusted and name the host of the URL, not its address."""
    assert CheckFailure.TLS is failure_of(hang(), tls=server_tls(authority, name))


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("10.0.0.1",),
        ("169.254.169.254",),
        ("::1",),
        ("::ffff:127.0.0.1",),
        ("1.1.1.1", "127.0.0.1"),
    ],
)
def test_addresses_that_are_not_public(addresses: tuple[str, ...]) -> None:
    """One address that is not public is enough for no connection at all."""

    async def test(server: FaultServer) -> None:
        with pytest.raises(FetchFailed) as caught:
            await fetcher(addresses)(url(server), rules(server, allow_private=False))
        assert CheckFailure.REFUSED_HOST is caught.value.failure

    assert 0 == with_server(test, hang()).connections


def test_the_checked_address_is_used() -> None:
    """The connection goes to the address that was checked, although the name has no such one."""
    assert Answer(206, 1000, MP4) == answer_to(send(with_length(PART, MP4)))


def test_link_local_address_in_a_private_network() -> None:
    """A link-local address is refused even if private ones are allowed."""
    assert CheckFailure.REFUSED_HOST is failure_of(hang(), fetcher(("169.254.169.254",)))


def test_next_address() -> None:
    """If an address does not accept connections, the next one is tried."""
    answer = answer_to(send(with_length(PART, MP4)), fetcher(("127.0.0.2", "::1", "127.0.0.1")))
    assert Answer(206, 1000, MP4) == answer


@pytest.mark.parametrize(
    "addresses",
    [(), OSError("no such host"), ("127.0.0.2",)],
    ids=["none", "unknown host", "closed"],
)
def test_no_address(addresses: tuple[str, ...] | OSError) -> None:
    """A host without an address, or that accepts no connection, cannot be reached."""
    assert CheckFailure.CONNECT is failure_of(hang(), fetcher(addresses))


def test_look_up() -> None:
    """The system's look-up finds each address once."""
    assert LOOPBACK == tuple(asyncio.run(resolve("127.0.0.1", 443)))

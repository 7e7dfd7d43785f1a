"""The server on real sockets, with slow, silent and misbehaving clients."""

import asyncio
import contextlib
import gc
import itertools
import logging
import signal
import socket

from typing import Any

import pytest
import uvicorn

from rk_exporter.config.parsers import Address
from rk_exporter.web import protocol, server
from rk_exporter.web.protocol import LimitedH11Protocol
from rk_exporter.web.server import Listener, serve
from rk_exporter.web.sockets import bind
from tests.support.running_server import (
    DRIP_EVERY_SECONDS,
    LARGE_BYTES,
    MAX_CONNECTIONS,
    SHORT_SECONDS,
    TIMEOUT_SECONDS,
    Application,
    Peer,
    Site,
    request,
    with_site,
)


@pytest.fixture
def short_head_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the deadline for a request's head."""
    monkeypatch.setattr(protocol, "HEAD_DEADLINE_SECONDS", SHORT_SECONDS)


@pytest.fixture
def short_response_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the deadline for reading a response."""
    monkeypatch.setattr(protocol, "RESPONSE_DEADLINE_SECONDS", SHORT_SECONDS)


# Well-formed requests.


def test_connection_is_kept() -> None:
    """Many requests in sequence use one connection."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        for number in range(100):
            await peer.get(f"/{number}")
            assert await peer.response() == (200, f"/{number}\n".encode())

    with_site(test)


def test_pipelined_requests() -> None:
    """Pipelined requests are all answered, in order."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        await peer.send(request("/hold/1") + request("/2") + request("/3") + request("/4")[:10])
        await site.until(lambda: site.application.held == 1)
        site.application.release.set()
        for path in ("/hold/1", "/2", "/3"):
            assert await peer.response() == (200, f"{path}\n".encode())
        await peer.send(request("/4")[10:])
        assert await peer.response() == (200, b"/4\n")

    with_site(test)


def test_head_in_pieces() -> None:
    """A request may come byte by byte, within the deadline."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        for number in request("/pieces"):
            await peer.send(bytes([number]))
            await asyncio.sleep(0)
        assert await peer.response() == (200, b"/pieces\n")

    with_site(test)


@pytest.mark.parametrize("date_header", [True, False])
def test_date(*, date_header: bool) -> None:
    """A response has the server's Date header unless the application sends its own."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        await peer.get("/", "Connection: close")
        head = (await peer.rest()).lower().partition(b"\r\n\r\n")[0]
        assert head.count(b"\r\ndate: ") == date_header

    with_site(test, date_header=date_header)


def test_large_response_is_whole() -> None:
    """A client that reads slowly receives a large response completely."""

    async def test(site: Site) -> None:
        peer = await site.connect(receive_buffer_bytes=4096)
        await peer.get("/large/3000000")
        await peer.get("/next")
        status, body = await peer.response()
        assert (status, body) == (200, bytes(3_000_000))
        assert await peer.response() == (200, b"/next\n")

    with_site(test, send_buffer_bytes=4096)


def test_connection_close() -> None:
    """With `Connection: close` the response is complete and the connection closes."""

    async def test(site: Site) -> None:
        peer = await site.connect(receive_buffer_bytes=4096)
        await peer.get("/blob/500000", "Connection: close")
        assert await peer.response() == (200, b"x" * 500_000)
        assert await peer.rest() == b""

    with_site(test, send_buffer_bytes=4096)


@pytest.mark.parametrize(
    ("requests", "responses"),
    [
        ([request("/one")], [b"/one\n"]),
        ([request("/hold")], [b"/hold\n"]),
        ([request("/hold"), request("/two")], [b"/hold\n", b"/two\n"]),
        ([request("/blob/500000")], [b"x" * 500_000]),
        ([request("/one"), request("/never")[:9]], [b"/one\n"]),
    ],
    ids=["answered immediately", "answered later", "pipelined", "large", "half a request follows"],
)
def test_half_closed_client(requests: list[bytes], responses: list[bytes]) -> None:
    """A client that closes its side after its requests gets all responses, then the end."""

    async def test(site: Site) -> None:
        peer = await site.connect(receive_buffer_bytes=4096)
        await peer.send(b"".join(requests))
        peer.writer.write_eof()
        if b"/hold" in requests[0]:
            await site.until(lambda: site.application.held == 1)
            site.application.release.set()
        assert [await peer.response() for _ in responses] == [(200, body) for body in responses]
        assert await peer.rest() == b""

    with_site(test, send_buffer_bytes=4096)


@pytest.mark.parametrize(
    ("header", "body"),
    [("Content-Length: 5", b"abc"), ("Transfer-Encoding: chunked", b"5\r\nabc")],
    ids=["length", "chunked"],
)
def test_half_a_body(header: str, body: bytes) -> None:
    """A client that closes its side within a body never completes it, so nothing waits for that."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        await peer.send(request("/hold", header) + body)
        await site.until(lambda: site.application.held == 1)
        peer.writer.write_eof()
        assert await peer.rest() == b""

    with_site(test)


# Deadlines.


@pytest.mark.usefixtures("short_head_deadline")
def test_silent_connection_is_closed() -> None:
    """A connection on which nothing is sent is closed."""

    async def test(site: Site) -> None:
        silent = [await site.connect() for _ in range(10)]
        assert [await peer.rest() for peer in silent] == [b""] * 10

    with_site(test)


@pytest.mark.usefixtures("short_head_deadline")
@pytest.mark.parametrize("first", ["", "/first"], ids=["at first", "on a kept connection"])
def test_slow_head_times_out(first: str) -> None:
    """A head must be complete at its deadline, however steadily its bytes arrive."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        if first:
            await peer.get(first)
            await peer.response()
        head = request("/", f"X-Long: {'x' * 5000}")
        assert await peer.send_slowly(head) < len(head) / 2

    with_site(test)


@pytest.mark.usefixtures("short_head_deadline")
def test_slow_body_times_out() -> None:
    """The rest of a request that is already answered has the same deadline."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        await peer.get("/", "Content-Length: 5000")
        assert await peer.response() == (200, b"/\n")
        assert await peer.send_slowly(bytes(5000)) < 2500

    with_site(test)


@pytest.mark.usefixtures("short_head_deadline")
def test_pipelined_head_times_out() -> None:
    """A head that starts during the previous response has the same deadline."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        await peer.send(request("/hold") + request("/next")[:-1])
        await site.until(lambda: site.application.held == 1)
        site.application.release.set()
        assert await peer.response() == (200, b"/hold\n")
        assert await peer.rest() == b""

    with_site(test)


async def kept_connections(site: Site) -> tuple[Peer, Peer]:
    """Return two connections after a request: one without a body, one with a late body."""
    peers = await site.connect(), await site.connect()
    for peer, body in zip(peers, (b"", b"late"), strict=True):
        await peer.get("/first", f"Content-Length: {len(body)}")
        assert await peer.response() == (200, b"/first\n")
        await peer.send(body)
    return peers


@pytest.mark.usefixtures("short_head_deadline")
def test_idle_connection_outlives_the_head_deadline() -> None:
    """A connection may be idle longer between requests than within one."""

    async def test(site: Site) -> None:
        peers = await kept_connections(site)
        await site.until_head_deadline()
        for peer in peers:
            await peer.get("/second")
            assert await peer.response() == (200, b"/second\n")

    with_site(test)


def test_idle_connection_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept-alive connection without another request is closed."""
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", SHORT_SECONDS)

    async def test(site: Site) -> None:
        assert [await peer.rest() for peer in await kept_connections(site)] == [b"", b""]

    with_site(test)


@pytest.mark.usefixtures("short_head_deadline", "short_response_deadline")
def test_slow_application_has_no_deadline() -> None:
    """No deadline runs while the application works on its response."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        await peer.get("/hold")
        await site.until(lambda: site.application.held == 1)
        await site.until_head_deadline()
        site.application.release.set()
        assert await peer.response() == (200, b"/hold\n")

    with_site(test)


@pytest.mark.usefixtures("short_response_deadline")
def test_response_that_is_not_read() -> None:
    """A client that reads nothing is disconnected, and the response is not buffered."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined] # a ReadTransport too
        await peer.get(f"/large/{LARGE_BYTES}")
        await site.until(lambda: site.application.finished == 1)
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined] # also a ReadTransport
        # The kernel's buffers and one slice; the rest was not produced.
        assert len(await peer.rest()) < 32 << 20

    with_site(test)


async def read_slowly(site: Site, path: str, connection: str = "keep-alive") -> int:
    """Return how many bytes a slow client receives until the server closes the connection."""
    peer = await site.connect(receive_buffer_bytes=4096)
    await peer.get(path, f"Connection: {connection}")
    received = 0
    async with asyncio.timeout(TIMEOUT_SECONDS):
        with contextlib.suppress(ConnectionError):
            while data := await peer.reader.read(1000):
                received += len(data)
                await asyncio.sleep(DRIP_EVERY_SECONDS)
    return received


@pytest.mark.usefixtures("short_response_deadline")
def test_response_that_is_read_slowly() -> None:
    """A client that reads too slowly is disconnected, even if the application has finished."""

    async def test(site: Site) -> None:
        ways = itertools.product(
            [f"/large/{LARGE_BYTES}", "/blob/4000000"], ["keep-alive", "close"]
        )
        received = await asyncio.gather(*(read_slowly(site, *way) for way in ways))
        assert 0 < min(received)
        assert max(received) < 3_000_000
        await site.until(lambda: site.application.finished == 4)

    with_site(test, send_buffer_bytes=4096)


@pytest.mark.usefixtures("short_response_deadline")
def test_short_response_that_is_read_slowly() -> None:
    """The deadline also runs for a response that fits into asyncio's buffer."""

    async def test(site: Site) -> None:
        assert 0 < await read_slowly(site, "/blob/50000") < 50_000

    with_site(test, send_buffer_bytes=4096)


# Limits.


def test_idle_connections_do_not_prevent_a_scrape() -> None:
    """At the limit the connection that has been idle longest is closed."""

    async def test(site: Site) -> None:
        first, second, *others = [await site.connect() for _ in range(MAX_CONNECTIONS)]
        # A used connection has been idle only since its last request.
        await first.get("/used")
        await first.response()
        scraper = await site.connect()
        await scraper.get("/metrics")
        assert await scraper.response() == (200, b"/metrics\n")
        assert await second.rest() == b""
        for peer in (first, *others, scraper):
            await peer.get("/again")
            assert await peer.response() == (200, b"/again\n")

    with_site(test)


def test_limit_during_a_burst() -> None:
    """Connections that arrive in the same moment each need room."""
    count = MAX_CONNECTIONS // 2

    async def test(site: Site) -> None:
        old = [await site.connect() for _ in range(MAX_CONNECTIONS)]
        # While this waits for the kernel, the server's loop does not run.
        burst = [socket.create_connection(site.address) for _ in range(count)]
        new = [await site.adopt(connection) for connection in burst]
        assert [await peer.rest() for peer in old[:count]] == [b""] * count
        for peer in (*old[count:], *new):
            await peer.get("/")
            assert await peer.response() == (200, b"/\n")

    with_site(test)


def test_request_in_flight_is_never_dropped() -> None:
    """Any number of idle connections makes room; a waiting request is never dropped."""

    async def test(site: Site) -> None:
        busy = await site.connect()
        await busy.get("/hold")
        await site.until(lambda: site.application.held == 1)
        idle = [await site.connect() for _ in range(2 * MAX_CONNECTIONS)]
        assert await idle[MAX_CONNECTIONS].rest() == b""
        site.application.release.set()
        assert await busy.response() == (200, b"/hold\n")

    with_site(test)


def test_response_in_flight_is_never_dropped() -> None:
    """A response that is being read is never dropped to make room, nor are its last bytes."""

    async def test(site: Site) -> None:
        busy = await site.connect(receive_buffer_bytes=4096)
        await busy.get("/blob/1000000")
        await site.until(lambda: site.application.finished == 1)
        idle = [await site.connect() for _ in range(2 * MAX_CONNECTIONS)]
        assert await idle[MAX_CONNECTIONS].rest() == b""
        assert await busy.response() == (200, b"x" * 1_000_000)

    with_site(test, send_buffer_bytes=4096)


def test_limit_grows_with_the_requests() -> None:
    """An application that answers many requests in parallel gets enough connections."""

    async def test(site: Site) -> None:
        busy = [await site.connect() for _ in range(150)]
        for peer in busy:
            await peer.get("/hold")
        await site.until(lambda: site.application.held == 150)
        site.application.release.set()
        assert [await peer.response() for peer in busy] == [(200, b"/hold\n")] * 150

    with_site(test, max_requests=150)


def test_refused_if_all_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """If every connection is busy, a new one is refused, and the others continue."""
    monkeypatch.setattr(server, "SPARE_CONNECTIONS", 1)

    async def test(site: Site) -> None:
        busy = [await site.connect() for _ in range(3)]
        for peer in busy:
            await peer.get("/hold")
        await site.until(lambda: site.application.held == 3)
        for _ in range(3):
            refused = await site.connect()
            await refused.get("/")
            assert await refused.rest() == b""
        site.application.release.set()
        assert [await peer.response() for peer in busy] == [(200, b"/hold\n")] * 3
        late = await site.connect()
        await late.get("/")
        assert await late.response() == (200, b"/\n")

    with_site(test, max_requests=2)


def test_limit_after_a_reload() -> None:
    """The limit on connections follows the configuration in use."""
    in_use = 2
    with bind(Address("127.0.0.1", 0)) as listening:
        listener = Listener(Application(), listening, lambda: in_use)
        made: Any = server._configuration(listener, 1000, None).http  # noqa: SLF001
        # A connection without its loop.
        connection = made.__new__(made)
        assert 2 + server.SPARE_CONNECTIONS == connection.max_connections
        in_use = 7
        assert 7 + server.SPARE_CONNECTIONS == connection.max_connections


def test_reset_connection_leaves_nothing() -> None:
    """A connection that its client reset leaves nothing behind."""

    async def test(site: Site) -> None:
        for _ in range(20):
            peer = await site.connect()
            await peer.get("/")
            await peer.response()
            peer.reset()

        def none_left() -> bool:
            gc.collect()
            return not any(isinstance(thing, LimitedH11Protocol) for thing in gc.get_objects())

        await site.until(none_left)

    with_site(test)


# Malformed requests.


def test_head_too_large() -> None:
    """A head of 20 kB gets 431 with a line of text, however it is split up."""
    head = request("/", f"X-Large: {'x' * 20_000}")

    async def test(site: Site) -> None:
        for piece_bytes, earlier_requests in itertools.product([1000, 20_000], [0, 1]):
            peer = await site.connect()
            for _ in range(earlier_requests):
                await peer.get("/")
                assert await peer.response() == (200, b"/\n")
            for begin in range(0, 20_000, piece_bytes):
                await peer.send(head[begin : begin + piece_bytes])
            assert await peer.response() == (431, b"The request's head is too large.\n")
            assert await peer.rest() == b""
        assert site.application.finished == 2

    with_site(test)


def test_malformed_request() -> None:
    """Bytes that are no request get 400 with a line of text."""
    raws = (
        b"garbage\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        # The first bytes of a TLS client.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    )

    async def test(site: Site) -> None:
        for raw in raws:
            peer = await site.connect()
            await peer.send(raw)
            assert await peer.response() == (400, b"Invalid HTTP request received.\n")
            assert await peer.rest() == b""

    with_site(test)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/hold", 400), (f"/large/{LARGE_BYTES}", 200)],
    ids=["answered", "being worked on", "being answered"],
)
def test_malformed_body(path: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """A malformed body ends its connection without an error in the log."""
    head, body = request(path, "Transfer-Encoding: chunked"), b"zz\r\n"

    async def test(site: Site) -> None:
        peer = await site.connect()
        await peer.send(head + body)
        assert (await peer.rest()).startswith(b"HTTP/1.1 400 ")
        peer = await site.connect()
        await peer.send(head)
        begun = b"" if status != 200 else await peer.reader.readexactly(30)
        await peer.send(body)
        received = begun + await peer.rest()
        assert received.startswith(b"HTTP/1.1 %d " % status)
        assert b"HTTP/1.1" not in received[8:]

    with_site(test)
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


# Shutdown.


def test_grace_period(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A request that outlives the grace period is cancelled without a traceback."""
    monkeypatch.setattr(server, "GRACE_SECONDS", SHORT_SECONDS)

    async def run() -> None:
        application = Application()
        listener = Listener(application, bind(Address("127.0.0.1", 0)))
        serving = asyncio.create_task(serve([listener]))
        site = Site(application, listener)
        peer = await site.connect()
        await peer.get("/hold")
        await site.until(lambda: application.held == 1)
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(serving, TIMEOUT_SECONDS)
        assert (await peer.rest()).startswith(b"HTTP/1.1 500 ")
        peer.writer.close()

    asyncio.run(run())
    assert not [record for record in caplog.records if record.exc_info]


def test_connections_of_the_last_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that arrive together with the signal are closed like the others."""

    async def main_loop(running: uvicorn.Server) -> None:
        # uvicorn looks every 0.1 s; this looks in the very iteration in which they are accepted.
        while not running.should_exit:  # noqa: ASYNC110 # it has no event
            await asyncio.sleep(0)

    monkeypatch.setattr(uvicorn.Server, "main_loop", main_loop)

    async def run() -> None:
        application = Application()
        listener = Listener(application, bind(Address("127.0.0.1", 0)))
        serving = asyncio.create_task(serve([listener]))
        site = Site(application, listener)
        kept = await site.connect()
        await kept.get("/")
        assert await kept.response() == (200, b"/\n")
        # While this waits for the kernel, the server's loop does not run.
        late = [socket.create_connection(site.address) for _ in range(30)]
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(serving, protocol.HEAD_DEADLINE_SECONDS - 1)
        for connection in late:
            connection.close()
        kept.writer.close()

    for _ in range(5):
        asyncio.run(run())

"""The server on real sockets, with slow, silent and misbehaving clients."""

import asyncio
import contextlib
import gc
import itertools
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import time

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import h11
import pytest
import uvicorn

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from rk_exporter.config.parsers import Address
from rk_exporter.web import protocol as guarded
from rk_exporter.web import server
from rk_exporter.web.protocol import LimitedH11Protocol
from rk_exporter.web.server import AddressError, Listener, bind, serve


# Much longer than any test takes on the slowest machine.
TIMEOUT_SECONDS = 20.0
SHORT_SECONDS = 0.2
MAX_CONNECTIONS = 40 + server.SPARE_CONNECTIONS
DRIP_EVERY_SECONDS = 0.01
SLICE = bytes(64 * 1024)
LARGE_BYTES = 256 << 20

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(slots=True)
class Application:
    """An application that answers immediately, on demand, with a long body, or never ends."""

    held: int = 0
    sent_bytes: int = 0
    finished: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        path: str = scope["path"]
        if path.startswith("/hold"):
            self.held += 1
            await self.release.wait()
        if path.startswith("/large"):
            await self._large(int(path.rpartition("/")[2]), send)
        else:
            body = b"x" * int(path[6:]) if path.startswith("/blob/") else f"{path}\n".encode()
            await send(_start(len(body)))
            await send(_body(body, more=False))
        self.finished += 1

    async def _large(self, length: int, send: Send) -> None:
        await send(_start(length))
        for begin in range(0, length, len(SLICE)):
            piece = SLICE[: length - begin]
            await send(_body(piece, more=begin + len(piece) < length))
            self.sent_bytes += len(piece)


def _start(length: int) -> Message:
    headers = [(b"content-length", str(length).encode())]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _body(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


@dataclass(slots=True)
class Peer:
    """A client, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send *data*, unless the connection is gone."""
        with contextlib.suppress(OSError):
            self.writer.write(data)
            await self.writer.drain()

    async def get(self, path: str, *headers: str) -> None:
        """Send a request."""
        await self.send(request(path, *headers))

    async def response(self) -> tuple[int, bytes]:
        """Return the status and the body of a response."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status = int(head.split(" ")[1])
            (length,) = (
                int(line.partition(":")[2])
                for line in head.lower().split("\r\n")
                if line.startswith("content-length:")
            )
            return status, await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """Return everything that arrives until the server closes the connection."""
        received = bytearray()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(1 << 20):
                    received += data
        return bytes(received)

    async def drip(self, data: bytes) -> int:
        """Send *data* byte by byte until the server closes; return the number of bytes sent."""
        end = asyncio.ensure_future(self.rest())
        sent = 0
        for number in data:
            await self.send(bytes([number]))
            sent += 1
            await asyncio.wait({end}, timeout=DRIP_EVERY_SECONDS)
            if end.done():
                break
        await end
        return sent

    def reset(self) -> None:
        """Reset the connection."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def request(path: str, *headers: str) -> bytes:
    """Return a request's bytes."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


@dataclass(slots=True)
class Site:
    """A running server, and connections to it."""

    application: Application
    listener: Listener
    peers: list[Peer] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        """Return the server's address."""
        host, port = self.listener.socket.getsockname()[:2]
        return host, port

    async def connect(self, *, receive_buffer_bytes: int | None = None) -> Peer:
        """Return a new connection."""
        raw = socket.socket()
        if receive_buffer_bytes:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        raw.setblocking(False)  # noqa: FBT003 # the standard library's signature
        await asyncio.get_running_loop().sock_connect(raw, self.address)
        return await self.adopt(raw)

    async def adopt(self, raw: socket.socket) -> Peer:
        """Return a client on a connected socket."""
        peer = Peer(*await asyncio.open_connection(sock=raw, limit=1 << 12))
        self.peers.append(peer)
        return peer

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not condition():  # noqa: ASYNC110 # some conditions have no event
                await asyncio.sleep(DRIP_EVERY_SECONDS)

    async def until_head_deadline(self) -> None:
        """Wait until the server closes a new, silent connection."""
        silent = await self.connect()
        assert await silent.rest() == b""


def with_site(
    test: Callable[[Site], Awaitable[None]],
    *,
    send_buffer_bytes: int | None = None,
    max_requests: int = 40,
    date_header: bool = True,
) -> None:
    """Run *test* on a new server, which a signal stops as in production."""

    async def run() -> None:
        application = Application()
        listening = bind(Address("127.0.0.1", 0))
        listener = Listener(application, listening, max_requests, date_header=date_header)
        if send_buffer_bytes:
            # Each connection inherits this setting.
            listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        serving = asyncio.create_task(serve([listener]))
        # The server handles signals from its first step on.
        await asyncio.sleep(0)
        site = Site(application, listener)
        try:
            await test(site)
        finally:
            application.release.set()
            for peer in site.peers:
                peer.writer.close()
            signal.raise_signal(signal.SIGTERM)
            await asyncio.wait_for(serving, TIMEOUT_SECONDS)
            for peer in site.peers:
                with contextlib.suppress(OSError):
                    await peer.writer.wait_closed()

    asyncio.run(run())


@pytest.fixture
def short_head_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the deadline for a request's head."""
    monkeypatch.setattr(guarded, "HEAD_DEADLINE_SECONDS", SHORT_SECONDS)


@pytest.fixture
def short_response_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the deadline for reading a response."""
    monkeypatch.setattr(guarded, "RESPONSE_DEADLINE_SECONDS", SHORT_SECONDS)


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


def test_connection_is_closed_where_asked() -> None:
    """With `Connection: close` the response is complete and the connection closes."""

    async def test(site: Site) -> None:
        peer = await site.connect(receive_buffer_bytes=4096)
        await peer.get("/blob/500000", "Connection: close")
        assert await peer.response() == (200, b"x" * 500_000)
        assert await peer.rest() == b""

    with_site(test, send_buffer_bytes=4096)


# Deadlines.


@pytest.mark.usefixtures("short_head_deadline")
def test_silent_connection_is_cut() -> None:
    """A connection on which nothing is sent is closed."""

    async def test(site: Site) -> None:
        silent = [await site.connect() for _ in range(10)]
        assert [await peer.rest() for peer in silent] == [b""] * 10

    with_site(test)


@pytest.mark.usefixtures("short_head_deadline")
@pytest.mark.parametrize("first", ["", "/first"], ids=["at first", "on a kept connection"])
def test_dripped_head_is_cut(first: str) -> None:
    """A head must be complete at its deadline, however steadily its bytes arrive."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        if first:
            await peer.get(first)
            await peer.response()
        head = request("/", f"X-Long: {'x' * 5000}")
        assert await peer.drip(head) < len(head) / 2

    with_site(test)


@pytest.mark.usefixtures("short_head_deadline")
def test_dripped_body_is_cut() -> None:
    """The rest of a request that is already answered has the same deadline."""

    async def test(site: Site) -> None:
        peer = await site.connect()
        await peer.get("/", "Content-Length: 5000")
        assert await peer.response() == (200, b"/\n")
        assert await peer.drip(bytes(5000)) < 2500

    with_site(test)


@pytest.mark.usefixtures("short_head_deadline")
def test_head_begun_behind_a_request_is_cut() -> None:
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
def test_kept_connection_outlives_the_head_deadline() -> None:
    """A connection may be idle longer between requests than within one."""

    async def test(site: Site) -> None:
        peers = await kept_connections(site)
        await site.until_head_deadline()
        for peer in peers:
            await peer.get("/second")
            assert await peer.response() == (200, b"/second\n")

    with_site(test)


def test_kept_connection_is_cut_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept-alive connection without another request is closed."""
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", SHORT_SECONDS)

    async def test(site: Site) -> None:
        assert [await peer.rest() for peer in await kept_connections(site)] == [b"", b""]

    with_site(test)


@pytest.mark.usefixtures("short_head_deadline", "short_response_deadline")
def test_slow_application_is_not_cut() -> None:
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


@pytest.mark.usefixtures("short_response_deadline")
def test_response_that_is_read_slowly() -> None:
    """A client that reads too slowly is disconnected, even if the application has finished."""

    async def read_slowly(site: Site, path: str, connection: str) -> int:
        peer = await site.connect(receive_buffer_bytes=4096)
        await peer.get(path, f"Connection: {connection}")
        received = 0
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with contextlib.suppress(ConnectionError):
                while data := await peer.reader.read(1000):
                    received += len(data)
                    await asyncio.sleep(DRIP_EVERY_SECONDS)
        return received

    async def test(site: Site) -> None:
        ways = itertools.product(
            [f"/large/{LARGE_BYTES}", "/blob/4000000"], ["keep-alive", "close"]
        )
        received = await asyncio.gather(*(read_slowly(site, *way) for way in ways))
        assert 0 < min(received)
        assert max(received) < 3_000_000
        await site.until(lambda: site.application.finished == 4)

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


def test_cap_holds_in_a_rush() -> None:
    """Connections that arrive in the same moment each need room."""
    count = MAX_CONNECTIONS // 2

    async def test(site: Site) -> None:
        old = [await site.connect() for _ in range(MAX_CONNECTIONS)]
        # While this waits for the kernel, the server's loop does not run.
        rush = [socket.create_connection(site.address) for _ in range(count)]
        new = [await site.adopt(connection) for connection in rush]
        assert [await peer.rest() for peer in old[:count]] == [b""] * count
        for peer in (*old[count:], *new):
            await peer.get("/")
            assert await peer.response() == (200, b"/\n")

    with_site(test)


def test_request_in_flight_is_never_cut() -> None:
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


def test_response_in_flight_is_never_cut() -> None:
    """A response that is being read is never dropped to make room, nor are its last bytes."""

    async def test(site: Site) -> None:
        busy = await site.connect(receive_buffer_bytes=4096)
        await busy.get("/blob/1000000")
        await site.until(lambda: site.application.finished == 1)
        idle = [await site.connect() for _ in range(2 * MAX_CONNECTIONS)]
        assert await idle[MAX_CONNECTIONS].rest() == b""
        assert await busy.response() == (200, b"x" * 1_000_000)

    with_site(test, send_buffer_bytes=4096)


def test_cap_follows_the_requests() -> None:
    """An application that answers many requests in parallel gets enough connections."""

    async def test(site: Site) -> None:
        busy = [await site.connect() for _ in range(150)]
        for peer in busy:
            await peer.get("/hold")
        await site.until(lambda: site.application.held == 150)
        site.application.release.set()
        assert [await peer.response() for peer in busy] == [(200, b"/hold\n")] * 150

    with_site(test, max_requests=150)


def test_refusal_where_all_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
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


# Signals, in a separate process.


@contextlib.contextmanager
def simulation(*options: str) -> Iterator[tuple["subprocess.Popen[str]", tuple[str, int]]]:
    """Run `rk-exporter simulate`; yield the program and its address."""
    command = [sys.executable, "-m", "rk_exporter", "simulate", *options]
    command += ["--web.listen-address", "127.0.0.1:0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as program:
        try:
            assert program.stdout is not None
            line = program.stdout.readline()
            address = line.partition("http://")[2].partition("/")[0]
            host, _, port = address.partition(":")
            yield program, (host, int(port))
        finally:
            program.kill()


def ended(program: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return the exit code and the standard error of a program that ends."""
    _, said = program.communicate(timeout=TIMEOUT_SECONDS)
    return program.returncode, said


def in_flight(address: tuple[str, int]) -> socket.socket:
    """Return a connection whose request the server has received."""
    connection = socket.create_connection(address, timeout=TIMEOUT_SECONDS)
    connection.sendall(request("/client/v4/accounts/a/realtime/kit/b/recordings"))
    # A later one would have been refused.
    with socket.create_connection(address, timeout=TIMEOUT_SECONDS) as later:
        later.sendall(b"garbage\r\n\r\n")
        assert later.recv(100).startswith(b"HTTP/1.1 400")
    return connection


def test_simulator_tells_its_own_time() -> None:
    """Each response of the simulated API has exactly one Date header."""
    with (
        simulation() as (_, address),
        socket.create_connection(address, timeout=TIMEOUT_SECONDS) as connection,
    ):
        path = "/client/v4/accounts/a/realtime/kit/b/recordings"
        connection.sendall(request(path, "Connection: close"))
        with connection.makefile("rb") as file:
            head = file.read().lower().partition(b"\r\n\r\n")[0]
        assert head.count(b"\r\ndate: ") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_program(number: signal.Signals) -> None:
    """A signal ends the program quickly with exit code 0, whoever is connected."""
    with (
        simulation() as (program, address),
        socket.create_connection(address, timeout=TIMEOUT_SECONDS) as kept,
        socket.create_connection(address, timeout=TIMEOUT_SECONDS) as begun,
    ):
        kept.sendall(request("/"))
        assert kept.recv(100).startswith(b"HTTP/1.1 ")
        begun.sendall(request("/")[:10])
        program.send_signal(number)
        begin = time.monotonic()
        assert ended(program) == (0, "")
        assert time.monotonic() - begin < server.GRACE_SECONDS - 1


def test_signal_lets_a_response_end() -> None:
    """A request that is running when the signal arrives gets its complete response."""
    with simulation("--latency", "1") as (program, address), in_flight(address) as connection:
        program.send_signal(signal.SIGTERM)
        with connection.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 ")
        assert body.endswith(b"}")
        assert ended(program) == (0, "")


def test_second_signal_ends_at_once() -> None:
    """A second signal does not wait for responses."""
    with simulation("--latency", "60") as (program, address), in_flight(address) as connection:
        begin = time.monotonic()
        program.send_signal(signal.SIGTERM)
        # The server closes idle connections first, so it has received the signal.
        with contextlib.suppress(OSError), socket.create_connection(address) as other:
            other.settimeout(TIMEOUT_SECONDS)
            other.recv(1)
        program.send_signal(signal.SIGTERM)
        assert connection.recv(1) == b""
        assert ended(program) == (0, "")
        assert time.monotonic() - begin < server.GRACE_SECONDS - 1


# Addresses.


def has_ipv6() -> bool:
    """Return whether this machine has an IPv6 loopback."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def reach(listening: socket.socket, host: str) -> None:
    """Connect to the socket at *host*."""
    port = listening.getsockname()[1]
    socket.create_connection((host, port), timeout=TIMEOUT_SECONDS).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_bind_ipv4(host: str) -> None:
    """The server listens on an IPv4 host, and the URL reaches it."""
    with bind(Address(host, 0)) as listening:
        port = listening.getsockname()[1]
        assert Listener(Application(), listening).url == f"http://127.0.0.1:{port}"
        reach(listening, "127.0.0.1")


@needs_ipv6
def test_bind_ipv6() -> None:
    """The server listens on an IPv6 host, and the URL reaches it."""
    with bind(Address("::1", 0)) as listening:
        port = listening.getsockname()[1]
        assert Listener(Application(), listening).url == f"http://[::1]:{port}"
        reach(listening, "::1")


@needs_ipv6
@pytest.mark.parametrize("host", ["", "::"])
def test_bind_both(host: str) -> None:
    """The empty host and `::` accept both protocols."""
    with bind(Address(host, 0)) as listening:
        port = listening.getsockname()[1]
        assert Listener(Application(), listening).url == f"http://127.0.0.1:{port}"
        reach(listening, "127.0.0.1")
        reach(listening, "::1")


def test_bind_every_ipv4_address() -> None:
    """A server on 0.0.0.0 can be reached at the loopback."""
    with bind(Address("0.0.0.0", 0)) as listening:  # noqa: S104 # the address under test
        port = listening.getsockname()[1]
        assert Listener(Application(), listening).url == f"http://127.0.0.1:{port}"
        reach(listening, "127.0.0.1")


def test_port_in_use() -> None:
    """A port in use gives one line of error."""
    with bind(Address("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressError) as caught:
            bind(Address("127.0.0.1", port))
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


@needs_ipv6
def test_port_in_use_ipv6() -> None:
    """An error shows an IPv6 address in brackets."""
    with bind(Address("::1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressError) as caught:
            bind(Address("::1", port))
    assert str(caught.value) == f"cannot listen on [::1]:{port}: Address already in use"


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b", f"{'a' * 64}.example", "1:2:3"])
def test_bad_address(host: str) -> None:
    """An invalid or foreign address gives one line of error."""
    with pytest.raises(AddressError) as caught:
        bind(Address(host, 10058))
    assert str(caught.value).startswith("cannot listen on ")
    assert "\n" not in str(caught.value)
    assert "while attempting" not in str(caught.value)


# The parts of uvicorn and h11 on which the server depends.


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        *(
            (H11Protocol, name)
            for name in (
                "connection_made",
                "connection_lost",
                "data_received",
                "pause_writing",
                "resume_writing",
                "on_response_complete",
                "send_400_response",
                "timeout_keep_alive_handler",
                "_unset_keepalive_if_required",
            )
        ),
        (uvicorn.Server, "serve"),
        (uvicorn.Server, "capture_signals"),
    ],
)
def test_method_exists(owner: type, name: str) -> None:
    """The installed uvicorn has the method that the server overrides or calls."""
    assert callable(vars(owner)[name])


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        *(
            (H11Protocol, name)
            for name in (
                "conn",
                "connections",
                "cycle",
                "flow",
                "loop",
                "timeout_keep_alive",
                "timeout_keep_alive_task",
                "transport",
            )
        ),
        *(
            (RequestResponseCycle, name)
            for name in ("disconnected", "response_complete", "response_started")
        ),
        (FlowControl, "write_paused"),
        (ServerState, "connections"),
        *((uvicorn.Server, name) for name in ("force_exit", "server_state", "should_exit")),
    ],
)
def test_attribute_exists(owner: type, name: str) -> None:
    """The installed uvicorn has the attribute that the server reads or sets."""
    assert name in owner.__init__.__code__.co_names  # type: ignore[misc] # of the class itself


def test_reasons_of_h11() -> None:
    """h11's errors report a head that is too large, and each status has a phrase."""
    assert h11.RemoteProtocolError("x", error_status_hint=431).error_status_hint == 431
    assert (STATUS_PHRASES[400], STATUS_PHRASES[431]) == (
        b"Bad Request",
        b"Request Header Fields Too Large",
    )
    assert {"IDLE", "SEND_RESPONSE"} <= set(dir(h11))
    assert h11.Connection(h11.SERVER).trailing_data == (b"", False)

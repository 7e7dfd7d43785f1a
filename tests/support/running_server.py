"""A running server for tests, its application, and clients that send byte by byte."""

import asyncio
import contextlib
import signal
import socket
import ssl
import struct

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from rk_exporter.config.parsers import Address
from rk_exporter.web import server
from rk_exporter.web.server import Listener, serve
from rk_exporter.web.sockets import bind
from rk_exporter.web.tls import ServerContext


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

    async def send_slowly(self, data: bytes) -> int:
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

    async def connect_tls(self, tls: ssl.SSLContext) -> Peer:
        """Return a new connection after its TLS handshake."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            streams = await asyncio.open_connection(
                *self.address, ssl=tls, server_hostname="localhost", limit=1 << 12
            )
        self.peers.append(Peer(*streams))
        return self.peers[-1]

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
    tls: Callable[[], ServerContext] | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Run *test* on a new server, which a signal stops as in production."""

    async def run() -> None:
        application = Application()
        listening = bind(Address("127.0.0.1", 0))
        listener = Listener(
            application,
            listening,
            lambda: max_requests,
            date_header=date_header,
            tls=tls,
            headers=lambda: headers or {},
        )
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

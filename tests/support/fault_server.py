"""A server on the loopback interface that answers with any bytes, or not at all."""

import asyncio
import contextlib
import socket
import ssl
import struct

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import trustme


# Far longer than any test takes on a slow machine.
TEST_TIMEOUT_SECONDS = 20.0
_DRIP_EVERY_SECONDS = 0.01
_TLS_SHUTDOWN_SECONDS = 0.1
_FLOOD_PIECE = bytes(64 * 1024)
ANY_PATH = "*"


@dataclass(frozen=True, slots=True)
class Request:
    """A received request; *connection* is the number of its connection."""

    connection: int
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Exchange:
    """The streams of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send *data*."""
        self.writer.write(data)
        await self.writer.drain()


# Returns whether the connection stays open for another request.
Behaviour = Callable[[Exchange], Awaitable[bool]]


def answer(
    status: int = 200, body: bytes = b'{"success":true,"data":null}', *headers: str
) -> Behaviour:
    """Send a complete answer."""
    return send(head(status, f"Content-Length: {len(body)}", *headers) + body)


def answer_twice(body: bytes, second: bytes) -> Behaviour:
    """Send a complete answer and a second complete answer at once, on the same connection."""
    first, more = (head(200, f"Content-Length: {len(part)}") + part for part in (body, second))
    return send(first + more)


def head(status: int, *headers: str) -> bytes:
    """Return the status line and the headers of a response."""
    lines = [f"HTTP/1.1 {status} Whatever", "Content-Type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def send(data: bytes) -> Behaviour:
    """Send *data*, and expect another request."""

    async def behave(exchange: Exchange) -> bool:
        await exchange.send(data)
        return True

    return behave


def close(data: bytes = b"") -> Behaviour:
    """Send *data* and close."""

    async def behave(exchange: Exchange) -> bool:
        await exchange.send(data)
        return False

    return behave


def reset(data: bytes = b"") -> Behaviour:
    """Send *data* and reset the connection."""

    async def behave(exchange: Exchange) -> bool:
        await exchange.send(data)
        connection: socket.socket = exchange.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        exchange.writer.transport.abort()
        return False

    return behave


def hang(data: bytes = b"") -> Behaviour:
    """Send *data*, then nothing until the client closes the connection."""

    async def behave(exchange: Exchange) -> bool:
        await exchange.send(data)
        await exchange.reader.read()
        return False

    return behave


def drip(data: bytes, *, head: bytes = b"") -> Behaviour:
    """Send *head*, then *data* byte by byte."""

    async def behave(exchange: Exchange) -> bool:
        await exchange.send(head)
        for number in data:
            await exchange.send(bytes([number]))
            await asyncio.sleep(_DRIP_EVERY_SECONDS)
        return True

    return behave


@dataclass(slots=True)
class Flood:
    """Sends *head*, then up to *most_bytes* until the client closes the connection."""

    head: bytes
    most_bytes: int
    sent_bytes: int = 0

    async def __call__(self, exchange: Exchange) -> bool:
        """Send until the client closes the connection."""
        await exchange.send(self.head)
        while self.sent_bytes < self.most_bytes:
            await exchange.send(_FLOOD_PIECE)
            self.sent_bytes += len(_FLOOD_PIECE)
        return False


@dataclass(slots=True)
class FaultServer:
    """
    The server: it has a list of behaviours per path, and repeats the last one.

    The last segment identifies a path, without its query; paths without a list of their own use
    that of ANY_PATH. A server with a *greeting* sends only that to each client.
    """

    greeting: bytes | None = None
    port: int = 0
    scheme: str = "http"
    connections: int = 0
    open_connections: int = 0
    requests: list[Request] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    """All connections so far; a test can send bytes between two requests."""
    _scripts: dict[str, list[Behaviour]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Return the URL of the server's root."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def script(self, path: str, *behaviours: Behaviour) -> None:
        """Set the *behaviours* for the next requests to *path*."""
        self._scripts[_name(path)] = list(behaviours)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* is true; it is checked whenever a connection changes."""
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    @contextlib.asynccontextmanager
    async def running(self, context: ssl.SSLContext | None = None) -> AsyncIterator["FaultServer"]:
        """Serve, with TLS if there is a *context*."""
        self.scheme = "https" if context else "http"
        handlers: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            handlers.add(task)
            with contextlib.suppress(asyncio.CancelledError):
                await self._handle(reader, writer)
            handlers.discard(task)

        # Clients that keep a connection do not answer a TLS shutdown.
        shutdown_timeout = _TLS_SHUTDOWN_SECONDS if context else None
        server = await asyncio.start_server(
            handle, "127.0.0.1", 0, ssl=context, ssl_shutdown_timeout=shutdown_timeout
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(handlers):
                task.cancel()
            if handlers:
                await asyncio.wait(handlers, timeout=TEST_TIMEOUT_SECONDS)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        number = self.connections
        self._changed.set()
        exchange = Exchange(reader, writer)
        self.exchanges.append(exchange)
        try:
            if self.greeting is not None:
                await hang(self.greeting)(exchange)
            while self.greeting is None:
                request = _parse(number, await reader.readuntil(b"\r\n\r\n"))
                self.requests.append(request)
                self._changed.set()
                if not await self._next_behaviour(request.path)(exchange):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client closed the connection
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self.open_connections -= 1
            self._changed.set()

    def _next_behaviour(self, path: str) -> Behaviour:
        name = _name(path)
        script = self._scripts[name if name in self._scripts else ANY_PATH]
        return script.pop(0) if len(script) > 1 else script[0]


def _name(path: str) -> str:
    return path.partition("?")[0].rpartition("/")[2]


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return a context for a server with *certificate*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _parse(connection: int, raw: bytes) -> Request:
    first, *lines = raw.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    method, path, _ = first.split(" ")
    return Request(connection, method, path, headers)

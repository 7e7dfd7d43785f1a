"""A small HTTP proxy on the loopback interface, which sends all connections to one server."""

import asyncio
import base64
import contextlib
import ssl

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from tests.support.fault_server import TEST_TIMEOUT_SECONDS


_TLS_SHUTDOWN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """A request to the proxy: a CONNECT, or one that it forwards."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Proxy:
    """
    The proxy. Whatever host a request names, it connects to one server on the loopback interface.

    With *credentials* (`user:password`) it answers 407 to requests without them. A *refusal* is
    its answer to all requests; if that is empty, it never answers.
    """

    credentials: str | None = None
    refusal: bytes | None = None
    requests: list[ProxyRequest] = field(default_factory=list)
    address: str = ""
    """Host and port of the proxy itself."""
    open_connections: int = 0
    _upstream_port: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_idle(self) -> None:
        """Wait until all connections are closed."""
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            while self.open_connections:
                self._changed.clear()
                await self._changed.wait()

    @contextlib.asynccontextmanager
    async def running(
        self, upstream_port: int, context: ssl.SSLContext | None = None
    ) -> AsyncIterator["Proxy"]:
        """Serve, with TLS if there is a *context*."""
        self._upstream_port = upstream_port
        handlers: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            handlers.add(task)
            self.open_connections += 1
            try:
                with contextlib.suppress(
                    OSError, asyncio.IncompleteReadError, asyncio.CancelledError
                ):
                    await self._handle(reader, writer)
            finally:
                await _close(writer)
                self.open_connections -= 1
                self._changed.set()
                handlers.discard(task)

        shutdown_timeout = _TLS_SHUTDOWN_SECONDS if context else None
        server = await asyncio.start_server(
            handle, "127.0.0.1", 0, ssl=context, ssl_shutdown_timeout=shutdown_timeout
        )
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in list(handlers):
                task.cancel()
            if handlers:
                await asyncio.wait(handlers)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        self.requests.append(ProxyRequest(method, target, headers))
        refusal = self._refusal(headers)
        if refusal is not None:
            writer.write(refusal)
            await reader.read()
            return
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            upstream.write(raw)
        copying = asyncio.ensure_future(_copy(reader, upstream))
        try:
            await _copy(upstream_reader, writer)
        finally:
            copying.cancel()
            await _close(upstream)

    def _refusal(self, headers: Mapping[str, str]) -> bytes | None:
        if self.refusal is not None or self.credentials is None:
            return self.refusal
        expected = base64.b64encode(self.credentials.encode()).decode()
        if headers.get("proxy-authorization") == f"Basic {expected}":
            return None
        return (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n"
            b'Proxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
        )


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    # The end of one direction ends the tunnel.
    writer.close()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()

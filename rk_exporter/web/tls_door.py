"""
What happens on a connection before its TLS handshake is complete.

asyncio's own TLS server has one context for all connections, does not count those in a handshake,
and says nothing to a client that speaks HTTP without TLS.
"""

import asyncio
import socket

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from rk_exporter.web.tls import ServerContext


HANDSHAKE_SECONDS = 5.0
# For the last bytes in both directions, after one side has closed the connection.
SHUTDOWN_SECONDS = 2.0
_HANDSHAKE_RECORD = b"\x16"
_DRAINED_BYTES = 64 * 1024
_NOT_TLS = b"this port speaks TLS; use https://\n"
MakeProtocol = Callable[..., asyncio.Protocol]


class TlsDoor:
    """
    Lets connections in after their TLS handshake, at most *max_waiting* at a time.

    If more arrive, the oldest that is still in its handshake is closed, so clients that send
    nothing never keep others out. Each connection gets the *context* of its time.
    """

    def __init__(
        self,
        context: Callable[[], ServerContext],
        *,
        headers: Callable[[], Mapping[str, str]],
        max_waiting: int,
    ) -> None:
        self._context = context
        self._headers = headers
        self._max_waiting = max_waiting
        # In the order of their arrival.
        self._waiting: dict[asyncio.Task[None], None] = {}

    def protocol(self, make_protocol: MakeProtocol) -> Callable[..., asyncio.Protocol]:
        """Return a factory for what *make_protocol* makes, behind TLS."""
        return lambda **arguments: _Arrival(self, lambda: make_protocol(**arguments))

    def close(self) -> None:
        """Close all connections that are in their handshake."""
        for task in self._waiting:
            task.cancel()

    def admit(self, raw: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        """Start the handshake on a new connection."""
        if len(self._waiting) >= self._max_waiting:
            oldest = next(iter(self._waiting))
            oldest.cancel()
            # Many connections may arrive before it ends.
            del self._waiting[oldest]
        task = asyncio.get_running_loop().create_task(self._welcome(raw, make_protocol))
        self._waiting[task] = None
        task.add_done_callback(lambda done: self._waiting.pop(done, None))

    async def _welcome(
        self, raw: socket.socket, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        is_taken = False
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                first = await _first_byte(raw)
                if first == _HANDSHAKE_RECORD:
                    is_taken = True
                    await asyncio.get_running_loop().connect_accepted_socket(
                        make_protocol,
                        raw,
                        ssl=self._context(),
                        ssl_handshake_timeout=HANDSHAKE_SECONDS,
                        ssl_shutdown_timeout=SHUTDOWN_SECONDS,
                    )
                elif first:
                    await _explain(raw, self._headers())
        except OSError:
            # The client is gone, too slow, or has got an alert; anyone can cause that.
            pass
        finally:
            if not is_taken:
                raw.close()


class _Arrival(asyncio.Protocol):
    """A new connection, before its first byte."""

    def __init__(self, door: TlsDoor, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        self._door = door
        self._make_protocol = make_protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the door the socket, before the transport reads what belongs to TLS."""
        shared: Any = transport.get_extra_info("socket")
        with suppress(OSError):
            # The connection stays open until the copy is closed too.
            raw = shared.dup()
            raw.setblocking(False)  # noqa: FBT003 # the standard library's signature
            self._door.admit(raw, self._make_protocol)
        transport.abort()  # type: ignore[attr-defined] # a socket's transport has it


async def _first_byte(raw: socket.socket) -> bytes:
    """Wait for the first byte, and leave it where it is."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()

    def wake() -> None:
        # The wait may have been cancelled in this iteration of the loop.
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(raw, wake)
    try:
        await readable
    finally:
        loop.remove_reader(raw)
    return raw.recv(1, socket.MSG_PEEK)


async def _explain(raw: socket.socket, headers: Mapping[str, str]) -> None:
    """Answer a client that speaks HTTP without TLS, as Go's server does."""
    loop = asyncio.get_running_loop()
    lines = [
        "HTTP/1.1 400 Bad Request",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(_NOT_TLS)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    await loop.sock_sendall(raw, "\r\n".join([*lines, "", ""]).encode() + _NOT_TLS)
    raw.shutdown(socket.SHUT_WR)
    # If something is unread when the socket is closed, the client may lose the answer.
    while await loop.sock_recv(raw, _DRAINED_BYTES):
        pass

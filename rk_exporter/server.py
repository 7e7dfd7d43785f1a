"""
uvicorn with the deadlines and caps that it lacks: one slow or silent client costs no other.

uvicorn has no limit on how long a request's head may take to arrive, nor a response to be
fetched, and no cap on connections that holds before a request is complete.
"""

import asyncio
import contextlib
import signal
import socket
import sys

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import uvicorn

from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle

from rk_exporter.option_values import Address


AsgiApplication = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]

HEAD_DEADLINE_SECONDS = 5.0
RESPONSE_DEADLINE_SECONDS = 30.0
MAX_CONNECTIONS = 64
# Prometheus keeps its connection between scrapes.
KEEP_ALIVE_SECONDS = 120
GRACE_SECONDS = 10
_LARGEST_HEAD_BYTES = 16 * 1024
_BACKLOG = 64
_HEADER_FIELDS_TOO_LARGE = 431
_ANY_HOST = frozenset({"::", "0.0.0.0"})  # noqa: S104 # recognised, not bound


class AddressError(Exception):
    """An address that cannot be listened on."""


class GuardedProtocol(H11Protocol):
    """
    One connection, with deadlines.

    The head of a request has to arrive within 5 s of its first byte, or of the connection being
    made; a response that its client does not fetch is given up after 30 s. Beyond 64
    connections the one that has waited longest without a request makes room.
    """

    _head_deadline: asyncio.TimerHandle | None = None
    _response_deadline: asyncio.TimerHandle | None = None
    quiet_since = 0.0

    @property
    def is_answering(self) -> bool:
        """Tell whether a whole request has come and its response has not all gone."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Make room for the connection, and expect a request."""
        self.quiet_since = self.loop.time()
        if len(self.connections) >= MAX_CONNECTIONS and not self._make_room():
            transport.abort()
            return
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        super().data_received(data)
        if self.is_answering:
            self._stop_expecting_head()
        else:
            self._expect_head()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.quiet_since = self.loop.time()
        self._stop_waiting_for_reader()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Give the client so long to fetch the response."""
        super().pause_writing()
        if self._response_deadline is None:
            self._response_deadline = self.loop.call_later(
                RESPONSE_DEADLINE_SECONDS, self.transport.abort
            )

    def timeout_keep_alive_handler(self) -> None:
        """Drop the connection, with what its client did not fetch."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all clocks."""
        self._stop_expecting_head()
        self._stop_waiting_for_reader()
        # Refused connections were never made.
        if self.transport is not None:
            super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request: with 431 where its head is too large."""
        error = sys.exc_info()[1]
        if getattr(error, "error_status_hint", None) != _HEADER_FIELDS_TOO_LARGE:
            super().send_400_response(f"{msg}\n")
            return
        phrase = STATUS_PHRASES[_HEADER_FIELDS_TOO_LARGE]
        body = b"the request's head is too large\n"
        self.transport.write(
            b"HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (_HEADER_FIELDS_TOO_LARGE, phrase, len(body), body)
        )
        self.transport.close()

    def _make_room(self) -> bool:
        quiet = [
            each
            for each in self.connections
            if isinstance(each, GuardedProtocol) and not each.is_answering
        ]
        if not quiet:
            return False
        min(quiet, key=lambda each: each.quiet_since).transport.abort()
        return True

    def _expect_head(self) -> None:
        if self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_DEADLINE_SECONDS, self._give_up_head)

    def _give_up_head(self) -> None:
        self.transport.abort()

    def _stop_expecting_head(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _stop_waiting_for_reader(self) -> None:
        if self._response_deadline is not None:
            self._response_deadline.cancel()
            self._response_deadline = None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to *serve*: uvicorn raises them again at the end, and dies of them."""
        yield


def bind(address: Address) -> socket.socket:
    """
    Return a socket that listens on *address*.

    Raises AddressError.
    """
    host, port = address.host, address.port
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # The standard library adds "(while attempting to bind on address …)".
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise AddressError(f"cannot listen on {host}:{port}: {reason}") from error


@dataclass(frozen=True, slots=True)
class Listener:
    """An application and the socket that it is served on."""

    application: AsgiApplication
    socket: socket.socket

    @property
    def url(self) -> str:
        """Return the URL to reach it by on this machine."""
        host, port = self.socket.getsockname()[:2]
        if host in _ANY_HOST:
            host = "127.0.0.1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(listeners: Iterable[Listener]) -> None:
    """
    Serve each application on its socket until SIGTERM or SIGINT.

    Responses that have begun get 10 s to end; a second signal ends them at once.
    """
    servers = [(_Server(_configuration(each.application)), each.socket) for each in listeners]

    def stop() -> None:
        for server, _ in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await asyncio.gather(*(server.serve(sockets=[each]) for server, each in servers))


def _configuration(application: AsgiApplication) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=GuardedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=_LARGEST_HEAD_BYTES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )

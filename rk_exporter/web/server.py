"""Serve applications with uvicorn until a signal arrives."""

import asyncio
import contextlib
import errno
import logging
import resource
import signal
import socket
import sys

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import uvicorn

from rk_exporter.config.parsers import Address
from rk_exporter.web.protocol import LimitedH11Protocol
from rk_exporter.web.tls import ServerContext
from rk_exporter.web.tls_door import TlsDoor


logger = logging.getLogger(__name__)
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
AsgiApplication = Callable[[_Message, _Receive, _Send], Awaitable[None]]
# For idle connections of Prometheus, probes and people, beyond the requests being answered.
SPARE_CONNECTIONS = 24
# Prometheus keeps its connection open between scrapes.
KEEP_ALIVE_SECONDS = 120
GRACE_SECONDS = 10
_LARGEST_HEAD_BYTES = 16 * 1024
_BACKLOG = 64
# asyncio tries again every second, and reports up to _BACKLOG errors each time.
_ACCEPT_LOG_SECONDS = 10.0
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class AddressError(Exception):
    """The server cannot listen on *address*."""

    def __init__(self, address: Address, reason: str) -> None:
        super().__init__(f"cannot listen on {address}: {reason}")
        self.address = address


class _Server(uvicorn.Server):
    def __init__(self, listener: "Listener", most_connections: int) -> None:
        self._door = listener.door(most_connections)
        super().__init__(_configuration(listener, most_connections, self._door))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections, few at a time but with many waiting."""
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(_BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the connections that are in their TLS handshake, then the others."""
        if self._door:
            self._door.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to *serve*, because uvicorn raises them again at the end."""
        yield


def bind(address: Address) -> socket.socket:
    """
    Return a socket that listens on *address*.

    Raises AddressError.
    """
    host, port = address.host, address.port
    dual_stack = (not host or ":" in host) and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if ":" in host or dual_stack else socket.AF_INET
    try:
        listening = socket.create_server(
            (host, port), family=family, dualstack_ipv6=dual_stack, backlog=_BACKLOG
        )
    except OSError as error:
        # The standard library appends "(while attempting to bind on address …)".
        reason = (error.strerror or str(error)).partition(" (while")[0]
    except UnicodeError:
        reason = "invalid host name"
    else:
        # asyncio does not set this for the connections of a socket that it did not make. With
        # Nagle's algorithm a response in two pieces takes 40 ms longer.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    raise AddressError(address, reason)


@dataclass(frozen=True, slots=True)
class Listener:
    """An application and the socket on which it is served."""

    application: AsgiApplication
    socket: socket.socket
    max_requests: int = 40
    """How many requests the application answers in parallel; limits the connections too."""
    date_header: bool = True
    """Whether the server adds a Date header; the simulated API sends its own."""
    tls: Callable[[], ServerContext] | None = None
    """Returns TLS for a new connection; without it, the server speaks HTTP without TLS."""
    headers: Callable[[], Mapping[str, str]] = dict
    """Returns headers for the responses that the application does not see."""

    @property
    def address(self) -> Address:
        """Return the address of the socket."""
        return Address(*self.socket.getsockname()[:2])

    @property
    def url(self) -> str:
        """Return the URL of the application on this machine."""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{self.address.reachable}"

    def door(self, most_connections: int) -> TlsDoor | None:
        """Return what lets connections in if the server speaks TLS."""
        if self.tls is None:
            return None
        return TlsDoor(
            self.tls,
            headers=self.headers,
            max_waiting=min(self.max_requests + SPARE_CONNECTIONS, most_connections),
        )


async def serve(listeners: Iterable[Listener]) -> None:
    """
    Serve each application on its socket until SIGTERM or SIGINT.

    Running responses get 10 s to finish; a second signal aborts them.
    """
    listeners = list(listeners)
    most = _most_connections(len(listeners))
    servers = [(_Server(listener, most), listener.socket) for listener in listeners]

    def stop() -> None:
        for server, _ in servers:
            server.force_exit = server.should_exit
            server.should_exit = True
            if server.force_exit:
                # Since Python 3.12, uvicorn would wait for them.
                for connection in server.server_state.connections:
                    connection.transport.abort()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_AcceptErrors())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await asyncio.gather(*(server.serve(sockets=[listening]) for server, listening in servers))
    # The rest of the shutdown needs no grace: a signal now ends the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


def _most_connections(listeners: int) -> int:
    """
    Return how many connections each of the *listeners* may have.

    They use a quarter of the open files that the process may have. As many new ones may arrive
    before the old ones are closed, and the rest is for calls to the API and for files.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_unlimited = limit == resource.RLIM_INFINITY
    return sys.maxsize if is_unlimited else max(1, limit // 4 // listeners)


class _AcceptErrors:
    """Logs that connections cannot be accepted, but not each time."""

    def __init__(self) -> None:
        self._logged_at = -_ACCEPT_LOG_SECONDS

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an error for which the loop has no other place."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES):
            loop.default_exception_handler(context)
        elif loop.time() - self._logged_at >= _ACCEPT_LOG_SECONDS:
            self._logged_at = loop.time()
            logger.warning("connections cannot be accepted: %s", error.strerror)


def _ending_quietly(application: AsgiApplication) -> AsgiApplication:
    """Wrap *application* so that uvicorn logs no traceback of requests that it cancels."""

    async def answer(scope: _Message, receive: _Receive, send: _Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await application(scope, receive, send)

    return answer


def _configuration(
    listener: Listener, most_connections: int, door: TlsDoor | None
) -> uvicorn.Config:
    class Protocol(LimitedH11Protocol):
        max_connections = min(listener.max_requests + SPARE_CONNECTIONS, most_connections)
        more_headers = staticmethod(listener.headers)

    return uvicorn.Config(
        _ending_quietly(listener.application),
        http=door.protocol(Protocol) if door else Protocol,  # type: ignore[arg-type] # it is only called
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=listener.date_header,
        backlog=min(_BACKLOG, most_connections),
        h11_max_incomplete_event_size=_LARGEST_HEAD_BYTES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )

"""Serve applications with uvicorn until a signal arrives."""

import asyncio
import contextlib
import errno
import logging
import resource
import signal
import socket
import sys

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import uvicorn

from rk_exporter.config.parsers import Address
from rk_exporter.runtime.systemd import ServiceManager
from rk_exporter.web.http import AsgiApplication, Receive, Scope, Send
from rk_exporter.web.protocol import LimitedH11Protocol
from rk_exporter.web.sockets import BACKLOG
from rk_exporter.web.tls import ServerContext
from rk_exporter.web.tls_door import TlsDoor


logger = logging.getLogger(__name__)
# For idle connections of Prometheus, probes and people, beyond the requests being answered.
SPARE_CONNECTIONS = 24
# Prometheus keeps its connection open between scrapes.
KEEP_ALIVE_SECONDS = 120
GRACE_SECONDS = 10
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# How many times the event loop turns from an accepted connection to its `connection_made`.
_ITERATIONS_TO_CONNECT = 3
_LARGEST_HEAD_BYTES = 16 * 1024
# asyncio tries again every second, and reports up to BACKLOG errors each time.
_ACCEPT_LOG_SECONDS = 10.0
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class _Server(uvicorn.Server):
    def __init__(self, listener: "Listener", most_connections: int) -> None:
        self._door = listener.door(most_connections)
        super().__init__(_configuration(listener, most_connections, self._door))
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections, few at a time but with many waiting."""
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(BACKLOG)
        self.listens.set()

    def stop(self) -> None:
        """Stop to accept connections and let responses end; abort them if called again."""
        self.force_exit = self.should_exit
        self.should_exit = True
        if self.listens.is_set():
            # uvicorn would accept connections until its next tick. `close` would be too early: a
            # connection that was just accepted would stay open, and nothing would ever serve it.
            loop = asyncio.get_running_loop()
            for listening in chain.from_iterable(server.sockets for server in self.servers):
                loop.remove_reader(listening)
        if self.force_exit:
            # Since Python 3.12, uvicorn would wait for them.
            for connection in self.server_state.connections:
                connection.transport.abort()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the connections that are in their TLS handshake, then the others."""
        # A connection that was accepted in the last moment is made a little later. Otherwise it
        # would stay open until the deadline for its request.
        for _ in range(_ITERATIONS_TO_CONNECT):
            await asyncio.sleep(0)
        if self._door:
            self._door.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to *serve*, because uvicorn raises them again at the end."""
        yield


@dataclass(frozen=True, slots=True)
class Listener:
    """An application and the socket on which it is served."""

    application: AsgiApplication
    socket: socket.socket
    max_requests: Callable[[], int] = lambda: 40
    """Returns how many requests the application answers in parallel; limits the connections too."""
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
            max_waiting=min(self.max_requests() + SPARE_CONNECTIONS, most_connections),
        )


async def serve(
    listeners: Iterable[Listener],
    *,
    service_manager: ServiceManager | None = None,
    signal_handlers: Mapping[signal.Signals, Callable[[], None]] | None = None,
) -> None:
    """
    Serve each application on its socket until SIGTERM or SIGINT.

    Running responses get 10 s to finish; a second signal aborts them. Other signals call their
    handler in *signal_handlers*. The *service_manager* learns when the servers listen and stop.
    """
    manager = service_manager or ServiceManager({}, pid=0)
    listeners = list(listeners)
    most = _most_connections(len(listeners))
    servers = [_Server(listener, most) for listener in listeners]
    stop = partial(_stop, servers, manager)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_AcceptErrors())
    # The end of the loop removes the handlers, so that a late signal does not interrupt what must
    # be done after this, e.g. saving the state.
    handlers: dict[signal.Signals, Callable[[], object]] = dict.fromkeys(STOP_SIGNALS, stop)
    for number, handle in {**(signal_handlers or {}), **handlers}.items():
        loop.add_signal_handler(number, handle)
        # Those of the start were held back.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    addresses = ", ".join(str(listener.address) for listener in listeners)
    reports = asyncio.create_task(_report(servers, manager, f"listening on {addresses}"))
    try:
        await asyncio.gather(
            *(
                server.serve(sockets=[listener.socket])
                for server, listener in zip(servers, listeners, strict=True)
            )
        )
    finally:
        reports.cancel()


def _stop(servers: Sequence[_Server], manager: ServiceManager) -> None:
    """Let the servers stop; abort their responses if they are stopping already."""
    if not any(server.should_exit for server in servers):
        logger.info("stopping", extra={"grace_seconds": GRACE_SECONDS})
        manager.stopping(f"finishing requests, for at most {GRACE_SECONDS} s")
    for server in servers:
        server.stop()


async def _report(servers: Iterable[_Server], manager: ServiceManager, status: str) -> None:
    """Report that all servers listen, and from then on that the event loop runs."""
    for server in servers:
        await server.listens.wait()
    if not any(server.should_exit for server in servers):
        manager.ready(status)
    await manager.keep_alive()


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

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await application(scope, receive, send)

    return answer


def _configuration(
    listener: Listener, most_connections: int, door: TlsDoor | None
) -> uvicorn.Config:
    class Protocol(LimitedH11Protocol):
        @property
        def max_connections(self) -> int:  # type: ignore[override] # a reload may change it
            """Return how many connections there may be now."""
            return min(listener.max_requests() + SPARE_CONNECTIONS, most_connections)

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
        backlog=min(BACKLOG, most_connections),
        h11_max_incomplete_event_size=_LARGEST_HEAD_BYTES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )

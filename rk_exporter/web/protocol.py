"""
uvicorn's HTTP connection with the deadlines and limits that it lacks.

uvicorn does not limit how long a client may take to send a request's head or to read a response,
and its limit on connections counts only complete requests. The overridden methods and attributes
are semi-private; a test names each of them.
"""

import asyncio
import logging
import sys

from collections.abc import Callable, Mapping

import h11

from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle

from rk_exporter.web.tls import ServerContext


logger = logging.getLogger(__name__)
HEAD_DEADLINE_SECONDS = 5.0
RESPONSE_DEADLINE_SECONDS = 30.0
_PIECE_BYTES = 1024
_BAD_REQUEST, _HEADER_FIELDS_TOO_LARGE = 400, 431


class LimitedH11Protocol(H11Protocol):
    """
    One connection with deadlines.

    The head of a request must arrive within 5 s of its first byte, or of the start of the
    connection. A response that the client does not read is aborted after 30 s. If there are more
    than *max_connections*, the one that has been idle longest is closed.
    """

    _head_deadline: asyncio.TimerHandle | None = None
    _response_deadline: asyncio.TimerHandle | None = None
    max_connections = 64
    more_headers: Callable[[], Mapping[str, str]] = staticmethod(dict)
    """Headers for the responses that the connection sends itself."""
    idle_since = 0.0
    _is_half_closed = False
    _has_tls = False

    @property
    def is_answering(self) -> bool:
        """Return whether a request has arrived whose response is not completely sent."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and (not cycle.response_complete or self.flow.write_paused)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Make room for the connection, and start to wait for a request."""
        self.idle_since = self.loop.time()
        context = transport.get_extra_info("sslcontext")
        self._has_tls = context is not None
        if isinstance(context, ServerContext):
            certificate = transport.get_extra_info("peercert")
            if not context.allows(certificate):
                logger.info("client certificate has none of the allowed names")
                transport.abort()
                return
        if len(self.connections) >= self.max_connections and not self._make_room():
            transport.abort()
            return
        super().connection_made(transport)
        # pause_writing must follow any byte that is not sent immediately, and resume_writing the
        # last one; otherwise the end of a response could stay here forever. With a limit of 0,
        # asyncio's TLS would pause even if there is nothing to send.
        transport.set_write_buffer_limits(high=1 if self._has_tls else 0, low=0)
        self._set_deadlines()

    def data_received(self, data: bytes) -> None:
        """Parse the *data* that has arrived."""
        # In pieces, because h11 checks the size of a head only while it is incomplete.
        for begin in range(0, len(data), _PIECE_BYTES):
            if not self.transport.is_closing():
                super().data_received(data[begin : begin + _PIECE_BYTES])
        self._set_deadlines()

    def eof_received(self) -> bool:  # type: ignore[override] # as asyncio's
        """
        Keep the connection open for a response: a client may close its side after a request.

        If it does so within a request, nobody waits for the rest (RFC 9112, 6.3 and 8). With TLS
        the connection cannot stay open in asyncio.
        """
        if self._has_tls or self.conn.their_state is h11.SEND_BODY:
            return False
        self._is_half_closed = True
        return not self._has_written_all

    def on_response_complete(self) -> None:
        """Wait for the next request, unless the client has announced that there is none."""
        self.idle_since = self.loop.time()
        if not self.flow.write_paused:
            self._stop_waiting_for_reader()
        super().on_response_complete()
        if self._is_half_closed and self._has_written_all:
            self.transport.close()
        self._set_deadlines()

    def pause_writing(self) -> None:
        """Start the deadline for the client to read the response."""
        super().pause_writing()
        if self._response_deadline is None:
            self._response_deadline = self.loop.call_later(
                RESPONSE_DEADLINE_SECONDS, self.transport.abort
            )

    def resume_writing(self) -> None:
        """Continue the response, or wait for the next request if this was its end."""
        super().resume_writing()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self._stop_waiting_for_reader()
        self._set_deadlines()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection and drop what the client did not read."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all deadlines."""
        self._stop_expecting_head()
        self._stop_waiting_for_reader()
        # If the connection was reset, uvicorn lets this timer run, and it holds all of this.
        self._unset_keepalive_if_required()
        # A refused connection has no transport.
        if self.transport is not None:
            super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request with 400, or with 431 if its head is too large."""
        status = _BAD_REQUEST
        if getattr(sys.exc_info()[1], "error_status_hint", None) == _HEADER_FIELDS_TOO_LARGE:
            status, msg = _HEADER_FIELDS_TOO_LARGE, "The request's head is too large."
        # The body of a request may be malformed after its response has begun: then it is too late.
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            more = "".join(f"{name}: {value}\r\n" for name, value in self.more_headers().items())
            self.transport.write(
                b"HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                b"Content-Length: %d\r\nConnection: close\r\n%s\r\n%s\n"
                % (status, STATUS_PHRASES[status], len(msg) + 1, more.encode(), msg.encode())
            )
        if self.cycle is not None:
            self.cycle.disconnected = True
        self.transport.close()

    @property
    def _has_written_all(self) -> bool:
        """Return whether no request waits for its response; the client may still be reading it."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _make_room(self) -> bool:
        idle = [
            connection
            for connection in self.connections
            if isinstance(connection, LimitedH11Protocol) and not connection.is_answering
        ]
        if not idle:
            return False
        longest = min(idle, key=lambda connection: connection.idle_since)
        longest.transport.abort()
        # Many connections may be made before the loop calls connection_lost for this one.
        self.connections.discard(longest)
        return True

    def _set_deadlines(self) -> None:
        """Run the deadline that applies: short within a request's head, long between requests."""
        if self.is_answering:
            self._stop_expecting_head()
        elif self._is_between_requests:
            self._stop_expecting_head()
            # A body that ended after the response has cancelled it.
            if self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )
        elif self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_DEADLINE_SECONDS, self.transport.abort)

    @property
    def _is_between_requests(self) -> bool:
        """Return whether a request is finished and no byte of the next one has arrived."""
        cycle: RequestResponseCycle | None = self.cycle
        received, _ = self.conn.trailing_data
        return cycle is not None and self.conn.their_state is h11.IDLE and not received

    def _stop_expecting_head(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _stop_waiting_for_reader(self) -> None:
        if self._response_deadline is not None:
            self._response_deadline.cancel()
            self._response_deadline = None

"""
uvicorn's HTTP connection with the deadlines and caps that it lacks.

uvicorn has no limit on how long a request's head may take to arrive, nor a response to be
fetched, and no cap on connections that holds before a request is complete. What is overridden
here is semi-private; a test names each of the methods and attributes.
"""

import asyncio
import sys

from typing import Any

import h11
import uvicorn

from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState


HEAD_DEADLINE_SECONDS = 5.0
RESPONSE_DEADLINE_SECONDS = 30.0
_PIECE_BYTES = 1024
_BAD_REQUEST, _HEADER_FIELDS_TOO_LARGE = 400, 431


class LimitedH11Protocol(H11Protocol):
    """
    One connection, with deadlines.

    The head of a request has to arrive within 5 s of its first byte, or of the connection being
    made; a response that its client does not fetch is given up after 30 s. Beyond
    *max_connections* the one that has waited longest without a request makes room.
    """

    _head_deadline: asyncio.TimerHandle | None = None
    _response_deadline: asyncio.TimerHandle | None = None
    quiet_since = 0.0

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        max_connections: int,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._max_connections = max_connections

    @property
    def is_answering(self) -> bool:
        """Tell whether a request's head has come and its response has not all gone."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and (not cycle.response_complete or self.flow.write_paused)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Make room for the connection, and expect a request."""
        self.quiet_since = self.loop.time()
        if len(self.connections) >= self._max_connections and not self._make_room():
            transport.abort()
            return
        # pause_writing is to come for any byte that does not go at once, resume_writing after the
        # last: or else the end of a response could lie here for ever.
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        self._set_clocks()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        # In pieces: h11 measures a head only while it is incomplete.
        for begin in range(0, len(data), _PIECE_BYTES):
            if not self.transport.is_closing():
                super().data_received(data[begin : begin + _PIECE_BYTES])
        self._set_clocks()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.quiet_since = self.loop.time()
        if not self.flow.write_paused:
            self._stop_waiting_for_reader()
        super().on_response_complete()
        self._set_clocks()

    def pause_writing(self) -> None:
        """Give the client so long to fetch the response."""
        super().pause_writing()
        if self._response_deadline is None:
            self._response_deadline = self.loop.call_later(
                RESPONSE_DEADLINE_SECONDS, self.transport.abort
            )

    def resume_writing(self) -> None:
        """Go on with the response, or wait for the next request where this was its end."""
        super().resume_writing()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self._stop_waiting_for_reader()
        self._set_clocks()

    def timeout_keep_alive_handler(self) -> None:
        """Drop the connection, with what its client did not fetch."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all clocks."""
        self._stop_expecting_head()
        self._stop_waiting_for_reader()
        # uvicorn lets it run, and hold all of this, where the connection was reset.
        self._unset_keepalive_if_required()
        # Refused connections were never made.
        if self.transport is not None:
            super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request: with 431 where its head is too large."""
        status = _BAD_REQUEST
        if getattr(sys.exc_info()[1], "error_status_hint", None) == _HEADER_FIELDS_TOO_LARGE:
            status, msg = _HEADER_FIELDS_TOO_LARGE, "The request's head is too large."
        # A request's body is read on after its response has begun, which leaves nothing to say.
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.write(
                b"HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                b"Content-Length: %d\r\nConnection: close\r\n\r\n%s\n"
                % (status, STATUS_PHRASES[status], len(msg) + 1, msg.encode())
            )
        if self.cycle is not None:
            self.cycle.disconnected = True
        self.transport.close()

    def _make_room(self) -> bool:
        quiet = [
            each
            for each in self.connections
            if isinstance(each, LimitedH11Protocol) and not each.is_answering
        ]
        if not quiet:
            return False
        longest = min(quiet, key=lambda each: each.quiet_since)
        longest.transport.abort()
        # Now: many connections can be made before the loop tells of the one that is lost.
        self.connections.discard(longest)
        return True

    def _set_clocks(self) -> None:
        """Run the clock that is due: a short one for a request's rest, a long one between them."""
        if self.is_answering:
            self._stop_expecting_head()
        elif self._is_between_requests:
            self._stop_expecting_head()
            # The end of a body that came after the response has stopped it.
            if self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )
        elif self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_DEADLINE_SECONDS, self.transport.abort)

    @property
    def _is_between_requests(self) -> bool:
        """Tell whether there was a request, and of the next one nothing has come."""
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

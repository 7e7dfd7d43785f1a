"""The client of RealtimeKit's REST API: one method per endpoint, rate limited and counted."""

import asyncio
import logging
import math

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import quote, urlencode

from rk_exporter.api import parsers
from rk_exporter.api.connection import Answer, Connection, ConnectionPool
from rk_exporter.api.pagination import PER_PAGE
from rk_exporter.api.results import LiveSession, Page, Parsed
from rk_exporter.api.unknown_statuses import UnknownStatusLog
from rk_exporter.model.errors import ApiError, ConnectionStale, RateLimited
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App, ListedRecording
from rk_exporter.model.recording import Recording, Status
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.headers import MalformedHeader, parse_policies, retry_after_seconds
from rk_exporter.ratelimit.limiter import RateLimiter, RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.ratelimit.status import RateLimitPolicy
from rk_exporter.runtime.server_clock import ServerClock


logger = logging.getLogger(__name__)
T = TypeVar("T")
ACTIVE_RECORDING = "active-recording"
RECORDINGS = "recordings"
SESSIONS = "sessions"
MEETING = "meeting"
RECORDING = "recording"
ENDPOINTS = (ACTIVE_RECORDING, RECORDING, RECORDINGS, SESSIONS, MEETING)
NO_STATUS = "none"
_segment = partial(quote, safe="")
# The name under which malformed rate limit headers are counted.
RATELIMIT_FIELD = "ratelimit"


class CallObserver(Protocol):
    """Counts the calls and their results."""

    def called(self, endpoint: str, code: str, duration_seconds: float) -> None:
        """Count a call; *code* is the HTTP status or `none`."""

    def failed(self, endpoint: str, reason: Reason) -> None:
        """Count a failed call."""

    def malformed(self, fields: Iterable[str]) -> None:
        """Count the malformed *fields* of an answer that is otherwise valid."""


class RealtimeKitClient:
    """
    The API of one app; up to `max_concurrency` calls at a time.

    Each method raises ApiError, or RateLimitWait if the rate limiter does not allow the call now.
    """

    def __init__(
        self,
        app: App,
        *,
        base_url: str,
        pool: ConnectionPool,
        limiter: RateLimiter,
        observer: CallObserver,
        server_clock: ServerClock,
    ) -> None:
        self._root = (
            f"{base_url.rstrip('/')}/accounts/{_segment(app.account_id)}"
            f"/realtime/kit/{_segment(app.app_id)}"
        )
        self._app = app.name
        self._unknown_statuses = UnknownStatusLog(app.name)
        self._pool = pool
        self.max_concurrency = pool.size
        """How many calls can run at a time; more of them wait."""
        self._limiter = limiter
        self._observer = observer
        self._server_clock = server_clock

    async def active_recordings(
        self, meeting_id: str, context: PassContext
    ) -> tuple[Recording, ...]:
        """Return a meeting's recordings in progress, newest first ("Fetch active recording")."""
        path = f"/recordings/active-recording/{_segment(meeting_id)}"
        return await self._call(ACTIVE_RECORDING, path, parsers.parse_active_recordings, context)

    async def recording(self, recording_id: str, context: PassContext) -> Recording | None:
        """Return a recording, or None if it does not exist ("Fetch details of a recording")."""
        path = f"/recordings/{_segment(recording_id)}"
        parse = partial(parsers.parse_recording, recording_id=recording_id)
        return await self._call(RECORDING, path, parse, context)

    async def recordings_page(
        self,
        page_no: int,
        context: PassContext,
        *,
        status: Status | None,
        since: datetime | None = None,
    ) -> Page[ListedRecording]:
        """
        Return a page of the app's recordings, newest first ("Fetch all recordings").

        *status* selects recordings in one status, *since* those invoked after a time. Several
        statuses are not possible: the API's documents contradict each other about the syntax.
        """
        query = {"page_no": str(page_no), "per_page": str(PER_PAGE)}
        query |= {"sort_by": "invokedTime", "sort_order": "DESC"}
        if status is not None:
            query["status"] = status.value
        if since is not None:
            query["start_time"] = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        path = f"/recordings?{urlencode(query)}"
        return await self._call(RECORDINGS, path, parsers.parse_recordings_page, context)

    async def live_sessions_page(self, page_no: int, context: PassContext) -> Page[LiveSession]:
        """Return a page of the app's live sessions ("Fetch all sessions")."""
        query = {"status": "LIVE", "page_no": str(page_no), "per_page": str(PER_PAGE)}
        path = f"/sessions?{urlencode(query)}"
        return await self._call(SESSIONS, path, parsers.parse_sessions_page, context)

    async def record_on_start(self, meeting_id: str, context: PassContext) -> bool | None:
        """Return whether a meeting is recorded from its start on ("Fetch a meeting")."""
        path = f"/meetings/{_segment(meeting_id)}"
        return await self._call(MEETING, path, parsers.parse_record_on_start, context)

    async def close(self) -> None:
        """Close all connections; no call may be running."""
        await self._pool.close()

    async def _call(
        self,
        endpoint: str,
        path: str,
        parse: Callable[[int, bytes], Parsed[T]],
        context: PassContext,
    ) -> T:
        loop = asyncio.get_running_loop()
        deadline = math.inf

        async def call() -> Parsed[T]:
            nonlocal deadline
            async with self._limiter.acquire(context):
                # The time that the call waited for the rate limiter is not the API's fault.
                deadline = min(deadline, context.call_deadline(loop.time()))
                answer = await self._get(connection, endpoint, path, context.token, deadline)
                self._server_clock.observe(answer.headers.get("Date"))
                self._limiter.observe(context, self._policies(answer))
                return _parsed(answer, parse)

        connection = await self._pool.acquire()
        try:
            try:
                parsed = await call()
            except ConnectionStale as stale:
                try:
                    parsed = await call()
                except RateLimitWait:
                    raise stale from None
        except ApiError as error:
            self._observer.failed(endpoint, error.reason)
            raise
        finally:
            self._pool.release(connection)
        self._report(parsed, path)
        return parsed.value

    async def _get(
        self, connection: Connection, endpoint: str, path: str, token: Secret, deadline: float
    ) -> Answer:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        code = NO_STATUS
        try:
            answer = await connection.get(self._root + path, token=token, deadline=deadline)
            code = str(answer.status)
        finally:
            self._observer.called(endpoint, code, loop.time() - begun)
        return answer

    def _report(self, parsed: Parsed[T], path: str) -> None:
        """Count and log differences between an answer and the documentation."""
        if not parsed.malformed_fields and not parsed.unknown_statuses:
            return
        self._observer.malformed(parsed.malformed_fields)
        self._unknown_statuses.log(parsed.unknown_statuses)
        fields = {
            "app": self._app,
            "path": path,
            "malformed": ",".join(parsed.malformed_fields),
            "unknown_status": ",".join(parsed.unknown_statuses),
        }
        logger.debug("API answer differs from its documentation", extra=fields)

    def _policies(self, answer: Answer) -> tuple[RateLimitPolicy, ...]:
        try:
            return parse_policies(answer.headers)
        except MalformedHeader:
            self._observer.malformed((RATELIMIT_FIELD,))
            return ()


def _parsed(answer: Answer, parse: Callable[[int, bytes], T]) -> T:
    try:
        return parse(answer.status, answer.body)
    except RateLimited as error:
        error.retry_after_seconds = retry_after_seconds(answer.headers, now=datetime.now(UTC))
        raise

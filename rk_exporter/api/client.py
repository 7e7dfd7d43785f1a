"""The client of RealtimeKit's REST API: one method per endpoint, rate limited and counted."""

import asyncio
import logging
import math

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Protocol, TypeVar
from urllib.parse import quote, urlencode

from rk_exporter.api import parsers
from rk_exporter.api.connection import LARGEST_BODY_BYTES, Answer, Connection, ConnectionPool
from rk_exporter.api.envelope import api_message
from rk_exporter.api.list_proof import ListProof
from rk_exporter.api.pagination import PageSize, walk
from rk_exporter.api.results import LiveSession, Page, Parsed
from rk_exporter.api.unknown_statuses import UnknownStatusLog
from rk_exporter.model.errors import (
    ApiError,
    ConnectionStale,
    NotFound,
    RateLimited,
    ServerError,
)
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
_LISTS = (RECORDINGS, SESSIONS)
# A recording of tracks has a URL of about 830 characters for each of up to 100 participants.
_LARGEST_PAGE_BYTES = 4 << 20
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
        self._page_sizes = {endpoint: PageSize() for endpoint in _LISTS}
        self._list_proof = ListProof()

    async def active_recordings(
        self, meeting_id: str, context: PassContext
    ) -> tuple[Recording, ...]:
        """Return a meeting's recordings in progress, newest first ("Fetch active recording")."""
        path = f"/recordings/active-recording/{_segment(meeting_id)}"
        parse = parsers.parse_active_recordings
        return await self._call_or_none(ACTIVE_RECORDING, path, parse, context, none=())

    async def recording(self, recording_id: str, context: PassContext) -> Recording | None:
        """Return a recording, or None if it does not exist ("Fetch details of a recording")."""
        path = f"/recordings/{_segment(recording_id)}"
        parse = partial(parsers.parse_recording, recording_id=recording_id)
        return await self._call_or_none(RECORDING, path, parse, context, none=None)

    async def recordings_page(
        self, page_no: int, context: PassContext, *, status: Status | None
    ) -> Page[ListedRecording]:
        """
        Return a page of the app's recordings, newest first ("Fetch all recordings").

        *status* selects recordings in one status. Several statuses are not possible: the API's
        documents contradict each other about the syntax. They also leave open whether `start_time`
        is about the recording or its meeting, so the callers stop at the age that they need.

        Raises PageSizeChanged if the API refused the page, and smaller ones may help.
        """
        query = {"page_no": str(page_no), "sort_by": "invokedTime", "sort_order": "DESC"}
        if status is not None:
            query["status"] = status.value
        try:
            page = await self._page(RECORDINGS, query, parsers.parse_recordings_page, context)
        except ApiError:
            self._list_proof.fail(_now())
            raise
        self._list_proof.succeed(_now())
        return page

    async def live_sessions_page(self, page_no: int, context: PassContext) -> Page[LiveSession]:
        """
        Return a page of the app's live sessions ("Fetch all sessions").

        Raises PageSizeChanged if the API refused the page, and smaller ones may help.
        """
        query = {"status": "LIVE", "page_no": str(page_no)}
        return await self._page(SESSIONS, query, parsers.parse_sessions_page, context)

    async def record_on_start(self, meeting_id: str, context: PassContext) -> bool | None:
        """Return whether a meeting is recorded from its start on ("Fetch a meeting")."""
        path = f"/meetings/{_segment(meeting_id)}"
        return await self._call(MEETING, path, parsers.parse_record_on_start, context)

    async def exchange(self, endpoint: str, path: str, context: PassContext) -> Answer:
        """
        Return the answer to a call, even if it is an error, for questions about the API itself.

        Raises ApiError if there is no complete answer.
        """
        answers: list[Answer] = []
        try:
            parse, keep = parsers.parse_any, answers.append
            await self._call(endpoint, path, parse, context, on_answer=keep)
        except ApiError:
            # The rate limiter has seen the error.
            if not answers:
                raise
        return answers[-1]

    @property
    def recordings_per_page(self) -> int:
        """Return how many recordings the next page of the list may have."""
        return self._page_sizes[RECORDINGS].current(_now())

    async def close(self) -> None:
        """Close all connections; no call may be running."""
        await self._pool.close()

    async def _page(
        self,
        endpoint: str,
        query: Mapping[str, str],
        parse: Callable[[int, bytes], Parsed[Page[T]]],
        context: PassContext,
    ) -> Page[T]:
        async def ask(per_page: int) -> Page[T]:
            path = f"/{endpoint}?{urlencode({**query, 'per_page': str(per_page)})}"
            return await self._call(endpoint, path, parse, context)

        # The API may refuse the status: the same list without a status decides.
        is_filtered = endpoint == RECORDINGS and "status" in query
        return await self._page_sizes[endpoint].request(ask, is_filtered=is_filtered)

    async def _call_or_none(
        self,
        endpoint: str,
        path: str,
        parse: Callable[[int, bytes], Parsed[T]],
        context: PassContext,
        *,
        none: T,
    ) -> T:
        """
        Return the result of a call, or *none* if a 404 says that there is no such recording.

        A 404 that is not the documented one says so if the app's list of recordings can be read,
        because then account, app and token are right.
        """
        parse = self._list_proof.apply(parse, none)
        try:
            return await self._call(endpoint, path, parse, context, counts_failure=False)
        except ApiError as error:
            may_mean_none = isinstance(error, NotFound) and error.may_mean_none
            if may_mean_none and await self._list_proof.obtain(partial(self._read_list, context)):
                return none
            self._observer.failed(endpoint, error.reason)
            raise

    async def _read_list(self, context: PassContext) -> None:
        fetch = partial(self.recordings_page, context=context, status=None)
        await walk(fetch, is_enough=lambda _: True)

    async def _call(
        self,
        endpoint: str,
        path: str,
        parse: Callable[[int, bytes], Parsed[T]],
        context: PassContext,
        *,
        on_answer: Callable[[Answer], object] = lambda _: None,
        counts_failure: bool = True,
    ) -> T:
        connection = await self._pool.acquire()
        deadline = math.inf

        async def call() -> Parsed[T]:
            nonlocal deadline
            async with self._limiter.acquire(context):
                # The time that the call waited for the rate limiter is not the API's fault.
                deadline = min(deadline, context.call_deadline(_now()))
                answer = await self._get(connection, endpoint, path, context.token, deadline)
                self._limiter.observe(self._policies(answer))
                on_answer(answer)
                return _parsed(answer, parse, context.token)

        try:
            try:
                parsed = await call()
            except ConnectionStale as stale:
                try:
                    parsed = await call()
                except RateLimitWait:
                    raise stale from None
        except ApiError as error:
            if counts_failure:
                self._observer.failed(endpoint, error.reason)
            raise
        finally:
            self._pool.release(connection)
        self._report(parsed, path)
        return parsed.value

    async def _get(
        self, connection: Connection, endpoint: str, path: str, token: Secret, deadline: float
    ) -> Answer:
        begun, code = _now(), NO_STATUS
        try:
            answer = await connection.get(
                self._root + path,
                token=token,
                deadline=deadline,
                largest_body_bytes=(
                    _LARGEST_PAGE_BYTES if endpoint in _LISTS else LARGEST_BODY_BYTES
                ),
            )
            code = str(answer.status)
        finally:
            took_seconds = _now() - begun
            self._observer.called(endpoint, code, took_seconds)
        date, age = answer.headers.get("Date"), answer.headers.get("Age")
        self._server_clock.observe(date, age=age, took_seconds=took_seconds)
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


def _now() -> float:
    return asyncio.get_running_loop().time()


def _parsed(answer: Answer, parse: Callable[[int, bytes], T], token: Secret) -> T:
    try:
        return parse(answer.status, answer.body)
    except ApiError as error:
        error.api_message = api_message(answer.body, token)
        is_unavailable = answer.status == HTTPStatus.SERVICE_UNAVAILABLE
        if isinstance(error, RateLimited) or (isinstance(error, ServerError) and is_unavailable):
            error.retry_after_seconds = retry_after_seconds(answer.headers, now=datetime.now(UTC))
        raise

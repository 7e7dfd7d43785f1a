"""The client of RealtimeKit's REST API: one method per endpoint."""

import asyncio
import logging

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar
from urllib.parse import urlencode

from rk_exporter.api import parsers
from rk_exporter.api.calls import ApiCaller, CallHooks, CallObserver
from rk_exporter.api.connection import Answer
from rk_exporter.api.endpoints import (
    ACTIVE_RECORDING,
    LISTS,
    MEETING,
    RECORDING,
    RECORDINGS,
    SESSIONS,
    segment,
)
from rk_exporter.api.file_urls import FileSink
from rk_exporter.api.list_proof import ListProof
from rk_exporter.api.pagination import PageSize, PageWalk
from rk_exporter.api.results import LiveSession, Page, Parsed
from rk_exporter.model.errors import ApiError, NotFound
from rk_exporter.model.meeting import App, ListedRecording
from rk_exporter.model.recording import Recording, Status
from rk_exporter.ratelimit.pass_context import PassContext


logger = logging.getLogger(__name__)
T = TypeVar("T")


class RealtimeKitClient:
    """
    The API of one app, with the *calls* of the app.

    Each method raises ApiError, or RateLimitWait if the rate limiter does not allow the call now.
    """

    def __init__(self, calls: ApiCaller, *, files: FileSink | None = None) -> None:
        self._calls = calls
        self.files = files
        """Who takes the download URLs in answers."""
        self.max_concurrency = calls.max_concurrency
        """How many calls can run at a time; more of them wait."""
        self._page_sizes = {endpoint: PageSize() for endpoint in LISTS}
        self._list_proof = ListProof()

    async def active_recordings(
        self, meeting_id: str, context: PassContext
    ) -> tuple[Recording, ...]:
        """Return a meeting's recordings in progress, newest first ("Fetch active recording")."""
        path = f"/recordings/active-recording/{segment(meeting_id)}"
        parse = partial(parsers.parse_active_recordings, files=self.files)
        return await self._call_or_none(ACTIVE_RECORDING, path, parse, context, none=())

    async def recording(self, recording_id: str, context: PassContext) -> Recording | None:
        """Return a recording, or None if it does not exist ("Fetch details of a recording")."""
        path = f"/recordings/{segment(recording_id)}"
        parse = partial(parsers.parse_recording, recording_id=recording_id, files=self.files)
        return await self._call_or_none(RECORDING, path, parse, context, none=None)

    async def recordings_page(
        self,
        page_no: int,
        context: PassContext,
        *,
        status: Status | None,
        on_call: Callable[[], object] = lambda: None,
    ) -> Page[ListedRecording]:
        """
        Return a page of the app's recordings, newest first ("Fetch all recordings").

        *status* selects recordings in one status. Several statuses are not possible: the API's
        documents contradict each other about the syntax. They also leave open whether `start_time`
        is about the recording or its meeting, so the callers stop at the age that they need.
        *on_call* is called when the rate limiter lets the call pass.

        Raises PageSizeChanged if the API refused the page, and smaller ones may help.
        """
        query = {"page_no": str(page_no), "sort_by": "invokedTime", "sort_order": "DESC"}
        if status is not None:
            query["status"] = status.value
        parse = partial(parsers.parse_recordings_page, files=self.files)
        try:
            page = await self._page(RECORDINGS, query, parse, context, on_call)
        except ApiError as error:
            if error.was_sent:
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
        path = f"/meetings/{segment(meeting_id)}"
        return await self._calls.call(MEETING, path, parsers.parse_record_on_start, context)

    async def exchange(self, endpoint: str, path: str, context: PassContext) -> Answer:
        """
        Return the answer to a call, even if it is an error, for questions about the API itself.

        Raises ApiError if there is no complete answer.
        """
        answers: list[Answer] = []
        try:
            parse, hooks = parsers.parse_any, CallHooks(on_answer=answers.append)
            await self._calls.call(endpoint, path, parse, context, hooks=hooks)
        except ApiError:
            # The rate limiter has seen the error.
            if not answers:
                raise
        return answers[-1]

    @property
    def recordings_per_page(self) -> int:
        """Return how many recordings the next page of the list may have."""
        return self._page_sizes[RECORDINGS].current(_now())

    def change(self, app: App, *, base_url: str, observer: CallObserver) -> None:
        """Make all further calls at another *base_url*, and count them for another *observer*."""
        self._calls.change(app, base_url=base_url, observer=observer)

    def leave(self) -> None:
        """Make no more calls; the connections are for other apps."""
        self._calls.leave()

    async def close(self) -> None:
        """Close all connections; no call may be running."""
        await self._calls.close()

    async def _page(
        self,
        endpoint: str,
        query: Mapping[str, str],
        parse: Callable[[int, bytes], Parsed[Page[T]]],
        context: PassContext,
        on_call: Callable[[], object] = lambda: None,
    ) -> Page[T]:
        hooks = CallHooks(on_call=on_call)

        async def ask(per_page: int) -> Page[T]:
            path = f"/{endpoint}?{urlencode({**query, 'per_page': str(per_page)})}"
            return await self._calls.call(endpoint, path, parse, context, hooks=hooks)

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
            return await self._calls.call(endpoint, path, parse, context, counts_failure=False)
        except ApiError as error:
            may_mean_none = isinstance(error, NotFound) and error.may_mean_none
            if may_mean_none and await self._list_proof.obtain(partial(self._read_list, context)):
                logger.debug("the 404 means that there is none: the list of recordings is readable")
                return none
            self._calls.count_failure(endpoint, error)
            raise

    async def _read_list(self, context: PassContext) -> None:
        fetch = partial(self.recordings_page, context=context, status=None)
        await PageWalk[ListedRecording]().go_on(fetch, is_enough=lambda _: True)


def _now() -> float:
    return asyncio.get_running_loop().time()

"""All recordings in progress of an app, read through its paged list: a call for a hundred."""

import asyncio
import logging

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rk_exporter.api.pagination import walk
from rk_exporter.api.results import Page
from rk_exporter.collector.protocols import RecordingsPageReader
from rk_exporter.model.errors import ApiError, ClientError
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import ListedRecording
from rk_exporter.model.recording import IN_PROGRESS, Recording, Status
from rk_exporter.ratelimit.limiter import RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.tracking.lifecycle import LONGEST_LIFE_SECONDS


logger = logging.getLogger(__name__)
# Along the life of a recording: one that moves on meanwhile is met twice rather than missed.
_STATUSES = (Status.INVOKED, Status.RECORDING, Status.PAUSED, Status.UPLOADING)
_SHOWN = IN_PROGRESS | {Status.UNKNOWN}
_LONGEST_LIFE = timedelta(seconds=LONGEST_LIFE_SECONDS)
_UNFILTERED_SECONDS = 3600.0
_NOT_ITS_OWN = frozenset({Reason.AUTH, Reason.RATE_LIMITED})
_FAILURES_IN_A_ROW = 3
_AVOIDED_SECONDS = 600.0


@dataclass(slots=True)
class ListResult:
    """What one reading of the list brought: recordings by their ids."""

    found: dict[str, ListedRecording] = field(default_factory=dict)
    failure: Failure | None = None
    is_held_back: bool = False
    page_count: int = 0

    def add(self, page: Page[ListedRecording]) -> Page[ListedRecording]:
        """Take in what is in progress on *page*; of one recording the later answer counts."""
        self.page_count += 1
        for listed in page.items:
            if listed.recording.status in _SHOWN:
                self.found[listed.recording.recording_id] = listed
        return page

    @property
    def is_complete(self) -> bool:
        """Tell whether what is not in it is not in progress."""
        return self.failure is None and not self.is_held_back

    def outcome(
        self, recordings: tuple[Recording, ...] | None
    ) -> tuple[Recording, ...] | Failure | None:
        """Return what it tells of a meeting of which it has *recordings*, or none."""
        if recordings is None:
            return () if self.is_complete else self.failure
        return recordings

    def by_meeting(self) -> dict[str, tuple[Recording, ...]]:
        """Return the recordings in progress of each meeting that has any, newest first."""
        recordings: dict[str, list[Recording]] = {}
        for listed in sorted(self.found.values(), key=_invoked_at, reverse=True):
            recordings.setdefault(listed.meeting.meeting_id, []).append(listed.recording)
        return {meeting_id: tuple(each) for meeting_id, each in recordings.items()}


def _invoked_at(listed: ListedRecording) -> float:
    return listed.recording.invoked_timestamp_seconds or 0.0


class FilterIgnored(ClientError):
    """The API answers with recordings in other states than the one asked for."""


class ActiveRecordingsLister:
    """The list of one app's recordings; it learns whether the API filters by status."""

    def __init__(self, *, app: str, clock: Callable[[], float]) -> None:
        self._app = app
        self._clock = clock
        self._unfiltered_until = 0.0
        self._failures = 0
        self._avoided_until = 0.0
        self.usual_calls = len(_STATUSES)
        """How many calls a whole reading takes, as far as it is known."""

    async def read(self, reader: RecordingsPageReader, context: PassContext) -> ListResult:
        """
        Return the recordings in progress: one status per call, else all of the last 25 hours.

        An API that refuses to filter by a status, or ignores it, is asked for all for an hour.
        """
        listing = None
        if self._filters:
            listing = await self._read_by_status(reader, context)
        if listing is None or not self._filters:
            listing = await self._read_unfiltered(reader, context)
        self._note_failure(listing.failure)
        if listing.is_complete:
            self.usual_calls = listing.page_count
        elif listing.is_held_back:
            self.usual_calls = max(self.usual_calls, listing.page_count + 1)
        return listing

    @property
    def is_failing(self) -> bool:
        """Tell whether it failed time and again, so that another way of reading is worth a try."""
        return self._clock() < self._avoided_until

    def _note_failure(self, failure: Failure | None) -> None:
        # A refused token or the rate limit would be met on any other way.
        is_its_own = failure is not None and failure.reason not in _NOT_ITS_OWN
        self._failures = self._failures + 1 if is_its_own else 0
        if self._failures == _FAILURES_IN_A_ROW:
            self._failures = 0
            self._avoided_until = self._clock() + _AVOIDED_SECONDS

    @property
    def _filters(self) -> bool:
        return self._clock() >= self._unfiltered_until

    async def _read_by_status(
        self, reader: RecordingsPageReader, context: PassContext
    ) -> ListResult:
        listing = ListResult()
        statuses = deque(_STATUSES)

        async def work() -> None:
            while statuses and listing.is_complete and self._filters:
                await self._read_status(reader, statuses.popleft(), context, listing)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(reader.max_concurrency, len(_STATUSES))):
                workers.create_task(work())
        return listing

    async def _read_status(
        self,
        reader: RecordingsPageReader,
        status: Status,
        context: PassContext,
        listing: ListResult,
    ) -> None:
        async def fetch(page_no: int) -> Page[ListedRecording]:
            page = await reader.recordings_page(page_no, context, status=status)
            # One or two may have moved on while the page was made.
            asked_for = {status, Status.UNKNOWN}
            others = [each for each in page.items if each.recording.status not in asked_for]
            if 2 * len(others) > len(page.items):
                raise FilterIgnored("the API ignores the status that is asked for")
            return listing.add(page)

        try:
            await self._walk(fetch, listing)
        except ClientError as error:
            self._stop_filtering(error)

    async def _read_unfiltered(
        self, reader: RecordingsPageReader, context: PassContext
    ) -> ListResult:
        listing = ListResult()
        since = datetime.fromtimestamp(self._clock(), UTC) - _LONGEST_LIFE

        async def fetch(page_no: int) -> Page[ListedRecording]:
            page = await reader.recordings_page(page_no, context, status=None, since=since)
            return listing.add(page)

        try:
            await self._walk(fetch, listing)
        except ClientError as error:
            listing.failure = error.failure
        return listing

    async def _walk(
        self, fetch: Callable[[int], Awaitable[Page[ListedRecording]]], listing: ListResult
    ) -> None:
        """Read all pages, and note in *listing* what came in between; raises ClientError."""
        try:
            await walk(fetch)
        except ClientError:
            raise
        except ApiError as error:
            logger.debug("%s", error, extra={"app": self._app})
            listing.failure = error.failure
        except RateLimitWait:
            listing.is_held_back = True

    def _stop_filtering(self, error: ClientError) -> None:
        if self._filters:
            logger.warning(
                "recordings cannot be listed by status (%s): for an hour all of the last 25 hours "
                "are listed",
                error,
                extra={"app": self._app},
            )
        self._unfiltered_until = self._clock() + _UNFILTERED_SECONDS

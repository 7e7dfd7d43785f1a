"""All recordings in progress of an app, read through its paged list: a call for a hundred."""

import asyncio
import logging

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol, TypeVar

from rk_exporter.api import PER_PAGE, CallTerms
from rk_exporter.api_errors import ApiError, ClientError
from rk_exporter.payloads import Paging, RecordingsPage
from rk_exporter.recordings import IN_PROGRESS, Failure, Reason, Recording, Status
from rk_exporter.throttle import HeldBack


logger = logging.getLogger(__name__)

# Along the life of a recording: one that moves on meanwhile is met twice rather than missed.
_STATUSES = (Status.INVOKED, Status.RECORDING, Status.PAUSED, Status.UPLOADING)
_SHOWN = IN_PROGRESS | {Status.UNKNOWN}
# A recording ends after 24 hours at the latest ("Start recording" page), and is uploaded then.
_LONGEST_LIFE = timedelta(hours=25)
_UNFILTERED_SECONDS = 3600.0
_NOT_ITS_OWN = frozenset({Reason.AUTH, Reason.RATE_LIMITED})
_FAILURES_IN_A_ROW = 3
_AVOIDED_SECONDS = 600.0


class Page(Protocol):
    """A page of any list."""

    @property
    def item_ids(self) -> Sequence[str]:
        """Return the ids of what is on the page."""
        ...

    @property
    def paging(self) -> Paging | None:
        """Return where the page stands in the list, if the API says so."""
        ...


P = TypeVar("P", bound=Page)


async def walk(fetch: Callable[[int], Awaitable[P]]) -> list[P]:
    """
    Return all pages of a list that *fetch* gives by number, the first being 1.

    There is no cursor: the last is the one whose end is the list's, else a short one; a page that
    is empty or repeats the one before it ends the walk too.
    """
    pages: list[P] = []
    for number in count(1):
        page = await fetch(number)
        if not page.item_ids or (pages and page.item_ids == pages[-1].item_ids):
            break
        pages.append(page)
        if page.paging is None:
            is_last = len(page.item_ids) < PER_PAGE
        else:
            is_last = page.paging.end_offset >= page.paging.total_count
        if is_last:
            break
    return pages


class ListReader(Protocol):
    """One connection to the API, used by one worker at a time."""

    async def recordings_page(
        self,
        page_no: int,
        terms: CallTerms,
        *,
        status: Status | None,
        since: datetime | None = None,
    ) -> RecordingsPage:
        """Return a page of the recordings in one *status*, or invoked *since* a time."""
        ...


@dataclass(slots=True)
class Listing:
    """What one reading of the list brought: recordings by id, by their meeting's id."""

    by_meeting: dict[str, dict[str, Recording]] = field(default_factory=dict)
    failure: Failure | None = None
    is_held_back: bool = False
    page_count: int = 0

    def add(self, page: RecordingsPage) -> RecordingsPage:
        """Take in what is in progress on *page*; of one recording the later answer counts."""
        self.page_count += 1
        for listed in page.items:
            if listed.recording.status in _SHOWN:
                self.add_recordings(listed.meeting_id, (listed.recording,))
        return page

    def add_recordings(self, meeting_id: str, recordings: Iterable[Recording]) -> None:
        """Take in *recordings* of a meeting."""
        known = self.by_meeting.setdefault(meeting_id, {})
        known.update({recording.recording_id: recording for recording in recordings})

    def lacks_any(self, meeting_id: str, recordings: Iterable[Recording]) -> bool:
        """Tell whether any of a meeting's *recordings* was in progress and is not listed."""
        listed = self.by_meeting.get(meeting_id, {})
        return any(each.in_progress and each.recording_id not in listed for each in recordings)

    def outcome(
        self, meeting_id: str, *, is_missing: bool
    ) -> tuple[Recording, ...] | Failure | None:
        """Return what the list tells of a meeting; *is_missing* where a recording of it is."""
        if not is_missing and (self.is_complete or meeting_id in self.by_meeting):
            return self.recordings(meeting_id)
        return self.failure

    @property
    def is_complete(self) -> bool:
        """Tell whether what is not in it is not in progress."""
        return self.failure is None and not self.is_held_back

    def recordings(self, meeting_id: str) -> tuple[Recording, ...]:
        """Return the recordings in progress of a meeting, newest first."""
        recordings = self.by_meeting.get(meeting_id, {}).values()
        return tuple(
            sorted(recordings, key=lambda each: each.invoked_timestamp_seconds or 0.0, reverse=True)
        )


class FilterIgnored(ClientError):
    """The API answers with recordings in other states than the one asked for."""


class RecordingsList:
    """The list of one app's recordings; it learns whether the API filters by status."""

    def __init__(self, *, app: str, clock: Callable[[], float]) -> None:
        self._app = app
        self._clock = clock
        self._unfiltered_until = 0.0
        self._failures = 0
        self._avoided_until = 0.0
        self.usual_calls = len(_STATUSES)
        """How many calls a whole reading takes, as far as it is known."""

    async def read(self, readers: Sequence[ListReader], terms: CallTerms) -> Listing:
        """
        Return the recordings in progress: one status per call, else all of the last 25 hours.

        An API that refuses to filter by a status, or ignores it, is asked for all for an hour.
        """
        listing = None
        if self._filters:
            listing = await self._read_by_status(readers, terms)
        if listing is None or not self._filters:
            listing = await self._read_unfiltered(readers[0], terms)
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

    async def _read_by_status(self, readers: Sequence[ListReader], terms: CallTerms) -> Listing:
        listing = Listing()
        statuses = deque(_STATUSES)

        async def work(reader: ListReader) -> None:
            while statuses and listing.is_complete and self._filters:
                await self._read_status(reader, statuses.popleft(), terms, listing)

        async with asyncio.TaskGroup() as workers:
            for reader in readers[: len(_STATUSES)]:
                workers.create_task(work(reader))
        return listing

    async def _read_status(
        self, reader: ListReader, status: Status, terms: CallTerms, listing: Listing
    ) -> None:
        async def fetch(page_no: int) -> RecordingsPage:
            page = await reader.recordings_page(page_no, terms, status=status)
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

    async def _read_unfiltered(self, reader: ListReader, terms: CallTerms) -> Listing:
        listing = Listing()
        since = datetime.fromtimestamp(self._clock(), UTC) - _LONGEST_LIFE

        async def fetch(page_no: int) -> RecordingsPage:
            page = await reader.recordings_page(page_no, terms, status=None, since=since)
            return listing.add(page)

        try:
            await self._walk(fetch, listing)
        except ClientError as error:
            listing.failure = error.failure
        return listing

    async def _walk(
        self, fetch: Callable[[int], Awaitable[RecordingsPage]], listing: Listing
    ) -> None:
        """Read all pages, and note in *listing* what came in between; raises ClientError."""
        try:
            await walk(fetch)
        except ClientError:
            raise
        except ApiError as error:
            logger.debug("%s", error, extra={"app": self._app})
            listing.failure = error.failure
        except HeldBack:
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

"""All recordings in progress of an app, read from its list: up to a hundred per call."""

import logging
import math

from dataclasses import dataclass, field
from functools import partial

from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.pagination import PageWalk
from rk_exporter.api.results import Page
from rk_exporter.collector.list_age import is_past, not_older
from rk_exporter.collector.work_queue import run_jobs
from rk_exporter.model.errors import ApiError, ClientError
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import ListedRecording
from rk_exporter.model.recording import IN_PROGRESS, Recording, Status
from rk_exporter.ratelimit.limiter import RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.clock import Clock
from rk_exporter.tracking.lifecycle import LONGEST_LIFE_SECONDS


logger = logging.getLogger(__name__)
# In the order of a recording's life: if one changes its state between
# two calls, it is found twice rather than missed.
_STATUSES = (Status.INVOKED, Status.RECORDING, Status.PAUSED, Status.UPLOADING)
_SHOWN = IN_PROGRESS | {Status.UNKNOWN}
# Ten thousand recordings in 25 hours, or a list that is not sorted.
_MOST_UNFILTERED_PAGES = 100
_UNFILTERED_SECONDS = 3600.0
# Calls for single meetings would fail in the same way.
_NOT_OF_THE_LIST = frozenset({Reason.AUTH, Reason.INTERCEPTED, Reason.RATE_LIMITED})
_FAILURES_IN_A_ROW = 3
_AVOIDED_SECONDS = 600.0


@dataclass(slots=True)
class ListResult:
    """What one read of the list returned: the recordings in progress."""

    sightings: list[ListedRecording] = field(default_factory=list)
    """In the order of the answers: if a recording changes its state, it is there twice."""
    failure: Failure | None = None
    was_sent: bool = True
    """Whether the *failure*, if any, may say something about the list."""
    is_rate_limited: bool = False
    """Whether the rate limiter did not let all calls through."""
    page_count: int = 0

    def add(self, page: Page[ListedRecording], oldest: float) -> Page[ListedRecording]:
        """Add what is in progress on *page*, and not older than *oldest*."""
        self.page_count += 1
        recent = not_older(page, oldest)
        self.sightings += [item for item in recent if item.recording.status in _SHOWN]
        return page

    @property
    def is_complete(self) -> bool:
        """Return whether all recordings in progress were found."""
        return self.failure is None and not self.is_rate_limited

    def by_meeting(self) -> dict[str, tuple[Recording, ...]]:
        """Return the recordings in progress, as last seen, of each meeting; newest first."""
        last_seen = {listed.recording.recording_id: listed for listed in self.sightings}
        recordings: dict[str, list[Recording]] = {}
        for listed in sorted(last_seen.values(), key=_invoked_at, reverse=True):
            recordings.setdefault(listed.meeting.meeting_id, []).append(listed.recording)
        return {meeting_id: tuple(found) for meeting_id, found in recordings.items()}


def _invoked_at(listed: ListedRecording) -> float:
    return listed.recording.invoked_timestamp_seconds or 0.0


class ListTooLong(ClientError):
    """The list does not end, and it does not reach recordings that are old enough to stop."""


class FilterIgnored(ClientError):
    """The API answers with recordings in other states than the requested one."""


class ActiveRecordingsLister:
    """Reads the list of one app's recordings, and learns whether the API filters by status."""

    def __init__(self, app: str, client: RealtimeKitClient, *, clock: Clock) -> None:
        self._app = app
        self._client = client
        self._clock = clock
        self._unfiltered_until = 0.0
        self._refusal: ClientError | None = None
        """Why the filter is not used, until this is logged."""
        self._failures = 0
        self._avoided_until = 0.0
        self._others_succeed = False
        """Whether single calls succeeded since the list began to fail."""
        self.usual_calls = len(_STATUSES)
        """How many calls a complete read takes, as far as known."""

    def rename(self, app: str) -> None:
        """Go on under another name of the *app*."""
        self._app = app

    async def read(self, context: PassContext) -> ListResult:
        """
        Return the recordings in progress: one status per call, else all of the last 25 hours.

        If the API rejects or ignores the filter, it is not used for an hour.
        """
        result = await self._read_by_status(context)
        if not self._filters:
            result = await self._read_unfiltered(context)
        if result.was_sent:
            self._count_failure(result.failure)
        if result.is_complete:
            self.usual_calls = result.page_count
        elif result.is_rate_limited:
            self.usual_calls = max(self.usual_calls, result.page_count + 1)
        return result

    @property
    def is_failing(self) -> bool:
        """Return whether the list failed repeatedly, so that another way of reading may help."""
        return self._clock.wall() < self._avoided_until

    def compare(self, *, others_succeed: bool) -> None:
        """
        Take in a pass that made single calls instead of reading the list.

        If they fail, too, the list is not the reason. When *others_succeed* for the first time, the
        list is tried once more, because it may have failed only as long as everything else.
        """
        if not self.is_failing or (others_succeed and self._others_succeed):
            return
        self._avoided_until, self._others_succeed = 0.0, others_succeed
        self._failures = _FAILURES_IN_A_ROW - 1 if others_succeed else 0

    def _count_failure(self, failure: Failure | None) -> None:
        if failure is None:
            self._others_succeed = False
        is_of_the_list = failure is not None and failure.reason not in _NOT_OF_THE_LIST
        self._failures = self._failures + 1 if is_of_the_list else 0
        if self._failures == _FAILURES_IN_A_ROW:
            self._failures = 0
            self._avoided_until = self._clock.wall() + _AVOIDED_SECONDS

    @property
    def _filters(self) -> bool:
        return self._clock.wall() >= self._unfiltered_until

    async def _read_by_status(self, context: PassContext) -> ListResult:
        result = ListResult()

        async def read(status: Status) -> None:
            if result.is_complete and self._filters:
                await self._read_pages(status, context, result)

        jobs = [partial(read, status) for status in _STATUSES]
        # A call after the deadline must fail: without it, the list would seem to be complete.
        await run_jobs(jobs, workers=self._client.max_concurrency, deadline=math.inf)
        return result

    async def _read_unfiltered(self, context: PassContext) -> ListResult:
        result, per_page = ListResult(), self._client.recordings_per_page
        await self._read_pages(None, context, result)
        error, self._refusal = self._refusal, None
        if error and self._client.recordings_per_page < per_page:
            # The API refused the size of the pages, and not the filter.
            self._unfiltered_until = 0.0
        elif error:
            logger.warning(
                "recordings cannot be listed by status (%s); listing all recordings of the last "
                "25 hours for one hour",
                error,
                extra={"app": self._app},
            )
        return result

    async def _read_pages(
        self, status: Status | None, context: PassContext, result: ListResult
    ) -> None:
        """Add the recordings in one *status*, or in all, to *result*, or what stopped the calls."""
        oldest = -math.inf if status else self._clock.wall() - LONGEST_LIFE_SECONDS

        async def fetch(page_no: int) -> Page[ListedRecording]:
            if not status and page_no > _MOST_UNFILTERED_PAGES:
                raise ListTooLong("the list of recordings has too many pages")
            page = await self._client.recordings_page(page_no, context, status=status)
            if status:
                _check_filter(page, status)
            return result.add(page, oldest)

        try:
            walk = PageWalk[ListedRecording]()
            await walk.go_on(fetch, is_enough=partial(is_past, oldest=oldest))
        except RateLimitWait:
            result.is_rate_limited = True
        except ApiError as error:
            if status and isinstance(error, ClientError):
                self._stop_filtering(error)
                return
            logger.debug("%s", error, extra={"app": self._app})
            result.failure, result.was_sent = error.failure, error.was_sent

    def _stop_filtering(self, error: ClientError) -> None:
        self._refusal = error
        self._unfiltered_until = self._clock.wall() + _UNFILTERED_SECONDS


def _check_filter(page: Page[ListedRecording], status: Status) -> None:
    # One or two may have changed their state while the page was made.
    expected = {status, Status.UNKNOWN}
    others = [listed for listed in page.items if listed.recording.status not in expected]
    if 2 * len(others) > len(page.items):
        raise FilterIgnored("the API ignores the status filter")

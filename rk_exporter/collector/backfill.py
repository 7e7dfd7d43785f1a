"""
Poll the app's list of recordings, newest first, for what the calls per meeting do not show.

The first poll reads the whole list, which restores what was shown before a restart. After that,
the first page is read each minute, or when an event asks for it: it has the recordings that came
and went between two reads of a meeting. Every few hours the whole list is read again, because it
has the download URLs that were refreshed, a hundred per call.
"""

import logging
import math

from functools import partial

from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.pagination import PageWalk
from rk_exporter.api.results import Page
from rk_exporter.collector.list_age import is_past, is_sorted, not_older
from rk_exporter.model.errors import ApiError, ApiTimeout
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import ListedRecording
from rk_exporter.model.remedies import REMEDIES
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.backoff import Backoff
from rk_exporter.runtime.clock import Clock
from rk_exporter.tracking.store import MOST_RECORDINGS
from rk_exporter.tracking.tracker import RecordingTracker


logger = logging.getLogger(__name__)
# A minute, minus the time that a scrape may be early.
_INTERVAL_SECONDS = 59.0
# If the budget is small, one call in 50 at most; and one in 10 while events ask for more.
_CALLS_PER_POLL = 50
_CALLS_PER_HURRIED_POLL = 10
_BACKOFF = Backoff(first_seconds=10.0, longest_seconds=600.0)
_WHOLE_PAUSE_SECONDS = 3600.0
# After this number of failures in a row, readiness no longer waits for the list.
_FAILURES_TO_GIVE_UP = 5
_NOT_OF_THE_LIST = frozenset(
    {Reason.AUTH, Reason.INTERCEPTED, Reason.RATE_LIMITED, Reason.CONNECT, Reason.TLS}
)


class Backfill:
    """Polls the list of one app for a *tracker*; *newest_ids* began the list before a restart."""

    def __init__(
        self,
        app: str,
        client: RealtimeKitClient,
        tracker: RecordingTracker,
        *,
        clock: Clock,
        newest_ids: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._client = client
        self._tracker = tracker
        self._clock = clock
        self._began_at = self._polled_at = self._failed_at = -math.inf
        self._is_hurried = False
        # The first poll reads up to what the state file has: everything, if there is none.
        self._whole_due_at = math.inf
        self._may_read_whole_at = -math.inf
        self.newest_ids = newest_ids
        """The ids on the first page of the last poll."""
        self._first_page: Page[ListedRecording] = Page((), (), None)
        self._walk = PageWalk[ListedRecording]()
        self._is_sorted = True
        """Whether all pages of the last poll were sorted."""
        self._is_whole = False
        self._has_progress = False
        self._backoff = _BACKOFF
        self._own_failures = 0
        self._has_given_up = False
        self.is_restored = False
        """Whether what was shown before the start is shown again, or cannot be read."""

    def rename(self, app: str) -> None:
        """Go on under another name of the *app*."""
        self._app = app

    def is_due(self, *, calls_per_second: float) -> bool:
        """
        Return whether to poll now; also if the last poll read only some of the pages.

        The smaller the budget, the longer is the time between two polls. A reload may change it.
        """
        now = self._clock.monotonic()
        if self._backoff.failures:
            return now - self._failed_at >= self._backoff.delay_seconds
        calls = _CALLS_PER_HURRIED_POLL if self._is_hurried else _CALLS_PER_POLL
        shortest_seconds = 0.0 if self._is_hurried else _INTERVAL_SECONDS
        return now - self._polled_at >= max(shortest_seconds, calls / calls_per_second)

    def hurry(self) -> None:
        """Poll as soon as the budget allows it, because the list has something new."""
        self._is_hurried = True

    def forget_failure(self) -> None:
        """Poll as soon as possible if the last poll failed, because it would not fail now."""
        self._failed_at = -math.inf

    def read_whole_soon(self) -> bool:
        """
        Read the whole list in the next poll; return whether that helps somebody who needs it.

        It does not if somebody asked for it in the last hour.
        """
        now = self._clock.monotonic()
        if now < self._may_read_whole_at:
            return False
        self._may_read_whole_at = now + _WHOLE_PAUSE_SECONDS
        self._whole_due_at = -math.inf
        return True

    def include_more(self) -> None:
        """Read the whole list, once in an hour: it has recordings that were ignored until now."""
        at = max(self._clock.monotonic(), self._may_read_whole_at)
        if at < self._whole_due_at:
            self._whole_due_at, self._may_read_whole_at = at, at + _WHOLE_PAUSE_SECONDS

    async def poll(self, context: PassContext) -> None:
        """
        Read the list, or the pages that the last poll left; after a failure, back off.

        Raises RateLimitWait if there are only calls for some of the pages.
        """
        now = self._clock.monotonic()
        if self._walk.page_count == 0:
            self._is_whole = now >= self._whole_due_at
        try:
            await self._walk.go_on(partial(self._fetch, context), is_enough=self._is_enough)
        except ApiError as error:
            self._fail(error, now)
            return
        self._finish(now)

    async def _fetch(self, context: PassContext, page_no: int) -> Page[ListedRecording]:
        asked_at = self._clock.wall()

        def note_call() -> None:
            # It may have waited for the rate limiter, and other answers came in the meantime.
            nonlocal asked_at
            asked_at = self._clock.wall()
            if page_no == 1:
                self._began_at = self._clock.monotonic()

        page = await self._client.recordings_page(page_no, context, status=None, on_call=note_call)
        if page_no == 1:
            self._first_page, self._is_sorted = page, True
            self._tracker.begin_counting(_newest_invoked_at(page), moment=self._began_at)
        self._is_sorted = self._is_sorted and is_sorted(page)
        for listed in not_older(page, self._tracker.oldest_invoked_at):
            self._tracker.observe_listed(listed.meeting, listed.recording, asked_at=asked_at)
        self._has_progress = True
        return page

    def _is_enough(self, page: Page[ListedRecording]) -> bool:
        # In a list that is not sorted, no age says where to stop.
        most = MOST_RECORDINGS if self._is_sorted else self._tracker.rules.max_recordings
        if self._walk.passed > most or is_past(page, self._tracker.oldest_invoked_at):
            return True
        return not self._is_whole and not set(self.newest_ids).isdisjoint(page.item_ids)

    def _fail(self, error: ApiError, now: float) -> None:
        logger.debug("%s", error, extra={"app": self._app})
        if not isinstance(error, ApiTimeout):
            self._walk.restart()
        elif self._has_progress:
            # A slow list is not a broken one: page by page it is read to its end.
            self._forget_failures()
        self._has_progress = False
        self._backoff = self._backoff.after_failure()
        self._failed_at = now
        if error.reason in _NOT_OF_THE_LIST or not error.was_sent:
            return
        self._own_failures += 1
        if self._own_failures == _FAILURES_TO_GIVE_UP:
            self._give_up(error, now)

    def _give_up(self, error: ApiError, now: float) -> None:
        logger.warning(
            "list of recordings cannot be read (%s); recordings that come and go between two "
            "scrapes, or ended before the start, are not shown",
            error,
            extra={
                "app": self._app,
                "reason": error.reason.value,
                "remedy": REMEDIES[error.reason],
            },
        )
        self._has_given_up = True
        if not self.is_restored:
            self.is_restored = True
            self._tracker.begin_unlisted(moment=now)

    def _forget_failures(self) -> None:
        self._backoff, self._own_failures = self._backoff.after_success(), 0

    def _finish(self, now: float) -> None:
        self._polled_at, self._is_hurried = now, False
        if self._is_whole or self._whole_due_at == math.inf:
            self._whole_due_at = now + self._tracker.rules.reread_seconds
        self.newest_ids = self._first_page.item_ids
        self._walk.restart()
        self.is_restored = True
        self._forget_failures()
        if self._has_given_up:
            self._has_given_up = False
            logger.info("list of recordings can be read again", extra={"app": self._app})
        self._tracker.is_listed_up_to(_newest_invoked_at(self._first_page))


def _newest_invoked_at(page: Page[ListedRecording]) -> float:
    """Return when the newest recording of a page was invoked, or 0 if no time is known."""
    invoked = (listed.recording.invoked_timestamp_seconds or 0.0 for listed in page.items)
    return max(invoked, default=0.0)

"""
The app's list of recordings, looked through now and then, newest first.

At the start it shows again what the exporter before this one showed. Then, each minute, its first
page shows what came and went between two readings of a meeting. And every few hours all of it
shows whose download URL was refreshed: a hundred with a call.
"""

import asyncio
import logging
import math

from collections.abc import Callable
from datetime import UTC, datetime

from rk_exporter.api.pagination import PER_PAGE, walk
from rk_exporter.api.results import Page
from rk_exporter.collector.protocols import RecordingsPageReader
from rk_exporter.model.errors import ApiError, ApiTimeout
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import ListedRecording
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.tracking.lifecycle import LONGEST_LIFE_SECONDS, URL_LIFETIME_SECONDS
from rk_exporter.tracking.tracker import RecordingTracker


logger = logging.getLogger(__name__)
# Each minute, less what a scrape may come early.
_EVERY_SECONDS = 59.0
# With a small budget, no more than one call in so many.
_CALLS_FOR_EACH = 50
_FIRST_RETRY_SECONDS = 10.0
_LONGEST_RETRY_SECONDS = 600.0
# A list that fails so often is not waited for any longer.
_FAILURES_IN_A_ROW = 5
_NOT_ITS_OWN = frozenset({Reason.AUTH, Reason.RATE_LIMITED, Reason.CONNECT, Reason.TLS})


class Backfill:
    """The looks at one app's list, all of which its *tracker* takes in; *clock* gives unix s."""

    def __init__(
        self,
        app: str,
        tracker: RecordingTracker,
        *,
        clock: Callable[[], float],
        newest_ids: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._tracker = tracker
        self._clock = clock
        self._due_at = -math.inf
        # What a process before this one has written down need not be looked for.
        self._whole_due_at = -math.inf if not newest_ids else math.inf
        self.newest_ids = newest_ids
        """What the first page of the last look showed."""
        self._first_page: Page[ListedRecording] | None = None
        self._next_page_no = 1
        self._is_whole = False
        self._has_got_on = False
        self._failures = self._own_failures = 0
        self.is_restored = False
        """Whether what was shown before the start is shown again, or cannot be."""

    def is_due(self) -> bool:
        """Tell whether the list is to be looked at now, or has been in part."""
        return asyncio.get_running_loop().time() >= self._due_at

    async def look(
        self, reader: RecordingsPageReader, context: PassContext, *, calls_per_second: float
    ) -> None:
        """
        Look at the list, or at what is left of it; a failure is left for later.

        Raises RateLimitWait where there are calls for a part of it only.
        """
        begun = asyncio.get_running_loop().time()
        if self._next_page_no == 1:
            self._is_whole = begun >= self._whole_due_at
        try:
            await walk(
                lambda page_no: self._fetch(page_no, reader, context),
                first=self._next_page_no,
                is_enough=self._is_enough,
            )
        except ApiError as error:
            self._fail(error, begun)
            return
        self._finish(begun, calls_per_second)

    async def _fetch(
        self, page_no: int, reader: RecordingsPageReader, context: PassContext
    ) -> Page[ListedRecording]:
        kept_seconds = max(URL_LIFETIME_SECONDS, self._tracker.rules.retain_seconds)
        oldest = max(0.0, self._clock() - kept_seconds - LONGEST_LIFE_SECONDS)
        since = datetime.fromtimestamp(oldest, UTC)
        asked_at = self._clock()
        page = await reader.recordings_page(page_no, context, status=None, since=since)
        if page_no == 1:
            self._first_page = page
        for listed in page.items:
            self._tracker.observe_listed(listed.meeting, listed.recording, asked_at=asked_at)
        self._next_page_no = page_no + 1
        self._has_got_on = True
        return page

    def _is_enough(self, page: Page[ListedRecording]) -> bool:
        if self._next_page_no > self._most_pages:
            return True
        return not self._is_whole and not set(self.newest_ids).isdisjoint(page.item_ids)

    @property
    def _most_pages(self) -> int:
        return math.ceil(self._tracker.rules.max_recordings / PER_PAGE) + 1

    def _fail(self, error: ApiError, now: float) -> None:
        logger.debug("%s", error, extra={"app": self._app})
        if not isinstance(error, ApiTimeout):
            self._next_page_no = 1
        elif self._has_got_on:
            # Slow is not broken: page by page it comes to its end.
            self._failures = self._own_failures = 0
        self._has_got_on = False
        self._failures += 1
        pause = _FIRST_RETRY_SECONDS * 2 ** min(self._failures - 1, 10)
        self._due_at = now + min(pause, _LONGEST_RETRY_SECONDS)
        if error.reason in _NOT_ITS_OWN:
            return
        self._own_failures += 1
        if self._own_failures != _FAILURES_IN_A_ROW:
            return
        logger.warning(
            "the list of recordings cannot be read (%s): recordings that come and go between two "
            "scrapes, or ended before the start, are not shown",
            error,
            extra={"app": self._app},
        )
        if not self.is_restored:
            self.is_restored = True
            self._tracker.begin_unlisted()

    def _finish(self, begun: float, calls_per_second: float) -> None:
        pause = max(_EVERY_SECONDS, _CALLS_FOR_EACH / calls_per_second)
        self._due_at = begun + pause
        if self._is_whole or self._whole_due_at == math.inf:
            self._whole_due_at = begun + self._tracker.rules.reread_seconds
        page, self._first_page = self._first_page, None
        self._next_page_no, self.is_restored = 1, True
        self._failures = self._own_failures = 0
        self.newest_ids = page.item_ids if page else ()
        invoked = [each.recording.invoked_timestamp_seconds for each in page.items] if page else []
        self._tracker.is_listed_up_to(max((at for at in invoked if at is not None), default=0.0))

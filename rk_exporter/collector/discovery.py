"""The meetings that people are in now, found through the app's live sessions."""

import asyncio
import logging

from collections.abc import Callable, Iterable, Iterator

from rk_exporter.api.pagination import walk
from rk_exporter.api.results import LiveSession, Page
from rk_exporter.collector.protocols import DiscoveryReader
from rk_exporter.model.errors import ApiError, NotFound
from rk_exporter.model.failure import Failure
from rk_exporter.model.meeting import DiscoveryState, Meeting, Reading, Room
from rk_exporter.ratelimit.limiter import RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext


logger = logging.getLogger(__name__)
# Every half minute, less what a scrape may come early.
_LIST_EVERY_SECONDS = 29.0
_TRY_SETTINGS_AGAIN_SECONDS = 600.0


class Discovery:
    """
    Live meetings, and those that were live and have a recording that is not finished.

    What was listed counts for *stale_after_seconds*; *clock* gives unix seconds.
    """

    def __init__(self, *, app: str, clock: Callable[[], float], stale_after_seconds: float) -> None:
        self._app = app
        self._clock = clock
        self._stale_after_seconds = stale_after_seconds
        self.usual_calls = 1
        """How many calls it takes to list the live sessions, as far as it is known."""
        self._listed_at: float | None = None
        self._tried_at: float | None = None
        self._failure: Failure | None = None
        self._live: dict[str, LiveSession] = {}
        self._overlooked: set[str] = set()
        self._meetings: dict[str, Meeting] = {}
        self._ended_at: dict[str, float] = {}
        self._record_on_start: dict[str, bool | None] = {}
        self._settings_tried_at: dict[str, float] = {}

    @property
    def meetings(self) -> Iterable[Meeting]:
        """Return the meetings found, longest known first."""
        return self._meetings.values()

    async def refresh(
        self, reader: DiscoveryReader, context: PassContext, *, calls_per_second: float
    ) -> None:
        """
        List the live sessions, where that is half a minute ago; a failure is left for later.

        With a budget of few *calls_per_second* it takes no more than half of them.
        """
        now = asyncio.get_running_loop().time()
        pause_seconds = max(_LIST_EVERY_SECONDS, 2 * self.usual_calls / calls_per_second)
        if self._tried_at is not None and now - self._tried_at < pause_seconds:
            return

        async def fetch(page_no: int) -> Page[LiveSession]:
            self.usual_calls = max(self.usual_calls, page_no)
            return await reader.live_sessions_page(page_no, context)

        try:
            pages = await walk(fetch)
        except RateLimitWait:
            return
        except ApiError as error:
            self._tried_at = now
            self._report(error.failure)
            return
        self._tried_at = now
        self._report(None)
        self.usual_calls = max(1, len(pages))
        self._take({session.meeting_id: session for page in pages for session in page.items})

    @property
    def state(self) -> DiscoveryState:
        """Return how the sessions were listed the last time, and when they could be."""
        return DiscoveryState(self._failure, self._listed_at)

    def _report(self, failure: Failure | None) -> None:
        """Log that sessions cannot be listed, or can again, once each time that it changes."""
        if failure == self._failure:
            return
        self._failure = failure
        if failure:
            logger.warning(
                "live sessions could not be listed: %s",
                failure.explanation,
                extra={"app": self._app},
            )
        else:
            logger.info("live sessions can be listed again", extra={"app": self._app})

    def _take(self, listed: dict[str, LiveSession]) -> None:
        self._listed_at = self._clock()
        # A list of several pages may shift between them: what is missing once is only overlooked.
        overlooked = self._live.keys() - listed.keys() - self._overlooked
        self._overlooked = overlooked if self.usual_calls > 1 else set()
        self._live = listed | {each: self._live[each] for each in self._overlooked}
        for meeting_id, session in self._live.items():
            self._ended_at.pop(meeting_id, None)
            self._meetings[meeting_id] = Meeting(meeting_id, session.meeting_name or meeting_id)
        for meeting_id in self._meetings.keys() - self._live.keys():
            self._ended_at.setdefault(meeting_id, self._listed_at)

    def add_recorded(self, meetings: Iterable[Meeting]) -> None:
        """Add meetings of which a recording was found, live or not."""
        for meeting in meetings:
            if meeting.meeting_id not in self._meetings:
                self._meetings[meeting.meeting_id] = meeting
                self._ended_at[meeting.meeting_id] = self._clock()

    def forget_ended(self, readings: Iterable[Reading]) -> None:
        """Drop the meetings that ended, and had no recording in progress when read after that."""
        for reading in readings:
            meeting_id = reading.meeting.meeting_id
            ended_at = self._ended_at.get(meeting_id)
            if ended_at is not None and self._is_over(reading, ended_at):
                del self._ended_at[meeting_id], self._meetings[meeting_id]
                self._record_on_start.pop(meeting_id, None)
                self._settings_tried_at.pop(meeting_id, None)

    def room(self, meeting_id: str) -> Room | None:
        """Return what is known of a meeting's room; None where sessions could not be listed."""
        if self._listed_at is None or self._clock() - self._listed_at > self._stale_after_seconds:
            return None
        session = self._live.get(meeting_id)
        return Room(
            is_live=session is not None,
            participants=session.participants if session else None,
            record_on_start=self._record_on_start.get(meeting_id),
        )

    def unknown_settings(self) -> Iterator[str]:
        """Return the live meetings whose settings are still to be read."""
        oldest = self._clock() - _TRY_SETTINGS_AGAIN_SECONDS
        for meeting_id in self._live:
            tried_at = self._settings_tried_at.get(meeting_id)
            if meeting_id not in self._record_on_start and (tried_at is None or tried_at < oldest):
                yield meeting_id

    async def read_settings(
        self, meeting_id: str, reader: DiscoveryReader, context: PassContext
    ) -> None:
        """Read the settings of a meeting once; where that fails, once more after a while."""
        try:
            settings = await reader.meeting_settings(meeting_id, context)
        except NotFound:
            self._record_on_start[meeting_id] = None
        except ApiError as error:
            self._settings_tried_at[meeting_id] = self._clock()
            fields = {"app": self._app, "meeting_id": meeting_id}
            logger.debug("settings could not be read: %s", error, extra=fields)
        else:
            self._record_on_start[meeting_id] = settings.record_on_start

    def _is_over(self, reading: Reading, ended_at: float) -> bool:
        if reading.recordings is None:
            # It could not be read; in time it is given up.
            return self._clock() - ended_at > self._stale_after_seconds
        if any(recording.in_progress for recording in reading.recordings):
            return False
        return (reading.last_success_timestamp_seconds or 0.0) >= ended_at

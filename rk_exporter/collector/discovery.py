"""The meetings that people are in now, found through the app's live sessions."""

import asyncio
import logging
import math

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.results import LiveSession, Page
from rk_exporter.collector.live_sessions import LiveMeeting, LiveSessions
from rk_exporter.collector.session_walk import EndlessList, SessionWalk
from rk_exporter.collector.work_queue import Job
from rk_exporter.model.errors import ApiError, NotFound
from rk_exporter.model.failure import Failure
from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import DiscoveryState, Meeting, Reading, Room
from rk_exporter.model.remedies import SESSIONS_REMEDIES, SLOW_SESSIONS_REMEDY
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.last_logged import LastLogged


logger = logging.getLogger(__name__)
# Half a minute, minus the time that a scrape may be early.
_INTERVAL_SECONDS = 29.0
# A list that does not end costs a hundred calls.
_ENDLESS_PAUSE_SECONDS = 600.0
_SETTINGS_RETRY_SECONDS = 600.0


class Discovery:
    """
    Live meetings, and meetings that were live and whose recording has not finished.

    A list of sessions is valid for *stale_after_seconds*.
    """

    def __init__(
        self, app: str, client: RealtimeKitClient, *, clock: Clock, stale_after_seconds: float
    ) -> None:
        self._app = app
        self._client = client
        self._clock = clock
        self._stale_after_seconds = stale_after_seconds
        self.usual_calls = 1
        """How many calls it takes to list the live sessions, as far as known."""
        self.state = DiscoveryState()
        """How listing the sessions went the last time, and when it last succeeded."""
        self._logged_failure: LastLogged[Failure | None] = LastLogged(None)
        self._logged_late = LastLogged(initial=False)
        self._tried_at = -math.inf
        self._walk = SessionWalk()
        self._asked_at = -math.inf
        self._due_since: float | None = None
        """Since when a list is due or has begun; None if the last one is complete or has failed."""
        self._pause_seconds = _INTERVAL_SECONDS
        self._live = LiveSessions()
        self._meetings: dict[str, Meeting] = {}
        self._ended_at: dict[str, float] = {}
        self._record_on_start: dict[str, bool | None] = {}
        self._settings_due_at: dict[str, float] = {}

    def change(self, app: str, *, stale_after_seconds: float) -> None:
        """Go on under another name of the *app*, with lists that are valid for another time."""
        self._app, self._stale_after_seconds = app, stale_after_seconds

    @property
    def meetings(self) -> Iterable[Meeting]:
        """Return the meetings, in the order in which they were found."""
        return self._meetings.values()

    def is_due(self, *, calls_per_second: float, is_hinted: bool) -> bool:
        """Return whether to list the live sessions, for which half of the calls can be used."""
        usual_seconds = self._pause_seconds
        if is_hinted and usual_seconds == _INTERVAL_SECONDS:
            usual_seconds = 0.0
        interval_seconds = max(usual_seconds, self._paid_seconds(calls_per_second))
        return self._clock.monotonic() - self._tried_at >= interval_seconds

    def _paid_seconds(self, calls_per_second: float) -> float:
        """Return how long it takes until half of the calls make up for the last ones."""
        return 2 * self._walk.calls / calls_per_second

    async def refresh(
        self, context: PassContext, *, calls_per_second: float, is_hinted: bool, most_calls: int
    ) -> bool:
        """
        List the live sessions if half a minute has passed or an event *is_hinted*.

        If *most_calls* are too few, the next pass goes on. It retries a failure as late, unless
        there was no connection. If the budget is small, this uses at most half of its
        *calls_per_second*. Return whether it has tried the list from its beginning.
        """
        now = self._clock.monotonic()
        if not self.is_due(calls_per_second=calls_per_second, is_hinted=is_hinted):
            return False
        longest_pause = self._stale_after_seconds + self._paid_seconds(calls_per_second)
        if now - self._asked_at > longest_pause:
            # Nobody has scraped for so long that the first pages are no longer true.
            self._walk.restart()
            self._due_since = None
        self._asked_at = now
        self._due_since = now if self._due_since is None else self._due_since
        is_new = self._walk.page_count == 0
        has_ended = await self._go_on(context, most_calls=most_calls)
        self._note_age(has_ended=has_ended)
        return is_new and has_ended

    async def _go_on(self, context: PassContext, *, most_calls: int) -> bool:
        """Read the next pages of the list; return whether that has come to its end or failed."""
        now, walk = self._clock.monotonic(), self._walk

        async def fetch(page_no: int) -> Page[LiveSession]:
            return await self._client.live_sessions_page(page_no, context)

        try:
            has_ended = await walk.go_on(fetch, most_calls=most_calls)
        except ApiError as error:
            self._add()
            walk.take_failure(error)
            self._fail(error, now)
            return True
        self._tried_at = now
        if not has_ended:
            self._pause_seconds = 0.0
            self._add()
            return False
        self._pause_seconds = _INTERVAL_SECONDS
        self.usual_calls = max(1, walk.page_count)
        self._update()
        walk.restart()
        self.state = replace(
            self.state, failure=None, last_success_timestamp_seconds=self._clock.wall()
        )
        self._log(None)
        return True

    def _fail(self, error: ApiError, now: float) -> None:
        self.state = replace(self.state, failure=error.failure)
        # The first pass with a connection lists them.
        self._tried_at = now if error.was_sent else self._tried_at
        is_endless = isinstance(error, EndlessList)
        self._pause_seconds = _ENDLESS_PAUSE_SECONDS if is_endless else _INTERVAL_SECONDS
        self._log(error.failure)

    def _note_age(self, *, has_ended: bool) -> None:
        """Note whether a list takes longer than it is valid; if it failed, that is not known."""
        since, now = self._due_since, self._clock.monotonic()
        is_long = since is not None and now - since > self._stale_after_seconds
        is_late = is_long or (self.state.is_late and not has_ended)
        if has_ended:
            self._due_since = None
        if self.state.failure is None and self._logged_late.changes_to(is_late):
            self.state = replace(self.state, is_late=is_late)
            self._log_late(is_late=is_late)

    def _log_late(self, *, is_late: bool) -> None:
        if is_late:
            logger.warning(
                "live sessions are listed too slowly, so new live meetings are found late",
                extra={
                    "app": self._app,
                    "pages": max(self._walk.page_count, self.usual_calls),
                    "remedy": SLOW_SESSIONS_REMEDY,
                },
            )
        else:
            logger.info("live sessions are listed in time again", extra={"app": self._app})

    def _log(self, failure: Failure | None) -> None:
        if not self._logged_failure.changes_to(failure):
            return
        fields = {"app": self._app}
        if failure is None:
            logger.info("live sessions can be listed again", extra=fields)
        else:
            logger.warning(
                "live sessions cannot be listed, so new live meetings are not found: %s",
                failure.explanation,
                extra=fields
                | {"reason": failure.reason.value, "remedy": SESSIONS_REMEDIES[failure.reason]},
            )

    def _add(self) -> None:
        """Add what the list has found so far; only one that has ended drops meetings."""
        self._live.add(self._walk.found)
        self._find_live()

    def _find_live(self) -> None:
        for meeting in self._live.meetings.values():
            self._find(meeting)

    def _find(self, live: LiveMeeting) -> None:
        meeting_id = live.meeting_id
        self._ended_at.pop(meeting_id, None)
        known = self._meetings.get(meeting_id, Meeting(meeting_id, meeting_id))
        self._meetings[meeting_id] = replace(known, name=live.name or known.name)

    def _update(self) -> None:
        """Take over the list, which has ended; only one that can be read whole drops meetings."""
        if self._walk.is_readable:
            self._live.update(self._walk.found, has_pages=self.usual_calls > 1)
        else:
            self._live.update_in_part(
                self._walk.found,
                now=self._clock.monotonic(),
                keep_seconds=self._stale_after_seconds,
            )
        self._find_live()
        for meeting_id in self._meetings.keys() - self._live.meetings.keys():
            self._ended_at.setdefault(meeting_id, self._clock.wall())

    def add_recorded(self, meetings: Iterable[Meeting]) -> None:
        """Add *meetings* from a list of recordings, live or not."""
        for meeting in meetings:
            if meeting.meeting_id not in self._meetings:
                self._meetings[meeting.meeting_id] = meeting
                self._ended_at[meeting.meeting_id] = self._clock.wall()

    def forget_ended(self, readings: Iterable[Reading]) -> None:
        """Drop the meetings that ended and, as read after that, have no recording in progress."""
        for reading in readings:
            meeting_id = canonical(reading.meeting.meeting_id)
            ended_at = self._ended_at.get(meeting_id)
            if ended_at is not None and self._is_over(reading, ended_at):
                del self._ended_at[meeting_id], self._meetings[meeting_id]
                self._record_on_start.pop(meeting_id, None)
                self._settings_due_at.pop(meeting_id, None)

    def room(self, meeting_id: str) -> Room | None:
        """Return what is known of a meeting's room; None if there is no valid list of sessions."""
        listed_at = self.state.last_success_timestamp_seconds
        if listed_at is None or self._clock.wall() - listed_at > self._stale_after_seconds:
            return None
        live = self._live.meetings.get(canonical(meeting_id))
        return Room(
            is_live=live is not None,
            participants=live.participants if live else None,
            record_on_start=self._record_on_start.get(canonical(meeting_id)),
        )

    def settings_jobs(self, context: PassContext) -> list[Job]:
        """Return jobs that read the settings of live meetings, as far as they are not known."""
        now, due_at = self._clock.wall(), self._settings_due_at
        due = [key for key in self._live.meetings if due_at.get(key, -math.inf) < now]
        return [partial(self._read_settings, key, context) for key in due]

    async def _read_settings(self, meeting_id: str, context: PassContext) -> None:
        """Read the settings of a meeting; they are read once, and after a failure again later."""
        due_at = math.inf
        context = context.hurried(asyncio.get_running_loop().time())
        try:
            self._record_on_start[meeting_id] = await self._client.record_on_start(
                meeting_id, context
            )
        except NotFound:
            pass
        except ApiError as error:
            retry_seconds = _SETTINGS_RETRY_SECONDS if error.was_sent else 0.0
            due_at = self._clock.wall() + retry_seconds
            fields = {"app": self._app, "meeting_id": meeting_id}
            logger.debug("meeting's settings could not be read: %s", error, extra=fields)
        self._settings_due_at[meeting_id] = due_at

    def _is_over(self, reading: Reading, ended_at: float) -> bool:
        if reading.recordings is None:
            # It could not be read, so drop it after a while.
            return self._clock.wall() - ended_at > self._stale_after_seconds
        if any(recording.in_progress for recording in reading.recordings):
            return False
        return (reading.last_success_timestamp_seconds or 0.0) >= ended_at

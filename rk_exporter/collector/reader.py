"""Reading an app with several connections at once: its meetings, and recordings by their ids."""

import asyncio
import logging

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from rk_exporter.collector.active_recordings import ActiveRecordingsLister
from rk_exporter.collector.backfill import Backfill
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.planner import Target
from rk_exporter.collector.protocols import Job, Reader
from rk_exporter.collector.readings import ReadResult
from rk_exporter.collector.work_queue import WorkQueue
from rk_exporter.model.errors import ApiError
from rk_exporter.model.failure import Failure
from rk_exporter.model.meeting import Meeting, Reading
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.tracking.tracker import RecordingTracker


logger = logging.getLogger(__name__)
# However tight the budget is, settings are read at last.
_SETTINGS_FIRST = 2
# As many times the calls that it takes to read what is in progress.
_SMALL_BUDGET = 4


class MeetingReader:
    """
    Reads one app through its *client*.

    What they find of recordings goes into *tracker*, without which they are not followed.
    """

    def __init__(
        self,
        app: str,
        client: Reader,
        *,
        tracker: RecordingTracker,
        review: Backfill | None,
        discovery: Discovery | None,
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._client = client
        self._tracker = tracker
        self._review = review
        self._discovery = discovery
        self._clock = clock
        self._list = ActiveRecordingsLister(app=app, clock=clock)
        self._left_over = 0
        self._review_waits = False

    @property
    def list_calls(self) -> int:
        """Return how many calls it takes to read the list."""
        return self._list.usual_calls

    @property
    def list_is_failing(self) -> bool:
        """Tell whether the list failed time and again."""
        return self._list.is_failing

    @property
    def whole_list_calls(self) -> int:
        """Return the same with what was left over the last time, though no more than as much."""
        return self.list_calls + min(self._left_over, self.list_calls)

    @property
    def newest_ids(self) -> tuple[str, ...]:
        """Return the ids of the newest recordings in the app's list."""
        return self._review.newest_ids if self._review else ()

    @property
    def is_restored(self) -> bool:
        """Tell whether what was shown before the start is shown again, or cannot be."""
        return self._review is None or self._review.is_restored

    @property
    def discovery_calls(self) -> int:
        """Return how many calls it takes to list the live sessions."""
        return self._discovery.usual_calls if self._discovery else 0

    async def discover(self, context: PassContext, *, calls_per_second: float) -> None:
        """List the live sessions where that is due."""
        if self._discovery:
            await self._discovery.refresh(self._client, context, calls_per_second=calls_per_second)

    async def read_each(
        self, targets: Iterable[Target], context: PassContext, *, calls_per_second: float
    ) -> list[ReadResult]:
        """Return what came of the calls that could be made for the meetings among *targets*."""
        attempts: list[ReadResult] = []
        errands = WorkQueue(self._client.max_concurrency, context.deadline)
        settings = self._settings_errands(context)
        reads = [
            self._attempt_errand(target, context, attempts, errands)
            if isinstance(target, Meeting)
            else self._follow_errand(target.recording_id, context)
            for target in targets
        ]
        # What is wrong with a token is told of a meeting, so one of them comes first; but not for
        # ever, where there is one call for a pass.
        first = 0 if self._review_waits else 1
        errands.add(*reads[:first], *self._review_errands(context, calls_per_second))
        errands.add(*settings[:_SETTINGS_FIRST], *reads[first:], *settings[_SETTINGS_FIRST:])
        await errands.run()
        self._review_waits = self._review is not None and self._review.is_due()
        return attempts

    async def read_list(
        self, readings: Sequence[Reading], context: PassContext, *, calls_per_second: float
    ) -> list[ReadResult]:
        """
        Return what the list of recordings in progress tells of each meeting in *readings*.

        A recording that was in progress, and is not in the list, is asked for: it has ended, or it
        has moved from one page or status to another between two calls.
        """
        listing = await self._list.read(self._client, context)
        made_at = self._clock()
        if self._discovery:
            self._discovery.add_recorded(each.meeting for each in listing.found.values())
        self._tracker.observe_in_progress(listing.found.values(), is_complete=listing.is_complete)
        by_meeting = listing.by_meeting()
        listed = dict.fromkeys([*by_meeting, *(each.meeting.meeting_id for each in readings)])
        attempts = [
            ReadResult(each, made_at, outcome)
            for each in listed
            if (outcome := listing.outcome(by_meeting.get(each))) is not None
        ]
        errands = WorkQueue(self._client.max_concurrency, context.deadline)
        due = sorted(self._tracker.due(now=made_at), key=lambda each: each[0], reverse=True)
        errands.add(*(self._follow_errand(each.recording_id, context) for _, each in due))
        reviews = self._review_errands(context, calls_per_second)
        settings = self._settings_errands(context)
        errands.add(*reviews, *settings)
        await errands.run()
        if listing.is_complete:
            left = len(errands)
            # For settings no more is saved up than for a few, and for the whole list nothing that
            # would keep a small budget from those in progress.
            self._left_over = min(left, max(_SETTINGS_FIRST, left - len(settings)))
            if calls_per_second * WINDOW_SECONDS < _SMALL_BUDGET * self.list_calls:
                self._left_over = max(0, self._left_over - len(reviews))
        return attempts

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _attempt_errand(
        self,
        meeting: Meeting,
        context: PassContext,
        attempts: list[ReadResult],
        errands: WorkQueue,
    ) -> Job:
        """Return the errand of reading a meeting, and what it no longer shows right after that."""

        async def errand() -> None:
            attempt = await self._attempt(meeting.meeting_id, context)
            is_late = asyncio.get_running_loop().time() >= context.deadline
            attempts.append(replace(attempt, deadline_exceeded=attempt.timed_out and is_late))
            if not isinstance(attempt.outcome, Failure):
                gone = self._tracker.observe_meeting(meeting, attempt.outcome)
                errands.add_next(self._follow_errand(each, context) for each in gone)

        return errand

    def _follow_errand(self, recording_id: str, context: PassContext) -> Job:
        """Return the errand of reading a recording by its id, unless it is seen until then."""

        async def errand() -> None:
            known = self._tracker.due_one(recording_id, now=self._clock())
            if known is None:
                return
            try:
                recording = await self._client.recording(recording_id, context)
            except ApiError as error:
                fields = {"app": self._app, "recording_id": recording_id}
                logger.debug("a recording could not be read: %s", error, extra=fields)
                self._tracker.observe_failure(recording_id)
                return
            if recording is None:
                self._tracker.observe_missing(recording_id)
            else:
                self._tracker.observe_details(recording)

        return errand

    def _review_errands(self, context: PassContext, calls_per_second: float) -> list[Job]:
        review = self._review
        if review is None or not review.is_due():
            return []
        return [lambda: review.look(self._client, context, calls_per_second=calls_per_second)]

    def _settings_errands(self, context: PassContext) -> list[Job]:
        if self._discovery is None:
            return []
        discovery = self._discovery

        def errand(meeting_id: str) -> Job:
            return lambda: discovery.read_settings(meeting_id, self._client, context)

        return [errand(meeting_id) for meeting_id in discovery.unknown_settings()]

    async def _attempt(self, meeting_id: str, context: PassContext) -> ReadResult:
        fields = {"app": self._app, "meeting_id": meeting_id}
        try:
            recordings = await self._client.active_recordings(meeting_id, context)
        except ApiError as error:
            logger.debug("%s", error, extra=fields)
            return ReadResult(meeting_id, self._clock(), error.failure)
        return ReadResult(meeting_id, self._clock(), recordings)

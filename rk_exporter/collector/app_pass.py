"""One pass over an app: from one frozen state to the next."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from rk_exporter.collector.active_recordings import ListResult
from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.app_state import AppState
from rk_exporter.collector.planner import due, plan
from rk_exporter.collector.readings import ReadResult, count_deferred, merge
from rk_exporter.collector.reads import CallReader, Job, JobResult, MeetingRead, RecordingRead
from rk_exporter.collector.work_queue import run_jobs
from rk_exporter.model.failure import Failure
from rk_exporter.model.meeting import Meeting, Reading, ReadMode
from rk_exporter.ratelimit.limiter import CallCounts
from rk_exporter.ratelimit.pass_context import PassContext


# However small the budget is, all settings are read some day.
_SETTINGS_FIRST = 2
# A budget is small if a window has calls for fewer lists than this.
_LISTS_IN_SMALL_BUDGET = 4


class AppPass:
    """
    One pass over an app, with the state *before* it.

    It reads the *configured* meetings, and those that discovery finds, unless their last attempt is
    less than *fresh_seconds* ago.
    """

    def __init__(
        self,
        parts: AppParts,
        before: AppState,
        context: PassContext,
        *,
        configured: tuple[Meeting, ...],
        fresh_seconds: float,
    ) -> None:
        self._parts = parts
        self._before = before
        self._context = context
        self._configured = configured
        self._fresh_seconds = fresh_seconds
        self._reader = CallReader(parts.app.name, parts.client, context, parts.clock)
        self.results: dict[str, ReadResult] = {}
        """The result for each meeting that was read, by its id."""

    async def run(self) -> AppState:
        """Return the state after the pass."""
        parts, begun_at = self._parts, self._parts.clock.wall()
        counts_before = parts.limiter.counts
        await self._discover()
        state = self._with_read_mode(parts.sync_meetings(self._before, self._configured))
        readings, now = state.snapshot.readings, parts.clock.wall()
        waiting = due(readings, now=now, fresh_seconds=self._fresh_seconds)
        if state.snapshot.read_mode is ReadMode.LIST:
            state = await self._read_list(state)
        else:
            state = await self._read_each(state, waiting)
        state = replace(
            parts.sync_meetings(state, self._configured),
            token=self._context.token,
            last_pass_at=begun_at,
            has_read=state.has_read or bool(self.results),
        )
        state = self._with_calls(state, counts_before)
        return self._merged(state, fresh_count=len(readings) - len(waiting))

    @property
    def _is_first(self) -> bool:
        return self._before.last_pass_at is None

    async def _discover(self) -> None:
        """List the live sessions, unless that would take calls that the readings need."""
        parts, discovery = self._parts, self._parts.discovery
        if discovery is None:
            return
        # Here and not after the last pass, so that a scrape shows the end of the recording.
        discovery.forget_ended(self._before.snapshot.readings)
        # Not some of the pages only, and not as the trial call after a block.
        is_affordable = parts.limiter.affordable(self._context) >= discovery.usual_calls
        is_blocked = parts.limiter.is_blocked and self._before.snapshot.readings
        if not is_blocked and (self._is_first or is_affordable):
            await discovery.refresh(
                parts.client, self._context, calls_per_second=parts.calls_per_second
            )

    def _with_read_mode(self, state: AppState) -> AppState:
        parts = self._parts
        choice = parts.selector.select(
            parts.load(state),
            was_over_budget=state.is_over_budget,
            list_calls=parts.lister.usual_calls,
            list_is_failing=parts.lister.is_failing,
        )
        return replace(
            state,
            is_over_budget=choice.is_over_budget,
            snapshot=replace(state.snapshot, read_mode=choice.mode),
        )

    async def _read_each(self, state: AppState, waiting: Sequence[Reading]) -> AppState:
        """Read the *waiting* meetings, and what else is due, one call each."""
        tracker, now = self._parts.tracker, self._parts.clock.wall()
        targets = plan(
            waiting,
            now=now,
            overdue=tracker.due(now=now),
            in_progress=tracker.in_progress(),
            urgent_first=state.urgent_first,
        )
        reads: list[Job] = [
            partial(self._reader.meeting, target)
            if isinstance(target, Meeting)
            else partial(self._read_recording, target.recording_id)
            for target in targets
        ]
        settings = self._settings_jobs()
        # Logs and metrics should blame a meeting for a problem with the token, so a meeting is
        # first; but not always, because a pass may have one call only.
        first = 0 if state.backfill_first else 1
        await self._run(
            *reads[:first],
            *self._backfill_jobs(),
            *settings[:_SETTINGS_FIRST],
            *reads[first:],
            *settings[_SETTINGS_FIRST:],
        )
        backfill = self._parts.backfill
        return replace(state, backfill_first=backfill is not None and backfill.is_due())

    async def _read_list(self, state: AppState) -> AppState:
        """
        Read the list of recordings in progress.

        Then read the recordings that are no longer in it: a recording has ended, or it has moved
        to another page or status between two calls.
        """
        parts = self._parts
        # Half of the list does not show which recordings have ended.
        if not self._is_first and parts.limiter.affordable(self._context) < parts.list_calls(state):
            return state
        result = await parts.lister.read(parts.client, self._context)
        self._take_list(result, state.snapshot.readings)
        now = parts.clock.wall()
        overdue = sorted(parts.tracker.due(now=now), key=lambda pair: pair[0], reverse=True)
        backfill, settings = self._backfill_jobs(), self._settings_jobs()
        left = await self._run(
            *(partial(self._read_recording, known.recording_id) for _, known in overdue),
            *backfill,
            *settings,
        )
        if not result.is_complete:
            return state
        # The next passes save calls for what is left, but only for a few settings; and if the
        # budget is small, recordings in progress are more urgent than the whole list.
        left = min(left, max(_SETTINGS_FIRST, left - len(settings)))
        if parts.limiter.fair_share < _LISTS_IN_SMALL_BUDGET * parts.lister.usual_calls:
            left = max(0, left - len(backfill))
        return replace(state, left_over=left)

    def _take_list(self, result: ListResult, readings: Iterable[Reading]) -> None:
        parts, made_at = self._parts, self._parts.clock.wall()
        if parts.discovery:
            parts.discovery.add_recorded(listed.meeting for listed in result.sightings)
        parts.tracker.observe_in_progress(result.sightings, is_complete=result.is_complete)
        by_meeting = result.by_meeting()
        for meeting_id in [*by_meeting, *(reading.meeting.meeting_id for reading in readings)]:
            outcome = result.outcome(by_meeting.get(meeting_id))
            if outcome is not None:
                self.results[meeting_id] = ReadResult(meeting_id, made_at, outcome)

    async def _run(self, *jobs: Job) -> int:
        """Run *jobs* as far as calls and time allow, and return how many are left."""
        return await run_jobs(
            jobs,
            workers=self._parts.client.max_concurrency,
            deadline=self._context.deadline,
            merge=self._merge,
        )

    def _merge(self, result: JobResult) -> Iterable[Job]:
        """Take in the *result* of a job, and return the jobs that follow from it."""
        tracker = self._parts.tracker
        if isinstance(result, MeetingRead):
            meeting, read = result.meeting, result.result
            self.results[meeting.meeting_id] = read
            if not isinstance(read.outcome, Failure):
                missing = tracker.observe_meeting(meeting, read.outcome)
                return [partial(self._read_recording, key) for key in missing]
        elif isinstance(result, RecordingRead):
            if result.outcome is None:
                tracker.observe_missing(result.recording_id)
            elif isinstance(result.outcome, Failure):
                tracker.observe_failure(result.recording_id)
            else:
                tracker.observe_details(result.outcome)
        return ()

    async def _read_recording(self, recording_id: str) -> JobResult:
        """Read a recording by its id, unless a later answer has shown it already."""
        parts = self._parts
        if parts.tracker.due_one(recording_id, now=parts.clock.wall()) is None:
            return None
        return await self._reader.recording(recording_id)

    def _backfill_jobs(self) -> list[Job]:
        parts, backfill = self._parts, self._parts.backfill
        if backfill is None or not backfill.is_due():
            return []
        poll = partial(
            backfill.poll, parts.client, self._context, calls_per_second=parts.calls_per_second
        )
        return [poll]

    def _settings_jobs(self) -> list[Job]:
        discovery = self._parts.discovery
        if discovery is None:
            return []
        return [
            partial(discovery.read_settings, meeting_id, self._parts.client, self._context)
            for meeting_id in discovery.unknown_settings()
        ]

    def _with_calls(self, state: AppState, counts_before: CallCounts) -> AppState:
        """Return *state* with what the calls of the pass show of the API and the token."""
        limiter, up = self._parts.limiter, state.snapshot.up
        has_called = limiter.counts.made > counts_before.made
        if has_called:
            up = limiter.counts.succeeded > counts_before.succeeded
        elif limiter.is_blocked:
            up = False
        # If a pass has one call only, the two queues take turns.
        urgent_first = state.urgent_first != has_called
        return replace(state, urgent_first=urgent_first, snapshot=replace(state.snapshot, up=up))

    def _merged(self, state: AppState, *, fresh_count: int) -> AppState:
        parts, now = self._parts, self._parts.clock.wall()
        if parts.limiter.is_blocked:
            grace = state.grace.record_block(now, state.interval.seconds)
            state = replace(state, grace=grace)
        oldest = parts.oldest_shown(state)
        readings = state.snapshot.readings
        snapshot = replace(
            state.snapshot,
            readings=merge(readings, self.results, oldest=oldest),
            deferred=count_deferred(readings, self.results, fresh_count=fresh_count),
            budget_status=parts.limiter.budget_status(now),
            discovery=parts.discovery.state if parts.discovery else None,
        )
        return parts.with_recordings(replace(state, snapshot=snapshot), oldest=oldest)

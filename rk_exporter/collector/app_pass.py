"""One pass over an app: from one frozen state to the next."""

import asyncio

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rk_exporter.collector.active_recordings import ListResult
from rk_exporter.collector.app_parts import AppParts, AppState
from rk_exporter.collector.check_reads import start_checks
from rk_exporter.collector.pass_hints import PassHints
from rk_exporter.collector.pass_jobs import PassJobs
from rk_exporter.collector.pass_log import PassReport
from rk_exporter.collector.pass_reads import PassReads
from rk_exporter.collector.readings import ReadResult, count_deferred, merge, retried
from rk_exporter.collector.work_queue import Job, run_jobs
from rk_exporter.model.failure import Failure
from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import Reading, ReadMode
from rk_exporter.model.remedies import Wait
from rk_exporter.ratelimit.pass_context import PassContext


# However small the budget is, all settings are read some day. But first, all meetings are.
_SETTINGS_FIRST = 2
# A budget is small if a window has calls for fewer lists than this.
_LISTS_IN_SMALL_BUDGET = 4


class AppPass:
    """
    One pass over an app, with the state *before* it.

    It reads the meetings whose last attempt is at least *fresh_seconds* ago.
    """

    def __init__(
        self, parts: AppParts, before: AppState, context: PassContext, *, fresh_seconds: float
    ) -> None:
        self._parts = parts
        self._before = before
        self._context = context
        self._fresh_seconds = fresh_seconds
        self._begun_at = parts.clock.wall()
        self._counts_before = parts.limiter.counts
        self._left_over = before.left_over
        self._waiting: list[Reading] = []
        self._hints = PassHints(parts.webhook.hints if parts.webhook else None, parts.tracker)
        self._reads = PassReads(parts, context, self._hints)
        self._jobs = PassJobs(parts, before, self._hints, self._reads)

    async def run(self) -> AppState:
        """Return the state after the pass."""
        parts, before = self._parts, self._before
        if parts.backfill and self._hints.is_recordings_list_due:
            parts.backfill.hurry()
        await self._discover()
        readings = parts.sync_meetings(before.snapshot.readings)
        if self._context.token != before.token:
            readings = retried(readings)
        list_calls = parts.lister.usual_calls
        parts.selector.select(
            parts.load(before, meetings=len(readings)),
            list_calls=list_calls,
            list_works=not parts.lister.is_failing and list_calls <= parts.limiter.limit,
        )
        waiting = parts.due(before, readings, fresh_seconds=self._fresh_seconds)
        waiting += self._hints.readings(readings, waiting)
        self._waiting = waiting
        if parts.selector.mode is ReadMode.LIST:
            await self._read_list(readings)
        else:
            await self._read_each(waiting)
            if self._has_called:
                parts.lister.compare(others_succeed=self._has_succeeded)
        await self._catch_up()
        fresh_count = len(readings) - len(waiting)
        return self._next_state(parts.sync_meetings(readings), fresh_count=fresh_count)

    def report(self, after: AppState) -> PassReport:
        """Return what the pass did, for the log; *after* is the state that it made."""
        parts, results = self._parts, self._reads.results
        outcomes = {key: result.outcome for key, result in results.items()}
        read = {key for key, result in results.items() if not result.deadline_exceeded}
        is_late = asyncio.get_running_loop().time() >= self._context.deadline
        is_blocked = parts.limiter.is_blocked
        return PassReport(
            now=parts.clock.monotonic(),
            snapshot=after.snapshot,
            meetings={
                key: outcome if isinstance(outcome, Failure) else None
                for key, outcome in outcomes.items()
            },
            recordings=self._reads.recordings,
            waiting=[
                reading.meeting.meeting_id
                for reading in self._waiting
                if reading.meeting.meeting_id not in read
            ],
            cause=Wait.BLOCKED if is_blocked else Wait.TIME if is_late else Wait.BUDGET,
            followed=after.saved.tracker.recordings,
            duplicates=parts.meetings.duplicates,
        )

    def settle_hints(self) -> None:
        """Drop the hints that the pass has followed."""
        reads = self._reads
        self._hints.settle(meeting_ids=reads.results, recording_ids=reads.recordings)

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
        rate, is_hinted = parts.calls_per_second, self._hints.is_discovery_due
        if not discovery.is_due(calls_per_second=rate, is_hinted=is_hinted):
            return
        # Not as the trial call after a block.
        if parts.limiter.is_blocked and self._before.snapshot.readings:
            return
        self._hints.has_discovered = await discovery.refresh(
            self._context,
            calls_per_second=rate,
            is_hinted=is_hinted,
            # As many are left for readings.
            most_calls=max(1, parts.limiter.affordable(self._context) // 2),
        )

    async def _read_each(self, waiting: Sequence[Reading]) -> None:
        """Read the *waiting* meetings, and what else is due, one call each."""
        reads = self._jobs.reads(waiting)
        early = 0 if self._is_first else _SETTINGS_FIRST
        settings = self._jobs.settings(self._context)
        # Logs and metrics should blame a meeting for a problem with the token, so a meeting is
        # first; but not always, because a pass may have one call only.
        first = 0 if self._before.backfill_first else 1
        await self._run(
            *reads[:first],
            *self._jobs.backfill(self._context),
            *settings[:early],
            *reads[first:],
            *settings[early:],
            *self._jobs.checks(),
        )

    async def _catch_up(self) -> None:
        """
        Read what was put off, if calls succeed again after a pass in which all of them failed.

        While all calls fail, no failure is about one recording or about the list alone.
        """
        if self._before.snapshot.up is False and self._has_succeeded:
            self._parts.forget_failures()
            await self._run(*self._jobs.reads(), *self._jobs.backfill(self._context))

    async def _read_list(self, readings: Iterable[Reading]) -> None:
        """
        Read the list of recordings in progress.

        Then read the recordings that are no longer in it: a recording has ended, or it has moved
        to another page or status between two calls.
        """
        parts, limiter = self._parts, self._parts.limiter
        # Half of the list does not show which recordings have ended.
        is_affordable = limiter.can_afford(parts.list_calls(self._before), self._context)
        if not (self._is_first or is_affordable):
            return
        result = await parts.lister.read(self._context)
        self._take_list(result, readings)
        jobs, context = self._jobs, self._context
        reads, backfill = jobs.reads(), jobs.backfill(context)
        settings, checks = jobs.settings(context), jobs.checks()
        left = await self._run(*reads, *backfill, *settings, *checks)
        if not result.is_complete:
            return
        # No calls are saved for checks, which wait for a pass that has some left.
        left = max(0, left - len(checks))
        # The next passes save calls for what is left, but only for a few settings; and if the
        # budget is small, recordings in progress are more urgent than the whole list.
        left = min(left, max(_SETTINGS_FIRST, left - len(settings)))
        if limiter.fair_share < _LISTS_IN_SMALL_BUDGET * parts.lister.usual_calls:
            left = max(0, left - len(backfill))
        self._left_over = left

    def _take_list(self, result: ListResult, readings: Iterable[Reading]) -> None:
        parts, made_at = self._parts, self._parts.clock.wall()
        if parts.discovery:
            parts.discovery.add_recorded(listed.meeting for listed in result.sightings)
        parts.tracker.observe_in_progress(result.sightings, is_complete=result.is_complete)
        others = () if result.is_complete else result.failure
        found = result.by_meeting()
        # The configuration may write an id in another way than the API.
        outcomes = {
            reading.meeting.meeting_id: found.pop(canonical(reading.meeting.meeting_id), others)
            for reading in readings
        }
        for meeting_id, outcome in (outcomes | found).items():
            if outcome is not None:
                self._reads.results[meeting_id] = ReadResult(made_at, outcome)

    async def _run(self, *jobs: Job) -> int:
        """Run *jobs* as far as calls and time allow, and return how many are left."""
        workers = self._parts.client.max_concurrency
        return await run_jobs(jobs, workers=workers, deadline=self._context.deadline)

    def _next_state(self, readings: tuple[Reading, ...], *, fresh_count: int) -> AppState:
        parts, now = self._parts, self._parts.clock.wall()
        state = self._memory(now)
        oldest = parts.oldest_shown(state, meetings=len(readings))
        snapshot = replace(
            state.snapshot,
            readings=merge(
                readings,
                self._reads.results,
                oldest=oldest,
                idle_age_seconds=parts.idle_age_seconds,
                has_succeeded=self._has_succeeded and parts.selector.mode is not ReadMode.LIST,
            ),
            up=(is_up := self._up()),
            last_pass_timestamp_seconds=now,
            outage=None if is_up else parts.limiter.outage(now),
            deferred=count_deferred(readings, self._reads.results, fresh_count=fresh_count),
            budget_status=parts.limiter.budget_status(now),
            files=parts.meetings.files,
            token_problem=parts.token.problem,
            discovery=parts.discovery.state if parts.discovery else None,
            duration_seconds=parts.clock.monotonic() - state.interval.starts[-1],
        )
        state = parts.with_recordings(state, snapshot, oldest=oldest)
        if parts.verifier:
            # Not before all recordings are known of which a URL was read.
            start_checks(parts.verifier, state.snapshot.recordings)
        return state

    def _memory(self, now: float) -> AppState:
        """Return the state with what the next pass must know, but with the snapshot before."""
        parts, before, backfill = self._parts, self._before, self._parts.backfill
        grace = before.grace
        if parts.limiter.is_blocked:
            grace = grace.record_block(now, before.interval.seconds)
        return replace(
            before,
            grace=grace,
            configured=parts.meetings.meetings,
            token=self._context.token,
            last_pass_at=self._begun_at,
            has_read=before.has_read or bool(self._reads.results),
            # If a pass has one call only, the two queues take turns.
            urgent_first=before.urgent_first != self._has_called,
            backfill_first=backfill is not None
            and backfill.is_due(calls_per_second=parts.calls_per_second),
            left_over=self._left_over,
        )

    @property
    def _has_called(self) -> bool:
        return self._parts.limiter.counts.made > self._counts_before.made

    @property
    def _has_succeeded(self) -> bool:
        return self._parts.limiter.counts.succeeded > self._counts_before.succeeded

    def _up(self) -> bool | None:
        """Return what the calls of the pass show of the API and the token."""
        limiter = self._parts.limiter
        if self._has_called:
            return self._has_succeeded
        may_not_call = limiter.is_blocked or limiter.is_unreachable
        return False if may_not_call else self._before.snapshot.up

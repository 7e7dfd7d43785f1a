"""The passes over one app: which meetings there are, how to read them, and what came of it."""

import asyncio
import logging

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from rk_exporter.api.client import PassContext
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.meeting_list import MeetingList, combine
from rk_exporter.collector.planner import due, plan
from rk_exporter.collector.read_mode import Load, ReadModeSelector
from rk_exporter.collector.reader import MeetingReader
from rk_exporter.collector.readings import ReadResult, StalenessGrace, merge, sync_meetings
from rk_exporter.collector.scrape_interval import ScrapeInterval
from rk_exporter.model.failure import Failure
from rk_exporter.model.meeting import App, Meeting, Reading, ReadMode
from rk_exporter.model.secret import Secret, TokenSource
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.snapshot import AppSnapshot
from rk_exporter.tracking.state_records import SavedApp
from rk_exporter.tracking.tracker import RecordingTracker


logger = logging.getLogger(__name__)
# A call that takes longer gives its worker to another meeting.
CALL_TIMEOUT_SECONDS = 5.0
# How long a pass waits for the budget, where a call is due in a moment. The first pass, which has
# nothing to show yet, waits for most of its time.
_PATIENCE_SECONDS = 1.0
_FIRST_PATIENCE = 0.9
# A scraper whose interval is the shortest that a reading serves is early now and then.
_FRESH = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRules:
    """How an app is to be read; *mode* None chooses by what the budget affords."""

    mode: ReadMode | None
    stale_after_seconds: float
    min_interval_seconds: float


class AppCollector:
    """
    The passes over the meetings in *directory*, and with a *discovery* over live ones.

    *clock* gives unix seconds, *monotonic* seconds that nobody sets.
    """

    def __init__(  # noqa: PLR0913 # the parts that it is made of
        self,
        app: App,
        directory: MeetingList,
        *,
        token: TokenSource,
        reader: MeetingReader,
        limiter: RateLimiter,
        rules: PassRules,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        tracker: RecordingTracker,
        server_clock: ServerClock,
        discovery: Discovery | None = None,
        readings: tuple[Reading, ...] = (),
    ) -> None:
        self._directory = directory
        self._discovery = discovery
        self._token = token
        self._reader = reader
        self._limiter = limiter
        self._rules = rules
        self._tracker = tracker
        self._server_clock = server_clock
        self._clock = clock
        self._monotonic = monotonic
        self._rhythm = ScrapeInterval()
        self._used_token: Secret | None = None
        self._has_read = False
        self._urgent_first = False
        self._last_pass_at: float | None = None
        self._told_failures: frozenset[str] = frozenset()
        self._hold = StalenessGrace(rules.stale_after_seconds)
        self._chooser = ReadModeSelector(app.name, rules.mode)
        self._listed: tuple[Meeting, ...] | None = None
        self.snapshot = AppSnapshot(app=app, readings=readings, read_mode=self._chooser.mode)
        self._relist()
        self._show_recordings()

    async def run_pass(self, deadline: float) -> AppSnapshot:
        """
        Read the meetings whose news is due, as far as calls and time until *deadline* (loop time).

        Where the last readings are young enough they are returned as they are.
        """
        begun = asyncio.get_running_loop().time()
        await self._directory.refresh()
        if self._discovery:
            # Here and not after a pass, so that the end of its recording is shown once.
            self._discovery.forget_ended(self.snapshot.readings)
        self._relist()
        token = self._token.current()
        fresh_seconds = _FRESH * self._rules.min_interval_seconds
        if token != self._used_token:
            # What another token was refused is tried at once.
            self._used_token, fresh_seconds = token, 0.0
        if self._is_fresh(fresh_seconds):
            return self.snapshot
        is_first, self._last_pass_at = self._last_pass_at is None, self._clock()
        context = self._begin(token, begun, deadline)
        await self._discover(context, is_first=is_first)
        self._relist()
        self._choose_mode()
        waiting = self._due(fresh_seconds)
        fresh_count = len(self.snapshot.readings) - len(waiting)
        attempts = await self._read(waiting, context, is_first=is_first)
        self._has_read = self._has_read or bool(attempts)
        if self._limiter.has_called:
            # Where there is one call for a pass, it is a lane's in turn.
            self._urgent_first = not self._urgent_first
        self._relist()
        self._merge(attempts, begun=begun, fresh_count=fresh_count)
        self._tell_failures(attempts)
        return self.snapshot

    @property
    def revision(self) -> int:
        """Return a number that is raised by whatever is worth to be kept at once."""
        return self._tracker.revision

    @property
    def saved(self) -> SavedApp:
        """Return the state that outlives the process."""
        return SavedApp(
            app=self.snapshot.app,
            tracker=self._tracker.state,
            readings=self.snapshot.readings,
            newest_ids=self._reader.newest_ids,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._reader.close()

    def _relist(self) -> None:
        """Take the list of meetings as it is now."""
        meetings, discovery = self._directory.meetings, self._discovery
        if discovery:
            meetings = combine([*meetings, *discovery.meetings])
        if discovery or meetings is not self._listed:
            room = discovery.room if discovery else _no_room
            readings = sync_meetings(self.snapshot.readings, meetings, room=room)
            self.snapshot = replace(self.snapshot, readings=readings)
            self._listed = meetings
        self._tracker.keep(meetings)
        if self.snapshot.files != self._directory.files:
            self.snapshot = replace(self.snapshot, files=self._directory.files)

    def _due(self, fresh_seconds: float) -> list[Reading]:
        return due(self.snapshot.readings, now=self._clock(), fresh_seconds=fresh_seconds)

    def _is_fresh(self, fresh_seconds: float) -> bool:
        """Tell whether no meeting needs to be read."""
        if self._last_pass_at is None or self._due(fresh_seconds):
            return False
        return 0 <= self._clock() - self._last_pass_at < fresh_seconds

    def _begin(self, token: Secret, begun: float, deadline: float) -> PassContext:
        """Set what counts for all calls of a pass."""
        seconds = deadline - begun
        patience = _PATIENCE_SECONDS if self._has_read else _FIRST_PATIENCE * seconds
        self._rhythm.beat(self._monotonic())
        # A budget that is too small for whole lists in every pass is saved up for them.
        lists_seconds = self._lists_calls / self._calls_per_second
        self._limiter.begin_pass(
            token,
            interval_seconds=max(self._rhythm.interval_seconds, lists_seconds),
            max_wait_seconds=min(patience, seconds),
        )
        # However many meetings hang, each worker gets to a second one.
        return PassContext(token, deadline, min(CALL_TIMEOUT_SECONDS, seconds / 2))

    @property
    def _lists_calls(self) -> int:
        """Return how many calls a pass takes that is of use at all."""
        is_list = self.snapshot.read_mode is ReadMode.LIST
        return self._reader.discovery_calls + (self._reader.whole_list_calls if is_list else 0)

    @property
    def _calls_per_second(self) -> float:
        return self._limiter.fair_share / WINDOW_SECONDS

    def _demand(self) -> Load:
        return Load(
            len(self.snapshot.readings), self._rhythm.interval_seconds, self._limiter.fair_share
        )

    def _choose_mode(self) -> None:
        """Choose how to read; people are told when not every meeting is read in every pass."""
        mode = self._chooser.choose(
            self._demand(),
            list_calls=self._reader.list_calls,
            list_is_failing=self._reader.list_is_failing,
        )
        self.snapshot = replace(self.snapshot, read_mode=mode)

    async def _discover(self, context: PassContext, *, is_first: bool) -> None:
        """List the live sessions, but not in pieces, and not as the call that tries a gate."""
        is_affordable = self._limiter.affordable() >= self._reader.discovery_calls
        is_held_back = self._limiter.is_held_back and self.snapshot.readings
        if not is_held_back and (is_first or is_affordable):
            await self._reader.discover(context, calls_per_second=self._calls_per_second)

    async def _read(
        self, waiting: list[Reading], context: PassContext, *, is_first: bool
    ) -> list[ReadResult]:
        if self.snapshot.read_mode is ReadMode.ACTIVE_RECORDING:
            now = self._clock()
            follows = self._tracker.due(now=now)
            targets = plan(
                waiting,
                now=now,
                follows=follows,
                in_progress=self._tracker.in_progress(),
                urgent_first=self._urgent_first,
            )
            return await self._reader.read_each(
                targets, context, calls_per_second=self._calls_per_second
            )
        # Half of the list would not tell which recordings have ended.
        if not is_first and self._limiter.affordable() < self._reader.whole_list_calls:
            return []
        return await self._reader.read_list(
            self.snapshot.readings, context, calls_per_second=self._calls_per_second
        )

    def _merge(self, attempts: list[ReadResult], *, begun: float, fresh_count: int) -> None:
        if self._limiter.is_held_back:
            self._hold.note(self._clock(), self._rhythm.interval_seconds)
        merged = merge(
            self.snapshot,
            attempts,
            ended_at=self._clock(),
            duration_seconds=asyncio.get_running_loop().time() - begun,
            stale_after_seconds=self._stale_after_seconds(),
            fresh_count=fresh_count,
        )
        self.snapshot = replace(
            merged,
            up=self._is_up(),
            budget_status=self._limiter.budget_status(),
            discovery=self._discovery.state if self._discovery else None,
        )
        self._relist()
        self._show_recordings()

    def _show_recordings(self) -> None:
        """Show the recordings that are known, and what became of all."""
        oldest = self._clock() - self._stale_after_seconds()
        self.snapshot = replace(
            self.snapshot,
            recordings=self._tracker.shown(oldest=oldest),
            counters=self._tracker.counters,
            is_restored=self._reader.is_restored,
            clock_offset_seconds=self._server_clock.offset_seconds,
        )

    def _is_up(self) -> bool | None:
        if self._limiter.has_called:
            return self._limiter.has_succeeded
        return False if self._limiter.is_held_back else self.snapshot.up

    def _stale_after_seconds(self) -> float:
        """Return how old a reading may get: a meeting that waits its turn is not to flap."""
        # Nor is all to vanish while calls are held back, or until its turn comes after that.
        wait_seconds = self._hold.extra_seconds(self._clock(), self._rhythm.interval_seconds)
        if self.snapshot.read_mode is ReadMode.LIST:
            wait_seconds += self._lists_calls / self._calls_per_second
        elif self._chooser.is_over_budget:
            wait_seconds += self._demand().round_robin_seconds
        return self._rules.stale_after_seconds + wait_seconds

    def _tell_failures(self, attempts: Iterable[ReadResult]) -> None:
        """Log how many meetings failed and why, once each time that the reasons change."""
        if not attempts:
            return
        failures = [each.outcome for each in attempts if isinstance(each.outcome, Failure)]
        counts = Counter(failure.reason.value for failure in failures)
        if counts.keys() == self._told_failures:
            return
        self._told_failures = frozenset(counts)
        if not failures:
            logger.info("all meetings can be read again", extra=self._fields())
            return
        reasons = ",".join(f"{reason}:{count}" for reason, count in sorted(counts.items()))
        logger.warning(
            "meetings could not be read; the first: %s",
            failures[0].explanation,
            extra=self._fields(failed=len(failures), reasons=reasons),
        )

    def _fields(self, **fields: object) -> dict[str, object]:
        return {"app": self.snapshot.app.name, **fields}


def _no_room(meeting_id: str) -> None:
    """Return that nothing is known of any room."""
    del meeting_id

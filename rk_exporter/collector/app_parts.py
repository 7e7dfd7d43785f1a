"""The parts of one app that passes use, and what follows from them."""

from dataclasses import dataclass, replace

from rk_exporter.collector.active_recordings import ActiveRecordingsLister
from rk_exporter.collector.app_state import AppState
from rk_exporter.collector.backfill import Backfill
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.meeting_list import combine
from rk_exporter.collector.protocols import Client
from rk_exporter.collector.read_mode import Load, ReadModeSelector
from rk_exporter.collector.readings import StalenessGrace, sync_meetings
from rk_exporter.model.meeting import App, Meeting, ReadMode
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.snapshot import AppSnapshot
from rk_exporter.tracking.state_records import SavedApp
from rk_exporter.tracking.tracker import RecordingTracker


@dataclass(frozen=True, slots=True, kw_only=True)
class AppParts:
    """The parts of one app; its collector owns them, and each part changes only itself."""

    app: App
    clock: Clock
    client: Client
    limiter: RateLimiter
    server_clock: ServerClock
    tracker: RecordingTracker
    lister: ActiveRecordingsLister
    selector: ReadModeSelector
    discovery: Discovery | None
    backfill: Backfill | None
    stale_after_seconds: float

    def initial_state(self, configured: tuple[Meeting, ...], restored: SavedApp | None) -> AppState:
        """Return the state before the first pass."""
        state = AppState(
            snapshot=AppSnapshot(
                app=self.app,
                readings=restored.readings if restored else (),
                read_mode=self.selector.initial.mode,
            ),
            saved=SavedApp(app=self.app, tracker=self.tracker.state),
            revision=self.tracker.revision,
            grace=StalenessGrace(self.stale_after_seconds),
        )
        state = self.sync_meetings(state, configured)
        return self.with_recordings(state, oldest=self.oldest_shown(state))

    def sync_meetings(self, state: AppState, configured: tuple[Meeting, ...]) -> AppState:
        """Return *state* with the *configured* meetings and those that discovery has found."""
        discovery = self.discovery
        meetings = combine([*configured, *discovery.meetings]) if discovery else configured
        self.tracker.set_meetings(meetings)
        if discovery is None and configured is state.configured:
            return state
        room = discovery.room if discovery else _no_room
        readings = sync_meetings(state.snapshot.readings, meetings, room=room)
        snapshot = replace(state.snapshot, readings=readings)
        return replace(state, snapshot=snapshot, configured=configured)

    def with_recordings(self, state: AppState, *, oldest: float) -> AppState:
        """Return *state* with what the tracker knows; *oldest* is in unix seconds."""
        snapshot = replace(
            state.snapshot,
            recordings=self.tracker.shown(oldest=oldest),
            counters=self.tracker.counters,
            is_restored=self.backfill is None or self.backfill.is_restored,
            clock_offset_seconds=self.server_clock.offset_seconds,
        )
        saved = SavedApp(
            app=self.app,
            tracker=self.tracker.state,
            readings=snapshot.readings,
            newest_ids=self.backfill.newest_ids if self.backfill else (),
        )
        return replace(state, snapshot=snapshot, saved=saved, revision=self.tracker.revision)

    @property
    def calls_per_second(self) -> float:
        """Return this app's part of the token's budget."""
        return self.limiter.fair_share / WINDOW_SECONDS

    def load(self, state: AppState) -> Load:
        """Return what one call per meeting and pass takes."""
        meetings = len(state.snapshot.readings)
        return Load(meetings, state.interval.seconds, self.limiter.fair_share)

    def list_calls(self, state: AppState) -> int:
        """Return how many calls to save for the list and for a part of the calls left over."""
        return self.lister.usual_calls + min(state.left_over, self.lister.usual_calls)

    def pass_calls(self, state: AppState) -> int:
        """Return how many calls a pass needs before it can show anything."""
        calls = self.discovery.usual_calls if self.discovery else 0
        is_list = state.snapshot.read_mode is ReadMode.LIST
        return calls + (self.list_calls(state) if is_list else 0)

    def oldest_shown(self, state: AppState) -> float:
        """Return how old a reading may be, in unix seconds, without flapping between its turns."""
        now = self.clock.wall()
        # Readings must also survive until calls are no longer blocked, and their turn comes.
        wait_seconds = state.grace.grace_seconds(now, state.interval.seconds)
        if state.snapshot.read_mode is ReadMode.LIST:
            wait_seconds += self.pass_calls(state) / self.calls_per_second
        elif state.is_over_budget:
            wait_seconds += self.load(state).round_robin_seconds
        return now - self.stale_after_seconds - wait_seconds


def _no_room(meeting_id: str) -> None:
    """Return that nothing is known of any room."""
    del meeting_id

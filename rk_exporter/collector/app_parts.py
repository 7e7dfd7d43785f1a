"""The parts of one app, and the state that its passes change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.archive.reader import AppArchive
from rk_exporter.collector.active_recordings import ActiveRecordingsLister
from rk_exporter.collector.app_webhook import AppWebhook
from rk_exporter.collector.backfill import Backfill
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.meeting_list import MeetingList, combine
from rk_exporter.collector.planner import due, without_idle
from rk_exporter.collector.read_mode import Load, ReadModeSelector
from rk_exporter.collector.readings import StalenessGrace, retried, sync_meetings
from rk_exporter.collector.scrape_interval import USUAL_INTERVAL_SECONDS, ScrapeInterval
from rk_exporter.downloads.verifier import DownloadVerifier
from rk_exporter.model.download import FileCheck
from rk_exporter.model.meeting import App, Meeting, Reading, ReadMode
from rk_exporter.model.secret import Secret, TokenSource
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.snapshot import AppSnapshot
from rk_exporter.tracking.state_records import SavedApp
from rk_exporter.tracking.tracker import RecordingTracker


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """The snapshot and the memory of the passes over one app, replaced as a whole."""

    snapshot: AppSnapshot
    saved: SavedApp
    """The part that outlives the process."""
    revision: int
    """Incremented by every change that must be saved immediately."""
    grace: StalenessGrace
    configured: tuple[Meeting, ...] | None = None
    """The configured meetings and those in files, as of the last pass."""
    interval: ScrapeInterval = field(default_factory=ScrapeInterval)
    token: Secret | None = None
    """The token of the last pass."""
    last_pass_at: float | None = None
    has_read: bool = False
    """Whether a pass has read any meeting."""
    urgent_first: bool = False
    """Whether the urgent queue starts in the next pass."""
    backfill_first: bool = False
    """Whether the next pass starts with the list of recordings, because the last had no call."""
    left_over: int = 0
    """How many calls the last pass could not make after it had read the whole list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppParts:
    """The parts of one app; its collector owns them, and each part changes only itself."""

    app: App
    clock: Clock
    meetings: MeetingList
    token: TokenSource
    client: RealtimeKitClient
    limiter: RateLimiter
    server_clock: ServerClock
    tracker: RecordingTracker
    lister: ActiveRecordingsLister
    selector: ReadModeSelector
    discovery: Discovery | None
    backfill: Backfill | None
    verifier: DownloadVerifier | None
    stale_after_seconds: float
    archive: AppArchive | None = None
    usual_interval_seconds: float = USUAL_INTERVAL_SECONDS
    webhook: AppWebhook | None = None

    def initial_state(self, restored: SavedApp | None) -> AppState:
        """Return the state before the first pass."""
        readings = self.sync_meetings(restored.readings if restored else ())
        state = AppState(
            snapshot=AppSnapshot(
                app=self.app,
                readings=readings,
                archive=self.archive.status if self.archive else None,
            ),
            saved=SavedApp(app=self.app, tracker=self.tracker.state),
            revision=self.tracker.revision,
            grace=StalenessGrace(self.stale_after_seconds),
            interval=ScrapeInterval(usual_seconds=self.usual_interval_seconds),
        )
        oldest = self.oldest_shown(state, meetings=len(readings))
        return self.with_recordings(state, state.snapshot, oldest=oldest)

    def changed_state(self, before: AppState) -> AppState:
        """Return the state with which a new configuration goes on after that of another one."""
        readings = retried(self.sync_meetings(before.snapshot.readings))
        budget_status = before.snapshot.budget_status
        snapshot = replace(
            before.snapshot,
            app=self.app,
            readings=readings,
            files=self.meetings.files,
            discovery=self.discovery.state if self.discovery else None,
            token_problem=self.token.problem,
            budget_status=budget_status and self.limiter.budget_status(self.clock.wall()),
            archive=self.archive.status if self.archive else None,
        )
        grace = replace(before.grace, stale_after_seconds=self.stale_after_seconds)
        # The next pass compares the list of meetings and the token with those of the last one.
        state = replace(before, grace=grace, configured=None)
        oldest = self.oldest_shown(state, meetings=len(readings))
        return self.with_recordings(state, snapshot, oldest=oldest)

    def sync_meetings(self, readings: Iterable[Reading]) -> tuple[Reading, ...]:
        """Return *readings* of the configured meetings and of those that discovery has found."""
        meetings, discovery = self.meetings.meetings, self.discovery
        if discovery:
            meetings = combine([*meetings, *discovery.meetings])
        if self.tracker.set_meetings(meetings) and self.backfill:
            self.backfill.include_more()
        if self.webhook:
            self.webhook.set_meetings(meetings)
        room = discovery.room if discovery else lambda _: None
        return sync_meetings(readings, meetings, room=room)

    def forget_failures(self) -> None:
        """Put off nothing any longer, because the failures were about the whole API."""
        self.tracker.forget_failures()
        if self.backfill:
            self.backfill.forget_failure()

    def with_recordings(self, state: AppState, snapshot: AppSnapshot, *, oldest: float) -> AppState:
        """Return *state* with *snapshot* and what the parts know; *oldest* is in unix seconds."""
        backfill, shown = self.backfill, self.tracker.shown(oldest=oldest)
        snapshot = replace(
            snapshot,
            read_mode=self.selector.mode,
            recordings=shown.recordings,
            totals=shown.totals,
            counters=self.tracker.counters,
            downloads=self.verifier.result if self.verifier else None,
            is_restored=backfill is None or backfill.is_restored,
            clock_offset_seconds=(ahead := self.server_clock.offset_seconds),
            webhook=self.webhook.observe(shown.recordings, api_ahead_seconds=ahead)
            if self.webhook
            else None,
        )
        saved = SavedApp(
            app=self.app,
            tracker=self.tracker.state,
            readings=snapshot.readings,
            newest_ids=backfill.newest_ids if backfill else (),
            downloads=_checks(snapshot),
        )
        return replace(state, snapshot=snapshot, saved=saved, revision=self.tracker.revision)

    def due(
        self, state: AppState, readings: Sequence[Reading], *, fresh_seconds: float
    ) -> list[Reading]:
        """Return the *readings* of meetings whose turn it is, without what events have hinted."""
        now, webhook = self.clock.wall(), self.webhook
        waiting = due(readings, now=now, fresh_seconds=fresh_seconds)
        idle_seconds = webhook and webhook.idle_seconds(interval_seconds=state.interval.seconds)
        # While calls fail, at least one must be made: nothing else shows that they succeed again.
        if not idle_seconds or state.snapshot.up is False:
            return waiting
        in_progress = self.tracker.in_progress()
        return without_idle(waiting, now=now, idle_seconds=idle_seconds, in_progress=in_progress)

    @property
    def idle_age_seconds(self) -> float:
        """Return how much older than others the last reading of an idle meeting may be."""
        return self.webhook.idle_age_seconds if self.webhook else 0.0

    def with_archive(self, state: AppState) -> AppState:
        """Return *state* with what is known about the copies of the recordings."""
        if self.archive is None:
            return state
        recordings, is_complete = state.saved.tracker.recordings, state.snapshot.is_restored
        status = self.archive.update(recordings, is_complete=is_complete)
        return replace(state, snapshot=replace(state.snapshot, archive=status))

    @property
    def calls_per_second(self) -> float:
        """Return this app's part of its group's budget."""
        return self.limiter.fair_share / WINDOW_SECONDS

    def load(self, state: AppState, *, meetings: int) -> Load:
        """Return what one call per meeting and pass takes."""
        return Load(meetings, state.interval.seconds, self.limiter.fair_share)

    def list_calls(self, state: AppState) -> int:
        """Return how many calls to save for the list and for a part of the calls left over."""
        return self.lister.usual_calls + min(state.left_over, self.lister.usual_calls)

    def saving_seconds(self, state: AppState) -> float:
        """Return how long the budget takes to allow what a pass needs to show anything."""
        calls = self.discovery.usual_calls if self.discovery else 0
        if self.selector.mode is ReadMode.LIST:
            calls += self.list_calls(state)
        return calls / self.calls_per_second

    def oldest_shown(self, state: AppState, *, meetings: int) -> float:
        """Return how old a reading may be, in unix seconds, without flapping between its turns."""
        now = self.clock.wall()
        # Readings must also survive until calls are no longer blocked, and their turn comes.
        wait_seconds = state.grace.grace_seconds(now, state.interval.seconds)
        if self.selector.mode is ReadMode.LIST:
            wait_seconds += self.saving_seconds(state)
        elif self.selector.is_over_budget:
            wait_seconds += self.load(state, meetings=meetings).round_robin_seconds
        return now - self.stale_after_seconds - wait_seconds


def _checks(snapshot: AppSnapshot) -> tuple[FileCheck, ...]:
    downloads = snapshot.downloads
    return tuple(chain.from_iterable(downloads.by_recording.values())) if downloads else ()

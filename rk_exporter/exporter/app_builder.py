"""Builds the parts of an app from a configuration, and changes them to another one."""

from dataclasses import dataclass, replace

from rk_exporter.api.calls import ApiCaller
from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.connection import ConnectionPool
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.archive.reader import AppArchive
from rk_exporter.collector.active_recordings import ActiveRecordingsLister
from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.app_webhook import AppWebhook
from rk_exporter.collector.backfill import Backfill
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.meeting_list import MeetingList
from rk_exporter.collector.read_mode import ReadModeSelector
from rk_exporter.collector.scrape_interval import USUAL_INTERVAL_SECONDS
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.config import Config
from rk_exporter.exporter.archives import Archives
from rk_exporter.exporter.downloads import Downloads
from rk_exporter.metrics.own_metrics import OwnMetrics
from rk_exporter.model.meeting import App
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.groups import BudgetGroups
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.tracking.lifecycle import FollowRules
from rk_exporter.tracking.state_file import StateFile
from rk_exporter.tracking.state_records import SavedApp
from rk_exporter.tracking.tracker import RecordingTracker


# Recordings in progress are read again before their last reading is too old to be shown.
_REREAD_RATIO = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedParts:
    """The parts that all apps of an exporter share; no configuration changes them."""

    clock: Clock
    clients: ClientPool
    groups: BudgetGroups
    metrics: OwnMetrics
    state_file: StateFile | None
    archives: Archives
    workers_per_app: int
    persistent: bool
    one_pass: bool
    downloads: Downloads


class AppBuilder:
    """Builds each app of a configuration, with what all of them *share*."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    def new(
        self, config: Config, app: AppConfig, token: Secret, restored: SavedApp | None
    ) -> AppParts:
        """Return the parts of an app that begins with what the state file has *restored*."""
        shared, name, clock = self._shared, app.app.name, self._shared.clock
        limiter = RateLimiter(shared.groups[app.budget_group], token=token)
        server_clock = ServerClock(clock)
        tracker = RecordingTracker(
            name,
            _follow_rules(config, app),
            clock=clock.wall,
            server_clock=server_clock,
            state=restored.tracker if restored else None,
        )
        client = self._client(config, app.app, limiter, server_clock)
        verifier = shared.downloads.new_verifier(config, app, server_clock, restored)
        client.files = verifier
        return AppParts(
            app=app.app,
            clock=clock,
            meetings=MeetingList(app.meetings, app.meeting_files),
            token=app.token,
            client=client,
            limiter=limiter,
            server_clock=server_clock,
            tracker=tracker,
            lister=ActiveRecordingsLister(name, client, clock=clock),
            selector=ReadModeSelector(name, app.read),
            discovery=self._discovery(config, app, client),
            backfill=self._backfill(name, client, tracker, restored),
            verifier=verifier,
            stale_after_seconds=config.stale_after_seconds,
            archive=self._archive(app),
            usual_interval_seconds=WINDOW_SECONDS if shared.one_pass else USUAL_INTERVAL_SECONDS,
            webhook=AppWebhook(clock) if config.webhook_address and not shared.one_pass else None,
        )

    def changed(self, before: AppParts, config: Config, app: AppConfig, token: Secret) -> AppParts:
        """Return the parts of a running app after the change to another configuration."""
        shared, name = self._shared, app.app.name
        before.limiter.join(shared.groups[app.budget_group], token)
        before.client.change(
            app.app, base_url=config.base_url, observer=shared.metrics.calls.of(name)
        )
        before.tracker.change(name, _follow_rules(config, app))
        before.lister.rename(name)
        before.selector.change(name, app.read)
        if before.backfill:
            before.backfill.rename(name)
        verifier = before.client.files = shared.downloads.changed_verifier(
            config, app, before.verifier, before.server_clock
        )
        return replace(
            before,
            app=app.app,
            meetings=MeetingList(app.meetings, app.meeting_files),
            token=app.token,
            discovery=self._discovery(config, app, before.client, before.discovery),
            verifier=verifier,
            stale_after_seconds=config.stale_after_seconds,
            archive=self._archive(app, before.archive),
        )

    def leave(self, parts: AppParts) -> None:
        """End what goes on beside the passes over an app that is read no longer."""
        self._shared.archives.leave(parts.archive)
        if parts.verifier:
            parts.verifier.leave()

    def _backfill(
        self,
        name: str,
        client: RealtimeKitClient,
        tracker: RecordingTracker,
        restored: SavedApp | None,
    ) -> Backfill | None:
        if not self._shared.persistent:
            return None
        newest_ids = restored.newest_ids if restored else ()
        return Backfill(name, client, tracker, clock=self._shared.clock, newest_ids=newest_ids)

    def _discovery(
        self,
        config: Config,
        app: AppConfig,
        client: RealtimeKitClient,
        before: Discovery | None = None,
    ) -> Discovery | None:
        if not app.discover:
            return None
        stale_after_seconds = config.stale_after_seconds
        if before is None:
            return Discovery(
                app.app.name,
                client,
                clock=self._shared.clock,
                stale_after_seconds=stale_after_seconds,
            )
        before.change(app.app.name, stale_after_seconds=stale_after_seconds)
        return before

    def _archive(self, app: AppConfig, before: AppArchive | None = None) -> AppArchive | None:
        # A process that ends after one pass would end before the list of its bucket.
        wanted = app.archive if self._shared.persistent and not self._shared.one_pass else None
        return self._shared.archives.of(wanted, before)

    def _client(
        self, config: Config, app: App, limiter: RateLimiter, server_clock: ServerClock
    ) -> RealtimeKitClient:
        shared = self._shared
        return RealtimeKitClient(
            ApiCaller(
                app,
                base_url=config.base_url,
                pool=ConnectionPool(shared.clients, size=shared.workers_per_app),
                limiter=limiter,
                observer=shared.metrics.calls.of(app.name),
                server_clock=server_clock,
            )
        )


def _follow_rules(config: Config, app: AppConfig) -> FollowRules:
    return FollowRules(
        retain_seconds=config.follow_retain_seconds,
        max_recordings=config.follow_max_recordings,
        reread_seconds=config.follow_reread_seconds,
        keep_removed=config.follow_keep_removed,
        longest_pause_seconds=_REREAD_RATIO * config.stale_after_seconds,
        any_meeting=app.discover,
    )

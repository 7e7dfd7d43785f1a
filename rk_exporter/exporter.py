"""The composition root: builds the parts of an exporter from a configuration."""

from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector

from rk_exporter.api.client import (
    ACTIVE_RECORDING,
    MEETING,
    RECORDING,
    RECORDINGS,
    SESSIONS,
    RealtimeKitClient,
)
from rk_exporter.api.connection import ClientFactory, ConnectionPool, client_factory
from rk_exporter.collector.active_recordings import ActiveRecordingsLister
from rk_exporter.collector.app_collector import AppCollector
from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.backfill import Backfill
from rk_exporter.collector.collector import Collector
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.error_boundary import ErrorBoundary
from rk_exporter.collector.meeting_list import MeetingList
from rk_exporter.collector.read_mode import ReadModeSelector
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.config import Config
from rk_exporter.metrics.api_calls import ApiCallMetrics
from rk_exporter.metrics.exposition import Exposition
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.metrics.internal_errors import internal_errors
from rk_exporter.model.meeting import App, ReadMode
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.limiter import LimitsByToken, RateLimiter
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.lifecycle import FollowRules
from rk_exporter.tracking.state_file import StateFile
from rk_exporter.tracking.state_records import SavedApp
from rk_exporter.tracking.tracker import RecordingTracker
from rk_exporter.web.application import Application


# The API's limit allows four calls a second, so more connections would not help.
WORKERS_PER_APP = 8
# Recordings in progress are read again before their last reading is too old to be shown.
_REREAD_RATIO = 0.75


@dataclass(eq=False, repr=False)
class Exporter:
    """
    All parts of one exporter; two exporters share nothing.

    Tests replace the *clock*, and *make_client*, which opens connections. An exporter that is not
    *persistent* neither reads nor writes the state file, and does not look for recordings that
    ended before its start. Raises SetupError and StateFileError.
    """

    config: Config
    _: KW_ONLY
    make_client: ClientFactory | None = None
    clock: Clock = field(default_factory=Clock)
    workers_per_app: int = WORKERS_PER_APP
    persistent: bool = True

    def __post_init__(self) -> None:
        config = self.config
        self._make_client = self.make_client or client_factory(config.base_url)
        self._limits = LimitsByToken(
            reserve_ratio=config.reserve_ratio, monotonic=self.clock.monotonic
        )
        self._state_file = None
        if config.state_file and self.persistent:
            self._state_file = StateFile(config.state_file, clock=self.clock.wall)
        self._registry = CollectorRegistry()
        names = [app.app.name for app in config.apps]
        self._call_metrics = ApiCallMetrics(
            {app.app.name: _endpoints(app) for app in config.apps}, registry=self._registry
        )
        self._internal_errors = internal_errors(names, registry=self._registry)
        ProcessCollector(registry=self._registry)
        self._snapshot_families = SnapshotFamilies()
        self.parts: dict[str, AppParts] = {}
        """The parts of each app, by its name; `check` makes calls of its own with them."""
        self.collector = Collector(
            self._apps(),
            clock=self.clock,
            stale_after_seconds=config.stale_after_seconds,
            store=self._state_file,
        )
        self.exposition = Exposition(self.families)
        self.application = self._application()

    def families(self, snapshot: Snapshot) -> Iterable[Metric]:
        """Return all metrics: those of the *snapshot*, and the exporter's own as of now."""
        return chain(self._snapshot_families(snapshot), self._registry.collect())

    async def close(self) -> None:
        """Close all connections to the API, save the state, and stop the rendering thread."""
        try:
            await self.collector.close()
        finally:
            if self._state_file:
                self._state_file.close()
            self.exposition.close()

    def _application(self) -> Application:
        return Application(
            scrape=self.collector.scrape,
            why_not_ready=self.collector.why_not_ready,
            exposition=self.exposition,
            telemetry_path=self.config.telemetry_path,
            timeout_offset_seconds=self.config.timeout_offset_seconds,
            max_requests=self.config.max_requests,
        )

    def _apps(self) -> list[tuple[AppCollector, ErrorBoundary]]:
        apps = self.config.apps
        tokens = [app.token.current() for app in apps]
        budgets: dict[Secret, int] = {}
        for app, token in zip(apps, tokens, strict=True):
            # Apps that use the same token share the smallest of their budgets.
            budgets[token] = min(app.budget, budgets.get(token, app.budget))
        return [
            (
                self._app_collector(app, token, budgets[token]),
                ErrorBoundary(app.app.name, count=self._internal_errors.labels(app.app.name).inc),
            )
            for app, token in zip(apps, tokens, strict=True)
        ]

    def _app_collector(self, config: AppConfig, token: Secret, budget: int) -> AppCollector:
        restored = self._state_file.restored(config.app) if self._state_file else None
        limiter = RateLimiter(self._limits, token=token, budget=budget)
        parts = self.parts[config.app.name] = self._app_parts(config, limiter, restored)
        return AppCollector(
            parts,
            min_interval_seconds=self.config.min_interval_seconds,
            restored=restored,
        )

    def _app_parts(
        self, config: AppConfig, limiter: RateLimiter, restored: SavedApp | None
    ) -> AppParts:
        app, clock = config.app, self.clock
        stale_after_seconds = self.config.stale_after_seconds
        server_clock = ServerClock(clock.wall)
        tracker = RecordingTracker(
            app.name,
            self._follow_rules(any_meeting=config.discover),
            clock=clock.wall,
            server_clock=server_clock,
            state=restored.tracker if restored else None,
        )
        client = self._client(app, limiter, server_clock)
        discovery = backfill = None
        if config.discover:
            discovery = Discovery(
                app.name, client, clock=clock, stale_after_seconds=stale_after_seconds
            )
        if self.persistent:
            newest_ids = restored.newest_ids if restored else ()
            backfill = Backfill(app.name, client, tracker, clock=clock, newest_ids=newest_ids)
        return AppParts(
            app=app,
            clock=clock,
            meetings=MeetingList(config.meetings, config.meeting_files),
            token=config.token,
            client=client,
            limiter=limiter,
            server_clock=server_clock,
            tracker=tracker,
            lister=ActiveRecordingsLister(app.name, client, clock=clock),
            selector=ReadModeSelector(app.name, config.read),
            discovery=discovery,
            backfill=backfill,
            stale_after_seconds=stale_after_seconds,
        )

    def _client(
        self, app: App, limiter: RateLimiter, server_clock: ServerClock
    ) -> RealtimeKitClient:
        return RealtimeKitClient(
            app,
            base_url=self.config.base_url,
            pool=ConnectionPool(self._make_client, size=self.workers_per_app),
            limiter=limiter,
            observer=self._call_metrics.of(app.name),
            server_clock=server_clock,
        )

    def _follow_rules(self, *, any_meeting: bool) -> FollowRules:
        config = self.config
        return FollowRules(
            retain_seconds=config.follow_retain_seconds,
            max_recordings=config.follow_max_recordings,
            reread_seconds=config.follow_reread_seconds,
            keep_removed=config.follow_keep_removed,
            longest_pause_seconds=_REREAD_RATIO * config.stale_after_seconds,
            any_meeting=any_meeting,
        )


def _endpoints(config: AppConfig) -> Iterator[str]:
    """Return the endpoints that the passes over an app call."""
    if config.read is not ReadMode.LIST:
        yield ACTIVE_RECORDING
    yield from (RECORDING, RECORDINGS)
    if config.discover:
        yield from (SESSIONS, MEETING)

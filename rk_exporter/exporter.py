"""The composition root: builds the parts of an exporter from a configuration."""

from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector as MetricsSource

from rk_exporter.api.calls import ApiCaller
from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.connection import ConnectionPool
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.api.connection_setup import ClientFactory, client_factory
from rk_exporter.api.endpoints import ACTIVE_RECORDING, MEETING, RECORDING, RECORDINGS, SESSIONS
from rk_exporter.collector.active_recordings import ActiveRecordingsLister
from rk_exporter.collector.app_collector import AppCollector
from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.backfill import Backfill
from rk_exporter.collector.collector import Collector
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.error_boundary import ErrorBoundary
from rk_exporter.collector.meeting_list import MeetingList
from rk_exporter.collector.read_mode import ReadModeSelector
from rk_exporter.collector.scrape_interval import USUAL_INTERVAL_SECONDS
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.config import Config
from rk_exporter.metrics.api_calls import ApiCallMetrics
from rk_exporter.metrics.blocked_io import BlockedIoMetrics
from rk_exporter.metrics.exposition import Exposition
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.metrics.internal_errors import internal_errors
from rk_exporter.model.meeting import App, ReadMode
from rk_exporter.model.saved_calls import SavedCalls
from rk_exporter.ratelimit.budget import WINDOW_SECONDS, SlidingWindowBudget, one_pass_limit
from rk_exporter.ratelimit.limiter import BudgetGroup, RateLimiter
from rk_exporter.ratelimit.past_calls import past_calls
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.recent_warnings import recent_warnings
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.lifecycle import FollowRules
from rk_exporter.tracking.state_file import StateFile
from rk_exporter.tracking.state_records import SavedApp
from rk_exporter.tracking.tracker import RecordingTracker
from rk_exporter.web.application import Application, Route
from rk_exporter.web.metrics_page import MetricsPage
from rk_exporter.web.pages import ReadyPage, healthy
from rk_exporter.web.status.page import Links
from rk_exporter.web.status.pages import StatusApi, StatusPage, StatusSource
from rk_exporter.web.status.readiness import Observed, in_one_line, reasons


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
    ended before its start. One that makes *one_pass* only takes a small part of the budget, and no
    time to spend it. Raises SetupError and StateFileError.
    """

    config: Config
    _: KW_ONLY
    make_client: ClientFactory | None = None
    clock: Clock = field(default_factory=Clock)
    workers_per_app: int = WORKERS_PER_APP
    persistent: bool = True
    one_pass: bool = False

    def __post_init__(self) -> None:
        config = self.config
        self._clients = ClientPool(self.make_client or client_factory(config.base_url))
        self._state_file = None
        if config.state_file and self.persistent:
            self._state_file = StateFile(config.state_file, clock=self.clock.wall)
        self._groups = self._budget_groups()
        self._registry = CollectorRegistry()
        names = [app.app.name for app in config.apps]
        self._call_metrics = ApiCallMetrics(
            {app.app.name: _endpoints(app) for app in config.apps}, registry=self._registry
        )
        self._internal_errors = internal_errors(names, registry=self._registry)
        self._registry.register(BlockedIoMetrics())
        # Not of a process that ends after one pass: node_exporter reads its output, and has its
        # own metrics of these names.
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        started_at = self._process.get_sample_value("process_start_time_seconds")
        self._started_at = self.clock.wall() if started_at is None else started_at
        self._snapshot_families = SnapshotFamilies()
        self.parts: dict[str, AppParts] = {}
        """The parts of each app, by its name; `check` makes calls of its own with them."""
        self.collector = Collector(
            self._apps(),
            clock=self.clock,
            store=self._state_file,
            recent_calls=self._recent_calls,
        )
        self.exposition = Exposition(self._all_families)
        self._status = StatusSource(self.observe, self.clock.wall)
        self.application = self._application()

    def show(self, metrics: MetricsSource) -> None:
        """Show *metrics* of a process that serves, too."""
        self._process.register(metrics)

    def families(self, snapshot: Snapshot) -> Iterable[Metric]:
        """Return the metrics of the *snapshot*, and the exporter's own as of now."""
        return chain(self._snapshot_families(snapshot), self._registry.collect())

    def _all_families(self, snapshot: Snapshot) -> Iterable[Metric]:
        """Return those, and the metrics of a process that serves."""
        return chain(self.families(snapshot), self._process.collect())

    async def close(self) -> None:
        """Close all connections to the API, save the state, and stop the rendering thread."""
        try:
            await self.collector.close()
        finally:
            if self._state_file:
                self._state_file.close()
            self.exposition.close()
            self._status.close()

    def why_not_ready(self) -> str | None:
        """Return why the metrics are incomplete or out of date, in one line; None if not."""
        found = reasons(
            self.collector.snapshot,
            self.collector.progress,
            stale_after_seconds=self.config.stale_after_seconds,
            now=self.clock.wall(),
        )
        return in_one_line(found) if found else None

    def observe(self) -> Observed:
        """Return everything that the status is about."""
        return Observed(
            snapshot=self.collector.snapshot,
            progress=self.collector.progress,
            started_at=self._started_at,
            stale_after_seconds=self.config.stale_after_seconds,
            failures=self._call_metrics.failure_counts(),
            internal_errors={
                sample.labels["rk_app"]: int(sample.value)
                for family in self._internal_errors.collect()
                for sample in family.samples
            },
            configuration_warnings=tuple(self.config.warnings),
            warnings=recent_warnings(),
        )

    def _application(self) -> Application:
        config, collector = self.config, self.collector
        return Application(
            {
                "/-/healthy": Route(healthy),
                "/-/ready": Route(ReadyPage(self.why_not_ready)),
                "/": Route(StatusPage(self._status, Links(config.telemetry_path))),
                "/api/v1/status": Route(StatusApi(self._status)),
                config.telemetry_path: Route(
                    MetricsPage(
                        scrape=collector.scrape,
                        exposition=self.exposition,
                        timeout_offset_seconds=config.timeout_offset_seconds,
                        max_requests=config.max_requests,
                    )
                ),
            }
        )

    def _apps(self) -> list[tuple[AppCollector, ErrorBoundary]]:
        return [
            (
                self._app_collector(app),
                ErrorBoundary(app.app.name, count=self._internal_errors.labels(app.app.name).inc),
            )
            for app in self.config.apps
        ]

    def _budget_groups(self) -> dict[str | None, BudgetGroup]:
        """Return the groups; the apps of a group share the smallest of their budgets."""
        budgets: dict[str | None, int] = {}
        for app in self.config.apps:
            budgets[app.budget_group] = min(app.budget, budgets.get(app.budget_group, app.budget))
        return {name: self._budget_group(name, limit) for name, limit in budgets.items()}

    def _budget_group(self, name: str | None, limit: int) -> BudgetGroup:
        clock, file = self.clock, self._state_file
        now = clock.monotonic()
        saved = file.restored_calls(name) if file else None
        own_limit = one_pass_limit(limit) if self.one_pass else limit
        others = limit - own_limit
        budget = SlidingWindowBudget(
            own_limit,
            now=now,
            reserve_ratio=self.config.reserve_ratio,
            past=past_calls(saved, now=now, unix_seconds=clock.wall(), others=others),
            borrowed=own_limit if self.one_pass else None,
        )
        return BudgetGroup(budget, monotonic=clock.monotonic)

    def _recent_calls(self) -> list[SavedCalls]:
        now = self.clock.wall()
        return [group.recent_calls(name, now) for name, group in self._groups.items()]

    def _app_collector(self, config: AppConfig) -> AppCollector:
        restored = self._state_file.restored(config.app) if self._state_file else None
        limiter = RateLimiter(self._groups[config.budget_group], token=config.token.current())
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
            usual_interval_seconds=WINDOW_SECONDS if self.one_pass else USUAL_INTERVAL_SECONDS,
        )

    def _client(
        self, app: App, limiter: RateLimiter, server_clock: ServerClock
    ) -> RealtimeKitClient:
        return RealtimeKitClient(
            ApiCaller(
                app,
                base_url=self.config.base_url,
                pool=ConnectionPool(self._clients, size=self.workers_per_app),
                limiter=limiter,
                observer=self._call_metrics.of(app.name),
                server_clock=server_clock,
            )
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

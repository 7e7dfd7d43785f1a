"""The composition root: builds the parts of an exporter from a configuration."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as MetricsSource

from rk_exporter.api.connection_pool import ClientPool, close_client
from rk_exporter.api.connection_setup import ClientFactory, client_factory
from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.collector import Collector
from rk_exporter.config.config import Config
from rk_exporter.downloads.verifier import Fetch
from rk_exporter.exporter.accounts import RunningAccounts
from rk_exporter.exporter.app_builder import SharedParts
from rk_exporter.exporter.apps import AppChanges, RunningApps
from rk_exporter.exporter.archives import Archives, ReaderFactory, bucket_reader
from rk_exporter.exporter.downloads import Downloads, make_fetch
from rk_exporter.exporter.exported_metrics import ExportedMetrics
from rk_exporter.exporter.known_apps import known_lists
from rk_exporter.metrics.exposition import Exposition
from rk_exporter.metrics.own_metrics import OwnMetrics
from rk_exporter.model.account import AccountApps
from rk_exporter.ratelimit.groups import BudgetGroups
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.recent_warnings import recent_warnings
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.state_file import StateFile
from rk_exporter.web.application import Application, Route
from rk_exporter.web.metrics_page import MetricsPage
from rk_exporter.web.pages import ReadyPage, healthy
from rk_exporter.web.prefix import with_prefix
from rk_exporter.web.reload_page import METHODS as RELOAD_METHODS
from rk_exporter.web.reload_page import ReloadPage, ReloadResult
from rk_exporter.web.status.page import Links
from rk_exporter.web.status.pages import StatusApi, StatusPage, StatusSource
from rk_exporter.web.status.readiness import Observed, in_one_line, reasons


# The API's limit allows four calls a second, so more connections would not help.
WORKERS_PER_APP = 8


@dataclass(frozen=True, slots=True)
class PreparedChange:
    """A configuration, and what takes time to make of it."""

    config: Config
    make_client: ClientFactory
    fetch: Fetch | None
    routes: Mapping[str, Route]


async def _cannot_reload() -> ReloadResult:
    return ReloadResult("this exporter cannot reload its configuration; restart it")


@dataclass(eq=False, repr=False)
class Exporter:
    """
    All parts of one exporter; two exporters share nothing.

    Tests replace the *clock*, *make_client*, which opens connections to the API, *fetch*, which
    requests files, and *make_reader*, which lists buckets. An exporter that is not *persistent*
    neither reads nor writes the state file, and does not look for recordings that ended before its
    start. One that makes *one_pass* only takes a small part of the budget, and no time to spend it.
    *reload* reloads the configuration when a request asks for it. Raises SetupError and
    StateFileError.
    """

    config: Config
    _: KW_ONLY
    make_client: ClientFactory | None = None
    fetch: Fetch | None = None
    clock: Clock = field(default_factory=Clock)
    workers_per_app: int = WORKERS_PER_APP
    persistent: bool = True
    one_pass: bool = False
    make_reader: ReaderFactory = bucket_reader
    reload: Callable[[], Awaitable[ReloadResult]] = _cannot_reload

    def __post_init__(self) -> None:
        config = self.config
        self._clients = ClientPool(self._client_factory(config))
        self._state_file = self._new_state_file()
        self._metrics = OwnMetrics()
        self._exported = ExportedMetrics(self._metrics, config.shard)
        self._downloads = self._new_downloads(config)
        self._archives = Archives(self.clock, self.make_reader)
        groups = self._new_groups()
        shared = self._shared_parts(groups)
        known = self._restored_lists(config)
        self._apps = RunningApps(config.with_found(known), shared)
        self._accounts = RunningAccounts(config, shared, self._apps, known, self._begin_series)
        self.collector = Collector(
            self._apps.collectors,
            clock=self.clock,
            store=self._state_file,
            recent_calls=groups.recent_calls,
            accounts=self._accounts,
        )
        self._begin_series()
        self._started_at = self._exported.process_started_at or self.clock.wall()
        self._status = StatusSource(self.observe, self.clock.wall)
        self.application = Application(self._routes(config), config.link_prefix)

    @property
    def exposition(self) -> Exposition:
        """Return what renders the metrics for scrapers."""
        return self._exported.exposition

    @property
    def parts(self) -> dict[str, AppParts]:
        """Return the parts of each app, by its name; `check` makes calls of its own with them."""
        return self._apps.parts

    @property
    def calls_made(self) -> int:
        """Return how many API calls this exporter has made."""
        made = sum(parts.limiter.counts.made for parts in self.parts.values())
        return made + self._accounts.calls_made

    def prepare(self, config: Config) -> PreparedChange:
        """
        Return what `change` needs, in any thread, because it reads files.

        Raises SetupError.
        """
        make_client, fetch = self._client_factory(config), self.fetch or make_fetch(config)
        return PreparedChange(config, make_client, fetch, self._routes(config))

    async def change(self, prepared: PreparedChange) -> AppChanges:
        """Take another configuration into use between two passes; nothing in this can fail."""
        async with self.collector.between_passes():
            self._downloads.fetch, self._exported.shard = prepared.fetch, prepared.config.shard
            changes = self._accounts.change(prepared.config)
            self.collector.replace(self._apps.collectors)
            self._begin_series()
            self.config, self.application.routes = prepared.config, prepared.routes
            self.application.link_prefix = prepared.config.link_prefix
            idle = self._clients.renew(prepared.make_client)
        for client in idle:
            await close_client(client)
        return changes

    def show(self, metrics: MetricsSource) -> None:
        """Show *metrics* of a process that serves, too."""
        self._exported.show(metrics)

    def families(self, snapshot: Snapshot) -> Iterable[Metric]:
        """Return the metrics of the *snapshot*, and the exporter's own as of now."""
        return self._exported.families(snapshot)

    def _begin_series(self) -> None:
        """Let new series of counters begin with their current values."""
        self._exported.begin_series(self.collector.snapshot)

    async def close(self) -> None:
        """Close all connections to the API, save the state, and stop the rendering thread."""
        try:
            await self._downloads.queue.close()
            await self.collector.close()
        finally:
            if self._state_file:
                self._state_file.close()
            self._archives.close()
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
            failures=self._metrics.calls.failure_counts(),
            internal_errors=self._metrics.bug_counts(),
            configuration_problems=tuple(
                f"{name} was not reloaded; the last good one stays in use, see the log"
                for name in self._exported.failed_reloads()
            ),
            configuration_warnings=tuple(self.config.warnings),
            warnings=recent_warnings(),
        )

    def _new_state_file(self) -> StateFile | None:
        path = self.config.state_file
        return StateFile(path, clock=self.clock.wall) if path and self.persistent else None

    def _restored_lists(self, config: Config) -> dict[str, AccountApps]:
        """Return the apps of each account that an earlier process knew, by the account's id."""
        file = self._state_file
        return known_lists(config, file.restored_accounts, [*file.restored_apps]) if file else {}

    def _new_downloads(self, config: Config) -> Downloads:
        return Downloads(
            self.fetch or make_fetch(config),
            clock=self.clock.wall,
            persistent=self.persistent,
            count_bug=self._metrics.count_bug,
        )

    def _new_groups(self) -> BudgetGroups:
        saved = self._state_file.restored_calls if self._state_file else lambda _: None
        return BudgetGroups(self.clock, saved=saved, one_pass=self.one_pass)

    def _shared_parts(self, groups: BudgetGroups) -> SharedParts:
        return SharedParts(
            clock=self.clock,
            clients=self._clients,
            groups=groups,
            metrics=self._metrics,
            state_file=self._state_file,
            archives=self._archives,
            workers_per_app=self.workers_per_app,
            persistent=self.persistent,
            one_pass=self.one_pass,
            downloads=self._downloads,
        )

    def _client_factory(self, config: Config) -> ClientFactory:
        return self.make_client or client_factory(config.base_url)

    def _routes(self, config: Config) -> dict[str, Route]:
        collector = self.collector
        links = Links(config.telemetry_path, config.link_prefix)
        routes = {
            "/-/healthy": Route(healthy),
            "/-/ready": Route(ReadyPage(self.why_not_ready)),
            "/-/reload": Route(ReloadPage(self.reload, config.enable_lifecycle), RELOAD_METHODS),
            "/": Route(StatusPage(self._status, links)),
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
        return with_prefix(routes, config.served_prefix)

"""The apps that an exporter reads: built from a configuration, and changed by the next one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import eq

from rk_exporter.api.calls import ApiCaller
from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.connection import ConnectionPool
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.api.endpoints import ACTIVE_RECORDING, MEETING, RECORDING, RECORDINGS, SESSIONS
from rk_exporter.archive.reader import AppArchive
from rk_exporter.collector.active_recordings import ActiveRecordingsLister
from rk_exporter.collector.app_collector import AppCollector
from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.app_webhook import AppWebhook
from rk_exporter.collector.backfill import Backfill
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.error_boundary import ErrorBoundary
from rk_exporter.collector.meeting_list import MeetingList
from rk_exporter.collector.read_mode import ReadModeSelector
from rk_exporter.collector.scrape_interval import USUAL_INTERVAL_SECONDS
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.config import Config
from rk_exporter.exporter.archives import Archives
from rk_exporter.exporter.downloads import Downloads
from rk_exporter.metrics.own_metrics import OwnMetrics
from rk_exporter.model.meeting import App, ReadMode
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.groups import BudgetGroups, GroupTerms
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.tracking.lifecycle import FollowRules
from rk_exporter.tracking.state_file import StateFile
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


@dataclass(frozen=True, slots=True)
class RunningApp:
    """The parts of one app, and what makes passes with them."""

    parts: AppParts
    collector: AppCollector
    boundary: ErrorBoundary


@dataclass(frozen=True, slots=True)
class AppChanges:
    """The names of the apps that a configuration has added and removed; renamed ones are both."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


class RunningApps:
    """
    The apps of the configuration in use.

    The state file's saved apps are for those of the first configuration, and for those that its
    accounts have. Each is used once, because after that this process knows more.
    """

    def __init__(self, config: Config, shared: SharedParts) -> None:
        self._shared = shared
        self._seen: set[App] = set()
        self._set_groups_and_metrics(config)
        self._apps = tuple(self._new(config, app, restores=True) for app in config.apps)

    @property
    def parts(self) -> dict[str, AppParts]:
        """Return the parts of each app, by its name."""
        return {running.parts.app.name: running.parts for running in self._apps}

    @property
    def collectors(self) -> list[tuple[AppCollector, ErrorBoundary]]:
        """Return what makes the passes over each app."""
        return [(running.collector, running.boundary) for running in self._apps]

    def replace(self, config: Config, *, restores: bool = False) -> AppChanges:
        """
        Take over the apps of *config* between two passes.

        An app whose account and id are the same keeps what it knows, also under another name. An
        app that is new may be restored from the state file if *restores* is true.
        """
        before = {running.parts.app: running for running in self._apps}
        same = same_apps(list(before), [app.app for app in config.apps])
        self._set_groups_and_metrics(config)
        self._apps = tuple(
            self._changed(before[same[app.app]], config, app)
            if app.app in same
            else self._new(config, app, restores=restores)
            for app in config.apps
        )
        kept = set(same.values())
        for app, running in before.items():
            if app not in kept:
                running.collector.leave()
                self._shared.archives.leave(running.parts.archive)
                if running.parts.verifier:
                    running.parts.verifier.leave()
        return AppChanges(*_added_and_removed([app.name for app in before], [*self.parts]))

    def _set_groups_and_metrics(self, config: Config) -> None:
        self._tokens = {app.app: app.token.current() for app in config.apps}
        terms = [
            *((app.budget_group, app.budget, self._tokens[app.app]) for app in config.apps),
            *((acc.budget_group, acc.budget, acc.token.current()) for acc in config.accounts),
        ]
        groups = _groups(terms)
        self._shared.groups.replace(groups, reserve_ratio=config.reserve_ratio)
        self._shared.metrics.set_apps({app.app.name: _endpoints(app) for app in config.apps})

    def _new(self, config: Config, app: AppConfig, *, restores: bool) -> RunningApp:
        shared, name, clock = self._shared, app.app.name, self._shared.clock
        file = shared.state_file if restores and app.app not in self._seen else None
        self._seen.add(app.app)
        restored = file.restored(app.app) if file else None
        limiter = RateLimiter(shared.groups[app.budget_group], token=self._tokens[app.app])
        server_clock = ServerClock(clock.wall)
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
        backfill = None
        if shared.persistent:
            newest_ids = restored.newest_ids if restored else ()
            backfill = Backfill(name, client, tracker, clock=clock, newest_ids=newest_ids)
        parts = AppParts(
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
            backfill=backfill,
            verifier=verifier,
            stale_after_seconds=config.stale_after_seconds,
            archive=self._archive(app),
            usual_interval_seconds=WINDOW_SECONDS if shared.one_pass else USUAL_INTERVAL_SECONDS,
            webhook=AppWebhook(clock) if config.webhook_address and not shared.one_pass else None,
        )
        collector = AppCollector(
            parts, min_interval_seconds=config.min_interval_seconds, restored=restored
        )
        return RunningApp(parts, collector, self._boundary(name))

    def _changed(self, running: RunningApp, config: Config, app: AppConfig) -> RunningApp:
        """Return a running app after the change to another configuration."""
        shared, before, name = self._shared, running.parts, app.app.name
        before.limiter.join(shared.groups[app.budget_group], self._tokens[app.app])
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
        parts = replace(
            before,
            app=app.app,
            meetings=MeetingList(app.meetings, app.meeting_files),
            token=app.token,
            discovery=self._discovery(config, app, before.client, before.discovery),
            verifier=verifier,
            stale_after_seconds=config.stale_after_seconds,
            archive=self._archive(app, before.archive),
        )
        is_renamed = name != before.app.name
        boundary = self._boundary(name) if is_renamed else running.boundary
        running.collector.change(parts, min_interval_seconds=config.min_interval_seconds)
        return RunningApp(parts, running.collector, boundary)

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

    def _boundary(self, name: str) -> ErrorBoundary:
        return ErrorBoundary(name, count=self._shared.metrics.internal_errors.labels(name).inc)


def same_apps(before: Sequence[App], after: Sequence[App]) -> Mapping[App, App]:
    """
    Return for each app in *after* the same one in *before*, if there is one.

    Account and id must be the same. If there are several such apps, the name decides first.
    """
    free, same = list(before), dict[App, App]()
    for is_same in (eq, _has_same_ids):
        for app in after:
            found = next((other for other in free if is_same(app, other)), None)
            if app not in same and found is not None:
                same[app] = found
                free.remove(found)
    return same


def _has_same_ids(app: App, other: App) -> bool:
    return (app.account_id, app.app_id) == (other.account_id, other.app_id)


def _added_and_removed(
    before: Sequence[str], after: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (
        tuple(name for name in after if name not in before),
        tuple(name for name in before if name not in after),
    )


def _groups(entries: Iterable[tuple[str | None, int, Secret]]) -> dict[str | None, GroupTerms]:
    """
    Return the budget groups of *entries*, each a group's name, a budget and a token.

    The apps of a group share the smallest of their budgets.
    """
    groups: dict[str | None, list[tuple[int, Secret]]] = {}
    for name, budget, token in entries:
        groups.setdefault(name, []).append((budget, token))
    return {
        name: GroupTerms(
            limit=min(budget for budget, _ in users), tokens=frozenset(token for _, token in users)
        )
        for name, users in groups.items()
    }


def _follow_rules(config: Config, app: AppConfig) -> FollowRules:
    return FollowRules(
        retain_seconds=config.follow_retain_seconds,
        max_recordings=config.follow_max_recordings,
        reread_seconds=config.follow_reread_seconds,
        keep_removed=config.follow_keep_removed,
        longest_pause_seconds=_REREAD_RATIO * config.stale_after_seconds,
        any_meeting=app.discover,
    )


def _endpoints(config: AppConfig) -> Iterator[str]:
    """Return the endpoints that the passes over an app call."""
    if config.read is not ReadMode.LIST:
        yield ACTIVE_RECORDING
    yield from (RECORDING, RECORDINGS)
    if config.discover:
        yield from (SESSIONS, MEETING)

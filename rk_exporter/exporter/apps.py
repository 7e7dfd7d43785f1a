"""The apps that an exporter reads: built from a configuration, and changed by the next one."""

import weakref

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rk_exporter.api.endpoints import ACTIVE_RECORDING, MEETING, RECORDING, RECORDINGS, SESSIONS
from rk_exporter.collector.app_collector import AppCollector
from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.error_boundary import ErrorBoundary
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.config import Config
from rk_exporter.exporter.app_builder import AppBuilder, SharedParts
from rk_exporter.model.meeting import App, ReadMode
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.groups import GroupTerms
from rk_exporter.tracking.state_records import SavedApp


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
    accounts have. Account and id must be the same, but not the name. Each is used once, because
    after that this process knows more.
    """

    def __init__(self, config: Config, shared: SharedParts) -> None:
        self._shared = shared
        self._builder = AppBuilder(shared)
        self._saved = shared.state_file.restored_apps if shared.state_file else {}
        self._saved_names = {app.name: app for app in self._saved}
        self._seen: set[tuple[str, str]] = set()
        self._owners: dict[str, weakref.ref[AppCollector]] = {}
        self._set_groups_and_metrics(config)
        restored = self._restored([app.app for app in config.apps])
        self._apps = tuple(self._new(config, app, restored.get(app.app)) for app in config.apps)
        self._remember_owners()

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

        An app whose account and id are the same keeps what it knows, also under another name. Its
        counters begin at 0 if another app had that name last. An app that is new may be restored
        from the state file if *restores* is true.
        """
        before = {running.parts.app: running for running in self._apps}
        same = same_apps(list(before), [app.app for app in config.apps])
        new = [app.app for app in config.apps if app.app not in same]
        restored = self._restored(new) if restores else {}
        self._set_groups_and_metrics(config)
        self._apps = tuple(
            self._changed(before[same[app.app]], config, app)
            if app.app in same
            else self._new(config, app, restored.get(app.app))
            for app in config.apps
        )
        self._remember_owners()
        kept = set(same.values())
        for app, running in before.items():
            if app not in kept:
                running.collector.leave()
                self._builder.leave(running.parts)
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

    def _restored(self, apps: Sequence[App]) -> Mapping[App, SavedApp]:
        """Return what an earlier process saved of *apps* that this one has not seen yet."""
        unseen = [app for app in self._saved if app.ids not in self._seen]
        return {app: self._saved[before] for app, before in same_apps(unseen, apps).items()}

    def _new(self, config: Config, app: AppConfig, restored: SavedApp | None) -> RunningApp:
        self._seen.add(app.app.ids)
        parts = self._builder.new(config, app, self._tokens[app.app], restored)
        if restored and self._was_of_another(app.app):
            _restart_counters(parts)
        collector = AppCollector(
            parts, min_interval_seconds=config.min_interval_seconds, restored=restored
        )
        return RunningApp(parts, collector, self._boundary(app.app.name))

    def _changed(self, running: RunningApp, config: Config, app: AppConfig) -> RunningApp:
        """Return a running app after the change to another configuration."""
        parts = self._builder.changed(running.parts, config, app, self._tokens[app.app])
        is_renamed = app.app.name != running.parts.app.name
        if is_renamed and self._is_of_another(app.app.name, running.collector):
            _restart_counters(parts)
        boundary = self._boundary(app.app.name) if is_renamed else running.boundary
        running.collector.change(parts, min_interval_seconds=config.min_interval_seconds)
        return RunningApp(parts, running.collector, boundary)

    def _is_of_another(self, name: str, collector: AppCollector) -> bool:
        """Return whether the last app with this *name* is not the one that *collector* reads."""
        owner = self._owners.get(name)
        return owner is not None and owner() is not collector

    def _was_of_another(self, app: App) -> bool:
        """Return whether the name of a new *app* was another one's, perhaps before the start."""
        before = self._saved_names.get(app.name)
        return app.name in self._owners or (before is not None and before.ids != app.ids)

    def _remember_owners(self) -> None:
        for running in self._apps:
            self._owners[running.parts.app.name] = weakref.ref(running.collector)

    def _boundary(self, name: str) -> ErrorBoundary:
        return ErrorBoundary(name, count=partial(self._shared.metrics.count_bug, name))


def same_apps(before: Sequence[App], after: Sequence[App]) -> Mapping[App, App]:
    """
    Return for each app in *after* the same one in *before*, if there is one.

    Account and id must be the same. If there are several such apps, the name decides first.
    """
    wanted = {*after}
    same = {app: app for app in before if app in wanted}
    free: dict[tuple[str, str], list[App]] = {}
    for app in reversed(before):
        if app not in same:
            free.setdefault(app.ids, []).append(app)
    for app in after:
        if app not in same and free.get(app.ids):
            same[app] = free[app.ids].pop()
    return same


def _restart_counters(parts: AppParts) -> None:
    """Keep the series of a name from going on with the counts of another app."""
    parts.tracker.restart_counters()
    if parts.verifier:
        parts.verifier.restart_counters()


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


def _endpoints(config: AppConfig) -> Iterator[str]:
    """Return the endpoints that the passes over an app call."""
    if config.read is not ReadMode.LIST:
        yield ACTIVE_RECORDING
    yield from (RECORDING, RECORDINGS)
    if config.discover:
        yield from (SESSIONS, MEETING)

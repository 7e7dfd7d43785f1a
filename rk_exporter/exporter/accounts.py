"""The accounts of the configuration in use, whose apps an exporter finds and reads."""

import asyncio

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from rk_exporter.api.account_client import AccountClient
from rk_exporter.api.calls import ApiCaller
from rk_exporter.api.connection import ConnectionPool
from rk_exporter.collector.account_reader import AccountParts, AccountReader
from rk_exporter.collector.collector import Apps
from rk_exporter.collector.error_boundary import ErrorBoundary
from rk_exporter.collector.scrape_interval import USUAL_INTERVAL_SECONDS, ScrapeInterval
from rk_exporter.config.accounts import AccountConfig
from rk_exporter.config.config import Config
from rk_exporter.exporter.app_builder import SharedParts
from rk_exporter.exporter.apps import AppChanges, RunningApps
from rk_exporter.exporter.known_apps import known_lists
from rk_exporter.model.account import AccountApps
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.snapshot import AccountSnapshot


@dataclass(frozen=True, slots=True)
class _RunningAccount:
    config: AccountConfig
    reader: AccountReader
    boundary: ErrorBoundary


class RunningAccounts:
    """
    The accounts of the configuration in use, whose apps are among the *apps* that are read.

    An account begins with those of its apps that are *known*, by its id. *changed* is called after
    each change of the apps.
    """

    def __init__(
        self,
        config: Config,
        shared: SharedParts,
        apps: RunningApps,
        known: Mapping[str, AccountApps],
        changed: Callable[[], object],
    ) -> None:
        self._shared = shared
        self._apps = apps
        self._changed = changed
        self._config = config
        self._accounts: tuple[_RunningAccount, ...] = ()
        self._accounts = self._changed_accounts(known)
        self._taken = self._revisions

    @property
    def snapshots(self) -> tuple[AccountSnapshot, ...]:
        """Return the results of the last lists."""
        return tuple(running.reader.snapshot for running in self._accounts)

    @property
    def saved(self) -> list[AccountApps]:
        """Return the listed apps, which outlive the process."""
        return [apps for apps in self._known.values() if apps.listed_at is not None]

    @property
    def calls_made(self) -> int:
        """Return how many calls have been made about accounts."""
        return sum(running.reader.parts.limiter.counts.made for running in self._accounts)

    async def prepare(self, deadline: float) -> None:
        """Read the tokens again, and list the apps of accounts that have no list yet."""
        await _in_each(self._accounts, AccountReader.refresh_token)
        unknown = [running for running in self._accounts if not running.reader.has_list]
        await _refresh(unknown, deadline)

    async def refresh(self, deadline: float) -> None:
        """List the apps of accounts whose list is due."""
        await _refresh(self._accounts, deadline)

    def take(self, publish: Callable[[Apps], object]) -> None:
        """Take the found apps into use between two passes, and *publish* them if they are new."""
        if self._revisions == self._taken:
            return
        self._taken = self._revisions
        self._apps.replace(self._config.with_found(self._known), restores=True)
        for running in self._accounts:
            self._join(running.reader, running.config)
        publish(self._apps.collectors)
        self._changed()

    def change(self, config: Config) -> AppChanges:
        """
        Take over the accounts and the apps of *config* between two passes.

        An account whose id is the same keeps its apps. One that has no list yet has those that
        run already.
        """
        self._config = config
        ids = {entry.account.account_id for entry in config.accounts}
        for running in self._accounts:
            if running.config.account.account_id not in ids:
                running.reader.leave()
        self._accounts = tuple(
            running for running in self._accounts if running.config.account.account_id in ids
        )
        running_apps = [parts.app for parts in self._apps.parts.values()]
        lists = {saved.account_id: saved for saved in self.saved}
        known = known_lists(config, lists, running_apps)
        changes = self._apps.replace(config.with_found(known))
        self._accounts = self._changed_accounts(known)
        self._taken = self._revisions
        return changes

    async def close(self) -> None:
        """Close all connections."""
        for running in self._accounts:
            with running.boundary.contain():
                await running.reader.close()

    @property
    def _revisions(self) -> list[tuple[str, int]]:
        return [
            (running.config.account.account_id, running.reader.revision)
            for running in self._accounts
        ]

    @property
    def _known(self) -> dict[str, AccountApps]:
        """Return the known apps by the account's id, listed or not."""
        return {
            running.config.account.account_id: running.reader.apps
            for running in self._accounts
            if running.reader.apps
        }

    def _join(self, reader: AccountReader, config: AccountConfig) -> None:
        """Make further calls in the budget group that the configuration names now."""
        group = self._shared.groups[config.budget_group]
        reader.parts.limiter.join(group, config.token.current())

    def _changed_accounts(self, known: Mapping[str, AccountApps]) -> tuple[_RunningAccount, ...]:
        """Return the accounts of the configuration; those that run already go on."""
        entries = self._config.accounts
        self._shared.metrics.set_accounts([entry.account.name for entry in entries])
        before = {running.config.account.account_id: running for running in self._accounts}
        return tuple(
            self._go_on(
                before[entry.account.account_id].reader, entry, known.get(entry.account.account_id)
            )
            if entry.account.account_id in before
            else self._new(entry, known.get(entry.account.account_id))
            for entry in entries
        )

    def _go_on(
        self, reader: AccountReader, entry: AccountConfig, known: AccountApps | None
    ) -> _RunningAccount:
        """Return a running account after the change to another configuration."""
        account, parts = entry.account, reader.parts
        observer = self._shared.metrics.calls_of_account(account.name)
        parts.client.change(account, base_url=self._config.base_url, observer=observer)
        reader.change(replace(parts, account=account, token=entry.token, wants=entry.wants), known)
        self._join(reader, entry)
        return _RunningAccount(entry, reader, self._boundary(account.name))

    def _new(self, entry: AccountConfig, known: AccountApps | None) -> _RunningAccount:
        shared, account = self._shared, entry.account
        group = shared.groups[entry.budget_group]
        limiter = RateLimiter(group, token=entry.token.current(), has_share=False)
        calls = ApiCaller(
            account,
            base_url=self._config.base_url,
            pool=ConnectionPool(shared.clients, size=1),
            limiter=limiter,
            observer=shared.metrics.calls_of_account(account.name),
            server_clock=ServerClock(shared.clock),
        )
        parts = AccountParts(
            account=account,
            clock=shared.clock,
            token=entry.token,
            client=AccountClient(calls),
            limiter=limiter,
            wants=entry.wants,
        )
        usual_seconds = WINDOW_SECONDS if shared.one_pass else USUAL_INTERVAL_SECONDS
        reader = AccountReader(parts, known, ScrapeInterval(usual_seconds=usual_seconds))
        return _RunningAccount(entry, reader, self._boundary(account.name))

    def _boundary(self, name: str) -> ErrorBoundary:
        return ErrorBoundary(
            f"account {name}", count=self._shared.metrics.count_account_error(name)
        )


async def _refresh(accounts: Iterable[_RunningAccount], deadline: float) -> None:
    await _in_each(accounts, lambda reader: reader.refresh(deadline))


async def _in_each(
    accounts: Iterable[_RunningAccount], step: Callable[[AccountReader], Awaitable[None]]
) -> None:
    """Make a *step* with all accounts at the same time."""
    async with asyncio.TaskGroup() as steps:
        for running in accounts:
            steps.create_task(_contained(running.boundary, step(running.reader)))


async def _contained(boundary: ErrorBoundary, step: Awaitable[None]) -> None:
    with boundary.contain():
        await step

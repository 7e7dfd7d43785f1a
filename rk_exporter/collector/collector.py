"""Passes over all apps, one at a time: scrapes that come during a pass share it."""

import asyncio
import contextlib

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from rk_exporter.collector.app_collector import AppCollector
from rk_exporter.collector.error_boundary import ErrorBoundary
from rk_exporter.model.account import AccountApps
from rk_exporter.model.saved_calls import SavedBlocks, SavedCalls
from rk_exporter.runtime.clock import Clock
from rk_exporter.snapshot import AccountSnapshot, Snapshot
from rk_exporter.tracking.state_file import LAST_MAX_WAIT_SECONDS, StateFile, StateFileStatus
from rk_exporter.tracking.state_records import SavedApp


# After its deadline, a pass still has to close broken connections and to make a snapshot.
_OVERRUN_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class PassProgress:
    """Whether a pass is running, when the last one ended, and which apps had a bug in it."""

    last_ended_at: float | None
    """When the last pass over all apps ended, in unix seconds."""
    is_running: bool
    failed_apps: frozenset[str]
    """The apps whose last pass ended with a bug of the exporter."""


Apps: TypeAlias = Sequence[tuple[AppCollector, ErrorBoundary]]


class Accounts(Protocol):
    """The accounts whose apps are found through the API."""

    @property
    def snapshots(self) -> tuple[AccountSnapshot, ...]:
        """Return the results of the last lists."""

    @property
    def saved(self) -> Sequence[AccountApps]:
        """Return the known apps, which outlive the process."""

    async def prepare(self, deadline: float) -> None:
        """Read the tokens again, and list the apps of accounts that have no list yet."""

    async def refresh(self, deadline: float) -> None:
        """List the apps of accounts whose list is due."""

    def take(self, publish: Callable[[Apps], object]) -> None:
        """Take the found apps into use between two passes, and *publish* them if they are new."""

    async def close(self) -> None:
        """Close all connections."""


class Collector:
    """
    Makes passes over all *apps*, each within its boundary, and publishes what they found.

    Apps that *accounts* find are read, too. The result of a pass is shown after it has been saved,
    if there is a *store*. That also saves the *recent_calls* of all budgets.
    """

    def __init__(
        self,
        apps: Apps,
        *,
        clock: Clock,
        store: StateFile | None = None,
        recent_calls: Callable[[], Sequence[SavedCalls]] = tuple,
        accounts: Accounts | None = None,
    ) -> None:
        self._apps = apps
        self._accounts = accounts
        self._clock = clock
        self._store = store
        self._recent_calls = recent_calls
        self._saved_revisions: list[int] | None = None
        self._blocks = SavedBlocks()
        # Held during a pass and a change of the apps; those that wait get it in turn.
        self._turn = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None
        self._deadline = 0.0
        self._last_pass_ended_at: float | None = None
        self.snapshot = Snapshot(
            tuple(app.state.snapshot for app, _ in apps),
            clock.wall(),
            accounts=self._account_snapshots,
        )

    async def scrape(self, timeout_seconds: float) -> Snapshot:
        """
        Return the snapshot after a pass that ends within *timeout_seconds*.

        If a pass is running, the caller joins it. A caller whose deadline comes before the end of
        that pass gets the previous snapshot.
        """
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        if self._running is None or self._running.done():
            self._deadline = deadline
            self._running = asyncio.create_task(self._run_pass(deadline))
        overrun_seconds = _OVERRUN_SECONDS if deadline >= self._deadline else 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline + overrun_seconds):
                # The pass goes on for the others if the client of one scrape gives up.
                await asyncio.shield(self._running)
        return self.snapshot

    @contextlib.asynccontextmanager
    async def between_passes(self) -> AsyncIterator[None]:
        """Wait for the end of a running pass, and let no other begin before the end of this."""
        async with self._turn:
            yield

    def replace(self, apps: Apps) -> None:
        """Replace the apps between two passes, and publish what is known of them."""
        self._apps = apps
        self._saved_revisions = None
        snapshots = tuple(app.state.snapshot for app, _ in apps)
        self.snapshot = replace(
            self.snapshot,
            apps=snapshots,
            taken_at=self._clock.wall(),
            accounts=self._account_snapshots,
        )

    @property
    def progress(self) -> PassProgress:
        """Return how the passes go on."""
        return PassProgress(
            last_ended_at=self._last_pass_ended_at,
            is_running=self._running is not None and not self._running.done(),
            failed_apps=frozenset(
                app.state.snapshot.app.name for app, boundary in self._apps if boundary.has_failed
            ),
        )

    async def close(self) -> None:
        """End a running pass, close all connections, and save the state."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        for app, boundary in self._apps:
            with boundary.contain():
                await app.close()
        if self._accounts:
            await self._accounts.close()
        if self._store is not None:
            calls = [replace(saved, is_final=True) for saved in self._recent_calls()]
            await self._store.save(
                self._saved(),
                calls,
                self._saved_accounts(),
                max_wait_seconds=LAST_MAX_WAIT_SECONDS,
            )

    async def _run_pass(self, deadline: float) -> None:
        async with self._turn:
            await self._run_pass_in_turn(deadline)

    async def _run_pass_in_turn(self, deadline: float) -> None:
        if self._store and self._last_pass_ended_at is None:
            # The calls in the file are no longer all calls, even if this process is killed.
            await self._store.save(self._saved(), self._recent_calls(), self._saved_accounts())
        if self._accounts:
            await self._accounts.prepare(deadline)
            self._accounts.take(self.replace)
        async with asyncio.TaskGroup() as passes:
            if self._accounts:
                passes.create_task(self._accounts.refresh(deadline))
            for app, boundary in self._apps:
                passes.create_task(_contained(app, boundary, deadline))
        if self._accounts:
            self._accounts.take(self.replace)
        state_file = await self._save(self._store) if self._store else None
        ended_at = self._last_pass_ended_at = self._clock.wall()
        apps = tuple(app.state.snapshot for app, _ in self._apps)
        published = Snapshot(apps, ended_at, state_file, self._account_snapshots)
        # An unchanged snapshot need not be rendered again.
        if published != replace(self.snapshot, taken_at=ended_at):
            self.snapshot = published

    @property
    def _account_snapshots(self) -> tuple[AccountSnapshot, ...]:
        return self._accounts.snapshots if self._accounts else ()

    def _saved_accounts(self) -> Sequence[AccountApps]:
        return self._accounts.saved if self._accounts else ()

    async def _save(self, store: StateFile) -> StateFileStatus:
        revisions = [app.state.revision for app, _ in self._apps]
        calls = self._recent_calls()
        is_new = revisions != self._saved_revisions or self._blocks.has_new(calls)
        if is_new or store.is_due():
            is_saved = await store.save(self._saved(), calls, self._saved_accounts())
            self._saved_revisions = revisions if is_saved else None
            self._blocks = SavedBlocks.of(calls)
        return store.status

    def _saved(self) -> list[SavedApp]:
        return [app.state.saved for app, _ in self._apps]


async def _contained(app: AppCollector, boundary: ErrorBoundary, deadline: float) -> None:
    with boundary.contain():
        await app.run_pass(deadline)

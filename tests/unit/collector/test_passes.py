import asyncio

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from rk_exporter.collector.app_collector import AppCollector
from rk_exporter.collector.app_parts import AppState
from rk_exporter.collector.collector import Accounts, Apps, Collector, PassProgress
from rk_exporter.collector.error_boundary import ErrorBoundary
from rk_exporter.collector.readings import StalenessGrace
from rk_exporter.model.account import Account, AccountApps
from rk_exporter.model.meeting import App
from rk_exporter.model.saved_calls import SavedCalls
from rk_exporter.snapshot import AccountSnapshot, AppSnapshot, Snapshot
from rk_exporter.tracking.state_file import (
    LAST_MAX_WAIT_SECONDS,
    StateFile,
    StateFileStatus,
)
from rk_exporter.tracking.state_records import SavedApp, SavedState
from rk_exporter.tracking.tracker_state import TrackerState
from tests.support import virtual_time
from tests.support.building import NOW, VirtualClock


class SlowApp(AppCollector):
    """An app whose pass lasts until it is released."""

    def __init__(self, name: str = "app") -> None:
        self.released = asyncio.Event()
        app = App(name, "account", "id")
        self.state = AppState(
            snapshot=AppSnapshot(app=app, readings=()),
            saved=SavedApp(app=app, tracker=TrackerState()),
            revision=0,
            grace=StalenessGrace(300.0),
        )
        self.deadlines: list[float] = []
        self.is_closed = False
        self.bug: Exception | None = None

    async def run_pass(self, deadline: float) -> None:
        self.deadlines.append(deadline)
        await self.released.wait()
        if self.bug:
            raise self.bug
        self.state = replace(self.state, snapshot=replace(self.state.snapshot, up=True))

    async def close(self) -> None:
        self.is_closed = True
        self.released.set()
        if self.bug:
            raise self.bug

    def change(self) -> None:  # type: ignore[override]
        """Change what must be saved immediately."""
        self.state = replace(self.state, revision=self.state.revision + 1)


def quick(name: str = "app") -> SlowApp:
    """Return an app whose passes take no time."""
    app = SlowApp(name)
    app.released.set()
    return app


async def immediately() -> None:
    """Return immediately."""


class Store(StateFile):
    """A store whose writes last until *saving* returns."""

    def __init__(
        self, saving: Callable[[], Awaitable[object]] = immediately, *written_at: float
    ) -> None:
        self._saving = saving
        self._written_at = iter(written_at or (NOW,))
        self.status = StateFileStatus(is_written=True, last_success_timestamp_seconds=None)
        self.saved: list[tuple[SavedState, float]] = []
        """What was saved, and the time that it could take."""
        self.due = self.works = True

    def is_due(self) -> bool:
        return self.due

    async def save(
        self,
        apps: Iterable[SavedApp],
        calls: Iterable[SavedCalls] = (),
        accounts: Iterable[AccountApps] = (),
        *,
        max_wait_seconds: float = 0.0,
    ) -> bool:
        self.saved.append((SavedState((*apps,), (*calls,), (*accounts,)), max_wait_seconds))
        await self._saving()
        self.status = replace(
            self.status, last_success_timestamp_seconds=next(self._written_at, NOW)
        )
        return self.works


class FoundApps:
    """An account that has other apps when it is listed."""

    snapshots: tuple[AccountSnapshot, ...]
    saved: Sequence[AccountApps] = (AccountApps("account-1", (), NOW),)

    def __init__(self) -> None:
        self.steps: list[tuple[str, float]] = []
        self.found: Apps | None = None
        self.finds_in = "refresh"
        self.lists: Apps = ()
        self._show(None)

    def _show(self, apps: int | None) -> None:
        self.snapshots = (
            AccountSnapshot(
                account=Account("acme", "account-1"),
                up=True,
                apps=apps,
                listed=apps,
                failure=None,
                last_success_timestamp_seconds=NOW,
            ),
        )

    async def prepare(self, deadline: float) -> None:
        self._step("prepare", deadline)

    async def refresh(self, deadline: float) -> None:
        self._step("refresh", deadline)

    def _step(self, name: str, deadline: float) -> None:
        self.steps.append((name, deadline))
        if name == self.finds_in:
            self.found = self.lists
            self._show(len(self.lists))

    def take(self, publish: Callable[[Apps], object]) -> None:
        if self.found is not None:
            publish(self.found)
            self.found = None

    async def close(self) -> None:
        self.steps.append(("close", 0.0))


def bounded(*apps: AppCollector) -> Apps:
    return [(app, ErrorBoundary("app", count=lambda: None)) for app in apps]


def collector_of(
    *apps: AppCollector,
    store: Store | None = None,
    accounts: Accounts | None = None,
    calls: Sequence[SavedCalls] = (),
) -> Collector:
    """Return a collector of apps, each within a boundary."""
    return Collector(
        bounded(*apps),
        clock=VirtualClock(),
        store=store,
        recent_calls=lambda: calls,
        accounts=accounts,
    )


class TestSave:
    """The state is saved before it is shown."""

    def test_saved_before_it_is_shown(self) -> None:
        """Until the result of a pass is saved, scrapes get the previous snapshot."""

        async def scrapes() -> tuple[list[bool | None], Snapshot]:
            app = quick()
            shown_meanwhile: list[bool | None] = []

            async def scrape_hastily() -> None:
                hasty = await collector.scrape(0.01)
                shown_meanwhile.append(hasty.apps[0].up)

            collector = collector_of(app, store=Store(scrape_hastily))
            return shown_meanwhile, await collector.scrape(30)

        shown_meanwhile, snapshot = virtual_time.run(scrapes())
        # The state is also saved before the first pass.
        assert [None, None] == shown_meanwhile
        assert snapshot.apps[0].up
        assert snapshot.state_file == StateFileStatus(
            is_written=True, last_success_timestamp_seconds=NOW
        )

    def test_nothing_new(self) -> None:
        """If neither an app nor the state file has changed, the snapshot is the same object."""

        async def scrapes() -> list[Snapshot]:
            app = quick()
            collector = collector_of(app, store=Store(immediately, NOW, NOW, NOW, NOW + 60))
            snapshots = []
            for _ in range(3):
                snapshots.append(await collector.scrape(30))
                await asyncio.sleep(15)
            return snapshots

        first, second, third = virtual_time.run(scrapes())
        assert first is second
        assert third is not second

    def test_what_is_saved(self) -> None:
        """The apps, the last calls and the found apps are saved; the last time, calls are final."""
        calls = [SavedCalls(group=group, until=NOW, ends=(NOW - 1,)) for group in (None, "g")]

        async def scrape() -> tuple[list[tuple[SavedState, float]], list[SavedApp]]:
            apps, store, accounts = [quick("a"), quick("b")], Store(), FoundApps()
            accounts.lists = bounded(*apps)
            collector = collector_of(*apps, store=store, calls=calls, accounts=accounts)
            await collector.scrape(30)
            await collector.close()
            return store.saved, [app.state.saved for app in apps]

        saved, apps = virtual_time.run(scrape())
        state = SavedState((*apps,), (*calls,), (*FoundApps.saved,))
        last = replace(state, calls=tuple(replace(one, is_final=True) for one in calls))
        # Before the pass, after it, and at the end.
        assert saved == [(state, 0.0), (state, 0.0), (last, LAST_MAX_WAIT_SECONDS)]

    def test_block(self) -> None:
        """A block is saved when it begins or is longer than known, because a kill may follow."""

        async def writes() -> list[int]:
            calls, store = list[SavedCalls](), Store()
            store.due = False
            collector = Collector(
                bounded(quick()), clock=VirtualClock(), store=store, recent_calls=lambda: calls
            )
            await collector.scrape(30)
            numbers = [len(store.saved)]
            # Not after the block has ended, or if only its end is rounded in another way.
            for end in (None, NOW + 300, NOW + 300.1, NOW + 301.2, None):
                calls[:] = [SavedCalls(group=None, until=NOW, blocked_until=end)]
                await collector.scrape(30)
                numbers.append(len(store.saved))
            return [after - before for before, after in pairwise(numbers)]

        assert [0, 1, 0, 1, 0] == virtual_time.run(writes())

    def test_when_it_is_saved(self) -> None:
        """It is saved when it is due, after a change, after other apps, and if that failed."""

        async def scrapes() -> None:
            app, store = quick(), Store()
            collector = collector_of(app, store=store)

            async def writes() -> int:
                before = len(store.saved)
                await collector.scrape(30)
                return len(store.saved) - before

            store.due = False
            # One of them is before the first pass.
            assert await writes() == 2
            assert await writes() == 0
            store.due = True
            assert await writes() == 1
            store.due = False
            app.change()
            assert await writes() == 1
            assert await writes() == 0
            app.change()
            store.works = False
            assert await writes() == 1
            assert await writes() == 1
            store.works = True
            assert await writes() == 1
            assert await writes() == 0
            collector.replace(bounded(app))
            assert await writes() == 1
            assert await writes() == 0

        virtual_time.run(scrapes())


class TestAccounts:
    """Apps that are found through the API."""

    def test_found_before_the_pass(self) -> None:
        """The first list comes before the pass, which reads the apps that it finds."""

        async def scrape() -> None:
            accounts, first, found = FoundApps(), quick("first"), quick("found")
            accounts.lists, accounts.finds_in = bounded(first, found), "prepare"
            collector = collector_of(first, accounts=accounts)
            assert collector.snapshot.accounts == accounts.snapshots
            snapshot = await collector.scrape(30)
            assert accounts.steps == [("prepare", 30.0), ("refresh", 30.0)]
            assert found.deadlines == [30.0]
            assert [app.app.name for app in snapshot.apps] == ["first", "found"]
            assert snapshot.accounts == accounts.snapshots
            assert snapshot.accounts[0].apps == 2

        virtual_time.run(scrape())

    def test_found_during_the_pass(self) -> None:
        """Apps that are found during a pass are shown after it, and read in the next one."""

        async def scrape() -> None:
            accounts, first, found = FoundApps(), quick("first"), quick("found")
            accounts.lists = bounded(found)
            collector = collector_of(first, accounts=accounts)
            snapshot = await collector.scrape(30)
            assert [app.app.name for app in snapshot.apps] == ["found"]
            assert (len(first.deadlines), len(found.deadlines)) == (1, 0)
            assert snapshot.accounts[0].apps == 1
            await collector.scrape(30)
            assert (len(first.deadlines), len(found.deadlines)) == (1, 1)
            await collector.close()
            assert accounts.steps[-1] == ("close", 0.0)

        virtual_time.run(scrape())

    def test_other_apps(self) -> None:
        """Apps that replace others are shown immediately, with the accounts and the time of now."""

        async def steps() -> None:
            accounts, app = FoundApps(), quick("other")
            collector = collector_of(quick(), store=Store(), accounts=accounts)
            before = await collector.scrape(30)
            await asyncio.sleep(5)
            accounts.snapshots = ()
            collector.replace(bounded(app))
            assert collector.snapshot == replace(
                before, apps=(app.state.snapshot,), taken_at=NOW + 5, accounts=()
            )

        virtual_time.run(steps())

    def test_none(self) -> None:
        """Without accounts, a snapshot has none, before and after a pass."""

        async def steps() -> None:
            app = quick()
            collector = collector_of(app)
            assert collector.snapshot == Snapshot((app.state.snapshot,), NOW)
            await asyncio.sleep(5)
            assert await collector.scrape(30) == Snapshot((app.state.snapshot,), NOW + 5)
            await collector.close()

        virtual_time.run(steps())


class TestProgress:
    """What is known about the passes."""

    def test_progress(self) -> None:
        """It says whether a pass is running, when the last one ended, and which apps had a bug."""

        async def steps() -> None:
            app, buggy = SlowApp(), quick("buggy")
            buggy.bug = ZeroDivisionError()
            collector = collector_of(app, buggy)
            nothing: frozenset[str] = frozenset()
            assert collector.progress == PassProgress(
                last_ended_at=None, is_running=False, failed_apps=nothing
            )
            scrape = asyncio.create_task(collector.scrape(30))
            await asyncio.sleep(5)
            assert collector.progress == PassProgress(
                last_ended_at=None, is_running=True, failed_apps=frozenset({"buggy"})
            )
            app.released.set()
            await scrape
            assert collector.progress == PassProgress(
                last_ended_at=NOW + 5, is_running=False, failed_apps=frozenset({"buggy"})
            )
            buggy.bug = None
            await collector.scrape(30)
            assert collector.progress.failed_apps == nothing

        virtual_time.run(steps())

    def test_close(self) -> None:
        """Each app is closed, also after one whose end has a bug."""

        async def steps() -> None:
            buggy, app = quick("buggy"), quick()
            collector = collector_of(buggy, app)
            buggy.bug = ZeroDivisionError()
            await collector.close()
            assert (buggy.is_closed, app.is_closed) == (True, True)

        virtual_time.run(steps())

    def test_between_passes(self) -> None:
        """What happens between passes waits for a running one, and the next one waits for it."""

        async def steps() -> None:
            app = SlowApp()
            collector = collector_of(app)
            scrape = asyncio.create_task(collector.scrape(30))
            await asyncio.sleep(5)

            async def change() -> list[int]:
                async with collector.between_passes():
                    before = len(app.deadlines)
                    await asyncio.sleep(1)
                    return [before, len(app.deadlines)]

            changing = asyncio.create_task(change())
            await asyncio.sleep(5)
            assert not changing.done()
            app.released.set()
            await scrape
            later = asyncio.create_task(collector.scrape(30))
            assert await changing == [1, 1]
            await later
            assert len(app.deadlines) == 2

        virtual_time.run(steps())


class TestSingleFlight:
    """Scrapes share a pass."""

    def test_scrape_with_less_time_gets_the_previous_snapshot(self) -> None:
        """A scrape that joins a pass longer than its own time gets the previous snapshot."""

        async def scrapes() -> tuple[Snapshot, Snapshot, int]:
            app = SlowApp()
            collector = collector_of(app)
            patient = asyncio.create_task(collector.scrape(30))
            await asyncio.sleep(0)
            hasty = await collector.scrape(0.01)
            app.released.set()
            return hasty, await patient, len(app.deadlines)

        hasty, patient, passes = virtual_time.run(scrapes())
        assert (None, True, 1) == (hasty.apps[0].up, patient.apps[0].up, passes)

    def test_late_pass_delays_no_scrape(self) -> None:
        """If a pass does not end at its deadline, its scrapes get their answer all the same."""

        async def scrapes() -> Snapshot:
            collector = collector_of(SlowApp())
            snapshot = await collector.scrape(0.01)
            await collector.close()
            return snapshot

        assert virtual_time.run(scrapes()).apps[0].up is None

    def test_cancelled_scrape_does_not_stop_the_pass(self) -> None:
        """When the client of one scrape gives up, the pass goes on for the others."""

        async def scrapes() -> Snapshot:
            app = SlowApp()
            collector = collector_of(app)
            first = asyncio.create_task(collector.scrape(30))
            second = asyncio.create_task(collector.scrape(30))
            await asyncio.sleep(0)
            first.cancel()
            app.released.set()
            return await second

        assert virtual_time.run(scrapes()).apps[0].up

    def test_close_ends_a_running_pass(self) -> None:
        """Closing does not wait for the deadline of the pass."""

        async def scrapes() -> None:
            collector = collector_of(SlowApp())
            waiting = asyncio.create_task(collector.scrape(30))
            await asyncio.sleep(0)
            await collector.close()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        virtual_time.run(scrapes())

    @pytest.mark.parametrize(
        ("seconds", "ends_at"), [(30.0, 30.25), (29.0, 30.25), (28.9, 29.9), (40.0, 41.25)]
    )
    def test_time(self, seconds: float, ends_at: float) -> None:
        """A scrape gets its answer at its deadline; a pass has a little more for its own ones."""

        async def scrapes() -> float:
            collector = collector_of(SlowApp())
            first = asyncio.create_task(collector.scrape(30))
            if seconds != 30:
                await asyncio.sleep(1)
                await collector.scrape(seconds)
            else:
                await first
            ended_at = asyncio.get_running_loop().time()
            await collector.close()
            return ended_at

        assert virtual_time.run(scrapes()) == pytest.approx(ends_at)

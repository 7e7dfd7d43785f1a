"""How the apps share the connections of the process."""

import asyncio
import contextlib
import random

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import pytest

from rk_exporter.api.connection_pool import ClientPool, Share
from rk_exporter.api.connection_setup import KEEPALIVE_SECONDS
from tests.support import virtual_time


@dataclass(slots=True)
class Sockets:
    """Makes clients without a network, and counts those that are open."""

    made: list[httpx.AsyncClient] = field(default_factory=list)

    def make(self) -> httpx.AsyncClient:
        """Return a new client."""
        self.made.append(httpx.AsyncClient(transport=httpx.MockTransport(_never_called)))
        return self.made[-1]

    @property
    def open(self) -> int:
        """Return the number of clients that are not closed."""
        return sum(not client.is_closed for client in self.made)


def _never_called(_: httpx.Request) -> httpx.Response:
    raise AssertionError("no request is made")


@dataclass(slots=True)
class Apps:
    """Apps whose calls take some seconds; it checks the bound of a pool of *size*."""

    size: int
    sockets: Sockets = field(default_factory=Sockets)
    pool: ClientPool = field(init=False)
    shares: dict[str, Share] = field(default_factory=dict)
    in_use: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.pool = ClientPool(self.sockets.make, size=self.size)

    def know(self, *apps: str) -> None:
        """Tell the pool about *apps*, as an exporter does at its start."""
        for app in apps:
            if app not in self.shares:
                self.shares[app] = self.pool.share()

    async def call(
        self, app: str, seconds: float, *, succeeds: bool = True, fresh: bool = False
    ) -> httpx.AsyncClient:
        """Make a call of *app* that takes this number of *seconds*."""
        self.know(app)
        async with self.pool.lend(self.shares[app], fresh=fresh) as loan:
            self.in_use[app] += 1
            try:
                assert self.in_use.total() <= self.size
                assert self.sockets.open <= self.size
                assert not loan.client.is_closed
                await asyncio.sleep(seconds)
                loan.is_reusable = succeeds
            finally:
                self.in_use[app] -= 1
        return loan.client

    def start(self, app: str, count: int, seconds: float) -> list[asyncio.Task[httpx.AsyncClient]]:
        """Start *count* calls of *app*."""
        return [asyncio.create_task(self.call(app, seconds)) for _ in range(count)]


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    virtual_time.run(main())


def test_apps_share_idle_connections() -> None:
    """One connection is enough for any number of apps whose calls come one after the other."""

    async def test() -> None:
        apps = Apps(64)
        for number in range(200):
            await apps.call(f"app {number}", 1.0)
        assert len(apps.sockets.made) == 1

    run(test)


@pytest.mark.parametrize(("apps_that_hang", "workers"), [(1, 200), (8, 8), (25, 8), (35, 8)])
def test_hanging_apps_leave_connections(apps_that_hang: int, workers: int) -> None:
    """Apps whose calls hang never take all connections: another app's call starts immediately."""

    async def test() -> None:
        apps = Apps(64)
        apps.know("healthy", *(f"app {number}" for number in range(apps_that_hang)))
        for number in range(apps_that_hang):
            hanging = apps.start(f"app {number}", workers, 3600.0)
        await asyncio.sleep(1.0)
        assert not any(task.done() for task in hanging)
        begun = asyncio.get_running_loop().time()
        await apps.call("healthy", 0.5)
        assert asyncio.get_running_loop().time() == begun + 0.5
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    run(test)


@pytest.mark.parametrize(
    ("size", "others", "left", "most"),
    [
        (8, 0, 0, 8),
        (8, 1, 0, 7),
        (8, 3, 0, 5),
        (8, 4, 0, 4),
        (8, 9, 0, 4),
        (9, 9, 0, 5),
        (8, 3, 1, 6),
        (8, 3, 3, 8),
        (1, 2, 0, 1),
    ],
)
def test_most_connections_of_an_app(size: int, others: int, left: int, most: int) -> None:
    """One connection stays free for each app that uses none and has not left, up to half."""

    async def test() -> None:
        apps = Apps(size)
        names = [f"app {number}" for number in range(others)]
        apps.know("busy", *names)
        for name in names[:left]:
            apps.pool.leave(apps.shares[name])
        calls = apps.start("busy", 20, 10.0)
        await asyncio.sleep(1.0)
        assert apps.in_use["busy"] == most
        await asyncio.gather(*calls)

    run(test)


def test_reserved_again() -> None:
    """When its calls have ended, a connection stays free for an app as before."""

    async def test() -> None:
        apps = Apps(8)
        apps.know("busy", "a", "b", "c")
        await asyncio.gather(*(apps.call(app, 1.0) for app in "aabbc"))
        calls = apps.start("busy", 20, 10.0)
        await asyncio.sleep(1.0)
        assert apps.in_use["busy"] == 5
        await asyncio.gather(*calls)

    run(test)


def test_few_apps_use_all_their_workers() -> None:
    """Up to seven apps with eight workers each do not wait for each other."""

    async def test() -> None:
        apps = Apps(64)
        for number in range(7):
            apps.start(f"app {number}", 8, 10.0)
        await asyncio.sleep(1.0)
        assert apps.in_use.total() == 56

    run(test)


def test_the_app_with_the_fewest_connections_is_next() -> None:
    """If apps wait, the next free connection goes to the one that uses the fewest."""

    async def test() -> None:
        apps = Apps(8)
        apps.start("busy", 20, 10.0)
        await asyncio.sleep(1.0)
        assert apps.in_use["busy"] == 8
        for number in range(20):
            apps.start(f"app {number}", 1, 10.0)
        await asyncio.sleep(10.0)
        assert apps.in_use["busy"] <= 1
        assert apps.in_use.total() == 8

    run(test)


def test_failed_calls_close_their_connection() -> None:
    """A connection is kept only after a complete answer."""

    async def test() -> None:
        apps = Apps(8)
        first = await apps.call("app", 1.0, succeeds=False)
        second = await apps.call("app", 1.0)
        assert first.is_closed
        assert second is not first
        assert await apps.call("app", 1.0) is second

    run(test)


def test_fresh_connection_replaces_an_idle_one() -> None:
    """After a restart of the API, the retry gets a new connection in place of another old one."""

    async def test() -> None:
        apps = Apps(8)
        await asyncio.gather(*apps.start("app", 3, 1.0))
        old = list(apps.sockets.made)
        new = await apps.call("app", 1.0, fresh=True)
        assert new not in old
        assert sum(client.is_closed for client in old) == 1

    run(test)


def test_connections_expire() -> None:
    """Connections that no call has used for long are closed by the next call."""

    async def test() -> None:
        apps = Apps(64)
        await asyncio.gather(*(apps.call(f"app {number}", 1.0) for number in range(60)))
        assert apps.sockets.open == 60
        for _ in range(3):
            await asyncio.sleep(KEEPALIVE_SECONDS / 2)
            await apps.call("app 1", 1.0)
        assert apps.sockets.open == 1

    run(test)


@pytest.mark.parametrize(("seconds", "made"), [(KEEPALIVE_SECONDS, 1), (KEEPALIVE_SECONDS + 1, 2)])
def test_longest_pause(seconds: float, made: int) -> None:
    """A connection is kept as long as it promises, and no longer."""

    async def test() -> None:
        apps = Apps(8)
        await apps.call("app", 1.0)
        await asyncio.sleep(seconds)
        await apps.call("app", 1.0)
        assert len(apps.sockets.made) == made

    run(test)


def test_waits_end_in_any_order() -> None:
    """However calls end, even in the moment of their turn, no place is lost and none is added."""

    async def test(chance: random.Random) -> None:
        apps = Apps(5)
        tasks = []
        for _ in range(400):
            app = f"app {chance.randrange(4)}"
            call = apps.call(
                app,
                chance.choice([0.0, 0.5, 1.0]),
                succeeds=chance.random() < 0.7,
                fresh=chance.random() < 0.2,
            )
            tasks.append(asyncio.create_task(call))
            delay = chance.choice([0.0, 0.5, 1.0, 1.5, 9.0])
            asyncio.get_running_loop().call_later(delay, tasks[-1].cancel)
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.5]))
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, httpx.AsyncClient | asyncio.CancelledError)
        # Five apps with one call each use all places again.
        last = [task for number in range(6) for task in apps.start(f"last {number}", 1, 1.0)]
        await asyncio.sleep(0.5)
        assert apps.in_use.total() == 5
        await asyncio.gather(*last)
        await apps.pool.close()
        assert apps.sockets.open == 0

    for seed in range(20):
        chance = random.Random(seed)  # noqa: S311 # not a secret
        virtual_time.run(test(chance))


def test_clients_that_cannot_be_made() -> None:
    """An error while a client is made loses no place."""

    def fail() -> httpx.AsyncClient:
        raise OSError("no memory")

    async def test() -> None:
        pool = ClientPool(fail, size=1)
        for _ in range(3):
            with contextlib.suppress(OSError):
                async with asyncio.timeout(1.0), pool.lend(pool.share(), fresh=False):
                    raise AssertionError

    run(test)


def test_an_app_that_leaves() -> None:
    """Nothing is reserved for apps that have left, also if the last call ends after that."""

    async def test() -> None:
        apps = Apps(4)
        apps.know("a", "b", "c", "d")
        for app in "bc":
            apps.pool.leave(apps.shares[app])
        running = asyncio.create_task(apps.call("d", 1.0))
        await asyncio.sleep(0.5)
        apps.pool.leave(apps.shares["d"])
        await running
        # All connections are for the only app that is left.
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(*(apps.call("a", 1.0) for _ in range(4)))
        assert 1.0 == asyncio.get_running_loop().time() - begun

    virtual_time.run(test())


def test_calls_that_wait_while_an_app_leaves() -> None:
    """What was reserved for an app is for the calls that wait as soon as it leaves."""

    async def test() -> None:
        apps = Apps(4)
        apps.know("busy", "b", "c")
        calls = apps.start("busy", 4, 10.0)
        await asyncio.sleep(1.0)
        assert 2 == apps.in_use["busy"]
        for app in "bc":
            apps.pool.leave(apps.shares[app])
        await asyncio.sleep(1.0)
        assert 4 == apps.in_use["busy"]
        await asyncio.gather(*calls)

    run(test)


def test_renewed_connections() -> None:
    """After a renewal all clients are new, and the idle ones are returned to be closed."""

    async def test() -> None:
        apps, others = Apps(4), Sockets()
        await apps.call("a", 1.0)
        (idle,) = apps.pool.renew(others.make)
        assert [idle] == apps.sockets.made
        async with apps.pool.lend(apps.shares["a"], fresh=False) as loan:
            assert [loan.client] == others.made

    virtual_time.run(test())


@pytest.mark.parametrize("error", [httpx.CloseError("broken"), BrokenPipeError()])
def test_broken_connection(error: Exception) -> None:
    """A client whose connection cannot be closed costs no call, and is not lent again."""

    class Broken(httpx.AsyncBaseTransport):
        async def aclose(self) -> None:
            raise error

    async def test() -> None:
        pool = ClientPool(lambda: httpx.AsyncClient(transport=Broken()), size=1)
        share, lent = pool.share(), []
        for _ in range(2):
            async with pool.lend(share, fresh=False) as loan:
                lent.append(loan.client)
        assert lent[0] is not lent[1]
        await pool.close()

    virtual_time.run(test())

import asyncio
import functools

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from rk_exporter.model.errors import (
    ApiError,
    ApiTimeout,
    ConnectFailed,
    Intercepted,
    RateLimited,
    ServerError,
    Unauthorized,
)
from rk_exporter.model.failure import Reason
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import SlidingWindowBudget
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.limiter import CallCounts, RateLimiter, RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.ratelimit.reachability import FAILURES_UNTIL_OPEN
from rk_exporter.ratelimit.status import BudgetStatus, RateLimitPolicy
from tests.support import virtual_time
from tests.support.building import NOW, pass_context


P = ParamSpec("P")


def now() -> float:
    return asyncio.get_running_loop().time()


def unix_seconds() -> float:
    return NOW + now()


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an asynchronous test in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        virtual_time.run(test(*args, **kwargs))

    return run


@dataclass
class Client:
    """An app that makes calls and records when they start."""

    limiter: RateLimiter
    token: str
    begun: list[float]
    context: PassContext = field(init=False)

    def begin_pass(self, *, token: str | None = None, max_wait: float = 0.0) -> None:
        self.token = token or self.token
        self.context = pass_context(
            token=Secret(self.token), wait_until=now() + max_wait, interval_seconds=15.0
        )
        # Each pass asks for this first, which makes the limiter use the token.
        assert self.affordable >= 0

    @property
    def affordable(self) -> int:
        return self.limiter.affordable(self.context)

    @property
    def status(self) -> BudgetStatus:
        return self.limiter.budget_status(unix_seconds())

    async def call(
        self,
        error: ApiError | None = None,
        *,
        lasts: float = 0.0,
        left: int | None = None,
        reset_seconds: float | None = None,
    ) -> float | None:
        """Make a call that ends in *error*; return how long it waited, or None without a call."""
        wanted = now()
        begun = None
        try:
            async with self.limiter.acquire(self.context):
                begun = now()
                self.begun.append(begun)
                await asyncio.sleep(lasts)
                if left is not None:
                    policy = RateLimitPolicy(
                        policy="default", remaining=left, reset_seconds=reset_seconds
                    )
                    self.limiter.observe((policy,))
                if error:
                    raise error
        except (ApiError, RateLimitWait) as raised:
            assert begun is None or raised is error
        return None if begun is None else round(begun - wanted, 3)

    async def rejected(self, *, lasts: float = 0.0) -> float | None:
        return await self.call(Unauthorized("rejected"), lasts=lasts)

    async def limited(self, retry_after: float | None = None) -> float | None:
        error = RateLimited("too many")
        error.retry_after_seconds = retry_after
        return await self.call(error)

    async def unavailable(
        self, retry_after: float | None = None, *, lasts: float = 0.0
    ) -> float | None:
        error = ServerError("unavailable")
        error.retry_after_seconds = retry_after
        return await self.call(error, lasts=lasts)

    async def intercepted(self) -> float | None:
        return await self.call(Intercepted("in front of the API"))

    @property
    def blocked_seconds(self) -> float:
        """For how many seconds calls are blocked."""
        until = self.status.blocked_until_timestamp_seconds
        return 0.0 if until is None else max(0.0, round(until - unix_seconds(), 3))


@dataclass
class World:
    """Apps whose rate limiters share the budgets of their groups."""

    groups: dict[str, BudgetGroup] = field(default_factory=dict)
    begun: list[float] = field(default_factory=list)

    def group(self, name: str, *, budget: int = 600) -> BudgetGroup:
        if name not in self.groups:
            window = SlidingWindowBudget(budget, now=now(), reserve_ratio=0.0)
            self.groups[name] = BudgetGroup(window, monotonic=now)
        return self.groups[name]

    def app(
        self,
        group: str = "default",
        *,
        token: str = "token",  # noqa: S107 # made up
        budget: int = 600,
        max_wait: float = 0.0,
    ) -> Client:
        """Return an app of the *group*; its first app decides about the *budget*."""
        limiter = RateLimiter(self.group(group, budget=budget), token=Secret(token))
        client = Client(limiter, token, self.begun)
        client.begin_pass(max_wait=max_wait)
        return client

    async def rest(self) -> None:
        """Wait until the new budgets of two groups are full."""
        for name in ("default", "other"):
            self.group(name)
        await asyncio.sleep(400)

    async def rested_app(self) -> Client:
        await self.rest()
        return self.app()

    @property
    def most_in_a_window(self) -> int:
        return max(sum(1 for at in self.begun if 0 <= at - first < 300) for first in self.begun)


@pytest.fixture
def world() -> World:
    return World()


async def together(*calls: Awaitable[float | None]) -> list[float | None]:
    return await asyncio.gather(*calls)


class TestBudget:
    """The budget that the apps of a group share."""

    @in_virtual_time
    async def test_calls_wait_in_order(self, world: World) -> None:
        """Calls are made in the order in which they arrive, whichever app they are for."""
        apps = [world.app(budget=300, max_wait=1e4) for _ in range(2)]
        made: list[int] = []

        async def call(number: int) -> None:
            assert await apps[number % 3 % 2].call() is not None
            made.append(number)

        await asyncio.gather(*(call(number) for number in range(60)))
        assert list(range(60)) == made

    @in_virtual_time
    async def test_apps_share_a_budget(self, world: World) -> None:
        """The apps of a group share its budget, whatever their tokens are; others have another."""

        async def use_up(app: Client) -> int:
            made = 0
            app.begin_pass(max_wait=300)
            while await app.call(lasts=0.1) is not None:
                made += 1
            return made

        apps = [
            world.app(group, token=token, budget=20)
            for group, token in (("one", "first"), ("one", "second"), ("other", "first"))
        ]
        one, two, other = await asyncio.gather(*map(use_up, apps))
        assert min(one, two) > 0
        assert (19, 19) == (one + two, other)

    @in_virtual_time
    async def test_three_tokens(self, world: World) -> None:
        """Three tokens of one user together make the calls of one budget."""
        apps = [world.app(token=token, budget=20) for token in ("one", "two", "three")]
        for _ in range(60):
            for app in apps:
                app.begin_pass(max_wait=1)
            await asyncio.gather(*(app.call() for app in apps))
            await asyncio.sleep(15)
        assert 18 <= world.most_in_a_window <= 20

    @in_virtual_time
    async def test_rotation(self, world: World) -> None:
        """A token that changes, e.g. into that of another app, brings no new budget."""
        apps = [world.app(token="one", budget=20), world.app(token="two", budget=20)]
        await asyncio.sleep(400)
        for token in ("one", "two", "three", "one"):
            for app in apps:
                app.begin_pass(token=token, max_wait=400)
                for _ in range(4):
                    await app.call()
        assert 18 <= world.most_in_a_window <= 20

    @in_virtual_time
    async def test_a_late_arrival(self, world: World) -> None:
        """A call that takes long to arrive keeps its place until 300 s after its end."""
        app = world.app(budget=20)
        await asyncio.sleep(400)
        slow = asyncio.create_task(app.call(lasts=299.0))
        await asyncio.sleep(299.5)
        await slow
        app.begin_pass(max_wait=1e4)
        while world.most_in_a_window < 20:
            await app.call()
        assert now() < 1200
        world.begun[0] += 299.0
        assert 20 == world.most_in_a_window

    @in_virtual_time
    async def test_no_time_to_wait(self, world: World) -> None:
        """A call that cannot be made in time fails immediately and is not counted."""
        app = await world.rested_app()
        assert [0] * 40 == [await app.call() for _ in range(40)]
        app.begin_pass(max_wait=0.1)
        with pytest.raises(RateLimitWait):
            async with app.limiter.acquire(app.context):
                pytest.fail("the call was made")
        assert (400, 560) == (now(), app.status.remaining)
        app.begin_pass(max_wait=1.0)
        assert 0 < (await app.call() or 0) < 1
        assert 559 == app.status.remaining

    @in_virtual_time
    async def test_wait_behind_others(self, world: World) -> None:
        """A call fails if its time is over while it waits behind other calls."""
        long, short = world.app(budget=10, max_wait=100), world.app(max_wait=5)
        assert 0 == await long.call()
        first, second, third = await together(long.call(), short.call(), long.call())
        assert second is None
        assert [60, 90] == pytest.approx([first, third], abs=3)

    @in_virtual_time
    async def test_fair_share(self, world: World) -> None:
        """The apps of a group get equal parts of its budget."""
        one, two, other = world.app(), world.app(token="second"), world.app("other")
        assert [300, 300, 600] == [app.limiter.fair_share for app in (one, two, other)]

    @in_virtual_time
    async def test_counts(self, world: World) -> None:
        """Each call that is made counts, and each call that succeeds."""
        app = await world.rested_app()
        await app.call()
        await app.call(ServerError("503"))
        await app.call()
        assert CallCounts(made=3, succeeded=2) == app.limiter.counts
        await app.limited()
        assert await app.call() is None
        assert CallCounts(made=4, succeeded=2) == app.limiter.counts

    @in_virtual_time
    async def test_budget_status(self, world: World) -> None:
        """The status has the limit, the remaining calls, and the last policies of the API."""
        app = await world.rested_app()
        await app.call(left=77)
        await app.call()
        budget_status = app.status
        assert (600, 598) == (budget_status.limit, budget_status.remaining)
        assert [77] == [policy.remaining for policy in budget_status.policies]
        assert budget_status.blocked_until_timestamp_seconds is None

    @in_virtual_time
    async def test_reports_that_end(self, world: World) -> None:
        """A report of no remaining calls ends with a success if the API reports nothing more."""
        app = await world.rested_app()
        await app.call(left=0)
        await asyncio.sleep(300)
        app.begin_pass()
        assert [0, None] == [await app.call(ServerError("no")), await app.call()]
        assert [0] == [policy.remaining for policy in app.status.policies]
        await asyncio.sleep(10)
        app.begin_pass()
        assert [0, 0, 0] == [await app.call() for _ in range(3)]
        assert () == app.status.policies

    @in_virtual_time
    async def test_old_reports(self, world: World) -> None:
        """A report is shown in the window of the API, or until its own reset."""
        app = await world.rested_app()
        await app.call(left=77)
        await asyncio.sleep(299)
        await app.call()
        assert [77] == [policy.remaining for policy in app.status.policies]
        await asyncio.sleep(1)
        assert not app.status.policies
        assert await app.call(left=76, reset_seconds=900.0) is not None
        await asyncio.sleep(899)
        assert [76] == [policy.remaining for policy in app.status.policies]
        await asyncio.sleep(1)
        assert not app.status.policies


class TestCanAfford:
    """Whether several calls can be made, asked before the first of them."""

    @in_virtual_time
    async def test_as_many_as_are_left(self, world: World) -> None:
        """All calls that are left can be afforded, and no more."""
        app = await world.rested_app()
        assert 40 == app.affordable
        assert app.limiter.can_afford(40, app.context)
        assert not app.limiter.can_afford(41, app.context)

    @in_virtual_time
    async def test_time_to_wait(self, world: World) -> None:
        """Calls for which there is time to wait can be afforded, too."""
        app = await world.rested_app()
        for _ in range(40):
            await app.call()
        assert not app.limiter.can_afford(5, app.context)
        app.begin_pass(max_wait=3.0)
        assert app.limiter.can_afford(5, app.context)

    @in_virtual_time
    async def test_during_a_block(self, world: World) -> None:
        """No call can be afforded while calls are blocked, except with a new token."""
        app = await world.rested_app()
        await app.rejected()
        assert not app.limiter.can_afford(1, app.context)
        renewed = replace(app.context, token=Secret("new"))
        assert app.limiter.can_afford(1, renewed)

    @in_virtual_time
    async def test_kept_for_the_next_pass(self, world: World) -> None:
        """Other apps leave the calls to it, until it got all that it needed in a whole pass."""
        await world.rest()
        app, other = world.app(), world.app()
        await other.call()
        assert not app.limiter.can_afford(100, app.context)
        assert app.limiter.can_afford(1, app.context)
        app.limiter.end_pass()
        assert 0 == other.affordable
        for _ in range(2):
            assert app.limiter.can_afford(1, app.context)
            app.limiter.end_pass()
            assert 39 == other.affordable

    @in_virtual_time
    async def test_refused_twice(self, world: World) -> None:
        """Refusals before calls and refused calls are counted together: as many are kept."""
        await world.rest()
        app, other = world.app(), world.app()
        for _ in range(40):
            await other.call()
        assert not app.limiter.can_afford(1, app.context)
        assert await app.call() is None
        app.limiter.end_pass()
        await asyncio.sleep(15)
        for client in (app, other):
            client.begin_pass()
        assert app.affordable - 2 == other.affordable
        # It does not need both at the same time, so they take turns.
        assert 0 == await app.call()
        assert app.affordable == other.affordable

    @pytest.mark.parametrize(("reserved", "waits"), [(38, [0, None]), (39, [None, None])])
    @in_virtual_time
    async def test_what_is_left(
        self, reserved: int, waits: list[float | None], world: World
    ) -> None:
        """An app gets the calls that are not reserved for others, down to the last one."""
        await world.rest()
        app, other = world.app(), world.app()
        await other.call()
        assert app.limiter.can_afford(reserved, app.context)
        assert waits == [await other.call(), await other.call()]

    @pytest.mark.parametrize("needed", [2, 3, 41])
    @in_virtual_time
    async def test_together(self, needed: int, world: World) -> None:
        """An app that needs several calls keeps its turn until it has made all of them."""
        await world.rest()
        app, other = world.app(), world.app()
        for _ in range(41 - min(needed, 40)):
            await other.call()
        app.limiter.can_afford(needed, app.context)
        await app.call()
        await asyncio.sleep(15)
        for client in (app, other):
            client.begin_pass()
        assert max(0, app.affordable - (needed - 1)) == other.affordable


class TestRateLimited:
    """The block after a 429, for all apps of the group."""

    @pytest.mark.parametrize(("retry_after", "block"), [(120.0, 120), (1.0, 1), (None, 300)])
    @in_virtual_time
    async def test_block(self, retry_after: float | None, block: float, world: World) -> None:
        """The group's calls are blocked for the time of Retry-After, or for 300 s."""
        await world.rest()
        apps = [one, two, other] = [world.app(), world.app(token="second"), world.app("other")]
        await one.limited(retry_after)
        assert [block, block, 0] == [app.blocked_seconds for app in apps]
        assert [0, 0, 40] == [app.affordable for app in apps]
        assert [None, None, 0] == [await app.call() for app in apps]
        await asyncio.sleep(block - 0.01)
        assert await two.call() is None
        assert 0 == await other.call()
        await asyncio.sleep(0.01)
        assert 0 == await two.call()

    @in_virtual_time
    async def test_one_trial_call(self, world: World) -> None:
        """After the block one call is made alone; the others wait for its end and follow."""
        await world.rest()
        apps = [world.app(), world.app()]
        await apps[0].limited(30.0)
        await asyncio.sleep(30)
        for app in apps:
            app.begin_pass(max_wait=10)
        waits = await together(*(apps[number % 2].call(lasts=2.0) for number in range(6)))
        assert [0, 2, 2, 2, 2, 2] == waits

    @in_virtual_time
    async def test_each_failed_trial_doubles(self, world: World) -> None:
        """A trial that ends in a 429 without Retry-After doubles the block, up to 900 s."""
        app = await world.rested_app()
        await app.limited()
        blocks = [app.blocked_seconds]
        for _ in range(3):
            await asyncio.sleep(app.blocked_seconds)
            app.begin_pass()
            # No other call is made during the trial or after its failure.
            assert [0, None] == await together(app.limited(), app.call())
            blocks.append(app.blocked_seconds)
        assert [300, 600, 900, 900] == blocks
        await asyncio.sleep(900)
        await app.call()
        assert 0 == app.blocked_seconds
        await app.limited()
        assert 300 == app.blocked_seconds

    @in_virtual_time
    async def test_simultaneous_429s(self, world: World) -> None:
        """Concurrent calls that all get a 429 block once, for the longest Retry-After."""
        await world.rest()
        apps = [world.app(), world.app()]
        times = [10.0, 40.0, 20.0]
        await asyncio.gather(*(apps[0].limited(seconds) for seconds in times), apps[1].limited(5.0))
        assert 40 == apps[1].blocked_seconds
        await asyncio.sleep(40)
        await apps[1].limited()
        assert 600 == apps[0].blocked_seconds

    @pytest.mark.parametrize("error", [ApiTimeout("late"), ServerError("503")])
    @in_virtual_time
    async def test_any_other_answer_ends_the_block(self, error: ApiError, world: World) -> None:
        """A trial that fails in another way ends the block: the other calls follow."""
        app = await world.rested_app()
        await app.limited(30.0)
        await asyncio.sleep(30)
        app.begin_pass(max_wait=10)
        calls = [app.call(error, lasts=5.0), app.call(lasts=1.0), app.call(lasts=1.0)]
        assert [0, 5, 5] == await together(*calls)
        assert 0 == app.blocked_seconds

    @in_virtual_time
    async def test_new_token(self, world: World) -> None:
        """A new token does not end the block: Cloudflare blocks the user."""
        app = await world.rested_app()
        await app.limited()
        app.begin_pass(token="new")
        assert (300, None) == (app.blocked_seconds, await app.call())


class TestRejectedToken:
    """The back-off after a 401 or 403, for one app."""

    @in_virtual_time
    async def test_back_off(self, world: World) -> None:
        """A token that was never valid is tried after 15 s, 30 s and so on, up to 300 s."""
        app = await world.rested_app()
        waits = []
        for _ in range(7):
            app.begin_pass()
            assert [0, None] == [await app.rejected(), await app.call()]
            waits.append(app.blocked_seconds)
            await asyncio.sleep(app.blocked_seconds)
        assert [15, 30, 60, 120, 240, 300, 300] == waits

    @in_virtual_time
    async def test_one_trial_call(self, world: World) -> None:
        """While one call tries a rejected token again, the other calls wait for its result."""
        app = await world.rested_app()
        assert [0, 0] == await together(app.rejected(), app.rejected())
        await asyncio.sleep(15)
        app.begin_pass(max_wait=10)
        calls = [app.rejected(lasts=1.0), app.call(), app.call()]
        assert [0, None, None] == await together(*calls)
        assert (416, 30) == (now(), app.blocked_seconds)
        await asyncio.sleep(30)
        app.begin_pass(max_wait=10)
        assert [0, 1] == await together(app.call(lasts=1.0), app.call())

    @in_virtual_time
    async def test_queued_calls(self, world: World) -> None:
        """A call that waited for the budget is not made if the token was rejected meanwhile."""
        app = world.app(budget=10, max_wait=100)
        assert [0, None] == await together(app.rejected(lasts=50.0), app.call())
        assert 1 == len(app.begun)

    @in_virtual_time
    async def test_accepted_token(self, world: World) -> None:
        """A token that was accepted counts as valid until it is rejected twice in a row."""
        app = await world.rested_app()
        for _ in range(3):
            await app.call()
            await app.rejected()
            assert 0 == app.blocked_seconds
        await app.rejected()
        assert 15 == app.blocked_seconds

    @in_virtual_time
    async def test_other_apps_go_on(self, world: World) -> None:
        """A token that is rejected for one app may be valid for another."""
        await world.rest()
        one, two = world.app(), world.app()
        await one.rejected()
        assert [15, 0] == [one.blocked_seconds, two.blocked_seconds]
        assert [None, 0] == [await one.call(), await two.call()]

    @in_virtual_time
    async def test_other_apps_do_not_wait(self, world: World) -> None:
        """Other apps do not wait behind calls that wait for a trial call."""
        await world.rest()
        one, two = world.app(), world.app()
        await one.rejected()
        await asyncio.sleep(15)
        one.begin_pass(max_wait=10)
        waiting = asyncio.gather(one.rejected(lasts=4.0), one.call())
        await asyncio.sleep(1)
        two.begin_pass(max_wait=1.0)
        wait = await two.call()
        await waiting
        assert wait == 0

    @in_virtual_time
    async def test_new_token(self, world: World) -> None:
        """A new token is tried immediately; if it is rejected too, a new back-off starts."""
        app = await world.rested_app()
        await app.rejected()
        await asyncio.sleep(15)
        await app.rejected()
        app.begin_pass(token="new")
        assert (0, 0) == (app.blocked_seconds, await app.rejected())
        assert (15, None) == (app.blocked_seconds, await app.call())


class TestUnavailable:
    """A 503 with Retry-After, for one app."""

    @in_virtual_time
    async def test_block(self, world: World) -> None:
        """The app makes no call for as long as the API asks; then one call finds out."""
        app = await world.rested_app()
        assert [0, 0] == await together(app.unavailable(30.0), app.unavailable(20.0))
        assert (30, None) == (app.blocked_seconds, await app.call())
        await asyncio.sleep(30)
        app.begin_pass(max_wait=10)
        assert [0, 1] == await together(app.call(lasts=1.0), app.call())
        assert 0 == app.blocked_seconds

    @in_virtual_time
    async def test_longer(self, world: World) -> None:
        """If the trial call is refused as well, its time counts."""
        app = await world.rested_app()
        await app.unavailable(30.0)
        await asyncio.sleep(30)
        app.begin_pass()
        assert [0, None] == [await app.unavailable(90.0), await app.call()]
        assert 90 == app.blocked_seconds

    @in_virtual_time
    async def test_without_a_time(self, world: World) -> None:
        """A 503 without Retry-After blocks nothing, and ends an earlier block."""
        app = await world.rested_app()
        assert [0, 0] == [await app.unavailable(), await app.unavailable(30.0)]
        await asyncio.sleep(30)
        app.begin_pass()
        assert [0, 0] == [await app.unavailable(), await app.call()]

    @in_virtual_time
    async def test_other_apps(self, world: World) -> None:
        """Other apps with the same token go on, and do not wait for the trial."""
        await world.rest()
        one, two = world.app(), world.app()
        await one.unavailable(30.0)
        assert [None, 0] == [await one.call(), await two.call()]
        await asyncio.sleep(30)
        one.begin_pass(max_wait=10)
        waiting = asyncio.gather(one.unavailable(30.0, lasts=4.0), one.call())
        await asyncio.sleep(1)
        two.begin_pass(max_wait=1.0)
        assert 0 == await two.call()
        assert [0, None] == list(await waiting)

    @in_virtual_time
    async def test_ends_a_429(self, world: World) -> None:
        """A trial call after a 429 that gets a 503 ends the block of the other apps."""
        await world.rest()
        one, two = world.app(), world.app()
        await one.limited(30.0)
        await asyncio.sleep(30)
        one.begin_pass()
        await one.unavailable(60.0)
        two.begin_pass()
        assert [60, 0] == [one.blocked_seconds, two.blocked_seconds]
        assert [None, 0] == [await one.call(), await two.call()]

    @in_virtual_time
    async def test_new_token(self, world: World) -> None:
        """A new token does not make the API available."""
        app = await world.rested_app()
        await app.unavailable(30.0)
        app.begin_pass(token="new")
        assert 30 == app.blocked_seconds


class TestIntercepted:
    """Something in front of the API refuses the calls of an app."""

    @in_virtual_time
    async def test_back_off(self, world: World) -> None:
        """Calls are tried again as after a rejected token, whatever the token."""
        app = await world.rested_app()
        waits = []
        for number in range(7):
            app.begin_pass(token=f"token-{number}")
            await world.rest()
            app.begin_pass()
            assert [0, None] == [await app.intercepted(), await app.call()]
            waits.append(app.blocked_seconds)
            await asyncio.sleep(app.blocked_seconds)
        assert [15, 30, 60, 120, 240, 300, 300] == waits

    @in_virtual_time
    async def test_one_meeting(self, world: World) -> None:
        """One refused meeting among others blocks nothing."""
        app = await world.rested_app()
        for _ in range(3):
            await app.call()
            await app.intercepted()
            assert 0 == app.blocked_seconds
        await app.intercepted()
        assert 15 == app.blocked_seconds


class TestBlockedBy:
    """Which refusal blocks the calls of an app, for the log."""

    @in_virtual_time
    async def test_each_refusal(self, world: World) -> None:
        """The refusal has its reason until a call succeeds."""
        found = []
        for number, refuse in enumerate(
            (Client.limited, Client.rejected, Client.intercepted, refused_for_a_time)
        ):
            app = world.app(f"group-{number}")
            await asyncio.sleep(400)
            found.append(blocked_by(app))
            app.begin_pass()
            await refuse(app)
            found.append(blocked_by(app))
            await asyncio.sleep(400)
            assert blocked_by(app) is found[-1]
            app.begin_pass()
            await app.call()
            assert blocked_by(app) is None
        reasons = [Reason.RATE_LIMITED, Reason.AUTH, Reason.INTERCEPTED, Reason.SERVER_ERROR]
        assert [item for reason in reasons for item in (None, reason)] == found

    @pytest.mark.parametrize(
        ("retry_after", "expected"),
        [(10.0, (15, Reason.INTERCEPTED)), (20.0, (20, Reason.RATE_LIMITED))],
    )
    @in_virtual_time
    async def test_two_refusals(
        self, retry_after: float, expected: tuple[float, Reason], world: World
    ) -> None:
        """Of two calls that run at the same time and are refused, the longer block is shown."""
        app = await world.rested_app()
        await together(app.limited(retry_after), app.intercepted())
        assert expected == (app.blocked_seconds, blocked_by(app))


def blocked_by(app: Client) -> Reason | None:
    block = app.status.block
    return block.failure.reason if block else None


async def refused_for_a_time(app: Client) -> None:
    await app.unavailable(30.0)


class TestLostConnection:
    """Calls while no connection can be opened."""

    @in_virtual_time
    async def test_queued_calls(self, world: World) -> None:
        """A call that waited for the budget is not made if no connection could be opened since."""
        app = world.app(budget=10, max_wait=100)

        async def lose() -> None:
            await asyncio.sleep(59)
            error = ConnectFailed("refused")
            error.opened_connection = False
            for _ in range(FAILURES_UNTIL_OPEN):
                world.group("default").reachability.take_failure(error, now())

        first, second, _ = await asyncio.gather(app.call(), app.call(), lose())
        assert (0, None) == (first, second)
        assert 1 == len(app.begun)


class TestCancelled:
    """Cancelled calls."""

    @in_virtual_time
    async def test_while_it_waits(self, world: World) -> None:
        """A call that is cancelled while it waits is not counted, and the next takes its place."""
        app = world.app(budget=10, max_wait=100)
        assert 0 == await app.call()
        calls = [asyncio.create_task(app.call()) for _ in range(3)]
        await asyncio.sleep(1)
        calls[0].cancel()
        calls[1].cancel()
        assert await calls[2] == pytest.approx(60, abs=2)
        assert 2 == len(world.begun)

    @in_virtual_time
    async def test_while_it_runs(self, world: World) -> None:
        """A cancelled call counts, and is no longer in flight."""
        app = await world.rested_app()
        call = asyncio.create_task(app.call(lasts=5.0))
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.wait([call])
        assert 599 == app.status.remaining
        await app.call(left=1)
        assert 1 == app.affordable

    @in_virtual_time
    async def test_during_a_trial(self, world: World) -> None:
        """When a trial call is cancelled, the next call is the trial."""
        app = await world.rested_app()
        await app.limited(30.0)
        await asyncio.sleep(30)
        app.begin_pass(max_wait=10)
        calls = [asyncio.create_task(app.call(lasts=5.0)) for _ in range(3)]
        await asyncio.sleep(2)
        calls[0].cancel()
        assert [2, 7] == await together(*calls[1:])

    @given(
        st.lists(
            st.tuples(
                st.floats(0.0, 40.0),
                st.integers(0, 2),
                st.sampled_from([0.0, 1.0, 30.0]),
                st.floats(0.0, 8.0),
                st.none() | st.floats(0.0, 20.0),
                st.sampled_from(
                    [None, RateLimited, Unauthorized, ApiTimeout, ServerError, Intercepted]
                ),
            ),
            min_size=1,
            max_size=30,
        )
    )
    @settings(max_examples=60)
    @in_virtual_time
    async def test_nothing_is_left_behind(
        self, calls: list[tuple[float, int, float, float, float | None, type[ApiError] | None]]
    ) -> None:
        """However calls end or are cancelled, the limit holds and later calls are made."""
        world = World()
        apps = [world.app(budget=12) for _ in range(3)]
        tasks = []
        for gap, number, max_wait, lasts, cancel_after, failure in calls:
            await asyncio.sleep(gap)
            apps[number].begin_pass(max_wait=max_wait)
            error = failure("made up") if failure else None
            if isinstance(error, RateLimited | ServerError):
                error.retry_after_seconds = 20.0
            call = apps[number].call(error, lasts=lasts)
            tasks.append(asyncio.create_task(call))
            if cancel_after is not None:
                asyncio.get_running_loop().call_later(cancel_after, tasks[-1].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(1000)
        for app in apps:
            app.begin_pass(max_wait=60)
        assert None not in await asyncio.gather(*(app.call(lasts=1.0) for app in apps))
        await asyncio.sleep(100)
        await apps[0].call(left=1)
        await asyncio.sleep(100)
        assert 1 == apps[0].affordable
        assert world.most_in_a_window <= 12

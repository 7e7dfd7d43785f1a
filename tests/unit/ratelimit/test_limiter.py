"""How the calls of apps share their budgets, wait, and are cancelled."""

import asyncio

from dataclasses import replace

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
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.limiter import CallCounts, RateLimitWait
from rk_exporter.ratelimit.reachability import FAILURES_UNTIL_OPEN
from tests.support.limited_apps import Client, World, in_virtual_time, now, together


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

    @in_virtual_time
    async def test_at_the_same_time(self, world: World) -> None:
        """Of two apps that need most of the calls together, one gets them, and then the other."""
        await world.rest()
        app, other = world.app(), world.app()
        for first, second in ((app, other), (other, app)):
            assert first.limiter.can_afford(30, first.context)
            assert not second.limiter.can_afford(30, second.context)
            for _ in range(30):
                assert 0 == await first.call()
            first.limiter.end_pass()
            second.limiter.end_pass()
            await asyncio.sleep(15)
            for client in (app, other):
                client.begin_pass()

    @in_virtual_time
    async def test_more_than_the_limit(self, world: World) -> None:
        """Calls that the budget never allows are reserved for nobody."""
        await world.rest()
        app, other = world.app(), world.app()
        await other.call()
        assert not app.limiter.can_afford(app.limiter.limit + 1, app.context)
        assert 39 == other.affordable
        assert not app.limiter.can_afford(app.limiter.limit, app.context)
        assert 0 == other.affordable
        assert await other.call() is None

    @in_virtual_time
    async def test_turn_that_is_cut_short(self, world: World) -> None:
        """An app that could not make all calls that it was granted lets the others go first."""
        await world.rest()
        app, other = world.app(), world.app()
        assert app.limiter.can_afford(30, app.context)
        assert not other.limiter.can_afford(30, other.context)
        await app.call(left=0, reset_seconds=10.0)
        assert await app.call() is None
        await asyncio.sleep(15)
        for client in (app, other):
            client.limiter.end_pass()
            client.begin_pass()
        assert not app.limiter.can_afford(30, app.context)
        assert other.limiter.can_afford(30, other.context)


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


class TestReports:
    """What the API reports about its limits."""

    @in_virtual_time
    async def test_age(self, world: World) -> None:
        """A report is shown for five minutes, even if its own window ends before that."""
        app = await world.rested_app()
        await app.call(left=7, reset_seconds=10.0)
        await asyncio.sleep(299.9)
        assert [7] == [policy.remaining for policy in app.status.policies]
        await asyncio.sleep(0.1)
        assert () == app.status.policies


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

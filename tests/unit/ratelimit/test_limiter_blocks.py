"""How long calls are blocked after an answer that refuses them."""

import asyncio

import pytest

from rk_exporter.model.errors import ApiError, ApiTimeout, ServerError
from rk_exporter.model.failure import Reason
from tests.support.limited_apps import Client, World, in_virtual_time, now, together


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

"""Budgets and starts, through the whole exporter; calls count when they arrive at the API."""

import asyncio
import random

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.exporter import Exporter
from rk_exporter.ratelimit.budget import largest_burst
from tests.support.building import (
    BASE_URL,
    Call,
    Simulation,
    config,
    in_process,
    labelled,
    simulate,
    value,
)


MEETINGS = [f"meeting-{number}" for number in range(10)]
THIRTY = [f"meeting-{number}" for number in range(30)]
BUDGET = 20
TOKENS = ("simulated", "second", "third")


def three_apps(
    path: Path, *keys: str, budget: int = BUDGET, read: str = "active-recording"
) -> Config:
    """Return a configuration of three apps, each with a token of its own and one of the *keys*."""
    meetings = f"meetings: {{ids: {MEETINGS}}}"
    names = [TOKEN_VARIABLE, "SECOND", "THIRD"]
    path.write_text(
        f"account_id: account\napi: {{read: {read}, budget: {budget}, "
        f"base_url: '{BASE_URL}'}}\napps:\n"
        + "".join(
            f"  - {{app_id: app-{number}, api_token_env: {name}, {meetings}{key and ', '}{key}}}\n"
            for number, (name, key) in enumerate(zip(names, keys or ["", "", ""], strict=True))
        )
    )
    return load(path, {}, dict(zip(names, TOKENS, strict=True)))


def lists(path: Path, count: int, *, budget: int) -> Config:
    """Return a configuration of some apps, each with so many meetings that their list is read."""
    app = f"  - {{app_id: app-%d, meetings: {{ids: {THIRTY}}}}}\n"
    path.write_text(
        f"account_id: account\napi: {{budget: {budget}, base_url: '{BASE_URL}'}}\napps:\n"
        + "".join(app % number for number in range(count))
    )
    return load(path, {}, {TOKEN_VARIABLE: "simulated"})


async def ages_after_a_while(simulation: Simulation) -> dict[str, float]:
    """Return how old the oldest reading of each app is after a quarter of an hour."""
    text = await simulation.last_scrape(60)
    ages: dict[str, float] = {}
    for labels, read_at in labelled(text, "rk_meeting_last_success_timestamp_seconds"):
        app = labels["rk_app"]
        ages[app] = max(ages.get(app, 0.0), simulation.now() - read_at)
    return ages


def busiest_windows(configuration: Config, *users: str, **options: Any) -> list[int]:
    """Return the calls of each of the *users* in the busiest 5 minutes of a quarter of an hour."""

    async def steps(simulation: Simulation) -> list[int]:
        await simulation.last_scrape(60)
        return [simulation.simulator.requests.busiest_window(300, user) for user in users]

    return simulate(steps, meetings=MEETINGS, configuration=configuration, token=TOKENS, **options)


class TestGroups:
    """Cloudflare's limit is per user, over all tokens."""

    def test_three_tokens_of_one_user(self, tmp_path: Path) -> None:
        """Apps whose tokens differ share one budget, because they may belong to one user."""
        (most,) = busiest_windows(three_apps(tmp_path / "rk.yml"), "simulated-user")
        assert BUDGET - 3 <= most <= BUDGET

    def test_users(self, tmp_path: Path) -> None:
        """An app whose token belongs to another user has a budget of its own in its group."""
        configuration = three_apps(tmp_path / "rk.yml", "", "budget_group: other", "")
        users = {"simulated": "one", "second": "two", "third": "one"}
        for most in busiest_windows(configuration, "one", "two", users=users):
            assert BUDGET - 3 <= most <= BUDGET

    @pytest.mark.parametrize("budgets", [(100, 40), (40, 100)])
    def test_smallest_budget(self, budgets: tuple[int, int], tmp_path: Path) -> None:
        """The apps of a group share the smallest of their budgets, and all of them get calls."""
        keys = [f"budget: {budget}" for budget in budgets]
        configuration = three_apps(tmp_path / "rk.yml", *keys, "budget_group: other")

        async def steps(simulation: Simulation) -> tuple[list[tuple[float, str]], str]:
            calls: list[tuple[float, str]] = []

            def record(call: Call) -> None:
                calls.append((simulation.now(), call.app_id))

            simulation.proxy.before = record
            texts = await simulation.scrapes(60)
            return calls, texts[-1]

        calls, text = simulate(steps, meetings=MEETINGS, configuration=configuration, token=TOKENS)
        # The apps need far more calls, so they use all that they may make.
        assert 35 <= most_in_a_window([at for at, app in calls if app != "app-2"]) <= 40
        assert {"app-0", "app-1", "app-2"} == {app for _, app in calls}
        found = labelled(text, "rk_api_budget_limit")
        limits = {labels["rk_app"]: limit for labels, limit in found}
        assert limits == {"app-0": 40, "app-1": 40, "app-2": BUDGET}

    @pytest.mark.parametrize(("count", "budget", "seconds"), [(3, 60, 75), (12, 240, 75)])
    def test_lists_take_turns(
        self, count: int, budget: int, seconds: float, tmp_path: Path
    ) -> None:
        """If the budget is too small for the lists of all apps, each is read in its turn."""
        configuration = lists(tmp_path / "rk.yml", count, budget=budget)
        ages = simulate(ages_after_a_while, meetings=THIRTY, configuration=configuration)
        assert set(ages) == {f"app-{number}" for number in range(count)}
        assert max(ages.values()) < seconds

    def test_list_with_a_bug(self, tmp_path: Path) -> None:
        """An app whose passes end with an exception keeps no calls from the others."""

        async def steps(simulation: Simulation) -> dict[str, float]:
            simulation.proxy.before = fail
            return await ages_after_a_while(simulation)

        def fail(call: Call) -> None:
            if call.app_id == "app-0":
                raise LookupError("a bug")

        configuration = lists(tmp_path / "rk.yml", 3, budget=40)
        ages = simulate(steps, meetings=THIRTY, configuration=configuration)
        assert set(ages) == {"app-1", "app-2"}
        assert max(ages.values()) < 75

    @pytest.mark.parametrize("budget", [1, 2, 3])
    def test_smaller_than_a_list(self, budget: int, tmp_path: Path) -> None:
        """If the budget has fewer calls than a list, meetings are read one by one."""

        async def steps(simulation: Simulation) -> list[str]:
            called: list[str] = []
            simulation.proxy.before = lambda call: called.append(call.app_id)
            await simulation.last_scrape(240)
            return called

        path = tmp_path / "rk.yml"
        configuration = three_apps(path, budget=budget, read="auto")
        called = simulate(steps, meetings=MEETINGS, configuration=configuration, token=TOKENS)
        assert len(called) >= 11 * budget
        assert {"app-0", "app-1", "app-2"} == set(called)

    def test_block(self, tmp_path: Path) -> None:
        """A 429 blocks all apps of the group, because Cloudflare blocks the user."""
        configuration = three_apps(tmp_path / "rk.yml", "", "", "budget_group: other", budget=600)

        async def steps(simulation: Simulation) -> str:
            await simulation.last_scrape(30)
            simulation.simulator.consume_quota(2000)
            return await simulation.last_scrape(3)

        text = simulate(
            steps,
            meetings=MEETINGS,
            configuration=configuration,
            token=TOKENS,
            rate_limit=1200,
            users={"third": "other"},
        )
        blocked = labelled(text, "rk_api_blocked_until_timestamp_seconds")
        assert ["app-0", "app-1"] == [labels["rk_app"] for labels, _ in blocked]


def most_in_a_window(times: Sequence[float]) -> int:
    """Return the largest number of *times* in any window of 300 s."""
    return max(sum(1 for at in times if 0 <= at - first < 300) for first in times)


class SlowToConnect:
    """A proxy that passes each call on after up to *most_seconds*, as if it was slow to connect."""

    def __init__(self, application: Any, *, seed: int, most_seconds: float) -> None:
        self._application = application
        self._chance = random.Random(seed)  # noqa: S311 # latencies
        self._most_seconds = most_seconds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Wait, then let the application answer."""
        await asyncio.sleep(self._chance.uniform(0.0, self._most_seconds))
        await self._application(scope, receive, send)


@pytest.mark.parametrize("seed", range(3))
def test_calls_count_when_they_arrive(seed: int) -> None:
    """However late calls arrive, no 5 minutes have more arrivals than the budget."""

    async def steps(simulation: Simulation) -> int:
        slow = SlowToConnect(simulation.proxy, seed=seed, most_seconds=4.0)
        exporter = Exporter(configuration, make_client=in_process(slow), clock=simulation.clock)
        for number in range(1, 121):
            await exporter.collector.scrape(9.5)
            await asyncio.sleep(15.0 * number - asyncio.get_running_loop().time())
        await exporter.close()
        return simulation.simulator.requests.busiest_window(300)

    configuration = config(meeting_ids=MEETINGS, api__budget=str(BUDGET))
    most = simulate(steps, meetings=MEETINGS, configuration=configuration)
    assert BUDGET - 3 <= most <= BUDGET


class TestStart:
    """A new process makes its first calls without waiting."""

    @pytest.mark.parametrize("read", ["auto", "active-recording"])
    def test_first_scrape(self, read: str) -> None:
        """The first scrape of thirty meetings is complete in under a second."""

        async def steps(simulation: Simulation) -> tuple[str, float]:
            text = await simulation.scrape()
            return text, simulation.now() - simulation.scraped_at

        configuration = config(meeting_ids=THIRTY, api__read=read, api__budget="600")
        text, seconds = simulate(
            steps, meetings=THIRTY, configuration=configuration, latency_seconds=0.05
        )
        assert 0 == value(text, "rk_meetings_deferred")
        assert 30 == sum(up for _, up in labelled(text, "rk_meeting_up"))
        assert seconds < 1

    @pytest.mark.parametrize("one_pass", [False, True])
    def test_one_pass(self, *, one_pass: bool) -> None:
        """A check of twelve meetings takes under a second, and at most a tenth of the budget."""

        async def steps(simulation: Simulation) -> tuple[str, float, int]:
            exporter = Exporter(
                configuration,
                make_client=in_process(simulation.proxy),
                clock=simulation.clock,
                persistent=False,
                one_pass=one_pass,
            )
            begun = simulation.now()
            snapshot = await exporter.collector.scrape(100.0)
            seconds = simulation.now() - begun
            await exporter.close()
            app = snapshot.apps[0]
            assert app.budget_status
            assert all(reading.up for reading in app.readings)
            return app.read_mode.value, seconds, app.budget_status.limit

        configuration = config(meeting_ids=THIRTY[:12], api__read="auto", api__budget="600")
        mode, seconds, limit = simulate(
            steps, meetings=THIRTY, configuration=configuration, latency_seconds=0.05
        )
        assert ("active-recording", 60 if one_pass else 600) == (mode, limit)
        assert seconds < 1

    def test_crash_loop(self) -> None:
        """A process that is killed every 20 s stays within the budget."""

        async def steps(simulation: Simulation) -> int:
            for number in range(60):
                await asyncio.sleep(20.0 * number - asyncio.get_running_loop().time())
                await simulation.restart(is_killed=True)
                await simulation.scrape(20.0)
            return simulation.simulator.requests.busiest_window(300)

        configuration = config(meeting_ids=THIRTY, api__budget="300")
        most = simulate(steps, meetings=THIRTY, configuration=configuration, latency_seconds=0.05)
        assert 270 <= most <= 300

    @pytest.mark.parametrize("interval", [15.0, 60.0, 300.0])
    def test_long_interval(self, interval: float) -> None:
        """After a burst at any scrape interval, a restart adds at most half of the budget."""

        async def steps(simulation: Simulation) -> int:
            await simulation.last_scrape(21, interval)
            for _ in range(20):
                await simulation.restart(is_killed=True)
                await simulation.last_scrape(20)
            return simulation.simulator.requests.busiest_window(300)

        many = [f"meeting-{number}" for number in range(100)]
        configuration = config(meeting_ids=many, api__budget="100")
        most = simulate(steps, meetings=many, configuration=configuration)
        assert 90 <= most <= 100 + largest_burst(100, min(interval, 111.0)) <= 150

    def test_restart_with_a_state_file(self, tmp_path: Path) -> None:
        """With a state file, restarts add no call, and no scrape waits for the pace."""

        async def steps(simulation: Simulation) -> tuple[int, set[float | None]]:
            await simulation.last_scrape(20)
            deferred = set()
            for _ in range(40):
                await simulation.restart()
                deferred.add(value(await simulation.scrape(), "rk_meetings_deferred"))
            return simulation.simulator.requests.busiest_window(300), deferred

        path = tmp_path / "state"
        configuration = config(meeting_ids=THIRTY[:26], api__budget="600", state__file=str(path))
        most, deferred = simulate(steps, meetings=THIRTY, configuration=configuration)
        assert (True, {0.0}) == (520 < most <= 600, deferred)

    def test_killed_with_a_state_file(self, tmp_path: Path) -> None:
        """Kills between two saves add at most the calls of two starts, however many there are."""

        async def steps(simulation: Simulation) -> int:
            await simulation.last_scrape(20)
            for _ in range(20):
                await simulation.restart(is_killed=True)
                await simulation.last_scrape(3)
            return simulation.simulator.requests.busiest_window(300)

        path = tmp_path / "state"
        configuration = config(meeting_ids=THIRTY, api__budget="300", state__file=str(path))
        most = simulate(steps, meetings=THIRTY, configuration=configuration)
        assert 280 < most <= 300 + 2 * largest_burst(300, 15.0)

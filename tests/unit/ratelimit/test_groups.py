"""Budget groups across reloads: no user's calls are forgotten, however apps are regrouped."""

import asyncio
import random

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.model.errors import RateLimited
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.saved_calls import SavedCalls
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import WINDOW_SECONDS, calls_at_start
from rk_exporter.ratelimit.budget_group import PolicyReport
from rk_exporter.ratelimit.groups import BudgetGroups, GroupTerms
from rk_exporter.ratelimit.limiter import RateLimiter, RateLimitWait
from rk_exporter.ratelimit.past_calls import rest_of_block
from rk_exporter.ratelimit.status import RateLimitPolicy
from tests.support import virtual_time
from tests.support.building import VirtualClock, pass_context


LIMIT = 30
# Whose token it is. The last two are of one user, as after a rotation.
USERS = {"t0": "u0", "t1": "u1", "t2": "u2", "t3": "u0", "t4": "u1", "t5": "u1"}


@dataclass(frozen=True, slots=True)
class Call:
    user: str
    begun: float
    ended: float
    limit: int


@dataclass(frozen=True, slots=True)
class Setup:
    """A configuration: each app's token, each user's group, and the limit of all groups."""

    tokens: Mapping[str, str]
    groups: Mapping[str, str | None]
    limit: int = LIMIT

    def group(self, app: str) -> str | None:
        return self.groups[USERS[self.tokens[app]]]

    def terms(self) -> dict[str | None, GroupTerms]:
        names = {self.group(app): [] for app in self.tokens}  # type: dict[str | None, list[str]]
        for app in self.tokens:
            names[self.group(app)].append(app)
        return {
            name: GroupTerms(
                limit=self.limit,
                tokens=frozenset(Secret(self.tokens[app]) for app in apps),
            )
            for name, apps in names.items()
        }


@dataclass
class World:
    """Apps that make as many calls as they may, and how long each call takes."""

    seed: int = 0
    saved: Mapping[str | None, SavedCalls] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = VirtualClock()
        self.groups = BudgetGroups(self.clock, saved=self.saved.get)
        self.chance = random.Random(self.seed)  # noqa: S311 # durations
        self.limiters: dict[str, RateLimiter] = {}

    def reload(self, setup: Setup) -> None:
        self.setup = setup
        self.groups.replace(setup.terms(), reserve_ratio=0.0)
        limiters = {}
        for app, token in setup.tokens.items():
            group = self.groups[setup.group(app)]
            if limiter := self.limiters.get(app):
                limiter.join(group, Secret(token))
            else:
                limiter = RateLimiter(group, token=Secret(token))
            limiters[app] = limiter
        self.limiters = limiters

    async def run(self, seconds: float, *, retry_after: float | None = None) -> int:
        """Let all apps call for some *seconds*; return how many calls they made."""
        before = len(self.calls)
        until = self.clock.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for app in self.setup.tokens:
                tasks.create_task(self._call_until(app, until, retry_after))
        await asyncio.sleep(max(0.0, until - self.clock.monotonic()))
        return len(self.calls) - before

    async def _call_until(self, app: str, until: float, retry_after: float | None) -> None:
        token = self.setup.tokens[app]
        while (now := self.clock.monotonic()) < until:
            context = pass_context(token=Secret(token), wait_until=until, interval_seconds=15.0)
            with suppress(RateLimited):
                try:
                    async with self.limiters[app].acquire(context):
                        now = self.clock.monotonic()
                        await asyncio.sleep(self.chance.uniform(0.0, 3.0))
                        ended = self.clock.monotonic()
                        self.calls.append(Call(USERS[token], now, ended, self.setup.limit))
                        if retry_after is not None:
                            error = RateLimited("too many")
                            error.retry_after_seconds = retry_after
                            raise error
                except RateLimitWait:
                    return


def most_over_the_limit(calls: Sequence[Call]) -> int:
    """Return by how many calls a user has exceeded the limit; each call may arrive at any time."""
    return max(
        (
            sum(
                other.user == call.user
                and other.begun <= call.begun
                and other.ended > call.begun - WINDOW_SECONDS
                for other in calls
            )
            - call.limit
            for call in calls
        ),
        default=0,
    )


GROUPS = st.sampled_from([None, "a", "b", "c"])
SETUPS = st.builds(
    Setup,
    st.dictionaries(st.sampled_from("vwxyz"), st.sampled_from([*USERS]), min_size=1),
    st.fixed_dictionaries(dict.fromkeys(("u0", "u1", "u2"), GROUPS)),
    st.sampled_from([1, 2, 5, 20, 40]),
)


ANY = {"u0": None, "u1": None, "u2": None}


# A token comes back whose user has had another one in the meantime.
@example([(Setup({"v": t}, ANY, 1), s) for t, s in (("t3", 0), ("t0", 7), ("t3", 7))], 0)
@given(
    st.lists(st.tuples(SETUPS, st.sampled_from([0.0, 7.0, 90.0, 400.0])), min_size=2, max_size=9),
    st.integers(0, 1000),
)
def test_no_reload_exceeds_a_limit(steps: list[tuple[Setup, float]], seed: int) -> None:
    """No reload lets a user make more calls in 300 s than the limit: apps, tokens, groups, all."""

    async def run() -> list[Call]:
        world = World(seed)
        for setup, seconds in steps:
            world.reload(setup)
            await world.run(seconds)
        return world.calls

    assert most_over_the_limit(virtual_time.run(run())) <= 0


X = {"x": "t0"}
BOTH = {"x": "t0", "y": "t1"}
APART = {"u0": None, "u1": "a", "u2": "b"}


async def _calls_after(*setups: Setup) -> int:
    """Return how many calls the last setup makes immediately, after the others used all."""
    world = World()
    for setup in setups[:-1]:
        world.reload(setup)
        await world.run(400.0)
    world.reload(setups[-1])
    return await world.run(3.1)


@pytest.mark.parametrize(
    "before",
    [
        Setup(X, ANY),
        Setup(X, {**ANY, "u0": "a"}),
        Setup({"z": "t0"}, {**ANY, "u0": "a"}),
        Setup({"x": "t3"}, {**ANY, "u0": "a"}),
        Setup({"z": "t3"}, {**ANY, "u0": "a"}),
    ],
    ids=["same", "group renamed", "app replaced", "token rotated", "all changed"],
)
def test_one_user(before: Setup) -> None:
    """Whatever changes, the calls of the only user still count."""
    assert virtual_time.run(_calls_after(before, Setup(X, ANY))) <= 1


def test_another_user() -> None:
    """A new app of another user starts as in a new process: the others' calls do not count."""
    calls = virtual_time.run(_calls_after(Setup(X, APART), Setup(BOTH, APART)))
    assert calls_at_start(LIMIT) <= calls <= calls_at_start(LIMIT) + 2


def test_a_user_that_vanished() -> None:
    """The calls of a user whose app is gone count for no other app, but for the app's return."""

    async def run() -> None:
        world = World()
        both, only_x = Setup(BOTH, APART), Setup(X, APART)
        world.reload(both)
        await asyncio.sleep(400.0)
        world.setup = Setup({"y": "t1"}, APART)
        made = await world.run(5.0)
        assert made > 0
        for setup in (only_x, only_x, both):
            world.reload(setup)
            remaining = {
                name: world.groups[name].budget.remaining(world.clock.monotonic())
                for name in setup.terms()
            }
            assert LIMIT == remaining.pop(None)
        assert {"a": LIMIT - made} == remaining

    virtual_time.run(run())


def test_back_and_forth() -> None:
    """A split that is taken back counts no call twice."""

    async def run() -> tuple[int, int]:
        world = World()
        world.reload(Setup(BOTH, ANY))
        await world.run(400.0)
        remaining = world.groups[None].budget.remaining
        before = remaining(world.clock.monotonic())
        for _ in range(50):
            world.reload(Setup(BOTH, APART))
            world.reload(Setup(BOTH, ANY))
        return before, world.groups[None].budget.remaining(world.clock.monotonic())

    before, after = virtual_time.run(run())
    assert before == after


def test_idle() -> None:
    """A reload of a group that has made no call for a long time does not use up its budget."""

    async def run() -> int:
        world = World()
        world.reload(Setup(X, ANY))
        await asyncio.sleep(1000.0)
        world.reload(Setup(X, ANY))
        return world.groups[None].budget.remaining(world.clock.monotonic())

    assert LIMIT == virtual_time.run(run())


@pytest.mark.parametrize("tokens", [X, {"z": "t3"}, BOTH])
def test_block(tokens: Mapping[str, str]) -> None:
    """A block after a 429 goes on, also for new groups and after the window has passed."""

    async def run() -> int:
        world = World()
        world.reload(Setup(X, ANY))
        await world.run(1.0, retry_after=900.0)
        for after in (tokens, X):
            await asyncio.sleep(400.0)
            world.reload(Setup(after, dict.fromkeys(ANY, "c")))
        return await world.run(50.0)

    calls = virtual_time.run(run())
    assert 0 == calls


def test_saved_calls() -> None:
    """A group whose calls an earlier process saved begins with them."""

    async def run() -> int:
        clock = VirtualClock()
        now = clock.wall()
        saved = SavedCalls(group="a", until=now, ends=(now - 10.0,) * 12, is_final=True)
        world = World(saved={"a": saved})
        world.reload(Setup(X, {**ANY, "u0": "a"}))
        return world.groups["a"].budget.remaining(clock.monotonic())

    assert LIMIT - 12 == virtual_time.run(run())


@pytest.mark.parametrize("set_back", [0.0, 86_400.0], ids=["clock right", "clock set back"])
def test_block_across_a_restart(set_back: float) -> None:
    """A process that starts during a block makes no call before its end, and says why."""

    async def run() -> None:
        world = World()
        world.reload(Setup(X, ANY))
        await world.run(1.0, retry_after=900.0)
        await asyncio.sleep(300.0)
        (saved,) = world.groups.recent_calls()
        saved = replace(
            saved, until=saved.until + set_back, blocked_until=(saved.blocked_until or 0) + set_back
        )
        again = World(saved={None: saved})
        again.clock = world.clock
        again.groups = BudgetGroups(world.clock, saved=lambda _: saved)
        again.reload(Setup(X, ANY))
        status = again.limiters["x"].budget_status(world.clock.wall())
        assert status.block is not None
        assert Reason.RATE_LIMITED is status.block.failure.reason
        assert 0 == sum([await again.run(10.0) for _ in range(59)])
        await asyncio.sleep(20.0)
        assert await again.run(10.0)

    virtual_time.run(run())


@pytest.mark.parametrize(("left_seconds", "is_blocked"), [(0.5, True), (0.0, False)])
def test_last_moment_of_a_block(left_seconds: float, *, is_blocked: bool) -> None:
    """Even a short rest of a block is saved, and counts at the next start; its end does not."""

    async def run() -> None:
        world = World()
        world.reload(Setup(X, ANY))
        now, wall = world.clock.monotonic(), world.clock.wall()
        cause = Failure(Reason.RATE_LIMITED, "too many calls")
        world.groups[None].breaker.open(now - 60.0, seconds=60.0 + left_seconds, cause=cause)
        (saved,) = world.groups.recent_calls()
        assert (wall + left_seconds if is_blocked else None) == saved.blocked_until
        # Also if another version of the exporter has saved the end of a block that is over.
        again = World(saved={None: replace(saved, blocked_until=wall + left_seconds)})
        again.reload(Setup(X, ANY))
        assert is_blocked is (again.limiters["x"].budget_status(wall).block is not None)

    virtual_time.run(run())


@pytest.mark.parametrize(
    ("blocked_until", "until", "expected"),
    [
        (None, 1000.0, 0.0),
        (1300.0, 1000.0, 290.0),
        (1300.0, 5000.0, 0.0),
        (5300.0, 5000.0, 300.0),
        (1009.0, 1000.0, 0.0),
        (1e308, 1000.0, 3600.0),
        (1e308, -1e308, 3600.0),
        (-1e308, 1e308, 0.0),
    ],
)
def test_rest_of_block(blocked_until: float | None, until: float, expected: float) -> None:
    """The rest is never longer than any block, whatever the clock shows and the file contains."""
    saved = SavedCalls(group=None, until=until, blocked_until=blocked_until)
    assert expected == rest_of_block(saved, unix_seconds=1010.0)


def test_calls_to_save() -> None:
    """The calls of each group are saved by its name, in the time of the wall clock."""

    async def run() -> None:
        world = World()
        world.reload(Setup(BOTH, {**ANY, "u0": "a"}))
        await asyncio.sleep(400)
        world.setup = Setup(X, {**ANY, "u0": "a"})
        made = await world.run(10.0)
        now = world.clock.wall()
        called, idle = world.groups.recent_calls()
        assert [("a", now), (None, now)] == [(saved.group, saved.until) for saved in (called, idle)]
        assert (made, 0) == (len(called.ends), len(idle.ends))
        assert None is called.blocked_until is idle.blocked_until
        assert all(now - 15.0 < end < now + 1.0 for end in called.ends)

    virtual_time.run(run())


def test_what_goes_on_after_a_reload() -> None:
    """A block keeps its reason, and the last report is shown until it is old."""

    async def run() -> None:
        world = World()
        world.reload(Setup(BOTH, APART))
        await asyncio.sleep(400.0)
        policies = (RateLimitPolicy(policy="default", remaining=7),)
        world.groups["a"].report = PolicyReport(policies, world.clock.monotonic())
        world.setup = Setup(X, APART)
        await world.run(1.0, retry_after=900.0)
        world.reload(Setup(BOTH, ANY))
        status = world.limiters["y"].budget_status(world.clock.wall())
        assert status.block is not None
        assert Reason.RATE_LIMITED is status.block.failure.reason
        assert policies == status.policies

    virtual_time.run(run())


def test_no_report_before_a_reload() -> None:
    """Without a report there is none after a reload."""

    async def run() -> tuple[RateLimitPolicy, ...]:
        world = World()
        for _ in range(2):
            world.reload(Setup(X, ANY))
        return world.groups[None].report.policies

    assert () == virtual_time.run(run())


def test_first_start() -> None:
    """A process that knows no calls before it may borrow only a few."""

    async def run() -> int:
        world = World()
        world.reload(Setup(X, ANY))
        return world.groups[None].budget.remaining(world.clock.monotonic())

    assert calls_at_start(LIMIT) == virtual_time.run(run())


def test_one_pass() -> None:
    """A process that makes one pass takes a part of the limit, and can spend it immediately."""

    async def run() -> None:
        clock = VirtualClock()
        ends = (clock.wall() - 10.0,) * 560
        saved = SavedCalls(group=None, until=clock.wall(), ends=ends, is_final=True)
        groups = BudgetGroups(clock, saved=lambda _: saved, one_pass=True)
        terms = GroupTerms(limit=600, tokens=frozenset({Secret("t0")}))
        groups.replace({None: terms}, reserve_ratio=0.5)
        budget, now = groups[None].budget, clock.monotonic()
        # The part is 60, and 540 calls are left to others.
        assert (60, 40) == (budget.limit, budget.affordable(now, interval_seconds=15.0))
        budget.acquire(now, interval_seconds=15.0)
        budget.observe(now, [RateLimitPolicy(policy="default", remaining=50, limit=80)])
        assert 10 == budget.affordable(now, interval_seconds=15.0)

    virtual_time.run(run())

"""The hard limit of calls in any 300 s, their pace, and budgets that are merged."""

import copy
import math

from collections.abc import Sequence
from itertools import cycle

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.ratelimit.budget import WINDOW_SECONDS, SlidingWindowBudget, largest_burst
from tests.support.budget_callers import (
    ARRIVALS,
    INTERVALS,
    LATENCIES,
    LIMITS,
    REPORTS,
    RESTED,
    TINY,
    Arrival,
    Caller,
    Latency,
    Process,
    Reports,
    most_in_a_window,
    policy,
    rested,
)


def most_in_a_burst(limit: int, interval: float) -> int:
    """Return the calls of 1.35 intervals, of 1.1 intervals and one more, or those of a start."""
    calls = interval * limit / WINDOW_SECONDS
    at_start = max(1, limit // 15)
    burst = max(1.25 * calls, calls + 1, at_start - 0.1 * calls) + 0.1 * calls
    return min(limit, math.floor(burst + TINY))


class TestWindow:
    """The hard limit in any 300 s."""

    @given(
        LIMITS, st.lists(INTERVALS, min_size=1, max_size=5), ARRIVALS, REPORTS, st.floats(0.0, 1e7)
    )
    def test_never_more_calls_than_the_limit(
        self,
        limit: int,
        intervals: list[float],
        arrivals: list[Arrival],
        answers: list[Reports],
        now: float,
    ) -> None:
        """No window has too many calls, whenever apps with any intervals need them."""
        caller = Caller(
            SlidingWindowBudget(limit, now=now, reserve_ratio=0.0), now, answers=answers
        )
        for arrival, caller.interval in zip(arrivals, cycle(intervals), strict=False):
            caller.want(arrival)
        assert most_in_a_window(caller.calls) <= limit

    @given(LIMITS, INTERVALS, ARRIVALS)
    def test_the_wait_is_long_enough(
        self, limit: int, interval: float, arrivals: list[Arrival]
    ) -> None:
        """A caller waits once, and never longer than 300 s."""
        caller = Caller(SlidingWindowBudget(limit, now=0.0, reserve_ratio=0.0), 0.0, interval)
        for gap, *_ in arrivals:
            caller.now += gap
            assert caller.wait <= WINDOW_SECONDS + 0.001 + TINY
            caller.now += caller.wait
            assert caller.wait <= TINY
            caller.call()

    def test_a_full_window_and_one_call_more(self) -> None:
        """After the last allowed call, the next call is allowed when the first is 300 s old."""
        caller = rested(limit=3, interval=300.0)
        assert 3 == caller.burst()
        assert 300 <= caller.wait < 300.01
        caller.now += 299.999
        assert 0 == caller.burst()
        caller.now += 0.01
        assert 3 == caller.burst()


class TestArrivals:
    """Calls count from their start until 300 s after their end, because they arrive in between."""

    def test_a_late_arrival(self) -> None:
        """A call that takes long to connect leaves no room for one more within 300 s."""
        caller = rested(limit=20, interval=300.0)
        caller.begin()
        caller.now += 299.0
        caller.end()
        assert 19 == caller.burst()
        caller.now += 1.5
        assert (0, 0) == (caller.affordable, caller.budget.remaining(caller.now))
        assert 298 < caller.wait < 299

    def test_calls_in_flight(self) -> None:
        """A running call occupies its place, however long it takes."""
        caller = rested(limit=2, interval=300.0)
        caller.begin()
        caller.begin()
        caller.now += 10_000
        assert (0, 300.0) == (caller.budget.remaining(caller.now), caller.wait)
        caller.end()
        assert 300 < caller.wait < 300.1

    @given(LIMITS, INTERVALS, ARRIVALS, LATENCIES)
    def test_one_process(
        self, limit: int, interval: float, arrivals: list[Arrival], latencies: list[Latency]
    ) -> None:
        """No window has more arrivals than the limit, whenever each call arrives."""
        process = Process(SlidingWindowBudget(limit, now=0.0, reserve_ratio=0.0), 0.0, interval)
        process.run(arrivals, latencies, until=math.inf)
        assert most_in_a_window(sorted(process.arrivals)) <= limit


class TestPace:
    """Calls are spread over the window."""

    @pytest.mark.parametrize("jitter", [0.0, 0.005, 0.02])
    @pytest.mark.parametrize(
        ("limit", "count", "interval"), [(600, 30, 15.0), (40, 2, 15.0), (60, 12, 60.0), (5, 1, 60)]
    )
    def test_regular_passes_get_all_their_calls(
        self, limit: int, count: int, interval: float, jitter: float
    ) -> None:
        """Passes that need the whole budget get it for an hour, even if they are not punctual."""
        caller = Caller(SlidingWindowBudget(limit, now=0.0, reserve_ratio=0.0), 0.0, interval)
        made = [
            caller.run_pass(number * interval + jitter * (number * 7 % 11 - 5) / 5, count)
            for number in range(1, int(3600 / interval))
        ]
        assert [count] * len(made) == made
        assert most_in_a_window(caller.calls) == limit

    @given(LIMITS, INTERVALS, st.floats(0.0, 1e5), REPORTS)
    @example(600, 15.0, 3600.0, [()])
    @example(600, 15.0, 3600.0, [(policy(1000),)])
    def test_burst_after_idle_time(
        self, limit: int, interval: float, idle: float, answers: list[Reports]
    ) -> None:
        """After any idle time, a burst has at most the calls of 1.35 intervals, or of a start."""
        budget = SlidingWindowBudget(limit, now=0.0, reserve_ratio=0.0)
        caller = Caller(budget, idle, interval, answers)
        assert caller.burst() <= most_in_a_burst(limit, interval)
        assert largest_burst(limit, interval) == most_in_a_burst(limit, interval)

    def test_a_usual_burst(self) -> None:
        """With 600 calls and passes every 15 s, a pass after idle time gets 40 calls, not 600."""
        caller = rested()
        assert (40, 40) == (caller.affordable, caller.burst())

    @pytest.mark.parametrize(
        ("limit", "calls_in_an_hour"), [(1, 12), (7, 84), (10, 120), (13, 156), (26, 312)]
    )
    def test_fractions_of_a_call_in_each_pass(self, limit: int, calls_in_an_hour: int) -> None:
        """A budget with fractions of a call per pass is fully used, evenly."""
        caller = rested(limit)
        made = [caller.run_pass(RESTED + number * 15.0, 9) for number in range(240)]
        assert calls_in_an_hour * 0.9 <= sum(made) <= calls_in_an_hour + 2
        assert max(made) <= 2

    @given(LIMITS, INTERVALS, ARRIVALS)
    def test_affordable_calls_and_remaining_calls(
        self, limit: int, interval: float, arrivals: list[Arrival]
    ) -> None:
        """Exactly the calls that are reported as remaining or affordable can be made now."""
        caller = Caller(SlidingWindowBudget(limit, now=0.0, reserve_ratio=0.0), 0.0, interval)
        caller.want(*arrivals)

        def possible_calls(now: float, interval: float) -> int:
            return Caller(copy.deepcopy(caller.budget), now, interval).burst()

        now = caller.now
        assert possible_calls(now - TINY, interval) <= caller.affordable
        assert caller.affordable <= possible_calls(now + TINY, interval)
        # If passes are rare, only the window limits the calls.
        assert possible_calls(now - TINY, 1e9) <= caller.budget.remaining(now)
        assert caller.budget.remaining(now) <= possible_calls(now + TINY, 1e9)


class TestTakeOver:
    """A new budget that takes over the calls of several others, after a reload."""

    @pytest.mark.parametrize("order", [1, -1])
    def test_strictest_report(self, order: int) -> None:
        """Of two reports of one policy, the fewest remaining calls and the latest reset count."""
        few, long = rested(), rested()
        few.call(policy(3, resets=30.0))
        long.call(policy(50, resets=90.0))
        both = merged([few, long][::order])
        both.want(*[(0.0, 1, True)] * 60, until=both.now + 89.0)
        assert len(both.calls) == 3

    @pytest.mark.parametrize("order", [1, -1])
    def test_known_limits(self, order: int) -> None:
        """A limit that was reported before counts for the reserve if later reports leave it out."""
        one, other = rested(), rested()
        one.call(policy(90, limit=100))
        other.call(policy(90, limit=100, name="burst"))
        both = merged([one, other][::order], reserve_ratio=0.5)
        both.call(policy(60, resets=1.0), policy(55, resets=1.0, name="burst"))
        assert 5 == both.affordable

    @pytest.mark.parametrize("order", [1, -1])
    def test_slowest_pace(self, order: int) -> None:
        """Calls wait as after those of the busiest budget."""
        busy, idle = rested(), rested()
        busy.burst()
        assert busy.wait > 0
        both = merged([busy, idle][::order])
        assert both.wait == pytest.approx(busy.wait)
        both.now += both.wait
        both.call(policy(1000))
        assert both.wait > 0

    @pytest.mark.parametrize("limit", [600, 60])
    @pytest.mark.parametrize("order", [1, -1])
    def test_calls_before_the_start(self, limit: int, order: int) -> None:
        """The unknown calls that new budgets assume are the same; the calls they made are not."""
        first, second = (
            Caller(SlidingWindowBudget(calls, now=0.0, reserve_ratio=0.0), 1.0)
            for calls in (600, limit)
        )
        left = first.budget.remaining(first.now)
        assert 0 < left < 50
        first.burst(most=3)
        second.burst(most=2)
        both = merged([first, second][::order])
        assert left - 5 == both.budget.remaining(first.now)
        # Once more, as after another reload.
        assert left - 5 == merged([both, first]).budget.remaining(first.now)


def merged(callers: Sequence[Caller], *, reserve_ratio: float = 0.0) -> Caller:
    """Return a caller whose budget takes over those of *callers*."""
    both = rested(reserve_ratio=reserve_ratio)
    both.budget.take_over(caller.budget for caller in callers)
    return both

import copy
import math

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import pytest

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rk_exporter.ratelimit.budget import WINDOW_SECONDS, SlidingWindowBudget
from rk_exporter.ratelimit.status import RateLimitPolicy


# A new budget is used up; after this time it is full.
RESTED = 400.0
INTERVAL = 15.0
MAX_WAIT_SECONDS = 1.0
# Sums of floats differ in their last digits, depending on the order.
TINY = 1e-6

Arrival = tuple[float, int, bool]
Reports = tuple[RateLimitPolicy, ...]

LIMITS = st.integers(1, 50)
INTERVALS = st.sampled_from([0.0, 0.5, 5.0, 15.0, 60.0, 300.0]) | st.floats(0.1, 300.0)
# Arrivals are: seconds since the last arrival, number of calls, and whether the calls wait.
GAPS = st.sampled_from([0.0, 0.001, 15.0, 299.999, 300.0, 1e4]) | st.floats(0.0, 700.0)
ARRIVALS = st.lists(st.tuples(GAPS, st.integers(1, 60), st.booleans()), max_size=25)
REPORT = st.builds(
    RateLimitPolicy,
    policy=st.sampled_from(["default", "burst"]),
    remaining=st.integers(0, 100),
    limit=st.none() | st.integers(1, 100),
    reset_seconds=st.none() | st.floats(-10.0, 600.0),
)
REPORTS = st.lists(st.lists(REPORT, max_size=2).map(tuple), min_size=1, max_size=9)


def policy(
    remaining: int, *, resets: float | None = 300.0, limit: int | None = None, name: str = "default"
) -> RateLimitPolicy:
    return RateLimitPolicy(policy=name, remaining=remaining, limit=limit, reset_seconds=resets)


@dataclass
class Caller:
    """Makes the calls that a budget allows, gets an immediate answer, and records the times."""

    budget: SlidingWindowBudget
    now: float
    interval: float = INTERVAL
    answers: Sequence[Reports] = ((),)
    calls: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._answers = cycle(self.answers)

    @property
    def wait(self) -> float:
        return self.budget.wait_seconds(self.now, interval_seconds=self.interval)

    @property
    def affordable(self) -> int:
        return self.budget.affordable(self.now, interval_seconds=self.interval)

    def begin(self) -> None:
        self.budget.acquire(self.now, interval_seconds=self.interval)
        self.calls.append(self.now)

    def end(self, *reports: RateLimitPolicy) -> None:
        self.budget.observe(self.now, reports)
        self.budget.release()

    def call(self, *reports: RateLimitPolicy) -> None:
        self.begin()
        self.end(*(reports or next(self._answers)))

    def burst(self, *, most: int = 10_000) -> int:
        """Make all calls that are allowed now, at most *most*, and return their number."""
        made = 0
        while made < most and self.wait <= 0:
            self.call()
            made += 1
        return made

    def want(self, *arrivals: Arrival, until: float = math.inf) -> None:
        """Make the calls of the *arrivals* that are allowed."""
        for gap, count, waits in arrivals:
            self.now += gap
            for _ in range(count):
                seconds = self.wait
                if (seconds and not waits) or self.now + seconds >= until:
                    break
                self.now += seconds
                self.call()

    def run_pass(self, begins: float, count: int) -> int:
        """Make up to *count* calls, and wait for each no longer than a pass does."""
        self.now = max(self.now, begins)
        for made in range(count):
            if self.now + self.wait > begins + MAX_WAIT_SECONDS:
                return made
            self.now += self.wait
            self.call()
        return count


def rested(limit: int = 600, *, reserve_ratio: float = 0.0, interval: float = INTERVAL) -> Caller:
    """Return a caller whose budget is full."""
    return Caller(
        SlidingWindowBudget(limit, now=0.0, reserve_ratio=reserve_ratio), RESTED, interval
    )


def most_in_a_window(calls: Sequence[float], *, tolerance: float = 0.0) -> int:
    """Return the largest number of *calls* in any half-open window of 300 s."""
    most = first = 0
    for number, at in enumerate(calls):
        while at - calls[first] >= WINDOW_SECONDS - tolerance:
            first += 1
        most = max(most, number - first + 1)
    return most


def most_in_a_burst(limit: int, interval: float) -> int:
    """Return the largest burst: the calls of 1.35 intervals, or of 1.1 intervals and one more."""
    calls = interval * limit / WINDOW_SECONDS
    return math.floor(max(1.25 * calls, calls + 1) + 0.1 * calls + TINY)


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


class TestRestart:
    """A process that is killed and starts again with a new budget."""

    @staticmethod
    def calls(
        runs: Iterable[tuple[float, float, list[Arrival]]], limit: int, interval: float
    ) -> list[float]:
        """Return the calls of several runs of a process: down time, up time and arrivals each."""
        calls: list[float] = []
        now = 0.0
        for down, up, arrivals in runs:
            now += down
            caller = Caller(SlidingWindowBudget(limit, now=now, reserve_ratio=0.0), now, interval)
            caller.want(*arrivals, until=now + up)
            calls += caller.calls
            now += up
        return calls

    @given(
        st.lists(
            st.tuples(st.floats(0.0, 400.0), st.just(20.0) | st.floats(0.0, 700.0), ARRIVALS),
            max_size=8,
        ),
        LIMITS,
        INTERVALS,
    )
    @settings(max_examples=60)
    def test_any_runs(
        self, runs: list[tuple[float, float, list[Arrival]]], limit: int, interval: float
    ) -> None:
        """
        Restarts add at most the calls of one burst to any window, however many runs it contains.

        A burst has the calls of 1.35 intervals, because a pass may save calls and may be early. All
        later runs in the window make no more calls than their time allows.
        """
        calls = self.calls(runs, limit, interval)
        assert most_in_a_window(calls, tolerance=TINY) <= limit + most_in_a_burst(limit, interval)

    @pytest.mark.parametrize(
        ("last_run", "expected"),
        [
            pytest.param([(RESTED, 1000, False)], 639, id="a pass after idle time"),
            pytest.param([(15.0, 30, True)] * 40, 629, id="regular passes"),
        ],
    )
    def test_the_worst_restart(self, last_run: list[Arrival], expected: int) -> None:
        """A crash after a pass adds the pass's calls: up to 40 to 600, with passes every 15 s."""
        up = sum(gap for gap, *_ in last_run) + 0.1
        calls = self.calls([(0.0, up, last_run), (0.0, 600.0, [(0.0, 1000, True)])], 600, INTERVAL)
        assert most_in_a_window(calls) == expected

    @pytest.mark.parametrize("down", [0.0, 0.3, 7.0])
    def test_crash_loop(self, down: float) -> None:
        """A process that is killed every 20 s and makes all allowed calls keeps the limit."""
        calls = self.calls([(down, 20.0, [(0.0, 1000, True)])] * 60, 600, INTERVAL)
        assert 400 < most_in_a_window(calls) <= 600

    @given(ARRIVALS, LIMITS)
    def test_any_crash_loop(self, arrivals: list[Arrival], limit: int) -> None:
        """A process with any arrivals that is killed every 20 s keeps the limit."""
        calls = self.calls([(0.0, 20.0, arrivals)] * 40, limit, INTERVAL)
        assert most_in_a_window(calls, tolerance=TINY) <= limit

    def test_a_start_waits(self) -> None:
        """A new budget is used up; the first call is due after its share of the window."""
        caller = Caller(SlidingWindowBudget(600, now=5.0, reserve_ratio=0.0), 5.0)
        assert (0, 0) == (caller.affordable, caller.budget.remaining(caller.now))
        assert 0.5 <= caller.wait < 0.51


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

    @given(LIMITS, INTERVALS, st.floats(0.0, 1e5))
    @example(600, 15.0, 3600.0)
    def test_burst_after_idle_time(self, limit: int, interval: float, idle: float) -> None:
        """After any idle time, a burst has at most the calls of 1.35 intervals."""
        caller = Caller(SlidingWindowBudget(limit, now=0.0, reserve_ratio=0.0), idle, interval)
        assert caller.burst() <= most_in_a_burst(limit, interval)

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


class TestReports:
    """The remaining calls that Cloudflare reports."""

    @given(
        st.integers(0, 60),
        st.none() | st.integers(1, 100),
        st.floats(0.1, 300.0),
        st.floats(0.0, 0.9),
        st.integers(0, 5),
    )
    def test_no_more_than_reported(
        self, left: int, limit: int | None, resets: float, reserve_ratio: float, in_flight: int
    ) -> None:
        """Until the reset, calls stay within the report, less the reserve and calls in flight."""
        caller = rested(reserve_ratio=reserve_ratio)
        for _ in range(in_flight):
            caller.begin()
        caller.call(policy(left, resets=resets, limit=limit))
        caller.calls.clear()
        end = caller.now + resets
        while caller.now + caller.wait < end:
            caller.now += caller.wait
            caller.call()
        reserve = math.ceil((limit or left) * reserve_ratio)
        assert len(caller.calls) <= max(0, left - reserve - in_flight)

    def test_remaining_calls_are_spread(self) -> None:
        """Seven passes share ten calls for a hundred seconds; the first does not take them all."""
        caller = rested()
        caller.call(policy(10, resets=100.0))
        made = [caller.run_pass(RESTED + number * INTERVAL, 30) for number in range(7)]
        assert {1, 2} == set(made)
        assert 9 <= sum(made) <= 10

    def test_affordable_by_a_report(self) -> None:
        """If a report leaves few calls, exactly the affordable calls can be made."""
        caller = rested()
        caller.call(policy(10, resets=300.0))
        affordable = caller.affordable
        assert affordable == caller.burst()

    def test_reserve(self) -> None:
        """A fifth of the limit is reserved, or else a fifth of the most remaining calls."""
        caller = rested(reserve_ratio=0.2)
        caller.call(policy(241, limit=1200))
        assert 1 == caller.affordable
        caller.call(policy(240, limit=1200))
        assert (0, 300) == (caller.affordable, caller.wait)

        caller = rested(reserve_ratio=0.2)
        caller.call(policy(100))
        assert caller.affordable > 1
        caller.call(policy(20))
        assert (0, 300) == (caller.affordable, caller.wait)

    def test_calls_in_flight(self) -> None:
        """A report may not include calls without an answer yet, so they are subtracted."""
        caller = rested()
        for _ in range(3):
            caller.begin()
        caller.end(policy(2))
        assert (0, 300) == (caller.affordable, caller.wait)
        caller.end(policy(2))
        assert 1 == caller.affordable

    def test_the_strictest_policy_counts(self) -> None:
        """All policies limit the calls, however much the others leave."""
        caller = rested()
        caller.call(policy(1000), policy(0, resets=30.0, name="burst"))
        assert (0, 30) == (caller.affordable, caller.wait)

    def test_exhausted(self) -> None:
        """Without remaining calls all wait for the reset; then one call probes, and others wait."""
        caller = rested()
        caller.call(policy(0, resets=40.0))
        caller.now += 39
        assert 1 == caller.wait
        caller.now += 1
        assert 0 == caller.wait
        caller.begin()
        assert 10 == caller.wait
        caller.end(policy(100))
        assert 0 == caller.wait

    def test_probe_without_a_report(self) -> None:
        """If the probing call brings no report, another call probes after 10 s."""
        caller = rested()
        caller.call(policy(0, resets=40.0))
        caller.now += 40
        caller.call()
        assert 10 == caller.wait

    @pytest.mark.parametrize(
        ("resets", "waits"), [(-5.0, 10), (0.0, 10), (9.0, 10), (11.0, 11), (None, 300)]
    )
    def test_how_long_it_is_exhausted(self, resets: float | None, waits: float) -> None:
        """A probe comes after 10 s at the earliest, and after 300 s without a reported time."""
        caller = rested()
        caller.call(policy(0, resets=resets))
        assert waits == caller.wait

    def test_policy_that_is_no_longer_reported(self) -> None:
        """An exhausted policy that is no longer reported blocks no calls."""
        caller = rested()
        caller.call(policy(0, resets=5.0, name="burst"))
        caller.now += 10
        for _ in range(3):
            caller.call(policy(1000))
            caller.now += 15
        assert 0 == caller.wait
        assert caller.affordable > 1
        caller.call(policy(1000))
        assert 0 == caller.wait

    def test_a_report_expires(self) -> None:
        """A report no longer limits calls after its reset time."""
        caller = rested()
        caller.call(policy(2, resets=30.0))
        assert caller.affordable <= 2
        caller.now += 60
        assert 40 == caller.affordable == caller.burst()

    def test_more_than_the_budget(self) -> None:
        """A report above the budget changes nothing."""
        caller = rested()
        caller.call(policy(1000, limit=1200))
        assert 39 == caller.affordable == caller.burst()

    @pytest.mark.parametrize("left", [0, 1, 5])
    def test_reset_in_the_far_future(self, left: int) -> None:
        """A wrong reset time does not silence the exporter: it probes an hour later."""
        caller = rested()
        caller.call(policy(left, resets=999_999_999_999_999.0))
        caller.burst()
        caller.now += 3601
        assert 0 == caller.wait

import copy
import math

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle

import pytest

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rk_exporter.model.saved_calls import SavedCalls
from rk_exporter.ratelimit.budget import (
    LONGEST_PACED_SECONDS,
    WINDOW_SECONDS,
    SlidingWindowBudget,
    largest_burst,
    one_pass_limit,
)
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.past_calls import past_calls
from rk_exporter.ratelimit.status import RateLimitPolicy


# Most of a new budget is used up; after this time it is full.
RESTED = 400.0
INTERVAL = 15.0
MAX_WAIT_SECONDS = 1.0
# Sums of floats differ in their last digits, depending on the order.
TINY = 1e-6

Arrival = tuple[float, int, bool]
Latency = tuple[float, float]
Run = tuple[float, float, list[Arrival]]
Reports = tuple[RateLimitPolicy, ...]

LIMITS = st.integers(1, 50)
INTERVALS = st.sampled_from([0.0, 0.5, 5.0, 15.0, 60.0, 300.0]) | st.floats(0.1, 300.0)
# Arrivals are: seconds since the last arrival, number of calls, and whether the calls wait.
GAPS = st.sampled_from([0.0, 0.001, 15.0, 299.999, 300.0, 1e4]) | st.floats(0.0, 700.0)
ARRIVALS = st.lists(st.tuples(GAPS, st.integers(1, 60), st.booleans()), max_size=25)
# Latencies are: seconds until the answer, and the part of them after which the call arrives.
LATENCIES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.05, 5.0]) | st.floats(0.0, 5.0), st.floats(0.0, 1.0)),
    min_size=1,
    max_size=5,
)
NO_LATENCY = [(0.0, 0.0)]
WORKERS = 8
# Runs of a process are: seconds without it, its duration, and the calls that it wants to make.
RUNS = st.lists(
    st.tuples(st.floats(0.0, 400.0), st.just(20.0) | st.floats(0.0, 700.0), ARRIVALS), max_size=8
)
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
        self.budget.release(self.now)

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


@dataclass
class Process:
    """Makes calls with eight workers, each with some latency; all that arrive are recorded."""

    budget: SlidingWindowBudget
    now: float
    interval: float
    arrivals: list[float] = field(default_factory=list)
    _ends: list[float] = field(default_factory=list)
    _latencies: Iterator[Latency] | None = None

    def run(
        self, wanted: Sequence[Arrival], latencies: Sequence[Latency], *, until: float
    ) -> list[Arrival]:
        """Make the *wanted* calls, as far as they are allowed; return those after *until*."""
        self._latencies = self._latencies or cycle(latencies)
        for number, (gap, count, waits) in enumerate(wanted):
            if self.now + gap >= until:
                self._pass_time(until)
                return [(gap - (until - self.now), count, waits), *wanted[number + 1 :]]
            self._pass_time(self.now + gap)
            for made in range(count):
                if not self._begin(waits=waits, until=until):
                    if waits:
                        return [(0.0, count - made, waits), *wanted[number + 1 :]]
                    break
        return []

    def _begin(self, *, waits: bool, until: float) -> bool:
        while True:
            wait = self.budget.wait_seconds(self.now, interval_seconds=self.interval)
            if wait <= 0 and len(self._ends) < WORKERS:
                break
            if not waits:
                return False
            due = min(self._ends, default=math.inf)
            at = due if len(self._ends) == WORKERS else min(self.now + wait, due)
            if at >= until:
                self._pass_time(until)
                return False
            self._pass_time(at)
        assert self._latencies
        seconds, ratio = next(self._latencies)
        self.budget.acquire(self.now, interval_seconds=self.interval)
        self.arrivals.append(self.now + ratio * seconds)
        self._ends.append(self.now + seconds)
        self._pass_time(self.now)
        return True

    def _pass_time(self, until: float) -> None:
        for end in sorted(self._ends):
            if end > until:
                break
            self._ends.remove(end)
            self.budget.release(end)
        self.now = until


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


class TestRestart:
    """A process that is killed and starts again, without knowing its earlier calls."""

    @staticmethod
    def calls(
        runs: Iterable[Run], limit: int, interval: float, latencies: Sequence[Latency] = NO_LATENCY
    ) -> tuple[list[float], list[float]]:
        """Return when the calls of several runs of a process arrive, and when the runs start."""
        arrivals: list[float] = []
        starts = []
        now = 0.0
        for down, up, wanted in runs:
            now += down
            starts.append(now)
            budget = SlidingWindowBudget(limit, now=now, reserve_ratio=0.0)
            process = Process(budget, now, interval)
            process.run(wanted, latencies, until=now + up)
            arrivals += process.arrivals
            now += up
        return sorted(arrivals), starts

    @given(RUNS, LIMITS, INTERVALS, LATENCIES | st.just(NO_LATENCY))
    @settings(max_examples=100)
    def test_any_runs(
        self, runs: list[Run], limit: int, interval: float, latencies: Sequence[Latency]
    ) -> None:
        """
        A restart adds at most one burst to the calls of any window; more add the calls of a start.

        While calls are on their way, the pace allows further ones.
        """
        arrivals, starts = self.calls(runs, limit, interval, latencies)
        longest = max(seconds for seconds, _ in latencies)
        delayed = math.ceil(longest * limit / WINDOW_SECONDS)
        at_start = max(1, limit // 15)
        for begin in arrivals:
            count = sum(1 for at in arrivals if begin <= at < begin + WINDOW_SECONDS - TINY)
            restarts = sum(1 for at in starts if begin - longest <= at < begin + WINDOW_SECONDS)
            bound = limit
            if restarts:
                bound += largest_burst(limit, interval) + delayed
            if restarts > 1:
                bound += restarts * at_start
            assert count <= bound

    @pytest.mark.parametrize(
        ("last_run", "expected"),
        [
            pytest.param([(RESTED, 1000, False)], 639, id="a pass after idle time"),
            pytest.param([(15.0, 30, True)] * 40, 640, id="regular passes"),
        ],
    )
    def test_the_worst_restart(self, last_run: list[Arrival], expected: int) -> None:
        """With passes every 15 s, a restart adds at most the 40 calls that a start may make."""
        up = sum(gap for gap, *_ in last_run) + 0.1
        runs = [(0.0, up, last_run), (0.0, 600.0, [(0.0, 1000, True)])]
        arrivals, _ = self.calls(runs, 600, INTERVAL)
        assert most_in_a_window(arrivals) == expected

    @pytest.mark.parametrize("down", [0.0, 0.3, 7.0])
    def test_crash_loop(self, down: float) -> None:
        """A process that is killed every 20 s and makes all allowed calls keeps the limit."""
        arrivals, _ = self.calls([(down, 20.0, [(0.0, 1000, True)])] * 60, 600, INTERVAL)
        assert 440 <= most_in_a_window(arrivals) <= 600

    @given(ARRIVALS, LIMITS, LATENCIES)
    def test_any_crash_loop(
        self, wanted: list[Arrival], limit: int, latencies: list[Latency]
    ) -> None:
        """A process with any wishes that is killed every 20 s keeps the limit."""
        up = max(20.0, WINDOW_SECONDS / limit)
        arrivals, _ = self.calls([(0.0, up, wanted)] * 40, limit, INTERVAL, latencies)
        assert most_in_a_window(arrivals, tolerance=TINY) <= limit

    def test_a_start_borrows(self) -> None:
        """A start makes the calls of its first 20 s at once; the next is due after that time."""
        caller = Caller(SlidingWindowBudget(600, now=5.0, reserve_ratio=0.0), 5.0)
        assert (40, 40) == (caller.affordable, caller.budget.remaining(caller.now))
        assert 40 == caller.burst()
        assert 20.5 <= caller.wait < 20.51

    @given(st.integers(1, 2000), st.floats(0.0, 1e7), st.floats(0.0, 600.0))
    def test_any_start(self, limit: int, now: float, interval: float) -> None:
        """A start borrows a fifteenth of the limit, or one call, whatever the interval is."""
        caller = Caller(SlidingWindowBudget(limit, now=now, reserve_ratio=0.0), now, interval)
        assert max(1, limit // 15) == caller.affordable == caller.burst()

    @pytest.mark.parametrize("limit", range(1, 200))
    def test_bursts_are_bounded(self, limit: int) -> None:
        """However long the interval is, a restart adds at most half of the limit, or one call."""
        assert largest_burst(limit, LONGEST_PACED_SECONDS) <= math.ceil(limit / 2)

    @pytest.mark.parametrize(("limit", "expected"), [(1, 1), (4, 4), (20, 5), (60, 6), (600, 60)])
    def test_one_pass(self, limit: int, expected: int) -> None:
        """A process that makes one pass takes a tenth, or five calls if that is more, at once."""
        small = one_pass_limit(limit)
        budget = SlidingWindowBudget(small, now=0.0, reserve_ratio=0.0, borrowed=small)
        caller = Caller(budget, 0.0)
        assert (expected, expected) == (caller.affordable, caller.burst())
        assert 300 <= caller.wait < 300.1


class TestSavedCalls:
    """A process that is restarted, and knows the calls that were saved before."""

    @staticmethod
    def calls(
        runs: Iterable[Run],
        limit: int,
        *,
        saved_before_seconds: float | None = None,
        set_back: Sequence[float] = (0.0,),
    ) -> list[float]:
        """
        Return the calls of several runs; each run saves its calls when it ends.

        A run that is killed saved its calls some seconds before its end. Each start finds the clock
        *set_back* by some more seconds.
        """
        arrivals: list[float] = []
        saved = SavedCalls(group="default", until=-1000.0)
        now = offset = 0.0
        for (down, up, wanted), seconds in zip(runs, cycle(set_back), strict=False):
            now += down
            offset -= seconds
            past = past_calls(saved, now=now, unix_seconds=now + offset)
            budget = SlidingWindowBudget(limit, now=now, reserve_ratio=0.0, past=past)
            process = Process(budget, now, INTERVAL)
            save_at = max(now, now + up - (saved_before_seconds or 0.0))
            group = BudgetGroup(budget, monotonic=lambda at=save_at: at)  # type: ignore[misc]
            left = process.run(wanted, NO_LATENCY, until=save_at)
            saved = replace(
                group.recent_calls("default", save_at + offset),
                is_final=saved_before_seconds is None,
            )
            process.run(left, NO_LATENCY, until=now + up)
            arrivals += process.arrivals
            now += up
        return sorted(arrivals)

    @given(RUNS, LIMITS, st.lists(st.sampled_from([0.0, 5.0, 1e6]), min_size=1, max_size=5))
    def test_restarts_cost_nothing(
        self, runs: list[Run], limit: int, set_back: list[float]
    ) -> None:
        """Restarts add no call to any window, even if the clock was set back in the meantime."""
        assert most_in_a_window(self.calls(runs, limit, set_back=set_back)) <= limit

    @given(RUNS, LIMITS, st.floats(0.0, 400.0))
    def test_after_a_kill(self, runs: list[Run], limit: int, seconds: float) -> None:
        """A kill between two saves adds at most one burst, like a restart without a file."""
        arrivals = self.calls(runs[:2], limit, saved_before_seconds=seconds)
        assert most_in_a_window(arrivals, tolerance=TINY) <= limit + largest_burst(limit, INTERVAL)

    @pytest.mark.parametrize(("set_back", "expected"), [(0.0, 30), (3600.0, 0)])
    def test_no_pause(self, set_back: float, expected: int) -> None:
        """A busy process goes on after its restart; if the clock was set back, it has to wait."""
        regular = [(15.0, 30, True)] * 40
        runs = [(0.0, 600.5, regular), (14.6, 0.1, [(0.0, 100, False)])]
        before = len(self.calls(runs[:1], 600))
        after = len(self.calls(runs, 600, set_back=[0.0, set_back]))
        assert after - before == expected

    @pytest.mark.parametrize("is_final", [False, True])
    def test_old_calls(self, *, is_final: bool) -> None:
        """After 300 s, or a clock set forward, a process starts like one without a state file."""
        saved = SavedCalls(group="", until=1000.0, ends=(990.0,) * 600, is_final=is_final)
        budget = SlidingWindowBudget(
            600, now=50.0, reserve_ratio=0.0, past=past_calls(saved, now=50.0, unix_seconds=1400.0)
        )
        assert 40 == budget.remaining(50.0)

    @pytest.mark.parametrize(
        ("until", "is_final", "expected"),
        [(1000.0, True, 100), (1000.0, False, 85), (850.0, False, 10), (1030.1, True, 10)],
    )
    def test_what_may_have_followed(self, until: float, *, is_final: bool, expected: int) -> None:
        """Calls may have followed the last saved ones, unless the process has ended cleanly."""
        saved = SavedCalls(group=None, until=until, ends=(800.0,) * 50, is_final=is_final)
        past = past_calls(saved, now=0.0, unix_seconds=1030.0)
        budget = SlidingWindowBudget(150, now=0.0, reserve_ratio=0.0, past=past)
        assert expected == budget.remaining(0.0)

    @pytest.mark.parametrize("now", [1000.0, 900.0], ids=["clock right", "clock set back"])
    @pytest.mark.parametrize(("others", "expected"), [(0, 0), (90, 10), (95, 15), (1000, 20)])
    def test_calls_besides_others(self, others: int, expected: int, now: float) -> None:
        """A process that takes a part of the budget leaves the rest to the saved calls."""
        saved = SavedCalls(group=None, until=1000.0, ends=(990.0,) * 100, is_final=True)
        past = past_calls(saved, now=50.0, unix_seconds=now, others=others)
        budget = SlidingWindowBudget(20, now=50.0, reserve_ratio=0.0, past=past, borrowed=20)
        assert expected == budget.remaining(50.0)

    def test_calls_in_the_future(self) -> None:
        """Calls that seem to be in the future, because the clock was set back, were made now."""
        saved = SavedCalls(group=None, until=2000.0, ends=(900.0, 1990.0))
        assert (-50.0, 50.0) == past_calls(saved, now=50.0, unix_seconds=1000.0).ends

    def test_a_running_call(self) -> None:
        """A call that runs counts as one that ends now, because it may still arrive."""
        caller = rested()
        caller.call()
        caller.now += 5
        caller.begin()
        assert (RESTED, RESTED + 5) == caller.budget.recent(caller.now)

    def test_a_smaller_budget(self) -> None:
        """A budget that is smaller than before is used up by the saved calls."""
        saved = SavedCalls(group="", until=1000.0, ends=tuple(range(900, 1000)))
        past = past_calls(saved, now=50.0, unix_seconds=1000.0)
        budget = SlidingWindowBudget(20, now=50.0, reserve_ratio=0.0, past=past)
        assert 0 == budget.remaining(50.0)
        assert 20 == budget.remaining(350.1)


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
        """After any idle time, a burst has at most the calls of 1.35 intervals, or of a start."""
        caller = Caller(SlidingWindowBudget(limit, now=0.0, reserve_ratio=0.0), idle, interval)
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

    @pytest.mark.parametrize(("remaining", "limits"), [(0, True), (1, False), (9, False)])
    def test_limiting_policies(self, remaining: int, *, limits: bool) -> None:
        """A policy limits the calls until its reset, and after it if it left none."""
        caller = rested()
        caller.call(policy(remaining, resets=40.0), policy(1000, resets=50.0, name="other"))
        caller.now += 39
        assert {"default", "other"} == caller.budget.limiting_policies(caller.now)
        caller.now += 1
        expected = {"default", "other"} if limits else {"other"}
        assert expected == caller.budget.limiting_policies(caller.now)

    def test_probe_without_a_report(self) -> None:
        """If the probing call fails and brings no report, another call probes after 10 s."""
        caller = rested()
        caller.call(policy(0, resets=40.0))
        caller.now += 40
        caller.call()
        assert 10 == caller.wait

    def test_reports_that_end(self) -> None:
        """If the probing call succeeds without a report, only the budget limits the calls."""
        caller = rested()
        caller.call(policy(0, resets=40.0), policy(0, resets=40.0, name="burst"))
        assert not caller.budget.end_probe()
        caller.now += 40
        caller.call()
        assert caller.budget.end_probe()
        assert 0 == caller.wait
        assert caller.affordable > 30
        assert not caller.budget.end_probe()

    def test_probe_with_a_report(self) -> None:
        """A probing call that succeeds and reports no remaining calls lets others wait."""
        caller = rested()
        caller.call(policy(0, resets=40.0))
        caller.now += 40
        caller.call(policy(0, resets=50.0))
        assert not caller.budget.end_probe()
        assert 50 == caller.wait

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

    def test_one_remaining_call(self) -> None:
        """After one remaining call and an early reset, no call has to probe."""
        caller = rested()
        caller.call(policy(1, resets=0.5))
        assert 1 == caller.affordable
        caller.now += 0.6
        caller.begin()
        assert 39 == caller.affordable == caller.burst()

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
        assert merged([busy, idle][::order]).wait == pytest.approx(busy.wait)

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

"""Callers of a budget, alone and as processes with workers, and what they may want."""

import math

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from hypothesis import strategies as st

from rk_exporter.ratelimit.budget import WINDOW_SECONDS, SlidingWindowBudget
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
    """Return a report of the *remaining* calls, whose window ends after some seconds."""
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

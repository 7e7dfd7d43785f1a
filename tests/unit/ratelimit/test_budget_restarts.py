"""The budget of a process that starts again, with and without the calls that were saved."""

import math

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import cycle

import pytest

from hypothesis import given, settings
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
from tests.support.budget_callers import (
    ARRIVALS,
    INTERVAL,
    INTERVALS,
    LATENCIES,
    LIMITS,
    NO_LATENCY,
    RESTED,
    RUNS,
    TINY,
    Arrival,
    Caller,
    Latency,
    Process,
    Run,
    most_in_a_window,
    rested,
)


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

    def test_bursts_are_bounded(self) -> None:
        """However long the interval is, a restart adds at most half of the limit, or one call."""
        bursts = {limit: largest_burst(limit, LONGEST_PACED_SECONDS) for limit in range(1, 200)}
        assert {} == {limit: burst for limit, burst in bursts.items() if burst > -(-limit // 2)}

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

"""How the remaining calls that Cloudflare reports limit a budget."""

import math

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from tests.support.budget_callers import INTERVAL, REPORTS, RESTED, Reports, policy, rested


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

    def test_few_but_more_than_before(self) -> None:
        """The wait after a call follows the newest report: five calls in five minutes."""
        caller = rested()
        caller.call(policy(2, resets=3600.0))
        caller.begin()
        assert caller.wait > 1000
        caller.end(policy(5, resets=300.0))
        assert 50 < caller.wait <= 60

    @given(REPORTS)
    def test_more_than_before(self, before: list[Reports]) -> None:
        """Whatever was reported before, calls wait no longer after a report of enough of them."""
        caller = rested(reserve_ratio=0.2)
        for reports in before:
            caller.now += caller.wait
            caller.call(*reports)
        caller.now += caller.wait
        caller.call(policy(1000, limit=1200), policy(1000, limit=1200, name="burst"))
        assert caller.wait <= WINDOW_SECONDS / caller.budget.limit

    @pytest.mark.parametrize("left", [0, 1, 5])
    def test_reset_in_the_far_future(self, left: int) -> None:
        """A wrong reset time does not silence the exporter: it probes an hour later."""
        caller = rested()
        caller.call(policy(left, resets=999_999_999_999_999.0))
        caller.burst()
        caller.now += 3601
        assert 0 == caller.wait

"""Simulated hours of whole fleets, against an API that enforces its rate limit."""

import math

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import count, takewhile
from typing import Any

import pytest

from bench.cases import CASES, Case
from rk_exporter.model.meeting import ReadMode
from rk_exporter.simulator import (
    REAL_PACE,
    GeneratedScenario,
    Simulator,
    late_headers,
    malformed_headers,
    misnamed_headers,
    no_headers,
)
from tests.support.fleet import STARTS_AT, Course, Event, Prometheus, run_fleet
from tests.support.observer import Outcome


# Other tests cover the code that runs here: see the Makefile.
pytestmark = pytest.mark.no_cover

BUDGET = 600
ONE_BY_ONE = {"api.budget": str(BUDGET), "api.read": "active-recording"}
HOUR = 3600.0
BY_NAME = {case.name: case for case in CASES}


@cache
def small() -> Outcome:
    return CASES[0].run()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_fleet_meets_its_requirement(case: Case) -> None:
    """Each measured fleet reaches its goals, and shows nothing wrong."""
    # The largest fleet would take a third of the time of these tests; `make bench` runs it.
    case = replace(case, meetings=min(case.meetings, 2_000))
    outcome = small() if case == CASES[0] else case.run()
    assert [] == outcome.differences
    assert 0 == outcome.requests.refused
    assert outcome.requests.peak <= BUDGET
    assert case.is_met(outcome, small()), case.must


def budget_status(count_each_15_s: int) -> Sequence[Event]:
    """Return events: another client makes this number of calls each 15 s, for over an hour."""

    def make_calls(simulator: Simulator) -> None:
        simulator.consume_quota(count_each_15_s)

    return [(seconds, make_calls) for seconds in takewhile(lambda at: at < 4200, count(7.0, 15.0))]


def hour(
    *,
    meetings: int = 200,
    settings: Mapping[str, str] = ONE_BY_ONE,
    scrapers: tuple[Prometheus, ...] = (Prometheus(),),
    **course: Any,
) -> Outcome:
    scenario = GeneratedScenario(1, meetings, STARTS_AT, REAL_PACE)
    return run_fleet(scenario, Course(settings=settings, scrapers=scrapers, seconds=HOUR, **course))


@pytest.mark.parametrize(
    "simulator",
    [
        {"limit_headers": no_headers},
        {"limit_headers": malformed_headers},
        {"limit_headers": misnamed_headers},
        {"burst_limit": 100},
    ],
    ids=["missing", "malformed", "misnamed", "several policies"],
)
def test_any_rate_limit_headers(simulator: Mapping[str, Any]) -> None:
    """If the headers are missing, malformed, or have more policies, there is still no 429."""
    outcome = hour(simulator=simulator)
    assert (0, True) == (outcome.requests.refused, outcome.requests.peak <= BUDGET)
    assert [] == outcome.differences


@pytest.mark.parametrize("others", [35, 45, 54], ids=["700", "900", "1,080"])
def test_another_client(others: int) -> None:
    """The exporter leaves calls to other clients, and uses the rest."""
    outcome = hour(events=budget_status(others), scrapers=(Prometheus(phase_seconds=400.0),))
    assert 0 == outcome.requests.refused
    left = 1200 - others * 20 - 240
    # Below the reserve, one call per pass checks for more; the first calls find the reserve.
    assert max(left, 0) * 0.5 <= outcome.requests.peak <= max(left, 0) + 20 + 8


def test_headers_that_end() -> None:
    """If only few remaining calls are reported, and never more, a success ends the wait."""
    outcome = hour(
        simulator={"limit_headers": late_headers},
        events=[(1000.0, lambda simulator: simulator.consume_quota(550))],
    )
    assert 0 == outcome.requests.refused
    assert outcome.scrapes[-1].deferred < 190


def test_another_client_exceeds_the_limit() -> None:
    """While another client's calls cause a block, the exporter does not prolong it."""
    outcome = hour(events=[(1000.0, lambda simulator: simulator.consume_quota(1300))])
    # One call, and those in flight, meet the block; then all calls wait for its end.
    assert 1 <= outcome.requests.refused <= 8
    assert outcome.scrapes[-1].deferred < 200


def test_bursts() -> None:
    """Bursts of scrapes, a second apart and then none for minutes, keep to the budget."""
    scrapers = tuple(Prometheus(240.0, phase_seconds=phase) for phase in range(12))
    outcome = hour(scrapers=scrapers, settings={**ONE_BY_ONE, "scrape.min_interval": "0s"})
    assert (0, True) == (outcome.requests.refused, outcome.requests.peak <= BUDGET)


@pytest.mark.parametrize(
    ("lived_seconds", "most"), [(7.0, 800), (31.0, 640), (140.0, 640), (410.0, 640)]
)
def test_restarts(lived_seconds: float, most: int) -> None:
    """
    Frequent restarts keep to the budget, except for the 40 calls of one start.

    If another process meets each of the 20 scrapes in 5 minutes, each makes the calls of a start.
    """
    outcome = hour(killed_each_seconds=lived_seconds)
    assert 0 == outcome.requests.refused
    assert outcome.requests.peak <= most


def test_four_prometheus_servers() -> None:
    """The number of Prometheus servers does not change the budget."""
    scrapers = tuple(
        Prometheus(seconds, phase_seconds=phase)
        for seconds, phase in ((15.0, 0.0), (15.0, 6.0), (10.0, 3.0), (60.0, 11.0))
    )
    outcome = hour(scrapers=scrapers)
    assert (0, True) == (outcome.requests.refused, outcome.requests.peak <= BUDGET)
    assert [] == outcome.differences


def test_the_list_with_a_small_budget() -> None:
    """A budget that is too small for the list at each scrape is saved up; nothing flaps."""
    settings = {"api.budget": "30", "api.read": "list"}
    outcome = hour(settings=settings)
    assert (0, True) == (outcome.requests.refused, outcome.requests.peak <= 30)
    assert [] == outcome.differences
    assert outcome.visibility.all.median <= 60
    assert not math.isinf(outcome.visibility.all.quantile(0.9))


def test_a_slow_scraper() -> None:
    """With a scrape every 2 minutes, 195 meetings are read one by one at every scrape."""
    outcome = hour(
        # The list of recordings and finished recordings take some calls as well.
        meetings=195,
        settings={"api.budget": str(BUDGET)},
        scrapers=(Prometheus(120.0),),
        warm_up_seconds=1200.0,
    )
    assert outcome.last_snapshot
    assert ReadMode.ACTIVE_RECORDING is outcome.last_snapshot.apps[0].read_mode
    assert all(scrape.is_complete for scrape in outcome.scrapes[10:])

"""The measured fleets, and the requirements for each."""

import math

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rk_exporter.simulator import REAL_PACE, GeneratedScenario
from tests.support.changes import Delays
from tests.support.fleet import STARTS_AT, Course, Prometheus, run_fleet
from tests.support.observer import Outcome


INTERVAL_SECONDS = 15.0
BUDGET = 600
SEED = 1
# The budget allows a call per 300 s / 600. Every second call reads the longest waiting meeting.
_SECONDS_PER_IDLE_MEETING = 2 * 300.0 / BUDGET
_NEARLY_ALL = 0.99

# No series are hidden, because the delay of each change is measured.
_SETTINGS: Mapping[str, str] = {"api.budget": str(BUDGET), "follow.max_recordings": "100000"}
ONE_BY_ONE = {**_SETTINGS, "api.read": "active-recording"}
LISTED = {**_SETTINGS, "api.read": "list"}
_DISCOVERED = {**ONE_BY_ONE, "meetings.discover": "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    A fleet, and the requirement (*must*) that it has to meet.

    *holds* decides from the case's own outcome and that of the first case.
    """

    name: str
    meetings: int
    course: Course
    must: str
    holds: Callable[[Outcome, Outcome], bool]

    def run(self) -> Outcome:
        """Run the fleet."""
        return run_fleet(GeneratedScenario(SEED, self.meetings, STARTS_AT, REAL_PACE), self.course)

    def is_met(self, outcome: Outcome, first: Outcome) -> bool:
        """Return whether the requirement is met; shown values must be true in any case."""
        return not outcome.differences and self.holds(outcome, first)


def _tight(name: str, settings: Mapping[str, str]) -> Case:
    return Case(
        name=name,
        meetings=200,
        course=Course(settings=settings),
        must="no 429; progress within 2 scrapes at the median",
        holds=lambda outcome, _: (
            outcome.requests.refused == 0
            and outcome.visibility.progress.median <= 2 * INTERVAL_SECONDS
        ),
    )


def _two_scrapers(phase_seconds: float) -> Case:
    return Case(
        name=f"two scrapers, {phase_seconds:.0f} s apart",
        meetings=30,
        course=Course(
            # The automatic mode would read the list, which costs less than both.
            settings=ONE_BY_ONE,
            scrapers=(
                Prometheus(INTERVAL_SECONDS),
                Prometheus(INTERVAL_SECONDS, phase_seconds=phase_seconds),
            ),
        ),
        must="at most 5 % more calls than for one scraper",
        holds=lambda outcome, first: outcome.requests.total <= 1.05 * first.requests.total,
    )


def _one_round_case(meetings: int) -> Case:
    round_seconds = meetings * _SECONDS_PER_IDLE_MEETING
    return Case(
        name="one call each",
        meetings=meetings,
        course=Course(
            settings=ONE_BY_ONE, warm_up_seconds=round_seconds, cool_down_seconds=round_seconds
        ),
        must=(
            f"no 429; progress within 3 scrapes at the median, starts within {round_seconds:,.0f} s"
        ),
        holds=lambda outcome, _: (
            outcome.requests.refused == 0
            and outcome.visibility.progress.median <= 3 * INTERVAL_SECONDS
            and outcome.visibility.start.p99 <= round_seconds
        ),
    )


CASES = (
    Case(
        name="small",
        meetings=30,
        course=Course(settings=_SETTINGS),
        # In each minute it makes one call too many, because it polls the app's list as well.
        must="99 % of the meetings read at every scrape, none left out twice in a row",
        holds=lambda outcome, _: (
            outcome.read_share >= _NEARLY_ALL
            and outcome.idle_gaps.longest <= 2 * INTERVAL_SECONDS + outcome.longest_scrape_seconds
        ),
    ),
    _tight("tight", _SETTINGS),
    _tight("tight, one call each", ONE_BY_ONE),
    _one_round_case(1000),
    Case(
        name="list",
        meetings=10_000,
        course=Course(settings=LISTED),
        must="no 429; all within a scrape and its pass at p99; under 300 calls in 5 minutes",
        holds=lambda outcome, _: (
            outcome.requests.refused == 0
            and outcome.visibility.all.p99 <= INTERVAL_SECONDS + outcome.longest_scrape_seconds
            and outcome.requests.peak < BUDGET / 2
        ),
    ),
    Case(
        name="discovery, one call each",
        meetings=1000,
        course=Course(settings=_DISCOVERED, lists_meetings=False),
        must="no 429; all within 4 scrapes at p99",
        holds=lambda outcome, _: (
            outcome.requests.refused == 0 and outcome.visibility.all.p99 <= 4 * INTERVAL_SECONDS
        ),
    ),
    _two_scrapers(7.0),
    _two_scrapers(3.0),
    Case(
        name="killed each 20 s",
        meetings=30,
        course=Course(settings=_SETTINGS, killed_each_seconds=20.0),
        must=f"never more than {BUDGET} calls in 5 minutes",
        holds=lambda outcome, _: outcome.requests.peak <= BUDGET,
    ),
)


def print_fleets() -> None:
    """Run all cases and print the results."""
    print(
        f"fleets, one simulated hour each: scraped each {INTERVAL_SECONDS:.0f} s, with a budget of "
        f"{BUDGET} calls in 5 minutes\n"
        "(from a change to the end of the scrape that shows it, median / p99 in seconds; progress "
        "is of recordings\nthat were shown before, start of all others):\n\n"
        "| fleet | meetings | changes | start | progress | all | in scrapes | never seen | calls "
        "| busiest 5 min | 429 | all read | idle ones read each | deferred | must | met | took |\n"
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: "
        "| ---: | ---: | ---: | ---: | ---: | :--- | :--- | ---: |"
    )
    first = None
    for case in CASES:
        outcome = case.run()
        first = first or outcome
        print(_row(case, outcome, is_met=case.is_met(outcome, first)))
        for difference in outcome.differences[:3]:
            print(f"not as in the scenario: {difference}")
    print()


def _row(case: Case, outcome: Outcome, *, is_met: bool) -> str:
    seen, gaps, requests = outcome.visibility, outcome.idle_gaps, outcome.requests
    cells = (
        case.name,
        f"{case.meetings:,}",
        f"{seen.all.count:,}",
        pair(seen.start),
        pair(seen.progress),
        pair(seen.all),
        " / ".join(
            _figure(seconds / INTERVAL_SECONDS, 1) for seconds in (seen.all.median, seen.all.p99)
        ),
        f"{seen.missed_share:.0%}",
        f"{requests.total:,}",
        f"{requests.peak:,}",
        f"{requests.refused:,}",
        f"{outcome.complete_share:.0%}",
        f"{_figure(gaps.median)} / {_figure(gaps.longest)} s",
        f"{outcome.median_deferred:.0f}",
        case.must,
        "yes" if is_met else "NO",
        f"{outcome.took_seconds:.1f} s",
    )
    return f"| {' | '.join(cells)} |"


def pair(delays: Delays) -> str:
    """Return the median and the 99th percentile."""
    return f"{_figure(delays.median)} / {_figure(delays.p99)} s" if delays.count else "none"


def _figure(number: float, digits: int = 0) -> str:
    return f"{number:.{digits}f}" if math.isfinite(number) else "never"

"""The cost of following recordings to their end: calls per recording and to the list."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from bench.finished import print_finished
from rk_exporter.model.meeting import ReadMode
from rk_exporter.simulator import (
    REAL_PACE,
    Endpoint,
    GeneratedScenario,
    Recording,
    RequestLog,
    Scenario,
    Simulator,
)
from tests.support.changes import ends_at, recordings_between
from tests.support.fleet import STARTS_AT, Course, Prometheus, run_fleet
from tests.support.observer import Outcome


MOST_CALLS_EACH = 3.0
_MUST = f"at most {MOST_CALLS_EACH:.0f} calls by id for each"
SEED = 1
# Every meeting is recorded for about an hour, time and again.
PACE = replace(
    REAL_PACE, busy_share=1.0, idle_seconds=(600.0, 3600.0), recording_seconds=(2400.0, 4800.0)
)
_BUDGET = 600
_HOUR, _DAY = 3600.0, 86_400.0

MEETINGS = 30
HOURS = 2
DAYS = 8
# One scrape per minute needs the same calls for finished recordings, but the run takes minutes.
_DAYS_INTERVAL_SECONDS = 300.0
# A URL is checked 24 hours before it expires, after 7 days: first that of a recording that had
# ended a day before the start, which is as far as the scenario goes back.
_UNCHECKED_DAYS = 5
_CHECKED_DAY = 7


@dataclass(frozen=True, slots=True)
class Followed:
    """Recordings that *ended*, and the calls for recordings by id in the same time."""

    ended: int
    calls: int

    @property
    def calls_each(self) -> float:
        """Return the number of calls per recording."""
        return self.calls / max(1, self.ended)

    @property
    def is_met(self) -> bool:
        """Return whether recordings were followed within the allowed number of calls."""
        return self.ended > 0 and self.calls_each <= MOST_CALLS_EACH


@dataclass(frozen=True, slots=True)
class Case:
    """A way to read, and whether the endpoint for active recordings shows those UPLOADING."""

    read: ReadMode
    shows_uploading: bool

    @property
    def course(self) -> Course:
        """The course of the fleet."""
        return Course(
            settings={"api.budget": str(_BUDGET), "api.read": self.read.value},
            seconds=HOURS * _HOUR,
            simulator={"uploading_is_active": self.shows_uploading},
        )


CASES = tuple(Case(read, shows_uploading) for read in ReadMode for shows_uploading in (True, False))


def print_following() -> None:
    """Print the cost of finished recordings and of following others to their end."""
    print_finished()
    _print_hours()
    _print_days()


def followed(scenario: Scenario, requests: RequestLog, seconds: float) -> Followed:
    """Return what was followed in the first *seconds*, in which the API got *requests*."""
    ends = _ends(recordings_between(scenario, STARTS_AT, STARTS_AT + seconds))
    ended = sum(0 < at <= seconds for at in ends)
    return Followed(ended, requests.by_endpoint[Endpoint.RECORDING])


def _print_hours() -> None:
    print(
        f"following, {HOURS} simulated hours with {MEETINGS} meetings whose recordings last about "
        f"an hour: scraped each 15 s, with a budget of {_BUDGET} calls in 5 minutes (in list mode "
        "the list is what is read, four calls a scrape):\n\n"
        "| read by | UPLOADING is active | recordings ended | calls by id | for each "
        "| calls to the list, an hour | all calls | 429 | must | met | took |\n"
        "| :--- | :--- | ---: | ---: | ---: | ---: | ---: | ---: | :--- | :--- | ---: |"
    )
    for case in CASES:
        scenario = GeneratedScenario(SEED, MEETINGS, STARTS_AT, PACE)
        outcome = run_fleet(scenario, case.course)
        seconds = case.course.total_seconds
        print(hours_row(case, outcome, followed(scenario, outcome.requests, seconds)))
    print()


def hours_row(case: Case, outcome: Outcome, result: Followed) -> str:
    """Return the row of a case that was run."""
    requests, hours = outcome.requests, case.course.total_seconds / _HOUR
    cells = (
        case.read.value,
        "yes" if case.shows_uploading else "no",
        f"{result.ended:,}",
        f"{result.calls:,}",
        f"{result.calls_each:.2f}",
        f"{requests.by_endpoint[Endpoint.RECORDINGS] / hours:,.0f}",
        f"{requests.total:,}",
        f"{requests.refused:,}",
        _MUST,
        "yes" if result.is_met else "NO",
        f"{outcome.took_seconds:.1f} s",
    )
    return f"| {' | '.join(cells)} |"


def _print_days() -> None:
    print(
        f"following, {DAYS} simulated days of one such meeting, scraped each "
        f"{_DAYS_INTERVAL_SECONDS / 60:.0f} minutes:\n\n"
        "| days | recordings ended | calls by id | for each | must | met |\n"
        "| :--- | ---: | ---: | ---: | :--- | :--- |"
    )
    unchecked, checked = _live_days()
    for days, result in (
        (f"the first {_UNCHECKED_DAYS}, no URL about to expire", unchecked),
        (f"the last {DAYS - _CHECKED_DAY}, as many URLs as recordings end", checked),
    ):
        met = "yes" if result.is_met else "NO"
        print(
            f"| {days} | {result.ended:,} | {result.calls:,} | {result.calls_each:.2f} "
            f"| {_MUST} | {met} |"
        )
    share = 1 - unchecked.calls_each / checked.calls_each
    print(f"\nreads 24 hours before a URL expires: {share:.0%} of all calls by id\n")


def _live_days() -> tuple[Followed, Followed]:
    """Return what was followed before any URL came close to its expiry, and after that."""
    calls: dict[int, int] = {}

    def count_calls(day: int, simulator: Simulator) -> None:
        calls[day] = simulator.requests.by_endpoint[Endpoint.RECORDING]

    scenario = GeneratedScenario(SEED, 1, STARTS_AT, PACE)
    course = Course(
        settings={"api.budget": str(_BUDGET)},
        scrapers=(Prometheus(_DAYS_INTERVAL_SECONDS),),
        seconds=DAYS * _DAY,
        warm_up_seconds=0.0,
        cool_down_seconds=0.0,
        events=[(day * _DAY, partial(count_calls, day)) for day in (_UNCHECKED_DAYS, _CHECKED_DAY)],
    )
    requests = run_fleet(scenario, course).requests
    ends = _ends(recordings_between(scenario, STARTS_AT, STARTS_AT + course.total_seconds))
    early = sum(0 < at <= _UNCHECKED_DAYS * _DAY for at in ends)
    late = sum(_CHECKED_DAY * _DAY < at <= DAYS * _DAY for at in ends)
    late_calls = requests.by_endpoint[Endpoint.RECORDING] - calls[_CHECKED_DAY]
    return Followed(early, calls[_UNCHECKED_DAYS]), Followed(late, late_calls)


def _ends(recordings: Iterable[Recording]) -> list[float]:
    """Return when *recordings* end, in seconds from the start."""
    return [ends_at(recording) - STARTS_AT for recording in recordings]

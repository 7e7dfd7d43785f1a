"""
Timelines: what happens minute by minute, and which alerts must fire, at any scrape interval.

    timeline = Timeline(
        minutes=90,
        targets=[
            Target("a", [
                *app(),
                *meeting("ward", name="Ward round", people=[(5, 3), (60, 0)], record_on_start=True),
                *recording("first", meeting="ward", states=[(6, "INVOKED"), (7, "ERRORED")]),
                Series("rk_api_budget_remaining", {"rk_app": APP}, [(0, 600), (30, 0)]),
            ]),
        ],
    )
    check(promtool, rules, timeline, Fires("RealtimeKitRecordingErrored", begins=7, waits=1))

`check` scrapes the targets at 15 s, 30 s, 1, 2, 3, 4 and 5 minutes and misses every fourth scrape.
Prometheus 2 evaluates only the shortest, the default and the longest interval, in another phase.
It evaluates the shipped rules every 30 seconds. Then each alert must, at each interval,

  - be silent until its trouble *begins* and has lasted as long as the alert *waits*,
  - fire within two intervals from then,
  - fire without interruption until the trouble *ends*, and not with changing labels,
  - be silent three intervals after the trouble ended and the alert *lags* behind it, and stay so.

`shown.py` has the series that an exporter shows for an app, a meeting and a recording. A `Series`
is any other metric: it has a value from each minute on until the next, and None removes it.

A missed scrape writes 0 into `up` and ends all series of the target, as Prometheus does. Scrapes
are a few seconds after the evaluations. The time begins at 0: minute 10 is the timestamp 600.
"""

import math

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import TypeAlias

from tests.support.monitoring.firing import Expected, History, problems_of
from tests.support.monitoring.rules_needed import Rules, rules_about
from tests.support.monitoring.simulated import EVALUATION_SECONDS, Case, Question, answers
from tools import prometheus3


INTERVALS_SECONDS = (15, 30, 60, 120, 180, 240, 300)
_DEFAULT_SECONDS = 60
JOB = "rk-exporter"
APP = "telehealth"
# Scrapes do not coincide with evaluations.
_SCRAPED_AFTER_SECONDS = 10
_MISSED_EVERY = 4
_FIRING = 'ALERTS{alertstate="firing"}'


@dataclass(frozen=True, slots=True)
class Scrape:
    """When a target is scraped, and when it last read the API, in seconds."""

    at: float
    read_at: float | None


Value: TypeAlias = float | Callable[[Scrape], float | None] | None
Steps: TypeAlias = Sequence[tuple[float, Value]]
"""Values, each with the minute from which it holds."""
Minutes: TypeAlias = Sequence[tuple[float, float]]
"""Times from one minute to another."""


@dataclass(frozen=True, slots=True)
class Series:
    """
    A series of a target.

    If it is *read* from the API, it has the value of the last successful read.
    """

    metric: str
    labels: Mapping[str, str]
    steps: Steps
    read: bool = False

    def value(self, scrape: Scrape) -> float | None:
        """Return the value that a scrape shows."""
        now = scrape.read_at if self.read else scrape.at
        if now is None:
            return None
        current: Value = None
        for minute, value in self.steps:
            if 60 * minute <= now:
                current = value
        return current(scrape) if callable(current) else current


@dataclass(frozen=True, slots=True)
class Target:
    """
    A target that Prometheus scrapes from minute *since* to *until*.

    While it is *down*, scrapes fail. While the API is *unreadable*, the values that are read from
    it do not change.
    """

    instance: str
    series: Sequence[Series]
    job: str = JOB
    labels: Mapping[str, str] = field(default_factory=dict)
    since: float = 0
    until: float = math.inf
    down: Minutes = ()
    unreadable: Minutes = ()

    def named(self) -> Mapping[str, Series]:
        """Return the series by their names. The last one of a name is in use."""
        return {self.name(series.metric, series.labels): series for series in self.series}

    def name(self, metric: str, labels: Mapping[str, str]) -> str:
        """Return the name of a series with all labels."""
        all_labels = {"job": self.job, "instance": self.instance, **self.labels, **labels}
        pairs = (f"{label}={_quoted(value)}" for label, value in sorted(all_labels.items()))
        return f"{metric}{{{', '.join(pairs)}}}"


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happens in a number of *minutes*."""

    minutes: float
    targets: Sequence[Target]


@dataclass(frozen=True, slots=True)
class Scraping:
    """How Prometheus scrapes. It misses every fourth scrape, the first one after *first_missed*."""

    interval_seconds: int
    first_missed: int | None = 3

    def __str__(self) -> str:
        if self.first_missed is None:
            return f"{self.interval_seconds} s"
        return f"{self.interval_seconds} s, every fourth missed from number {self.first_missed}"

    def is_missed(self, number: int) -> bool:
        """Return whether the scrape with this number is missed."""
        return self.first_missed is not None and number % _MISSED_EVERY == self.first_missed


SCRAPINGS = tuple(
    Scraping(seconds, first_missed) for seconds in INTERVALS_SECONDS for first_missed in (0, 2)
)
"""All supported intervals. The two phases differ in which scrapes see the begin and the end."""
_WITH_PROMETHEUS_3 = tuple(
    Scraping(seconds, first_missed)
    for seconds, first_missed in zip(INTERVALS_SECONDS, cycle((0, 2)), strict=False)
)
"""All intervals, in one phase each."""
_WITH_PROMETHEUS_2 = tuple(
    Scraping(seconds, first_missed=2)
    for seconds in (INTERVALS_SECONDS[0], _DEFAULT_SECONDS, INTERVALS_SECONDS[-1])
)
"""
The other phase of three intervals.

Wrong windows nearly always show at the shortest or the longest interval, with both versions.
"""


def check(
    promtool: str,
    rules: Path,
    timeline: Timeline,
    *expected: Expected,
    scrapings: Sequence[Scraping] | None = None,
) -> None:
    """Check that the alerts of *rules* fire as *expected*, however Prometheus scrapes."""
    if scrapings is None:
        is_built = Path(promtool).is_relative_to(prometheus3.programs())
        scrapings = _WITH_PROMETHEUS_3 if is_built else _WITH_PROMETHEUS_2
    needed = rules_about(rules, {item.alert for item in expected}, with_texts=False)
    found = histories(promtool, needed, timeline, scrapings)
    problems = [
        f"scraped at {scraping}: {problem}"
        for scraping, history in zip(scrapings, found, strict=True)
        for problem in problems_of(history, expected, scraping.interval_seconds)
    ]
    assert not problems, "\n" + "\n".join(problems)


def histories(
    promtool: str, rules: Rules, timeline: Timeline, scrapings: Sequence[Scraping]
) -> list[History]:
    """Return the history of alerts for each way of scraping."""
    count = round(60 * timeline.minutes / EVALUATION_SECONDS)
    times = [EVALUATION_SECONDS * number for number in range(count + 1)]
    questions = [Question(_FIRING, seconds) for seconds in times]
    cases = [case_of(timeline, scraping, questions) for scraping in scrapings]
    return [list(zip(times, found, strict=True)) for found in answers(promtool, rules, cases)]


def case_of(timeline: Timeline, scraping: Scraping, questions: Sequence[Question]) -> Case:
    """Return what Prometheus has after it scraped the targets of a timeline, with *questions*."""
    slot = math.gcd(scraping.interval_seconds, _SCRAPED_AFTER_SECONDS)
    series: dict[str, dict[int, str]] = {}
    for target in timeline.targets:
        for name, samples in _scraped(target, scraping, 60 * timeline.minutes).items():
            there = series.setdefault(name, {})
            there.update({round(at / slot): value for at, value in samples.items()})
    return Case(slot, {name: _notation(values) for name, values in series.items()}, questions)


def _scraped(
    target: Target, scraping: Scraping, seconds: float
) -> Mapping[str, Mapping[float, str]]:
    """Return the samples of each series of a target, by their time."""
    named, up = target.named(), target.name("up", {})
    found: dict[str, dict[float, str]] = {}
    there: set[str] = set()
    for scrape in _scrapes(target, scraping, seconds):
        is_up = _is_up(target, scraping, scrape.at)
        values = {name: series.value(scrape) for name, series in named.items() if is_up}
        if 60 * target.since <= scrape.at < 60 * target.until:
            values[up] = float(is_up)
        shown = {name: value for name, value in values.items() if value is not None}
        for name in there - shown.keys():
            found[name][scrape.at] = "stale"
        for name, value in shown.items():
            found.setdefault(name, {})[scrape.at] = f"{value:.17g}"
        there = {*shown}
    return found


def _scrapes(target: Target, scraping: Scraping, seconds: float) -> Iterator[Scrape]:
    """Yield all scrapes, including those that fail."""
    read_at = None
    for at in range(_SCRAPED_AFTER_SECONDS, int(seconds) + 1, scraping.interval_seconds):
        if _is_up(target, scraping, at) and not _is_in(target.unreadable, at):
            read_at = at
        yield Scrape(at, read_at)


def _is_up(target: Target, scraping: Scraping, at: float) -> bool:
    is_missed = scraping.is_missed(int(at) // scraping.interval_seconds)
    is_target = 60 * target.since <= at < 60 * target.until
    return is_target and not is_missed and not _is_in(target.down, at)


def _is_in(minutes: Minutes, seconds: float) -> bool:
    return any(60 * begin <= seconds < 60 * end for begin, end in minutes)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _notation(values: Mapping[int, str]) -> str:
    """Return samples, by their slot, in promtool's notation."""
    parts, after = [], 0
    for slot, value in sorted(values.items()):
        if slot > after:
            parts.append(f"_x{slot - after}")
        parts.append(value)
        after = slot + 1
    return " ".join(parts)

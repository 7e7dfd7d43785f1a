"""Dashboards show the same figures at every supported scrape interval."""

import json
import math
import re

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.monitoring.grafana import Question as Query
from tests.support.monitoring.grafana import questions
from tests.support.monitoring.series import TARGET, all_series
from tests.support.monitoring.shown import States, app, growing, meeting, recording
from tests.support.monitoring.simulated import Question, Sample, answers
from tests.support.monitoring.timelines import (
    INTERVALS_SECONDS,
    SCRAPINGS,
    Scraping,
    Series,
    Steps,
    Target,
    Timeline,
    case_of,
)


CHOSEN = {"meeting": "saved", "recording": ".*"}
# Between, at and after scrapes, and two that are close to each other.
EVENTS = (31, 32, 47.5, 60, 78, 95)
MINUTES = 150
LABELS = {
    "rk_app": "telehealth",
    "api_endpoint": "recordings",
    "code": "429",
    "reason": "rate_limited",
    "outcome": "errored",
    "field": "size",
    "kind": "composite",
    "from": "INVOKED",
    "to": "ERRORED",
    "rk_account": "acme",
    "event": "recording.statusUpdate",
    "result": "accepted",
}
# Besides the failures, whose counter is another one, there are as many successes.
OF_ALL_RESULTS = ("rk_download_checks_total",)
# Of a range of hours, whose interval is the smallest, and of a week.
GRAFANA_INTERVALS_SECONDS = (0, 600)
# When nothing happens any more.
QUIET_MINUTES = (120, 140)
# What a failed scrape changes, as it should, and alerts, because there are no rules.
OF_SCRAPES = re.compile(r"\bup\{|ALERTS")
# The cases of the rules have these series.
RECORDED = re.compile(r"\b(?:app|rk):\w+:")
MOVES = re.compile(r"\btime\(\)|_duration_seconds|_expires_in_seconds")
_UNITS = {"s": 1, "m": 60, "h": 3600}


@pytest.fixture(scope="module")
def counters(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Series]:
    """Return all counters of the exporter. Each result happens with each event."""
    known = all_series(tmp_path_factory.mktemp("series"), {"groups": []})
    return [
        Series(
            name,
            {label: LABELS[label] for label in labels - TARGET},
            growing(*EVENTS, *(EVENTS if name in OF_ALL_RESULTS else ())),
        )
        for name, labels in known.items()
        if name.startswith("rk_") and name.endswith("_total")
    ]


def everything() -> Iterator[Series]:
    """Yield an app whose meetings and recordings are in all states from minute 95 on."""
    people = [(20.0, 3.0)]
    states: Mapping[str, States] = {
        "stuck": [(20, "INVOKED")],
        "runs": [(20, "INVOKED"), (21, "RECORDING")],
        "pauses": [(20, "INVOKED"), (21, "RECORDING"), (40, "PAUSED")],
        "uploads": [(20, "INVOKED"), (21, "RECORDING"), (40, "UPLOADING")],
        "saved": [(20, "INVOKED"), (21, "RECORDING"), (40, "UPLOADING"), (95, "UPLOADED")],
        "failed": [(20, "INVOKED"), (21, "RECORDING"), (78, "ERRORED")],
    }
    yield from app(meetings=len(states) + 1)
    yield from meeting("unrecorded", people=people, record_on_start=True)
    for name, of_recording in states.items():
        active: Steps = [(0, 0), (20, 1), *((95, 0) for _ in [name] if name in ("saved", "failed"))]
        yield from meeting(name, name=f"Meeting {name}", people=people, active=active)
        yield from recording(name, meeting=name, states=of_recording, size=1)


def queries(root: Path, scrape_seconds: int, shown_seconds: int) -> Iterator[Query]:
    """
    Yield all queries of panels.

    Grafana's data source has the scrape interval. *shown_seconds* is the time range divided by the
    width of the panel.
    """

    def times(panel: Mapping[str, Any]) -> Mapping[str, str]:
        step = max(step_of(panel, scrape_seconds), shown_seconds)
        return {
            "__interval": f"{step}s",
            "__interval_ms": str(1000 * step),
            "__rate_interval": f"{max(step + scrape_seconds, 4 * scrape_seconds)}s",
            "__range": f"{60 * MINUTES}s",
            "__range_s": str(60 * MINUTES),
            "__range_ms": str(60_000 * MINUTES),
        }

    for file in sorted((root / "dashboards").glob("*.json")):
        found = questions(json.loads(file.read_text()), CHOSEN, times=times)
        yield from (query for query in found if query.panel and not RECORDED.search(query.promql))


def step_of(panel: Mapping[str, Any], scrape_seconds: int) -> int:
    """Return the shortest time between two points in a panel."""
    return max(scrape_seconds, seconds_of(panel.get("interval") or "0s"))


def seconds_of(interval: str) -> int:
    """Return the seconds of an interval in a panel."""
    match = re.fullmatch(r">?(\d+)([smh])", interval)
    assert match, interval
    return int(match[1]) * _UNITS[match[2]]


@pytest.mark.parametrize("shown_seconds", GRAFANA_INTERVALS_SECONDS)
@pytest.mark.parametrize("scrape_seconds", INTERVALS_SECONDS)
def test_no_event_is_lost(
    promtool: str, root: Path, counters: Sequence[Series], scrape_seconds: int, shown_seconds: int
) -> None:
    """The bars of each panel are as many as the events, whichever scrapes are missed."""
    timeline = Timeline(MINUTES, [Target("a", [*app(), *counters])])
    bars = [
        (
            query,
            range(0, 60 * MINUTES + 1, max(step_of(query.source, scrape_seconds), shown_seconds)),
        )
        for query in queries(root, scrape_seconds, shown_seconds)
        if query.draws_bars
    ]
    assert bars
    asked = [Question(query.promql, seconds) for query, points in bars for seconds in points]
    problems = []
    for scraping, results in in_each(promtool, timeline, scrapings_at(scrape_seconds), asked):
        remaining = iter(results)
        for query, points in bars:
            count = sum(sample.value for _ in points for sample in next(remaining))
            if abs(count - len(EVENTS)) > 0.01:
                problems.append(f"{query.place}, scraped at {scraping}: {count:g} events")
    assert not problems, f"{len(EVENTS)} events happened\n" + "\n".join(problems)


def scrapings_at(seconds: int) -> Sequence[Scraping]:
    """Return all ways to miss every fourth scrape."""
    return [Scraping(seconds, first_missed) for first_missed in range(4)]


def in_each(
    promtool: str, timeline: Timeline, scrapings: Sequence[Scraping], asked: Sequence[Question]
) -> Iterator[tuple[Scraping, list[list[Sample]]]]:
    """Yield the answers for each way of scraping."""
    cases = [case_of(timeline, scraping, asked) for scraping in scrapings]
    yield from zip(scrapings, answers(promtool, None, cases), strict=True)


def test_the_same_figures(promtool: str, root: Path, counters: Sequence[Series]) -> None:
    """A number, a bar or a row that is shown is right, although scrapes are rare and fail."""
    asked = [
        (query, seconds)
        for query in queries(root, max(INTERVALS_SECONDS), 0)
        if not query.is_range and not OF_SCRAPES.search(query.promql)
        for seconds in range(60 * QUIET_MINUTES[0], 60 * QUIET_MINUTES[1], 150)
    ]
    timeline = Timeline(MINUTES, [Target("a", [*everything(), *counters])])
    scrapings = [Scraping(15, None), *(s for s in SCRAPINGS if s.interval_seconds >= 60)]
    questions_ = [Question(query.promql, seconds) for query, seconds in asked]
    (_, expected), *others = in_each(promtool, timeline, scrapings, questions_)
    problems = {
        f"{query.place}, scraped at {scraping}, at {seconds / 60:g} min: {problem}"
        for scraping, found in others
        for (query, seconds), right, shown in zip(asked, expected, found, strict=True)
        for problem in wrong(right, shown, tolerance(query, scraping.interval_seconds))
    }
    assert not problems, "\n" + "\n".join(sorted(problems))


def tolerance(query: Query, scrape_seconds: int) -> float:
    """Return by how much a time may differ, because it depends on when the last scrape was."""
    if query.promql.startswith("1000 *"):
        return 1000 * 4 * scrape_seconds
    return 4 * scrape_seconds if MOVES.search(query.promql) else 0


def wrong(right: Sequence[Sample], shown: Sequence[Sample], tolerance: float) -> Iterator[str]:
    """Yield what is wrong in an answer. Values may be missing: they are unknown."""
    by_labels = {frozenset(sample.labels.items()): sample.value for sample in right}
    for sample in shown:
        expected = by_labels.get(frozenset(sample.labels.items()))
        if expected is None:
            yield f"also {sample}"
        elif not math.isclose(sample.value, expected, rel_tol=1e-6, abs_tol=tolerance):
            yield f"{sample.value:g}, not {expected:g}, for {dict(sample.labels)}"


def test_what_is_wrong() -> None:
    """A wrong number and a row too much are wrong. A missing one and a younger age are not."""
    one, two, nameless = {"id": "1"}, {"id": "2"}, dict[str, str]()
    right = [Sample(one, 5), Sample(two, 100)]
    assert [] == [*wrong(right, right, 0)]
    assert [] == [*wrong(right, [Sample(one, 5)], 0)]
    assert [] == [*wrong(right, [Sample(two, 110)], 10)]
    assert ["4, not 5, for {'id': '1'}"] == [*wrong(right, [Sample(one, 4)], 0)]
    assert ["120, not 100, for {'id': '2'}"] == [*wrong(right, [Sample(two, 120)], 10)]
    (problem,) = wrong(right, [Sample(nameless, 0)], 10)
    assert problem.startswith("also ")

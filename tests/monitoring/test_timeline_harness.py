"""The timelines find alerts that are early, late, interrupted, renewed or too many."""

import json
import re

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.monitoring.firing import Expected, Fires, Silent, problems_of
from tests.support.monitoring.rules_needed import rules_about
from tests.support.monitoring.series import TARGET, all_series
from tests.support.monitoring.shown import app, growing, is_read, meeting, read_at, recording
from tests.support.monitoring.simulated import Case, Question, Sample, SimulationError, answers
from tests.support.monitoring.timelines import (
    INTERVALS_SECONDS,
    SCRAPINGS,
    Scraping,
    Series,
    Target,
    Timeline,
    case_of,
    check,
)


BROKEN = Series("broken", {"what": "pump"}, [(0, 0), (10, 1), (40, 0)])
TIMELINE = Timeline(60, [Target("a", [BROKEN])])
FIRES = Fires("Broken", begins=10, waits=5, ends=40)
# The window is longer than two of the longest intervals.
HOLDS = "max without (instance) (last_over_time(broken[11m])) > 0"
RESOLVES_FAST = f"{HOLDS} unless on () broken == 0"


def rule_file(folder: Path, expr: str, wait: str = "5m", **labels: str) -> Path:
    """Write rules with one alert, which uses a recorded series."""
    groups = [
        {"name": "recorded", "rules": [{"record": "all:broken", "expr": expr}]},
        {
            "name": "alerts",
            "rules": [{"alert": "Broken", "expr": "all:broken", "for": wait, "labels": labels}],
        },
    ]
    file = folder / "rules.yml"
    file.write_text(json.dumps({"groups": groups}))
    return file


def firing(*minutes: float, every: float = 0.5, **labels: str) -> list[tuple[float, list[Sample]]]:
    """Return an hour's history of an alert that fires between pairs of *minutes*."""
    spans = list(zip(minutes[::2], minutes[1::2], strict=True))
    alert = Sample({"alertname": "Broken", **labels}, 1)
    times = [every * number for number in range(int(60 / every) + 1)]
    return [(60 * time, [alert for begin, end in spans if begin <= time < end]) for time in times]


@pytest.mark.parametrize(
    ("minutes", "problem"),
    [
        ((15, 40.5), None),
        ((17.5, 43), None),
        ((), "must fire 1 times at 17.5 min, not 0 times; it fired never"),
        ((14, 40.5), "must fire 0 times at 14 min, not 1 times; it fired from 14 min to 40.5 min"),
        ((18, 40.5), "must fire 1 times at 17.5 min"),
        ((15, 39), "must fire 1 times at 39 min"),
        ((15, 44.5), "must fire 0 times at 44 min"),
        ((15, 20, 20.5, 40.5), "must fire 1 times at 20 min"),
        ((15, 16, 16.5, 40.5), "must begin to fire 1 times, not 2 times"),
        ((15, 41, 42, 43), "must begin to fire 1 times, not 2 times"),
        ((15, 40.5, 50, 51), "must fire 0 times at 50 min"),
        ((15, 40.5, 15, 40.5), "must fire 0 to 1 times at 15 min, not 2 times"),
    ],
)
def test_problems(minutes: Sequence[float], problem: str | None) -> None:
    """An alert is in time within two intervals from its begin, and three from its end."""
    found = [*problems_of(firing(*minutes), [FIRES], interval_seconds=60)]
    assert bool(found) == bool(problem), found
    assert not problem or problem in found[0]


def test_an_alert_with_changing_labels() -> None:
    """An alert whose labels change is another alert, which notifies again."""
    before, after = firing(15, 20, size="1"), firing(20, 40.5, size="2")
    history = [(time, [*one, *two]) for (time, one), (_, two) in zip(before, after, strict=True)]
    (problem,) = problems_of(history, [FIRES], interval_seconds=60)
    assert "must begin to fire 1 times, not 2 times" in problem


def test_several_episodes() -> None:
    """An alert fires once for each trouble, and stays silent between them."""
    twice = [Fires("Broken", 5, 5, ends=20), Fires("Broken", 35, 5, ends=50)]
    assert [] == [*problems_of(firing(10, 20.5, 40, 50.5), twice, interval_seconds=60)]
    assert [*problems_of(firing(10, 20.5), twice, interval_seconds=60)]
    assert [*problems_of(firing(10, 50.5), twice, interval_seconds=60)]


def test_several_alerts_at_the_same_time() -> None:
    """The expected number of alerts fires, and only those with the labels count."""
    both = [
        (time, [*one, *two])
        for (time, one), (_, two) in zip(
            firing(15, 40.5, app="a"), firing(15, 40.5, app="b"), strict=True
        )
    ]
    expected: list[Expected] = [Fires("Broken", 10, 5, ends=40, count=2)]
    assert [] == [*problems_of(both, expected, interval_seconds=60)]
    expected = [Fires("Broken", 10, 5, ends=40, labels={"app": "a"})]
    assert [] == [*problems_of(both, expected, interval_seconds=60)]
    assert [*problems_of(both, [Silent("Broken", {"app": "b"})], interval_seconds=60)]
    assert [] == [*problems_of(both, [Silent("Broken", {"app": "c"})], interval_seconds=60)]


def test_an_alert_that_counts_from_the_last_read() -> None:
    """It may fire two intervals earlier, and no earlier than that."""
    fires = Fires("Broken", 10, 5, ends=40, counts_from_read=True)
    assert [] == [*problems_of(firing(13, 40.5), [fires], interval_seconds=60)]
    assert [*problems_of(firing(12, 40.5), [fires], interval_seconds=60)]


def test_a_rule_that_holds_at_every_interval(promtool: str, tmp_path: Path) -> None:
    """A rule with a long window passes at all intervals, and so does one that never fires."""
    check(promtool, rule_file(tmp_path, RESOLVES_FAST), TIMELINE, FIRES)
    check(promtool, rule_file(tmp_path, "broken > 1"), TIMELINE, Silent("Broken"))


@pytest.mark.parametrize(
    ("expr", "wait", "problem"),
    [
        ("broken > 1", "5m", "it fired never"),
        (RESOLVES_FAST, "1m", "must fire 0 times"),
        (RESOLVES_FAST, "20m", "must fire 1 times"),
        # After three intervals of 15 s, the window still holds the old value.
        ("max without (instance) (max_over_time(broken[11m])) > 0", "5m", "must fire 0 times"),
        ("broken > 0", "5m", "must fire 1 times"),
        # A pod's name in the labels of an alert that outlives the pod.
        ("last_over_time(broken[11m]) > 0 unless on () broken == 0", "5m", "times"),
    ],
)
def test_a_rule_that_fails(
    expr: str, wait: str, problem: str, promtool: str, tmp_path: Path
) -> None:
    """Rules that are early, late, interrupted or too long fail, with the times of firing."""
    moved = Timeline(60, [Target("a", [BROKEN], until=25), Target("b", [BROKEN], since=27)])
    with pytest.raises(AssertionError, match=problem):
        check(promtool, rule_file(tmp_path, expr, wait), moved, FIRES)


def test_a_rule_with_an_error(promtool: str, tmp_path: Path) -> None:
    """A rule that cannot be evaluated is an error, even if its alert should be silent."""
    two = Timeline(60, [Target("a", [BROKEN]), Target("b", [BROKEN])])
    rules = rule_file(tmp_path, "broken * on (what) broken")
    with pytest.raises(SimulationError, match="duplicate series"):
        check(promtool, rules, two, Silent("Broken"))


def test_an_alert_that_does_not_exist(promtool: str, tmp_path: Path) -> None:
    """A misspelt alert does not pass for a silent one."""
    with pytest.raises(AssertionError, match="Borken"):
        check(promtool, rule_file(tmp_path, "broken"), TIMELINE, Silent("Borken"))


def test_the_rules_that_are_needed(tmp_path: Path) -> None:
    """An alert's rules are those that its expression and its texts read."""
    rules: list[dict[str, Any]] = [
        {"record": "a:b", "expr": "c"},
        {"record": "d:e", "expr": "a:b * 2"},
        {"record": "in:text", "expr": "1"},
        {"record": "not:needed", "expr": "d:e"},
        {"alert": "Wanted", "expr": "d:e > 1", "annotations": {"name": '{{ query "in:text" }}'}},
        {"alert": "Other", "expr": "not:needed"},
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "g", "rules": [r]} for r in rules]}))
    needed = [
        rule.get("record") or rule["alert"]
        for group in rules_about(file, ["Wanted"])["groups"]
        for rule in group["rules"]
    ]
    assert ["a:b", "d:e", "in:text", "Wanted"] == needed


def values_of(timeline: Timeline, scraping: Scraping) -> Mapping[str, str]:
    """Return the series of a timeline in promtool's notation."""
    return case_of(timeline, scraping, []).series


def test_missed_scrapes() -> None:
    """A missed scrape is 0 in `up` and ends the other series, as in Prometheus."""
    target = Target("a", [Series("x", {}, [(0, 1), (5, 2)])])
    series = values_of(Timeline(7, [target]), Scraping(60, first_missed=3))
    assert (
        "_x1 1 _x5 1 _x5 1 _x5 0 _x5 1 _x5 1 _x5 1" == series['up{instance="a", job="rk-exporter"}']
    )
    assert (
        "_x1 1 _x5 1 _x5 1 _x5 stale _x5 1 _x5 2 _x5 2"
        == series['x{instance="a", job="rk-exporter"}']
    )


def test_targets_that_come_and_go() -> None:
    """A target that leaves ends its series, and one that is down is still a target."""
    x = [Series("x", {}, [(0, 1)])]
    targets = [
        Target("a", x, until=2, labels={"cluster": 'o"dd\n\\'}),
        Target("b", x, since=2, down=[(3, 5)]),
    ]
    series = values_of(Timeline(6, targets), Scraping(60, first_missed=None))
    assert {
        r'up{cluster="o\"dd\n\\", instance="a", job="rk-exporter"}': "_x1 1 _x5 1 _x5 stale",
        r'x{cluster="o\"dd\n\\", instance="a", job="rk-exporter"}': "_x1 1 _x5 1 _x5 stale",
        'up{instance="b", job="rk-exporter"}': "_x13 1 _x5 0 _x5 0 _x5 1",
        'x{instance="b", job="rk-exporter"}': "_x13 1 _x5 stale _x11 1",
    } == series


def test_values_of_the_last_read() -> None:
    """While the API cannot be read, its values stay, and the exporter's own do not."""
    series = [
        Series("own", {}, [(0, 1), (2, 2)]),
        Series("read", {}, [(0, 1), (2, 2)], read=True),
        Series("is_read", {}, [(0, is_read)]),
        Series("read_at", {}, [(0, read_at)], read=True),
        Series("counter", {}, growing(1, 1, 3)),
        # The last one of the same name counts.
        Series("own", {}, [(1, 5), (3, None)]),
    ]
    target = Target("a", series, unreadable=[(2, 3)])
    values = values_of(Timeline(4, [target]), Scraping(60, first_missed=None))
    assert {
        "up": ["1", "1", "1", "1"],
        "own": ["5", "5", "stale"],
        "read": ["1", "1", "1", "2"],
        "is_read": ["1", "1", "0", "1"],
        "read_at": ["10", "70", "70", "190"],
        "counter": ["0", "2", "2", "3"],
    } == {
        name.partition("{")[0]: [part for part in text.split() if not part.startswith("_")]
        for name, text in values.items()
    }


def test_the_longest_interval() -> None:
    """Timelines are scraped at every supported interval, and the longest one is supported."""
    assert {15, 30, 60, 120, 180, 240, 300} == {*INTERVALS_SECONDS}
    assert {*INTERVALS_SECONDS} == {scraping.interval_seconds for scraping in SCRAPINGS}
    assert all(scraping.first_missed is not None for scraping in SCRAPINGS)


def test_answers(promtool: str) -> None:
    """Labels and values of any form come back as they are, in the order of the questions."""
    odd = 'R&D #1 (50% + x) "{{ $labels }}" \\ \n }, { <script> 🎥'
    timeline = Timeline(3, [Target("a", [Series("x", {"odd": odd}, [(0, 1.5)])])])
    questions = [
        Question("x * 2", 60),
        Question("x offset 1h", 60),
        Question("count(x) / 0", 60.5),
        Question("-1e-300 * count(x)", 60),
        Question("x", 9),
        Question("sum without (instance) (x) or up", 120),
    ]
    case = case_of(timeline, Scraping(15, first_missed=None), questions)
    for found in answers(promtool, None, [case, case]):
        at = {"instance": "a", "job": "rk-exporter"}
        up = {"__name__": "up", **at}
        assert [
            [Sample({**at, "odd": odd}, 3)],
            [],
            [Sample({}, float("inf"))],
            [Sample({}, -1e-300)],
            [],
            [Sample({"job": "rk-exporter", "odd": odd}, 1.5), Sample(up, 1)],
        ] == [sorted(samples, key=lambda sample: sample.value, reverse=True) for samples in found]


def test_a_question_with_an_error(promtool: str) -> None:
    """An expression that fails is an error."""
    case = Case(60, {"x": "1 1"}, [Question("sum(x", 60), Question("x", 60)])
    with pytest.raises(SimulationError, match="parse error"):
        answers(promtool, None, [case])


def test_the_series_of_the_exporter(tmp_path: Path) -> None:
    """Apps, meetings and recordings in timelines have the series of an exporter without options."""
    known = all_series(tmp_path, {"groups": []})
    states = [(0, "INVOKED"), (1, "RECORDING"), (2, "UPLOADED")]
    shown = [
        *app(),
        *meeting("ward", people=[(0, 1)], record_on_start=True),
        *recording("uploaded", meeting="ward", states=states, stop_reason="API_CALL"),
    ]
    labels = {series.metric: {*series.labels} for series in shown}
    assert labels == {metric: known.get(metric, TARGET) - TARGET for metric in labels}
    of_thing = re.compile(
        "rk_(meeting|recording)_(?!.*(total|bucket|count|sum|available)$)"
        # With downloads.archive, and with downloads.verify.
        "(?!archived$|download_(failure|last_check|size|verified))"
    )
    # Counters and histograms are per app. A native histogram has no suffix.
    per_app = {name.removesuffix("_bucket") for name in known if name.endswith("_bucket")}
    assert {name for name in known if of_thing.match(name)} - per_app == {
        name for name in labels if of_thing.match(name)
    }

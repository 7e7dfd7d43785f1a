"""The runbook and the page about alerting say what the rules do."""

import math
import re

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.test_docs import rows


PARTS = ("Meaning", "Impact", "Diagnosis", "What to do", "Threshold", "Resolves")
UNITS = {"": 1, "%": 0.01, "s": 1, "min": 60, "h": 3600}

Rule = dict[str, Any]


@pytest.fixture
def runbook(root: Path) -> str:
    return (root / "docs/how-to/runbook.md").read_text()


@pytest.fixture
def alerting(root: Path) -> str:
    return (root / "docs/alerting.md").read_text()


@pytest.fixture
def rules(root: Path) -> list[Rule]:
    """Return all rules, in the order of the file."""
    content = yaml.safe_load((root / "dashboards/rules/rk-exporter.rules.yml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


@pytest.fixture
def alerts(rules: list[Rule]) -> dict[str, list[Rule]]:
    """Return the rules of each alert; some have two."""
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        if "alert" in rule:
            found.setdefault(rule["alert"], []).append(rule)
    return found


@pytest.fixture
def thresholds(rules: list[Rule]) -> dict[str, float]:
    """Return the value of each threshold: a number, or a product of numbers."""
    return {
        rule["record"]: math.prod(float(factor) for factor in str(rule["expr"]).split("*"))
        for rule in rules
        if rule.get("record", "").startswith("rk:")
    }


def entries(page: str) -> dict[str, str]:
    """Return what the runbook says of each alert."""
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    headed = (section.split("\n", 1) for section in sections)
    return {heading: text for heading, text in headed if heading.startswith("RK")}


def part(entry: str, name: str) -> str:
    """Return a part of an entry; nothing where it is missing."""
    found = re.search(rf"^\*\*{name}\b(.*?)(?=^\*\*|\Z)", entry, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def blocks(page: str) -> list[str]:
    """Return the queries that stand by themselves."""
    return re.findall(r"^```promql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def mentions(page: str) -> list[str]:
    """Return the queries and the names of series that stand within the text."""
    text = re.sub(r"^ *```.*?^ *```$", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`((?:rk_|rk:|recording:|instance:|up{)[^`…]+)`", text)


def series(promql: str) -> set[str]:
    """Return the names of the series that a query reads."""
    names = re.findall(r"\b(?:(?:rk|recording|instance):[\w:]+|rk_\w+)", promql)
    return {re.sub(r"^(rk_\w+)_(?:bucket|count|sum)$", r"\1", name) for name in names}


def series_behind(promql: str, rules: list[Rule]) -> set[str]:
    """Return the names of the series that a query reads, also through what is recorded."""
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    found: set[str] = set()
    waiting = series(promql)
    while waiting:
        found |= waiting
        exprs = [str(recorded[name]) for name in waiting if name in recorded]
        waiting = set[str]().union(*map(series, exprs)) - found
    return found


def values(text: str) -> Iterator[float]:
    """Return the numbers of *text*, units applied."""
    for number, unit in re.findall(r"([\d.]+)(?: ([a-z%]+))?", text):
        yield float(number) * UNITS[unit]


def test_each_alert_has_its_entry(runbook: str, alerts: dict[str, list[Rule]]) -> None:
    """The runbook has an entry for each alert, in the order of the rules, and none besides."""
    assert list(alerts) == list(entries(runbook))


def test_each_entry_has_its_parts(runbook: str) -> None:
    """Whoever is woken finds the same parts in the same order in each entry."""
    for alert, entry in entries(runbook).items():
        headings = re.findall(r"^\*\*(.+?)\.?\*\*", entry, re.MULTILINE)
        assert [*PARTS] == headings, alert
        assert all(part(entry, each).strip(". \n") for each in PARTS), alert
        steps = re.findall(r"^(\d+)\. ", part(entry, "What to do"), re.MULTILINE)
        assert [str(number) for number in range(1, len(steps) + 1)] == steps != [], alert
        assert blocks(part(entry, "Diagnosis")), alert
        assert "`rk-exporter check" in entry, alert


def test_each_alert_leads_to_its_entry(alerts: dict[str, list[Rule]]) -> None:
    """The link of an alert ends with the anchor that its heading has."""
    for alert, its_rules in alerts.items():
        for rule in its_rules:
            assert rule["annotations"]["runbook_url"].endswith(f"runbook.md#{alert.lower()}")


@pytest.mark.parametrize("page", ["runbook", "alerting"])
def test_links_within_find_their_heading(page: str, request: pytest.FixtureRequest) -> None:
    """Links to an entry, and to another heading of the runbook, lead there."""
    headings = re.findall(r"^## (.+)$", request.getfixturevalue("runbook"), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\((?:runbook\.md)?#([^)]+)\)", request.getfixturevalue(page))
    assert links
    assert {*links} <= anchors


def test_every_query_is_promql(runbook: str) -> None:
    """What is to be pasted can be: blocks, and queries within the text."""
    for query in [*blocks(runbook), *mentions(runbook)]:
        try:
            promql_parser.parse(query)
        except ValueError as error:
            pytest.fail(f"{query}\n{error}")


@pytest.mark.parametrize("page", ["runbook", "alerting"])
def test_every_series_exists(
    page: str, root: Path, rules: list[Rule], request: pytest.FixtureRequest
) -> None:
    """Each series that is named is one of the exporter's, or is recorded by the rules."""
    text = request.getfixturevalue(page)
    table = rows((root / "README.md").read_text(), "## Metrics")
    known = {row[0].strip("`") for row in table} | {rule.get("record", "") for rule in rules}
    named = set[str]().union(*map(series, [*blocks(text), *mentions(text)]))
    assert named
    assert set() == named - known


def test_each_entry_has_its_thresholds(
    runbook: str, alerts: dict[str, list[Rule]], rules: list[Rule], thresholds: dict[str, float]
) -> None:
    """An entry names the thresholds that its alert asks, no other, with the value they have."""
    named: set[str] = set()
    for alert, entry in entries(runbook).items():
        read = set[str]().union(*(series_behind(rule["expr"], rules) for rule in alerts[alert]))
        asked = read & thresholds.keys()
        found = re.findall(r"`(rk:\w+:threshold)` \((.+?)\)", part(entry, "Threshold"))
        written = {name: pytest.approx(next(values(value))) for name, value in found}
        assert {name: thresholds[name] for name in asked} == written, alert
        named |= asked
    assert thresholds.keys() == named


def test_table_of_alerts(
    runbook: str, alerting: str, alerts: dict[str, list[Rule]], thresholds: dict[str, float]
) -> None:
    """The table has each alert once, with its severities, and the thresholds of its entry."""
    table = rows(alerting, "## The alerts")
    assert [f"[{alert}](runbook.md#{alert.lower()})" for alert in alerts] == [
        row[0] for row in table
    ]
    for (alert, its_rules), row in zip(alerts.items(), table, strict=True):
        severities = {rule["labels"]["severity"] for rule in its_rules}
        assert severities == set(row[1].split(", ")), alert
        names = re.findall(r"rk:\w+:threshold", part(entries(runbook)[alert], "Threshold"))
        assert [thresholds[name] for name in names] == pytest.approx([*values(row[3])]), alert


def test_how_many_alerts(alerting: str, alerts: dict[str, list[Rule]]) -> None:
    """The page tells how many alerts there are."""
    assert f"and {len(alerts)} alerts" in alerting


def test_table_of_recorded_series(alerting: str, rules: list[Rule]) -> None:
    """The page tells what each series is that is recorded for dashboards."""
    table = rows(alerting, "## What the rules hold through")
    recorded = [rule["record"] for rule in rules if rule.get("record", "").startswith("instance:")]
    assert sorted(recorded) == sorted(row[0].strip("`") for row in table)

"""The pages about alerts agree with the rules."""

import math
import re

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from dashboards.alerting.texts import plain
from tests.support.monitoring.series import all_series, read_rules


PAGES = ("docs/how-to/runbook.md", "docs/how-to/alertmanager.md", "docs/reference/alerts.md")
PARTS = ("Meaning", "Impact", "Diagnosis", "What to do", "Threshold", "Resolves")
# It has the recordings of all alerts, so it reads their thresholds, which change no other alert.
OF_ALL_ALERTS = "instance:rk_recording_last_success_timestamp_seconds:known"
UNITS = {"": 1, "%": 0.01, "s": 1, "min": 60, "h": 3600}

Rule = dict[str, Any]


@pytest.fixture
def runbook(root: Path) -> str:
    return (root / "docs/how-to/runbook.md").read_text()


@pytest.fixture
def rules(root: Path) -> list[Rule]:
    """Return all rules in the order of the file."""
    return [rule for group in read_rules(root)["groups"] for rule in group["rules"]]


@pytest.fixture
def alerts(rules: list[Rule]) -> dict[str, list[Rule]]:
    """Return the rules of each alert. Some alerts have two."""
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
        if rule.get("record", "").endswith(":threshold")
    }


def entries(page: str) -> dict[str, str]:
    """Return the runbook's entry for each alert."""
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    headed = (section.split("\n", 1) for section in sections)
    return {heading: text for heading, text in headed if heading.startswith("RealtimeKit")}


def part(entry: str, name: str) -> str:
    """Return a part of an entry, or an empty string if it is missing."""
    found = re.search(rf"^\*\*{name}\b(.*?)(?=^\*\*|\Z)", entry, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def blocks(page: str) -> list[str]:
    """Return the queries in code blocks."""
    return re.findall(r"^```promql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def mentions(page: str) -> list[str]:
    """Return the queries and series names within sentences."""
    text = re.sub(r"^ *```.*?^ *```$", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`((?:rk_|rk:|app:|meeting:|recording:|instance:|up{)[^`…]+)`", text)


def series(promql: str) -> set[str]:
    """Return the names of the series that a query reads, but not the label `rk_app`."""
    names = re.findall(
        r"\b(?:(?:rk|app|meeting|recording|instance):[\w:]+|rk_(?!app\b)\w+)", promql
    )
    return {*map(series_name, names)}


def series_name(sample: str) -> str:
    """Return the metric's name without the suffix of a histogram's samples."""
    return re.sub(r"^(rk_\w+)_(?:bucket|count|sum)$", r"\1", sample)


def series_behind(promql: str, rules: list[Rule]) -> set[str]:
    """Return the series that decide on a query's result, directly or through recording rules."""
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    found: set[str] = set()
    waiting = series(promql)
    while waiting:
        found |= waiting
        exprs = [str(recorded.get(name, "")) for name in waiting - {OF_ALL_ALERTS}]
        waiting = set[str]().union(*map(series, exprs)) - found
    return found


def values(text: str) -> Iterator[float]:
    """Return the numbers in a text, converted to their base units."""
    for number, unit in re.findall(r"([\d.]+)(?: ([a-z%]+))?", text):
        yield float(number) * UNITS[unit]


def test_each_alert_has_its_entry(runbook: str, alerts: dict[str, list[Rule]]) -> None:
    """The runbook has exactly one entry per alert, in the order of the rules."""
    assert list(alerts) == list(entries(runbook))


def test_each_entry_has_its_parts(runbook: str) -> None:
    """Every entry has the same parts in the same order."""
    for alert, entry in entries(runbook).items():
        headings = re.findall(r"^\*\*(.+?)\.?\*\*", entry, re.MULTILINE)
        assert [*PARTS] == headings, alert
        assert all(part(entry, name).strip(". \n") for name in PARTS), alert
        steps = re.findall(r"^(\d+)\. ", part(entry, "What to do"), re.MULTILINE)
        assert [str(number) for number in range(1, len(steps) + 1)] == steps != [], alert
        assert blocks(part(entry, "Diagnosis")), alert
        assert "`rk-exporter check" in entry, alert


def test_each_alert_links_to_its_entry(alerts: dict[str, list[Rule]]) -> None:
    """The `runbook_url` of each alert ends with the anchor of its entry."""
    for alert, variants in alerts.items():
        for rule in variants:
            assert rule["annotations"]["runbook_url"].endswith(f"runbook.md#{alert.lower()}")


def test_each_entry_names_the_dashboard_of_its_alert(
    runbook: str, alerts: dict[str, list[Rule]]
) -> None:
    """An entry names the dashboards that the `dashboard_url` of its alert opens, and no other."""
    for alert, entry in entries(runbook).items():
        links = [rule["annotations"].get("dashboard_url", "") for rule in alerts[alert]]
        linked = {name for link in links for name in re.findall(r"/d/rk-([\w-]+)", link)}
        named = re.search(r"Dashboard:\s+([^.]+)\.", part(entry, "Diagnosis"))
        known = "Overview|Recordings?|Exporter|Service level"
        names = re.findall(known, named[1]) if named else []
        assert linked == {name.lower().replace(" ", "-") for name in names}, alert


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_reach_their_heading(page: str, root: Path) -> None:
    """Links to a heading, of the same page or of another one, find it."""
    path = root / page
    links = re.findall(r"\]\(((?!https?:)[^)#]*)#([^)]+)\)", path.read_text())
    assert links
    for target, anchor in links:
        linked = path.parent / target if target else path
        assert anchor in anchors(linked.read_text()), f"{target}#{anchor}"


def test_the_runbook_needs_no_other_page(runbook: str) -> None:
    """Users get this page alone, and publish it."""
    assert [] == re.findall(r"\]\((?!#|https://)[^)]*\)", runbook)


def test_every_query_is_promql(runbook: str) -> None:
    """Prometheus can parse each query, in code blocks and within sentences."""
    for query in [*blocks(runbook), *mentions(runbook)]:
        try:
            promql_parser.parse(query)
        except ValueError as error:
            pytest.fail(f"{query}\n{error}")


@pytest.mark.parametrize("page", ["docs/how-to/runbook.md", "docs/reference/alerts.md"])
def test_every_series_exists(page: str, root: Path, tmp_path: Path) -> None:
    """The exporter exposes, or the rules record, each series that a page names."""
    text = (root / page).read_text()
    known = {series_name(name) for name in all_series(tmp_path, read_rules(root))}
    named = set[str]().union(*map(series, [*blocks(text), *mentions(text)]))
    assert named
    assert set() == named - known


def test_each_entry_has_its_thresholds(
    runbook: str, alerts: dict[str, list[Rule]], rules: list[Rule], thresholds: dict[str, float]
) -> None:
    """An entry names exactly the thresholds that its alert uses, with their values."""
    named: set[str] = set()
    for alert, entry in entries(runbook).items():
        read = set[str]().union(*(series_behind(rule["expr"], rules) for rule in alerts[alert]))
        asked = read & thresholds.keys()
        found = re.findall(r"`(rk:\w+:threshold)` \((.+?)\)", part(entry, "Threshold"))
        written = {name: pytest.approx(next(values(value))) for name, value in found}
        assert {name: thresholds[name] for name in asked} == written, alert
        named |= asked
    # No alert is about money.
    assert named == {name for name in thresholds if not re.match("rk:.*price_", name)}


def test_no_query_repeats_a_threshold(
    runbook: str, alerts: dict[str, list[Rule]], rules: list[Rule], thresholds: dict[str, float]
) -> None:
    """Queries read a threshold by its name, so that they find the same if users change it."""
    for alert, entry in entries(runbook).items():
        read = set[str]().union(*(series_behind(rule["expr"], rules) for rule in alerts[alert]))
        for query in blocks(entry):
            numbers = {float(number) for number in re.findall(r"(?<=[<>] )[\d.]+", query)}
            numbers |= {float(number) for number in re.findall(r"time\(\) - ([\d.]+)", query)}
            assert numbers.isdisjoint(thresholds[name] for name in read & thresholds.keys()), alert


def test_messages_are_those_of_the_exporter(runbook: str, root: Path) -> None:
    """Each message that the runbook quotes occurs in the log or in the code of the exporter."""
    sources = [path.read_text() for path in sorted((root / "rk_exporter").rglob("*.py"))]
    sources.append((root / "docs/reference/log-messages.md").read_text())
    quoted = {*re.findall(r"`([a-z]+(?: [a-z]+)+)`", re.sub(r"\s+", " ", runbook))}
    assert "meetings file cannot be used" in quoted
    assert set() == {message for message in quoted if not any(message in text for text in sources)}


def test_the_reference_has_every_threshold(root: Path, thresholds: dict[str, float]) -> None:
    """The reference page has each threshold, by its key, with its value and meaning."""
    page = (root / "docs/reference/alerts.md").read_text()
    written = re.findall(r"^\| `(\w+)` \| (\d[^|]*) \| [^|]+ \|$", page, re.MULTILINE)
    assert written
    assert thresholds == {
        f"rk:{key}:threshold": pytest.approx(next(values(value))) for key, value in written
    }


def test_the_reference_has_every_rule(
    root: Path, rules: list[Rule], thresholds: dict[str, float]
) -> None:
    """The reference page has a line for each alerting rule and each other recording rule."""
    page = (root / "docs/reference/alerts.md").read_text()
    for rule in (rule for rule in rules if rule.get("record") not in thresholds):
        start = f"| [{rule['alert']}](" if "alert" in rule else f"| `{rule['record']}` | "
        lines = [line for line in page.splitlines() if line.startswith(start)]
        texts = [plain(rule["annotations"]["summary"])] if "alert" in rule else []
        assert any(all(text in line for text in texts) for line in lines), start
        assert all("|  |" not in line for line in lines if "record" in rule), lines


@pytest.mark.parametrize("page", PAGES[1:])
def test_how_many_alerts(page: str, root: Path, alerts: dict[str, list[Rule]]) -> None:
    """The pages say how many alerts there are."""
    assert f"{len(alerts)} alerts" in (root / page).read_text()

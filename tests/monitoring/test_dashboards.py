"""The dashboards keep to the rules of Grafana's linter and to the project's own."""

import json
import re

from itertools import chain
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.series import all_series, read_rules, rules_of
from tests.support.monitoring.board import Board, Json, strings
from tests.support.monitoring.dashboard_conventions import STATES, coloured_states
from tests.support.monitoring.dashboard_lint import findings
from tests.support.monitoring.promql import Known


FILES = sorted((Path(__file__).parents[2] / "dashboards").glob("*.json"))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """Return the series that the exporter exposes and the rules record."""
    rules = read_rules(Path(__file__).parents[2])
    return all_series(tmp_path_factory.mktemp("exporter"), rules)


@pytest.fixture(scope="module")
def dashboards() -> dict[str, Json]:
    """Return all dashboards by their uid."""
    read = [json.loads(path.read_text()) for path in FILES]
    return {each["uid"]: each for each in read}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_rule_finds_anything(path: Path, known: Known) -> None:
    """Nothing is wrong with a dashboard by itself."""
    found = findings(json.loads(path.read_text()), known)
    assert [] == found, "\n".join(map(str, found))


def test_which_dashboards_there_are(dashboards: dict[str, Json]) -> None:
    """There are four, each with a uid of its own."""
    assert len(FILES) == len(dashboards)
    assert {
        "RealtimeKit / Overview",
        "RealtimeKit / Recordings",
        "RealtimeKit / Recording",
        "RealtimeKit / Exporter",
    } == {each["title"] for each in dashboards.values()}


def test_one_tag_for_all(dashboards: dict[str, Json]) -> None:
    """Each dashboard finds the others by the tag."""
    assert 1 == len({tuple(each["tags"]) for each in dashboards.values()})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_can_be_chosen(path: Path) -> None:
    """All offer the same choice, in the same order; some more after it."""
    variables = json.loads(path.read_text())["templating"]["list"]
    names = [each["name"] for each in variables]
    assert ["datasource", "job", "instance", "app", "meeting"] == names[:5]


def test_one_colour_for_each_state(dashboards: dict[str, Json]) -> None:
    """A state looks the same wherever it is shown, and no two states look alike."""
    found = coloured_states([Board(each, {}) for each in dashboards.values()])
    assert {*STATES} == found.keys()
    assert all(len(colours) == 1 for colours in found.values()), found
    assert len(STATES) == len({*chain(*found.values())})


def test_links_set_variables_that_are_there(root: Path, dashboards: dict[str, Json]) -> None:
    """Links of panels and of alerts lead to a dashboard that knows all that they choose."""
    of_panels = [
        text
        for each in dashboards.values()
        for key, text in strings(each["panels"])
        if key == "url"
    ]
    of_alerts = [
        rule["annotations"]["dashboard"]
        for rule in rules_of(read_rules(root), "alert")
        if "dashboard" in rule["annotations"]
    ]
    assert of_panels
    assert of_alerts
    for link in (*of_panels, *of_alerts):
        # What a template decides on is no part of the query.
        url = urlsplit(re.sub(r"\{\{ (with [^}]*|end) \}\}", "", link))
        dashboard = dashboards[url.path.removeprefix("/d/")]
        names = {each["name"] for each in dashboard["templating"]["list"]}
        passed = {*re.findall(r"\$\{(\w+):queryparam\}", url.query)}
        given = {key.removeprefix("var-") for key, _ in parse_qsl(url.query) if "$" not in key}
        assert passed | given
        assert passed | given <= names, link

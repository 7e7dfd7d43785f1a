"""The dashboards follow the rules of Grafana's linter and the project's own rules."""

import json
import re

from itertools import chain
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.model.palette import GOOD, SOON
from tests.support.monitoring.board import Board, Json, strings
from tests.support.monitoring.dashboard_conventions import STATES, coloured_states
from tests.support.monitoring.dashboard_lint import findings
from tests.support.monitoring.grafana import panels_of
from tests.support.monitoring.promql import Known
from tests.support.monitoring.series import all_series, read_rules, rules_of


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
    return {dashboard["uid"]: dashboard for dashboard in read}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_linter_finds_nothing(path: Path, known: Known) -> None:
    """The linter finds no problem in any dashboard."""
    found = findings(json.loads(path.read_text()), known)
    assert [] == found, "\n".join(map(str, found))


def test_the_set_of_dashboards(dashboards: dict[str, Json]) -> None:
    """There are five dashboards with different uids."""
    assert len(FILES) == len(dashboards)
    assert {
        "RealtimeKit / Overview",
        "RealtimeKit / Recordings",
        "RealtimeKit / Recording",
        "RealtimeKit / Service level",
        "RealtimeKit / Exporter",
    } == {dashboard["title"] for dashboard in dashboards.values()}


def test_one_tag_for_all(dashboards: dict[str, Json]) -> None:
    """All dashboards have the same tag, which links them."""
    assert 1 == len({tuple(dashboard["tags"]) for dashboard in dashboards.values()})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_variables(path: Path) -> None:
    """All dashboards start with the same variables in the same order."""
    variables = json.loads(path.read_text())["templating"]["list"]
    names = [variable["name"] for variable in variables]
    assert ["datasource", "cluster", "job", "instance", "app", "meeting"] == names[:6]


def test_one_colour_for_each_state(dashboards: dict[str, Json]) -> None:
    """A state has the same colour everywhere, and different states have different colours."""
    found = coloured_states([Board(dashboard, {}) for dashboard in dashboards.values()])
    assert {*STATES} == found.keys()
    assert all(len(colours) == 1 for colours in found.values()), found
    assert len(STATES) == len({*chain(*found.values())})


def test_no_quantile_is_nan(dashboards: dict[str, Json]) -> None:
    """A panel about delays says that there are none. It would have no axes if it had only NaN."""
    quantiles = [
        target["expr"]
        for dashboard in dashboards.values()
        for panel in panels_of(dashboard["panels"])
        for target in panel.get("targets", ())
        if "histogram_quantile" in target["expr"]
    ]
    assert quantiles
    assert [] == [promql for promql in quantiles if not promql.endswith("\n) >= 0")]


def test_idle_is_no_status(dashboards: dict[str, Json]) -> None:
    """The status `none` means that a call got no response, so no calls have another name."""
    (panel,) = (
        panel
        for panel in panels_of(dashboards["rk-exporter"]["panels"])
        if panel["title"] == "Calls by status"
    )
    (target,) = panel["targets"]
    assert '"code", "no calls", "", ""' in target["expr"]
    overrides = panel["fieldConfig"]["overrides"]
    coloured = {override["matcher"]["options"] for override in overrides}
    assert {"none", "no calls"} <= coloured


def test_no_bad_event_is_green(dashboards: dict[str, Json]) -> None:
    """Failures of any kind have shades of one colour. Grafana's palette begins with green."""
    shades = {
        panel["title"]
        for panel in panels_of(dashboards["rk-exporter"]["panels"])
        if panel["type"] == "timeseries"
        and panel["fieldConfig"]["defaults"].get("color", {}).get("mode") == "shades"
    }
    assert shades == {"Failed calls", "Failed lists of apps", "Missed changes", "Malformed fields"}


def test_values_of_bars_are_legible(dashboards: dict[str, Json]) -> None:
    """The numbers beside bars have the colour of text, because UPLOADED is nearly black."""
    modes = [
        panel["options"]["valueMode"]
        for dashboard in dashboards.values()
        for panel in panels_of(dashboard["panels"])
        if panel["type"] == "bargauge"
    ]
    assert {*modes} == {"text"}


def test_texts_are_legible(dashboards: dict[str, Json]) -> None:
    """No number or cell has a light colour as its text, which nobody can read on a white page."""
    panels = [panel for board in dashboards.values() for panel in panels_of(board["panels"])]
    coloured = [
        (panel["title"], panel["fieldConfig"]["defaults"].get("thresholds", {}))
        for panel in panels
        if panel.get("options", {}).get("colorMode") == "value"
    ]
    for panel in panels:
        for override in panel.get("fieldConfig", {}).get("overrides", ()):
            of_cells = {item["id"]: item["value"] for item in override["properties"]}
            if of_cells.get("custom.cellOptions", {}).get("type") == "color-text":
                coloured.append((panel["title"], of_cells["thresholds"]))
    assert coloured
    light = {GOOD, SOON}
    assert [] == [
        title
        for title, thresholds in coloured
        if light & {step["color"] for step in thresholds.get("steps", ())}
    ]


def test_links_to_the_other_dashboards(dashboards: dict[str, Json]) -> None:
    """
    Each dashboard links to all others with the chosen exporters and apps.

    The dashboard that shows one recording gets no meeting, because it may be all meetings.
    """
    for uid, dashboard in dashboards.items():
        kept = {
            urlsplit(link["url"]).path.removeprefix("/d/"): {
                *re.findall(r"\$\{(\w+):queryparam\}", link["url"])
            }
            for link in dashboard["links"]
        }
        assert {*dashboards} - {uid} == {*kept}
        for target, variables in kept.items():
            of_exporters = {"datasource", "cluster", "job", "instance", "app"}
            assert variables == of_exporters | ({"meeting"} if target != "rk-recording" else set())


def names_of_meetings(dashboard: Json, answer: list[dict[str, str]]) -> dict[str, str]:
    """Return the values and texts that Grafana makes of the *answer* to the variable's query."""
    (variable,) = (item for item in dashboard["templating"]["list"] if item["name"] == "meeting")
    pattern = re.compile(variable["regex"].strip("/").replace("(?<", "(?P<"))
    # Grafana does not escape the values of labels here.
    texts = [
        "{" + ",".join(f'{label}="{value}"' for label, value in sorted(labels.items())) + "} 1 1.5"
        for labels in answer
    ]
    matches = [match for match in map(pattern.search, texts) if match]
    return {match["value"]: match["text"] for match in matches}


@given(name=st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
@example(name='The "big" one')
@example(name='"} 1 2')
@example(name='a",meeting_id="b')
@example(name="R&D #1 (50% + x)")
def test_meetings_are_listed_by_name(dashboards: dict[str, Json], name: str) -> None:
    """The list of meetings shows names, whatever characters they have, and selects by id."""
    for dashboard in dashboards.values():
        answer = [{"meeting_id": "id-1", "meeting_name": name}]
        assert names_of_meetings(dashboard, answer) == {"id-1": name}


def test_links_set_existing_variables(root: Path, dashboards: dict[str, Json]) -> None:
    """Links of panels and alerts set only variables that the linked dashboard has."""
    of_panels = [
        text
        for dashboard in dashboards.values()
        for key, text in strings(dashboard["panels"])
        if key == "url"
    ]
    of_alerts = [
        rule["annotations"]["dashboard_url"]
        for rule in rules_of(read_rules(root), "alert")
        if "dashboard_url" in rule["annotations"]
    ]
    assert of_panels
    assert of_alerts
    for link in (*of_panels, *of_alerts):
        # Conditions of a template are not part of the query.
        url = urlsplit(re.sub(r"\{\{ (with [^}]*|end) \}\}", "", link))
        dashboard = dashboards[url.path.removeprefix("/d/")]
        names = {variable["name"] for variable in dashboard["templating"]["list"]}
        passed = {*re.findall(r"\$\{(\w+):queryparam\}", url.query)}
        given = {key.removeprefix("var-") for key, _ in parse_qsl(url.query) if "$" not in key}
        assert passed | given
        # Grafana itself reads the time range.
        assert passed | given <= names | {"from", "to"}, link


@given(name=st.text(min_size=1))
@example(name="R&D")
@example(name="C#")
@example(name="A+B")
@example(name="50% + x")
@example(name="${x}")
def test_links_pass_on_any_name(dashboards: dict[str, Json], name: str) -> None:
    """A link from a table sets a variable to the name in the row, whatever characters it has."""
    links = [
        text
        for dashboard in dashboards.values()
        for key, text in strings(dashboard["panels"])
        if key == "url" and "__data.fields" in text
    ]
    assert links
    for link in links:
        of_row = re.compile(r'var-(\w+)=\$\{__data\.fields\["[^"]+"\]:percentencode\}')
        # The format percentencode is JavaScript's encodeURIComponent.
        url = of_row.sub(lambda match: f"var-{match[1]}={quote(name, safe='')}", link)
        passed = dict(parse_qsl(urlsplit(url).query))
        expected = {f"var-{variable}": name for variable in of_row.findall(link)}
        assert expected == {key: value for key, value in passed.items() if key in expected}
        assert expected.keys() == {key for key in passed if key.startswith("var-")}

"""
The rules of grafana/dashboard-linter for Prometheus, restated, and the table of all rules.

The linter itself takes Go and some two hundred modules. Ours differ on purpose in that warnings are
findings, that `ALERTS` need not be of the chosen job, and that a counter is known by its name
whatever its matchers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from grafana_foundation_sdk.models import units
from promql_parser import MatchOp

from tests.support.monitoring import dashboard_conventions as conventions
from tests.support.monitoring.board import (
    RATE_INTERVAL_SECONDS,
    Board,
    Json,
    Problem,
    Target,
    overrides,
    text_of_variable,
    title_of,
    uid_of,
)
from tests.support.monitoring.promql import Known, selectors


UNITS = {value for name, value in vars(units).items() if name[0].isupper()}
# Of types that the linter does not know it says nothing.
SHOWING = ("stat", "singlestat", "graph", "table", "timeseries", "gauge")
QUERYING = ("singlestat", "gauge", "table", "stat", "state-timeline", "timeseries")
WITH_DATASOURCE = ("singlestat", "graph", "table", "timeseries")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a *rule* has against a dashboard; *panel* is empty where it is no panel's."""

    rule: str
    dashboard: str
    panel: str
    message: str


def findings(dashboard: Json, known: Known) -> list[Finding]:
    """Return all that is wrong with a dashboard, where the series in *known* are all there are."""
    board = Board(dashboard, known)
    title = str(dashboard.get("title", ""))
    return [
        Finding(rule, title, place, message)
        for rule, check in RULES.items()
        for place, message in check(board)
    ]


def template_datasource(board: Board) -> Iterator[Problem]:
    """Find that no variable chooses the data source, or one by an unusual name or label."""
    sources = board.variables_of("datasource")
    if not sources:
        yield "", "has no variable for its data source"
    for each in sources:
        kind = str(each.get("query", ""))
        names, labels = [f"{kind.lower()}_datasource"], [f"{kind.title()} data source"]
        if len(sources) == 1:
            names.append("datasource")
            labels.append("Data source")
        if each["name"] not in names:
            yield "", f"the data source is called {each['name']}, not {' or '.join(names)}"
        if each.get("label") not in labels:
            yield "", f"the data source is labelled {each.get('label')}, not {' or '.join(labels)}"


def template_of_target(board: Board, name: str) -> Iterator[Problem]:
    """Find that not any number of jobs, or of instances, can be chosen."""
    if not board.asks_prometheus:
        return
    variable = next((each for each in board.variables if each["name"] == name), None)
    if variable is None:
        yield "", f"has no variable {name}"
        return
    sources = ("datasource", "prometheus_datasource")
    if uid_of(variable) not in {text for each in sources for text in (f"${each}", f"${{{each}}}")}:
        yield f"${name}", f"has the data source {uid_of(variable)}"
    expected: Json = {"type": "query", "multi": True, "allValue": ".+", "label": name.title()}
    for field, value in expected.items():
        if variable.get(field) != value:
            yield f"${name}", f"{field} is {variable.get(field)!r}, not {value!r}"


def template_label_promql(board: Board) -> Iterator[Problem]:
    """Find variables that ask what is no function of Grafana's over PromQL."""
    if board.asks_prometheus:
        for variable in board.variables_of("query"):
            if error := board.query_of_variable(variable).error:
                yield f"${variable['name']}", f"{text_of_variable(variable)}: {error}"


def template_reload(board: Board) -> Iterator[Problem]:
    """Find variables that are not asked for again when the time range changes."""
    for variable in board.variables_of("query"):
        if variable.get("refresh") != 2:
            yield f"${variable['name']}", f"refresh is {variable.get('refresh')}, not 2"


def panel_datasource(board: Board) -> Iterator[Problem]:
    """Find panels that ask another data source than one that is chosen."""
    names = [each["name"] for each in board.variables_of("datasource")]
    allowed = {text for name in names for text in (f"${name}", f"${{{name}}}")}
    for panel in _panels(board, WITH_DATASOURCE):
        if uid_of(panel) not in allowed:
            yield title_of(panel), f"has the data source {uid_of(panel)!r}"


def panel_title_description(board: Board) -> Iterator[Problem]:
    """Find panels without a title or a description."""
    for panel in _panels(board, SHOWING):
        if not panel.get("title") or not panel.get("description"):
            yield title_of(panel), f"panel {panel.get('id')} lacks its title or description"


def panel_units(board: Board) -> Iterator[Problem]:
    """Find numbers without one of Grafana's units, unless they are shown as texts."""
    for panel in _panels(board, SHOWING):
        config = panel.get("fieldConfig", {})
        defaults = config.get("defaults", {})
        set_to = [each for _, each in overrides(panel)]
        of_stat = panel.get("options", {}).get("reduceOptions", {}).get("fields")
        mapped = [each["value"] for each in set_to if each["id"] == "mappings"]
        if (panel["type"] == "stat" and of_stat) or any(each is not None for each in mapped):
            continue
        if defaults.get("mappings") is None:
            given = [each["value"] for each in set_to if each["id"] == "unit" and each["value"]]
            unit = [defaults.get("unit"), *given][-1]
            if unit not in UNITS:
                yield title_of(panel), f"the unit is {unit!r}"


def panel_no_targets(board: Board) -> Iterator[Problem]:
    """Find panels that ask nothing."""
    for panel in _panels(board, SHOWING):
        if panel.get("targets") is None:
            yield title_of(panel), "has no targets"


def target_promql(board: Board) -> Iterator[Problem]:
    """Find queries that are no PromQL, or empty where no other panel's answer is taken."""
    ids = {panel.get("id") for panel in board.panels}
    for each in _targets(board, QUERYING):
        if each.query.error and (each.query.promql or each.json.get("panelId") not in ids):
            yield each.query.place, f"{each.query.promql!r}: {each.query.error}"


def target_rate_interval(board: Board) -> Iterator[Problem]:
    """Find rates over another range than Grafana's."""
    for target in _targets(board, QUERYING):
        if target.query.expression:
            for each in selectors(target.query.expression):
                other = each.window and each.window.total_seconds() != RATE_INTERVAL_SECONDS
                if other and each.function in {"rate", "irate"}:
                    yield target.query.place, f"{each.name}: not over $__rate_interval"


def target_matcher(board: Board, name: str) -> Iterator[Problem]:
    """Find series of other jobs or instances than those chosen; alerts are Prometheus' own."""
    if not board.asks_prometheus:
        return
    for target in board.targets:
        if target.query.expression:
            for each in selectors(target.query.expression):
                if each.name != "ALERTS" and not each.has(name, MatchOp.Re, f"${name}"):
                    yield target.query.place, f'{each.name} lacks {name}=~"${name}"'


def target_counter_aggregation(board: Board) -> Iterator[Problem]:
    """Find counters of which not the growth is shown."""
    for target in board.targets:
        if target.query.expression:
            for each in selectors(target.query.expression):
                grows = each.window and each.function in {"rate", "irate", "increase"}
                if each.name.endswith("_total") and not grows:
                    yield target.query.place, f"{each.name} is a counter, in no rate or increase"


def uneditable(board: Board) -> Iterator[Problem]:
    """Find that it can be edited in the browser, though the next file would undo that."""
    if board.json.get("editable"):
        yield "", "is editable"


def _panels(board: Board, kinds: tuple[str, ...]) -> list[Json]:
    return [panel for panel in board.panels if panel.get("type") in kinds]


def _targets(board: Board, kinds: tuple[str, ...]) -> Iterator[Target]:
    if board.asks_prometheus:
        yield from (target for target in board.targets if target.kind in kinds)


RULES: Mapping[str, Callable[[Board], Iterator[Problem]]] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": partial(template_of_target, name="job"),
    "template-instance-rule": partial(template_of_target, name="instance"),
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": partial(target_matcher, name="job"),
    "target-instance-rule": partial(target_matcher, name="instance"),
    "target-counter-agg-rule": target_counter_aggregation,
    "uneditable-dashboard": uneditable,
    **conventions.RULES,
}

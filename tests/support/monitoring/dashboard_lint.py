"""
Apply the rules of grafana/dashboard-linter for Prometheus, and the project's own rules.

The linter itself needs Go and about two hundred modules. These rules differ on purpose: warnings
are findings, `ALERTS` may have any job, and a counter is recognised by its name, whatever its
matchers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from grafana_foundation_sdk.models import units
from promql_parser import MatchOp

from tests.support.monitoring import dashboard_conventions as conventions
from tests.support.monitoring import query_conventions
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
# The last two are the samples at both ends of a window, of which totals.counted() makes a
# difference that is exact.
_GROWTH = {"rate", "irate", "increase", "last_over_time", "min_over_time"}
# The panel types that the linter knows.
SHOWING = ("stat", "singlestat", "graph", "table", "timeseries", "gauge")
QUERYING = ("singlestat", "gauge", "table", "stat", "state-timeline", "timeseries")
WITH_DATASOURCE = ("singlestat", "graph", "table", "timeseries")


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that a rule found. *panel* is empty if it does not concern a panel."""

    rule: str
    dashboard: str
    panel: str
    message: str


def findings(dashboard: Json, known: Known) -> list[Finding]:
    """Return all problems of a dashboard. *known* has all existing series."""
    board = Board(dashboard, known)
    title = str(dashboard.get("title", ""))
    return [
        Finding(rule, title, place, message)
        for rule, check in RULES.items()
        for place, message in check(board)
    ]


def template_datasource(board: Board) -> Iterator[Problem]:
    """Find a missing data source variable, and one with an unusual name or label."""
    sources = board.variables_of("datasource")
    if not sources:
        yield "", "has no variable for the data source"
    for source in sources:
        kind = str(source.get("query", ""))
        names, labels = [f"{kind.lower()}_datasource"], [f"{kind.title()} data source"]
        if len(sources) == 1:
            names.append("datasource")
            labels.append("Data source")
        if source["name"] not in names:
            yield "", f"the data source is called {source['name']}, not {' or '.join(names)}"
        if source.get("label") not in labels:
            yield (
                "",
                f"the data source is labelled {source.get('label')}, not {' or '.join(labels)}",
            )


def template_of_target(board: Board, name: str) -> Iterator[Problem]:
    """Find a missing or restricted variable for jobs or instances."""
    if not board.asks_prometheus:
        return
    variable = next((item for item in board.variables if item["name"] == name), None)
    if variable is None:
        yield "", f"has no variable {name}"
        return
    sources = ("datasource", "prometheus_datasource")
    if uid_of(variable) not in {
        text for source in sources for text in (f"${source}", f"${{{source}}}")
    }:
        yield f"${name}", f"has the data source {uid_of(variable)}"
    expected: Json = {"type": "query", "multi": True, "allValue": ".+", "label": name.title()}
    for field, value in expected.items():
        if variable.get(field) != value:
            yield f"${name}", f"{field} is {variable.get(field)!r}, not {value!r}"


def template_label_promql(board: Board) -> Iterator[Problem]:
    """Find query variables that are not one of Grafana's functions with PromQL."""
    if board.asks_prometheus:
        for variable in board.variables_of("query"):
            if error := board.query_of_variable(variable).error:
                yield f"${variable['name']}", f"{text_of_variable(variable)}: {error}"


def template_reload(board: Board) -> Iterator[Problem]:
    """Find query variables that do not refresh when the time range changes."""
    for variable in board.variables_of("query"):
        if variable.get("refresh") != 2:
            yield f"${variable['name']}", f"refresh is {variable.get('refresh')}, not 2"


def panel_datasource(board: Board) -> Iterator[Problem]:
    """Find panels that do not use a data source variable."""
    names = [variable["name"] for variable in board.variables_of("datasource")]
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
    """Find values without one of Grafana's units, unless mappings show them as texts."""
    for panel in _panels(board, SHOWING):
        config = panel.get("fieldConfig", {})
        defaults = config.get("defaults", {})
        set_to = [override for _, override in overrides(panel)]
        of_stat = panel.get("options", {}).get("reduceOptions", {}).get("fields")
        mapped = [override["value"] for override in set_to if override["id"] == "mappings"]
        if (panel["type"] == "stat" and of_stat) or any(
            mappings is not None for mappings in mapped
        ):
            continue
        if defaults.get("mappings") is None:
            given = [
                override["value"]
                for override in set_to
                if override["id"] == "unit" and override["value"]
            ]
            unit = [defaults.get("unit"), *given][-1]
            if unit not in UNITS:
                yield title_of(panel), f"the unit is {unit!r}"


def panel_no_targets(board: Board) -> Iterator[Problem]:
    """Find panels without targets."""
    for panel in _panels(board, SHOWING):
        if panel.get("targets") is None:
            yield title_of(panel), "has no targets"


def target_promql(board: Board) -> Iterator[Problem]:
    """Find queries that are not PromQL, and empty ones that do not use another panel's result."""
    ids = {panel.get("id") for panel in board.panels}
    for target in _targets(board, QUERYING):
        if target.query.error and (target.query.promql or target.json.get("panelId") not in ids):
            yield target.query.place, f"{target.query.promql!r}: {target.query.error}"


def target_rate_interval(board: Board) -> Iterator[Problem]:
    """Find rates with a range other than `$__rate_interval`."""
    for target in _targets(board, QUERYING):
        if target.query.expression:
            for selector in selectors(target.query.expression):
                other = selector.window and selector.window.total_seconds() != RATE_INTERVAL_SECONDS
                if other and selector.function in {"rate", "irate"}:
                    yield target.query.place, f"{selector.name}: not over $__rate_interval"


def target_matcher(board: Board, name: str) -> Iterator[Problem]:
    """
    Find series without the selected jobs or instances.

    `ALERTS` and recorded series come from Prometheus itself, and have no instance.
    """
    if not board.asks_prometheus:
        return
    for target in board.targets:
        if target.query.expression:
            for selector in selectors(target.query.expression):
                is_about_target = selector.name != "ALERTS" and ":" not in selector.name
                if is_about_target and not selector.has(name, MatchOp.Re, f"${name}"):
                    yield target.query.place, f'{selector.name} lacks {name}=~"${name}"'


def target_counter_aggregation(board: Board) -> Iterator[Problem]:
    """Find counters outside of rate and increase, and outside of a difference of two samples."""
    for target in board.targets:
        if target.query.expression:
            for selector in selectors(target.query.expression):
                grows = selector.window and selector.function in _GROWTH
                if selector.name.endswith("_total") and not grows:
                    yield (
                        target.query.place,
                        f"{selector.name} is a counter outside of rate and increase",
                    )


def uneditable(board: Board) -> Iterator[Problem]:
    """Find editable dashboards. The next provisioning would undo edits."""
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
    **query_conventions.RULES,
}

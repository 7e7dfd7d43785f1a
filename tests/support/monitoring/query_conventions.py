"""The project's own rules for the queries of dashboards."""

import re

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatchOp,
    VectorSelector,
)

from tests.support.monitoring.board import Board, Json, Problem, Query, Target
from tests.support.monitoring.promql import labels_of, selectors, unknown_series, walk


_OF_ANY_PROGRAM = ("process_", "python_", "scrape_")
_BUILD = "rk_exporter_build_info"
_LIMITING = ("topk", "bottomk")
_LISTING = ("table", "bargauge", "state-timeline", "timeseries")


# Windows of 28 days over raw series cost too much. Its panels say what they need.
_NEEDING_RULES = ("rk-service-level",)
_OBJECTIVES_AND_COST = re.compile(
    r"app:rk_(objective_recordings|recorded_(seconds|bytes|cost)):increase\w+"
)
_BUDGETS = "rk:objective:budget_ratio"


def no_recorded_series(board: Board) -> Iterator[Problem]:
    """Find series that only rules record. A dashboard must work without rules, but for one."""
    may_read = board.json.get("uid") in _NEEDING_RULES
    for query, expression in _parsed(board):
        for selector in selectors(expression):
            is_optional = _OBJECTIVES_AND_COST.fullmatch(selector.name) and all(
                selector.has(label, MatchOp.Re, f"${name}")
                for label, name in (("job", "job"), ("rk_app", "app"))
            )
            is_allowed = is_optional or selector.name == _BUDGETS
            if ":" in selector.name and not (may_read and is_allowed):
                yield query.place, f"{selector.name} needs rules"


def says_what_is_missing(board: Board) -> Iterator[Problem]:
    """Find panels that need rules and do not say so when the series are missing."""
    if board.json.get("uid") not in _NEEDING_RULES:
        return
    for target in board.targets:
        expression = target.query.expression
        found = selectors(expression) if expression else ()
        if any(":" in selector.name for selector in found):
            absent = str(target.panel["fieldConfig"]["defaults"].get("noValue", ""))
            if not re.search("rules|price_ratio", absent):
                yield target.query.place, "does not say which rules it needs"


def our_targets(board: Board) -> Iterator[Problem]:
    """Find series that any program has, unless they are restricted to our targets."""
    for query, expression in _parsed(board):
        for node, parents in walk(expression):
            name = node.name or "" if isinstance(node, VectorSelector) else ""
            restrictions = [_restriction(parent, node) for parent in parents]
            is_ours = _BUILD in restrictions or f"{_BUILD} over time" in restrictions
            if name.startswith(_OF_ANY_PROGRAM) and not is_ours:
                yield query.place, f"{name} may be another program's"
            is_filter = any(_only_filters(parent, node) for parent in parents)
            # A target that is down shows nothing now.
            if name == "up" and not is_filter and f"{_BUILD} over time" not in restrictions:
                yield query.place, "up may be another program's, or omits targets that are down"


def _restriction(parent: Expr, node: Expr) -> str:
    """Return which series the labels of a node must also have, if *parent* says so."""
    if not isinstance(parent, BinaryExpr) or str(parent.op) != "and":
        return ""
    if not parent.modifier or not parent.modifier.matching or not _contains(parent.lhs, node):
        return ""
    found = list(selectors(parent.rhs))
    windows = " over time" if found and all(selector.window for selector in found) else ""
    return f"{found[0].name}{windows}" if len(found) == 1 else ""


def _only_filters(parent: Expr, node: Expr) -> bool:
    """Return whether *parent* has only the labels of a node, for series of ours."""
    if not isinstance(parent, BinaryExpr) or str(parent.op) not in {"and", "unless"}:
        return False
    return _contains(parent.rhs, node)


def _contains(expr: Expr, node: Expr) -> bool:
    return any(part is node for part, _ in walk(expr))


def our_alerts(board: Board) -> Iterator[Problem]:
    """Find alerts of other teams, and alerts that are not of the selected jobs and apps."""
    for query, expression in _parsed(board):
        for selector in selectors(expression):
            if selector.name == "ALERTS":
                for label, value in (
                    ("alertname", "RealtimeKit.+"),
                    ("job", "$job"),
                    ("rk_app", "$app|"),
                ):
                    if not selector.has(label, MatchOp.Re, value):
                        yield query.place, f'ALERTS lacks {label}=~"{value}"'


def safe_names(board: Board) -> Iterator[Problem]:
    """Find names of meetings that may be several for one meeting, or none for another."""
    for query, expression in _parsed(board):
        for node, parents in walk(expression):
            is_info = isinstance(node, VectorSelector) and node.name == "rk_meeting_info"
            if is_info and not any(map(_merges_names, parents)):
                yield query.place, "a meeting may have several names"
            if isinstance(node, BinaryExpr) and _copies_name(node):
                parts = [part for part, _ in walk(node.rhs)]
                if not any(map(_names_by_id, parts)):
                    yield query.place, "a meeting without a name is missing"


def _merges_names(expr: Expr) -> bool:
    if not isinstance(expr, AggregateExpr) or not expr.modifier:
        return False
    is_first = str(expr.op) == "topk" and expr.param is not None and expr.param.val == 1
    return is_first or (str(expr.op) != "topk" and "meeting_name" not in expr.modifier.labels)


def _copies_name(expr: BinaryExpr) -> bool:
    return bool(expr.modifier and "meeting_name" in (expr.modifier.group_labels or ()))


def _names_by_id(expr: Expr) -> bool:
    if not isinstance(expr, Call) or expr.func.name != "label_replace":
        return False
    return [expr.args[1].val, expr.args[3].val] == ["meeting_name", "meeting_id"]


def limited_lists(board: Board) -> Iterator[Problem]:
    """Find lists of meetings or recordings of any length, unless one meeting is selected."""
    if _has_one_meeting(board):
        return
    limited = [_is_limited(target, board) for target in board.targets]
    # The rows of a table are those of one query if it omits rows without a value of that query.
    filtering = [
        target.panel
        for target, is_limited in zip(board.targets, limited, strict=True)
        if is_limited and _filters_rows(target.panel)
    ]
    for target, is_limited in zip(board.targets, limited, strict=True):
        if is_limited is False and not any(target.panel is panel for panel in filtering):
            yield target.query.place, "lists all meetings or recordings, without topk"


def _is_limited(target: Target, board: Board) -> bool | None:
    """Return whether a list of meetings or recordings is limited; None if it is no list."""
    expression, known = target.query.expression, board.known
    if target.kind not in _LISTING or not expression or unknown_series(expression, known):
        return None
    if not {"meeting_id", "recording_id"} & labels_of(expression, known):
        return None
    chosen = {f"${name}" for name in _limited_variables(board)}
    values = {matcher.value for found in selectors(expression) for matcher in found.matchers}
    return bool(_limits(expression) or chosen & values)


def _limited_variables(board: Board) -> Iterator[str]:
    """Yield the variables whose choice "All" stands for a limited number of values."""
    for variable in board.variables_of("query"):
        expression = board.query_of_variable(variable).expression
        if expression and _limits(expression) and not variable.get("allValue"):
            yield variable["name"]


def _limits(expression: Expr) -> list[Expr]:
    """Return the parts of an expression that choose some of all series."""
    return [
        node
        for node, _ in walk(expression)
        if isinstance(node, AggregateExpr) and str(node.op) in _LIMITING and not node.modifier
    ]


def same_rows(board: Board) -> Iterator[Problem]:
    """Find tables whose queries choose different rows, which then lack columns."""
    chosen: defaultdict[str, set[str]] = defaultdict(set)
    for target in board.targets:
        if target.kind == "table" and target.query.expression:
            chosen[target.query.place] |= {str(node) for node in _limits(target.query.expression)}
    for place, choices in chosen.items():
        if len(choices) > 1:
            yield place, f"chooses its rows in {len(choices)} ways"


def _filters_rows(panel: Json) -> bool:
    return any(made["id"] == "filterByValue" for made in panel.get("transformations") or [])


def _has_one_meeting(board: Board) -> bool:
    return any(
        variable["name"] == "meeting" and not variable.get("multi") for variable in board.variables
    )


def _parsed(board: Board) -> Iterator[tuple[Query, Expr]]:
    """Yield each query that is PromQL."""
    for query in board.queries:
        if query.expression:
            yield query, query.expression


RULES: Mapping[str, Callable[[Board], Iterator[Problem]]] = {
    "no-recorded-series": no_recorded_series,
    "says-what-is-missing": says_what_is_missing,
    "our-targets": our_targets,
    "our-alerts": our_alerts,
    "safe-names": safe_names,
    "limited-lists": limited_lists,
    "same-rows": same_rows,
}

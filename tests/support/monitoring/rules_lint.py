"""
Check recording and alerting rules, mostly with pint's checks.

This omits the checks that need a live server.
"""

import re

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import promql_parser

from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    LabelModifierType,
    MatchOp,
    NumberLiteral,
)

from tests.support.monitoring.promql import (
    COMPARISONS,
    Known,
    ambiguous_matches,
    children,
    is_matched_by_all_labels,
    is_scalar,
    labels_of,
    selectors,
    unknown_labels,
    unknown_series,
    walk,
)
from tests.support.monitoring.series import PLACE


RUNBOOK = "docs/how-to/runbook.md"
SEVERITIES = ("critical", "warning", "info")
LONGEST_INTERVAL = timedelta(minutes=5)
# At least two scrapes at the slowest documented interval.
SHORTEST_WINDOW = timedelta(minutes=2)
_NAME_OF_ALERT = re.compile(r"RealtimeKit[A-Z]\w+")
_NAME_OF_RECORD = re.compile(r"[a-z_]+:[a-z]\w*:[a-z0-9_]+")
# A label in a condition may be missing.
_LABEL_IN_TEMPLATE = re.compile(r"(?<!with )(?<!if )(?:\$labels|\.Labels)\.(\w+)")
_QUERY_IN_TEMPLATE = re.compile(r'printf\s+"((?:[^"\\]|\\.)*)"[^|}]*\|\s*query\b')
_OF_COUNTERS = ("rate", "irate", "increase")


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that a check found in a rule or a group."""

    check: str
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule, and the series and headings that it can refer to."""

    rule: Mapping[str, Any]
    known: Known
    headings: frozenset[str]
    expression: Expr

    @property
    def is_alert(self) -> bool:
        """Return whether it is an alerting rule."""
        return "alert" in self.rule

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the labels that the rule adds."""
        return self.rule.get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Return the annotations of the rule."""
        return self.rule.get("annotations") or {}


def findings(document: Mapping[str, Any], known: Known, runbook: str) -> list[Finding]:
    """
    Return all problems of a file of rules.

    *known* has all existing series. *runbook* is the text of the page that the alerts link to.
    """
    return [
        *(found for group in document["groups"] for found in _of_group(group)),
        *_duplicates([rule for group in document["groups"] for rule in group["rules"]]),
        *(
            found
            for group in document["groups"]
            for rule in group["rules"]
            for found in _of_rule(rule, known, _anchors(runbook))
        ),
    ]


def _of_group(group: Mapping[str, Any]) -> Iterator[Finding]:
    interval = promql_parser.parse_duration(group.get("interval", "1m"))
    if interval > LONGEST_INTERVAL:
        yield Finding("group/interval", group["name"], f"{interval} is too long for Prometheus")


def _duplicates(rules: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """Find rules that write the same series. Two alerts may differ in their labels."""
    written = Counter((_name(rule), *sorted((rule.get("labels") or {}).items())) for rule in rules)
    for (name, *labels), count in written.items():
        if count > 1:
            yield Finding("rule/duplicate", str(name), f"{count} rules with the labels {labels}")


def _of_rule(rule: Mapping[str, Any], known: Known, headings: frozenset[str]) -> Iterator[Finding]:
    try:
        expression = promql_parser.parse(str(rule["expr"]))
    except ValueError as error:
        yield Finding("promql/syntax", _name(rule), str(error))
        return
    judged = Judged(rule, known, headings, expression)
    for check, judge in {**CHECKS, **(CHECKS_OF_ALERTS if judged.is_alert else {})}.items():
        yield from (Finding(check, _name(rule), message) for message in judge(judged))


def _name(rule: Mapping[str, Any]) -> str:
    return str(rule.get("alert") or rule.get("record"))


def _anchors(page: str) -> frozenset[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return frozenset(
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
    )


def comparison(judged: Judged) -> Iterator[str]:
    """Find alerts that always fire."""
    if not _is_conditional(judged.expression):
        yield "fires whatever the values are"


def _is_conditional(expr: Expr) -> bool:
    """Return whether the result depends on values, and not only on existing series."""
    match expr:
        case BinaryExpr():
            op, sides = str(expr.op), [_is_conditional(side) for side in children(expr)]
            if op in COMPARISONS and not (expr.modifier and expr.modifier.return_bool):
                return True
            if op in {"or", "unless"}:
                return all(sides) if op == "or" else sides[0]
            return any(sides)
        case Call() if expr.func.name in {"absent", "absent_over_time"}:
            return True
    return any(map(_is_conditional, children(expr)))


def absent(judged: Judged) -> Iterator[str]:
    """Find alerts that fire after a restart of Prometheus."""
    names = {node.func.name for node, _ in walk(judged.expression) if isinstance(node, Call)}
    if names & {"absent", "absent_over_time"} and _duration(judged, "for") < SHORTEST_WINDOW:
        yield "absent() without a `for` that outlasts two scrapes"


def durations(judged: Judged) -> Iterator[str]:
    """Find alerts that fire on the first evaluation."""
    for field in ("for", "keep_firing_for"):
        if (field == "for" or field in judged.rule) and not _duration(judged, field):
            yield f"`{field}` is missing or zero"


def _duration(judged: Judged, field: str) -> timedelta:
    text = str(judged.rule.get(field, "0s"))
    return promql_parser.parse_duration(text) if re.search("[1-9]", text) else timedelta()


def template(judged: Judged) -> Iterator[str]:
    """Find labels that contain the value, and texts with labels that the query drops."""
    for label, text in judged.labels.items():
        if re.search(r"\$value|\.Value", str(text)):
            yield f"the label {label} changes with the value"
    left = labels_of(judged.expression, judged.known) | judged.labels.keys()
    for text in (*judged.annotations.values(), *judged.labels.values()):
        for label in sorted({*_LABEL_IN_TEMPLATE.findall(str(text))} - left):
            yield f"the query drops the label {label} in: {text}"


def queries_in_templates(judged: Judged) -> Iterator[str]:
    """Find queries in texts that select missing series or labels."""
    for text in judged.annotations.values():
        for query in _QUERY_IN_TEMPLATE.findall(str(text)):
            try:
                expression = promql_parser.parse(re.sub(r"%(\[\d\])?q", '""', query))
            except ValueError as error:
                yield f"{query}: {error}"
                continue
            yield from _unknown(expression, judged.known)


def annotations(judged: Judged) -> Iterator[str]:
    """Find alerts without a summary, a description or a link to the runbook."""
    for name in ("summary", "description", "runbook_url"):
        if not judged.annotations.get(name):
            yield f"has no {name}"
    summary = judged.annotations.get("summary", "")
    if not re.fullmatch(r"[^.!?]*\.", re.sub(r"\{\{.*?\}\}", "", summary)):
        yield f"the summary is not one sentence: {summary}"
    page, _, anchor = judged.annotations.get("runbook_url", "").partition("#")
    if not page.endswith(RUNBOOK) or anchor not in judged.headings:
        yield f"the runbook has no heading for {page}#{anchor}"


def links(judged: Judged) -> Iterator[str]:
    """Find links in which the value of a label may contain characters that end the value."""
    for text in judged.annotations.values():
        if str(text).startswith(("/", "http")):
            for shown in re.findall(r"\{\{\s*([$.].*?)\s*\}\}", str(text)):
                if "| urlquery" not in shown:
                    yield f"{shown} is not encoded in: {text}"


def severity(judged: Judged) -> Iterator[str]:
    """Find alerts without a known severity."""
    if judged.labels.get("severity") not in SEVERITIES:
        yield f"the severity is {judged.labels.get('severity')}"


def fragile(judged: Judged) -> Iterator[str]:
    """Find alerts whose series change from one evaluation to the next."""
    for node, _ in walk(judged.expression):
        if isinstance(node, AggregateExpr) and str(node.op) in {"topk", "bottomk", "limitk"}:
            yield f"{node.op} selects other series at each evaluation"


def nan(judged: Judged) -> Iterator[str]:
    """Find divisions by zero within an aggregation, which becomes NaN."""
    for node, parents in walk(judged.expression):
        if isinstance(node, BinaryExpr) and str(node.op) == "/" and not is_scalar(node.rhs):
            aggregated = any(isinstance(parent, AggregateExpr) for parent in parents)
            if aggregated and not _is_conditional(node.rhs):
                yield f"may divide by 0: {node.prettify()}"


def vector_matching(judged: Judged) -> Iterator[str]:
    """Find vector matching without on(). `or` may omit it if both sides have the same labels."""
    for node, _ in walk(judged.expression):
        if isinstance(node, BinaryExpr) and is_matched_by_all_labels(node):
            left, right = (labels_of(side, judged.known) for side in children(node))
            if str(node.op) != "or" or left != right:
                yield f"{node.op} matches {sorted(left)} with {sorted(right)}, without on()"


def ambiguity(judged: Judged) -> Iterator[str]:
    """Find vector matching that fails if exporters disagree."""
    yield from ambiguous_matches(judged.expression, judged.known)


def place(judged: Judged) -> Iterator[str]:
    """Find aggregations and vector matching by job that drop the labels that alerts need."""
    for node, _ in walk(judged.expression):
        for labels in _modified_by(node):
            if "job" in labels and not {*labels} >= PLACE:
                yield f"drops {sorted(PLACE - {*labels})}: {node.prettify()}"


def _modified_by(expr: Expr) -> Iterator[Sequence[str]]:
    """Yield the labels of by() or on()."""
    match expr:
        case AggregateExpr() if expr.modifier:
            if expr.modifier.type == AggModifierType.By:
                yield expr.modifier.labels
        case BinaryExpr() if expr.modifier and (on := expr.modifier.matching):
            if on.type == LabelModifierType.Include:
                yield on.labels


def rate(judged: Judged) -> Iterator[str]:
    """Find rates of metrics that are not counters, and rates over too few scrapes."""
    for selector in selectors(judged.expression):
        if selector.function in _OF_COUNTERS:
            is_histogram = f"{selector.name}_bucket" in judged.known
            if not (selector.is_counter or is_histogram):
                yield f"{selector.function} of {selector.name}, which is not a counter"
            if selector.window and selector.window < SHORTEST_WINDOW:
                rate_of = f"{selector.function} of {selector.name}"
                yield f"{rate_of} over {selector.window} has too few scrapes"


def counter(judged: Judged) -> Iterator[str]:
    """Find raw counters, which a restart resets."""
    for selector in selectors(judged.expression):
        growth = (
            *_OF_COUNTERS,
            "resets",
            "changes",
            "absent",
            "absent_over_time",
            "count_over_time",
        )
        if selector.is_counter and selector.function not in growth:
            yield f"{selector.name} is a counter outside of rate and increase"


def regexp(judged: Judged) -> Iterator[str]:
    """Find regular expressions that are plain strings, and needless anchors."""
    for selector in selectors(judged.expression):
        for matcher in selector.matchers:
            if matcher.op in (MatchOp.Re, MatchOp.NotRe):
                if not re.search(r"[.*+?|()\[\]{}\\]", matcher.value):
                    yield f"{matcher} is a plain string"
                if re.search(r"^\^|\$$", matcher.value):
                    yield f"{matcher} has needless anchors"


def names(judged: Judged) -> Iterator[str]:
    """Find rules with unusual names."""
    pattern = _NAME_OF_ALERT if judged.is_alert else _NAME_OF_RECORD
    if not pattern.fullmatch(_name(judged.rule)):
        yield f"is not named {pattern.pattern}"


def series(judged: Judged) -> Iterator[str]:
    """Find series and labels that do not exist."""
    yield from _unknown(judged.expression, judged.known)


def _unknown(expression: Expr, known: Known) -> Iterator[str]:
    yield from (f"there is no series {name}" for name in unknown_series(expression, known))
    yield from unknown_labels(expression, known)


def thresholds(judged: Judged) -> Iterator[str]:
    """Find limits outside of the thresholds group. 0 and 1 are not limits."""
    for node, _ in walk(judged.expression):
        if isinstance(node, BinaryExpr) and str(node.op) in COMPARISONS:
            for side in children(node):
                parts = [part for part, _ in walk(side)]
                literals = {part.val for part in parts if isinstance(part, NumberLiteral)}
                if not list(selectors(side)) and literals - {0, 1}:
                    yield f"compares with {side.prettify()}, which is not an rk:…:threshold"


CHECKS: Mapping[str, Callable[[Judged], Iterator[str]]] = {
    "rule/name": names,
    "promql/series": series,
    "promql/fragile": fragile,
    "promql/nan": nan,
    "promql/vector_matching": vector_matching,
    "promql/ambiguity": ambiguity,
    "promql/place": place,
    "promql/rate": rate,
    "promql/counter": counter,
    "promql/regexp": regexp,
}
CHECKS_OF_ALERTS: Mapping[str, Callable[[Judged], Iterator[str]]] = {
    "alerts/comparison": comparison,
    "alerts/absent": absent,
    "alerts/for": durations,
    "alerts/template": template,
    "alerts/template_query": queries_in_templates,
    "alerts/annotation": annotations,
    "alerts/link": links,
    "alerts/severity": severity,
    "alerts/threshold": thresholds,
}

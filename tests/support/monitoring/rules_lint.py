"""
What is asked of recording and alerting rules: mostly checks of pint, restated.

Those that need a live server are left out.
"""

import re

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import promql_parser

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatchOp, NumberLiteral

from tests.support.monitoring.promql import (
    COMPARISONS,
    Known,
    children,
    is_matched_by_all_labels,
    is_scalar,
    labels_of,
    selectors,
    unknown_labels,
    unknown_series,
    walk,
)


RUNBOOK = "docs/how-to/runbook.md"
SEVERITIES = ("critical", "warning", "info")
LONGEST_INTERVAL = timedelta(minutes=5)
# Two scrapes and then some, for the slowest that the project tells of.
SHORTEST_WINDOW = timedelta(minutes=2)
_NAME_OF_ALERT = re.compile(r"RK[A-Z]\w+")
_NAME_OF_RECORD = re.compile(r"[a-z_]+:[a-z]\w*:[a-z0-9_]+")
# Who asks whether a label is there knows that it may not be.
_LABEL_IN_TEMPLATE = re.compile(r"(?<!with )(?<!if )(?:\$labels|\.Labels)\.(\w+)")
_QUERY_IN_TEMPLATE = re.compile(r'printf\s+"((?:[^"\\]|\\.)*)"[^|}]*\|\s*query\b')
_OF_COUNTERS = ("rate", "irate", "increase")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a *check* has against a rule, or against a group of them."""

    check: str
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule, and what there is that it can name."""

    rule: Mapping[str, Any]
    known: Known
    headings: frozenset[str]
    expression: Expr

    @property
    def is_alert(self) -> bool:
        """Tell whether it alerts."""
        return "alert" in self.rule

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the labels that it adds."""
        return self.rule.get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Return its texts."""
        return self.rule.get("annotations") or {}


def findings(document: Mapping[str, Any], known: Known, runbook: str) -> list[Finding]:
    """
    Return all that is wrong with a file of rules.

    The series in *known* are all there are, and the *runbook* is what the rules lead to.
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
    """Find rules that write the same series; an alert may be there twice, with other labels."""
    written = Counter((_name(each), *sorted((each.get("labels") or {}).items())) for each in rules)
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
    return frozenset(re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings)


def comparison(judged: Judged) -> Iterator[str]:
    """Find alerts that always fire."""
    if not _is_conditional(judged.expression):
        yield "fires whatever the values are"


def _is_conditional(expr: Expr) -> bool:
    """Tell whether the values decide if an expression has a result."""
    match expr:
        case BinaryExpr():
            op, sides = str(expr.op), [_is_conditional(each) for each in children(expr)]
            if op in COMPARISONS and not (expr.modifier and expr.modifier.return_bool):
                return True
            if op in {"or", "unless"}:
                return all(sides) if op == "or" else sides[0]
            return any(sides)
        case Call() if expr.func.name in {"absent", "absent_over_time"}:
            return True
    return any(map(_is_conditional, children(expr)))


def absent(judged: Judged) -> Iterator[str]:
    """Find alerts that a restart of Prometheus would fire."""
    names = {node.func.name for node, _ in walk(judged.expression) if isinstance(node, Call)}
    if names & {"absent", "absent_over_time"} and _duration(judged, "for") < SHORTEST_WINDOW:
        yield "absent() without a `for` that outlasts two scrapes"


def durations(judged: Judged) -> Iterator[str]:
    """Find alerts that do not wait for a second look."""
    for field in ("for", "keep_firing_for"):
        if (field == "for" or field in judged.rule) and not _duration(judged, field):
            yield f"`{field}` is zero, or left to its default"


def _duration(judged: Judged, field: str) -> timedelta:
    text = str(judged.rule.get(field, "0s"))
    return promql_parser.parse_duration(text) if re.search("[1-9]", text) else timedelta()


def template(judged: Judged) -> Iterator[str]:
    """Find labels that change with the value, and texts with labels that are not left."""
    for label, text in judged.labels.items():
        if re.search(r"\$value|\.Value", str(text)):
            yield f"the label {label} changes with the value"
    left = labels_of(judged.expression, judged.known) | judged.labels.keys()
    for text in (*judged.annotations.values(), *judged.labels.values()):
        for label in sorted({*_LABEL_IN_TEMPLATE.findall(str(text))} - left):
            yield f"the query leaves no label {label} for: {text}"


def queries_in_templates(judged: Judged) -> Iterator[str]:
    """Find texts that ask for what there is not."""
    for text in judged.annotations.values():
        for query in _QUERY_IN_TEMPLATE.findall(str(text)):
            try:
                expression = promql_parser.parse(query.replace("%q", '""'))
            except ValueError as error:
                yield f"{query}: {error}"
                continue
            yield from _unknown(expression, judged.known)


def annotations(judged: Judged) -> Iterator[str]:
    """Find alerts that do not say what they are about, or where to read on."""
    for name in ("summary", "description", "runbook_url"):
        if not judged.annotations.get(name):
            yield f"has no {name}"
    summary = judged.annotations.get("summary", "")
    if not re.fullmatch(r"[A-Z][^{}.!?]*\.", summary):
        yield f"the summary is not one constant sentence: {summary}"
    page, _, anchor = judged.annotations.get("runbook_url", "").partition("#")
    if not page.endswith(RUNBOOK) or anchor not in judged.headings:
        yield f"the runbook has no heading for {page}#{anchor}"


def severity(judged: Judged) -> Iterator[str]:
    """Find alerts that cannot be routed."""
    if judged.labels.get("severity") not in SEVERITIES:
        yield f"the severity is {judged.labels.get('severity')}"


def fragile(judged: Judged) -> Iterator[str]:
    """Find alerts whose labels change from one evaluation to the next."""
    for node, _ in walk(judged.expression):
        if isinstance(node, AggregateExpr) and str(node.op) in {"topk", "bottomk", "limitk"}:
            yield f"{node.op} takes other series each time"


def nan(judged: Judged) -> Iterator[str]:
    """Find divisions of which one that gives NaN would spoil the whole aggregation."""
    for node, parents in walk(judged.expression):
        if isinstance(node, BinaryExpr) and str(node.op) == "/" and not is_scalar(node.rhs):
            aggregated = any(isinstance(each, AggregateExpr) for each in parents)
            if aggregated and not _is_conditional(node.rhs):
                yield f"divides by what may be 0: {node.prettify()}"


def vector_matching(judged: Judged) -> Iterator[str]:
    """Find vectors that are matched without saying by what; `or` may, of the same labels."""
    for node, _ in walk(judged.expression):
        if isinstance(node, BinaryExpr) and is_matched_by_all_labels(node):
            left, right = (labels_of(each, judged.known) for each in children(node))
            if str(node.op) != "or" or left != right:
                yield f"{node.op} matches {sorted(left)} with {sorted(right)}, and not `on` any"


def rate(judged: Judged) -> Iterator[str]:
    """Find rates of what is no counter, and such as too few scrapes make."""
    for each in selectors(judged.expression):
        if each.function in _OF_COUNTERS:
            if not each.is_counter:
                yield f"{each.function} of {each.name}, which is no counter"
            if each.window and each.window < SHORTEST_WINDOW:
                yield f"{each.function} of {each.name} over {each.window} sees too few scrapes"


def counter(judged: Judged) -> Iterator[str]:
    """Find counters that are read as they stand: a restart sets them back."""
    for each in selectors(judged.expression):
        growth = (*_OF_COUNTERS, "resets", "changes", "absent", "absent_over_time")
        if each.is_counter and each.function not in growth:
            yield f"{each.name} is a counter, in no rate or increase"


def regexp(judged: Judged) -> Iterator[str]:
    """Find patterns that are none, and anchors that are there anyway."""
    for each in selectors(judged.expression):
        for matcher in each.matchers:
            if matcher.op in (MatchOp.Re, MatchOp.NotRe):
                if not re.search(r"[.*+?|()\[\]{}\\]", matcher.value):
                    yield f"{matcher} is no pattern"
                if re.search(r"^\^|\$$", matcher.value):
                    yield f"{matcher} has anchors anyway"


def names(judged: Judged) -> Iterator[str]:
    """Find names that do not say what kind of rule it is."""
    pattern = _NAME_OF_ALERT if judged.is_alert else _NAME_OF_RECORD
    if not pattern.fullmatch(_name(judged.rule)):
        yield f"is not named {pattern.pattern}"


def series(judged: Judged) -> Iterator[str]:
    """Find series and labels that neither the exporter nor another rule has."""
    yield from _unknown(judged.expression, judged.known)


def _unknown(expression: Expr, known: Known) -> Iterator[str]:
    yield from (f"there is no series {each}" for each in unknown_series(expression, known))
    yield from unknown_labels(expression, known)


def thresholds(judged: Judged) -> Iterator[str]:
    """Find limits that users cannot adjust in one place; 0 and 1 are none."""
    for node, _ in walk(judged.expression):
        if isinstance(node, BinaryExpr) and str(node.op) in COMPARISONS:
            for side in children(node):
                parts = [each for each, _ in walk(side)]
                literals = {each.val for each in parts if isinstance(each, NumberLiteral)}
                if not list(selectors(side)) and literals - {0, 1}:
                    yield f"compares with {side.prettify()}, which is no rk:…:threshold"


CHECKS: Mapping[str, Callable[[Judged], Iterator[str]]] = {
    "rule/name": names,
    "promql/series": series,
    "promql/fragile": fragile,
    "promql/nan": nan,
    "promql/vector_matching": vector_matching,
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
    "alerts/severity": severity,
    "alerts/threshold": thresholds,
}

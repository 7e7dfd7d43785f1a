"""The series that PromQL expressions read, and the labels of their results."""

import re

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    LabelModifierType,
    Matcher,
    MatchOp,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    ValueType,
    VectorMatchCardinality,
    VectorSelector,
)


Labels: TypeAlias = frozenset[str]
Known: TypeAlias = Mapping[str, Labels]
"""The labels of each existing series, by its name."""

NONE: Labels = frozenset()
COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
SET_OPERATORS = ("and", "or", "unless")
# These return some of their input series with all labels.
_PICKING = ("topk", "bottomk", "limitk", "limit_ratio")


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector in an expression, with its *window* and the *function* around it."""

    name: str
    matchers: tuple[Matcher, ...]
    window: timedelta | None = None
    function: str = ""

    def has(self, label: str, op: MatchOp, value: str) -> bool:
        """Return whether it has exactly this matcher."""
        return any((m.name, m.op, m.value) == (label, op, value) for m in self.matchers)

    @property
    def is_counter(self) -> bool:
        """Return whether its name is that of a counter."""
        return bool(re.fullmatch(r"[a-z]\w*_(total|bucket|count|sum)", self.name))


def children(expr: Expr) -> list[Expr]:
    """Return the direct parts of an expression."""
    match expr:
        case BinaryExpr():
            return [expr.lhs, expr.rhs]
        case AggregateExpr():
            return [*([expr.param] if expr.param else []), expr.expr]
        case Call():
            return list(expr.args)
        case ParenExpr() | UnaryExpr() | SubqueryExpr():
            return [expr.expr]
        case MatrixSelector():
            return [expr.vector_selector]
    return []


def walk(expr: Expr, parents: tuple[Expr, ...] = ()) -> Iterator[tuple[Expr, tuple[Expr, ...]]]:
    """Yield each part of an expression with its parents, the outermost first."""
    yield expr, parents
    for child in children(expr):
        yield from walk(child, (*parents, expr))


def selectors(expr: Expr) -> Iterator[Selector]:
    """Yield all selectors of an expression."""
    for node, parents in walk(expr):
        if isinstance(node, VectorSelector):
            *_, outer, direct = (None, None, *parents)
            ranged = direct if isinstance(direct, MatrixSelector) else None
            call = outer if ranged else direct
            yield Selector(
                _name(node),
                tuple(node.matchers.matchers),
                ranged.range if ranged else None,
                call.func.name if isinstance(call, Call) else "",
            )


def is_scalar(expr: Expr) -> bool:
    """Return whether an expression is a scalar."""
    match expr:
        case NumberLiteral() | StringLiteral():
            return True
        case Call():
            return bool(expr.func.return_type == ValueType.Scalar)
        case ParenExpr() | UnaryExpr() | BinaryExpr():
            return all(map(is_scalar, children(expr)))
    return False


def is_matched_by_all_labels(expr: BinaryExpr) -> bool:
    """Return whether two vectors are matched without on() or ignoring()."""
    named = expr.modifier and expr.modifier.matching
    return not named and not is_scalar(expr.lhs) and not is_scalar(expr.rhs)


def labels_of(expr: Expr, known: Known) -> Labels:
    """Return the labels that a result can have."""
    match expr:
        case VectorSelector():
            return known.get(_name(expr), NONE)
        case AggregateExpr():
            return _labels_aggregated(expr, known)
        case BinaryExpr():
            return _labels_matched(expr, known)
        case Call():
            return _labels_returned(expr, known)
    return NONE.union(*(labels_of(child, known) for child in children(expr)))


def unknown_series(expr: Expr, known: Known) -> set[str]:
    """Return the names of selected series that do not exist."""
    return {selector.name for selector in selectors(expr)} - known.keys()


def unknown_labels(expr: Expr, known: Known) -> Iterator[str]:
    """Yield a message for each label that the existing series do not have."""
    if unknown_series(expr, known):
        return
    for node, _ in walk(expr):
        match node:
            case VectorSelector():
                named = {matcher.name for matcher in node.matchers.matchers} - {"__name__"}
                yield from _lacking(_name(node), named, labels_of(node, known))
            case AggregateExpr() if node.modifier:
                of = str(node.modifier.type).removeprefix("AggModifierType.").lower()
                yield from _lacking(of, node.modifier.labels, labels_of(node.expr, known))
            case BinaryExpr() if node.modifier:
                yield from _unmatched_labels(node, known)


def _lacking(place: str, named: list[str] | set[str], there: Labels) -> Iterator[str]:
    for label in sorted({*named} - there):
        yield f"{place} has no label {label}"


def _unmatched_labels(expr: BinaryExpr, known: Known) -> Iterator[str]:
    left, right = labels_of(expr.lhs, known), labels_of(expr.rhs, known)
    modifier = expr.modifier
    assert modifier
    if matching := modifier.matching:
        is_on = matching.type == LabelModifierType.Include
        there = left & right if is_on else left | right
        yield from _lacking("on" if is_on else "ignoring", matching.labels, there)
    is_left = modifier.card == VectorMatchCardinality.ManyToOne
    place = "group_left" if is_left else "group_right"
    yield from _lacking(place, modifier.group_labels or [], right if is_left else left)


def ambiguous_matches(expr: Expr, known: Known) -> Iterator[str]:
    """
    Yield a message for each vector matching that may find several series on a side of one.

    It fails as soon as two exporters disagree about a label, or a label changes.
    """
    for node, _ in walk(expr):
        if not isinstance(node, BinaryExpr) or str(node.op) in SET_OPERATORS:
            continue
        if node.modifier and (on := node.modifier.matching):
            sides = [node.lhs] if node.modifier.card != VectorMatchCardinality.ManyToOne else []
            sides += [node.rhs] if node.modifier.card != VectorMatchCardinality.OneToMany else []
            for side in sides:
                more = distinguishing(side, known) - {*on.labels}
                if more and on.type == LabelModifierType.Include:
                    yield f"{side.prettify()} may have series that differ in {sorted(more)}"


def distinguishing(expr: Expr, known: Known) -> Labels:
    """Return the labels by which the series of a result differ."""
    match expr:
        case VectorSelector():
            fixed = {m.name for m in expr.matchers.matchers if m.op == MatchOp.Equal}
            return labels_of(expr, known) - fixed
        case AggregateExpr() if str(expr.op) == "topk" and expr.param and expr.param.val == 1:
            return frozenset(expr.modifier.labels) if expr.modifier else NONE
        case BinaryExpr() if str(expr.op) == "or":
            return distinguishing(expr.lhs, known) | distinguishing(expr.rhs, known)
        case BinaryExpr() if not is_scalar(expr.lhs):
            if expr.modifier and expr.modifier.card == VectorMatchCardinality.OneToMany:
                return distinguishing(expr.rhs, known)
            return distinguishing(expr.lhs, known) & labels_of(expr, known)
        case Call() if _adds_label(expr, known):
            # A label that is made from another, or has one value, distinguishes nothing more.
            return distinguishing(expr.args[0], known)
        case AggregateExpr() | Call() if isinstance(expr, AggregateExpr) or _sets_label(expr):
            return labels_of(expr, known)
    return NONE.union(*(distinguishing(child, known) for child in children(expr)))


def _sets_label(call: Call) -> bool:
    return call.func.name in {"absent", "label_join", "label_replace"}


def _adds_label(call: Call, known: Known) -> bool:
    """Return whether a call replaces no label but makes a new one."""
    is_replacing = call.func.name == "label_replace"
    return is_replacing and call.args[1].val not in labels_of(call.args[0], known)


def _name(selector: VectorSelector) -> str:
    names = (matcher.value for matcher in selector.matchers.matchers if matcher.name == "__name__")
    return selector.name or next(names, "")


def _labels_aggregated(expr: AggregateExpr, known: Known) -> Labels:
    inner, op = labels_of(expr.expr, known), str(expr.op)
    added = {expr.param.val} if op == "count_values" and expr.param else NONE
    if op in _PICKING:
        return inner
    if expr.modifier is None:
        return NONE | added
    if expr.modifier.type == AggModifierType.By:
        return (inner & {*expr.modifier.labels}) | added
    return (inner - {*expr.modifier.labels}) | added


def _labels_matched(expr: BinaryExpr, known: Known) -> Labels:
    left, right, modifier = labels_of(expr.lhs, known), labels_of(expr.rhs, known), expr.modifier
    if is_scalar(expr.lhs) or is_scalar(expr.rhs):
        return left | right
    if modifier is None:
        return left
    if str(expr.op) in SET_OPERATORS:
        return left | right if str(expr.op) == "or" else left
    copied = {*(modifier.group_labels or ())}
    if modifier.card == VectorMatchCardinality.ManyToOne:
        return left | (right & copied)
    if modifier.card == VectorMatchCardinality.OneToMany:
        return right | (left & copied)
    if modifier.matching is None:
        return left
    # Comparisons drop unmatched labels, too.
    if modifier.matching.type == LabelModifierType.Include:
        return left & {*modifier.matching.labels}
    return left - {*modifier.matching.labels}


def _labels_returned(call: Call, known: Known) -> Labels:
    inner = NONE.union(*(labels_of(argument, known) for argument in call.args))
    match call.func.name:
        case "absent" | "absent_over_time":
            given = [m for selector in selectors(call) for m in selector.matchers]
            return frozenset(m.name for m in given if m.op == MatchOp.Equal) - {"__name__"}
        case "label_replace" | "label_join":
            return inner | {call.args[1].val}
        case "histogram_quantile":
            return inner - {"le"}
        case "vector":
            return NONE
    return NONE if is_scalar(call) else inner

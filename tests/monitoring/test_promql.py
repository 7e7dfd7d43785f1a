import promql_parser
import pytest

from promql_parser import MatchOp

from tests.support.monitoring.promql import (
    ambiguous_matches,
    is_scalar,
    labels_of,
    selectors,
    unknown_labels,
    unknown_series,
)


KNOWN = {
    "calls_total": frozenset({"job", "app", "code"}),
    "delay_bucket": frozenset({"job", "app", "le"}),
    "limit": frozenset({"job", "app"}),
    "info": frozenset({"job", "app", "name"}),
}


@pytest.mark.parametrize(
    ("promql", "expected"),
    [
        ("limit", "app job"),
        ('{__name__="limit"}', "app job"),
        ("rate(calls_total[5m])", "app code job"),
        ("max_over_time(sum by (app) (limit)[1h:1m])", "app"),
        ("sum(limit)", ""),
        ("sum by (app, le) (limit)", "app"),
        ("sum without (app) (limit)", "job"),
        ("topk(3, limit)", "app job"),
        ('count_values by (app) ("value", limit)', "app value"),
        ("-(limit)", "app job"),
        ("time() - limit", "app job"),
        ("limit > bool 1", "app job"),
        ("1 > bool limit", "app job"),
        ("limit > scalar(info)", "app job"),
        ("limit - info", "app job"),
        # In one-to-one matching, a comparison keeps the matched labels only, too.
        ("limit > on (app) info", "app"),
        ("limit > ignoring (app, name) info", "job"),
        ("limit * on (app) group_left (name) info", "app job name"),
        ("limit * on (app) group_right (job) info", "app job name"),
        ("limit and on (app) info", "app job"),
        ("sum by (app) (limit) or info", "app job name"),
        ("limit unless on (app) info", "app job"),
        ('absent(limit{job="x", app=~"y"})', "job"),
        ('label_replace(limit, "short", "$1", "app", "(.).*")', "app job short"),
        ("histogram_quantile(0.9, delay_bucket)", "app job"),
        ("vector(1)", ""),
        ("scalar(limit)", ""),
        ("absent_metric", ""),
    ],
)
def test_labels_of_a_result(promql: str, expected: str) -> None:
    """The labels are those that Prometheus returns."""
    assert {*expected.split()} == labels_of(promql_parser.parse(promql), KNOWN)


@pytest.mark.parametrize(
    ("promql", "expected"),
    [
        ('limit{app="a"}', []),
        ('limit{name="a"}', ["limit has no label name"]),
        ("sum by (name) (limit)", ["by has no label name"]),
        ("sum without (name) (limit)", ["without has no label name"]),
        ("limit * on (name) info", ["on has no label name"]),
        ("limit * ignoring (name) info", []),
        ("limit * ignoring (other) info", ["ignoring has no label other"]),
        ("limit * on (app) group_left (code) info", ["group_left has no label code"]),
        ("limit * on (app) group_right (name) info", ["group_right has no label name"]),
        # The labels of an unknown series are unknown.
        ("sum by (name) (absent_metric)", []),
    ],
)
def test_unknown_labels(promql: str, expected: list[str]) -> None:
    """Each use of a label that the series do not have is reported."""
    assert expected == list(unknown_labels(promql_parser.parse(promql), KNOWN))


@pytest.mark.parametrize(
    ("promql", "differing"),
    [
        ("limit - on (job, app) info", "name"),
        ("info - on (app) group_left () limit", "job"),
        ("limit * on (job, app) group_left (name) info", "name"),
        ("limit * on (app) group_left (name) max by (app, name) (info)", "name"),
        ("max by (app, name) (info) * on (app) group_right (name) limit", "name"),
        ("limit * on (app) group_left () (max by (app) (limit) or info)", "job name"),
        ("limit * on (app) group_left (name) topk by (app) (2, info)", "job name"),
        ("limit * on (app) group_left (name) topk by (app) (1, info)", ""),
        ("limit * on (app) group_left (name) (topk by (app) (1, info) > 0) ^ 0", ""),
        ("limit * on (app) group_left (name) (topk by (app) (1, info) and on (app) limit)", ""),
        ('limit - on (job, app) info{name="a"}', ""),
        ("limit - on (job, app) label_replace(limit, 'x', 'y', '', '')", ""),
        ("limit - on (job, app) label_replace(limit, 'x', '$1', 'app', '(.+)')", ""),
        ("limit - on (job, app) label_replace(info, 'name', '$1', 'app', '(.+)')", "name"),
        ("max by (app) (limit) - on (app) max by (app) (info)", ""),
        ("limit and on (app) info", ""),
        ("limit - scalar(info)", ""),
    ],
)
def test_ambiguous_matches(promql: str, differing: str) -> None:
    """A side of one may only have series that differ in the labels by which they are matched."""
    messages = list(ambiguous_matches(promql_parser.parse(promql), KNOWN))
    assert bool(differing) == bool(messages)
    assert not messages or messages[0].endswith(f"differ in {differing.split()}")


def test_unknown_series() -> None:
    """Unknown series are found in every part of an expression."""
    expression = promql_parser.parse("sum(limit) / on () other and on () (time() - more > 3)")
    assert {"other", "more"} == unknown_series(expression, KNOWN)


def test_selectors() -> None:
    """A selector has its matchers, its window, and the function around it."""
    found = list(
        selectors(
            promql_parser.parse(
                'sum(rate(calls_total{job=~"$job"}[5m])) / sum(abs(limit))'
                " + max_over_time(limit[1h:1m]) - limit"
            )
        )
    )
    assert [
        ("calls_total", 300, "rate"),
        ("limit", None, "abs"),
        ("limit", None, ""),
        ("limit", None, ""),
    ] == [
        (selector.name, selector.window and selector.window.total_seconds(), selector.function)
        for selector in found
    ]
    assert found[0].has("job", MatchOp.Re, "$job")
    assert not found[0].has("job", MatchOp.Equal, "$job")
    assert [True, False, False, False] == [selector.is_counter for selector in found]


@pytest.mark.parametrize(
    ("promql", "expected"),
    [
        ("-(2 * time())", True),
        ("scalar(limit) + 1", True),
        ("scalar(limit) * limit", False),
        ("sum(limit)", False),
        ("vector(1)", False),
    ],
)
def test_scalars(promql: str, expected: bool) -> None:  # noqa: FBT001 # pytest passes parameters by position
    """Scalars are distinguished from vectors."""
    assert expected == is_scalar(promql_parser.parse(promql))

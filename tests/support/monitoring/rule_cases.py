"""The rule cases in promtool's YAML: which alerts they expect to fire, and when."""

import re

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from promql_parser import MatchOp

from tests.support.monitoring.promql import selectors


@dataclass(frozen=True, slots=True)
class Expectation:
    """Whether alerts with these *labels* fire in a minute, or in the minutes before it."""

    minute: int
    labels: Mapping[str, str]
    fires: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One test group of a promtool file."""

    file: str
    name: str
    expectations: tuple[Expectation, ...]
    has_gaps: bool
    """Whether an exporter misses scrapes, restarts or disappears."""

    def about(self, rule: Mapping[str, Any]) -> tuple[Expectation, ...]:
        """Return what it expects of an alerting rule, in the order of time."""
        labels = {"alertname": rule["alert"], **rule["labels"]}
        return tuple(
            expectation
            for expectation in self.expectations
            if "alertname" in expectation.labels
            and all(labels.get(name, value) == value for name, value in expectation.labels.items())
        )


def read_cases(file: Path) -> list[Case]:
    """Return the cases of a promtool file."""
    return [
        Case(file.name, group["name"], tuple(_expectations(group)), _has_gaps(group))
        for group in yaml.safe_load(file.read_text())["tests"]
    ]


def _expectations(group: Mapping[str, Any]) -> Iterator[Expectation]:
    tests = group.get("promql_expr_test", [])
    for test in sorted(tests, key=lambda test: _minute(test["eval_time"])):
        for selector in selectors(promql_parser.parse(test["expr"])):
            if selector.name == "ALERTS":
                labels = {
                    matcher.name: matcher.value
                    for matcher in selector.matchers
                    if matcher.op == MatchOp.Equal
                }
                yield Expectation(_minute(test["eval_time"]), labels, bool(test["exp_samples"]))


def _minute(eval_time: str) -> int:
    return int(eval_time.removesuffix("m"))


def _has_gaps(group: Mapping[str, Any]) -> bool:
    ups = [series for series in group["input_series"] if series["series"].startswith("up{")]
    return not all(re.fullmatch(r"1x\d+", series["values"]) for series in ups)


def with_thresholds(rules: str, thresholds: Mapping[str, str]) -> str:
    """Return the *rules* with other thresholds, changed as a user changes them."""
    for name, value in thresholds.items():
        pattern = rf"(- record: {re.escape(name)}\b.*\n +expr: ).*"
        rules, replaced = re.subn(pattern, rf'\g<1>"{value}"', rules)
        assert replaced == 1, f"the rules have no threshold {name}"
    return rules

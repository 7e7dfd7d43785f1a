"""The series that dashboards and rules can query: the exporter's, recorded ones, and alerts."""

import re

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import promql_parser
import yaml

from prometheus_client.parser import text_string_to_metric_families

from tests.support.exporters import (
    announced,
    archived,
    full,
    of_account,
    rate_limited,
    scrape,
    serving_metrics,
    sharded,
    verifying,
    watched,
)
from tests.support.monitoring.promql import Known, Labels, labels_of


Rules: TypeAlias = Mapping[str, Any]
# Service discovery may set these labels on a target. Alerts are routed by them.
PLACE: Labels = frozenset({"cluster", "env", "namespace"})
# Prometheus adds job and instance to every target.
TARGET: Labels = PLACE | {"job", "instance"}


RULES_FILES = (
    "dashboards/rules/rk-exporter.rules.yml",
    "dashboards/rules/rk-exporter-service-levels.rules.yml",
)
"""All rules, of which the second file is optional."""
OF_OPTIONS = re.compile(
    r"\brk_(account_|archive_|exporter_shards?\b|recording_archived|recordings_(not_)?archived"
    r"|webhook_)"
)
"""The metrics of options that the exporters of most tests do not have."""
OF_DOWNLOADS = re.compile(
    r"\brk_(download_check|recording_download_(failure|last_check|size|verified))"
)
"""The metrics of `downloads.verify`."""


def read_rules(root: Path, *, optional: bool = True) -> Rules:
    """Return the project's rules, with the *optional* ones."""
    files = RULES_FILES if optional else RULES_FILES[:1]
    documents = [yaml.safe_load((root / file).read_text()) for file in files]
    return {"groups": [group for document in documents for group in document["groups"]]}


def rules_of(document: Rules, kind: str) -> Iterator[Rules]:
    """Yield the rules of a *kind*: `record` or `alert`."""
    for group in document["groups"]:
        yield from (rule for rule in group["rules"] if kind in rule)


def all_series(folder: Path, rules: Rules) -> Known:
    """Return the series of a Prometheus with these *rules*, and their labels."""
    texts = (
        watched(full(folder)),
        scrape(of_account(folder)),
        scrape(sharded(folder)),
        scrape(rate_limited(folder)),
        verifying(),
        announced(),
        archived(),
        serving_metrics(),
    )
    return with_alerts(with_recorded({"up": TARGET, **exposed(texts)}, rules), rules)


def exposed(expositions: Iterable[str]) -> Known:
    """Return the series of expositions, as Prometheus stores them."""
    known: dict[str, Labels] = {}
    for text in expositions:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                known[sample.name] = known.get(sample.name, TARGET) | {*sample.labels}
                if family.type == "histogram":
                    # Prometheus 3 can store it as a native one, which has no label le.
                    known[family.name] = known.get(family.name, TARGET) | {*sample.labels} - {"le"}
    return known


def with_recorded(known: Known, rules: Rules) -> Known:
    """Add the series that *rules* record; a rule may use other recorded series, or its own."""
    found = dict(known)
    recording = [
        (rule, expression)
        for rule in rules_of(rules, "record")
        if (expression := _parsed(rule["expr"]))
    ]
    before: Known = {}
    while before != found:
        before = dict(found)
        for rule, expression in recording:
            labels = labels_of(expression, found) | {*rule.get("labels", {})}
            found[rule["record"]] = found.get(rule["record"], frozenset()) | labels
    return found


def with_alerts(known: Known, rules: Rules) -> Known:
    """Add the series that Prometheus writes about alerts."""
    labels = frozenset({"alertname", "alertstate"})
    for rule in rules_of(rules, "alert"):
        if expression := _parsed(rule["expr"]):
            labels |= labels_of(expression, known) | {*rule.get("labels", {})}
    return {**known, "ALERTS": labels, "ALERTS_FOR_STATE": labels - {"alertstate"}}


def _parsed(promql: Any) -> promql_parser.Expr | None:
    """Return the parsed expression; None if it is invalid, which another check reports."""
    try:
        return promql_parser.parse(str(promql))
    except ValueError:
        return None

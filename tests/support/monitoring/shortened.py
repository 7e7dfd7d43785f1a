"""The rules and the example for Alertmanager as they are shipped, but for how long they wait."""

import re

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml


RULES = Path("dashboards/rules/rk-exporter.rules.yml")
ALERTMANAGER = Path("dashboards/examples/alertmanager.yml")
JOB = "rk-exporter"
"""The job that the rules are about."""


def rules(root: Path) -> Iterator[dict[str, Any]]:
    """Give each rule that is shipped."""
    for group in yaml.safe_load((root / RULES).read_text())["groups"]:
        yield from group["rules"]


def alerting_rule(root: Path, alert: str, severity: str) -> dict[str, Any]:
    """Return the rule of an *alert* that there is at several severities."""
    (found,) = (
        each
        for each in rules(root)
        if each.get("alert") == alert and each["labels"]["severity"] == severity
    )
    return found


def write_rules(root: Path, file: Path, thresholds: Mapping[str, str] | None = None) -> None:
    """Write the rules into a *file*, such that alerts fire soon, with other *thresholds*."""
    thresholds = thresholds or {}
    document = yaml.safe_load((root / RULES).read_text())
    for group in document["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule["expr"] = thresholds.get(rule.get("record", ""), rule["expr"])
            if "for" in rule:
                _shorten(rule)
    written = {rule.get("record") for group in document["groups"] for rule in group["rules"]}
    assert set(thresholds) <= written
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def _shorten(rule: dict[str, Any]) -> None:
    """
    Let a second do for each minute that an alert waits.

    A window within that time is shortened like it: such a rule counts on the window's being over
    before. Others stay as they are: they bridge gaps, and delay nothing.
    """
    minutes = int(rule["for"].removesuffix("m"))

    def shorter(window: re.Match[str]) -> str:
        return f"[{window[1]}s]" if int(window[1]) < minutes else window[0]

    rule["for"] = f"{minutes}s"
    rule["expr"] = re.sub(r"\[(\d+)m\]", shorter, rule["expr"])


def write_alertmanager_configuration(root: Path, file: Path, *, webhook_url: str) -> None:
    """Write the example into a *file*, with *webhook_url* for each receiver, and no waiting."""
    document = yaml.safe_load((root / ALERTMANAGER).read_text())
    _hasten(document["route"])
    document["receivers"] = [
        {"name": each["name"], "webhook_configs": [{"url": webhook_url}]}
        for each in document["receivers"]
    ]
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def _hasten(route: dict[str, Any]) -> None:
    """
    Let a route, and those below it, tell what is new at once.

    How often they tell what is not new (repeat_interval) delays nothing.
    """
    for key in ("group_wait", "group_interval"):
        if key in route:
            route[key] = "1s"
    for each in route.get("routes", []):
        _hasten(each)

"""The shipped rules and Alertmanager example with shorter waiting times."""

import re

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.monitoring.series import read_rules


ALERTMANAGER = Path("dashboards/examples/alertmanager.yml")
JOB = "rk-exporter"
"""The job name in the rules."""
_MINUTES = {"m": 1, "h": 60}
# The rules of the optional file that record most.
_SLOW_GROUPS = ("rk-exporter-objectives", "rk-exporter-objectives-windows", "rk-exporter-cost")
# So that no test waits longer than some seconds.
_LONGEST_MINUTES = 15


def rules(root: Path) -> Iterator[dict[str, Any]]:
    """Yield each shipped rule."""
    for group in read_rules(root)["groups"]:
        yield from group["rules"]


def alerting_rule(root: Path, alert: str, severity: str) -> dict[str, Any]:
    """Return the rule of an alert with a severity."""
    (found,) = (
        rule
        for rule in rules(root)
        if rule.get("alert") == alert and rule["labels"]["severity"] == severity
    )
    return found


def write_rules(
    root: Path,
    file: Path,
    thresholds: Mapping[str, str] | None = None,
    *,
    service_levels: bool = False,
) -> None:
    """
    Write the rules into a file, so that alerts fire soon, with other thresholds.

    The optional rules about *service_levels* are about weeks, and cost more than all others.
    """
    thresholds = thresholds or {}
    document = read_rules(root, optional=service_levels)
    for group in document["groups"]:
        group["interval"] = "5s" if group["name"] in _SLOW_GROUPS else "1s"
        for rule in group["rules"]:
            rule["expr"] = thresholds.get(rule.get("record", ""), rule["expr"])
            if rule.get("record") == "instance:up:failing":
                # It says when an exporter counts as down, so it is a waiting time.
                rule["expr"] = re.sub(r"\b(\d+)m\b", r"\1s", rule["expr"])
            if "for" in rule:
                _shorten(rule)
    written = {rule.get("record") for group in document["groups"] for rule in group["rules"]}
    assert set(thresholds) <= written
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def _shorten(rule: dict[str, Any]) -> None:
    """
    Replace minutes of waiting by seconds.

    This also shortens windows below the waiting time, because such a rule relies on the window
    being shorter. Other windows bridge gaps and delay nothing.
    """
    minutes = min(int(rule["for"][:-1]) * _MINUTES[rule["for"][-1]], _LONGEST_MINUTES)

    def shorter(window: re.Match[str]) -> str:
        return f"[{window[1]}s]" if int(window[1]) < minutes else window[0]

    rule["for"] = f"{minutes}s"
    rule["expr"] = re.sub(r"\[(\d+)m\]", shorter, rule["expr"])


def write_alertmanager_configuration(root: Path, file: Path, *, webhook_url: str) -> None:
    """Write the example into a file, with one webhook for all receivers and no waiting."""
    document = yaml.safe_load((root / ALERTMANAGER).read_text())
    _hasten(document["route"])
    document["receivers"] = [
        {"name": receiver["name"], "webhook_configs": [{"url": webhook_url}]}
        for receiver in document["receivers"]
    ]
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def _hasten(route: dict[str, Any]) -> None:
    """
    Make a route and its children notify immediately.

    repeat_interval stays, because it does not delay new alerts.
    """
    for key in ("group_wait", "group_interval"):
        if key in route:
            route[key] = "1s"
    for child in route.get("routes", []):
        _hasten(child)

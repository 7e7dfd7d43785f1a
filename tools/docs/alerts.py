"""The reference of alerts and recording rules, from the file of rules."""

import math
import re

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dashboards.alerting.texts import plain
from rk_exporter.assets.files import shipped, templates_of_rules
from rk_exporter.assets.settings import settings
from tools.docs.tables import code, table


_RULES = Path(__file__).parents[2] / "dashboards/rules"
FILES = (
    _RULES / "rk-exporter.rules.yml",
    _RULES / "rk-exporter-service-levels.rules.yml",
)

Rule = dict[str, Any]

_UNITS = {"h": 3600, "min": 60}
_UNIT_SECONDS = {"m": 60, "h": 3600}
_SERIES = re.compile(r"\b(?:rk|app|meeting|recording|instance):\w+:\w+")
# It has the recordings of all alerts, so it reads their thresholds, which change no other alert.
_OF_ALL_ALERTS = "instance:rk_recording_last_success_timestamp_seconds:known"
_INTRODUCTION = """\
The rules have {alerts} alerts: {optional} of them in the optional file
`rules/rk-exporter-service-levels.rules.yml`, which [Service levels and
cost](../how-to/service-levels.md) explains, all others in `rules/rk-exporter.rules.yml`. Each links
to its entry in the [runbook](../how-to/runbook.md).
[Alerts and Alertmanager](../how-to/alertmanager.md) explains how to load, test and change the
rules.

## Alerts

Critical alerts need action now, because something can still be saved. Warnings can wait for working
hours. An alert of severity `info` is a reminder.
"""
_SETTINGS = """\
## Settings

`rk-exporter assets DIR --set KEY=VALUE` changes a threshold or a severity in all files, and refuses
keys that it does not know. A threshold applies to all apps. It is a number of the unit in its name,
or a duration like `10m`, or a share like `20%`.

A severity is `critical`, `warning`, `info` or `off`, which leaves the alert out. Its key is the
name of the alert and `.severity`, e.g. `RealtimeKitRecordingErrored.severity=critical`. An alert at
several severities has a key for each of them: {several}.
"""
_IN_PROMETHEUS = """\
In Prometheus, each threshold is a series that is named after its key, e.g.
`rk:recording_invoked_seconds:threshold`.
"""
_GAPS = """\
## Gaps, restarts and several exporters

- **Missed scrapes and restarts.** Scrapes may be up to 5 minutes apart, and every fourth one may be
  missed: the last value of a missing series counts for 15 minutes. If somebody removes an app or a
  meeting, its alerts end with the next scrape. Alerts
  use the API's timestamps if there are any, because `for` starts again after a gap. The API does
  not report since when a recording is PAUSED or ERRORED, so Prometheus remembers when it first saw
  the state. It remembers ERRORED over gaps of two days, so that old failures do not alert again.
- **New addresses and pods.** Alerts about meetings and recordings aggregate by app, meeting and
  recording, not by `instance`.
- **Two exporters for the same app** count once. The latest read of each recording wins, and each
  alert fires once. If one exporter is down, RealtimeKitExporterDown is only a warning. Each
  exporter has its own API budget, so divide `--api.budget` between them.
"""
_RECORDED = """\
## Recorded series

Series that start with `instance:` are per exporter. Series that start with `recording:`, `meeting:`
or `app:` combine all exporters. A rule that reads its own series remembers the value.
"""


def alerts_reference() -> str:
    """Return the alerts, their thresholds and the recorded series."""
    sources = [file.read_text() for file in FILES]
    rules = [
        rule
        for source in sources
        for group in yaml.safe_load(source)["groups"]
        for rule in group["rules"]
    ]
    alerts = [rule for rule in rules if "alert" in rule]
    recorded = {rule["record"]: str(rule["expr"]) for rule in rules if "record" in rule}
    names = {rule["alert"] for rule in alerts}
    optional = {*re.findall(r"- alert: (\S+)", sources[1])}
    comments = _comments("\n".join(sources))
    parts = [
        _INTRODUCTION.format(alerts=len(names), optional=len(names & optional)),
        table(("alert", "severity", "meaning", "for", "thresholds"), _alert_rows(alerts, recorded)),
        _SETTINGS.format(several=", ".join(map(code, _severities_of_several()))),
        table(("key", "default", "note"), _threshold_rows(recorded, comments)),
        _IN_PROMETHEUS,
        _GAPS,
        _RECORDED,
        table(("series", "meaning"), _recorded_rows(recorded, comments)),
    ]
    return "\n".join(parts)


def _severities_of_several() -> list[str]:
    known = settings(templates_of_rules(shipped()))
    return [key for key in known if ".severity." in key]


def _alert_rows(alerts: list[Rule], recorded: dict[str, str]) -> Iterator[list[str]]:
    for alert in alerts:
        title, labels = alert["alert"], alert["labels"]
        variant = [f'`{label}="{labels[label]}"`' for label in labels if label != "severity"]
        read = _thresholds_behind(alert["expr"], recorded)
        yield [
            " ".join([f"[{title}](../how-to/runbook.md#{title.lower()})", *variant]),
            labels["severity"],
            plain(alert["annotations"]["summary"]),
            _duration(_seconds(alert["for"])),
            ", ".join(
                f"{name.split(':')[1]} {_value(name, expr)}"
                for name, expr in recorded.items()
                if name in read
            ),
        ]


def _threshold_rows(recorded: dict[str, str], comments: dict[str, str]) -> Iterator[list[str]]:
    for name, expr in recorded.items():
        if _is_threshold(name):
            yield [code(name.split(":")[1]), _value(name, expr), comments[name]]


def _recorded_rows(recorded: dict[str, str], comments: dict[str, str]) -> Iterator[list[str]]:
    for name in recorded:
        if not _is_threshold(name):
            yield [code(name), comments[name]]


def _is_threshold(name: str) -> bool:
    return name.endswith(":threshold")


def _comments(source: str) -> dict[str, str]:
    """Return the comment beside or above each recording rule."""
    found = re.findall(r"((?: +#.*\n)*) +- record: (\S+)(?: # (.*))?\n", source)
    above = {name: re.sub(r"\s*\n? +# ", " ", lines).strip() for lines, name, _ in found}
    beside = {name: comment[0].upper() + comment[1:] + "." for _, name, comment in found if comment}
    return above | beside


def _thresholds_behind(promql: str, recorded: dict[str, str]) -> set[str]:
    """Return the thresholds that decide on an expression, directly or through other rules."""
    found: set[str] = set()
    waiting = {*_SERIES.findall(promql)}
    while waiting:
        found |= waiting
        exprs = [recorded.get(series, "") for series in waiting - {_OF_ALL_ALERTS}]
        waiting = {name for expr in exprs for name in _SERIES.findall(expr)} - found
    return {name for name in found if _is_threshold(name)}


def _value(threshold: str, expr: str) -> str:
    """Return the value of a threshold with its unit, which is part of its name."""
    value = math.prod(float(factor) for factor in expr.split("*"))
    if "_seconds:" in threshold:
        return _duration(value)
    if "_ratio:" in threshold:
        return f"{100 * value:g} %"
    if "_price_per_minute:" in threshold:
        return f"{value:g} $/min"
    return f"{value:g} B/s" if "_bytes_per_second:" in threshold else f"{value:g}"


def _seconds(duration: str) -> float:
    return float(duration[:-1]) * _UNIT_SECONDS[duration[-1]]


def _duration(seconds: float) -> str:
    for unit, length in _UNITS.items():
        if seconds >= length:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"

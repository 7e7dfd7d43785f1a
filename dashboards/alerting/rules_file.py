"""The rules as YAML files with comments."""

import json
import textwrap

from collections.abc import Iterable, Iterator, Sequence

from dashboards.alerting import (
    api_alerts,
    app_alerts,
    exporter_alerts,
    file_alerts,
    meeting_alerts,
    recorded,
    recorded_apps,
    recorded_costs,
    recorded_exporters,
    recorded_known,
    recorded_service_levels,
    recording_alerts,
    service_level_alerts,
)
from dashboards.alerting.rule import Alert, Group, Record, expanded
from dashboards.alerting.texts import annotations
from dashboards.alerting.thresholds import threshold_rules
from dashboards.settings import CLUSTER, severity_key
from rk_exporter.assets.template import token
from rk_exporter.model.thresholds import MEANINGS, OPTIONAL


_WIDTH = 120
_HEAD = f"""\
# Recording and alerting rules for rk-exporter. They work in Prometheus 2.26 and newer, Mimir and Thanos Ruler.
# Test them with `promtool test rules tests/*.yml`.
#
# The alerts survive missed scrapes, restarts and several exporters per app:
#   - They aggregate by the labels that identify an app, a meeting or a recording. A new address or pod changes nothing,
#     and two exporters of the same app count once.
#   - They keep the labels {CLUSTER}, env and namespace if your targets have them, so that alerts can be routed by them. Two
#     exporters whose targets differ in one of these labels count as separate. To keep another label, e.g. team,
#     replace "namespace, job" by "namespace, team, job" in this file.
#   - The last value of a missing series counts for 15 minutes. The longest supported scrape interval is 5 minutes.
#   - They use the API's timestamps if there are any, because `for` starts again after a gap.
# If your job has another name, generate this file with `rk-exporter assets DIR --job NAME`.

groups:
"""  # noqa: E501 - the lines of the file
_OPTIONAL_HEAD = """\
# Optional rules for rk-exporter: objectives with error budgets, cost, and recordings that nobody stops. Load this file
# beside rk-exporter.rules.yml, whose series it reads. docs/how-to/service-levels.md in the project explains it. It works
# in Prometheus 2.40 and newer, Mimir and Thanos Ruler.

groups:
"""  # noqa: E501 - the lines of the file
ALERTS = (
    *exporter_alerts.ALERTS,
    *app_alerts.ALERTS,
    *api_alerts.ALERTS,
    *recording_alerts.ALERTS,
    *file_alerts.ALERTS,
    *meeting_alerts.ALERTS,
)


def rules_template() -> str:
    """Return the text of the file with tokens for what users may set."""
    return _HEAD + _text(groups())


def optional_rules_template() -> str:
    """Return the text of the file about service levels and cost, with tokens."""
    return _OPTIONAL_HEAD + _text(optional_groups())


def _text(of_file: Iterable[Group]) -> str:
    return "\n".join(_group(group) for group in of_file)


def groups() -> Iterator[Group]:
    """Yield the groups in the order in which a reader needs them."""
    yield Group(
        "rk-exporter-thresholds",
        tuple(threshold_rules(MEANINGS.keys() - OPTIONAL)),
        note="Adjust these values to your meetings. There is no need to change `for`, which only "
        "bridges short failures.",
    )
    yield Group(
        "rk-exporter-instances",
        (*recorded_exporters.OF_EXPORTERS, *recorded_known.KNOWN),
        note="Series per exporter and meeting, for the groups below.",
    )
    yield Group(
        "rk-exporter-recordings",
        (*recorded.RECORDINGS, *recorded_apps.APPS),
        note="Series per recording, from the exporter that read the recording last, and per app.",
    )
    yield Group("rk-exporter-alerts", ALERTS)


def optional_groups() -> Iterator[Group]:
    """Yield the groups of the optional file."""
    yield Group(
        "rk-exporter-service-level-thresholds",
        tuple(threshold_rules(OPTIONAL)),
        note="Objectives, limits and prices.",
    )
    yield from recorded_service_levels.groups()
    yield from recorded_costs.groups()
    yield Group("rk-exporter-runaways", service_level_alerts.RECORDS)
    yield Group("rk-exporter-service-level-alerts", service_level_alerts.ALERTS)


def _group(group: Group) -> str:
    head = f"  - name: {group.name}\n    interval: {group.interval}\n    rules:\n"
    return _comment(group.note, 2) + head + "".join(_rule(rule) for rule in group.rules)


def _rule(rule: Record | Alert) -> str:
    first = f"      - record: {rule.name}\n"
    if isinstance(rule, Alert):
        first = f"      - alert: {rule.name}\n"
    text = _comment(rule.note, 6) + first + _expression(rule.expr)
    if isinstance(rule, Alert):
        labels = {"severity": _severity(rule), **rule.labels}
        text += f"        for: {rule.pending}\n"
        text += _mapping("labels", labels) + _mapping("annotations", annotations(rule))
    return text


def _severity(alert: Alert) -> str:
    every: Sequence[Alert] = (*ALERTS, *service_level_alerts.ALERTS)
    severities = {other.severity for other in every if other.name == alert.name}
    key = severity_key(alert.name, alert.severity, is_only=len(severities) == 1)
    return token(key, alert.severity)


def _expression(expr: str) -> str:
    lines = expanded(expr).rstrip().splitlines()
    if len(lines) == 1:
        return f"        expr: {json.dumps(lines[0], ensure_ascii=False)}\n"
    return "        expr: |\n" + textwrap.indent("\n".join(lines), " " * 10) + "\n"


def _mapping(name: str, values: dict[str, str]) -> str:
    return f"        {name}:\n" + "".join(_entry(key, value) for key, value in values.items())


def _entry(key: str, value: str) -> str:
    """Return one line, or a folded text, which has no character with a meaning in YAML."""
    lines = textwrap.wrap(value, _WIDTH - 12, break_long_words=False, break_on_hyphens=False)
    if len(lines) == 1:
        return f"          {key}: {json.dumps(value, ensure_ascii=False)}\n"
    return f"          {key}: >-\n" + textwrap.indent("\n".join(lines), " " * 12) + "\n"


def _comment(note: str, indent: int) -> str:
    lines = textwrap.wrap(note, _WIDTH - indent - 2)
    return "".join(f"{' ' * indent}# {line}\n" for line in lines)

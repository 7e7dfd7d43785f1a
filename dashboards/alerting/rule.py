"""A recording or alerting rule, with short names for the labels that expressions repeat."""

import re

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dashboards.scope import BY_APP, BY_EXPORTER, BY_MEETING, BY_RECORDING, PLACE
from dashboards.settings import of_any_job
from rk_exporter.model.thresholds import LONGEST_SCRAPE_INTERVAL_SECONDS, MEANINGS


# A window that contains a sample, even if every fourth scrape is missed.
_KNOWN_SECONDS = 3 * LONGEST_SCRAPE_INTERVAL_SECONDS
_LABELS = {
    "account": "rk_account",
    "app": BY_APP,
    "meeting": BY_MEETING,
    "recording": BY_RECORDING,
}
_NAMES = {
    "job": PLACE,
    "exporter": BY_EXPORTER,
    **{name: f"{PLACE}, {labels}" for name, labels in _LABELS.items()},
    **{f"exporter {name}": f"{BY_EXPORTER}, {labels}" for name, labels in _LABELS.items()},
    **{name: f"scalar(max(rk:{name}:threshold))" for name in MEANINGS},
    "known": f"{_KNOWN_SECONDS // 60}m",
    "known seconds": str(_KNOWN_SECONDS),
}


class Severity(StrEnum):
    """How soon somebody must act: now, within a day, or when there is time."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Link(StrEnum):
    """The dashboard that shows what an alert is about."""

    OVERVIEW = "overview"
    RECORDING = "recording"
    EXPORTER = "exporter"
    SERVICE_LEVEL = "service-level"


@dataclass(frozen=True, slots=True)
class Record:
    """
    A recorded series.

    *expr* may contain `<app>`, `<meeting>`, `<recording>` and so on instead of the labels that
    identify one, `<recording_paused_seconds>` and so on instead of a threshold, and `<known>`
    or `<known seconds>` instead of the time for which the last value of a missing series counts.
    """

    name: str
    expr: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert that fires when its *expr* has had a result for the time *pending*."""

    name: str
    expr: str
    pending: str
    severity: Severity
    summary: str
    description: str
    link: Link | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that Prometheus evaluates one after the other."""

    name: str
    rules: tuple[Record | Alert, ...]
    note: str = ""
    interval: str = "30s"


def expanded(expr: str) -> str:
    """
    Return an expression with all labels and thresholds in place of their short names.

    It is for any job.

    Raises KeyError for a name that does not exist.
    """
    return of_any_job(re.sub(r"<([a-z][a-z_ ]*)>", lambda name: _NAMES[name[1]], expr))

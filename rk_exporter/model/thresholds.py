"""The thresholds of alerts, dashboards and the status page, with their defaults."""

import math

from dataclasses import dataclass, field, fields


LONGEST_SCRAPE_INTERVAL_SECONDS = 300
"""The alerts work up to this interval between two scrapes, even if one in four is missed."""
_MINUTE_SECONDS = 60
_HOUR_SECONDS = 60 * _MINUTE_SECONDS
_DAY_SECONDS = 24 * _HOUR_SECONDS
# RealtimeKit keeps files for seven days.
_LARGEST_BY_UNIT = {"seconds": 7 * _DAY_SECONDS, "ratio": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """One value for each threshold, with the unit in its name and the *meaning* in its metadata."""

    recording_invoked_seconds: float = field(
        default=5 * _MINUTE_SECONDS,
        metadata={"meaning": "How long a start may take; about 2 s is normal."},
    )
    recording_uploading_seconds: float = field(
        default=_HOUR_SECONDS,
        metadata={"meaning": "How long an upload may take."},
    )
    recording_paused_seconds: float = field(
        default=30 * _MINUTE_SECONDS,
        metadata={"meaning": "How long a pause may last."},
    )
    recording_unknown_seconds: float = field(
        default=_HOUR_SECONDS,
        metadata={"meaning": "How long a recording may be in an unknown state."},
    )
    recording_running_seconds: float = field(
        default=0.9 * _DAY_SECONDS,
        metadata={"meaning": "90 % of the API's time limit of 24 h.", "largest": _DAY_SECONDS},
    )
    recording_ended_seconds: float = field(
        default=_DAY_SECONDS,
        metadata={"meaning": "How long alerts about failed, cut off and empty recordings fire."},
    )
    recording_bytes_per_second: float = field(
        default=1000,
        metadata={
            "meaning": "Smaller files are suspicious; about 83,000 (300 MB per hour) is normal."
        },
    )
    recording_duration_seconds: float = field(
        default=5,
        metadata={"meaning": "Shorter recordings may be empty."},
    )
    recordings_errored_ratio: float = field(
        default=0.2,
        metadata={"meaning": "Acceptable share of failed recordings."},
    )
    recordings_finished: float = field(
        default=5,
        metadata={"meaning": "Minimum number of ended recordings for that ratio."},
    )
    recording_start_delay_seconds: float = field(
        default=30,
        metadata={"meaning": "90 % of recordings must start within it."},
    )
    recordings_started: float = field(
        default=3,
        metadata={"meaning": "Minimum number of started recordings for that delay."},
    )
    download_url_expires_in_seconds: float = field(
        default=_DAY_SECONDS,
        metadata={"meaning": "How early to warn before files are deleted."},
    )
    download_url_expired_seconds: float = field(
        default=_DAY_SECONDS,
        metadata={"meaning": "How long to report that files were deleted."},
    )
    data_age_seconds: float = field(
        default=10 * _MINUTE_SECONDS,
        metadata={"meaning": "How old the last read may be."},
    )
    scrape_interval_seconds: float = field(
        default=LONGEST_SCRAPE_INTERVAL_SECONDS,
        metadata={
            "meaning": "How long the scrape interval may be.",
            "largest": LONGEST_SCRAPE_INTERVAL_SECONDS,
        },
    )
    scrapes_successful_ratio: float = field(
        default=0.5,
        metadata={"meaning": "How many scrapes must succeed."},
    )
    api_budget_remaining_ratio: float = field(
        default=0.05,
        metadata={"meaning": "A smaller share counts as exhausted."},
    )


DEFAULTS = Thresholds()
MEANINGS = {threshold.name: str(threshold.metadata["meaning"]) for threshold in fields(Thresholds)}
LARGEST: dict[str, float] = {
    threshold.name: threshold.metadata.get(
        "largest", _LARGEST_BY_UNIT.get(threshold.name.rpartition("_")[2], math.inf)
    )
    for threshold in fields(Thresholds)
}


def as_text(value: float) -> str:
    """Return a number as PromQL and JSON have it, without losing digits."""
    return f"{value:.0f}" if float(value).is_integer() else repr(value)

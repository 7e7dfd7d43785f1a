"""The thresholds of alerts, dashboards and the status page, with their defaults."""

import math

from dataclasses import dataclass, field, fields


LONGEST_SCRAPE_INTERVAL_SECONDS = 300
"""The alerts work up to this interval between two scrapes, even if one in four is missed."""
_MINUTE_SECONDS = 60
_HOUR_SECONDS = 60 * _MINUTE_SECONDS
_DAY_SECONDS = 24 * _HOUR_SECONDS
# An objective of 100 % has no error budget, which is a divisor.
_LARGEST_OBJECTIVE = 0.9999
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
    recordings_succeed_ratio: float = field(
        default=0.99,
        metadata={
            "meaning": "Objective: share of recordings that leave a file.",
            "largest": _LARGEST_OBJECTIVE,
            "is_optional": True,
        },
    )
    recordings_start_ratio: float = field(
        default=0.99,
        metadata={
            "meaning": "Objective: share of recordings that start within 30 s.",
            "largest": _LARGEST_OBJECTIVE,
            "is_optional": True,
        },
    )
    recordings_arrive_ratio: float = field(
        default=0.99,
        metadata={
            "meaning": "Objective: share of files that arrive within an hour of their end.",
            "largest": _LARGEST_OBJECTIVE,
            "is_optional": True,
        },
    )
    objective_misses: float = field(
        default=3,
        metadata={
            "meaning": "Minimum number of recordings that miss an objective before an alert fires.",
            "is_optional": True,
        },
    )
    recording_alone_seconds: float = field(
        default=30 * _MINUTE_SECONDS,
        metadata={
            "meaning": "How long a recording may go on without people in its meeting.",
            "is_optional": True,
        },
    )
    recording_alone_participants: float = field(
        default=1,
        metadata={
            "meaning": "So many in a meeting count as nobody, because the recorder may be one.",
            "is_optional": True,
        },
    )
    recording_length_seconds: float = field(
        default=_DAY_SECONDS,
        metadata={
            "meaning": "How long a recording may be; at 24 h the API stops it.",
            "largest": _DAY_SECONDS,
            "is_optional": True,
        },
    )
    price_ratio: float = field(
        default=0,
        metadata={
            "meaning": "The part of the prices below that you pay; 0 while the product is free.",
            "is_optional": True,
        },
    )
    composite_price_per_minute: float = field(
        default=0.01,
        metadata={
            "meaning": "Price of a minute with one file for all participants, in US dollars.",
            "is_optional": True,
        },
    )
    track_price_per_minute: float = field(
        default=0.0005,
        metadata={
            "meaning": "Price of a minute with one file for each participant, in US dollars.",
            "is_optional": True,
        },
    )


DEFAULTS = Thresholds()
MEANINGS = {threshold.name: str(threshold.metadata["meaning"]) for threshold in fields(Thresholds)}
OPTIONAL = frozenset(
    threshold.name for threshold in fields(Thresholds) if threshold.metadata.get("is_optional")
)
"""The thresholds of the optional file of rules, about service levels and cost."""
LARGEST: dict[str, float] = {
    threshold.name: threshold.metadata.get(
        "largest", _LARGEST_BY_UNIT.get(threshold.name.rpartition("_")[2], math.inf)
    )
    for threshold in fields(Thresholds)
}


def as_text(value: float) -> str:
    """Return a number as PromQL and JSON have it, without losing digits."""
    return f"{value:.0f}" if float(value).is_integer() else repr(value)

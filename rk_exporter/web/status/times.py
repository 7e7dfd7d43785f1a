"""Times and durations as people read them."""

import re

from datetime import UTC, datetime, timedelta

from rk_exporter.runtime.durations import duration_text


_UNIT = re.compile(r"(?<=\d)(?=[dhms])")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(timestamp_seconds: float) -> datetime | None:
    """Return the UTC time of a timestamp; None if the calendar does not have it."""
    try:
        return _EPOCH + timedelta(seconds=timestamp_seconds)
    except (OverflowError, ValueError):
        return None


def clock_text(timestamp_seconds: float, *, now: float) -> str:
    """Return a time, e.g. `14:02 UTC`; with the date if that is not today's."""
    at, today = moment(timestamp_seconds), moment(now)
    if at is None:
        return "an unknown time"
    if today is not None and at.date() == today.date():
        return f"{at:%H:%M} UTC"
    return f"{at:%Y-%m-%d %H:%M} UTC"


def iso_text(timestamp_seconds: float) -> str | None:
    """Return a time as HTML and machines want it, e.g. `2026-11-27T14:02:05Z`."""
    at = moment(timestamp_seconds)
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def spaced_duration(seconds: float) -> str:
    """Return the two largest units of a duration, e.g. `3 d 4 h`."""
    return _UNIT.sub(" ", duration_text(seconds))

"""
When to check the files of a recording: after the upload, once a day, and before the URL expires.

All times are unix seconds by this machine's clock.
"""

import math

from collections.abc import Sequence

from rk_exporter.model.download import FileCheck, FileKind
from rk_exporter.model.recording import Recording, Status
from rk_exporter.runtime.backoff import Backoff


# A day, minus the time by which the list that is read every few hours may be early.
_DAILY_SECONDS = 23.5 * 3600.0
BEFORE_EXPIRY_SECONDS = (86_400.0, 3600.0)
# A failure of a minute must not look like a lost file, and a lost file costs little.
_BACKOFF = Backoff(first_seconds=240.0, longest_seconds=6 * 3600.0)
# Daily checks wait for the list; for the others the recording is read by its id.
_PATIENCE_SECONDS = 120.0


def kinds(recording: Recording) -> frozenset[FileKind]:
    """Return which files of a *recording* can be downloaded."""
    main = FileKind.TRACK if recording.is_track else FileKind.COMPOSITE
    given = {main: recording.has_download_url, FileKind.AUDIO: recording.has_audio_download_url}
    return frozenset(kind for kind, is_given in given.items() if is_given)


def due_at(
    recording: Recording, checks: Sequence[FileCheck], *, api_ahead_seconds: float = 0.0
) -> float:
    """Return when to check a recording next; infinity for never, minus infinity for immediately."""
    expected = kinds(recording)
    if recording.status is not Status.UPLOADED or not expected:
        return math.inf
    if not expected <= {check.kind for check in checks}:
        return -math.inf
    last = min(check.checked_at for check in checks)
    if failures := max(check.failures for check in checks):
        return last + _after(failures)
    moments = [last + _DAILY_SECONDS]
    expires_at = recording.download_url_expiry_timestamp_seconds
    if expires_at is not None:
        moments += [expires_at - api_ahead_seconds - before for before in BEFORE_EXPIRY_SECONDS]
    return min(moment for moment in moments if moment > last)


def is_due(
    recording: Recording,
    checks: Sequence[FileCheck],
    *,
    now: float,
    api_ahead_seconds: float = 0.0,
) -> bool:
    """Return whether to check a recording now, if its URL is at hand."""
    # If the clock was set back, a check in the future says nothing about the next one.
    past = [check for check in checks if check.checked_at <= now]
    is_expired = has_expired(recording, now=now, api_ahead_seconds=api_ahead_seconds)
    return not is_expired and now >= due_at(recording, past, api_ahead_seconds=api_ahead_seconds)


def needs_reading(
    recording: Recording,
    checks: Sequence[FileCheck],
    *,
    now: float,
    list_seconds: float,
    api_ahead_seconds: float = 0.0,
) -> bool:
    """
    Return whether to read a recording by its id, because no list has brought its URL in time.

    The whole list is read every *list_seconds*.
    """
    if not is_due(recording, checks, now=now, api_ahead_seconds=api_ahead_seconds):
        return False
    due = due_at(recording, checks, api_ahead_seconds=api_ahead_seconds)
    is_daily = bool(checks) and due == min(check.checked_at for check in checks) + _DAILY_SECONDS
    return now >= due + _PATIENCE_SECONDS + (list_seconds if is_daily else 0.0)


def has_expired(recording: Recording, *, now: float, api_ahead_seconds: float = 0.0) -> bool:
    """Return whether the download URL of a recording has expired."""
    expires_at = recording.download_url_expiry_timestamp_seconds
    return expires_at is not None and now >= expires_at - api_ahead_seconds


def _after(failures: int) -> float:
    backoff = Backoff(_BACKOFF.first_seconds, _BACKOFF.longest_seconds, failures)
    return backoff.delay_seconds

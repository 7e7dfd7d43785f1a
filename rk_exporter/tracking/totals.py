"""Figures about all known recordings of an app, which no limit on the number of series touches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from rk_exporter.model.recording import Status
from rk_exporter.tracking.lifecycle import KnownRecording


WITHIN_SECONDS: Mapping[str, float] = MappingProxyType(
    {"1h": 3600.0, "24h": 86_400.0, "72h": 3 * 86_400.0}
)


def _no_recordings() -> Mapping[Status, int]:
    return dict.fromkeys(Status, 0)


def _none_expires() -> Mapping[str, int]:
    return dict.fromkeys(WITHIN_SECONDS, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingTotals:
    """How many recordings of an app are known, expire soon, and have no series of their own."""

    by_status: Mapping[Status, int] = field(default_factory=_no_recordings)
    expiring: Mapping[str, int] = field(default_factory=_none_expires)
    """How many URLs expire within each of the WITHIN_SECONDS."""
    earliest_expiry_timestamp_seconds: float | None = None
    """When the next URL expires; None if none will."""
    hidden: int = 0


def expires_at(known: KnownRecording) -> float | None:
    """Return when the file of a recording gets lost, if it has one."""
    recording = known.recording
    has_url = recording.has_download_url or recording.has_audio_download_url
    return recording.download_url_expiry_timestamp_seconds if has_url else None

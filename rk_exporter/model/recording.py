"""Recordings as the API describes them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class _OpenEnum(StrEnum):
    """Values of the API, which may add more; all of those become UNKNOWN, one label value."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        del value
        return cls["UNKNOWN"]


class Status(_OpenEnum):
    """State of a recording in the API; UNKNOWN stands for every undocumented state."""

    INVOKED = "INVOKED"
    RECORDING = "RECORDING"
    PAUSED = "PAUSED"
    UPLOADING = "UPLOADING"
    UPLOADED = "UPLOADED"
    ERRORED = "ERRORED"
    UNKNOWN = "UNKNOWN"


IN_PROGRESS = frozenset({Status.INVOKED, Status.RECORDING, Status.PAUSED, Status.UPLOADING})
TERMINAL = frozenset({Status.UPLOADED, Status.ERRORED})


class StopReason(_OpenEnum):
    """Why a recording stopped; UNKNOWN stands for every undocumented reason."""

    API_CALL = "API_CALL"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    ALL_PEERS_LEFT = "ALL_PEERS_LEFT"
    UNKNOWN = "UNKNOWN"


class Outcome(StrEnum):
    """How a recording ended: the label `outcome`."""

    UPLOADED = "uploaded"
    ERRORED = "errored"
    UPLOAD_FAILED = "upload_failed"
    VANISHED = "vanished"


FAILURES = frozenset({Outcome.ERRORED, Outcome.UPLOAD_FAILED})


class Kind(StrEnum):
    """Whether a recording has one file for all participants or one for each."""

    COMPOSITE = "composite"
    TRACK = "track"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording as last read. Times are unix seconds; None stands for a missing field."""

    recording_id: str
    status: Status
    session_id: str | None = None
    output_file_name: str | None = None
    file_size_bytes: float | None = None
    reported_duration_seconds: float | None = None
    download_url_expiry_timestamp_seconds: float | None = None
    invoked_timestamp_seconds: float | None = None
    started_timestamp_seconds: float | None = None
    stopped_timestamp_seconds: float | None = None
    is_track: bool = False
    """Whether there is one file per participant instead of one for all."""
    has_download_url: bool | None = False
    has_audio_download_url: bool | None = False
    stop_reason: StopReason | None = None
    """Only the recording's own endpoint returns it."""

    @property
    def in_progress(self) -> bool:
        """Return whether it has not ended yet; with an unknown state, until it has stopped."""
        is_unknown = self.status is Status.UNKNOWN and self.stopped_timestamp_seconds is None
        return is_unknown or self.status in IN_PROGRESS

    @property
    def kind(self) -> Kind:
        """Return whether there is one file for all participants or one for each."""
        return Kind.TRACK if self.is_track else Kind.COMPOSITE

    @property
    def known_duration_seconds(self) -> float | None:
        """Return the length of a recording that has ended, unless it is unknown or 0."""
        return self.duration_seconds(as_of=0.0) or None

    def duration_seconds(self, *, as_of: float) -> float | None:
        """
        Return the length of the recording, pauses included, or None if it is unknown.

        The API's `recording_duration` is missing until the upload, and the vendor's own sample has
        0 for 47 seconds. Without a positive value the length is *stopped* minus *started*, or
        *as_of* (unix seconds) minus *started* while the recording runs.
        """
        if self.reported_duration_seconds:
            return self.reported_duration_seconds
        end = self.stopped_timestamp_seconds
        if end is None and self.status in {Status.RECORDING, Status.PAUSED}:
            end = as_of
        if end is None or self.started_timestamp_seconds is None:
            return self.reported_duration_seconds
        return max(0.0, end - self.started_timestamp_seconds)

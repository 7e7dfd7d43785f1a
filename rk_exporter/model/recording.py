"""What the exporter knows: recordings, and the readings of meetings."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """State of a recording, as the API names it; UNKNOWN stands for any that it does not name."""

    INVOKED = "INVOKED"
    RECORDING = "RECORDING"
    PAUSED = "PAUSED"
    UPLOADING = "UPLOADING"
    UPLOADED = "UPLOADED"
    ERRORED = "ERRORED"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> "Status":
        """Answer UNKNOWN for *value*, so that a new state adds no new label value."""
        del value
        return cls.UNKNOWN


IN_PROGRESS = frozenset({Status.INVOKED, Status.RECORDING, Status.PAUSED, Status.UPLOADING})
TERMINAL = frozenset({Status.UPLOADED, Status.ERRORED})


class StopReason(StrEnum):
    """What ended a recording, as the API names it; UNKNOWN stands for any that it does not name."""

    API_CALL = "API_CALL"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    ALL_PEERS_LEFT = "ALL_PEERS_LEFT"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> "StopReason":
        """Answer UNKNOWN for *value*, so that a new reason adds no new label value."""
        del value
        return cls.UNKNOWN


class Outcome(StrEnum):
    """How a recording ended: the label `outcome`."""

    UPLOADED = "uploaded"
    ERRORED = "errored"
    VANISHED = "vanished"


OUTCOME_OF = {Status.UPLOADED: Outcome.UPLOADED, Status.ERRORED: Outcome.ERRORED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording as the API last described it. Times are unix seconds; None is "not said"."""

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
    """Whether it has a file for each participant, instead of one for all."""
    has_download_url: bool | None = False
    has_audio_download_url: bool | None = False
    stop_reason: StopReason | None = None
    """Told by the recording's own endpoint alone."""

    @property
    def in_progress(self) -> bool:
        """Tell whether the recording has yet to end."""
        return self.status in IN_PROGRESS

    def duration_seconds(self, *, as_of: float) -> float | None:
        """
        Return how long the recording is in seconds, or None where nothing tells.

        The API's `recording_duration` counts where it is above zero. It is absent until the file
        is uploaded, and a vendor's own sample says 0 for 47 seconds: then *stopped* minus
        *started*, and while the recording runs *as_of* (unix seconds) minus *started*, pauses
        included.
        """
        if self.reported_duration_seconds:
            return self.reported_duration_seconds
        end = self.stopped_timestamp_seconds
        if end is None and self.status in {Status.RECORDING, Status.PAUSED}:
            end = as_of
        if end is None or self.started_timestamp_seconds is None:
            return self.reported_duration_seconds
        return max(0.0, end - self.started_timestamp_seconds)

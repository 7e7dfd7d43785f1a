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
_ENDED = frozenset(OUTCOME_OF.values())


class Reason(StrEnum):
    """Why a call failed: the closed set of values of the label `reason`."""

    TIMEOUT = "timeout"
    CONNECT = "connect"
    TLS = "tls"
    AUTH = "auth"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    CLIENT_ERROR = "client_error"
    NOT_FOUND = "not_found"
    INVALID_RESPONSE = "invalid_response"
    TOO_LARGE = "too_large"


class ReadMode(StrEnum):
    """How an app's recordings are read: the label `read` of rk_app_info."""

    ACTIVE_RECORDING = "active-recording"
    LIST = "list"


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


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call: its bounded *reason*, and an *explanation* in our own words for people."""

    reason: Reason
    explanation: str


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting to be read. Without a name of its own it is called by its id."""

    meeting_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRecording:
    """
    A recording that was seen: what it was like the last time, and how far it has been followed.

    Times are unix seconds.
    """

    meeting: Meeting
    recording: Recording
    read_at: float
    missing_since: float | None = None
    """Since when its meeting no longer shows it, though it has not ended as far as is known."""
    outcome: Outcome | None = None
    """How it ended, once that has been counted, or was known before there was a count."""
    has_details: bool = False
    """Whether its own endpoint was asked after it had ended."""
    is_expiry_checked: bool = False
    """Whether it was asked again shortly before its download URL was to expire."""

    @property
    def recording_id(self) -> str:
        """Return the recording's id."""
        return self.recording.recording_id

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing more will come of it."""
        return self.recording.status in TERMINAL or self.outcome in _ENDED


@dataclass(frozen=True, slots=True)
class Room:
    """What discovery knows of a meeting: whether people are in it, and its settings."""

    is_live: bool | None = None
    participants: int | None = None
    record_on_start: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    What is known of one meeting after the last attempt to read it.

    *recordings* is None until a read has succeeded, and again when the last success is too old
    to be shown; the empty tuple is the API's word that there is none.
    """

    meeting: Meeting
    recordings: tuple[Recording, ...] | None = None
    last_attempt_timestamp_seconds: float | None = None
    last_success_timestamp_seconds: float | None = None
    failure: Failure | None = None
    room: Room | None = None

    @property
    def up(self) -> bool | None:
        """Tell whether the last attempt succeeded; None before there was one."""
        return None if self.last_attempt_timestamp_seconds is None else self.failure is None


@dataclass(frozen=True, slots=True)
class App:
    """A RealtimeKit app: *name* is the label `app`."""

    name: str
    account_id: str
    app_id: str

"""What the exporter knows: recordings, readings of meetings, and the snapshot of all of them."""

from dataclasses import dataclass
from enum import StrEnum

from rk_exporter.ratelimit import RateLimitPolicy


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What an app's token may spend: calls in 300 s, and what the API itself says of its limit."""

    limit: int
    remaining: int
    blocked_until_timestamp_seconds: float | None = None
    """Until when calls are held back, after a 429 or a refused token."""
    policies: tuple[RateLimitPolicy, ...] = ()


@dataclass(frozen=True, slots=True)
class DiscoveryState:
    """How the live sessions were listed: the last *failure*, None where it succeeded."""

    failure: Failure | None = None
    last_success_timestamp_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FileState:
    """A file with meetings: whether what it holds now is what is read."""

    path: str
    is_read: bool
    last_success_timestamp_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSnapshot:
    """All readings of one app, and how its last pass went; None stands before the first pass."""

    app: App
    readings: tuple[Reading, ...]
    read_mode: ReadMode = ReadMode.ACTIVE_RECORDING
    up: bool | None = None
    deferred: int | None = None
    duration_seconds: float | None = None
    spending: Spending | None = None
    files: tuple[FileState, ...] = ()
    discovery: DiscoveryState | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What every scrape is answered from: replaced whole, never changed. *taken_at* is unix s."""

    apps: tuple[AppSnapshot, ...]
    taken_at: float

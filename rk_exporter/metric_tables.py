"""Metrics that are gauges of one value each: their names, their HELP and where it comes from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rk_exporter.ratelimit import RateLimitPolicy
from rk_exporter.recordings import Reading, Recording, Room
from rk_exporter.snapshot import AppSnapshot, DiscoveryState, FileState, Spending, StateFileState


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Gauge(Generic[T]):
    """A metric's *name*, its HELP, and what its value is; None is "no sample"."""

    name: str
    documentation: str
    value: Callable[[T], float | None]


MEETING_AGE = "As old as rk_meeting_last_success_timestamp_seconds."
RECORDING_AGE = "As old as rk_recording_last_success_timestamp_seconds."


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRecording:
    """
    A recording as it was read; times are in unix seconds.

    Its own timestamps are by the API's clock, so what is measured against them is as well.
    """

    recording: Recording
    read_at: float
    api_read_at: float
    api_now: float

    @property
    def expires_in_seconds(self) -> float | None:
        """Return how long its download URL is good for, negative after that."""
        expires_at = self.recording.download_url_expiry_timestamp_seconds
        return None if expires_at is None else expires_at - self.api_now


RECORDING_GAUGES: tuple[Gauge[ReadRecording], ...] = (
    Gauge(
        "rk_recording_file_size_bytes",
        f"Size of the recording's file (API field file_size). {RECORDING_AGE}",
        lambda read: read.recording.file_size_bytes,
    ),
    Gauge(
        "rk_recording_duration_seconds",
        "Length of the recording (API field recording_duration; where that is absent or 0, "
        "stopped_time or the time of the reading, minus started_time). " + RECORDING_AGE,
        lambda read: read.recording.duration_seconds(as_of=read.api_read_at),
    ),
    Gauge(
        "rk_recording_download_url_expiry_timestamp_seconds",
        f"When the download URL expires (API field download_url_expiry). {RECORDING_AGE}",
        lambda read: read.recording.download_url_expiry_timestamp_seconds,
    ),
    Gauge(
        "rk_recording_download_url_expires_in_seconds",
        "Time until the download URL expires (API field download_url_expiry), negative after it. "
        + RECORDING_AGE,
        lambda read: read.expires_in_seconds,
    ),
    Gauge(
        "rk_recording_invoked_timestamp_seconds",
        f"When the recording was asked for (API field invoked_time). {RECORDING_AGE}",
        lambda read: read.recording.invoked_timestamp_seconds,
    ),
    Gauge(
        "rk_recording_started_timestamp_seconds",
        f"When the recording began (API field started_time). {RECORDING_AGE}",
        lambda read: read.recording.started_timestamp_seconds,
    ),
    Gauge(
        "rk_recording_stopped_timestamp_seconds",
        f"When the recording ended (API field stopped_time). {RECORDING_AGE}",
        lambda read: read.recording.stopped_timestamp_seconds,
    ),
    Gauge(
        "rk_recording_last_success_timestamp_seconds",
        "When the recording was last read. One that has ended is read every few hours only.",
        lambda read: read.read_at,
    ),
)


@dataclass(frozen=True, slots=True)
class ReadMeeting:
    """A meeting as it was read, and how many of its recordings have not ended."""

    reading: Reading
    in_progress: int


MEETING_GAUGES: tuple[Gauge[ReadMeeting], ...] = (
    Gauge(
        "rk_meeting_active_recordings",
        "The meeting's recordings that are INVOKED, RECORDING, PAUSED or UPLOADING; 0 where the "
        "API says that there is none. " + MEETING_AGE,
        lambda read: None if read.reading.recordings is None else read.in_progress,
    ),
    Gauge(
        "rk_meeting_up",
        "Whether the last attempt to read the meeting succeeded; having no recording is a success.",
        lambda read: read.reading.up,
    ),
    Gauge(
        "rk_meeting_last_success_timestamp_seconds",
        "When the meeting was last read.",
        lambda read: read.reading.last_success_timestamp_seconds,
    ),
)

DISCOVERY_GAUGES: tuple[Gauge[DiscoveryState], ...] = (
    Gauge(
        "rk_discovery_up",
        "Whether the live sessions could be listed the last time. With meetings.discover only.",
        lambda discovery: discovery.failure is None,
    ),
    Gauge(
        "rk_discovery_last_success_timestamp_seconds",
        "When the live sessions were last listed. With meetings.discover only.",
        lambda discovery: discovery.last_success_timestamp_seconds,
    ),
)

ROOM_GAUGES: tuple[Gauge[Room], ...] = (
    Gauge(
        "rk_meeting_live",
        "Whether the meeting has a live session (API field status of its sessions). With "
        "meetings.discover only; as old as rk_discovery_last_success_timestamp_seconds.",
        lambda room: room.is_live,
    ),
    Gauge(
        "rk_meeting_live_participants",
        "People in the meeting's live session (API field live_participants); a recorder may count "
        "as one. With meetings.discover only; as old as "
        "rk_discovery_last_success_timestamp_seconds.",
        lambda room: room.participants,
    ),
    Gauge(
        "rk_meeting_record_on_start",
        "Whether the meeting is to be recorded as soon as somebody joins (API field "
        "record_on_start). With meetings.discover only; read once for each meeting that is live.",
        lambda room: room.record_on_start,
    ),
)

APP_GAUGES: tuple[Gauge[AppSnapshot], ...] = (
    Gauge(
        "rk_up",
        "Whether the last pass could reach the API and was let in: at least one call succeeded.",
        lambda app: app.up,
    ),
    Gauge(
        "rk_meetings",
        "Meetings in the list.",
        lambda app: len(app.readings),
    ),
    Gauge(
        "rk_meetings_deferred",
        "Meetings that the last pass did not read, for want of budget or time, or since calls were "
        "held back (rk_api_blocked_until_timestamp_seconds).",
        lambda app: app.deferred,
    ),
    Gauge(
        "rk_scrape_duration_seconds",
        "How long the last pass over the app's meetings took.",
        lambda app: app.duration_seconds,
    ),
)

SPENDING_GAUGES: tuple[Gauge[Spending], ...] = (
    Gauge(
        "rk_api_budget_limit",
        "Calls that the exporter may make in any 5 minutes with the app's token, whichever app "
        "they are for.",
        lambda spending: spending.limit,
    ),
    Gauge(
        "rk_api_budget_remaining",
        "Calls that are left of rk_api_budget_limit.",
        lambda spending: spending.remaining,
    ),
    Gauge(
        "rk_api_blocked_until_timestamp_seconds",
        "Until when no calls are made, since the API's rate limit was exceeded or the token was "
        "refused; absent while calls are made.",
        lambda spending: spending.blocked_until_timestamp_seconds,
    ),
)

POLICY_GAUGES: tuple[Gauge[RateLimitPolicy], ...] = (
    Gauge(
        "rk_api_ratelimit_limit",
        "Calls that the API allows by each of its policies (header Ratelimit-Policy, q).",
        lambda policy: policy.limit,
    ),
    Gauge(
        "rk_api_ratelimit_remaining",
        "Calls that the API said to be left by each of its policies (header Ratelimit, r).",
        lambda policy: policy.remaining,
    ),
)

STATE_FILE_GAUGES: tuple[Gauge[StateFileState], ...] = (
    Gauge(
        "rk_state_file_last_write_successful",
        "Whether the state file could be written the last time. With state.file only.",
        lambda file: file.is_written,
    ),
    Gauge(
        "rk_state_file_last_write_success_timestamp_seconds",
        "When the state file was last written. With state.file only.",
        lambda file: file.last_success_timestamp_seconds,
    ),
)

FILE_GAUGES: tuple[Gauge[FileState], ...] = (
    Gauge(
        "rk_meetings_file_last_read_successful",
        "Whether what the file of meetings holds now is what is read; if not, the last good list "
        "stays in use.",
        lambda file: file.is_read,
    ),
    Gauge(
        "rk_meetings_file_last_read_success_timestamp_seconds",
        "When a good list was last taken from the file of meetings.",
        lambda file: file.last_success_timestamp_seconds,
    ),
)

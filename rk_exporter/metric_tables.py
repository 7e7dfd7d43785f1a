"""Metrics that are gauges of one value each: their names, their HELP and where it comes from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rk_exporter.ratelimit import RateLimitPolicy
from rk_exporter.recordings import (
    AppSnapshot,
    DiscoveryState,
    FileState,
    Reading,
    Recording,
    Room,
    Spending,
)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Gauge(Generic[T]):
    """A metric's *name*, its HELP, and what its value is; None is "no sample"."""

    name: str
    documentation: str
    value: Callable[[T], float | None]


AGE = "As old as rk_meeting_last_success_timestamp_seconds."


@dataclass(frozen=True, slots=True)
class ReadRecording:
    """A recording as it was read."""

    recording: Recording
    as_of: float
    """Unix seconds of the reading, for values that grow while nobody looks."""


RECORDING_GAUGES: tuple[Gauge[ReadRecording], ...] = (
    Gauge(
        "rk_recording_file_size_bytes",
        f"Size of the recording's file (API field file_size). {AGE}",
        lambda read: read.recording.file_size_bytes,
    ),
    Gauge(
        "rk_recording_duration_seconds",
        "Length of the recording (API field recording_duration; where that is absent or 0, "
        "stopped_time or the time of the reading, minus started_time). " + AGE,
        lambda read: read.recording.duration_seconds(as_of=read.as_of),
    ),
    Gauge(
        "rk_recording_download_url_expiry_timestamp_seconds",
        f"When the download URL expires (API field download_url_expiry). {AGE}",
        lambda read: read.recording.download_url_expiry_timestamp_seconds,
    ),
    Gauge(
        "rk_recording_invoked_timestamp_seconds",
        f"When the recording was asked for (API field invoked_time). {AGE}",
        lambda read: read.recording.invoked_timestamp_seconds,
    ),
    Gauge(
        "rk_recording_started_timestamp_seconds",
        f"When the recording began (API field started_time). {AGE}",
        lambda read: read.recording.started_timestamp_seconds,
    ),
    Gauge(
        "rk_recording_stopped_timestamp_seconds",
        f"When the recording ended (API field stopped_time). {AGE}",
        lambda read: read.recording.stopped_timestamp_seconds,
    ),
)

MEETING_GAUGES: tuple[Gauge[Reading], ...] = (
    Gauge(
        "rk_meeting_active_recordings",
        "The meeting's recordings that are INVOKED, RECORDING, PAUSED or UPLOADING; 0 where the "
        "API says that there is none. " + AGE,
        lambda reading: (
            None
            if reading.recordings is None
            else sum(recording.in_progress for recording in reading.recordings)
        ),
    ),
    Gauge(
        "rk_meeting_up",
        "Whether the last attempt to read the meeting succeeded; having no recording is a success.",
        lambda reading: reading.up,
    ),
    Gauge(
        "rk_meeting_last_success_timestamp_seconds",
        "When the meeting was last read.",
        lambda reading: reading.last_success_timestamp_seconds,
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

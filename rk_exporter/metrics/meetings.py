"""Metrics of meetings, discovery and meeting files."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.builders import Gauge, Labels, info
from rk_exporter.model.meeting import DiscoveryState, FileState, Meeting, Reading, Room
from rk_exporter.snapshot import AppSnapshot, Snapshot


MEETING_AGE = "As old as rk_meeting_last_success_timestamp_seconds."


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


def _meetings(app: AppSnapshot) -> Iterator[tuple[Labels, ReadMeeting]]:
    in_progress = Counter(
        known.meeting.meeting_id for known in app.recordings if known.recording.in_progress
    )
    for reading in app.readings:
        meeting_id = reading.meeting.meeting_id
        labels = {"app": app.app.name, "meeting_id": meeting_id}
        yield labels, ReadMeeting(reading, in_progress[meeting_id])


def _meeting_info(snapshot: Snapshot) -> Metric:
    named = (
        {"app": app.app.name, "meeting_id": meeting.meeting_id, "name": meeting.name}
        for app in snapshot.apps
        for meeting in _named_meetings(app)
    )
    return info(
        "rk_meeting",
        "The meeting's name in the configuration, in a file or of its session; its id without one. "
        "Also of meetings that are no longer read, and have a recording that is shown.",
        named,
    )


def _named_meetings(app: AppSnapshot) -> Iterable[Meeting]:
    listed = {reading.meeting.meeting_id: reading.meeting for reading in app.readings}
    recorded = {known.meeting.meeting_id: known.meeting for known in app.recordings}
    return (recorded | listed).values()

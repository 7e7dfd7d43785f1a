"""Metrics of meetings, discovery and meeting files."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.builders import Gauge, LabelSet, gauges, info
from rk_exporter.model.meeting import DiscoveryState, FileState, Meeting, Reading, Room
from rk_exporter.snapshot import AppSnapshot, Snapshot


MEETING_AGE = "As old as rk_meeting_last_success_timestamp_seconds."
# A meeting has two. This is enough for more meetings than an exporter reads, because a cache that
# is too small by one forgets each label set just before it is used again.
_MOST_LABEL_SETS = 1 << 16
_DISCOVERY_ONLY = "Only with meetings.discover."
_ROOM_AGE = f"{_DISCOVERY_ONLY} As old as rk_discovery_last_success_timestamp_seconds."


@dataclass(frozen=True, slots=True)
class ReadMeeting:
    """A meeting as it was last read, and how many of its recordings are in progress."""

    reading: Reading
    in_progress: int


MEETING_GAUGES: tuple[Gauge[ReadMeeting], ...] = (
    Gauge(
        "rk_meeting_active_recordings",
        "The meeting's recordings that are INVOKED, RECORDING, PAUSED or UPLOADING, or in an "
        "unknown state and not stopped; 0 if the API says that there is none. " + MEETING_AGE,
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
        "Whether the last attempt to list the live sessions succeeded; 0 until the first list is "
        f"complete, and while a list takes longer than scrape.stale_after. {_DISCOVERY_ONLY}",
        lambda discovery: discovery.up,
    ),
    Gauge(
        "rk_discovery_last_success_timestamp_seconds",
        f"When the live sessions were last listed. {_DISCOVERY_ONLY}",
        lambda discovery: discovery.last_success_timestamp_seconds,
    ),
)
ROOM_GAUGES: tuple[Gauge[Room], ...] = (
    Gauge(
        "rk_meeting_live",
        f"Whether the meeting has a live session (API field status of its sessions). {_ROOM_AGE}",
        lambda room: room.is_live,
    ),
    Gauge(
        "rk_meeting_live_participants",
        "People in the meeting's live sessions (sum of the API field live_participants); a "
        f"recorder may count as one. {_ROOM_AGE}",
        lambda room: room.participants,
    ),
    Gauge(
        "rk_meeting_record_on_start",
        "Whether the meeting records as soon as somebody joins (API field record_on_start). "
        f"{_DISCOVERY_ONLY} Read once for each live meeting.",
        lambda room: room.record_on_start,
    ),
)
FILE_GAUGES: tuple[Gauge[FileState], ...] = (
    Gauge(
        "rk_meetings_file_last_read_successful",
        "Whether the last reload of the meetings file succeeded; after a failure the last good "
        "list stays in use.",
        lambda file: file.is_read,
    ),
    Gauge(
        "rk_meetings_file_last_read_success_timestamp_seconds",
        "When the meetings file was last read successfully.",
        lambda file: file.last_success_timestamp_seconds,
    ),
)


def meeting_families(snapshot: Snapshot) -> Iterator[Metric]:
    """Return the metric families of the meetings in *snapshot*."""
    meetings = [read for app in snapshot.apps for read in read_meetings(app)]
    yield _meeting_info(snapshot)
    yield from gauges(MEETING_GAUGES, meetings)
    rooms = [(labels, read.reading.room) for labels, read in meetings if read.reading.room]
    yield from gauges(ROOM_GAUGES, rooms)


def read_meetings(app: AppSnapshot) -> Iterator[tuple[LabelSet, ReadMeeting]]:
    """Return the meetings of an app in their order, each with the labels of its series."""
    followed = Counter(
        known.meeting.meeting_id for known in app.recordings if known.recording.in_progress
    )
    shown = {known.recording_id for known in app.recordings}
    for reading in app.readings:
        meeting_id = reading.meeting.meeting_id
        # There is no limit on what is counted: a reading shows also what is not followed.
        others = sum(
            recording.in_progress and recording.recording_id not in shown
            for recording in reading.recordings or ()
        )
        yield (
            meeting_labels(app.app.name, meeting_id),
            ReadMeeting(reading, followed[meeting_id] + others),
        )


@lru_cache(maxsize=_MOST_LABEL_SETS)
def meeting_labels(app: str, meeting_id: str, **more: str) -> LabelSet:
    """Return the labels of a meeting's series, which are the same in every snapshot."""
    return LabelSet(rk_app=app, meeting_id=meeting_id, **more)


def _meeting_info(snapshot: Snapshot) -> Metric:
    named = (
        meeting_labels(app.app.name, meeting.meeting_id, meeting_name=meeting.name)
        for app in snapshot.apps
        for meeting in _named_meetings(app)
    )
    return info(
        "rk_meeting",
        "The meeting's name in the configuration, in a file or of its session; its id if it has no "
        "name. Includes meetings that are no longer read but whose recordings are still shown.",
        named,
    )


def _named_meetings(app: AppSnapshot) -> Iterable[Meeting]:
    listed = {reading.meeting.meeting_id: reading.meeting for reading in app.readings}
    recorded = {known.meeting.meeting_id: known.meeting for known in app.recordings}
    return (recorded | listed).values()

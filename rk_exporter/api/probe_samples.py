"""Which recordings in the list can answer which questions of `check --probe`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

import msgspec

from rk_exporter.api import fields, parsers, schema
from rk_exporter.api.envelope import unwrap
from rk_exporter.api.replies import Reply
from rk_exporter.model.meeting import ListedRecording
from rk_exporter.model.recording import TERMINAL, Recording, Status


# The times in a query have whole seconds.
_CLEARLY_SECONDS = 2.0


class _Created(msgspec.Struct, gc=False):
    created_at: msgspec.Raw = fields.ABSENT


class _MeetingOfItem(schema.Item, gc=False):
    meeting: _Created | None = None


_item_decoder = msgspec.json.Decoder(_MeetingOfItem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A page of the list: its recordings, newest first, and how many the whole list has."""

    listed: tuple[ListedRecording, ...]
    created_at: dict[str, float]
    """When a recording's meeting was created, in unix seconds, by the recording's id."""
    item_count: int
    total_count: int | None

    @property
    def statuses(self) -> dict[Status, int]:
        """Return how many recordings are in each state."""
        counts: dict[Status, int] = {}
        for item in self.listed:
            status = item.recording.status
            counts[status] = counts.get(status, 0) + 1
        return counts

    @property
    def busy_meetings(self) -> set[str]:
        """Return the meetings that have a recording in progress."""
        return {
            _folded(item.meeting.meeting_id)
            for item in self.listed
            if item.recording.status not in TERMINAL
        }

    @property
    def finished(self) -> list[ListedRecording]:
        """Return the finished recordings of meetings that have no recording in progress."""
        busy = self.busy_meetings
        return [
            item
            for item in self.listed
            if item.recording.status in TERMINAL and _folded(item.meeting.meeting_id) not in busy
        ]

    def idle_meetings(self, configured: Iterable[str]) -> list[str]:
        """Return the *configured* meetings without a recording in progress; best ones first."""
        busy = self.busy_meetings
        recorded = {_folded(item.meeting.meeting_id) for item in self.finished}
        idle = [meeting_id for meeting_id in configured if _folded(meeting_id) not in busy]
        # A meeting with a finished recording exists, and answers two questions with one call.
        return sorted(idle, key=lambda meeting_id: _folded(meeting_id) not in recorded)

    @property
    def with_url(self) -> Recording | None:
        """Return the newest recording with a download URL that expires."""
        for item in self.listed:
            recording = item.recording
            if recording.has_download_url and recording.download_url_expiry_timestamp_seconds:
                return recording
        return None

    @property
    def telling_start(self) -> float | None:
        """
        Return a time for `start_time` whose effect depends on its meaning, in unix seconds.

        The time is between the creation of a meeting and its newest recording, and there is an
        older recording. If `start_time` is about recordings, it selects the one and not the other.
        If it is about meetings, it selects neither; if it is ignored, both.
        """
        for item in self.listed:
            invoked_at = item.recording.invoked_timestamp_seconds
            created_at = self.created_at.get(item.recording.recording_id)
            if invoked_at is None or created_at is None:
                continue
            start = float(int(invoked_at - 1))
            if start - created_at >= _CLEARLY_SECONDS and self.invoked_before(start):
                return start
        return None

    def invoked_before(self, moment: float) -> set[str]:
        """Return the ids of the recordings that were invoked before a moment."""
        return {
            item.recording.recording_id
            for item in self.listed
            if (item.recording.invoked_timestamp_seconds or moment) < moment
        }

    def created_before(self, moment: float) -> set[str]:
        """Return the ids of the recordings whose meetings were created before a moment."""
        return {key for key, created_at in self.created_at.items() if created_at < moment}

    @property
    def ids(self) -> set[str]:
        """Return the ids of all recordings on the page."""
        return {item.recording.recording_id for item in self.listed}


EMPTY = Sample(listed=(), created_at={}, item_count=0, total_count=None)


def sample_of(reply: Reply) -> Sample | None:
    """Return what a page of the list contains; None if it cannot be read."""
    page = reply.read(parsers.parse_recordings_page)
    if page is None:
        return None
    raw_items, _ = unwrap(HTTPStatus.OK, reply.body, schema.recordings_page)
    return Sample(
        listed=page.items,
        created_at=dict(_created(raw_items or ())),
        item_count=len(page.item_ids),
        total_count=page.paging.total_count if page.paging else None,
    )


def iso_time(unix_seconds: float) -> str:
    """Return a moment as the API's queries have it."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def two_statuses(sample: Sample) -> tuple[Status, ...]:
    """Return the two most frequent states; nothing if there are not so many."""
    counts = {key: number for key, number in sample.statuses.items() if key is not Status.UNKNOWN}
    ordered = sorted(counts, key=lambda status: counts[status], reverse=True)
    return tuple(ordered[:2]) if len(ordered) > 1 else ()


def _created(raw_items: Iterable[msgspec.Raw]) -> Iterable[tuple[str, float]]:
    for raw in raw_items:
        item = fields.if_readable(raw, _item_decoder.decode)
        if item is None or item.meeting is None:
            continue
        recording_id = fields.if_readable(item.id, fields.identifier)
        created_at = fields.if_readable(item.meeting.created_at, fields.timestamp)
        if recording_id and created_at is not None:
            yield recording_id, created_at


def _folded(meeting_id: str) -> str:
    """Return an id for comparisons: the API may write UUIDs in another case."""
    return meeting_id.casefold()

"""The hints that one pass follows."""

from collections.abc import Iterable

from rk_exporter.collector.hints import Hints, PendingHints
from rk_exporter.collector.planner import Hinted, Target
from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import Reading
from rk_exporter.tracking.tracker import RecordingTracker


class PassHints:
    """What events have made due at the start of a pass; without *hints* nothing."""

    def __init__(self, hints: Hints | None, tracker: RecordingTracker) -> None:
        self._hints = hints
        self._tracker = tracker
        self._pending = hints.pending if hints else PendingHints()
        self.has_discovered = False
        """Whether the pass has listed the live sessions, or tried to."""

    @property
    def is_discovery_due(self) -> bool:
        """Return whether an event is about a meeting that is not known."""
        return self._pending.discovery is not None

    @property
    def is_recordings_list_due(self) -> bool:
        """Return whether an event is about a recording that ended before anybody saw it."""
        return self._pending.recordings_list is not None

    def has_recording(self, recording_id: str) -> bool:
        """Return whether an event is about a recording."""
        return recording_id in self._pending.recordings

    def readings(self, readings: Iterable[Reading], waiting: list[Reading]) -> list[Reading]:
        """Return those of the *readings* that are due by a hint, but not *waiting* already."""
        hinted = self._pending.meetings
        if not hinted:
            return []
        ids = {reading.meeting.meeting_id for reading in waiting}
        return [
            reading
            for reading in readings
            if canonical(reading.meeting.meeting_id) in hinted
            and reading.meeting.meeting_id not in ids
        ]

    def targets(self, waiting: Iterable[Reading], *, now: float) -> Hinted:
        """Return what to read because of a hint, in the order in which the events came."""
        hinted, found = self._pending.meetings, dict[int, Target]()
        if hinted:
            for reading in waiting:
                number = hinted.get(canonical(reading.meeting.meeting_id))
                if number is not None:
                    found[number] = reading.meeting
        for recording_id, number in self._pending.recordings.items():
            if known := self._tracker.due_one(recording_id, now=now, is_hinted=True):
                found[number] = known
        return Hinted([found[number] for number in sorted(found)], self._pending.is_first)

    def settle(self, *, meeting_ids: Iterable[str], recording_ids: Iterable[str]) -> None:
        """Drop the hints for what the pass has read."""
        if self._hints:
            self._hints.settle(
                self._pending,
                meetings={canonical(meeting_id) for meeting_id in meeting_ids},
                recordings=frozenset(recording_ids),
                has_discovered=self.has_discovered,
            )

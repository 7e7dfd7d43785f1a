"""The recordings of one app that are known, found by their ids, and how those ended that left."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rk_exporter.model.recording import Outcome
from rk_exporter.tracking.lifecycle import KnownRecording, ended_at


# How many of those that have left are kept in mind, so that no late answer has them counted again.
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is kept of a recording that has left: how it ended, if it had, and when it started."""

    outcome: Outcome | None = None
    started_timestamp_seconds: float | None = None


class RecordingStore:
    """The known recordings of one app, at most *largest* once surplus ones were dropped."""

    def __init__(self, largest: int, departed: Mapping[str, Tombstone]) -> None:
        self._largest = largest
        self._known: dict[str, KnownRecording] = {}
        self._in_progress: dict[str, set[str]] = {}
        self._departed = dict(departed)
        # When it is full: what comes before that would have to leave at once.
        self._oldest = (False, 0.0)
        self.revision = 0
        """Raised by each change, but for a recording that was only read again."""

    def __iter__(self) -> Iterator[KnownRecording]:
        """Return all that are known, those known longest first."""
        return iter(tuple(self._known.values()))

    def get(self, recording_id: str) -> KnownRecording | None:
        """Return a recording, if it is known."""
        return self._known.get(recording_id)

    def in_progress(self, meeting_id: str) -> frozenset[str]:
        """Return the ids of a meeting's recordings that have not ended."""
        return frozenset(self._in_progress.get(meeting_id, ()))

    def all_in_progress(self) -> frozenset[str]:
        """Return the ids of all recordings that have not ended."""
        return frozenset().union(*self._in_progress.values())

    def put(self, known: KnownRecording) -> None:
        """Take in a recording as it is known now."""
        before = self._known.get(known.recording_id)
        if before is None or before.recording != known.recording:
            self.revision += 1
        self._known[known.recording_id] = known
        self._departed.pop(known.recording_id, None)
        self._note(known, is_under_way=not known.is_finished)

    def remove(self, known: KnownRecording, outcome: Outcome | None = None) -> None:
        """Let a recording go, but for how it ended: *outcome*, where that is not known yet."""
        del self._known[known.recording_id]
        self._note(known, is_under_way=False)
        self._departed[known.recording_id] = Tombstone(
            known.outcome or outcome, known.recording.started_timestamp_seconds
        )
        while len(self._departed) > _REMEMBERED:
            del self._departed[next(iter(self._departed))]
        self.revision += 1

    @property
    def departed(self) -> Mapping[str, Tombstone]:
        """Return what is kept of those that have left, by their ids."""
        return dict(self._departed)

    def departure(self, recording_id: str) -> Tombstone | None:
        """Return what is kept of a recording that was known, and has left."""
        return self._departed.get(recording_id)

    def has_room(self, known: KnownRecording) -> bool:
        """Tell whether a recording would not have to leave at once for those that are there."""
        return len(self._known) < self._largest or _standing(known) > self._oldest

    def drop_surplus(self) -> int:
        """Drop what ended longest ago, then what began longest ago; return how many."""
        surplus = len(self._known) - self._largest
        if surplus < 0:
            return 0
        oldest_first = sorted(self._known.values(), key=_standing)
        for known in oldest_first[:surplus]:
            self.remove(known)
        self._oldest = _standing(oldest_first[surplus])
        return surplus

    def _note(self, known: KnownRecording, *, is_under_way: bool) -> None:
        in_progress = self._in_progress.setdefault(known.meeting.meeting_id, set())
        if is_under_way:
            in_progress.add(known.recording_id)
        else:
            in_progress.discard(known.recording_id)
        if not in_progress:
            del self._in_progress[known.meeting.meeting_id]


def _standing(known: KnownRecording) -> tuple[bool, float]:
    """Return what puts those first that have to leave first."""
    return not known.is_finished, ended_at(known)

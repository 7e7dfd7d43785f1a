"""The known recordings of one app, by id, and tombstones of the evicted ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rk_exporter.model.ids import canonical
from rk_exporter.model.recording import Outcome
from rk_exporter.tracking.lifecycle import KnownRecording, ended_at


# Enough tombstones that a late answer does not count an evicted recording again.
_MOST_TOMBSTONES = 10_000


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The outcome, if any, and the start of an evicted recording, so that neither counts again."""

    outcome: Outcome | None = None
    started_timestamp_seconds: float | None = None


class RecordingStore:
    """The known recordings of one app; *evict_surplus* leaves at most *largest* of them."""

    def __init__(self, largest: int, tombstones: Mapping[str, Tombstone]) -> None:
        self._largest = largest
        self._known: dict[str, KnownRecording] = {}
        self._in_progress: dict[str, set[str]] = {}
        self._tombstones = dict(tombstones)
        # A full store evicts a new recording that does not come after this immediately.
        self._next_to_evict = (False, 0.0)
        self.revision = 0
        """Incremented by every change, except when a reading only confirms the last one."""

    def __iter__(self) -> Iterator[KnownRecording]:
        """Return all recordings, in the order in which they were added."""
        return iter(tuple(self._known.values()))

    def get(self, recording_id: str) -> KnownRecording | None:
        """Return a recording, if it is known."""
        return self._known.get(recording_id)

    def in_progress(self, meeting_id: str) -> frozenset[str]:
        """Return the ids of a meeting's recordings that have not ended."""
        return frozenset(self._in_progress.get(canonical(meeting_id), ()))

    def all_in_progress(self) -> frozenset[str]:
        """Return the ids of all recordings that have not ended."""
        return frozenset().union(*self._in_progress.values())

    def upsert(self, known: KnownRecording) -> None:
        """Add a recording, or replace its last version."""
        before = self._known.get(known.recording_id)
        if before is None or before.recording != known.recording:
            self.revision += 1
        self._known[known.recording_id] = known
        self._tombstones.pop(known.recording_id, None)
        if known.is_finished:
            self._end_progress(known)
        else:
            meeting_id = canonical(known.meeting.meeting_id)
            self._in_progress.setdefault(meeting_id, set()).add(known.recording_id)

    def evict(self, known: KnownRecording, outcome: Outcome | None = None) -> None:
        """Replace a recording by a tombstone, with its own outcome or else *outcome*."""
        del self._known[known.recording_id]
        self._end_progress(known)
        self._tombstones[known.recording_id] = Tombstone(
            known.outcome or outcome, known.recording.started_timestamp_seconds
        )
        while len(self._tombstones) > _MOST_TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]
        self.revision += 1

    @property
    def tombstones(self) -> Mapping[str, Tombstone]:
        """Return the tombstones of evicted recordings by id."""
        return dict(self._tombstones)

    def tombstone(self, recording_id: str) -> Tombstone | None:
        """Return the tombstone of a recording, if it was evicted."""
        return self._tombstones.get(recording_id)

    def has_room(self, known: KnownRecording) -> bool:
        """Return whether a new recording would stay when the surplus is evicted."""
        return len(self._known) < self._largest or _eviction_order(known) > self._next_to_evict

    def evict_surplus(self) -> int:
        """Evict what ended, then what started, longest ago; return how many were evicted."""
        surplus = len(self._known) - self._largest
        if surplus < 0:
            return 0
        first_to_last = sorted(self._known.values(), key=_eviction_order)
        for known in first_to_last[:surplus]:
            self.evict(known)
        self._next_to_evict = _eviction_order(first_to_last[surplus])
        return surplus

    def _end_progress(self, known: KnownRecording) -> None:
        meeting_id = canonical(known.meeting.meeting_id)
        recording_ids = self._in_progress.get(meeting_id, set())
        recording_ids.discard(known.recording_id)
        if not recording_ids:
            self._in_progress.pop(meeting_id, None)


def _eviction_order(known: KnownRecording) -> tuple[bool, float]:
    return not known.is_finished, ended_at(known)

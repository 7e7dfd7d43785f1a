"""The recordings of one app that are known, found by their ids, and how those ended that left."""

from collections.abc import Iterator, Mapping

from rk_exporter.lives import ended_at
from rk_exporter.recordings import KnownRecording, Outcome


# How many of those that have left are kept in mind, so that no late answer has them counted again.
_REMEMBERED = 10_000


class Register:
    """The known recordings of one app, at most *largest* once surplus ones were dropped."""

    def __init__(self, largest: int, departed: Mapping[str, Outcome | None]) -> None:
        self._largest = largest
        self._known: dict[str, KnownRecording] = {}
        self._under_way: dict[str, set[str]] = {}
        self._departed = dict(departed)
        # When it is full: what ended before that would have to leave at once.
        self._oldest_end = 0.0
        self.revision = 0
        """Raised by each change, but for a recording that was only read again."""

    def __iter__(self) -> Iterator[KnownRecording]:
        """Return all that are known, those known longest first."""
        return iter(tuple(self._known.values()))

    def get(self, recording_id: str) -> KnownRecording | None:
        """Return a recording, if it is known."""
        return self._known.get(recording_id)

    def under_way(self, meeting_id: str) -> frozenset[str]:
        """Return the ids of a meeting's recordings that have not ended."""
        return frozenset(self._under_way.get(meeting_id, ()))

    def all_under_way(self) -> frozenset[str]:
        """Return the ids of all recordings that have not ended."""
        return frozenset().union(*self._under_way.values())

    def put(self, known: KnownRecording) -> None:
        """Take in a recording as it is known now."""
        before = self._known.get(known.recording_id)
        if before is None or before.recording != known.recording:
            self.revision += 1
        self._known[known.recording_id] = known
        under_way = self._under_way.setdefault(known.meeting.meeting_id, set())
        if known.is_finished:
            under_way.discard(known.recording_id)
        else:
            under_way.add(known.recording_id)

    def remove(self, known: KnownRecording, outcome: Outcome | None = None) -> None:
        """Let a recording go, but for how it ended: *outcome*, where that is not known yet."""
        del self._known[known.recording_id]
        under_way = self._under_way[known.meeting.meeting_id]
        under_way.discard(known.recording_id)
        if not under_way:
            del self._under_way[known.meeting.meeting_id]
        self._departed[known.recording_id] = known.outcome or outcome
        while len(self._departed) > _REMEMBERED:
            del self._departed[next(iter(self._departed))]
        self.revision += 1

    def has_left(self, recording_id: str) -> bool:
        """Tell whether a recording was known, and was let go."""
        return recording_id in self._departed

    def bring_back(self, recording_id: str) -> Outcome | None:
        """Return how a recording that is seen again had ended, if it had."""
        return self._departed.pop(recording_id)

    @property
    def departed(self) -> Mapping[str, Outcome | None]:
        """Return how those ended that have left, by their ids."""
        return dict(self._departed)

    def has_room(self, known: KnownRecording) -> bool:
        """Tell whether a recording would not have to leave at once for those that ended later."""
        is_full = len(self._known) >= self._largest
        return not (is_full and known.is_finished and ended_at(known) <= self._oldest_end)

    def drop_surplus(self) -> int:
        """Drop what ended longest ago, then what began longest ago; return how many."""
        surplus = len(self._known) - self._largest
        if surplus < 0:
            return 0
        oldest_first = sorted(
            self._known.values(), key=lambda each: (not each.is_finished, ended_at(each))
        )
        for known in oldest_first[:surplus]:
            self.remove(known)
        oldest = oldest_first[surplus]
        self._oldest_end = ended_at(oldest) if oldest.is_finished else float("inf")
        return surplus

"""The known recordings of one app, by id, and tombstones of the evicted ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from rk_exporter.model.ids import canonical
from rk_exporter.model.recording import Outcome, Status
from rk_exporter.tracking.lifecycle import (
    FollowRules,
    KnownRecording,
    ended_at,
    expiry_check_at,
    may_be_due,
)
from rk_exporter.tracking.ranking import began_at, rank
from rk_exporter.tracking.retention import shown_until
from rk_exporter.tracking.sorted_index import SortedIndex
from rk_exporter.tracking.totals import WITHIN_SECONDS, RecordingTotals, expires_at


K = TypeVar("K")
# Memory is the only reason to evict a recording before its time: this takes about 200 MB.
MOST_RECORDINGS = 100_000
# A late answer must not count an evicted recording again. The API's list shows a recording for
# days after its eviction, so there are as many tombstones as recordings.
_MOST_TOMBSTONES = MOST_RECORDINGS


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The outcome, if any, and the start of an evicted recording, so that neither counts again."""

    outcome: Outcome | None = None
    started_timestamp_seconds: float | None = None


class RecordingStore:
    """
    The known recordings of one app; *evict_surplus* leaves at most *largest* of them.

    Indexes keep what each pass asks, because a pass must not look at all recordings.
    """

    def __init__(
        self,
        rules: FollowRules,
        recordings: Iterable[KnownRecording] = (),
        tombstones: Mapping[str, Tombstone] | None = None,
        *,
        largest: int = MOST_RECORDINGS,
    ) -> None:
        self._largest = largest
        self._known = {known.recording_id: known for known in recordings}
        self._in_progress: dict[str, set[str]] = {}
        # A dictionary keeps the order.
        self._may_be_due: dict[str, None] = {}
        self._by_status = dict.fromkeys(Status, 0)
        known = self._known.values()
        self._by_rank = SortedIndex(_of_finished(rank), known)
        self._by_end = SortedIndex(_of_finished(ended_at), known)
        self._by_shown_until = SortedIndex(partial(shown_until, rules=rules), known)
        self._by_expiry = SortedIndex(expires_at, known)
        self._by_expiry_check = SortedIndex(expiry_check_at, known)
        for item in known:
            self._add_to_groups(item)
        self._tombstones = {
            recording_id: tombstone
            for recording_id, tombstone in (tombstones or {}).items()
            if recording_id not in self._known
        }
        self.revision = 0
        """Incremented by every change, except when a reading only confirms the last one."""

    def change_rules(self, rules: FollowRules) -> None:
        """Keep the recordings, but show them for as long as other *rules* say."""
        key = partial(shown_until, rules=rules)
        self._by_shown_until = SortedIndex(key, self._known.values())

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

    def oldest_in_progress(self) -> list[KnownRecording]:
        """Return all recordings that have not ended; the one that began first comes first."""
        in_progress = (self._known[recording_id] for recording_id in self.all_in_progress())
        return sorted(in_progress, key=_age)

    def first_finished(self, count: int) -> list[KnownRecording]:
        """Return the finished recordings that come first in their ranks."""
        return [self._known[recording_id] for recording_id in self._by_rank.first(count)]

    def no_longer_shown(self, *, now: float) -> list[KnownRecording]:
        """Return the recordings whose time is over *now*, by the API's clock."""
        return [self._known[recording_id] for recording_id in self._by_shown_until.up_to(now)]

    def perhaps_due(self, *, now: float) -> list[KnownRecording]:
        """Return all recordings that may have to be read by id *now*, by the API's clock."""
        recording_ids = [*self._may_be_due, *self._by_expiry_check.up_to(now)]
        return [self._known[recording_id] for recording_id in recording_ids]

    def totals(self, *, shown_finished: int, now: float) -> RecordingTotals:
        """Return the totals, if some finished recordings are shown *now*, by the API's clock."""
        gone = self._by_expiry.count_up_to(now)
        return RecordingTotals(
            by_status=dict(self._by_status),
            expiring={
                name: self._by_expiry.count_up_to(now + seconds) - gone
                for name, seconds in WITHIN_SECONDS.items()
            },
            earliest_expiry_timestamp_seconds=self._by_expiry.first_key(after=now),
            hidden=len(self._by_rank) - shown_finished,
        )

    def upsert(self, known: KnownRecording) -> None:
        """Add a recording, or replace its last version."""
        before = self._known.get(known.recording_id)
        if before is None or before.recording != known.recording:
            self.revision += 1
        self._replace(before, known)
        self._tombstones.pop(known.recording_id, None)

    def evict(self, known: KnownRecording, outcome: Outcome | None = None) -> None:
        """Replace a recording by a tombstone, with its own outcome or else *outcome*."""
        self._replace(self._known[known.recording_id], None)
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
        if not self.is_full:
            return True
        first_end = self._by_end.first_key()
        if first_end is not None:
            return not known.is_finished or ended_at(known) > first_end
        return not known.is_finished and _age(known) < _age(self.oldest_in_progress()[-1])

    @property
    def is_full(self) -> bool:
        """Return whether a new recording takes the place of another one."""
        return len(self._known) >= self._largest

    def evict_surplus(self) -> int:
        """
        Evict recordings until the rest fits, and return how many.

        Those that ended longest ago go first. If all are in progress, the newest go.
        """
        surplus = max(0, len(self._known) - self._largest)
        evicted = [self._known[recording_id] for recording_id in self._by_end.first(surplus)]
        if missing := surplus - len(evicted):
            evicted += self.oldest_in_progress()[-missing:]
        for known in evicted:
            self.evict(known)
        return surplus

    def _replace(self, before: KnownRecording | None, after: KnownRecording | None) -> None:
        self._by_rank.replace(before, after)
        self._by_end.replace(before, after)
        self._by_shown_until.replace(before, after)
        self._by_expiry.replace(before, after)
        self._by_expiry_check.replace(before, after)
        if before is not None:
            self._remove_from_groups(before)
        if after is not None:
            self._known[after.recording_id] = after
            self._add_to_groups(after)
        elif before is not None:
            del self._known[before.recording_id]

    def _add_to_groups(self, known: KnownRecording) -> None:
        self._by_status[known.recording.status] += 1
        if may_be_due(known):
            self._may_be_due[known.recording_id] = None
        if not known.is_finished:
            meeting_id = canonical(known.meeting.meeting_id)
            self._in_progress.setdefault(meeting_id, set()).add(known.recording_id)

    def _remove_from_groups(self, known: KnownRecording) -> None:
        self._by_status[known.recording.status] -= 1
        self._may_be_due.pop(known.recording_id, None)
        meeting_id = canonical(known.meeting.meeting_id)
        recording_ids = self._in_progress.get(meeting_id, set())
        recording_ids.discard(known.recording_id)
        if not recording_ids:
            self._in_progress.pop(meeting_id, None)


def _age(known: KnownRecording) -> tuple[float, str]:
    return began_at(known), known.recording_id


def _of_finished(key: Callable[[KnownRecording], K]) -> Callable[[KnownRecording], K | None]:
    return lambda known: key(known) if known.is_finished else None

"""The changes in a scenario, and how soon scrapes show them."""

import math

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rk_exporter.simulator import TERMINAL, Recording, Scenario


# Every recording of a scenario exists for at least this time.
_SHORTEST_SECONDS = 1.0


def recordings_between(scenario: Scenario, begin: float, end: float) -> list[Recording]:
    """Return all recordings that exist at some time from *begin* to *end*."""
    found = {
        recording.id: recording
        for recording in scenario.recordings(begin, since=begin - scenario.longest_seconds)
    }
    for step in range(1, math.ceil((end - begin) / _SHORTEST_SECONDS) + 1):
        now = begin + step * _SHORTEST_SECONDS
        found.update((r.id, r) for r in scenario.recordings(now, since=now - _SHORTEST_SECONDS))
    return [
        recording
        for recording in found.values()
        if recording.invoked_at <= end and ends_at(recording) > begin
    ]


def ends_at(recording: Recording) -> float:
    """Return when a recording reaches its last state or vanishes; inf if it never does."""
    status, at = recording.phases[-1]
    return min(at if status in TERMINAL else math.inf, recording.vanishes_at)


class Change(NamedTuple):
    """A recording enters a state, or vanishes, *at* a moment."""

    at: float
    recording: Recording

    @property
    def is_vanishing(self) -> bool:
        """Return whether the recording vanishes."""
        return self.at == self.recording.vanishes_at


def changes_of(recordings: Iterable[Recording]) -> list[Change]:
    """Return all changes of *recordings*, oldest first."""
    changes = []
    for recording in recordings:
        moments = [at for _, at in recording.phases if at < recording.vanishes_at]
        if recording.vanishes_at < math.inf:
            moments.append(recording.vanishes_at)
        changes += [Change(at, recording) for at in moments]
    return sorted(changes, key=lambda change: change.at)


@dataclass(frozen=True, slots=True)
class Delays:
    """The seconds from changes to the ends of the scrapes that showed them, shortest first."""

    seconds: tuple[float, ...]
    unseen: int = 0
    """Changes that no scrape showed."""

    @property
    def count(self) -> int:
        """How many changes there were, unseen ones included."""
        return len(self.seconds) + self.unseen

    @property
    def median(self) -> float:
        """The median delay."""
        return self.quantile(0.5)

    @property
    def p99(self) -> float:
        """The 99th percentile of the delays."""
        return self.quantile(0.99)

    def quantile(self, share: float) -> float:
        """Return the longest delay of a *share* of the changes; inf if they were not seen."""
        rank = max(0, math.ceil(share * self.count) - 1)
        if not self.count:
            return math.nan
        return self.seconds[rank] if rank < len(self.seconds) else math.inf


@dataclass(frozen=True, slots=True)
class Visibility:
    """How soon changes were seen."""

    start: Delays
    """Of recordings that no scrape had shown yet."""
    progress: Delays
    """Of recordings that a scrape had shown before they changed."""
    all: Delays
    recordings: int
    """How many recordings began."""
    missed: int
    """How many of those no scrape showed."""

    @property
    def missed_share(self) -> float:
        """The part of the recordings that were never seen."""
        return self.missed / self.recordings if self.recordings else 0.0


class VisibilityRecorder:
    """
    Watches for changes of *recordings*; counts those from *counted_from* until *counted_until*.

    A change is seen at the end of the first scrape that shows its recording as it was read after
    the change. The end of a vanished recording is seen when it is no longer shown.
    """

    def __init__(
        self, recordings: Iterable[Recording], *, counted_from: float, counted_until: float
    ) -> None:
        self._to_come = deque(changes_of(recordings))
        self._counted_from, self._counted_until = counted_from, counted_until
        self._pending: defaultdict[str, deque[Change]] = defaultdict(deque)
        self._first_shown_at: dict[str, float] = {}
        self._started = 0
        self._missed = 0
        self._start: list[float] = []
        self._progress: list[float] = []

    def observe(self, read_at: Mapping[str, float], ended_at: float) -> None:
        """Record what a scrape showed: *read_at* has the read times of recordings, by their ids."""
        while self._to_come and self._to_come[0].at <= ended_at:
            change = self._to_come.popleft()
            self._pending[change.recording.id].append(change)
        for recording_id, pending in list(self._pending.items()):
            seen_until = read_at.get(recording_id, -math.inf)
            while pending and pending[0].at <= seen_until:
                self._record_shown(pending.popleft(), ended_at)
            if recording_id in self._first_shown_at and recording_id not in read_at:
                self._record_vanished(pending, ended_at)
            if not pending:
                del self._pending[recording_id]

    def result(self) -> Visibility:
        """Return the result, including the changes that were never seen."""
        for change in self._to_come:
            self._pending[change.recording.id].append(change)
        self._to_come.clear()
        unseen: Counter[bool] = Counter()
        for pending in self._pending.values():
            for change in pending:
                if self._counts(change):
                    unseen[change.recording.id in self._first_shown_at] += 1
                    self._record_start(change, is_seen=False)
        self._pending.clear()
        return Visibility(
            start=Delays(tuple(sorted(self._start)), unseen[False]),
            progress=Delays(tuple(sorted(self._progress)), unseen[True]),
            all=Delays(tuple(sorted(self._start + self._progress)), unseen.total()),
            recordings=self._started,
            missed=self._missed,
        )

    def _record_vanished(self, pending: deque[Change], ended_at: float) -> None:
        """Record the end of a recording that was shown, and no longer is."""
        if pending and pending[-1].is_vanishing:
            while pending:
                self._record_shown(pending.popleft(), ended_at)

    def _record_shown(self, change: Change, ended_at: float) -> None:
        first_shown_at = self._first_shown_at.setdefault(change.recording.id, ended_at)
        if self._counts(change):
            # Changes before a recording is first shown belong to its start.
            delays = self._progress if first_shown_at <= change.at else self._start
            delays.append(ended_at - change.at)
            self._record_start(change, is_seen=True)

    def _counts(self, change: Change) -> bool:
        return self._counted_from <= change.at < self._counted_until

    def _record_start(self, change: Change, *, is_seen: bool) -> None:
        if change.at == change.recording.invoked_at:
            self._started += 1
            self._missed += not is_seen

"""What is looked at after each scrape of a simulated fleet, and what comes of it in the end."""

import math
import statistics

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.changes import Lookout, Visibility
from bench.truth import Truth
from rk_exporter.recordings import Reading
from rk_exporter.simulator import RequestLog
from rk_exporter.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape that was answered."""

    begun_at: float
    ended_at: float
    is_complete: bool
    """Every meeting was read after it had begun."""
    deferred: int

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended_at - self.begun_at


@dataclass(frozen=True, slots=True)
class IdleGaps:
    """How often so many seconds lay between two readings of a meeting without recording."""

    counts: Mapping[float, int]

    @property
    def median(self) -> float:
        """How far apart two such readings mostly are."""
        left = sum(self.counts.values()) / 2
        for gap in sorted(self.counts):
            left -= self.counts[gap]
            if left <= 0:
                return gap
        return math.nan

    @property
    def longest(self) -> float:
        """How far apart two such readings ever were."""
        return max(self.counts, default=math.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a fleet's scrapes showed, and what they took."""

    visibility: Visibility
    idle_gaps: IdleGaps
    scrapes: Sequence[Scrape]
    lost_scrapes: int
    """Those whose exporter was killed meanwhile."""
    differences: Sequence[str]
    """Readings that were not what the story says."""
    requests: RequestLog
    last_snapshot: Snapshot | None
    took_seconds: float
    """In real time."""

    @property
    def complete_share(self) -> float:
        """The part of the scrapes, but for the first two, in which every meeting was read."""
        settled = self.scrapes[2:]
        return sum(scrape.is_complete for scrape in settled) / max(1, len(settled))

    @property
    def median_deferred(self) -> float:
        """How many meetings a scrape left for another."""
        return statistics.median(scrape.deferred for scrape in self.scrapes)

    @property
    def longest_scrape_seconds(self) -> float:
        """How long the slowest scrape took."""
        return max((scrape.seconds for scrape in self.scrapes), default=0.0)


class _Last(NamedTuple):
    """A meeting's last reading."""

    read_at: float
    is_idle: bool


class Observer:
    """Looks at each scrape."""

    def __init__(self, lookout: Lookout, truth: Truth) -> None:
        self._lookout = lookout
        self._truth = truth
        self._last: dict[str, _Last] = {}
        self._shown: set[str] = set()
        self._gone: set[str] = set()
        self._gaps: Counter[float] = Counter()
        self._scrapes: list[Scrape] = []
        self._differences: list[str] = []
        self._snapshot: Snapshot | None = None

    def observe(self, snapshot: Snapshot, begun_at: float, ended_at: float) -> None:
        """Look at the answer to a scrape."""
        fresh: dict[str, float] = {}
        is_complete = True
        readings = [reading for app in snapshot.apps for reading in app.readings]
        for reading in readings:
            read_at = reading.last_success_timestamp_seconds
            is_complete = is_complete and read_at is not None and read_at >= begun_at
            if read_at is not None and self._note(reading, read_at):
                fresh[reading.meeting.meeting_id] = read_at
                self._compare(reading, read_at, begun_at, ended_at)
        self._miss({reading.meeting.meeting_id for reading in readings}, begun_at, ended_at)
        self._lookout.observe(fresh, self._gone, begun_at, ended_at)
        deferred = sum(app.deferred or 0 for app in snapshot.apps)
        self._scrapes.append(Scrape(begun_at, ended_at, is_complete, deferred))
        self._snapshot = snapshot

    def restart(self) -> None:
        """Expect nothing of the next scrape: a new exporter answers it."""
        self._shown, self._gone = set(), set()

    def outcome(self, requests: RequestLog, *, lost_scrapes: int, took_seconds: float) -> Outcome:
        """Tell what came of it, once the last scrape was looked at."""
        return Outcome(
            visibility=self._lookout.result(),
            idle_gaps=IdleGaps(self._gaps),
            scrapes=self._scrapes,
            lost_scrapes=lost_scrapes,
            differences=self._differences,
            requests=requests,
            last_snapshot=self._snapshot,
            took_seconds=took_seconds,
        )

    def _note(self, reading: Reading, read_at: float) -> bool:
        """Note a reading, and tell whether it is a new one."""
        meeting_id = reading.meeting.meeting_id
        last = self._last.get(meeting_id)
        if last is not None and last.read_at == read_at:
            return False
        recordings = reading.recordings
        is_idle = not recordings or not any(recording.in_progress for recording in recordings)
        if last is not None and last.is_idle and is_idle:
            # There may be millions; a tenth of a second is near enough.
            self._gaps[round(read_at - last.read_at, 1)] += 1
        self._last[meeting_id] = _Last(read_at, is_idle)
        return True

    def _compare(self, reading: Reading, read_at: float, begun_at: float, ended_at: float) -> None:
        if read_at < begun_at and self._scrapes:
            # The pass was another's, which may have gone on after his scrape.
            begun_at = self._scrapes[-1].begun_at
        meeting_id = reading.meeting.meeting_id
        self._tell(
            meeting_id,
            self._truth.difference(
                meeting_id, reading.recordings or (), min(begun_at, read_at), ended_at
            ),
            ended_at,
        )

    def _miss(self, shown: set[str], begun_at: float, ended_at: float) -> None:
        """Note which meetings are no longer shown; only what has ended may go."""
        newly_gone = self._shown - shown
        for meeting_id in newly_gone:
            last = self._last.get(meeting_id)
            if last is not None and not last.is_idle:
                difference = self._truth.difference(meeting_id, (), begun_at, ended_at)
                self._tell(meeting_id, difference, ended_at)
        self._gone = (self._gone | newly_gone) - shown
        self._shown = shown

    def _tell(self, meeting_id: str, difference: str | None, ended_at: float) -> None:
        if difference is not None:
            self._differences.append(f"{meeting_id}, scraped at {ended_at:.3f}: {difference}")

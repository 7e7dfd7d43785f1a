"""Checks after each scrape of a simulated fleet, and their results."""

import math
import statistics

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rk_exporter.model.recording import Status
from rk_exporter.simulator import RequestLog
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.changes import Visibility, VisibilityRecorder
from tests.support.truth import Truth


# In the first scrapes, there are few calls yet.
_SETTLED = 2


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape and its answer."""

    begun_at: float
    ended_at: float
    meetings: int
    unread: int
    """Meetings that were not read after the scrape began."""
    deferred: int

    @property
    def seconds(self) -> float:
        """The duration of the scrape."""
        return self.ended_at - self.begun_at

    @property
    def is_complete(self) -> bool:
        """Whether every meeting was read after the scrape began."""
        return self.unread == 0


@dataclass(frozen=True, slots=True)
class IdleGaps:
    """How often two readings of an idle meeting were this number of seconds apart."""

    counts: Mapping[float, int]

    @property
    def median(self) -> float:
        """The median time between two such readings."""
        left = sum(self.counts.values()) / 2
        for gap in sorted(self.counts):
            left -= self.counts[gap]
            if left <= 0:
                return gap
        return math.nan

    @property
    def longest(self) -> float:
        """The longest time between two such readings."""
        return max(self.counts, default=math.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a fleet's scrapes, and their cost."""

    visibility: Visibility
    idle_gaps: IdleGaps
    scrapes: Sequence[Scrape]
    lost_scrapes: int
    """Scrapes whose exporter was killed."""
    differences: Sequence[str]
    """Differences between the expositions and the scenario."""
    requests: RequestLog
    last_snapshot: Snapshot | None
    took_seconds: float
    """The real time of the run."""

    @property
    def complete_share(self) -> float:
        """The part of the scrapes, except the first two, that read every meeting."""
        settled = self.scrapes[_SETTLED:]
        return sum(scrape.is_complete for scrape in settled) / max(1, len(settled))

    @property
    def read_share(self) -> float:
        """The part of the meetings that one of these scrapes reads, on average."""
        settled = self.scrapes[_SETTLED:]
        meetings = sum(scrape.meetings for scrape in settled)
        return 1.0 - sum(scrape.unread for scrape in settled) / max(1, meetings)

    @property
    def median_deferred(self) -> float:
        """The median number of deferred meetings."""
        return statistics.median(scrape.deferred for scrape in self.scrapes)

    @property
    def longest_scrape_seconds(self) -> float:
        """The duration of the slowest scrape."""
        return max((scrape.seconds for scrape in self.scrapes), default=0.0)


class _Last(NamedTuple):
    """A meeting's last reading."""

    read_at: float
    is_idle: bool


class _Recordings:
    """Compares the recordings that an exporter shows, at most *most*, with the *truth*."""

    def __init__(self, truth: Truth, most: int) -> None:
        self._truth = truth
        self._most = most
        self.read_at: Mapping[str, float] = {}
        """The read times of the recordings in the last scrape, by their ids."""
        self.meetings: frozenset[str] = frozenset()
        """The ids of meetings with a recording that has not ended."""
        self._finished: set[str] = set()
        self._finished_count = 0
        self._since: float | None = None
        self._is_restored = False

    def restart(self) -> None:
        """Expect nothing of the next scrape, because a new exporter answers it."""
        self._finished = set()
        self._since, self._is_restored = None, False

    def check(self, snapshot: Snapshot, asked_at: float, begun_at: float) -> Iterator[str]:
        """Return what is wrong in a scrape; its new readings were requested after *asked_at*."""
        recordings = [known for app in snapshot.apps for known in app.recordings]
        for known in recordings:
            if known.read_at != self.read_at.get(known.recording_id):
                since = min(asked_at if known.read_at < begun_at else begun_at, known.read_at)
                difference = self._truth.difference(known, since, known.read_at)
                if difference:
                    yield difference
        self.read_at = {known.recording_id: known.read_at for known in recordings}
        self._finished_count = sum(known.is_finished for known in recordings)
        self.meetings = frozenset(
            known.meeting.meeting_id for known in recordings if not known.is_finished
        )
        self._finished |= {known.recording_id for known in recordings if known.is_finished}
        is_restored = all(app.is_restored for app in snapshot.apps)
        self._expect_restored(begun_at, is_restored=is_restored)
        for recording_id in sorted(self._lacking(recordings, snapshot.taken_at)):
            yield f"{recording_id} is not shown, but has ended"

    def _expect_restored(self, begun_at: float, *, is_restored: bool) -> None:
        """Expect recordings that ended before the start, as soon as they are restored."""
        if self._since is None:
            self._since = begun_at
        if is_restored and not self._is_restored and not self._is_full:
            self._finished |= self._truth.ended_by(self._since)
        self._is_restored = is_restored

    @property
    def _is_full(self) -> bool:
        return self._finished_count >= self._most

    def _lacking(self, recordings: Iterable[KnownRecording], now: float) -> set[str]:
        """Return the finished recordings that left too early, each once."""
        gone = self._finished - self.read_at.keys()
        self._finished -= gone
        lacking = self._truth.kept(gone, now)
        if not self._is_full:
            return lacking
        # If there are too many, those that expire next stay.
        ends = [
            self._truth.ended_at(known.recording_id)
            for known in recordings
            if known.recording.status is Status.UPLOADED
        ]
        oldest = min(ends, default=math.inf)
        return {
            recording_id for recording_id in lacking if self._truth.ended_at(recording_id) < oldest
        }


class Observer:
    """Checks each scrape of an exporter that shows at most *most_recordings*."""

    def __init__(self, recorder: VisibilityRecorder, truth: Truth, *, most_recordings: int) -> None:
        self._recorder = recorder
        self._truth = truth
        self._recordings = _Recordings(truth, most_recordings)
        self._last: dict[str, _Last] = {}
        self._shown: set[str] = set()
        self._gaps: Counter[float] = Counter()
        self._scrapes: list[Scrape] = []
        self._differences: list[str] = []
        self._snapshot: Snapshot | None = None

    def observe(self, snapshot: Snapshot, begun_at: float, ended_at: float) -> None:
        """Check the answer to a scrape."""
        # Another scrape may have started the pass.
        asked_at = self._scrapes[-1].begun_at if self._scrapes else begun_at
        for difference in self._recordings.check(snapshot, asked_at, begun_at):
            self._report(difference, ended_at)
        unread = 0
        readings = [reading for app in snapshot.apps for reading in app.readings]
        for reading in readings:
            meeting_id = reading.meeting.meeting_id
            read_at = reading.last_success_timestamp_seconds
            is_read = read_at is not None and read_at >= begun_at
            unread += not is_read
            if read_at is not None and self._note(meeting_id, read_at):
                since = min(begun_at if is_read else asked_at, read_at)
                self._compare(meeting_id, self._recordings.read_at, since, ended_at)
        self._miss({reading.meeting.meeting_id for reading in readings}, begun_at, ended_at)
        self._recorder.observe(self._recordings.read_at, ended_at)
        deferred = sum(app.deferred or 0 for app in snapshot.apps)
        self._scrapes.append(Scrape(begun_at, ended_at, len(readings), unread, deferred))
        self._snapshot = snapshot

    def restart(self) -> None:
        """Expect nothing of the next scrape, because a new exporter answers it."""
        self._shown = set()
        self._recordings.restart()

    def outcome(self, requests: RequestLog, *, lost_scrapes: int, took_seconds: float) -> Outcome:
        """Return the result after the last scrape."""
        return Outcome(
            visibility=self._recorder.result(),
            idle_gaps=IdleGaps(self._gaps),
            scrapes=self._scrapes,
            lost_scrapes=lost_scrapes,
            differences=self._differences,
            requests=requests,
            last_snapshot=self._snapshot,
            took_seconds=took_seconds,
        )

    def _note(self, meeting_id: str, read_at: float) -> bool:
        """Record a reading, and return whether it is a new one."""
        last = self._last.get(meeting_id)
        if last is not None and last.read_at == read_at:
            return False
        is_idle = meeting_id not in self._recordings.meetings
        if last is not None and last.is_idle and is_idle:
            # There may be millions of gaps, so a tenth of a second is exact enough.
            self._gaps[round(read_at - last.read_at, 1)] += 1
        self._last[meeting_id] = _Last(read_at, is_idle)
        return True

    def _miss(self, shown: set[str], begun_at: float, ended_at: float) -> None:
        """Check the meetings that are no longer shown: their recordings must have ended."""
        for meeting_id in self._shown - shown:
            self._compare(meeting_id, (), begun_at, ended_at)
        self._shown = shown

    def _compare(
        self, meeting_id: str, shown_ids: Collection[str], begun_at: float, ended_at: float
    ) -> None:
        """Record the recordings of a meeting that are missing."""
        lacking = self._truth.lacking(meeting_id, shown_ids, begun_at, ended_at)
        if lacking:
            self._report(lacking, ended_at)

    def _report(self, difference: str, ended_at: float) -> None:
        self._differences.append(f"scraped at {ended_at:.3f}: {difference}")

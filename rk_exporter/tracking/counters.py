"""The counters of one app's recordings: frozen values, so that a snapshot can hold them."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rk_exporter.model.recording import Kind, Outcome, Status


# A recording usually starts about 2 s after it was invoked; a minute means that something is wrong.
START_DELAY_BOUNDS_SECONDS = (
    0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0,
)  # fmt: skip
# Uploads take from seconds to an hour, and the scrape interval limits the resolution.
UPLOAD_DELAY_BOUNDS_SECONDS = (
    5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
)  # fmt: skip
_STOPPED = (Status.UPLOADING, Status.UPLOADED, Status.ERRORED)
_POSSIBLE: Mapping[Status, frozenset[Status]] = {
    # A recording may pass through any number of states between two readings.
    Status.INVOKED: frozenset({Status.RECORDING, Status.PAUSED, *_STOPPED}),
    Status.RECORDING: frozenset({Status.PAUSED, *_STOPPED}),
    Status.PAUSED: frozenset({Status.RECORDING, *_STOPPED}),
    Status.UPLOADING: frozenset({Status.UPLOADED, Status.ERRORED}),
}


def is_possible(before: Status, after: Status) -> bool:
    """Return whether *after* can follow *before*; unknown states allow everything."""
    return (
        Status.UNKNOWN in {before, after} or before is after or after in _POSSIBLE.get(before, ())
    )


@dataclass(frozen=True, slots=True)
class Histogram:
    """The number of values in each bucket, and their sum."""

    bounds: tuple[float, ...]
    """The upper bound of each bucket but the last, which has none."""
    counts: tuple[int, ...]
    """The values of each bucket alone, not cumulative."""
    total: float = 0.0

    @classmethod
    def empty(cls, bounds: tuple[float, ...]) -> "Histogram":
        """Return a histogram without values."""
        return cls(bounds, (0,) * (len(bounds) + 1))

    def resumed(self, default: "Histogram") -> "Histogram":
        """Return this histogram, or *default* if the buckets differ."""
        is_alike = self.bounds == default.bounds and len(self.counts) == len(default.counts)
        return self if is_alike else default

    def observe(self, value: float) -> "Histogram":
        """Return this histogram plus *value*."""
        index = bisect_left(self.bounds, value)
        counts = (*self.counts[:index], self.counts[index] + 1, *self.counts[index + 1 :])
        return Histogram(self.bounds, counts, self.total + value)


_NO_STARTS = Histogram.empty(START_DELAY_BOUNDS_SECONDS)
_NO_UPLOADS = Histogram.empty(UPLOAD_DELAY_BOUNDS_SECONDS)


def _no_transitions() -> Mapping[Status, Mapping[Status, int]]:
    return {before: dict.fromkeys(sorted(after), 0) for before, after in _POSSIBLE.items()}


def _nothing_recorded() -> Mapping[Kind, float]:
    return dict.fromkeys(Kind, 0.0)


@dataclass(frozen=True, slots=True)
class RecordingCounters:
    """The counters of one app; each method returns the counters after one more event."""

    started: int = 0
    finished: Mapping[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    dropped: int = 0
    transitions: Mapping[Status, Mapping[Status, int]] = field(default_factory=_no_transitions)
    start_delay: Histogram = _NO_STARTS
    upload_delay: Histogram = _NO_UPLOADS
    recorded_seconds: Mapping[Kind, float] = field(default_factory=_nothing_recorded)
    recorded_bytes: Mapping[Kind, float] = field(default_factory=_nothing_recorded)

    def resumed(self) -> "RecordingCounters":
        """
        Return the counters of an earlier process, ready to count on.

        Counts that its version did not have start at 0, as do histograms with other buckets.
        """
        default = RecordingCounters()
        return replace(
            self,
            finished={**default.finished, **self.finished},
            transitions={
                before: {**default.transitions.get(before, {}), **self.transitions.get(before, {})}
                for before in {**default.transitions, **self.transitions}
            },
            start_delay=self.start_delay.resumed(_NO_STARTS),
            upload_delay=self.upload_delay.resumed(_NO_UPLOADS),
            recorded_seconds={**default.recorded_seconds, **self.recorded_seconds},
            recorded_bytes={**default.recorded_bytes, **self.recorded_bytes},
        )

    def start(self, delay_seconds: float | None) -> "RecordingCounters":
        """Count the start of a recording, *delay_seconds* after its invocation."""
        start_delay = self.start_delay
        if delay_seconds is not None:
            # Two machines may have written the two times.
            start_delay = start_delay.observe(max(0.0, delay_seconds))
        return replace(self, started=self.started + 1, start_delay=start_delay)

    def finish(self, outcome: Outcome) -> "RecordingCounters":
        """Count the end of a recording."""
        return replace(self, finished={**self.finished, outcome: self.finished[outcome] + 1})

    def upload(self, delay_seconds: float) -> "RecordingCounters":
        """Count an upload, at most *delay_seconds* after the end of the recording."""
        return replace(self, upload_delay=self.upload_delay.observe(max(0.0, delay_seconds)))

    def record_duration(self, kind: Kind, seconds: float) -> "RecordingCounters":
        """Count the length of an uploaded recording."""
        total = self.recorded_seconds[kind] + seconds
        return replace(self, recorded_seconds={**self.recorded_seconds, kind: total})

    def record_size(self, kind: Kind, size_bytes: float) -> "RecordingCounters":
        """Count the size of an uploaded recording's file."""
        total = self.recorded_bytes[kind] + size_bytes
        return replace(self, recorded_bytes={**self.recorded_bytes, kind: total})

    def drop(self, count: int) -> "RecordingCounters":
        """Count recordings that were evicted because there were too many."""
        return replace(self, dropped=self.dropped + count)

    def move(self, before: Status, after: Status) -> "RecordingCounters":
        """Count the change of a recording from one state to another."""
        onwards = self.transitions.get(before, {})
        moved = {**onwards, after: onwards.get(after, 0) + 1}
        return replace(self, transitions={**self.transitions, before: moved})

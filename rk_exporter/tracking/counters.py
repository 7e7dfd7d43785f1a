"""What became of an app's recordings, counted: frozen, so that a snapshot can hold it."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, TypeAlias

import msgspec

from rk_exporter.model.recording import Outcome, Status


Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


"""What a counter can hold, and a file that was damaged may not."""
# A recording starts about 2 s after it was asked for; after a minute something is wrong.
START_DELAY_BOUNDS_SECONDS = (
    0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0,
)  # fmt: skip
# Uploads take from seconds to an hour, and are seen with the rhythm of the scrapes.
UPLOAD_DELAY_BOUNDS_SECONDS = (
    5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
)  # fmt: skip
_RUNNING = (Status.RECORDING, Status.PAUSED)
_POSSIBLE: Mapping[Status, frozenset[Status]] = {
    # Between two readings a recording may pass through any number of states.
    Status.INVOKED: frozenset(
        {*_RUNNING, Status.UPLOADING, Status.UPLOADED, Status.ERRORED},
    ),
    Status.RECORDING: frozenset(
        {Status.PAUSED, Status.UPLOADING, Status.UPLOADED, Status.ERRORED},
    ),
    Status.PAUSED: frozenset(
        {Status.RECORDING, Status.UPLOADING, Status.UPLOADED, Status.ERRORED},
    ),
    Status.UPLOADING: frozenset({Status.UPLOADED, Status.ERRORED}),
}


def is_possible(before: Status, after: Status) -> bool:
    """Tell whether a recording can come from one state to another; of UNKNOWN nothing is known."""
    return Status.UNKNOWN in {before, after} or after in _POSSIBLE.get(before, ())


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values were at most each of *bounds*, and more than the last; and their sum."""

    bounds: tuple[float, ...]
    counts: tuple[Count, ...]
    """For each bound the values above the one before it, and at the end those above all."""
    total: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0

    @classmethod
    def of(cls, bounds: tuple[float, ...]) -> "Histogram":
        """Return one without values."""
        return cls(bounds, (0,) * (len(bounds) + 1))

    def or_if_unlike(self, other: "Histogram") -> "Histogram":
        """Return this, or the *other* where its bounds are not the same."""
        is_alike = self.bounds == other.bounds and len(self.counts) == len(other.counts)
        return self if is_alike else other

    def observe(self, value: float) -> "Histogram":
        """Return this with a *value* more."""
        at = bisect_left(self.bounds, value)
        counts = (*self.counts[:at], self.counts[at] + 1, *self.counts[at + 1 :])
        return Histogram(self.bounds, counts, self.total + value)


def _no_transitions() -> Mapping[Status, Mapping[Status, int]]:
    return {before: dict.fromkeys(sorted(after), 0) for before, after in _POSSIBLE.items()}


@dataclass(frozen=True, slots=True)
class RecordingCounters:
    """Counts of one app; each method returns this with one more."""

    started: Count = 0
    finished: Mapping[Outcome, Count] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    dropped: Count = 0
    transitions: Mapping[Status, Mapping[Status, Count]] = field(default_factory=_no_transitions)
    start_delay: Histogram = field(default_factory=lambda: Histogram.of(START_DELAY_BOUNDS_SECONDS))
    upload_delay: Histogram = field(
        default_factory=lambda: Histogram.of(UPLOAD_DELAY_BOUNDS_SECONDS)
    )

    def continued(self) -> "RecordingCounters":
        """
        Return this as a process goes on with it that may be of another version.

        Histograms begin anew where they had other bounds, and what it did not count is 0.
        """
        usual = RecordingCounters()
        return replace(
            self,
            finished={**usual.finished, **self.finished},
            transitions={
                before: {**usual.transitions.get(before, {}), **self.transitions.get(before, {})}
                for before in {**usual.transitions, **self.transitions}
            },
            start_delay=self.start_delay.or_if_unlike(usual.start_delay),
            upload_delay=self.upload_delay.or_if_unlike(usual.upload_delay),
        )

    def start(self, delay_seconds: float | None) -> "RecordingCounters":
        """Count a recording that began, so long after it was asked for."""
        start_delay = self.start_delay
        if delay_seconds is not None:
            # Clocks of several machines wrote the two times.
            start_delay = start_delay.observe(max(0.0, delay_seconds))
        return replace(self, started=self.started + 1, start_delay=start_delay)

    def finish(self, outcome: Outcome) -> "RecordingCounters":
        """Count a recording that ended."""
        return replace(self, finished={**self.finished, outcome: self.finished[outcome] + 1})

    def upload(self, delay_seconds: float) -> "RecordingCounters":
        """Note how long after its end a recording was uploaded, at most."""
        return replace(self, upload_delay=self.upload_delay.observe(max(0.0, delay_seconds)))

    def drop(self, count: int) -> "RecordingCounters":
        """Count recordings that left since there were too many."""
        return replace(self, dropped=self.dropped + count)

    def move(self, before: Status, after: Status) -> "RecordingCounters":
        """Count a recording that was in one state, and is now in another."""
        onwards = self.transitions.get(before, {})
        moved = {**onwards, after: onwards.get(after, 0) + 1}
        return replace(self, transitions={**self.transitions, before: moved})

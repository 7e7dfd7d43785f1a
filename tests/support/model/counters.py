"""Counters never go back, and count each recording once."""

import math

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from rk_exporter.simulator import TERMINAL, Recording, Status
from tests.support.model.histograms import Histogram
from tests.support.model.invented import LIST_SECONDS
from tests.support.model.journal import Journal
from tests.support.model.shown import Shown
from tests.support.model.stories import Story
from tests.support.model.truth import LISTED_SECONDS, Expectation


_SAVED = ("rk_recordings_", "rk_recording_", "rk_recorded_")
_ROUNDING = 0.1
_UPLOAD_DELAY = "rk_recording_upload_delay_seconds"


class Growing:
    """The counters that one scraper has seen."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._labels: Mapping[tuple[str, str], object] = {}

    def restart(self, *, is_saved: bool) -> None:
        """Expect a new process, which may begin with what a state file *is_saved*."""
        self._last = {
            series: value
            for series, value in self._last.items()
            if is_saved and series.startswith(_SAVED)
        }
        # What was saved may be older than what was shown.
        self._labels = {}

    def remove(self, app: str) -> None:
        """Expect that the counters of an app vanish."""
        self._forget(f'rk_app="{app}"')
        self._labels = {key: labels for key, labels in self._labels.items() if key[0] != app}

    def remove_account(self) -> None:
        """Expect that the counters of the account vanish."""
        self._forget("rk_account=")

    def _forget(self, label: str) -> None:
        self._last = {series: value for series, value in self._last.items() if label not in series}

    def check(self, shown: Shown) -> Iterator[str]:
        """Return the counters that have gone back, or away although their app is shown."""
        apps = {None, *shown.apps}
        for series, before in self._last.items():
            now = shown.samples.get(series)
            if (now is None and shown.app_of(series) in apps) or (now is not None and now < before):
                yield f"{series} was {before}, and is {now}"
        self._last = dict(shown.counters())
        labels = {
            (app, recording_id): recording.labels
            for app in shown.apps
            for recording_id, recording in shown.recordings(app).items()
        }
        for key in labels.keys() & self._labels.keys():
            if self._labels[key] not in {None, labels[key]}:
                yield f"the labels of {key} were {self._labels[key]}, and are {labels[key]}"
        self._labels = labels


class _Delays(NamedTuple):
    """How long something took each time, at least and at most."""

    shortest: list[float]
    longest: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What the counters of an app's recordings must have."""

    expectation: Expectation
    counts_since: float
    """Nothing before is counted."""
    complete_since: float
    """Everything after it is counted."""
    meetings: Collection[str]
    """Those that were in the list all the time."""
    journal: Journal

    def too_many(self, shown: Shown, app: str, story: Story) -> Iterator[str]:
        """Return the counters that have more than has happened."""
        end = self.expectation.ended_at
        most = _totals(story.recordings, self.counts_since, end)
        yield from (
            f"{app}: {name} is {total}, at most {right.most} is right"
            for name, right in most.items()
            if (total := _shown(shown, app, name)) > right.most + _ROUNDING
        )
        yield from self._moved(shown, app, story)
        for name, delays in self._delays(story.recordings, self.counts_since, end).items():
            histogram = Histogram.of(shown, app, name)
            yield from histogram.contradictions()
            yield from (f"{app}: {x}" for x in histogram.too_many(delays.shortest, delays.longest))

    def _moved(self, shown: Shown, app: str, story: Story) -> Iterator[str]:
        """Return the counters of changes of the state that did not happen so often."""
        for labels, value in shown.of("rk_recording_transitions_total", app):
            before, after = labels["from"], labels["to"]
            times = story.changes.get((before, after), ())
            most = bisect_right(times, self.expectation.ended_at)
            # A list may have said shortly after the start what was true before.
            most -= bisect_right(times, self.counts_since - LISTED_SECONDS)
            if value > most and "UNKNOWN" not in {before, after}:
                yield f"{app}: {value} times from {before} to {after}, at most {most} is right"

    def too_few(self, shown: Shown, app: str, story: Story) -> Iterator[str]:
        """Return the counters that lack something."""
        expectation = self.expectation
        known = [
            x
            for x in story.recordings
            if x.meeting_id in self.meetings
            and expectation.must_be_known(x)
            and expectation.begun_at
            >= max(expectation.found_since, x.phases[-1].at) + LISTED_SECONDS
        ]
        least = _totals(known, self.complete_since, expectation.begun_at)
        yield from (
            f"{app}: {name} is {total}, at least {right.least} is right"
            for name, right in least.items()
            if (total := _shown(shown, app, name)) < right.least - _ROUNDING
        )
        delays = self._delays(known, self.complete_since, expectation.begun_at)
        if self.journal.has_malformed:
            # An answer may lack when the recording has stopped.
            delays.pop(_UPLOAD_DELAY)
        for name, right in delays.items():
            histogram = Histogram.of(shown, app, name)
            yield from (f"{app}: {x}" for x in histogram.too_few(right.shortest, right.longest))

    def _delays(
        self, recordings: Iterable[Recording], begin: float, end: float
    ) -> dict[str, _Delays]:
        """Return how long the starts and the uploads took that are counted."""
        started = [x for x in recordings if _has_started(x, begin, end)]
        starts = [(x.started_at or 0.0) - x.invoked_at for x in started]
        uploaded = [x for x in recordings if begin < _end(x) <= end and _outcome(x) == "uploaded"]
        shortest = [_end(x) - (x.stopped_at or 0.0) for x in uploaded]
        longest = [self._uploaded_by(x) - (x.stopped_at or 0.0) for x in uploaded]
        return {
            "rk_recording_start_delay_seconds": _Delays(starts, starts),
            _UPLOAD_DELAY: _Delays(shortest, longest),
        }

    def _uploaded_by(self, recording: Recording) -> float:
        """Return until when the exporter has surely used an answer that shows an upload."""
        seen_at = self.journal.uploaded.get(recording.id, ())
        # Of two answers that come together, it uses one.
        return (seen_at[1] if len(seen_at) > 1 else self.expectation.ended_at) + LIST_SECONDS


class _Right(NamedTuple):
    """What a counter may have."""

    least: float
    most: float


def _totals(recordings: Iterable[Recording], begin: float, end: float) -> dict[str, _Right]:
    """Return what the counters of an app count from *begin* to *end*, by name and outcome."""
    ended = [x for x in recordings if begin < _end(x) <= end]
    started = [x for x in recordings if _has_started(x, begin, end)]
    by_outcome = {
        outcome: [x for x in ended if _outcome(x) == outcome]
        for outcome in ("uploaded", "errored", "vanished")
    }
    uploaded = by_outcome["uploaded"]
    numbers: dict[str, float] = {
        "rk_recordings_started_total": len(started),
        "rk_recording_start_delay_seconds_count": len(started),
        "rk_recordings_finished_total": len(ended),
        "rk_recorded_bytes_total": sum(x.file_size_bytes for x in uploaded if not x.track),
        **{f"finished {outcome}": len(found) for outcome, found in by_outcome.items()},
    }
    lengths = [sorted(_lengths(x)) for x in uploaded]
    return {
        **{name: _Right(number, number) for name, number in numbers.items()},
        # An answer may lack when the recording has stopped.
        "rk_recording_upload_delay_seconds_count": _Right(0, len(uploaded)),
        "rk_recorded_seconds_total": _Right(
            sum(shortest for shortest, _ in lengths), sum(longest for _, longest in lengths)
        ),
    }


def _has_started(recording: Recording, begin: float, end: float) -> bool:
    started_at = recording.started_at
    return started_at is not None and begin < started_at <= min(end, recording.vanishes_at)


def _lengths(recording: Recording) -> tuple[float, float]:
    """Return the length that the API reports, and the one that follows from two times."""
    whole = (recording.stopped_at or 0.0) - (recording.started_at or 0.0)
    reported = 0 if recording.zero_duration else round(recording.recorded_seconds)
    return reported or whole, whole


def _outcome(recording: Recording) -> str:
    if _end(recording) == recording.vanishes_at:
        return "vanished"
    return "uploaded" if recording.phases[-1].status is Status.UPLOADED else "errored"


def _shown(shown: Shown, app: str, name: str) -> float:
    """Return the total of a counter; *name* may be that of an outcome."""
    _, _, outcome = name.partition(" ")
    if not outcome:
        return shown.total(name, app)
    of_outcome = partial(shown.total, "rk_recordings_finished_total", app)
    failed = of_outcome(outcome="upload_failed") if outcome == "errored" else 0.0
    return of_outcome(outcome=outcome) + failed


def _end(recording: Recording) -> float:
    status, at = recording.phases[-1]
    return min(recording.vanishes_at, at if status in TERMINAL else math.inf)

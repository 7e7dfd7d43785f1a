"""Counters never go back, and count each recording and each call once."""

import math

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from rk_exporter.simulator import TERMINAL, Recording, Status
from tests.support.model.journal import Called
from tests.support.model.shown import Shown
from tests.support.model.stories import Story
from tests.support.model.truth import LISTED_SECONDS, Expectation


# A series shows its old value in two snapshots before it grows.
_SETTLED_AFTER = 3
_SAVED = ("rk_recordings_", "rk_recording_", "rk_recorded_")
WINDOW_SECONDS = 300.0


class Growing:
    """The counters that one scraper has seen."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def restart(self, *, is_saved: bool) -> None:
        """Expect a new process, which may begin with what a state file *is_saved*."""
        self._last = {
            series: value
            for series, value in self._last.items()
            if is_saved and series.startswith(_SAVED)
        }

    def remove(self, app: str) -> None:
        """Expect that the counters of an app vanish."""
        of_app = f'rk_app="{app}"'
        self._last = {series: value for series, value in self._last.items() if of_app not in series}

    def check(self, shown: Shown) -> Iterator[str]:
        """Return the counters that have gone back or away."""
        for series, before in self._last.items():
            now = shown.samples.get(series)
            if now is None or now < before:
                yield f"{series} was {before}, and is {now}"
        self._last = dict(shown.counters())


class CallCounts:
    """The counters of calls of one process."""

    def __init__(self) -> None:
        self._times_shown: Counter[tuple[str, tuple[str, str]]] = Counter()

    def begin(self, app: str) -> None:
        """Expect that the series of an app begin, with old values at first."""
        for key in [key for key in self._times_shown if key[0] == app]:
            del self._times_shown[key]

    def check(
        self, shown: Shown, app: str, answered: Mapping[tuple[str, str], int], *, is_alone: bool
    ) -> Iterator[str]:
        """
        Return the counters that differ from the calls that were *answered*, by endpoint and code.

        If the scrape was not alone, calls were made since it was answered.
        """
        for labels, value in shown.of("rk_api_requests_total", app):
            key = (labels["api_endpoint"], labels["code"])
            self._times_shown[app, key] += 1
            is_settled = self._times_shown[app, key] > _SETTLED_AFTER
            made = answered.get(key, 0)
            if value > made or (is_settled and is_alone and value != made):
                yield f"{app}: {made} calls were made, and {value} counted: {key}"


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

    def too_many(self, shown: Shown, app: str, story: Story) -> Iterator[str]:
        """Return the counters that have more than has happened."""
        most = _totals(story.recordings, self.counts_since, self.expectation.ended_at)
        yield from (
            f"{app}: {name} is {total}, at most {most[name]} is right"
            for name in most
            if (total := shown.total(name, app)) > most[name]
        )

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
            f"{app}: {name} is {total}, at least {least[name]} is right"
            for name in least
            if (total := shown.total(name, app)) < least[name]
        )


def _totals(recordings: Iterable[Recording], begin: float, end: float) -> dict[str, float]:
    """Return what the counters of an app count from *begin* to *end*."""
    ended = [x for x in recordings if begin < _end(x) <= end]
    return {
        "rk_recordings_started_total": sum(
            x.started_at is not None and begin < x.started_at <= min(end, x.vanishes_at)
            for x in recordings
        ),
        "rk_recordings_finished_total": len(ended),
        "rk_recorded_bytes_total": sum(
            x.file_size_bytes for x in ended if x.phases[-1].status is Status.UPLOADED
        ),
    }


def _end(recording: Recording) -> float:
    status, at = recording.phases[-1]
    return min(recording.vanishes_at, at if status in TERMINAL else math.inf)


class Budget:
    """The calls about one app that the budget in use has allowed."""

    def __init__(self) -> None:
        self._limits: list[tuple[float, int]] = []
        self._starts: list[float] = []

    def use(self, limit: int, now: float) -> None:
        """Expect at most *limit* calls in 5 minutes from now on."""
        self._limits.append((now, limit))

    def start(self, now: float) -> None:
        """Expect the calls of a new process, which may not know those of the one before."""
        self._starts.append(now)

    def check(self, calls: Sequence[Called], app: str) -> Iterator[str]:
        """Return the 5 minutes before the last of the *calls* if there were too many."""
        if not calls:
            return
        end = calls[-1].at
        begin = end - WINDOW_SECONDS
        made = sum(1 for _ in takewhile(lambda call: call.at > begin, reversed(calls)))
        until = [at for at, _ in self._limits[1:]] + [math.inf]
        in_use = [
            limit
            for (_, limit), ended_at in zip(self._limits, until, strict=True)
            if ended_at > begin
        ]
        most = max(in_use)
        if starts := sum(at > begin for at in self._starts):
            # See the table in docs/explanation/budget.md.
            most += most // 2 + starts * max(1, most // 15)
        if made > most:
            yield f"{app}: {made} calls in 5 minutes, at most {most} are allowed"

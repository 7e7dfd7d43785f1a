"""
What a pass reads, and in which way: pure functions of the last readings, the budget and the clock.

A list that one call per meeting and scrape cannot cover is read in two lanes, a call for each in
turn: the sweep takes whichever meeting waits longest, so that none waits for ever; the express
takes those whose news is due, most overdue first.
"""

import math

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from statistics import median
from types import MappingProxyType
from typing import TypeAlias

from rk_exporter.budget import WINDOW_SECONDS
from rk_exporter.recordings import KnownRecording, Meeting, Reading, ReadMode, Status


# How often news is wanted, a little less than in a whole number of usual scrapes: of states that
# ought to pass quickly, and of a room that people are in, at each; of a recording at every other.
_CHANGING_SECONDS = 10.0
_RUNNING_SECONDS = 25.0
_CHANGING = frozenset({Status.INVOKED, Status.UPLOADING})
_RUNNING = frozenset({Status.RECORDING, Status.PAUSED, Status.UNKNOWN})

# Until the rhythm of the scrapes is known, Prometheus' usual one is assumed.
USUAL_INTERVAL_SECONDS = 15.0
_LONGEST_INTERVAL_SECONDS = 300.0
_BEATS = 9
_SHORTEST_INTERVAL_SECONDS = 1.0

# A call for each meeting is too much only when it takes more than this of what the budget affords,
# and until it is no more than just affordable: a scrape that is early or late changes nothing.
_TOO_MUCH = 1.1
_JUST_AFFORDABLE = 1.0
_EARLY_PASSES = 0.05

_LONGEST_IN_SECONDS = 120.0
_SHORTEST_WHOLE_MINUTES = 10.0


Target: TypeAlias = Meeting | KnownRecording
"""What one call reads: a meeting, or a recording by its id."""


class Rhythm:
    """The interval at which passes come, learnt from the last of them."""

    def __init__(self) -> None:
        self._beats: deque[float] = deque(maxlen=_BEATS)

    def beat(self, now: float) -> None:
        """Note a pass that begins at *now* (monotonic seconds)."""
        self._beats.append(now)

    @property
    def interval_seconds(self) -> float:
        """
        Return the usual interval of the last passes, at most five minutes.

        Over two intervals each time: those of two Prometheis are short and long in turn. Until
        there are enough of them, a short one may be a scrape out of turn.
        """
        beats = list(self._beats)
        if len(beats) < _BEATS:
            mean = (beats[-1] - beats[0]) / (len(beats) - 1) if len(beats) > 1 else 0.0
            usual = max(mean, USUAL_INTERVAL_SECONDS)
        else:
            pairs = zip(beats, beats[2:], strict=False)
            usual = median((later - earlier) / 2 for earlier, later in pairs)
        return min(max(usual, _SHORTEST_INTERVAL_SECONDS), _LONGEST_INTERVAL_SECONDS)


def due(readings: Iterable[Reading], *, now: float, fresh_seconds: float) -> list[Reading]:
    """Return those that were not tried within the last *fresh_seconds* before *now* (unix s)."""
    return [each for each in readings if _waited_seconds(each, now=now) >= fresh_seconds]


def plan(
    readings: Iterable[Reading],
    *,
    now: float,
    follows: Iterable[tuple[float, KnownRecording]] = (),
    under_way: Mapping[str, Collection[Status]] = MappingProxyType({}),
    express_first: bool = False,
) -> list[Target]:
    """
    Return what to read, as far as calls and time suffice; *now* is in unix seconds.

    Meetings never tried come first; then a meeting that waits longest and whatever is most overdue
    in turn: a meeting whose news is due, or one of *follows*, recordings with how overdue each is.
    So if each pass reads at least *n* of *m* meetings, each is read within m / ceil(n / 2) passes;
    within 2 m / n, if every other pass takes the *express_first*, which may be all it can read.
    What is *under_way* in a meeting may be known by other readings than its own.
    """
    waits = [(_waited_seconds(reading, now=now), reading) for reading in readings]
    longest_first = sorted(waits, key=_first, reverse=True)
    never_tried = [reading.meeting for wait, reading in longest_first if math.isinf(wait)]
    sweep = [reading.meeting for wait, reading in longest_first if math.isfinite(wait)]
    overdue: list[tuple[float, Target]] = [
        (wait / wanted, reading.meeting)
        for wait, reading in longest_first
        if math.isfinite(wait)
        and (wanted := _wanted_seconds(reading, under_way))
        and wait >= wanted
    ]
    by_urgency = sorted(chain(follows, overdue), key=_first, reverse=True)
    express = [target for _, target in by_urgency]
    lanes = (express, sweep) if express_first else (sweep, express)
    return [*never_tried, *_in_turn(*lanes)]


@dataclass(frozen=True, slots=True)
class Demand:
    """A call for each of the *meetings* in every pass, and the calls of a window to make them."""

    meetings: int
    interval_seconds: float
    calls: float

    @property
    def passes(self) -> int:
        """Return how many passes fall into one window of the budget."""
        # One more, where they do not fill it evenly; a scrape that is early makes none.
        return max(1, math.ceil(WINDOW_SECONDS / self.interval_seconds - _EARLY_PASSES))

    @property
    def ratio(self) -> float:
        """Return the calls wanted by those that there are."""
        return self.meetings * self.passes / self.calls

    def is_too_much(self, *, was_too_much: bool) -> bool:
        """Tell whether some meetings cannot be read in every pass; near the border, as it was."""
        return self.ratio > (_JUST_AFFORDABLE if was_too_much else _TOO_MUCH)

    @property
    def sweep_seconds(self) -> float:
        """
        Return the longest time between two reads of a meeting by `plan`, if no meeting is new.

        The sweep reads the longest wait first, so a meeting is read before the sweep reads any
        other twice: it waits for at most as many calls of the sweep as there are meetings, *m*.
        The express may take every call that is not the sweep's. Let *c* be the calls per pass.

        c < 1: the lanes take turns, so every other call is the sweep's. N passes make at least
        floor(N c) calls, and 2 m are needed: N = 2 m / c.

        c >= 1: a pass makes n = floor(c) calls, or one more in a long pass. The lanes lead in turn,
        so two passes in a row give the sweep at least n calls, and n + 1 if both are long. N
        passes, L of them long, give it at least half of N n + max(0, 2 L - N), rounded down. L is
        at least floor(N (c - n)). So N = 2 m / n is enough, and so is (2 m + 2) / (2 c - n - 1).
        """
        calls = self.calls / self.passes
        whole = math.floor(calls)
        if whole < 1:
            passes = 2 * self.meetings / calls
        else:
            passes = 2 * self.meetings / whole
            if (pace := 2 * calls - whole - 1) > 0:
                passes = min(passes, (2 * self.meetings + 2) / pace)
        return math.ceil(passes) * self.interval_seconds

    def explain(self, mode: ReadMode) -> str:
        """Return what it means for people that not every meeting is read in every pass."""
        interval = max(1, round(self.interval_seconds))
        wanted = self.meetings * self.passes
        if mode is ReadMode.LIST:
            consequence = "recordings in progress are read through the list"
        else:
            often = _time_text(self.meetings * WINDOW_SECONDS / self.calls)
            rarely = _time_text(self.sweep_seconds)
            consequence = f"idle meetings will be read every {often} to {rarely}"
        return (
            f"{self.meetings:,} meetings at a {interval} s scrape interval need {wanted:,} calls "
            f"per 5 minutes, the budget is {self.calls:,.0f}: {consequence}"
        )


def _waited_seconds(reading: Reading, *, now: float) -> float:
    """Return how long ago it was tried; infinity if never, or if the clock was set back."""
    last = reading.last_attempt_timestamp_seconds
    return math.inf if last is None or last > now else now - last


def _wanted_seconds(reading: Reading, under_way: Mapping[str, Collection[Status]]) -> float | None:
    """Return how often news of the meeting is wanted; None where the sweep is enough."""
    statuses = {recording.status for recording in reading.recordings or ()}
    statuses |= set(under_way.get(reading.meeting.meeting_id, ()))
    if statuses & _CHANGING or (reading.room and reading.room.is_live and not statuses):
        return _CHANGING_SECONDS
    return _RUNNING_SECONDS if statuses & _RUNNING else None


def _in_turn(first: Iterable[Target], second: Iterable[Target]) -> Iterator[Target]:
    """Return one of each in turn, none twice; where one lane ends, the rest of the other."""
    told: set[tuple[type, str]] = set()
    lanes = deque([iter(first), iter(second)])
    while lanes:
        lane = lanes.popleft()
        target = next((each for each in lane if _key_of(each) not in told), None)
        if target is not None:
            told.add(_key_of(target))
            yield target
            lanes.append(lane)


def _first(pair: tuple[float, object]) -> float:
    return pair[0]


def _key_of(target: Target) -> tuple[type, str]:
    its_id = target.meeting_id if isinstance(target, Meeting) else target.recording_id
    return type(target), its_id


def _time_text(seconds: float) -> str:
    if seconds <= _LONGEST_IN_SECONDS:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    shown = f"{minutes:.1f}" if minutes < _SHORTEST_WHOLE_MINUTES else f"{minutes:,.0f}"
    return f"{shown.removesuffix('.0')} minutes"

"""
What a pass reads, and in which way: pure functions of the last readings, the budget and the clock.

A list that one call per meeting and scrape cannot cover is read in two lanes, a call for each in
turn: the sweep takes whichever meeting waits longest, so that none waits for ever; the express
takes those whose news is due, most overdue first.
"""

import math

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import TypeAlias

from rk_exporter.model.meeting import Meeting, Reading
from rk_exporter.model.recording import Status
from rk_exporter.tracking.lifecycle import KnownRecording


# How often news is wanted, a little less than in a whole number of usual scrapes: of states that
# ought to pass quickly, and of a room that people are in, at each; of a recording at every other.
_CHANGING_SECONDS = 10.0
_RUNNING_SECONDS = 25.0
_CHANGING = frozenset({Status.INVOKED, Status.UPLOADING})
_RUNNING = frozenset({Status.RECORDING, Status.PAUSED, Status.UNKNOWN})
Target: TypeAlias = Meeting | KnownRecording


"""What one call reads: a meeting, or a recording by its id."""


def due(readings: Iterable[Reading], *, now: float, fresh_seconds: float) -> list[Reading]:
    """Return those that were not tried within the last *fresh_seconds* before *now* (unix s)."""
    return [each for each in readings if _waited_seconds(each, now=now) >= fresh_seconds]


def plan(
    readings: Iterable[Reading],
    *,
    now: float,
    follows: Iterable[tuple[float, KnownRecording]] = (),
    in_progress: Mapping[str, Collection[Status]] = MappingProxyType({}),
    urgent_first: bool = False,
) -> list[Target]:
    """
    Return what to read, as far as calls and time suffice; *now* is in unix seconds.

    Meetings never tried come first; then a meeting that waits longest and whatever is most overdue
    in turn: a meeting whose news is due, or one of *follows*, recordings with how overdue each is.
    So if each pass reads at least *n* of *m* meetings, each is read within m / ceil(n / 2) passes;
    within 2 m / n, if every other pass takes the *urgent_first*, which may be all it can read.
    What is *in_progress* in a meeting may be known by other readings than its own.
    """
    waits = [(_waited_seconds(reading, now=now), reading) for reading in readings]
    longest_first = sorted(waits, key=_first, reverse=True)
    never_tried = [reading.meeting for wait, reading in longest_first if math.isinf(wait)]
    sweep = [reading.meeting for wait, reading in longest_first if math.isfinite(wait)]
    overdue: list[tuple[float, Target]] = [
        (wait / wanted, reading.meeting)
        for wait, reading in longest_first
        if math.isfinite(wait)
        and (wanted := _wanted_seconds(reading, in_progress))
        and wait >= wanted
    ]
    by_urgency = sorted(chain(follows, overdue), key=_first, reverse=True)
    express = [target for _, target in by_urgency]
    lanes = (express, sweep) if urgent_first else (sweep, express)
    return [*never_tried, *_in_turn(*lanes)]


def _waited_seconds(reading: Reading, *, now: float) -> float:
    """Return how long ago it was tried; infinity if never, or if the clock was set back."""
    last = reading.last_attempt_timestamp_seconds
    return math.inf if last is None or last > now else now - last


def _wanted_seconds(
    reading: Reading, in_progress: Mapping[str, Collection[Status]]
) -> float | None:
    """Return how often news of the meeting is wanted; None where the sweep is enough."""
    statuses = {recording.status for recording in reading.recordings or ()}
    statuses |= set(in_progress.get(reading.meeting.meeting_id, ()))
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

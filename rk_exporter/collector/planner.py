"""
Plan what a pass reads: pure functions of the last readings, the clock, and what is overdue.

If the calls of a pass are not enough for all meetings, two queues take turns. The round robin reads
the meeting that has waited longest, so that every meeting is read in time. The urgent queue reads
whatever is overdue, most overdue first. There what is in progress takes turns with what has ended,
so that a thousand files that expire soon do not delay a recording that is stuck.
"""

import math

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import TypeAlias

from rk_exporter.collector.readings import retry_seconds
from rk_exporter.model.meeting import Meeting, Reading
from rk_exporter.model.recording import Status
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.ranking import began_at


# How soon a meeting is read again, a little less than a whole number of usual scrapes: at every
# scrape while its recording is in a short state or people are in it, at every other scrape while
# it is recorded.
_CHANGING_SECONDS = 10.0
_RUNNING_SECONDS = 25.0
_CHANGING = frozenset({Status.INVOKED, Status.UPLOADING})
_RUNNING = frozenset({Status.RECORDING, Status.PAUSED, Status.UNKNOWN})
# What one call reads: a meeting, or a recording by its id.
Target: TypeAlias = Meeting | KnownRecording


@dataclass(frozen=True, slots=True)
class Hinted:
    """What events have made due; it *is_first* if it starts before the rest of the urgent queue."""

    targets: Sequence[Target] = ()
    is_first: bool = True


_NOTHING_HINTED = Hinted()


def due(readings: Iterable[Reading], *, now: float, fresh_seconds: float) -> list[Reading]:
    """
    Return the readings whose last attempt is at least *fresh_seconds* before *now* (unix s).

    A meeting that always fails, while others can be read, waits for longer.
    """
    return [
        reading
        for reading in readings
        if _wait_seconds(reading, now=now)
        >= (max(fresh_seconds, retry_seconds(reading)) if reading.failure else fresh_seconds)
    ]


def without_idle(
    readings: Iterable[Reading],
    *,
    now: float,
    idle_seconds: float,
    in_progress: Mapping[str, Collection[Status]],
) -> list[Reading]:
    """
    Return *readings* without those of idle meetings that were read in the last *idle_seconds*.

    A meeting is idle if it could be read, has no recording, and nobody is known to be in it.
    """
    return [
        reading
        for reading in readings
        if reading.recordings != ()
        or reading.failure is not None
        or _wanted_seconds(reading, in_progress) is not None
        or _wait_seconds(reading, now=now) >= idle_seconds
    ]


def plan(
    readings: Iterable[Reading],
    *,
    now: float,
    overdue: Iterable[tuple[float, KnownRecording]] = (),
    in_progress: Mapping[str, Collection[Status]] = MappingProxyType({}),
    urgent_first: bool = False,
    hinted: Hinted = _NOTHING_HINTED,
) -> list[Target]:
    """
    Return what to read at *now* (unix seconds), in the order of the calls.

    New meetings come first. Then the round robin and the urgent queue take turns. The urgent queue
    has the meetings that are due early and the *overdue* recordings, each with how often its time
    has passed. *in_progress* are the states of recordings that are known from other answers than
    the meeting's own. What is *hinted* by an event takes turns with the rest of the urgent queue,
    so hints get a quarter of the calls if there is too much of everything.

    If each pass makes *n* calls for *m* meetings, each meeting is read within m / ceil(n / 2)
    passes; within 2 m / n if the urgent queue starts in every other pass (*urgent_first*). A pass
    with one call then takes it from each queue in turn.
    """
    waits = [(_wait_seconds(reading, now=now), reading) for reading in readings]
    longest_first = sorted(waits, key=itemgetter(0), reverse=True)
    new = [reading.meeting for wait, reading in longest_first if math.isinf(wait)]
    if hinted.targets:
        new.sort(key=lambda meeting: meeting not in hinted.targets)
    round_robin = [reading.meeting for wait, reading in longest_first if math.isfinite(wait)]
    by_urgency = _by_urgency(_early(longest_first, in_progress), overdue)
    not_new = [target for target in hinted.targets if target not in new]
    in_order = (not_new, by_urgency) if hinted.is_first else (by_urgency, not_new)
    urgent = [*_in_turn(*in_order)]
    queues = (urgent, round_robin) if urgent_first else (round_robin, urgent)
    return [*new, *_in_turn(*queues)]


def _early(
    waits: Iterable[tuple[float, Reading]], in_progress: Mapping[str, Collection[Status]]
) -> list[tuple[float, Target]]:
    """Return the meetings that are due before their turn, with how often their time has passed."""
    return [
        (wait / wanted, reading.meeting)
        for wait, reading in waits
        if (wanted := _wanted_seconds(reading, in_progress)) and wanted <= wait < math.inf
    ]


def _by_urgency(
    early: Iterable[tuple[float, Target]], overdue: Iterable[tuple[float, KnownRecording]]
) -> list[Target]:
    """
    Return the most overdue first; of equals, the recording that began longest ago.

    While anything in progress is overdue, it comes first and after each finished recording.
    """
    in_progress: list[tuple[float, Target]] = [*early]
    finished: list[tuple[float, Target]] = []
    for times, known in overdue:
        (finished if known.is_finished else in_progress).append((times, known))
    running = deque(sorted(in_progress, key=_urgency, reverse=True))
    ended = deque(sorted(finished, key=_urgency, reverse=True))
    ordered: list[Target] = []
    may_end_be_next = not running
    while running or ended:
        is_end = not running or (may_end_be_next and bool(ended) and ended[0][0] > running[0][0])
        ordered.append((ended if is_end else running).popleft()[1])
        may_end_be_next = not is_end
    return ordered


def _urgency(item: tuple[float, Target]) -> tuple[float, float]:
    times, target = item
    return times, -began_at(target) if isinstance(target, KnownRecording) else -math.inf


def _wait_seconds(reading: Reading, *, now: float) -> float:
    """Return the time since the last attempt; infinity if none, or if the clock was set back."""
    last = reading.last_attempt_timestamp_seconds
    return math.inf if last is None or last > now else now - last


def _wanted_seconds(
    reading: Reading, in_progress: Mapping[str, Collection[Status]]
) -> float | None:
    """Return how soon to read the meeting again; None if the round robin is enough."""
    statuses = {recording.status for recording in reading.recordings or ()}
    statuses |= set(in_progress.get(reading.meeting.meeting_id, ()))
    if statuses & _CHANGING or (reading.room and reading.room.is_live and not statuses):
        return _CHANGING_SECONDS
    return _RUNNING_SECONDS if statuses & _RUNNING else None


def _in_turn(first: Iterable[Target], second: Iterable[Target]) -> Iterator[Target]:
    """Return a target of each queue in turn, none twice; if one queue ends, the other's rest."""
    seen: set[Target] = set()
    queues = deque([iter(first), iter(second)])
    while queues:
        queue = queues.popleft()
        target = next((target for target in queue if target not in seen), None)
        if target is not None:
            seen.add(target)
            yield target
            queues.append(queue)

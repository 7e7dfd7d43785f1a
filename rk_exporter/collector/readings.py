"""The readings of an app brought up to date: by what a pass read, and by a list that changed."""

import math

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import Meeting, Reading, Room
from rk_exporter.model.recording import Recording
from rk_exporter.snapshot import AppSnapshot


# After that, what is shown is too old whatever the reason.
_LONGEST_SECONDS = 900.0


class StalenessGrace:
    """The last time that calls were held back; its end counts for *stale_after_seconds*."""

    def __init__(self, stale_after_seconds: float) -> None:
        self._stale_after_seconds = stale_after_seconds
        self._began_at = self._ended_at = -math.inf

    def note(self, now: float, interval_seconds: float) -> None:
        """Note that calls are held back *now* (unix seconds); passes come each interval."""
        if now - self._ended_at > self._stale_after_seconds:
            self._began_at = now - interval_seconds
        self._ended_at = now

    def extra_seconds(self, now: float, interval_seconds: float) -> float:
        """Return for how much longer than usual readings are shown."""
        if now - self._ended_at > self._stale_after_seconds:
            return 0.0
        return min(self._ended_at - self._began_at, _LONGEST_SECONDS) + interval_seconds


@dataclass(frozen=True, slots=True)
class ReadResult:
    """One try to read a meeting, made at *made_at* (unix seconds)."""

    meeting_id: str
    made_at: float
    outcome: tuple[Recording, ...] | Failure
    deadline_exceeded: bool = False
    """The pass ended before the answer came."""

    @property
    def timed_out(self) -> bool:
        """Tell whether no answer came in time."""
        return isinstance(self.outcome, Failure) and self.outcome.reason is Reason.TIMEOUT


def sync_meetings(
    readings: Iterable[Reading],
    meetings: Iterable[Meeting],
    *,
    room: Callable[[str], Room | None],
) -> tuple[Reading, ...]:
    """
    Return the reading of each of the *meetings*, in their order; a new one where there is none.

    *room* tells what is known of a meeting's room.
    """
    known = {reading.meeting.meeting_id: reading for reading in readings}
    return tuple(
        _listed(known.get(meeting.meeting_id), meeting, room(meeting.meeting_id))
        for meeting in meetings
    )


def merge(
    previous: AppSnapshot,
    attempts: Sequence[ReadResult],
    *,
    ended_at: float,
    duration_seconds: float,
    stale_after_seconds: float,
    fresh_count: int = 0,
) -> AppSnapshot:
    """
    Return *previous* brought up to date by the *attempts* of a pass that ended at *ended_at*.

    A meeting that was not read keeps its last reading, until that is *stale_after_seconds* old.
    *fresh_count* meetings needed no reading.
    """
    by_meeting = {attempt.meeting_id: attempt for attempt in attempts}
    oldest = ended_at - stale_after_seconds
    readings = tuple(
        _after(reading, by_meeting.get(reading.meeting.meeting_id), oldest=oldest)
        for reading in previous.readings
    )
    listed = {reading.meeting.meeting_id for reading in readings}
    answered = listed & {each.meeting_id for each in attempts if not each.deadline_exceeded}
    return replace(
        previous,
        readings=readings,
        deferred=max(0, len(readings) - len(answered) - fresh_count),
        duration_seconds=duration_seconds,
    )


def _listed(reading: Reading | None, meeting: Meeting, room: Room | None) -> Reading:
    if reading is None:
        return Reading(meeting=meeting, room=room)
    if reading.meeting == meeting and reading.room == room:
        return reading
    return replace(reading, meeting=meeting, room=room)


def _after(reading: Reading, attempt: ReadResult | None, *, oldest: float) -> Reading:
    if attempt is None:
        return _without_stale(reading, oldest=oldest)
    if isinstance(attempt.outcome, Failure):
        failed = replace(
            reading, last_attempt_timestamp_seconds=attempt.made_at, failure=attempt.outcome
        )
        return _without_stale(failed, oldest=oldest)
    # Ten thousand times a pass, where `replace` takes several times as long.
    return Reading(
        meeting=reading.meeting,
        recordings=attempt.outcome,
        last_attempt_timestamp_seconds=attempt.made_at,
        last_success_timestamp_seconds=attempt.made_at,
        room=reading.room,
    )


def _without_stale(reading: Reading, *, oldest: float) -> Reading:
    last_success = reading.last_success_timestamp_seconds
    if last_success is None or last_success >= oldest:
        return reading
    return replace(reading, recordings=None)

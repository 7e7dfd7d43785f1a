"""Bring the readings of an app up to date, after a pass and after a change of the meeting list."""

import math

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import Meeting, Reading, Room
from rk_exporter.model.recording import Recording
from rk_exporter.runtime.backoff import Backoff


# Longer blocks do not keep old readings alive.
_LONGEST_GRACE_SECONDS = 900.0
# A meeting that fails a few times, for example while it is deleted, is read as often as others.
_FAILURES_UNTIL_BACKOFF = 3
_BACKOFF = Backoff(first_seconds=30.0, longest_seconds=120.0)


@dataclass(frozen=True, slots=True)
class StalenessGrace:
    """
    How much longer readings are shown because calls were blocked; times are unix seconds.

    A block counts until *stale_after_seconds* after its end.
    """

    stale_after_seconds: float
    began_at: float = -math.inf
    ended_at: float = -math.inf

    def record_block(self, now: float, interval_seconds: float) -> "StalenessGrace":
        """Return the grace after a pass whose calls are blocked *now*."""
        is_new = now - self.ended_at > self.stale_after_seconds
        began_at = now - interval_seconds if is_new else self.began_at
        return replace(self, began_at=began_at, ended_at=now)

    def grace_seconds(self, now: float, interval_seconds: float) -> float:
        """Return how much longer than usual readings are shown."""
        if now - self.ended_at > self.stale_after_seconds:
            return 0.0
        return min(self.ended_at - self.began_at, _LONGEST_GRACE_SECONDS) + interval_seconds


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The result of one attempt to read a meeting, at *made_at* (unix seconds)."""

    made_at: float
    outcome: tuple[Recording, ...] | Failure
    deadline_exceeded: bool = False
    """Whether the pass ended before the answer came."""


def sync_meetings(
    readings: Iterable[Reading],
    meetings: Iterable[Meeting],
    *,
    room: Callable[[str], Room | None],
) -> tuple[Reading, ...]:
    """
    Return the reading of each of the *meetings*, in their order; a new meeting has an empty one.

    *room* returns what is known of a meeting's room.
    """
    known = {canonical(reading.meeting.meeting_id): reading for reading in readings}
    return tuple(
        _synced(known.get(canonical(meeting.meeting_id)), meeting, room(meeting.meeting_id))
        for meeting in meetings
    )


def merge(
    readings: Sequence[Reading],
    results: Mapping[str, ReadResult],
    *,
    oldest: float,
    idle_age_seconds: float,
    has_succeeded: bool,
) -> tuple[Reading, ...]:
    """
    Return *readings* after the *results* of a pass, by meeting id.

    A meeting that was not read keeps its last reading, until its last success is before *oldest*
    (unix seconds); one without a recording for *idle_age_seconds* longer. A failure is about its
    meeting if another call of the pass *has_succeeded*.
    """
    merged = tuple(
        _after(
            reading,
            results.get(reading.meeting.meeting_id),
            oldest=oldest if reading.recordings else oldest - idle_age_seconds,
            is_alone=has_succeeded,
        )
        for reading in readings
    )
    # What has ended for one meeting may have ended for all.
    return retried(merged) if any(map(_recovers, readings, merged)) else merged


def retry_seconds(reading: Reading) -> float:
    """Return how long to wait before the next attempt to read a meeting that fails alone."""
    failures = max(0, reading.failures_alone - _FAILURES_UNTIL_BACKOFF)
    return replace(_BACKOFF, failures=failures).delay_seconds


def retried(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    """Return *readings* of which none waits any more because it has failed."""
    return tuple(
        replace(reading, failures_alone=0) if reading.failures_alone else reading
        for reading in readings
    )


def count_deferred(
    readings: Sequence[Reading], results: Mapping[str, ReadResult], *, fresh_count: int
) -> int:
    """Return how many meetings the pass did not get to; *fresh_count* needed no reading."""
    listed = {reading.meeting.meeting_id for reading in readings}
    read = {meeting_id for meeting_id, result in results.items() if not result.deadline_exceeded}
    return max(0, len(readings) - len(listed & read) - fresh_count)


def _synced(reading: Reading | None, meeting: Meeting, room: Room | None) -> Reading:
    if reading is None:
        return Reading(meeting=meeting, room=room)
    if reading.meeting == meeting and reading.room == room:
        return reading
    return replace(reading, meeting=meeting, room=room)


def _recovers(before: Reading, after: Reading) -> bool:
    """Return whether a meeting could be read that had to wait because it had failed."""
    return after.failure is None and bool(retry_seconds(before))


def _after(
    reading: Reading, result: ReadResult | None, *, oldest: float, is_alone: bool
) -> Reading:
    if result is not None:
        made_at = result.made_at
        if not isinstance(result.outcome, Failure):
            # This runs up to 10,000 times per pass, and `replace` takes several times as long.
            return Reading(
                meeting=reading.meeting,
                recordings=result.outcome,
                last_attempt_timestamp_seconds=made_at,
                last_success_timestamp_seconds=made_at,
                room=reading.room,
            )
        is_about_meeting = is_alone and result.outcome.reason is not Reason.RATE_LIMITED
        reading = replace(
            reading,
            last_attempt_timestamp_seconds=made_at,
            failure=result.outcome,
            failures_alone=reading.failures_alone + is_about_meeting,
        )
    last_success = reading.last_success_timestamp_seconds
    is_stale = last_success is not None and last_success < oldest
    return replace(reading, recordings=None) if is_stale else reading

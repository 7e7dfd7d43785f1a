"""What needs attention about a recording or a meeting; pure functions of a reading and the time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from rk_exporter.metrics.recordings import ReadRecording
from rk_exporter.model.download import FileCheck
from rk_exporter.model.meeting import DiscoveryState, Reading
from rk_exporter.model.recording import Outcome, Recording, Status
from rk_exporter.model.thresholds import DEFAULTS as THRESHOLDS
from rk_exporter.tracking.lifecycle import KnownRecording, ended_at
from rk_exporter.tracking.ranking import is_empty


class Problem(StrEnum):
    """A kind of problem, the most urgent first."""

    STUCK = "stuck"
    FAILED = "failed"
    UNRECORDED = "unrecorded"
    UNREADABLE = "unreadable"
    STALE = "stale"
    EMPTY = "empty"
    BROKEN = "broken"
    VANISHED = "vanished"
    NEAR_LIMIT = "near_limit"
    UNKNOWN = "unknown"
    EXPIRING = "expiring"


# They need no action today: files expire every day, for example.
NOTICES = frozenset({Problem.EXPIRING})
_CAPTURING = frozenset({Status.INVOKED, Status.RECORDING, Status.PAUSED})
RANKS = {problem: rank for rank, problem in enumerate(Problem)}


@dataclass(frozen=True, slots=True)
class Moment:
    """The time by this machine's clock and by the API's, which its timestamps follow."""

    now: float
    clock_offset: float

    @property
    def api_now(self) -> float:
        """Return the API's time."""
        return self.now + self.clock_offset

    def read(self, known: KnownRecording) -> ReadRecording:
        """Return a recording as the metrics show it."""
        return ReadRecording(known.recording, known.read_at, self.now, self.clock_offset)


def recording_problems(
    known: KnownRecording, moment: Moment, checks: Iterable[FileCheck] = ()
) -> Iterator[Problem]:
    """Return the problems of a recording with these *checks*, the most urgent first."""
    recording = known.recording
    if _is_stuck(recording, moment.api_now):
        yield Problem.STUCK
    is_recent = moment.api_now - ended_at(known) < THRESHOLDS.recording_ended_seconds
    if known.has_failed and is_recent:
        yield Problem.FAILED
    if recording.in_progress and moment.now - known.read_at > THRESHOLDS.data_age_seconds:
        yield Problem.STALE
    if recording.status is Status.UPLOADED and is_recent and is_empty(recording):
        yield Problem.EMPTY
    expires_in = moment.read(known).expires_in_seconds
    is_expired = expires_in is not None and expires_in <= 0
    if not is_expired and any(check.failure for check in checks):
        yield Problem.BROKEN
    if known.outcome is Outcome.VANISHED:
        yield Problem.VANISHED
    if _is_near_limit(recording, moment.api_now):
        yield Problem.NEAR_LIMIT
    if recording.status is Status.UNKNOWN:
        yield Problem.UNKNOWN
    if expires_in is not None and 0 < expires_in < THRESHOLDS.download_url_expires_in_seconds:
        yield Problem.EXPIRING


def meeting_problems(
    reading: Reading, *, is_unrecorded: bool, is_due: bool, now: float
) -> Iterator[Problem]:
    """
    Return the problems of a meeting.

    *is_unrecorded* says whether nothing records it; *is_due*, whether a pass should have read it.
    """
    if is_unrecorded and _should_be_recorded(reading):
        yield Problem.UNRECORDED
    if reading.failure is not None:
        yield Problem.UNREADABLE
    last_success = reading.last_success_timestamp_seconds
    if last_success is None:
        if is_due and reading.failure is None:
            yield Problem.STALE
    elif reading.recordings is None or now - last_success > THRESHOLDS.data_age_seconds:
        yield Problem.STALE


def is_capturing(recording: Recording) -> bool:
    """Return whether a recording may be recording now."""
    if recording.status is Status.UNKNOWN:
        return recording.in_progress
    return recording.status in _CAPTURING


def knows_live_meetings(discovery: DiscoveryState | None, now: float) -> bool:
    """Return whether the list of live sessions is recent."""
    last_success = discovery.last_success_timestamp_seconds if discovery else None
    return last_success is not None and now - last_success <= THRESHOLDS.data_age_seconds


def _is_stuck(recording: Recording, api_now: float) -> bool:
    invoked_at, stopped_at = (
        recording.invoked_timestamp_seconds,
        recording.stopped_timestamp_seconds,
    )
    if recording.status is Status.INVOKED:
        return (
            invoked_at is not None and api_now - invoked_at > THRESHOLDS.recording_invoked_seconds
        )
    if recording.status is Status.UPLOADING:
        return (
            stopped_at is not None and api_now - stopped_at > THRESHOLDS.recording_uploading_seconds
        )
    return False


def _is_near_limit(recording: Recording, api_now: float) -> bool:
    started_at = recording.started_timestamp_seconds
    is_running = recording.status in {Status.RECORDING, Status.PAUSED}
    return (
        is_running
        and started_at is not None
        and api_now - started_at > THRESHOLDS.recording_running_seconds
    )


def _should_be_recorded(reading: Reading) -> bool:
    """Return whether people are in a meeting that records by itself."""
    room = reading.room
    return (
        room is not None
        and bool(room.participants)
        and bool(room.record_on_start)
        and reading.recordings is not None
    )

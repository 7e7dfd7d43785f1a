"""
The life of one recording, put together from one reading after the other by pure functions.

A meeting shows its recordings in progress. Only a recording's own endpoint says how it ended.
All times are unix seconds: timestamps by the API's clock, times of readings by this machine's.
"""

from dataclasses import dataclass, replace

from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import FAILURES, TERMINAL, Outcome, Recording, Status
from rk_exporter.tracking.counters import RecordingCounters
from rk_exporter.tracking.known_fields import keep_known_fields


# A recording ends within 24 hours ("Start recording" page); then the upload follows.
LONGEST_LIFE_SECONDS = 25 * 3600.0
# The API keeps a file, and its URL works, for 7 days ("Data retention" page).
URL_LIFETIME_SECONDS = 7 * 86_400.0
# A recording that has vanished may come back.
_ENDS = frozenset({Outcome.UPLOADED, *FAILURES})
# A missing recording is read immediately, and again after one scrape. After that the app's list,
# which is polled more often than this, usually shows its end.
_SHORTEST_PAUSE_SECONDS = 10.0
_PAUSE_BESIDE_LIST_SECONDS = 90.0
_CHECKED_BEFORE_EXPIRY_SECONDS = 86_400.0
# The reason why a recording ended can wait for other calls, but not forever.
_LATE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRecording:
    """A recording as last read at *read_at* (unix seconds), and what was done to follow it."""

    meeting: Meeting
    recording: Recording
    read_at: float
    missing_since: float | None = None
    """When its meeting stopped showing it, if its end is not known."""
    outcome: Outcome | None = None
    """How it ended, as counted or as known before counting began."""
    has_details: bool = False
    """Whether its own endpoint was read after its end."""
    is_expiry_checked: bool = False
    """Whether it was read again shortly before its download URL expires."""
    awaits_duration: bool = False
    """Whether its length counts as soon as it is known, because it was not known at the end."""
    awaits_size: bool = False
    """Whether the size of its file counts as soon as it is known."""

    @property
    def recording_id(self) -> str:
        """Return the recording's id."""
        return self.recording.recording_id

    @property
    def has_failed(self) -> bool:
        """Return whether it failed, or ended in a failure that the API no longer shows."""
        return self.recording.status is Status.ERRORED or self.outcome in FAILURES

    @property
    def is_finished(self) -> bool:
        """Return whether it has reached its final state, which may be one that is unknown here."""
        recording, stopped_at = self.recording, self.recording.stopped_timestamp_seconds
        if recording.status is Status.UNKNOWN and stopped_at is not None and not self.outcome:
            return self.read_at - stopped_at >= LONGEST_LIFE_SECONDS
        return recording.status in TERMINAL or self.outcome in _ENDS


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowRules:
    """
    Which recordings are followed, how often they are read, and how long they are shown.

    *longest_pause_seconds* limits the time between two readings of a recording in progress. With
    *any_meeting*, recordings of meetings that are not in the list are followed as well.
    """

    retain_seconds: float
    max_recordings: int
    reread_seconds: float
    keep_removed: bool
    longest_pause_seconds: float
    any_meeting: bool = False

    def follows_more_than(self, before: "FollowRules") -> bool:
        """Return whether recordings are followed or shown that were not by the rules *before*."""
        has_more_meetings = self.any_meeting and not before.any_meeting
        return has_more_meetings or self.retain_seconds > before.retain_seconds


def track(
    meeting: Meeting, recording: Recording, *, read_at: float, is_inherited: bool
) -> KnownRecording:
    """
    Return a recording after its first reading.

    The details of an *inherited* recording, which ended before counting began, are not read.
    """
    outcome = _outcome(None, recording)
    is_counted = outcome is Outcome.UPLOADED and not is_inherited
    return KnownRecording(
        meeting=meeting,
        recording=recording,
        read_at=read_at,
        outcome=outcome,
        has_details=is_inherited and outcome is not None,
        awaits_duration=is_counted and not recording.known_duration_seconds,
        awaits_size=is_counted and not recording.file_size_bytes,
    )


def apply_reading(known: KnownRecording, recording: Recording, *, read_at: float) -> KnownRecording:
    """
    Return the recording after another reading.

    Known times and labels stay if the new reading lacks them: a field that is missing once must
    not end a series or start another one.
    """
    if recording != known.recording:
        recording = keep_known_fields(recording, known.recording, now=read_at)
    expires_at = recording.download_url_expiry_timestamp_seconds
    before, after = known.recording.status, recording.status
    # A recording that seems to go on after its end needs another look at its own endpoint.
    seems_to_go_on = after is not before and after not in TERMINAL
    is_refreshed = expires_at != known.recording.download_url_expiry_timestamp_seconds
    outcome = known.outcome or _outcome(known.recording, recording)
    is_uploaded = known.outcome is None and outcome is Outcome.UPLOADED
    return replace(
        known,
        recording=recording,
        read_at=read_at,
        outcome=outcome,
        awaits_duration=(is_uploaded or known.awaits_duration)
        and not recording.known_duration_seconds,
        awaits_size=(is_uploaded or known.awaits_size) and not recording.file_size_bytes,
        has_details=known.has_details and not seems_to_go_on,
        is_expiry_checked=known.is_expiry_checked and not is_refreshed,
    )


def with_details(known: KnownRecording, *, now: float) -> KnownRecording:
    """Return the recording after its own endpoint was read; *now* is the API's time."""
    return replace(with_expiry(known, now=now), has_details=True) if known.is_finished else known


def with_expiry(known: KnownRecording, *, now: float) -> KnownRecording:
    """Return the recording after the expiry of its URL was read; *now* is the API's time."""
    check_at = _check_expiry_at(known)
    return replace(known, is_expiry_checked=check_at is not None and now >= check_at)


def revive(
    known: KnownRecording, outcome: Outcome | None, started_timestamp_seconds: float | None
) -> KnownRecording:
    """Return an evicted recording that is back, with its *outcome* and start as counted before."""
    recording = replace(known.recording, started_timestamp_seconds=started_timestamp_seconds)
    return replace(
        known,
        recording=recording,
        outcome=outcome,
        has_details=outcome in _ENDS,
        # An uncounted size is a smaller mistake than one that counts twice.
        awaits_duration=False,
        awaits_size=False,
    )


def count_transition(
    counters: RecordingCounters,
    before: KnownRecording | None,
    after: KnownRecording,
    *,
    now: float,
    was_followed: bool = True,
) -> RecordingCounters:
    """
    Return *counters* plus what happened between two readings; *now* is the API's time.

    If the recording was not followed when it ended, nothing says how long its upload took.
    """
    recording = after.recording
    started_at = recording.started_timestamp_seconds
    if started_at is not None and (
        before is None or before.recording.started_timestamp_seconds is None
    ):
        invoked_at = recording.invoked_timestamp_seconds
        counters = counters.start(None if invoked_at is None else started_at - invoked_at)
    if before is not None and before.recording.status is not recording.status:
        counters = counters.move(before.recording.status, recording.status)
    if after.outcome is not None and (before is None or before.outcome is None):
        counters = counters.finish(after.outcome)
        stopped_at = recording.stopped_timestamp_seconds
        if after.outcome is Outcome.UPLOADED and stopped_at is not None and was_followed:
            counters = counters.upload(now - stopped_at)
    if after.outcome is not Outcome.UPLOADED:
        return counters
    # The length and the size count when they are first known, which may be after the end.
    is_new = before is None or before.outcome is None
    seconds, size = recording.known_duration_seconds, recording.file_size_bytes
    if seconds and (is_new or (before is not None and before.awaits_duration)):
        counters = counters.record_duration(recording.kind, seconds)
    if size and (is_new or (before is not None and before.awaits_size)):
        counters = counters.record_size(recording.kind, size)
    return counters


def may_be_due(known: KnownRecording) -> bool:
    """Return whether to read a recording by its id at some time before its URL expires."""
    return not known.has_details if known.is_finished else known.missing_since is not None


def expiry_check_at(known: KnownRecording) -> float | None:
    """Return when, by the API's clock, to check whether a recording's URL was refreshed."""
    if not known.is_finished or not known.has_details or known.is_expiry_checked:
        return None
    return _check_expiry_at(known)


def due_at(
    known: KnownRecording, rules: FollowRules, *, api_ahead_seconds: float = 0.0
) -> float | None:
    """
    Return when to read a recording by its id, by this machine's clock; None for no reading.

    The API's clock is *api_ahead_seconds* ahead of this machine's.
    """
    if not known.is_finished:
        if known.missing_since is None:
            return None
        if known.read_at < known.missing_since:
            return known.missing_since
        waited = known.read_at - known.missing_since
        if waited < _SHORTEST_PAUSE_SECONDS:
            return known.read_at + _SHORTEST_PAUSE_SECONDS
        longest = max(_SHORTEST_PAUSE_SECONDS, rules.longest_pause_seconds)
        return known.read_at + min(max(waited, _PAUSE_BESIDE_LIST_SECONDS), longest)
    if not known.has_details:
        return known.read_at
    check_at = _check_expiry_at(known)
    return None if known.is_expiry_checked or check_at is None else check_at - api_ahead_seconds


def overdue(
    known: KnownRecording, rules: FollowRules, *, now: float, api_ahead_seconds: float = 0.0
) -> float | None:
    """
    Return the waiting time as a multiple of the wanted one, at least 1; None if not due.

    A missing recording is as urgent as one in a state that should pass quickly.
    """
    due = due_at(known, rules, api_ahead_seconds=api_ahead_seconds)
    if due is None:
        return None
    # If the clock was set back, the reading is due nevertheless.
    is_set_back = now < known.read_at and not known.has_details
    if now < due and not is_set_back:
        return None
    if known.is_finished:
        since = due if known.has_details else ended_at(known) - api_ahead_seconds
        return max(1.0, (now - since) / _LATE_SECONDS)
    wanted = max(due - known.read_at, _SHORTEST_PAUSE_SECONDS)
    return max(1.0, (now - known.read_at) / wanted)


def ended_at(known: KnownRecording) -> float:
    """Return the best known time for the end of a finished recording."""
    recording = known.recording
    return (
        recording.stopped_timestamp_seconds
        or recording.started_timestamp_seconds
        or recording.invoked_timestamp_seconds
        or known.read_at
    )


def _outcome(before: Recording | None, after: Recording) -> Outcome | None:
    """
    Return how a recording has ended; None while it goes on.

    It failed in the upload if an earlier reading shows it UPLOADING or stopped.
    """
    if after.status is not Status.ERRORED:
        return Outcome.UPLOADED if after.status is Status.UPLOADED else None
    if before is None or before.status in TERMINAL:
        return Outcome.ERRORED
    has_stopped = before.stopped_timestamp_seconds is not None
    is_upload = has_stopped or before.status is Status.UPLOADING
    return Outcome.UPLOAD_FAILED if is_upload else Outcome.ERRORED


def _check_expiry_at(known: KnownRecording) -> float | None:
    expires_at = known.recording.download_url_expiry_timestamp_seconds
    return None if expires_at is None else expires_at - _CHECKED_BEFORE_EXPIRY_SECONDS

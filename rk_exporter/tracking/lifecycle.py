"""
The life of a recording as it is pieced together from one reading after another: pure functions.

A meeting shows a recording while it lasts; what became of it, its own endpoint tells. All times
are unix seconds of the API's clock, but for those of readings, which are by this machine's.
"""

from dataclasses import dataclass, replace

from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import OUTCOME_OF, TERMINAL, Outcome, Recording, Status
from rk_exporter.tracking.counters import RecordingCounters


_ENDED = frozenset(OUTCOME_OF.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRecording:
    """
    A recording that was seen: what it was like the last time, and how far it has been followed.

    Times are unix seconds.
    """

    meeting: Meeting
    recording: Recording
    read_at: float
    missing_since: float | None = None
    """Since when its meeting no longer shows it, though it has not ended as far as is known."""
    outcome: Outcome | None = None
    """How it ended, once that has been counted, or was known before there was a count."""
    has_details: bool = False
    """Whether its own endpoint was asked after it had ended."""
    is_expiry_checked: bool = False
    """Whether it was asked again shortly before its download URL was to expire."""

    @property
    def recording_id(self) -> str:
        """Return the recording's id."""
        return self.recording.recording_id

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing more will come of it."""
        return self.recording.status in TERMINAL or self.outcome in _ENDED


# A recording ends after 24 hours at the latest ("Start recording" page), and is uploaded then.
LONGEST_LIFE_SECONDS = 25 * 3600.0
# A file is kept, and its URL is good, for 7 days ("Data retention" page).
URL_LIFETIME_SECONDS = 7 * 86_400.0
# What has gone missing is read at once, and after a scrape. From then on the app's list, which is
# looked at more often than this, mostly tells; where it does not, ever more rarely.
_SHORTEST_PAUSE_SECONDS = 10.0
_PAUSE_BESIDE_LIST_SECONDS = 90.0
_CHECKED_BEFORE_EXPIRY_SECONDS = 86_400.0
# Why a recording ended can wait for others, but not for ever.
_LATE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowRules:
    """
    How recordings are followed, and for how long they are shown.

    *longest_pause_seconds* is the most that lies between two readings of one that has not ended.
    """

    retain_seconds: float
    max_recordings: int
    reread_seconds: float
    keep_removed: bool
    longest_pause_seconds: float


def apply_reading(known: KnownRecording, recording: Recording, *, read_at: float) -> KnownRecording:
    """
    Return what is known of a recording after another reading.

    What it said once of its beginning and end stays known, and so do the labels that were shown:
    a field that is missing for once must neither end a series nor begin another.
    """
    if recording != known.recording:
        recording = _with_what_was_known(recording, known.recording)
    expires_at = recording.download_url_expiry_timestamp_seconds
    was, is_now = known.recording.status, recording.status
    # After its end: its own endpoint is to put that right.
    seems_to_go_on = is_now is not was and is_now not in TERMINAL
    is_refreshed = expires_at != known.recording.download_url_expiry_timestamp_seconds
    return replace(
        known,
        recording=recording,
        read_at=read_at,
        outcome=known.outcome or OUTCOME_OF.get(recording.status),
        has_details=known.has_details and not seems_to_go_on,
        is_expiry_checked=known.is_expiry_checked and not is_refreshed,
    )


def with_details(known: KnownRecording, *, now: float) -> KnownRecording:
    """Return what is known after its own endpoint was asked, at *now* by the API's time."""
    return replace(with_expiry(known, now=now), has_details=True) if known.is_finished else known


def with_expiry(known: KnownRecording, *, now: float) -> KnownRecording:
    """Return what is known after the API told when its URL expires, at *now* by its time."""
    check_at = _check_expiry_at(known)
    return replace(known, is_expiry_checked=check_at is not None and now >= check_at)


def track(
    meeting: Meeting, recording: Recording, *, read_at: float, is_inherited: bool
) -> KnownRecording:
    """
    Return what is known of a recording after the first reading.

    What an *inherited* one, of before the exporter's time, has come to is not asked for anew.
    """
    outcome = OUTCOME_OF.get(recording.status)
    return KnownRecording(
        meeting=meeting,
        recording=recording,
        read_at=read_at,
        outcome=outcome,
        has_details=is_inherited and outcome is not None,
    )


def revive(
    known: KnownRecording, outcome: Outcome | None, started_timestamp_seconds: float | None
) -> KnownRecording:
    """Return what was known of a recording that had left, given what has been counted of it."""
    recording = replace(known.recording, started_timestamp_seconds=started_timestamp_seconds)
    has_ended = outcome in OUTCOME_OF.values()
    return replace(known, recording=recording, outcome=outcome, has_details=has_ended)


def has_labels(recording: Recording) -> bool:
    """Tell whether what rk_recording_info shows is settled; a session may come with the start."""
    return recording.session_id is not None or recording.status is not Status.INVOKED


def count_transition(
    counters: RecordingCounters, before: KnownRecording | None, after: KnownRecording, *, now: float
) -> RecordingCounters:
    """Return *counters* with all that has happened to a recording; *now* is the API's time."""
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
        if after.outcome is Outcome.UPLOADED and stopped_at is not None:
            counters = counters.upload(now - stopped_at)
    return counters


def due_at(
    known: KnownRecording, rules: FollowRules, *, api_ahead_seconds: float = 0.0
) -> float | None:
    """
    Return from when on a recording is to be read by its id; None while that tells no more.

    That is by this machine's clock, of which the API's is ahead by so many seconds.
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
    Return how often over the time to the next reading has passed, at least 1; None before.

    A recording that has gone missing counts as if it were in a state that passes quickly.
    """
    due = due_at(known, rules, api_ahead_seconds=api_ahead_seconds)
    if due is None:
        return None
    # A clock that is set back must not put off what the last reading made due.
    is_set_back = now < known.read_at and not known.has_details
    if now < due and not is_set_back:
        return None
    if known.is_finished:
        since = due if known.has_details else ended_at(known) - api_ahead_seconds
        return max(1.0, (now - since) / _LATE_SECONDS)
    wanted = max(due - known.read_at, _SHORTEST_PAUSE_SECONDS)
    return max(1.0, (now - known.read_at) / wanted)


def ended_at(known: KnownRecording) -> float:
    """Return when a finished recording ended, as well as can be told."""
    recording = known.recording
    return (
        recording.stopped_timestamp_seconds
        or recording.started_timestamp_seconds
        or recording.invoked_timestamp_seconds
        or known.read_at
    )


def leaves_at(known: KnownRecording, rules: FollowRules) -> float | None:
    """Return when a recording is no longer shown; None for one that has not ended."""
    if not known.is_finished:
        return None
    expires_at = known.recording.download_url_expiry_timestamp_seconds
    return ended_at(known) + rules.retain_seconds if expires_at is None else expires_at


def _check_expiry_at(known: KnownRecording) -> float | None:
    expires_at = known.recording.download_url_expiry_timestamp_seconds
    return None if expires_at is None else expires_at - _CHECKED_BEFORE_EXPIRY_SECONDS


def _with_what_was_known(recording: Recording, before: Recording) -> Recording:
    settled = has_labels(before)
    return replace(
        recording,
        # An empty one is settled as well.
        session_id=before.session_id or "" if settled else recording.session_id,
        output_file_name=before.output_file_name if settled else recording.output_file_name,
        is_track=before.is_track if settled else recording.is_track,
        invoked_timestamp_seconds=(
            recording.invoked_timestamp_seconds or before.invoked_timestamp_seconds
        ),
        started_timestamp_seconds=(
            recording.started_timestamp_seconds or before.started_timestamp_seconds
        ),
        stopped_timestamp_seconds=(
            recording.stopped_timestamp_seconds or before.stopped_timestamp_seconds
        ),
        stop_reason=recording.stop_reason or before.stop_reason,
    )

"""Nothing invented: each value of a recording is one that the API gave in some answer."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import attrgetter

from tests.support.model.journal import TOGETHER_SECONDS, Journal, Sighting
from tests.support.model.shown import Shown, ShownRecording


# A list takes several calls, and counts as read when the last one has ended.
LIST_SECONDS = 10.0
_ROUNDING_SECONDS = 0.002
_RUNNING = frozenset({"RECORDING", "PAUSED"})


def invented(
    shown: Shown, app: str, journal: Journal, *, begun_at: float, ended_at: float
) -> Iterator[str]:
    """Return the values of the recordings of an app that no answer in *journal* explains."""
    reads_list = any(labels["read"] == "list" for labels, _ in shown.of("rk_app_info", app))
    slack = LIST_SECONDS if reads_list else 0.0
    for recording_id, recording in shown.recordings(app).items():
        if not _is_left(recording, begun_at, ended_at):
            yield f"{app}: {recording_id} has another time left than until its URL expires"
        read_at = recording.get("last_success_timestamp_seconds")
        if read_at is None:
            yield f"{app}: {recording_id} has no time of its reading"
            continue
        sightings = journal.sightings.get(recording_id, [])
        first, last = (
            bisect_left(sightings, at, key=attrgetter("answered_at"))
            for at in (read_at - slack - _ROUNDING_SECONDS, read_at + _ROUNDING_SECONDS)
        )
        seen, latest = sightings[:last], sightings[first:last]
        if not latest:
            yield f"{app}: {recording_id} was not in an answer at {read_at:.3f}"
            continue
        found = [
            list(_differences(recording, sighting, used, read_at))
            for sighting in latest
            for used in (seen, [*_surely_used(seen), sighting])
        ]
        for difference in min(found, key=len):
            yield f"{app}: {recording_id}, scraped at {begun_at:.3f}: {difference}"
    yield from _meetings(shown, app)


def _is_left(recording: ShownRecording, begun_at: float, ended_at: float) -> bool:
    """Return whether the time that is left is that from the scrape until the URL expires."""
    expires_at = recording.get("download_url_expiry_timestamp_seconds")
    left = recording.get("download_url_expires_in_seconds")
    if expires_at is None or left is None:
        return expires_at is left
    shown_at = expires_at - left
    return begun_at - _ROUNDING_SECONDS <= shown_at <= ended_at + _ROUNDING_SECONDS


def _surely_used(seen: Sequence[Sighting]) -> list[Sighting]:
    """
    Return the sightings that had no other one shortly before them.

    Of two answers to calls that were made together, the exporter uses one: the other may be older.
    """
    return [
        sighting
        for before, sighting in pairwise([None, *seen])
        if sighting
        and (before is None or sighting.answered_at - before.answered_at > TOGETHER_SECONDS)
    ]


def _differences(
    recording: ShownRecording, sighting: Sighting, seen: Sequence[Sighting], read_at: float
) -> Iterator[str]:
    """Return how a recording differs from what was *seen*, last in *sighting*."""
    expected = _expected(sighting, seen, read_at)
    for name, value in expected.items():
        shown = recording.get(name)
        if shown != value and (
            shown is None or value is None or abs(shown - value) > _ROUNDING_SECONDS
        ):
            yield f"{name} is {shown}, but was {value}"
    if recording.status != sighting.status:
        yield f"the status is {recording.status}, but was {sighting.status}"
    if recording.meeting_id not in {other.meeting_id for other in seen}:
        yield f"it is shown in the meeting {recording.meeting_id}"
    reasons = set(recording.states.get("rk_recording_stop_reason", ()))
    if not reasons <= {other.reason for other in seen}:
        yield f"the reasons are {reasons}"
    labels: set[object] = {other.labels for other in seen if other.has_labels}
    if recording.labels not in (labels or {None}):
        yield f"the labels are {recording.labels}, but were {labels}"


def _expected(
    sighting: Sighting, seen: Sequence[Sighting], read_at: float
) -> dict[str, float | None]:
    started_at = _kept(sighting.started_at, [other.started_at for other in seen])
    stopped_at = _kept(sighting.stopped_at, [other.stopped_at for other in seen])
    expires_at = sighting.expires_at
    if expires_at is None:
        before = _kept(None, [other.expires_at for other in seen])
        expires_at = before if before is not None and before <= read_at else None
    return {
        "download_available composite": sighting.has_url,
        "download_available audio": sighting.has_audio_url,
        "file_size_bytes": sighting.size,
        "duration_seconds": _duration(sighting, started_at, stopped_at, read_at),
        "download_url_expiry_timestamp_seconds": expires_at,
        "invoked_timestamp_seconds": _kept(
            sighting.invoked_at, [other.invoked_at for other in seen]
        ),
        "started_timestamp_seconds": started_at,
        "stopped_timestamp_seconds": stopped_at,
    }


def _kept(value: float | None, before: Sequence[float | None]) -> float | None:
    """Return a value that stays known when an answer lacks it."""
    known = [other for other in before if other is not None]
    return value if value is not None or not known else known[-1]


def _duration(
    sighting: Sighting, started_at: float | None, stopped_at: float | None, read_at: float
) -> float | None:
    if sighting.duration:
        return sighting.duration
    until = stopped_at
    if until is None and sighting.status in _RUNNING:
        until = read_at
    if until is None or started_at is None:
        return sighting.duration
    return max(0.0, until - started_at)


def _meetings(shown: Shown, app: str) -> Iterator[str]:
    """Return the meetings that do not have as many recordings as they say."""
    recordings = shown.recordings(app).values()
    for meeting_id, count in shown.by_meeting("rk_meeting_active_recordings", app).items():
        found = sum(x.meeting_id == meeting_id and x.in_progress for x in recordings)
        if found != count:
            yield f"{app}: {meeting_id} has {found} recordings in progress, but counts {count}"

"""The report of `check` about a snapshot, as lines of text or as JSON."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from rk_exporter.cli.check_meetings import Existence
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import Reading, ReadMode, Room
from rk_exporter.model.recording import Recording
from rk_exporter.model.remedies import REMEDIES
from rk_exporter.runtime.durations import duration_text
from rk_exporter.snapshot import AppSnapshot, Snapshot


ExistenceByApp = Mapping[str, Existence]
NOTHING_KNOWN: ExistenceByApp = MappingProxyType({})
_BUDGET_NOTE = "check uses at most a tenth of the budget"
_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB")
_THOUSAND = 1000


def is_fine(snapshot: Snapshot, existence: ExistenceByApp = NOTHING_KNOWN) -> bool:
    """Return whether the API accepts each token, and all meetings exist and can be read."""
    return all(_is_fine(app, existence.get(app.app.name, Existence())) for app in snapshot.apps)


def lines(
    snapshot: Snapshot, existence: ExistenceByApp = NOTHING_KNOWN, *, offline: bool = False
) -> Iterator[str]:
    """Return a line for each app and meeting; *offline* means that nothing was read."""
    for app in snapshot.apps:
        known = existence.get(app.app.name, Existence())
        yield _app_line(app, known, offline=offline)
        token_failure = _token_failure(app)
        if token_failure:
            yield f"  token: FAILED {_failure_text(token_failure)}"
        elif failure := _discovery_failure(app):
            yield f"  live meetings: FAILED {_failure_text(failure)}"
        yield from _meeting_lines(app, known, now=snapshot.taken_at, offline=offline)
        yield from (f"  note: {note}" for note in _notes(known))


def _meeting_lines(
    app: AppSnapshot, known: Existence, *, now: float, offline: bool
) -> Iterator[str]:
    readings = [reading for reading in app.readings if not _is_hidden(reading, app)]
    id_width = max((len(reading.meeting.meeting_id) for reading in readings), default=0)
    name_width = max((len(_name(reading)) for reading in readings), default=0)
    for reading in readings:
        state = "listed" if offline else _state(reading, app, known, now=now)
        name = f"{_name(reading):{name_width}}  " if name_width else ""
        yield f"  {reading.meeting.meeting_id:{id_width}}  {name}{state}"


def _notes(known: Existence) -> Iterator[str]:
    """Return what the check did not find out."""
    if known.refusal:
        yield (
            f"{known.refusal}, so the check cannot see whether meetings without a recording exist; "
            "a mistyped id looks like a meeting that nobody records"
        )
    elif known.unverified:
        yield f"not asked whether they exist: {_meetings(known.unverified)}; {_BUDGET_NOTE}"
    if known.left_out:
        yield f"not checked: {_meetings(known.left_out)}, the last in the list; {_BUDGET_NOTE}"


def document(
    snapshot: Snapshot, existence: ExistenceByApp = NOTHING_KNOWN, *, offline: bool = False
) -> dict[str, Any]:
    """Return the report for scripts, as JSON types."""
    known = {app.app.name: existence.get(app.app.name, Existence()) for app in snapshot.apps}
    return {
        "ok": offline or is_fine(snapshot, existence),
        "apps": [
            {
                "app": app.app.name,
                "account_id": app.app.account_id,
                "app_id": app.app.app_id,
                "ok": offline or _is_fine(app, known[app.app.name]),
                "read": app.read_mode.value,
                "deferred": app.deferred,
                "token_failure": _failure_document(_token_failure(app)),
                "discovery_failure": _failure_document(_discovery_failure(app)),
                "blocked_until_timestamp_seconds": _blocked_until(app),
                "notes": list(_notes(known[app.app.name])),
                "meetings": [
                    _meeting_document(reading, known[app.app.name], now=snapshot.taken_at)
                    for reading in app.readings
                ],
            }
            for app in snapshot.apps
        ],
    }


def _is_fine(app: AppSnapshot, known: Existence) -> bool:
    is_accepted = app.up is not False and _discovery_failure(app) is None
    return is_accepted and not known.missing and all(reading.up for reading in app.readings)


def _token_failure(app: AppSnapshot) -> Failure | None:
    """Return the failure of all calls if the API has rejected the token."""
    if app.up is not False:
        return None
    failures = [_discovery_failure(app), *(reading.failure for reading in app.readings)]
    return next((item for item in failures if item and item.reason is Reason.AUTH), None)


def _is_hidden(reading: Reading, app: AppSnapshot) -> bool:
    """Return whether the rejected token is all that there is to say about a meeting."""
    is_other = reading.failure is not None and reading.failure.reason is not Reason.AUTH
    return _token_failure(app) is not None and not is_other


def _discovery_failure(app: AppSnapshot) -> Failure | None:
    return app.discovery.failure if app.discovery else None


def _blocked_until(app: AppSnapshot) -> float | None:
    status = app.budget_status
    return status.blocked_until_timestamp_seconds if status else None


def _app_line(app: AppSnapshot, known: Existence, *, offline: bool) -> str:
    subject = f"{app.app.name}: account {app.app.account_id}, app {app.app.app_id}"
    total = len(app.readings)
    if offline:
        return f"{subject}: {_meetings(total)} listed, no API calls made"
    read = sum(1 for reading in app.readings if reading.up)
    verdict = "ok" if _is_fine(app, known) else "FAILED"
    how = " through the list" if app.read_mode is ReadMode.LIST else ""
    return f"{subject}: {verdict}, {read} of {total} meetings read{how}"


def _meetings(count: int) -> str:
    return "1 meeting" if count == 1 else f"{count} meetings"


def _name(reading: Reading) -> str:
    meeting = reading.meeting
    return "" if meeting.name == meeting.meeting_id else meeting.name


def _state(reading: Reading, app: AppSnapshot, known: Existence, *, now: float) -> str:
    if failure := _missing_failure(reading, known):
        return f"FAILED {failure['reason']}: {failure['explanation']}; {failure['advice']}"
    if reading.failure:
        suspect = known.suspects.get(reading.meeting.meeting_id)
        listed = f" ({suspect})" if suspect else ""
        return f"FAILED {_failure_text(reading.failure)}{listed}"
    if reading.recordings is None:
        return _unread_text(app, now=now)
    if not reading.recordings:
        problem = known.failures.get(reading.meeting.meeting_id)
        doubt = f"; cannot see whether the meeting exists: {problem}" if problem else ""
        return f"no active recording{doubt}"
    return "; ".join(_recording_text(recording, now=now) for recording in reading.recordings)


def _unread_text(app: AppSnapshot, *, now: float) -> str:
    blocked_until = _blocked_until(app)
    if blocked_until is None:
        return (
            "FAILED: not read, because the budget or the time ran out; raise --api.budget, or list "
            "fewer meetings"
        )
    return (
        "FAILED: not read, because a refused call suspends API calls for "
        f"{duration_text(blocked_until - now)}; try again after that"
    )


def _failure_text(failure: Failure) -> str:
    text = f"{failure.reason}: {failure.explanation}; {REMEDIES[failure.reason]}"
    return f'{text}; the API says "{failure.api_message}"' if failure.api_message else text


def _recording_text(recording: Recording, *, now: float) -> str:
    parts = [f"{recording.status} (recording {recording.recording_id})"]
    duration = recording.duration_seconds(as_of=now)
    if duration is not None:
        parts.append(f"{duration_text(duration)} long")
    if recording.file_size_bytes:
        parts.append(_size_text(recording.file_size_bytes))
    expiry = recording.download_url_expiry_timestamp_seconds
    if expiry is not None:
        left_seconds = expiry - now
        when = f"expires in {duration_text(left_seconds)}" if left_seconds > 0 else "has expired"
        parts.append(f"download URL {when}")
    return ", ".join(parts)


def _size_text(size_bytes: float) -> str:
    for unit in _SIZE_UNITS[:-1]:
        if size_bytes < _THOUSAND:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= _THOUSAND
    return f"{size_bytes:.3g} {_SIZE_UNITS[-1]}"


def _missing_failure(reading: Reading, known: Existence) -> dict[str, str] | None:
    place = known.missing.get(reading.meeting.meeting_id)
    if place is None:
        return None
    return {
        "reason": Reason.NOT_FOUND.value,
        "explanation": "the API has no meeting with this id",
        "advice": f"correct or remove it: {place}",
    }


def _meeting_document(reading: Reading, known: Existence, *, now: float) -> dict[str, Any]:
    room = reading.room or Room()
    missing = _missing_failure(reading, known)
    return {
        "meeting_id": reading.meeting.meeting_id,
        "name": reading.meeting.name,
        "ok": False if missing else reading.up,
        "live": room.is_live,
        "live_participants": room.participants,
        "record_on_start": room.record_on_start,
        "failure": missing or _failure_document(reading.failure),
        "recordings": reading.recordings
        and [_recording_document(recording, now=now) for recording in reading.recordings],
    }


def _failure_document(failure: Failure | None) -> dict[str, str | None] | None:
    if failure is None:
        return None
    return {
        "reason": failure.reason.value,
        "explanation": failure.explanation,
        "api_message": failure.api_message,
        "advice": REMEDIES[failure.reason],
    }


def _recording_document(recording: Recording, *, now: float) -> dict[str, Any]:
    return {
        "recording_id": recording.recording_id,
        "status": recording.status.value,
        "session_id": recording.session_id,
        "output_file_name": recording.output_file_name,
        "file_size_bytes": recording.file_size_bytes,
        "duration_seconds": recording.duration_seconds(as_of=now),
        "invoked_timestamp_seconds": recording.invoked_timestamp_seconds,
        "started_timestamp_seconds": recording.started_timestamp_seconds,
        "stopped_timestamp_seconds": recording.stopped_timestamp_seconds,
        "download_url_expiry_timestamp_seconds": recording.download_url_expiry_timestamp_seconds,
    }

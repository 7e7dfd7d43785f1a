"""The report of `check` about a snapshot, as lines of text or as JSON."""

from collections.abc import Iterator
from typing import Any

from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import Reading, ReadMode, Room
from rk_exporter.model.recording import Recording
from rk_exporter.runtime.durations import duration_text
from rk_exporter.snapshot import AppSnapshot, Snapshot


_ADVICE = {
    Reason.TIMEOUT: "check the network path to the API, and Cloudflare's status page",
    Reason.CONNECT: "check network, DNS and firewall between this machine and the API",
    Reason.TLS: "check this machine's certificates and clock, and any proxy that intercepts TLS",
    Reason.AUTH: 'give the token the permission "Realtime" for this account, or create a new token',
    Reason.INTERCEPTED: "check the firewall and the proxy between this machine and the API; the "
    "token may be right",
    Reason.RATE_LIMITED: "wait 5 minutes; if it recurs, lower --api.budget",
    Reason.SERVER_ERROR: "try again later, and check Cloudflare's status page",
    Reason.CLIENT_ERROR: "check the meeting id",
    Reason.NOT_FOUND: "check account_id and app_id",
    Reason.INVALID_RESPONSE: "check --api.base-url, and any proxy between this machine and the API",
    Reason.TOO_LARGE: "check --api.base-url, and any proxy between this machine and the API",
}
_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB")
_THOUSAND = 1000


def is_fine(snapshot: Snapshot) -> bool:
    """Return whether the API accepts each app's token, and all meetings can be read."""
    return all(_is_fine(app) for app in snapshot.apps)


def lines(snapshot: Snapshot, *, offline: bool = False) -> Iterator[str]:
    """Return a line for each app and meeting; *offline* means that nothing was read."""
    for app in snapshot.apps:
        yield _app_line(app, offline=offline)
        if failure := _discovery_failure(app):
            yield f"  live meetings: FAILED {_failure_text(failure)}"
        id_width = max((len(reading.meeting.meeting_id) for reading in app.readings), default=0)
        name_width = max((len(_name(reading)) for reading in app.readings), default=0)
        for reading in app.readings:
            state = "listed" if offline else _state(reading, app, now=snapshot.taken_at)
            name = f"{_name(reading):{name_width}}  " if name_width else ""
            yield f"  {reading.meeting.meeting_id:{id_width}}  {name}{state}"


def document(snapshot: Snapshot, *, offline: bool = False) -> dict[str, Any]:
    """Return the report for scripts, as JSON types."""
    return {
        "ok": offline or is_fine(snapshot),
        "apps": [
            {
                "app": app.app.name,
                "account_id": app.app.account_id,
                "app_id": app.app.app_id,
                "ok": offline or _is_fine(app),
                "read": app.read_mode.value,
                "deferred": app.deferred,
                "discovery_failure": _failure_document(_discovery_failure(app)),
                "blocked_until_timestamp_seconds": _blocked_until(app),
                "meetings": [
                    _meeting_document(reading, now=snapshot.taken_at) for reading in app.readings
                ],
            }
            for app in snapshot.apps
        ],
    }


def _is_fine(app: AppSnapshot) -> bool:
    is_accepted = app.up is not False and _discovery_failure(app) is None
    return is_accepted and all(reading.up for reading in app.readings)


def _discovery_failure(app: AppSnapshot) -> Failure | None:
    return app.discovery.failure if app.discovery else None


def _blocked_until(app: AppSnapshot) -> float | None:
    status = app.budget_status
    return status.blocked_until_timestamp_seconds if status else None


def _app_line(app: AppSnapshot, *, offline: bool) -> str:
    subject = f"{app.app.name}: account {app.app.account_id}, app {app.app.app_id}"
    total = len(app.readings)
    if offline:
        listed = "1 meeting" if total == 1 else f"{total} meetings"
        return f"{subject}: {listed} listed, no API calls made"
    read = sum(1 for reading in app.readings if reading.up)
    verdict = "ok" if _is_fine(app) else "FAILED"
    how = " through the list" if app.read_mode is ReadMode.LIST else ""
    return f"{subject}: {verdict}, {read} of {total} meetings read{how}"


def _name(reading: Reading) -> str:
    meeting = reading.meeting
    return "" if meeting.name == meeting.meeting_id else meeting.name


def _state(reading: Reading, app: AppSnapshot, *, now: float) -> str:
    if reading.failure:
        return f"FAILED {_failure_text(reading.failure)}"
    if reading.recordings is None:
        return _unread_text(app, now=now)
    if not reading.recordings:
        return "no active recording"
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
    text = f"{failure.reason}: {failure.explanation}; {_ADVICE[failure.reason]}"
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


def _meeting_document(reading: Reading, *, now: float) -> dict[str, Any]:
    room = reading.room or Room()
    return {
        "meeting_id": reading.meeting.meeting_id,
        "name": reading.meeting.name,
        "ok": reading.up,
        "live": room.is_live,
        "live_participants": room.participants,
        "record_on_start": room.record_on_start,
        "failure": _failure_document(reading.failure),
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
        "advice": _ADVICE[failure.reason],
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

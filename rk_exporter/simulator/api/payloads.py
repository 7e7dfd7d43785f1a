"""
The JSON of meetings, sessions and recordings, with the fields that the endpoints' pages list.

Each secret contains `CANARY`, so that tests can search for leaks.
"""

from datetime import UTC, datetime
from enum import StrEnum

from rk_exporter.simulator.api.responses import JsonObject
from rk_exporter.simulator.scenarios.model import Meeting, Recording, Session, Status


CANARY = "SIMULATED-SECRET"
"""A part of every signature, key and secret that the simulator returns."""

_HAS_FILE = frozenset({Status.UPLOADING, Status.UPLOADED})


class MeetingInList(StrEnum):
    """
    How an item in the list of recordings names its meeting.

    Both fields are optional in the API's description.
    """

    MEETING = "meeting"
    """By a `meeting` object, as the API's description says."""
    MEETING_ID = "meeting_id"
    """By the field `meeting_id`, as third parties have observed."""
    NONE = "none"
    """Only in the name of the file."""


def app_payload(app_id: str, name: str) -> JsonObject:
    """Return the fields of an app."""
    return {"id": app_id, "created_at": timestamp(0.0), "name": name}


def recording_payload(recording: Recording, now: float) -> JsonObject:
    """Return the fields of a recording at *now*: 12 after the upload, 11 before."""
    status = recording.status(now)
    payload: JsonObject = {
        "id": recording.id,
        "audio_download_url": None,
        "download_url": None,
        "download_url_expiry": None,
        "file_size": None,
        "invoked_time": timestamp(recording.invoked_at),
        "output_file_name": recording.output_file_name,
        "session_id": recording.session_id,
        "started_time": _by_now(recording.started_at, now),
        "status": status,
        "stopped_time": _by_now(recording.stopped_at, now),
    }
    if status in _HAS_FILE:
        payload["file_size"] = 0 if recording.track else recording.file_size_bytes
    if status == Status.UPLOADED:
        seconds = 0 if recording.zero_duration else round(recording.recorded_seconds)
        payload["recording_duration"] = seconds
        payload.update(_urls(recording, now))
    return payload


def recording_in_list(
    recording: Recording,
    meeting: Meeting | None,
    now: float,
    meeting_in_list: MeetingInList = MeetingInList.MEETING,
) -> JsonObject:
    """Return a recording as in the list: with its meeting and its storage."""
    payload = recording_payload(recording, now)
    if meeting_in_list == MeetingInList.MEETING:
        payload["meeting"] = None if meeting is None else meeting_payload(meeting)
    elif meeting_in_list == MeetingInList.MEETING_ID:
        payload["meeting_id"] = recording.meeting_id
    payload["storage_config"] = storage_payload(recording.storage_type)
    return payload


def recording_in_full(recording: Recording, now: float) -> JsonObject:
    """Return a recording as its own endpoint does: with its storage, start and stop reasons."""
    payload = recording_payload(recording, now)
    payload["storage_config"] = storage_payload(recording.storage_type)
    start_reason: JsonObject = {"reason": recording.start_reason}
    if recording.start_reason == "API_CALL":
        # A meeting that records on start has no caller ("Fetch details" page).
        start_reason["caller"] = {"type": "ORGANIZATION", "name": "Simulated organization"}
    payload["start_reason"] = start_reason
    if recording.stop_reason is not None and payload["stopped_time"] is not None:
        payload["stop_reason"] = {"reason": recording.stop_reason}
    return payload


def meeting_payload(meeting: Meeting) -> JsonObject:
    """Return a meeting."""
    return {
        "id": meeting.id,
        "title": meeting.title,
        "status": "ACTIVE" if meeting.active else "INACTIVE",
        "created_at": timestamp(meeting.created_at),
        "updated_at": timestamp(meeting.created_at),
        "record_on_start": meeting.record_on_start,
        "live_stream_on_start": False,
        "persist_chat": False,
        "summarize_on_end": False,
        "recording_config": {
            "max_seconds": 86_400,
            "file_name_prefix": "",
            "realtimekit_bucket_config": {"enabled": meeting.bucket_enabled},
            "storage_config": storage_payload(meeting.storage_type),
            "live_streaming_config": {"rtmp_url": f"rtmps://live.example.com/app/{CANARY}-key"},
        },
    }


def session_payload(
    session: Session, meeting: Meeting | None, app_id: str, now: float
) -> JsonObject:
    """Return a session; one that has ended has no live participants."""
    live = session.is_live(now)
    until = now if live or session.ended_at is None else session.ended_at
    minutes = session.live_participants * max(0.0, until - session.started_at) / 60
    payload: JsonObject = {
        "id": session.id,
        "associated_id": session.meeting_id,
        "meeting_display_name": "" if meeting is None else meeting.title,
        "organization_id": app_id,
        "status": "LIVE" if live else "ENDED",
        "type": "meeting",
        "live_participants": session.live_participants if live else 0,
        "max_concurrent_participants": session.live_participants,
        "minutes_consumed": round(minutes, 3),
        "started_at": timestamp(session.started_at),
        "created_at": timestamp(session.started_at),
        "updated_at": timestamp(until),
    }
    if not live:
        payload["ended_at"] = timestamp(until)
    return payload


def storage_payload(storage_type: str | None) -> JsonObject | None:
    """Return the customer's own storage, including the secrets that the API returns."""
    if storage_type is None:
        return None
    return {
        "type": storage_type,
        "bucket": "our-recordings",
        "region": "eu-central-1",
        "path": "/realtimekit",
        "access_key": f"AKIA-{CANARY}",
        "secret": f"{CANARY}-storage",
    }


def timestamp(at: float) -> str:
    """Format unix seconds as the API does: "2019-12-27T18:11:19.117Z"."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _by_now(at: float | None, now: float) -> str | None:
    """Format a time that is not after *now*."""
    return None if at is None or at > now else timestamp(at)


def _urls(recording: Recording, now: float) -> JsonObject:
    """Return the download URLs of an uploaded recording, if it is in RealtimeKit's bucket."""
    expires_at = recording.url_expires_at(now)
    if expires_at is None:
        return {}
    name = recording.output_file_name
    if recording.track:
        file_name = name.replace("{{peer_id}}", "peer-1")
        file = {"download_url": _presigned(recording, "storage.googleapis.com", file_name)}
        layer = {"layer_name": "default", "download_urls": {file_name: file}}
        return {"download_url": [layer], "download_url_expiry": timestamp(expires_at)}
    host = "bucket.r2.cloudflarestorage.com"
    urls: JsonObject = {
        "download_url": _presigned(recording, host, name),
        "download_url_expiry": timestamp(expires_at),
    }
    if recording.audio:
        urls["audio_download_url"] = _presigned(recording, host, f"{name}.mp3")
    return urls


def _presigned(recording: Recording, host: str, file_name: str) -> str:
    """Return a presigned URL, which is enough to download the file."""
    signature = f"{CANARY}-{recording.id.replace('-', '')}"
    return (
        f"https://{host}/recordings/{file_name}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
    )

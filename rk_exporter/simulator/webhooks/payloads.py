"""The bodies of events, with the fields of the samples in the documentation."""

from datetime import UTC, datetime

from rk_exporter.simulator.api.payloads import CANARY
from rk_exporter.simulator.api.responses import JsonObject
from rk_exporter.simulator.scenarios.model import Meeting, Recording, Session, Status


def recording_event(
    recording: Recording, meeting: Meeting, status: Status, *, at: float, app_id: str
) -> JsonObject:
    """Return the event that a recording has reached a *status*."""
    started_at, stopped_at = recording.started_at, recording.stopped_at
    has_file = status is Status.UPLOADED
    return {
        "event": "recording.statusUpdate",
        "recording": {
            "id": recording.id,
            "recordingId": recording.id,
            "status": status.value,
            "meetingId": recording.meeting_id,
            "roomUUID": recording.session_id,
            "organizationId": app_id,
            "startedTime": _by(started_at, at),
            "stoppedTime": _by(stopped_at, at),
            # A text in the vendor's sample.
            "fileSize": str(recording.file_size_bytes) if has_file else None,
            "outputFileName": recording.output_file_name,
            "downloadUrl": f"https://bucket.example/{CANARY}" if has_file else None,
            "audioDownloadUrl": None,
            "downloadUrlExpiry": _by(recording.url_expires_at(at), None) if has_file else None,
            "recordingDuration": round(recording.recorded_seconds) if has_file else None,
        },
        "meeting": _meeting(meeting, recording.session_id, app_id),
    }


def session_event(session: Session, meeting: Meeting, *, ended: bool, app_id: str) -> JsonObject:
    """Return the event that a session has started or *ended*."""
    content: JsonObject = {
        "event": "meeting.ended" if ended else "meeting.started",
        "meeting": {
            **_meeting(meeting, session.id, app_id),
            "startedAt": _text(session.started_at),
            "endedAt": _by(session.ended_at, None) if ended else None,
        },
    }
    return {**content, "reason": "ALL_PARTICIPANTS_LEFT"} if ended else content


def _meeting(meeting: Meeting, session_id: str | None, app_id: str) -> JsonObject:
    return {
        "id": meeting.id,
        "sessionId": session_id,
        "title": meeting.title,
        "roomName": meeting.id,
        # Also in the sample of an event that it has ended.
        "status": "LIVE",
        "createdAt": _text(meeting.created_at),
        "organizedBy": {"id": app_id, "name": "Simulated organization"},
    }


def _by(at: float | None, now: float | None) -> str | None:
    return None if at is None or (now is not None and at > now) else _text(at)


def _text(at: float) -> str:
    """Format unix seconds as events have them: "2022-12-13 07:08:39.051621Z"."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")

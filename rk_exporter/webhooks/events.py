"""The events that RealtimeKit sends ("Webhooks" page)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from rk_exporter.collector.app_webhook import Notice
from rk_exporter.model.ids import ID_PATTERN, canonical
from rk_exporter.model.recording import Status
from rk_exporter.runtime import json_text


OTHER = "other"
"""The label value of events that are not documented, or whose name is not known."""


class EventName(StrEnum):
    """The documented events."""

    MEETING_STARTED = "meeting.started"
    MEETING_ENDED = "meeting.ended"
    PARTICIPANT_JOINED = "meeting.participantJoined"
    PARTICIPANT_LEFT = "meeting.participantLeft"
    CHAT_SYNCED = "meeting.chatSynced"
    RECORDING = "recording.statusUpdate"
    LIVESTREAM = "livestreaming.statusUpdate"
    TRANSCRIPT = "meeting.transcript"
    SUMMARY = "meeting.summary"


# A livestream is made by the recorder, and a meeting may record from its start to its end.
_CHANGING = frozenset(
    {
        EventName.RECORDING,
        EventName.LIVESTREAM,
        EventName.MEETING_STARTED,
        EventName.MEETING_ENDED,
    }
)


class MalformedEvent(ValueError):
    """The body is not an event."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its *name*, a label value; the app that it names; and what it says."""

    name: str
    app_id: str | None
    notice: Notice


def parse_event(body: bytes) -> Event:
    """
    Return the event in a *body*.

    Only its name must be there: a field that is missing or malformed makes it say less. Raises
    MalformedEvent.
    """
    try:
        content = json_text.decode(msgspec.json.decode, body)
    except (ValueError, RecursionError):
        raise MalformedEvent("the body is not JSON") from None
    name = content.get("event") if isinstance(content, dict) else None
    if not isinstance(name, str):
        raise MalformedEvent("the body is not an object with an event")
    recording, meeting = _object(content, "recording"), _object(content, "meeting")
    livestream = _object(content, "livestream")
    organization = _object(meeting, "organizedBy")
    ids = [
        _id(recording, "meetingId"),
        _id(livestream, "meetingId"),
        _id(meeting, "id"),
        # The id of a meeting of the first version of the API.
        _id(meeting, "roomName"),
    ]
    return Event(
        name=name if name in set(EventName) else OTHER,
        app_id=_id(recording, "organizationId") or _id(organization, "id"),
        notice=Notice(
            meeting_ids=tuple(filter(None, ids)),
            recording_id=_id(recording, "recordingId") or _id(recording, "id"),
            status=_status(recording) if name == EventName.RECORDING else None,
            changes_something=name in _CHANGING,
        ),
    )


def _object(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    return value if isinstance(value, dict) else {}


def _id(content: dict[str, Any], name: str) -> str | None:
    value = content.get(name)
    if isinstance(value, str) and ID_PATTERN.fullmatch(value):
        return canonical(value)
    return None


def _status(recording: dict[str, Any]) -> Status | None:
    value = recording.get("status")
    return Status(value.upper()) if isinstance(value, str) else None

"""
The API's answers, parsed once: a status and a body go in, what they say or an ApiError comes out.

A malformed field loses itself and nothing else: it is left out, and its name is told.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from rk_exporter import payload_shapes as shapes
from rk_exporter.api_errors import InvalidResponse
from rk_exporter.envelopes import opened, says_there_is_none
from rk_exporter.payload_fields import (
    Oddities,
    boolean,
    count,
    identifier,
    label,
    present,
    text,
)
from rk_exporter.recording_items import recording_meeting, recording_of
from rk_exporter.recordings import Meeting, Recording


ItemT = TypeVar("ItemT", bound=shapes.Item)

_LIVE = "LIVE"


@dataclass(frozen=True, slots=True)
class ActiveRecordings:
    """A meeting's recordings, newest first, and what in the answer was not as documented."""

    recordings: tuple[Recording, ...]
    malformed_fields: tuple[str, ...] = ()
    unknown_statuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordingDetails:
    """A recording by its id; None where the API says that there is no such recording."""

    recording: Recording | None
    malformed_fields: tuple[str, ...] = ()
    unknown_statuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paging:
    """How long a list is, and where in it a page ends; offsets count from 1, inclusive."""

    total_count: int
    end_offset: int


@dataclass(frozen=True, slots=True)
class ListedRecording:
    """A recording, and the meeting that it is of."""

    meeting: Meeting
    recording: Recording


@dataclass(frozen=True, slots=True)
class RecordingsPage:
    """
    A page of an app's recordings.

    *item_ids* are the ids of all recordings on it as they stand there, also of those whose meeting
    is not told: a page that repeats has the same.
    """

    items: tuple[ListedRecording, ...]
    item_ids: tuple[str, ...]
    paging: Paging | None
    malformed_fields: tuple[str, ...] = ()
    unknown_statuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that goes on; a recorder may be among its *participants*."""

    session_id: str
    meeting_id: str
    meeting_name: str | None
    participants: int | None


@dataclass(frozen=True, slots=True)
class SessionsPage:
    """A page of an app's sessions: *items* are the live ones, *item_ids* the ids of all."""

    items: tuple[LiveSession, ...]
    item_ids: tuple[str, ...]
    paging: Paging | None
    malformed_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeetingSettings:
    """How a meeting is set up; None is "not said"."""

    record_on_start: bool | None
    malformed_fields: tuple[str, ...] = ()


def parse_active_recordings(status: int, body: bytes) -> ActiveRecordings:
    """
    Return what "Fetch active recording" answered; no recording at all is a success.

    The endpoint's page documents one object in `data`; its ancestor returned a list, so both are
    read. A 404 with RealtimeKit's `error` object says "no active recording".

    Raises ApiError for any answer that is not a documented success.
    """
    if says_there_is_none(status, body):
        return ActiveRecordings(())
    data, _ = opened(status, body, shapes.active_recordings)
    oddities = Oddities()
    recordings = {}
    for item in data if isinstance(data, list) else [data]:
        if item is None:
            continue
        recording_id = oddities.read("id", item.id, identifier)
        if recording_id is None:
            raise InvalidResponse("the API answered 200 with a recording that has no usable id")
        recordings[recording_id] = recording_of(item, recording_id, oddities)
    newest_first = sorted(
        recordings.values(), key=lambda each: each.invoked_timestamp_seconds or 0.0, reverse=True
    )
    return ActiveRecordings(
        tuple(newest_first), tuple(oddities.malformed_fields), tuple(oddities.unknown_statuses)
    )


def parse_recording(status: int, body: bytes, *, recording_id: str) -> RecordingDetails:
    """
    Return what "Fetch details of a recording" answered; a 404 of RealtimeKit itself is an answer.

    Raises ApiError for any answer that is not a documented success, InvalidResponse also where it
    is about another recording.
    """
    if says_there_is_none(status, body):
        return RecordingDetails(None)
    item, _ = opened(status, body, shapes.recording)
    oddities = Oddities()
    if item is None or oddities.read("id", item.id, identifier) != recording_id:
        raise InvalidResponse("the API answered 200 without the recording that was asked for")
    recording = recording_of(item, recording_id, oddities)
    return RecordingDetails(
        recording, tuple(oddities.malformed_fields), tuple(oddities.unknown_statuses)
    )


def parse_recordings_page(status: int, body: bytes) -> RecordingsPage:
    """
    Return what "Fetch all recordings" answered; of a recording that comes twice, the later.

    A recording without a usable id, or of a meeting that is not told, is left out and counted.

    Raises ApiError for any answer that is not a documented success.
    """
    data, paging = opened(status, body, shapes.recordings_page)
    oddities = Oddities()
    found = _identified(data or (), shapes.listed_recording, oddities)
    listed = []
    for recording_id, item in dict(found).items():
        recording = recording_of(item, recording_id, oddities)
        meeting = recording_meeting(item, recording.output_file_name, oddities)
        if meeting is not None:
            listed.append(ListedRecording(meeting, recording))
    return RecordingsPage(
        tuple(listed),
        tuple(recording_id for recording_id, _ in found),
        oddities.read("paging", paging, _paging),
        tuple(oddities.malformed_fields),
        tuple(oddities.unknown_statuses),
    )


def parse_sessions_page(status: int, body: bytes) -> SessionsPage:
    """
    Return the live ones of what "Fetch all sessions" answered; live ones were asked for.

    A session without a usable id or meeting is left out and counted.

    Raises ApiError for any answer that is not a documented success.
    """
    data, paging = opened(status, body, shapes.sessions_page)
    sessions = data.sessions if isinstance(data, shapes.Sessions) else data
    oddities = Oddities()
    found = _identified(sessions or (), shapes.session, oddities)
    live = []
    for session_id, item in dict(found).items():
        if oddities.read("status", item.status, text) not in {None, _LIVE}:
            continue
        meeting_id = oddities.read("associated_id", item.associated_id, _present_identifier)
        if meeting_id is None:
            continue
        name = oddities.read("meeting_display_name", item.meeting_display_name, label)
        participants = oddities.read("live_participants", item.live_participants, count)
        live.append(LiveSession(session_id, meeting_id, name, participants))
    return SessionsPage(
        tuple(live),
        tuple(session_id for session_id, _ in found),
        oddities.read("paging", paging, _paging),
        tuple(oddities.malformed_fields),
    )


def parse_meeting(status: int, body: bytes) -> MeetingSettings:
    """
    Return what "Fetch a meeting" answered; a 404 says that there is no such meeting: NotFound.

    Raises ApiError for any answer that is not a documented success.
    """
    item, _ = opened(status, body, shapes.meeting)
    if item is None:
        return MeetingSettings(None)
    oddities = Oddities()
    record_on_start = oddities.read("record_on_start", item.record_on_start, boolean)
    return MeetingSettings(record_on_start, tuple(oddities.malformed_fields))


def _identified(
    raws: Iterable[msgspec.Raw], decoder: msgspec.json.Decoder[ItemT], oddities: Oddities
) -> list[tuple[str, ItemT]]:
    """Return a list's items with their ids; what has no usable one is left out and counted."""

    def parse(raw: msgspec.Raw) -> tuple[str, ItemT]:
        item = decoder.decode(raw)
        return _present_identifier(item.id), item

    read = (oddities.read("id", raw, parse) for raw in raws)
    return [each for each in read if each is not None]


def _present_identifier(raw: msgspec.Raw) -> str:
    return present(identifier(raw))


def _paging(raw: msgspec.Raw) -> Paging | None:
    item = shapes.paging.decode(raw)
    if item is None:
        return None
    return Paging(present(count(item.total_count)), present(count(item.end_offset)))

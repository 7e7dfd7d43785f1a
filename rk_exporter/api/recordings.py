"""Recordings as the API shows them, alone or in a list, read field by field."""

import re

import msgspec

from rk_exporter.api import schema as shapes
from rk_exporter.api.envelope import is_not_found, unwrap
from rk_exporter.api.fields import (
    ParseIssues,
    identifier,
    is_given,
    label,
    number,
    present,
    text,
    timestamp,
)
from rk_exporter.api.pagination import _identified, _paging
from rk_exporter.api.results import ActiveRecordings, RecordingDetails, RecordingsPage
from rk_exporter.api.schema import (
    ListedRecordingItem,
    RecordingItem,
    StopReasonItem,
    reference,
    stop_reason,
)
from rk_exporter.model.errors import InvalidResponse
from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Recording, Status, StopReason


def parse_active_recordings(status: int, body: bytes) -> ActiveRecordings:
    """
    Return what "Fetch active recording" answered; no recording at all is a success.

    The endpoint's page documents one object in `data`; its ancestor returned a list, so both are
    read. A 404 with RealtimeKit's `error` object says "no active recording".

    Raises ApiError for any answer that is not a documented success.
    """
    if is_not_found(status, body):
        return ActiveRecordings(())
    data, _ = unwrap(status, body, shapes.active_recordings)
    issues = ParseIssues()
    recordings = {}
    for item in data if isinstance(data, list) else [data]:
        if item is None:
            continue
        recording_id = issues.read("id", item.id, identifier)
        if recording_id is None:
            raise InvalidResponse("the API answered 200 with a recording that has no usable id")
        recordings[recording_id] = recording_of(item, recording_id, issues)
    newest_first = sorted(
        recordings.values(), key=lambda each: each.invoked_timestamp_seconds or 0.0, reverse=True
    )
    return ActiveRecordings(
        tuple(newest_first), tuple(issues.malformed_fields), tuple(issues.unknown_statuses)
    )


def parse_recording(status: int, body: bytes, *, recording_id: str) -> RecordingDetails:
    """
    Return what "Fetch details of a recording" answered; a 404 of RealtimeKit itself is an answer.

    Raises ApiError for any answer that is not a documented success, InvalidResponse also where it
    is about another recording.
    """
    if is_not_found(status, body):
        return RecordingDetails(None)
    item, _ = unwrap(status, body, shapes.recording)
    issues = ParseIssues()
    if item is None or issues.read("id", item.id, identifier) != recording_id:
        raise InvalidResponse("the API answered 200 without the recording that was asked for")
    recording = recording_of(item, recording_id, issues)
    return RecordingDetails(
        recording, tuple(issues.malformed_fields), tuple(issues.unknown_statuses)
    )


def parse_recordings_page(status: int, body: bytes) -> RecordingsPage:
    """
    Return what "Fetch all recordings" answered; of a recording that comes twice, the later.

    A recording without a usable id, or of a meeting that is not told, is left out and counted.

    Raises ApiError for any answer that is not a documented success.
    """
    data, paging = unwrap(status, body, shapes.recordings_page)
    issues = ParseIssues()
    found = _identified(data or (), shapes.listed_recording, issues)
    listed = []
    for recording_id, item in dict(found).items():
        recording = recording_of(item, recording_id, issues)
        meeting = recording_meeting(item, recording.output_file_name, issues)
        if meeting is not None:
            listed.append(ListedRecording(meeting, recording))
    return RecordingsPage(
        tuple(listed),
        tuple(recording_id for recording_id, _ in found),
        issues.read("paging", paging, _paging),
        tuple(issues.malformed_fields),
        tuple(issues.unknown_statuses),
    )


_TRACK = "TRACK"
# "<meeting's id>_<epoch ms>.mp4", and "…_{{peer_id}}.webm" for tracks. Customers may have a prefix
# put before it, which cannot be told from an id that is no UUID.
_FILE_NAME = re.compile(
    r"(?:.*?(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<other>[A-Za-z0-9_-]{1,128}?))_[0-9]{10,}[._].*"
)


def recording_of(item: RecordingItem, recording_id: str, issues: ParseIssues) -> Recording:
    """Return the recording that *item* shows."""
    word = issues.read("status", item.status, _word)
    status = Status(word) if word else Status.UNKNOWN
    if word and status is Status.UNKNOWN:
        issues.unknown_statuses.append(word)
    read = issues.read
    file_name = read("output_file_name", item.output_file_name, label)
    return Recording(
        recording_id=recording_id,
        status=status,
        session_id=read("session_id", item.session_id, identifier),
        output_file_name=file_name,
        file_size_bytes=read("file_size", item.file_size, number),
        reported_duration_seconds=read("recording_duration", item.recording_duration, number),
        download_url_expiry_timestamp_seconds=read(
            "download_url_expiry", item.download_url_expiry, timestamp
        ),
        invoked_timestamp_seconds=read("invoked_time", item.invoked_time, timestamp),
        started_timestamp_seconds=read("started_time", item.started_time, timestamp),
        stopped_timestamp_seconds=read("stopped_time", item.stopped_time, timestamp),
        is_track=_is_track(item, file_name, issues),
        has_download_url=read("download_url", item.download_url, is_given),
        has_audio_download_url=read("audio_download_url", item.audio_download_url, is_given),
        stop_reason=read("stop_reason", item.stop_reason, _stop_reason),
    )


def _is_track(item: RecordingItem, file_name: str | None, issues: ParseIssues) -> bool:
    """
    Tell whether a recording has a file for each participant.

    It may say so, but third parties have seen that left empty: then its file is named as WebM
    files are, and its URL is a list.
    """
    says_so = issues.read("type", item.type, text) == _TRACK
    named_so = (file_name or "").endswith(".webm")
    return says_so or named_so or bytes(item.download_url).startswith(b"[")


def _stop_reason(raw: msgspec.Raw) -> StopReason | None:
    """Return what ended a recording; a webhook's sample has a text where the API has an object."""
    item = stop_reason.decode(raw)
    word = text(item.reason if isinstance(item, StopReasonItem) else raw)
    return StopReason(word) if word else None


def _word(raw: msgspec.Raw) -> str:
    """Return a recording's status, which is never absent."""
    return present(label(raw))


def recording_meeting(
    item: ListedRecordingItem, file_name: str | None, issues: ParseIssues
) -> Meeting | None:
    """
    Return the meeting of a recording: as it says itself, or as its file is named after it.

    Without a title it is called by its id.
    """
    own = ParseIssues()
    meeting = own.read("meeting_id", item.meeting, _reference)
    if meeting is None:
        meeting_id = own.read("meeting_id", item.meeting_id, identifier) or _named_in(file_name)
        meeting = None if meeting_id is None else Meeting(meeting_id, meeting_id)
    if meeting is None or own.malformed_fields:
        issues.malformed_fields.append("meeting_id")
    return meeting


def _reference(raw: msgspec.Raw) -> Meeting | None:
    referred = reference.decode(raw)
    meeting_id = None if referred is None else identifier(referred.id)
    if referred is None or meeting_id is None:
        return None
    # A title that cannot be read must not cost the recording.
    title = ParseIssues().read("title", referred.title, label)
    return Meeting(meeting_id, title or meeting_id)


def _named_in(file_name: str | None) -> str | None:
    match = _FILE_NAME.fullmatch(file_name or "")
    return (match["uuid"] or match["other"]) if match else None

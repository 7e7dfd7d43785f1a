"""Recordings as the API describes them: one item of an answer becomes a Recording."""

import re

import msgspec

from rk_exporter.api import fields, schema
from rk_exporter.api.fields import ParseIssues
from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Recording, Status, StopReason


_TRACK = "TRACK"
# "<meeting id>_<epoch ms>.mp4", and "..._{{peer_id}}.webm" for tracks. Customers may configure a
# prefix, which looks like a part of the id unless the id is a UUID.
_FILE_NAME = re.compile(
    r"(?:.*?(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<other>[A-Za-z0-9_-]{1,128}?))_[0-9]{10,}[._].*"
)


def read_recording(recording_id: str, item: schema.RecordingItem, issues: ParseIssues) -> Recording:
    """Return the recording in *item*; add what is malformed in it to *issues*."""
    word = issues.read("status", item.status, _status_word)
    status = Status(word) if word else Status.UNKNOWN
    if word and status is Status.UNKNOWN:
        issues.unknown_statuses.append(word)
    read = issues.read
    file_name = read("output_file_name", item.output_file_name, fields.label)
    return Recording(
        recording_id=recording_id,
        status=status,
        session_id=read("session_id", item.session_id, fields.identifier),
        output_file_name=file_name,
        file_size_bytes=read("file_size", item.file_size, fields.number),
        reported_duration_seconds=read(
            "recording_duration", item.recording_duration, fields.number
        ),
        download_url_expiry_timestamp_seconds=read(
            "download_url_expiry", item.download_url_expiry, fields.timestamp
        ),
        invoked_timestamp_seconds=read("invoked_time", item.invoked_time, fields.timestamp),
        started_timestamp_seconds=read("started_time", item.started_time, fields.timestamp),
        stopped_timestamp_seconds=read("stopped_time", item.stopped_time, fields.timestamp),
        is_track=_is_track(item, file_name, issues),
        has_download_url=read("download_url", item.download_url, fields.is_given),
        has_audio_download_url=read("audio_download_url", item.audio_download_url, fields.is_given),
        stop_reason=read("stop_reason", item.stop_reason, _stop_reason),
    )


def _status_word(raw: msgspec.Raw) -> str:
    return fields.present(fields.label(raw))


def _is_track(item: schema.RecordingItem, file_name: str | None, issues: ParseIssues) -> bool:
    """
    Return whether a recording has one file per participant.

    Third parties have seen `type` empty. Then the file name ends in .webm, or the URL is a list.
    """
    has_track_type = issues.read("type", item.type, fields.text) == _TRACK
    has_track_name = file_name is not None and file_name.endswith(".webm")
    return has_track_type or has_track_name or bytes(item.download_url).startswith(b"[")


def _stop_reason(raw: msgspec.Raw) -> StopReason | None:
    """Return why a recording stopped: the API has an object, a sample of a webhook has a string."""
    is_object = bytes(raw).startswith(b"{")
    word = fields.text(schema.stop_reason.decode(raw).reason if is_object else raw)
    return StopReason(word) if word else None


def read_meeting(
    item: schema.ListedRecordingItem, file_name: str | None, issues: ParseIssues
) -> Meeting | None:
    """Return the meeting of a recording, from its own fields or else from its file name."""
    own_issues = ParseIssues()
    meeting = own_issues.read("meeting_id", item.meeting, _referenced_meeting)
    if meeting is None:
        meeting_id = own_issues.read("meeting_id", item.meeting_id, fields.identifier)
        meeting_id = meeting_id or _id_in_file_name(file_name)
        meeting = None if meeting_id is None else Meeting(meeting_id, meeting_id)
    if meeting is None:
        own_issues.malformed_fields.append("meeting_id")
    # Counted once, however many of the fields are malformed.
    issues.malformed_fields += own_issues.malformed_fields[:1]
    return meeting


def _referenced_meeting(raw: msgspec.Raw) -> Meeting | None:
    reference = schema.reference.decode(raw)
    meeting_id = None if reference is None else fields.identifier(reference.id)
    if reference is None or meeting_id is None:
        return None
    # A malformed title must not cost the recording.
    title = fields.if_readable(reference.title, fields.label)
    return Meeting(meeting_id, title or meeting_id)


def _id_in_file_name(file_name: str | None) -> str | None:
    match = None if file_name is None else _FILE_NAME.fullmatch(file_name)
    return canonical(match["uuid"] or match["other"]) if match else None

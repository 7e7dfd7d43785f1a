"""Recordings as the API shows them, alone or in a list, read field by field."""

import re

import msgspec

from rk_exporter.payload_fields import Oddities, identifier, label, number, present, timestamp
from rk_exporter.payload_shapes import ListedRecordingItem, RecordingItem, reference
from rk_exporter.recordings import Recording, Status


# "<meeting's id>_<epoch ms>.mp4", and "…_{{peer_id}}.webm" for tracks. Customers may have a prefix
# put before it, which cannot be told from an id that is no UUID.
_FILE_NAME = re.compile(
    r"(?:.*?(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<other>[A-Za-z0-9_-]{1,128}?))_[0-9]{10,}[._].*"
)


def recording_of(item: RecordingItem, recording_id: str, oddities: Oddities) -> Recording:
    """Return the recording that *item* shows."""
    word = oddities.read("status", item.status, _word)
    status = Status(word) if word else Status.UNKNOWN
    if word and status is Status.UNKNOWN:
        oddities.unknown_statuses.append(word)
    read = oddities.read
    return Recording(
        recording_id=recording_id,
        status=status,
        session_id=read("session_id", item.session_id, identifier),
        output_file_name=read("output_file_name", item.output_file_name, label),
        file_size_bytes=read("file_size", item.file_size, number),
        reported_duration_seconds=read("recording_duration", item.recording_duration, number),
        download_url_expiry_timestamp_seconds=read(
            "download_url_expiry", item.download_url_expiry, timestamp
        ),
        invoked_timestamp_seconds=read("invoked_time", item.invoked_time, timestamp),
        started_timestamp_seconds=read("started_time", item.started_time, timestamp),
        stopped_timestamp_seconds=read("stopped_time", item.stopped_time, timestamp),
    )


def _word(raw: msgspec.Raw) -> str:
    """Return a recording's status, which is never absent."""
    return present(label(raw))


def recording_meeting(
    item: ListedRecordingItem, file_name: str | None, oddities: Oddities
) -> str | None:
    """Return the meeting of a recording: as it says itself, or as its file is named after it."""
    own = Oddities()
    meeting_id = (
        own.read("meeting_id", item.meeting, _reference)
        or own.read("meeting_id", item.meeting_id, identifier)
        or _named_in(file_name)
    )
    if meeting_id is None or own.malformed_fields:
        oddities.malformed_fields.append("meeting_id")
    return meeting_id


def _reference(raw: msgspec.Raw) -> str | None:
    referred = reference.decode(raw)
    return None if referred is None else identifier(referred.id)


def _named_in(file_name: str | None) -> str | None:
    match = _FILE_NAME.fullmatch(file_name or "")
    return (match["uuid"] or match["other"]) if match else None

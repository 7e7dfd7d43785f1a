"""
What of the API's answers is decoded, and nothing else is.

Only the fields named here ever become Python objects: msgspec skips the rest, so a storage's key or
a stream's is gone with the bytes it came in. Each field stays raw until its own parser has looked
at it; that of a presigned URL sees no more than whether there is one.
"""

import msgspec

from rk_exporter.api.envelope import Success
from rk_exporter.api.fields import ABSENT


class Item(msgspec.Struct, gc=False):
    """Anything that has an id."""

    id: msgspec.Raw = ABSENT


class RecordingItem(Item, gc=False):
    """A recording, as all endpoints show it."""

    status: msgspec.Raw = ABSENT
    session_id: msgspec.Raw = ABSENT
    output_file_name: msgspec.Raw = ABSENT
    file_size: msgspec.Raw = ABSENT
    recording_duration: msgspec.Raw = ABSENT
    download_url_expiry: msgspec.Raw = ABSENT
    invoked_time: msgspec.Raw = ABSENT
    started_time: msgspec.Raw = ABSENT
    stopped_time: msgspec.Raw = ABSENT
    download_url: msgspec.Raw = ABSENT
    audio_download_url: msgspec.Raw = ABSENT
    type: msgspec.Raw = ABSENT
    stop_reason: msgspec.Raw = ABSENT


class StopReasonItem(msgspec.Struct, gc=False):
    """What ended a recording; who did is of no concern here."""

    reason: msgspec.Raw = ABSENT


class ListedRecordingItem(RecordingItem, gc=False):
    """A recording in a list; *meeting_id* is not documented, but has been seen."""

    meeting: msgspec.Raw = ABSENT
    meeting_id: msgspec.Raw = ABSENT


class ReferenceItem(Item, gc=False):
    """A meeting, as a recording in a list refers to it."""

    title: msgspec.Raw = ABSENT


class SessionItem(Item, gc=False):
    """A session; *associated_id* is its meeting's."""

    status: msgspec.Raw = ABSENT
    associated_id: msgspec.Raw = ABSENT
    meeting_display_name: msgspec.Raw = ABSENT
    live_participants: msgspec.Raw = ABSENT


class Sessions(msgspec.Struct, gc=False):
    """The list of sessions stands one level deeper than other lists."""

    sessions: list[msgspec.Raw] | None = None


class MeetingItem(msgspec.Struct, gc=False):
    """A meeting's settings."""

    record_on_start: msgspec.Raw = ABSENT


class PagingItem(msgspec.Struct, gc=False):
    """What stands beside a list."""

    total_count: msgspec.Raw = ABSENT
    end_offset: msgspec.Raw = ABSENT


MALFORMABLE_FIELDS = (
    *RecordingItem.__struct_fields__,
    "meeting_id",
    "paging",
    "associated_id",
    "meeting_display_name",
    "live_participants",
    "record_on_start",
)


"""The names under which malformed fields are counted."""
active_recordings = msgspec.json.Decoder(Success[RecordingItem | list[RecordingItem] | None])
# A list's items stay raw as well: one that is no object must not cost its page.
recording = msgspec.json.Decoder(Success[RecordingItem | None])
recordings_page = msgspec.json.Decoder(Success[list[msgspec.Raw] | None])
sessions_page = msgspec.json.Decoder(Success[Sessions | list[msgspec.Raw] | None])
meeting = msgspec.json.Decoder(Success[MeetingItem | None])
listed_recording = msgspec.json.Decoder(ListedRecordingItem)
session = msgspec.json.Decoder(SessionItem)
stop_reason: msgspec.json.Decoder[StopReasonItem | str | None] = msgspec.json.Decoder(
    StopReasonItem | str | None
)
reference: msgspec.json.Decoder[ReferenceItem | None] = msgspec.json.Decoder(ReferenceItem | None)
paging: msgspec.json.Decoder[PagingItem | None] = msgspec.json.Decoder(PagingItem | None)

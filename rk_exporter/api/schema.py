"""
The parts of the API's answers that are decoded.

Only the fields named here become Python objects. msgspec skips all others, so that storage and
stream keys never leave the bytes of the answer. Each field stays raw until its own parser reads it;
the parser of a presigned URL only checks whether there is one.
"""

import msgspec

from rk_exporter.api.envelope import Success
from rk_exporter.api.fields import ABSENT
from rk_exporter.api.results import Paging


class Item(msgspec.Struct, gc=False):
    """An object with an id."""

    id: msgspec.Raw = ABSENT


class RecordingItem(Item, gc=False):
    """A recording, as all endpoints return it."""

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
    """Why a recording stopped; who stopped it is skipped."""

    reason: msgspec.Raw = ABSENT


class ListedRecordingItem(RecordingItem, gc=False):
    """A recording in a list; *meeting_id* is undocumented but has been seen."""

    meeting: msgspec.Raw = ABSENT
    meeting_id: msgspec.Raw = ABSENT


class ReferenceItem(Item, gc=False):
    """A reference to a meeting in a listed recording."""

    title: msgspec.Raw = ABSENT


class SessionItem(Item, gc=False):
    """A session; *associated_id* is the id of its meeting."""

    status: msgspec.Raw = ABSENT
    associated_id: msgspec.Raw = ABSENT
    meeting_display_name: msgspec.Raw = ABSENT
    live_participants: msgspec.Raw = ABSENT


class Sessions(msgspec.Struct, gc=False):
    """The list of sessions, which is one level deeper than other lists."""

    sessions: list[msgspec.Raw] | None = None


class AppItem(Item, gc=False):
    """An app of an account."""

    name: msgspec.Raw = ABSENT


class Apps(msgspec.Struct, gc=False):
    """The list of apps, if it is one level deeper like that of sessions."""

    apps: list[msgspec.Raw]


class MeetingItem(msgspec.Struct, gc=False):
    """A meeting's settings."""

    record_on_start: msgspec.Raw = ABSENT


# The names under which malformed fields are counted.
MALFORMABLE_FIELDS = (
    *RecordingItem.__struct_fields__,
    "meeting_id",
    "paging",
    "associated_id",
    "meeting_display_name",
    "live_participants",
    "record_on_start",
)

MALFORMABLE_APP_FIELDS = (*AppItem.__struct_fields__, "paging")
"""The names under which malformed fields in the list of apps are counted."""

anything = msgspec.json.Decoder(Success[msgspec.Raw])
active_recordings = msgspec.json.Decoder(Success[RecordingItem | list[RecordingItem] | None])
# The items of a list stay raw as well: one malformed item must not cost the whole page.
recording = msgspec.json.Decoder(Success[RecordingItem | None])
recordings_page = msgspec.json.Decoder(Success[list[msgspec.Raw] | None])
sessions_page = msgspec.json.Decoder(Success[Sessions | list[msgspec.Raw] | None])
apps_page = msgspec.json.Decoder(Success[Apps | list[msgspec.Raw]])
meeting = msgspec.json.Decoder(Success[MeetingItem | None])
listed_recording = msgspec.json.Decoder(ListedRecordingItem)
app = msgspec.json.Decoder(AppItem)
session = msgspec.json.Decoder(SessionItem)
stop_reason = msgspec.json.Decoder(StopReasonItem)
reference: msgspec.json.Decoder[ReferenceItem | None] = msgspec.json.Decoder(ReferenceItem | None)
# The API may give numbers as strings.
paging: msgspec.json.Decoder[Paging | None] = msgspec.json.Decoder(Paging | None, strict=False)

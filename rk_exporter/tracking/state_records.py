"""
The state file's content as records of its own.

Attributes have the names of the domain, JSON keys those of the file's version: after a rename in
the domain `msgspec.field(name=...)` keeps the key. A golden file per version holds the format.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import msgspec

from rk_exporter.model.account import AccountApps
from rk_exporter.model.download import CheckFailure, FileCheck, FileKind
from rk_exporter.model.meeting import App, Meeting, Reading
from rk_exporter.model.recording import Kind, Outcome, Status, StopReason
from rk_exporter.model.saved_calls import SavedCalls
from rk_exporter.tracking.tracker_state import TrackerState


VERSION = 1
# Larger numbers lose precision as samples, so they show that the file is damaged.
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Sum: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0)]


class UnreadableState(Exception):
    """Content that this version cannot read; the message completes "the file ..."."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedApp:
    """The state of one app that outlives the process."""

    app: App
    tracker: TrackerState
    readings: tuple[Reading, ...] = ()
    newest_ids: tuple[str, ...] = ()
    """The ids at the head of the app's list of recordings."""
    downloads: tuple[FileCheck, ...] = ()
    """The last checks of downloads, if downloads are verified."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """All that outlives the process."""

    apps: tuple[SavedApp, ...] = ()
    calls: tuple[SavedCalls, ...] = ()
    accounts: tuple[AccountApps, ...] = ()


class _AppId(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    account_id: str
    app_id: str


class _Meeting(msgspec.Struct, frozen=True, kw_only=True):
    meeting_id: str
    name: str


class _Recording(msgspec.Struct, frozen=True, kw_only=True):
    recording_id: str
    status: Status
    session_id: str | None = None
    output_file_name: str | None = None
    file_size_bytes: float | None = None
    reported_duration_seconds: float | None = None
    download_url_expiry_timestamp_seconds: float | None = None
    invoked_timestamp_seconds: float | None = None
    started_timestamp_seconds: float | None = None
    stopped_timestamp_seconds: float | None = None
    is_track: bool = False
    has_download_url: bool | None = False
    has_audio_download_url: bool | None = False
    stop_reason: StopReason | None = None


class _KnownRecording(msgspec.Struct, frozen=True, kw_only=True):
    meeting: _Meeting
    recording: _Recording
    read_at: float
    missing_since: float | None = None
    outcome: Outcome | None = None
    has_details: bool = False
    is_expiry_checked: bool = False
    awaits_duration: bool = False
    awaits_size: bool = False


class _Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Outcome | None = None
    started_timestamp_seconds: float | None = None


class _Histogram(msgspec.Struct, frozen=True, kw_only=True):
    bounds: tuple[float, ...] = ()
    counts: tuple[_Count, ...] = ()
    total: _Sum = 0.0


class _Counters(msgspec.Struct, frozen=True, kw_only=True):
    started: _Count = 0
    finished: dict[Outcome, _Count] = {}
    dropped: _Count = 0
    transitions: dict[Status, dict[Status, _Count]] = {}
    start_delay: _Histogram = _Histogram()
    upload_delay: _Histogram = _Histogram()
    recorded_seconds: dict[Kind, _Sum] = {}
    recorded_bytes: dict[Kind, _Sum] = {}


class _Tracker(msgspec.Struct, frozen=True, kw_only=True):
    recordings: tuple[_KnownRecording, ...] = ()
    tombstones: dict[str, _Tombstone] = msgspec.field(name="departed", default_factory=dict)
    counters: _Counters = msgspec.field(name="tally", default=_Counters())
    listed_until: float | None = None


class _Reading(msgspec.Struct, frozen=True, kw_only=True):
    meeting_id: str
    last_success_timestamp_seconds: float = msgspec.field(name="read_at")
    recordings: tuple[_Recording, ...] = ()

    @property
    def meeting(self) -> Meeting:
        """Return the meeting, whose name is not saved."""
        return Meeting(self.meeting_id, self.meeting_id)


class _FileCheck(msgspec.Struct, frozen=True, kw_only=True):
    recording_id: str
    kind: FileKind
    checked_at: float
    failure: CheckFailure | None = None
    size_bytes: _Sum | None = None
    failures: _Count = 0


# A file without checks is the same as one of a version that made none.
class _SavedApp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    app: _AppId
    tracker: _Tracker = msgspec.field(name="past")
    newest_ids: tuple[str, ...] = ()
    readings: tuple[_Reading, ...] = msgspec.field(name="meetings", default=())
    downloads: tuple[_FileCheck, ...] = ()


class _SavedCalls(msgspec.Struct, frozen=True, kw_only=True):
    group: str | None
    until: float
    ends: tuple[float, ...] = ()
    is_final: bool = False
    blocked_until: float | None = None


class _ListedApp(msgspec.Struct, frozen=True, kw_only=True):
    app_id: str
    name: str


class _AccountApps(msgspec.Struct, frozen=True, kw_only=True):
    account_id: str
    apps: tuple[_ListedApp, ...]
    listed_at: float


class _Version(msgspec.Struct, frozen=True, kw_only=True):
    version: int


class _Content(_Version, frozen=True, kw_only=True, omit_defaults=True):
    apps: tuple[_SavedApp, ...]
    calls: tuple[_SavedCalls, ...] = ()
    accounts: tuple[_AccountApps, ...] = ()


def encode(
    apps: Iterable[SavedApp],
    calls: Iterable[SavedCalls] = (),
    accounts: Iterable[AccountApps] = (),
) -> bytes:
    """Return the content of a state file; of the readings it keeps the successful ones."""
    content = _Content(
        version=VERSION,
        apps=tuple(map(_to_record, apps)),
        calls=msgspec.convert(tuple(calls), tuple[_SavedCalls, ...], from_attributes=True),
        accounts=msgspec.convert(tuple(accounts), tuple[_AccountApps, ...], from_attributes=True),
    )
    return msgspec.json.encode(content)


def decode(content: bytes) -> SavedState:
    """
    Return the state in the *content* of a state file, or raise UnreadableState.

    The apps' readings count no attempt, so all meetings are read again.
    """
    try:
        if msgspec.json.decode(content, type=_Version).version == VERSION:
            records = msgspec.json.decode(content, type=_Content)
            return msgspec.convert(records, SavedState, from_attributes=True)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise UnreadableState("is damaged") from None
    raise UnreadableState("was written by another version")


def _to_record(saved: SavedApp) -> _SavedApp:
    return _SavedApp(
        app=msgspec.convert(saved.app, _AppId, from_attributes=True),
        tracker=msgspec.convert(saved.tracker, _Tracker, from_attributes=True),
        newest_ids=saved.newest_ids,
        downloads=msgspec.convert(saved.downloads, tuple[_FileCheck, ...], from_attributes=True),
        readings=tuple(
            _Reading(
                meeting_id=reading.meeting.meeting_id,
                last_success_timestamp_seconds=reading.last_success_timestamp_seconds,
                recordings=msgspec.convert(
                    reading.recordings, tuple[_Recording, ...], from_attributes=True
                ),
            )
            for reading in saved.readings
            if reading.recordings is not None and reading.last_success_timestamp_seconds is not None
        ),
    )

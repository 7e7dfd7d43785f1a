"""Parsers of the answers of all endpoints."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import msgspec

from rk_exporter.api import fields, schema
from rk_exporter.api.envelope import is_not_found, unwrap
from rk_exporter.api.fields import ParseIssues
from rk_exporter.api.file_urls import FileSink, offer_urls
from rk_exporter.api.recording_items import read_meeting, read_recording
from rk_exporter.api.results import LiveSession, Page, Parsed
from rk_exporter.model.account import ListedApp
from rk_exporter.model.errors import InvalidResponse
from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import ListedRecording
from rk_exporter.model.recording import Recording


T = TypeVar("T")
ItemT = TypeVar("ItemT", bound=schema.Item)
_LIVE = "LIVE"
_IDS_OF_A_SESSION = frozenset({"id", "associated_id"})
# 201 is not documented for a list, but a list in its body is as good.
_LIST_SUCCESSES = (HTTPStatus.OK, HTTPStatus.CREATED)
# A wrong answer must not fill the exporter with recordings that nobody made. One per participant,
# if there are tracks.
_MOST_PER_MEETING = 100
# Ten times what is asked for: an API that ignores `per_page` may return a whole list.
_MOST_PER_PAGE = 1000


def parse_active_recordings(
    status: int, body: bytes, *, files: FileSink | None = None
) -> Parsed[tuple[Recording, ...]]:
    """
    Return the recordings in the answer of "Fetch active recording", newest first.

    The documentation shows one object in `data`, the API's predecessor returned a list: both are
    read. A 404 with RealtimeKit's `error` object means that there is no active recording; another
    404 may mean it (see NotFound).

    Raises ApiError unless the answer is a documented success.
    """
    if is_not_found(status, body):
        return Parsed(())
    data, _ = unwrap(status, body, schema.active_recordings)
    items = data if isinstance(data, list) else [data]
    _require_at_most(_MOST_PER_MEETING, items, "recordings of one meeting")
    issues = ParseIssues()
    recordings = {}
    for item in filter(None, items):
        recording_id = fields.if_readable(item.id, fields.identifier)
        if recording_id is None:
            raise InvalidResponse("the API answered 200 with a recording that has no usable id")
        recordings[recording_id] = _recording(recording_id, item, issues, files)
    newest_first = sorted(
        recordings.values(),
        key=lambda recording: recording.invoked_timestamp_seconds or 0.0,
        reverse=True,
    )
    return issues.parsed(tuple(newest_first))


def parse_recording(
    status: int, body: bytes, *, recording_id: str, files: FileSink | None = None
) -> Parsed[Recording | None]:
    """
    Return the recording in the answer of "Fetch details of a recording".

    None means that the recording does not exist: RealtimeKit itself answered 404. Another 404 may
    mean it (see NotFound).

    Raises ApiError unless the answer is a documented success about the requested recording.
    """
    if is_not_found(status, body):
        return Parsed(None)
    item, _ = unwrap(status, body, schema.recording)
    answered_id = None if item is None else fields.if_readable(item.id, fields.identifier)
    if item is None or answered_id != canonical(recording_id):
        raise InvalidResponse("the API answered 200 without the requested recording")
    issues = ParseIssues()
    return issues.parsed(_recording(recording_id, item, issues, files))


def parse_recordings_page(
    status: int, body: bytes, *, files: FileSink | None = None
) -> Parsed[Page[ListedRecording]]:
    """
    Return the recordings in the answer of "Fetch all recordings".

    Recordings without a usable id, or whose meeting is unknown, are skipped and counted.

    Raises ApiError unless the answer is a documented success.
    """
    data, raw_paging = unwrap(status, body, schema.recordings_page, successes=_LIST_SUCCESSES)
    parse_item = partial(_listed_recording, files)
    return _parse_page(data or (), raw_paging, schema.listed_recording, parse_item)


def _listed_recording(
    files: FileSink | None,
    recording_id: str,
    item: schema.ListedRecordingItem,
    issues: ParseIssues,
) -> ListedRecording | None:
    recording = _recording(recording_id, item, issues, files)
    meeting = read_meeting(item, recording.output_file_name, issues)
    return None if meeting is None else ListedRecording(meeting, recording)


def _recording(
    recording_id: str, item: schema.RecordingItem, issues: ParseIssues, files: FileSink | None
) -> Recording:
    """Return the recording in *item*, and offer its download URLs to *files*."""
    recording = read_recording(recording_id, item, issues)
    offer_urls(files, recording, item)
    return recording


def parse_sessions_page(status: int, body: bytes) -> Parsed[Page[LiveSession]]:
    """
    Return the live sessions in the answer of "Fetch all sessions".

    Sessions without a usable id or meeting are skipped and counted, and the page is not complete.
    An answer without a list is an error, unless its paging says that there are no sessions: it must
    not look as if nobody were live.

    Raises ApiError unless the answer is a documented success.
    """
    data, raw_paging = unwrap(status, body, schema.sessions_page, successes=_LIST_SUCCESSES)
    sessions = data.sessions if isinstance(data, schema.Sessions) else data
    if sessions is None and not _says_none(raw_paging):
        raise InvalidResponse(f"the API answered {status} without a list of sessions")
    parsed = _parse_page(sessions or (), raw_paging, schema.session, _live_session)
    is_complete = not _IDS_OF_A_SESSION.intersection(parsed.malformed_fields)
    return replace(parsed, value=replace(parsed.value, is_complete=is_complete))


def _says_none(raw_paging: msgspec.Raw) -> bool:
    """Return whether the paging beside a list says that the list is empty."""
    paging = fields.if_readable(raw_paging, schema.paging.decode)
    return paging is not None and paging.total_count == 0


def _live_session(
    session_id: str, item: schema.SessionItem, issues: ParseIssues
) -> LiveSession | None:
    if issues.read("status", item.status, fields.text) not in {None, _LIVE}:
        return None
    meeting_id = issues.read("associated_id", item.associated_id, fields.present_identifier)
    if meeting_id is None:
        return None
    name = issues.read("meeting_display_name", item.meeting_display_name, fields.label)
    participants = issues.read("live_participants", item.live_participants, fields.count)
    return LiveSession(session_id, meeting_id, name, participants)


def parse_apps_page(status: int, body: bytes) -> Parsed[Page[ListedApp]]:
    """
    Return the apps in the answer of "Fetch all apps".

    Apps without a usable id are skipped and counted, and the page is not complete. An answer
    without a list is an error, and so is one in which no app has a usable id: it must not look like
    an account without apps.

    Raises ApiError unless the answer is a documented success.
    """
    data, raw_paging = unwrap(status, body, schema.apps_page, successes=_LIST_SUCCESSES)
    listed = data.apps if isinstance(data, schema.Apps) else data
    parsed = _parse_page(listed, raw_paging, schema.app, _listed_app)
    skipped = len(listed) - len(parsed.value.item_ids)
    if listed and skipped == len(listed):
        raise InvalidResponse(f"the API answered {status} with apps without a usable `id`")
    return replace(parsed, value=replace(parsed.value, is_complete=not skipped))


def _listed_app(app_id: str, item: schema.AppItem, issues: ParseIssues) -> ListedApp:
    name = issues.read("name", item.name, fields.label)
    return ListedApp(app_id, name or app_id)


def parse_record_on_start(status: int, body: bytes) -> Parsed[bool | None]:
    """
    Return the setting `record_on_start` in the answer of "Fetch a meeting", or None if unknown.

    Raises ApiError unless the answer is a documented success; NotFound if there is no such meeting.
    """
    item, _ = unwrap(status, body, schema.meeting)
    issues = ParseIssues()
    raw = fields.ABSENT if item is None else item.record_on_start
    return issues.parsed(issues.read("record_on_start", raw, fields.boolean))


def parse_any(status: int, body: bytes) -> Parsed[None]:
    """
    Return nothing about the answer of any endpoint.

    Raises ApiError unless the answer is a documented success.
    """
    unwrap(status, body, schema.anything)
    return Parsed(None)


def _parse_page(
    raw_items: Sequence[msgspec.Raw],
    raw_paging: msgspec.Raw,
    decoder: msgspec.json.Decoder[ItemT],
    parse_item: Callable[[str, ItemT, ParseIssues], T | None],
) -> Parsed[Page[T]]:
    """Return the items that *parse_item* keeps; skip and count items without a usable id."""
    _require_at_most(_MOST_PER_PAGE, raw_items, "items on one page")
    issues = ParseIssues()

    def identified(raw: msgspec.Raw) -> tuple[str, ItemT]:
        item = decoder.decode(raw)
        return fields.present_identifier(item.id), item

    read = (issues.read("id", raw, identified) for raw in raw_items)
    found = [pair for pair in read if pair is not None]
    # If an item appears twice, the later one counts.
    items = [parse_item(item_id, item, issues) for item_id, item in dict(found).items()]
    page = Page(
        tuple(item for item in items if item is not None),
        tuple(item_id for item_id, _ in found),
        issues.read("paging", raw_paging, schema.paging.decode),
    )
    return issues.parsed(page)


def _require_at_most(most: int, items: Sequence[object], what: str) -> None:
    """Raise InvalidResponse if there are so many *items* that none of them can be believed."""
    if len(items) > most:
        raise InvalidResponse(f"the API answered with {len(items):,} {what}, more than {most:,}")

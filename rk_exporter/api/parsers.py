"""Parsers of the answers of all endpoints."""

import re

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import msgspec

from rk_exporter.api import fields, schema
from rk_exporter.api.envelope import is_not_found, unwrap
from rk_exporter.api.fields import ParseIssues
from rk_exporter.api.file_urls import FileSink, offer_urls
from rk_exporter.api.results import LiveSession, Page, Parsed
from rk_exporter.model.account import ListedApp
from rk_exporter.model.errors import InvalidResponse
from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Recording, Status, StopReason


T = TypeVar("T")
ItemT = TypeVar("ItemT", bound=schema.Item)
_LIVE = "LIVE"
_TRACK = "TRACK"
# 201 is not documented for a list, but a list in its body is as good.
_LIST_SUCCESSES = (HTTPStatus.OK, HTTPStatus.CREATED)
# "<meeting id>_<epoch ms>.mp4", and "..._{{peer_id}}.webm" for tracks. Customers may configure a
# prefix, which looks like a part of the id unless the id is a UUID.
_FILE_NAME = re.compile(
    r"(?:.*?(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<other>[A-Za-z0-9_-]{1,128}?))_[0-9]{10,}[._].*"
)


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
    issues = ParseIssues()
    recordings = {}
    for item in filter(None, data if isinstance(data, list) else [data]):
        recording_id = issues.read("id", item.id, fields.identifier)
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
    issues = ParseIssues()
    answered_id = None if item is None else issues.read("id", item.id, fields.identifier)
    if item is None or answered_id != canonical(recording_id):
        raise InvalidResponse("the API answered 200 without the requested recording")
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
    meeting = _meeting(item, recording.output_file_name, issues)
    return None if meeting is None else ListedRecording(meeting, recording)


def _recording(
    recording_id: str, item: schema.RecordingItem, issues: ParseIssues, files: FileSink | None
) -> Recording:
    """Return the recording in *item*, and offer its download URLs to *files*."""
    recording = _parsed_recording(recording_id, item, issues)
    offer_urls(files, recording, item)
    return recording


def _parsed_recording(
    recording_id: str, item: schema.RecordingItem, issues: ParseIssues
) -> Recording:
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
    has_track_name = (file_name or "").endswith(".webm")
    return has_track_type or has_track_name or bytes(item.download_url).startswith(b"[")


def _stop_reason(raw: msgspec.Raw) -> StopReason | None:
    """Return why a recording stopped: the API has an object, a sample of a webhook has a string."""
    is_object = bytes(raw).startswith(b"{")
    word = fields.text(schema.stop_reason.decode(raw).reason if is_object else raw)
    return StopReason(word) if word else None


def _meeting(
    item: schema.ListedRecordingItem, file_name: str | None, issues: ParseIssues
) -> Meeting | None:
    """Return the meeting of a recording, from its own fields or else from its file name."""
    own_issues = ParseIssues()
    meeting = own_issues.read("meeting_id", item.meeting, _referenced_meeting)
    if meeting is None:
        meeting_id = own_issues.read("meeting_id", item.meeting_id, fields.identifier)
        meeting_id = meeting_id or _id_in_file_name(file_name)
        meeting = None if meeting_id is None else Meeting(meeting_id, meeting_id)
    if meeting is None or own_issues.malformed_fields:
        issues.malformed_fields.append("meeting_id")
    return meeting


def _referenced_meeting(raw: msgspec.Raw) -> Meeting | None:
    reference = schema.reference.decode(raw)
    meeting_id = None if reference is None else fields.identifier(reference.id)
    if reference is None or meeting_id is None:
        return None
    # A malformed title must not cost the recording.
    title = ParseIssues().read("title", reference.title, fields.label)
    return Meeting(meeting_id, title or meeting_id)


def _id_in_file_name(file_name: str | None) -> str | None:
    match = _FILE_NAME.fullmatch(file_name or "")
    return canonical(match["uuid"] or match["other"]) if match else None


def parse_sessions_page(status: int, body: bytes) -> Parsed[Page[LiveSession]]:
    """
    Return the live sessions in the answer of "Fetch all sessions".

    Sessions without a usable id or meeting are skipped and counted.

    Raises ApiError unless the answer is a documented success.
    """
    data, raw_paging = unwrap(status, body, schema.sessions_page, successes=_LIST_SUCCESSES)
    sessions = data.sessions if isinstance(data, schema.Sessions) else data
    return _parse_page(sessions or (), raw_paging, schema.session, _live_session)


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
    raw_items: Iterable[msgspec.Raw],
    raw_paging: msgspec.Raw,
    decoder: msgspec.json.Decoder[ItemT],
    parse_item: Callable[[str, ItemT, ParseIssues], T | None],
) -> Parsed[Page[T]]:
    """Return the items that *parse_item* keeps; skip and count items without a usable id."""
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

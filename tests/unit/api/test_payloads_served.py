"""What the simulated API serves over HTTP, parsed."""

import asyncio

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import httpx
import pytest

from rk_exporter.api.recordings import parse_recording, parse_recordings_page
from rk_exporter.api.results import (
    LiveSession,
    MeetingSettings,
    Paging,
    RecordingDetails,
    RecordingsPage,
)
from rk_exporter.api.sessions import parse_meeting, parse_sessions_page
from rk_exporter.model import errors as api_errors
from rk_exporter.model.meeting import Meeting as NamedMeeting
from rk_exporter.model.recording import StopReason
from rk_exporter.simulator import (
    CANARY,
    REAL_PACE,
    Fault,
    GeneratedScenario,
    Meeting,
    MeetingInList,
    Recording,
    ScriptedScenario,
    Session,
    Simulator,
)


T = TypeVar("T")

APP = "/client/v4/accounts/account-1/realtime/kit/app_1"
NOW = 1_772_000_000.0  # 2026-02-25T06:13:20Z

# What is secret in it: URLs, storage and stream keys, in the recordings and in their meetings.
STORY = ScriptedScenario(
    meetings=[
        Meeting(id="m1", title="Biology", record_on_start=True, storage_type="aws"),
        Meeting(id="m2", title="Algebra"),
    ],
    recordings=[
        Recording.scripted(
            "m1",
            id="uploaded",
            invoked_at=NOW - 900,
            started_at=NOW - 898,
            stopped_at=NOW - 700,
            uploaded_at=NOW - 690,
            storage_type="aws",
            audio=True,
        ),
        Recording.scripted(
            "m2",
            id="track",
            invoked_at=NOW - 600,
            started_at=NOW - 598,
            stopped_at=NOW - 400,
            uploaded_at=NOW - 390,
            track=True,
        ),
        Recording.scripted("m2", id="running", invoked_at=NOW - 60, started_at=NOW - 58),
    ],
    sessions=[
        Session("live", "m2", started_at=NOW - 60, live_participants=3),
        Session("over", "m1", started_at=NOW - 900, ended_at=NOW - 700),
    ],
)


def served(path: str, parse: Callable[[int, bytes], T], simulator: Simulator | None = None) -> T:
    """Parse what a simulator answers, by default that of the story above."""

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(simulator or simulated())
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
            headers = {"authorization": "Bearer simulated"}
            return await client.get(APP + path, headers=headers)

    answer = asyncio.run(get())
    return parse(answer.status_code, answer.content)


def simulated(fault: Fault | None = None, **options: Any) -> Simulator:
    simulator = Simulator(STORY, clock=lambda: NOW, **options)
    if fault:
        simulator.inject("*", fault)
    return simulator


def details(recording_id: str, simulator: Simulator | None = None) -> RecordingDetails:
    parse = partial(parse_recording, recording_id=recording_id)
    return served(f"/recordings/{recording_id}", parse, simulator)


def shown(page: RecordingsPage) -> list[tuple[str, str, str]]:
    return [
        (each.meeting.meeting_id, each.recording.recording_id, each.recording.status.value)
        for each in page.items
    ]


def test_recordings() -> None:
    """Recordings come with their meetings, and without anything secret."""
    page = served("/recordings", parse_recordings_page)
    assert [
        ("m2", "running", "RECORDING"),
        ("m2", "track", "UPLOADED"),
        ("m1", "uploaded", "UPLOADED"),
    ] == shown(page)
    assert (Paging(3, 3), (), ()) == (page.paging, page.malformed_fields, page.unknown_statuses)
    assert CANARY not in repr(page)


@pytest.mark.parametrize(
    ("meeting_in_list", "titles"),
    [
        (MeetingInList.MEETING, {"m1": "Biology", "m2": "Algebra"}),
        (MeetingInList.MEETING_ID, {"m1": "m1", "m2": "m2"}),
        (MeetingInList.NONE, {"m1": "m1", "m2": "m2"}),
    ],
)
def test_titles(meeting_in_list: MeetingInList, titles: dict[str, str]) -> None:
    """A meeting is called by its title where the list tells it, and by its id where it does not."""
    simulator = simulated(meeting_in_list=meeting_in_list)
    page = served("/recordings", parse_recordings_page, simulator)
    expected = [NamedMeeting(each, titles[each]) for each in ("m2", "m2", "m1")]
    assert expected == [each.meeting for each in page.items]


@pytest.mark.parametrize(
    ("recording_id", "expected"),
    [
        ("uploaded", (False, True, True, StopReason.ALL_PEERS_LEFT)),
        ("track", (True, True, False, StopReason.ALL_PEERS_LEFT)),
        ("running", (False, False, False, None)),
    ],
)
def test_a_recording(
    recording_id: str, expected: tuple[bool, bool, bool, StopReason | None]
) -> None:
    """By its id a recording tells what the list does, and what ended it; no secret comes along."""
    answer = details(recording_id)
    assert answer.recording
    each = answer.recording
    told = (each.is_track, each.has_download_url, each.has_audio_download_url, each.stop_reason)
    assert (expected, (), ()) == (told, answer.malformed_fields, answer.unknown_statuses)
    page = served("/recordings", parse_recordings_page)
    (listed,) = [each for each in page.items if each.recording.recording_id == recording_id]
    assert listed.recording == replace(each, stop_reason=None)
    assert CANARY not in repr(answer)


def test_a_recording_that_does_not_exist() -> None:
    """RealtimeKit itself says that there is no such recording."""
    assert RecordingDetails(None) == details("nothing")


def test_a_garbled_recording() -> None:
    """Garbled fields lose themselves alone: the status, the file's name and what ended it stay."""
    sound = details("uploaded").recording
    garbled = details("uploaded", simulated(Fault.GARBAGE_FIELDS)).recording
    assert sound
    assert garbled
    kept = [(each.status, each.output_file_name, each.stop_reason) for each in (sound, garbled)]
    assert kept[0] == kept[1]
    assert (None, None) == (garbled.has_audio_download_url, garbled.file_size_bytes)


def test_sessions() -> None:
    """Of all sessions the live one is told, whether it alone was asked for or not."""
    expected = (LiveSession("live", "m2", "Algebra", 3),)
    page = served("/sessions?status=LIVE", parse_sessions_page)
    assert (expected, ("live",), Paging(1, 1), ()) == (
        page.items,
        page.item_ids,
        page.paging,
        page.malformed_fields,
    )
    every = served("/sessions", parse_sessions_page)
    assert (expected, ("live", "over")) == (every.items, every.item_ids)


def test_meetings() -> None:
    """A meeting tells whether it records on start; one that does not exist is not found."""
    settings = served("/meetings/m1", parse_meeting)
    assert MeetingSettings(record_on_start=True) == settings
    assert MeetingSettings(record_on_start=False) == served("/meetings/m2", parse_meeting)
    with pytest.raises(api_errors.NotFound):
        served("/meetings/m9", parse_meeting)


def test_pages_of_an_improvised_story() -> None:
    """Page by page, every recording of a busy account is read, each with its own meeting."""
    story = GeneratedScenario(7, 60, NOW - 3 * 86400, REAL_PACE)
    simulator = Simulator(story, clock=lambda: NOW)
    found: list[tuple[str, str]] = []
    for number in (1, 2, 3):
        path = f"/recordings?per_page=100&page_no={number}"
        page = served(path, parse_recordings_page, simulator)
        assert ((), ()) == (page.malformed_fields, page.unknown_statuses)
        found += [(each.meeting.meeting_id, each.recording.recording_id) for each in page.items]
        assert page.paging is not None
        assert len(found) == page.paging.end_offset
    told = [(each.meeting_id, each.id) for each in story.recordings(NOW)]
    assert 200 < len(told) < 300
    assert told == found


def test_garbled_recordings() -> None:
    """Garbled fields lose themselves alone: ids, statuses and meetings stay."""
    sound = served("/recordings", parse_recordings_page)
    page = served("/recordings", parse_recordings_page, simulated(Fault.GARBAGE_FIELDS))
    assert shown(sound) == shown(page)
    assert {
        "audio_download_url",
        "download_url_expiry",
        "file_size",
        "recording_duration",
        "session_id",
        "started_time",
        "stopped_time",
    } == {*page.malformed_fields}


@pytest.mark.parametrize("fault", [Fault.ODD_TIMESTAMPS, Fault.DATA_LIST])
def test_other_styles(fault: Fault) -> None:
    """Times and sizes that are written in other ways are the same times and sizes."""
    sound = served("/recordings", parse_recordings_page)
    assert sound == served("/recordings", parse_recordings_page, simulated(fault))


def test_other_styles_of_one_recording() -> None:
    """Those of a single recording as well."""
    assert details("uploaded") == details("uploaded", simulated(Fault.ODD_TIMESTAMPS))


def test_no_data() -> None:
    """Null in the place of a list is an empty page."""
    page = served("/recordings", parse_recordings_page, simulated(Fault.DATA_NULL))
    assert ((), (), Paging(3, 3)) == (page.items, page.item_ids, page.paging)


@pytest.mark.parametrize("fault", [Fault.DATA_NULL, Fault.DATA_LIST])
def test_no_single_recording(fault: Fault) -> None:
    """Null or a list in the place of one recording is no answer, and no word that it is gone."""
    with pytest.raises(api_errors.InvalidResponse):
        details("uploaded", simulated(fault))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.UNAUTHORIZED, api_errors.Unauthorized),
        (Fault.FORBIDDEN, api_errors.Unauthorized),
        (Fault.GATEWAY_NOT_FOUND, api_errors.NotFound),
        (Fault.RATE_LIMITED, api_errors.RateLimited),
        (Fault.RATE_LIMITED_971_AS_500, api_errors.RateLimited),
        (Fault.BAD_REQUEST, api_errors.ClientError),
        (Fault.SERVER_ERROR, api_errors.ServerError),
        (Fault.CLOUDFLARE_520, api_errors.ServerError),
        (Fault.HTML, api_errors.InvalidResponse),
        (Fault.TRUNCATED, api_errors.InvalidResponse),
        (Fault.SUCCESS_FALSE, api_errors.InvalidResponse),
        (Fault.REDIRECT, api_errors.InvalidResponse),
    ],
)
@pytest.mark.parametrize(
    ("path", "parse"),
    [
        ("/recordings", parse_recordings_page),
        ("/recordings/uploaded", partial(parse_recording, recording_id="uploaded")),
        ("/sessions", parse_sessions_page),
        ("/meetings/m1", parse_meeting),
    ],
)
def test_faults(
    fault: Fault,
    expected: type[api_errors.ApiError],
    path: str,
    parse: Callable[[int, bytes], object],
) -> None:
    """Each fault ends in the error that names it, at each endpoint."""
    with pytest.raises(api_errors.ApiError) as caught:
        served(path, parse, simulated(fault))
    assert expected is type(caught.value)
    assert CANARY not in str(caught.value)

"""The parsers with the simulated API over HTTP."""

import asyncio

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import httpx
import pytest

from rk_exporter.api.parsers import (
    parse_record_on_start,
    parse_recording,
    parse_recordings_page,
    parse_sessions_page,
)
from rk_exporter.api.results import (
    LiveSession,
    Page,
    Paging,
    Parsed,
)
from rk_exporter.model import errors as api_errors
from rk_exporter.model.meeting import ListedRecording
from rk_exporter.model.meeting import Meeting as NamedMeeting
from rk_exporter.model.recording import Recording as Recorded
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

# It contains secrets: URLs, storage and stream keys, in recordings and in meetings.
SCENARIO = ScriptedScenario(
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
    """Return the parsed answer of a simulator, by default with the recordings above."""

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(simulator or simulated())
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
            headers = {"authorization": "Bearer simulated"}
            return await client.get(APP + path, headers=headers)

    answer = asyncio.run(get())
    return parse(answer.status_code, answer.content)


def simulated(fault: Fault | None = None, **options: Any) -> Simulator:
    simulator = Simulator(SCENARIO, clock=lambda: NOW, **options)
    if fault:
        simulator.inject("*", fault)
    return simulator


def details(recording_id: str, simulator: Simulator | None = None) -> Parsed[Recorded | None]:
    parse = partial(parse_recording, recording_id=recording_id)
    return served(f"/recordings/{recording_id}", parse, simulator)


def shown(page: Parsed[Page[ListedRecording]]) -> list[tuple[str, str, str]]:
    return [
        (item.meeting.meeting_id, item.recording.recording_id, item.recording.status.value)
        for item in page.value.items
    ]


def test_recordings() -> None:
    """Recordings have their meetings, and no secrets."""
    page = served("/recordings", parse_recordings_page)
    assert [
        ("m2", "running", "RECORDING"),
        ("m2", "track", "UPLOADED"),
        ("m1", "uploaded", "UPLOADED"),
    ] == shown(page)
    assert Paging(3, 3) == page.value.paging
    assert ((), ()) == (page.malformed_fields, page.unknown_statuses)
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
    """The name of a meeting is its title if the list has it, else its id."""
    simulator = simulated(meeting_in_list=meeting_in_list)
    page = served("/recordings", parse_recordings_page, simulator)
    expected = [NamedMeeting(meeting_id, titles[meeting_id]) for meeting_id in ("m2", "m2", "m1")]
    assert expected == [item.meeting for item in page.value.items]


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
    """A single recording has the fields of the list and the stop reason, and no secrets."""
    answer = details(recording_id)
    assert answer.value
    recording = answer.value
    found = (
        recording.is_track,
        recording.has_download_url,
        recording.has_audio_download_url,
        recording.stop_reason,
    )
    assert (expected, (), ()) == (found, answer.malformed_fields, answer.unknown_statuses)
    page = served("/recordings", parse_recordings_page)
    (listed,) = [item for item in page.value.items if item.recording.recording_id == recording_id]
    assert listed.recording == replace(recording, stop_reason=None)
    assert CANARY not in repr(answer)


def test_a_recording_that_does_not_exist() -> None:
    """RealtimeKit itself answers that the recording does not exist."""
    assert Parsed(None) == details("nothing")


def test_malformed_recording() -> None:
    """Malformed fields cost no other fields."""
    sound = details("uploaded").value
    malformed = details("uploaded", simulated(Fault.GARBAGE_FIELDS)).value
    assert sound
    assert malformed
    kept = [
        (recording.status, recording.output_file_name, recording.stop_reason)
        for recording in (sound, malformed)
    ]
    assert kept[0] == kept[1]
    assert (None, None) == (malformed.has_audio_download_url, malformed.file_size_bytes)


def test_sessions() -> None:
    """Only the live session is returned, even if all sessions were requested."""
    expected = (LiveSession("live", "m2", "Algebra", 3),)
    page = served("/sessions?status=LIVE", parse_sessions_page)
    assert (expected, ("live",), Paging(1, 1), ()) == (
        page.value.items,
        page.value.item_ids,
        page.value.paging,
        page.malformed_fields,
    )
    every = served("/sessions", parse_sessions_page)
    assert (expected, ("live", "over")) == (every.value.items, every.value.item_ids)


def test_meetings() -> None:
    """A meeting has its setting `record_on_start`; a missing meeting is not found."""
    settings = served("/meetings/m1", parse_record_on_start)
    assert Parsed(value=True) == settings
    assert Parsed(value=False) == served("/meetings/m2", parse_record_on_start)
    with pytest.raises(api_errors.NotFound):
        served("/meetings/m9", parse_record_on_start)


def test_pages_of_a_generated_scenario() -> None:
    """All recordings of a busy account are read page by page, with their meetings."""
    scenario = GeneratedScenario(7, 60, NOW - 3 * 86400, REAL_PACE)
    simulator = Simulator(scenario, clock=lambda: NOW)
    found: list[tuple[str, str]] = []
    for number in (1, 2, 3):
        path = f"/recordings?per_page=100&page_no={number}"
        page = served(path, parse_recordings_page, simulator)
        assert ((), ()) == (page.malformed_fields, page.unknown_statuses)
        found += [
            (item.meeting.meeting_id, item.recording.recording_id) for item in page.value.items
        ]
        assert page.value.paging is not None
        assert len(found) == page.value.paging.end_offset
    expected = [(recording.meeting_id, recording.id) for recording in scenario.recordings(NOW)]
    assert 200 < len(expected) < 300
    assert expected == found


def test_malformed_recordings() -> None:
    """Malformed fields cost neither ids nor statuses nor meetings."""
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
    """Other formats of times and sizes give the same values."""
    sound = served("/recordings", parse_recordings_page)
    assert sound == served("/recordings", parse_recordings_page, simulated(fault))


def test_other_styles_of_one_recording() -> None:
    """Other formats in a single recording give the same values."""
    assert details("uploaded") == details("uploaded", simulated(Fault.ODD_TIMESTAMPS))


def test_half_a_character() -> None:
    """A text that is cut in the middle of a character costs nothing else, alone or in a list."""
    recording = details("uploaded", simulated(Fault.HALF_CHARACTER))
    assert recording.value
    assert recording.value.output_file_name == "half of \ufffd"
    sound = served("/recordings", parse_recordings_page)
    page = served("/recordings", parse_recordings_page, simulated(Fault.HALF_CHARACTER))
    assert shown(sound) == shown(page)
    assert page.malformed_fields == ()


def test_no_data() -> None:
    """Null instead of a list is an empty page."""
    page = served("/recordings", parse_recordings_page, simulated(Fault.DATA_NULL))
    assert ((), (), Paging(3, 3)) == (page.value.items, page.value.item_ids, page.value.paging)


@pytest.mark.parametrize("fault", [Fault.DATA_NULL, Fault.DATA_LIST])
def test_no_single_recording(fault: Fault) -> None:
    """Null or a list instead of one recording is an error, not a missing recording."""
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
        ("/meetings/m1", parse_record_on_start),
    ],
)
def test_faults(
    fault: Fault,
    expected: type[api_errors.ApiError],
    path: str,
    parse: Callable[[int, bytes], object],
) -> None:
    """Each fault causes the right error, at each endpoint."""
    with pytest.raises(api_errors.ApiError) as caught:
        served(path, parse, simulated(fault))
    assert expected is type(caught.value)
    assert CANARY not in str(caught.value)

import json

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api import schema
from rk_exporter.api.parsers import (
    parse_apps_page,
    parse_record_on_start,
    parse_recordings_page,
    parse_sessions_page,
)
from rk_exporter.api.results import LiveSession, Page, Paging, Parsed
from rk_exporter.model import errors as api_errors
from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Status
from tests.support.payloads import CANARY, JSON_VALUES, SAMPLE, gateway


PARSERS = (parse_recordings_page, parse_sessions_page, parse_record_on_start)
Recordings = Parsed[Page[ListedRecording]]
Sessions = Parsed[Page[LiveSession]]
Parser = Callable[[int, bytes], Recordings | Sessions | Parsed[bool | None]]
with_each_parser = pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)

UUID = "6379f432-18c2-429a-a299-a9f5714959fe"
RECORDING: dict[str, Any] = {
    **json.loads(SAMPLE)["data"],
    "id": "recording-1",
    "meeting": {"id": "meeting-1", "title": "Biology"},
    "output_file_name": "meeting-1_1577470279117.mp4",
}
SESSION: dict[str, Any] = {
    "id": "session-1",
    "associated_id": "meeting-1",
    "meeting_display_name": "Biology",
    "status": "LIVE",
    "live_participants": 3,
    "ended_at": "null",
}
PAGING = {"total_count": 30, "start_offset": 1, "end_offset": 30}


def encoded(data: Any, **beside: Any) -> bytes:
    return json.dumps({"success": True, "data": data, **beside}).encode()


def recordings(*items: Any, **beside: Any) -> Recordings:
    return parse_recordings_page(200, encoded(items, **beside))


def sessions(*items: Any, **beside: Any) -> Sessions:
    return parse_sessions_page(200, encoded({"sessions": items}, **beside))


def recording_without(*fields: str, **others: Any) -> dict[str, Any]:
    return {name: value for name, value in RECORDING.items() if name not in fields} | others


@pytest.mark.parametrize(
    ("parse", "item", "layers"),
    [
        (parse_recordings_page, RECORDING, []),
        (parse_sessions_page, SESSION, []),
        (parse_sessions_page, SESSION, ["sessions"]),
        (parse_apps_page, {"name": "App"}, []),
        (parse_apps_page, {"name": "App"}, ["apps"]),
    ],
)
def test_page_of_which_nothing_is_believed(
    parse: Callable[[int, bytes], Parsed[Page[Any]]], item: dict[str, Any], layers: list[str]
) -> None:
    """A page may be longer than requested, but not more than ten times as long as any request."""

    def page(length: int) -> bytes:
        items: Any = [{**item, "id": f"item-{number}"} for number in range(length)]
        for layer in layers:
            items = {layer: items}
        return encoded(items, paging=PAGING)

    assert 1000 == len(parse(200, page(1000)).value.items)
    with pytest.raises(api_errors.InvalidResponse, match="1,001 items on one page"):
        parse(200, page(1001))


class TestRecordingsPage:
    """The list of an app's recordings."""

    def test_a_page(self) -> None:
        """Each recording is read like a single one, with its meeting; the paging is read, too."""
        page = recordings(RECORDING, {**RECORDING, "id": "recording-2"}, paging=PAGING)
        assert Paging(total_count=30, end_offset=30) == page.value.paging
        assert ("recording-1", "recording-2") == page.value.item_ids
        assert [Meeting("meeting-1", "Biology")] * 2 == [item.meeting for item in page.value.items]
        assert Status.INVOKED is page.value.items[0].recording.status
        assert 1577470279.117 == page.value.items[0].recording.stopped_timestamp_seconds
        assert ((), ()) == (page.malformed_fields, page.unknown_statuses)

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"meeting": {"id": "first"}, "meeting_id": "second"}, "first"),
            ({"meeting": None, "meeting_id": "second"}, "second"),
            ({"meeting": {}, "meeting_id": "second"}, "second"),
            ({"meeting": {"id": None}, "meeting_id": "second"}, "second"),
            ({"meeting_id": "abcdef-ghijkl"}, "abcdef-ghijkl"),
            ({"meeting": None}, "meeting-1"),
            ({"output_file_name": "abcdef-ghijkl_1577470279117.mp4"}, "abcdef-ghijkl"),
            ({"output_file_name": f"{UUID}_1577470279.tar"}, UUID),
            ({"output_file_name": f"{UUID}_1577470279117_{{{{peer_id}}}}.webm"}, UUID),
            ({"output_file_name": f"{UUID}_1577470279117_1577470279118.webm"}, UUID),
            ({"output_file_name": f"Friday, {UUID}_1577470279117.mp4"}, UUID),
            ({"output_file_name": f"{UUID}_{UUID}_1577470279117.mp4"}, UUID),
        ],
    )
    def test_which_meeting(self, fields: dict[str, Any], expected: str) -> None:
        """The meeting is `meeting.id`, else `meeting_id`, else the id in the file name."""
        page = recordings(recording_without("meeting", **fields))
        assert [expected] == [item.meeting.meeting_id for item in page.value.items]
        assert () == page.malformed_fields

    @pytest.mark.parametrize(
        "name",
        [
            "output_file_name",
            "meeting-1_157747027.mp4",
            "meeting-1_1577470279117",
            "_1577470279117.mp4",
            "a/b_1577470279117.mp4",
            f"{'x' * 129}_1577470279117.mp4",
            "meeting-1_" + "1" * 240,
            "",
            None,
        ],
    )
    def test_no_meeting(self, name: str | None) -> None:
        """A recording with an unknown meeting is skipped and counted, but its id is kept."""
        lost = recording_without("meeting", id="lost", output_file_name=name)
        page = recordings(lost, RECORDING)
        assert ["recording-1"] == [item.recording.recording_id for item in page.value.items]
        assert ("lost", "recording-1") == page.value.item_ids
        assert ("meeting_id",) == page.malformed_fields

    @pytest.mark.parametrize("meeting", ["meeting-1", 7, [], {"id": "../x"}, {"id": 7}])
    def test_malformed_meeting(self, meeting: Any) -> None:
        """A malformed `meeting` is counted, and the next field is used."""
        page = recordings({**RECORDING, "meeting": meeting})
        assert ["meeting-1"] == [item.meeting.meeting_id for item in page.value.items]
        assert ("meeting_id",) == page.malformed_fields

    @pytest.mark.parametrize("meeting_id", ["../x", 7])
    def test_malformed_meeting_id(self, meeting_id: Any) -> None:
        """A malformed `meeting_id` is counted, and the file name is used."""
        page = recordings(recording_without("meeting", meeting_id=meeting_id))
        assert ["meeting-1"] == [item.meeting.meeting_id for item in page.value.items]
        assert ("meeting_id",) == page.malformed_fields

    def test_all_fields_of_the_meeting_are_malformed(self) -> None:
        """An unknown meeting is counted once, however many fields are malformed."""
        page = recordings({**RECORDING, "meeting": 7, "meeting_id": "../x", "output_file_name": ""})
        assert ((), ("meeting_id",)) == (page.value.items, page.malformed_fields)

    @pytest.mark.parametrize(
        ("title", "expected"),
        [
            ({"title": "Ward round"}, "Ward round"),
            ({"title": "a\nb"}, "a b"),
            ({"title": "ä" * 5000}, "ä" * 255),
            ({}, "meeting-1"),
            ({"title": None}, "meeting-1"),
            ({"title": ""}, "meeting-1"),
            ({"title": "null"}, "meeting-1"),
            ({"title": 7}, "meeting-1"),
            ({"title": ["Biology"]}, "meeting-1"),
        ],
    )
    def test_title_of_the_meeting(self, title: dict[str, Any], expected: str) -> None:
        """The title is the meeting's name, cleaned for a label; without a title it is the id."""
        page = recordings({**RECORDING, "meeting": {"id": "meeting-1", **title}})
        assert [Meeting("meeting-1", expected)] == [item.meeting for item in page.value.items]
        assert () == page.malformed_fields

    def test_no_title(self) -> None:
        """The name of a meeting is its id if only the id or the file name is known."""
        by_id = recording_without("meeting", meeting_id="second")
        by_file = recording_without("meeting", id="recording-2")
        page = recordings(by_id, by_file)
        expected = [Meeting("second", "second"), Meeting("meeting-1", "meeting-1")]
        assert expected == [item.meeting for item in page.value.items]

    def test_new_status(self) -> None:
        """An undocumented status is UNKNOWN and reported."""
        page = recordings({**RECORDING, "status": "TRANSCODING"})
        assert Status.UNKNOWN is page.value.items[0].recording.status
        assert ((), ("TRANSCODING",)) == (page.malformed_fields, page.unknown_statuses)

    def test_duplicate(self) -> None:
        """If a recording is on a page twice, the later entry counts."""
        page = recordings(RECORDING, {**RECORDING, "status": "UPLOADED"})
        assert [Status.UPLOADED] == [item.recording.status for item in page.value.items]
        assert ("recording-1", "recording-1") == page.value.item_ids


class TestSessionsPage:
    """The list of an app's sessions."""

    def test_a_page(self) -> None:
        """A live session has its meeting, the meeting's name and the participants."""
        expected = LiveSession("session-1", "meeting-1", "Biology", 3)
        page = sessions(SESSION, paging=PAGING)
        assert Parsed(Page((expected,), ("session-1",), Paging(30, 30))) == page

    def test_a_list_in_data(self) -> None:
        """A list directly in `data` is read, too."""
        assert sessions(SESSION) == parse_sessions_page(200, encoded([SESSION]))

    @pytest.mark.parametrize("status", ["ENDED", "live", "SCHEDULED"])
    def test_not_live(self, status: str) -> None:
        """A session that is not live is skipped, but its id is kept."""
        page = sessions({**SESSION, "status": status, "associated_id": None}, paging=PAGING)
        assert Parsed(Page((), ("session-1",), Paging(30, 30))) == page

    @pytest.mark.parametrize("status", [{}, {"status": None}, {"status": "null"}])
    def test_no_status(self, status: dict[str, Any]) -> None:
        """A session without a status counts as live, because only live ones were requested."""
        bare = {"id": "session-1", "associated_id": "abcdef-ghijkl", **status}
        expected = LiveSession("session-1", "abcdef-ghijkl", None, None)
        assert Parsed(Page((expected,), ("session-1",), None)) == sessions(bare)

    @pytest.mark.parametrize("meeting", [None, "", "../x", 7])
    def test_no_meeting(self, meeting: Any) -> None:
        """A session without a usable meeting is skipped and counted."""
        page = sessions({**SESSION, "id": "lost", "associated_id": meeting}, SESSION)
        assert ["session-1"] == [item.session_id for item in page.value.items]
        assert ("lost", "session-1") == page.value.item_ids
        assert ("associated_id",) == page.malformed_fields
        assert not page.value.is_complete

    @pytest.mark.parametrize(("number", "expected"), [(0, 0), (2.0, 2), ("12", 12), (None, None)])
    def test_participants(self, number: Any, expected: int | None) -> None:
        """The number may be 0, a float or a string; null is unknown."""
        page = sessions({**SESSION, "live_participants": number})
        assert (expected, ()) == (page.value.items[0].participants, page.malformed_fields)

    @pytest.mark.parametrize("number", [-1, 2.5, "many", True, [3]])
    def test_malformed_participants(self, number: Any) -> None:
        """A malformed number of participants costs nothing else."""
        page = sessions({**SESSION, "live_participants": number})
        assert [LiveSession("session-1", "meeting-1", "Biology", None)] == list(page.value.items)
        assert ("live_participants",) == page.malformed_fields

    def test_names_are_cleaned_for_labels(self) -> None:
        """Control characters become spaces, a title has 255 characters, and "" is no title."""
        titles = ["a\nb", "ä" * 5000, ""]
        page = sessions(
            *({**SESSION, "id": str(i), "meeting_display_name": t} for i, t in enumerate(titles))
        )
        assert ["a b", "ä" * 255, None] == [item.meeting_name for item in page.value.items]

    def test_duplicate(self) -> None:
        """A session that ended while the API built the page is no longer live."""
        page = sessions(SESSION, {**SESSION, "status": "ENDED"})
        assert ((), ("session-1", "session-1")) == (page.value.items, page.value.item_ids)


class TestMeeting:
    """The settings of one meeting."""

    @pytest.mark.parametrize(
        ("data", "expected", "malformed"),
        [
            ({"id": "meeting-1", "record_on_start": True}, True, ()),
            ({"id": "meeting-1", "record_on_start": False}, False, ()),
            ({"id": "meeting-1", "record_on_start": None}, None, ()),
            ({"id": "meeting-1"}, None, ()),
            ({"record_on_start": "true"}, None, ("record_on_start",)),
            ({"record_on_start": 1}, None, ("record_on_start",)),
            (None, None, ()),
        ],
    )
    def test_record_on_start(
        self, data: Any, malformed: tuple[str, ...], *, expected: bool | None
    ) -> None:
        """The setting is true, false or absent; any other value is malformed."""
        settings = Parsed(expected, malformed)
        assert settings == parse_record_on_start(200, encoded(data))


@pytest.mark.parametrize("data", [None, [], {"sessions": None}, {"sessions": []}, {}])
def test_empty_pages(data: Any) -> None:
    """An empty list is an empty page, and so is none if the paging says that it is empty."""
    body = encoded(data, paging={"total_count": 0, "end_offset": 0})
    assert Parsed(Page((), (), Paging(0, 0))) == parse_sessions_page(200, body)
    if not isinstance(data, dict):
        assert Parsed(Page((), (), Paging(0, 0))) == parse_recordings_page(200, body)


@pytest.mark.parametrize("data", [None, {}, {"sessions": None}, {"session": []}])
@pytest.mark.parametrize(
    "paging", [{}, {"paging": None}, {"paging": PAGING}, {"paging": {"total_count": 0}}]
)
def test_no_list_of_sessions(data: Any, paging: dict[str, Any]) -> None:
    """An answer without a list, which nothing explains, is not one without live sessions."""
    with pytest.raises(api_errors.InvalidResponse, match="200 without a list of sessions"):
        parse_sessions_page(200, encoded(data, **paging))
    assert () == sessions(**paging).value.items


@pytest.mark.parametrize(
    ("paging", "expected", "malformed"),
    [
        ({"paging": {"total_count": 246.0, "end_offset": "100"}}, Paging(246, 100), ()),
        ({}, None, ()),
        ({"paging": None}, None, ()),
        ({"paging": {}}, None, ("paging",)),
        ({"paging": {"total_count": 246}}, None, ("paging",)),
        ({"paging": {"total_count": 246, "end_offset": None}}, None, ("paging",)),
        ({"paging": {"total_count": -1, "end_offset": 1}}, None, ("paging",)),
        ({"paging": {"total_count": 1.5, "end_offset": 1}}, None, ("paging",)),
        ({"paging": {"total_count": 1, "end_offset": [1]}}, None, ("paging",)),
        ({"paging": [246, 100]}, None, ("paging",)),
        ({"paging": "next"}, None, ("paging",)),
    ],
)
def test_paging(paging: dict[str, Any], expected: Paging | None, malformed: tuple[str]) -> None:
    """Paging may have numbers of any type; without valid paging the page is kept."""
    for page in (recordings(RECORDING, **paging), sessions(SESSION, **paging)):
        assert (1, expected) == (len(page.value.items), page.value.paging)
        assert malformed == page.malformed_fields


@pytest.mark.parametrize("bad", [{}, {"id": None}, {"id": "../x"}, {"id": 7}, None, 7, "x", [{}]])
def test_item_without_id(bad: Any) -> None:
    """An item without a usable id, or that is not an object, costs no other item."""
    for page in (recordings(bad, RECORDING, bad), sessions(bad, SESSION, bad)):
        assert (1, 1) == (len(page.value.items), len(page.value.item_ids))
        assert ("id", "id") == page.malformed_fields
    assert not sessions(bad, SESSION, bad).value.is_complete


@with_each_parser
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, {"success": False, "error": {"code": 404}}, api_errors.NotFound),
        (404, gateway(7003), api_errors.NotFound),
        (404, b"<html>", api_errors.NotFound),
        (401, gateway(10000), api_errors.Unauthorized),
        (400, gateway(6003), api_errors.Unauthorized),
        (500, gateway(971), api_errors.RateLimited),
        (200, gateway(10429), api_errors.RateLimited),
        (400, {"success": False, "error": {"code": 400}}, api_errors.ClientError),
        (502, b"<html>502</html>", api_errors.ServerError),
        (204, b"", api_errors.InvalidResponse),
        (200, b"[]", api_errors.InvalidResponse),
        (200, {"success": True}, api_errors.InvalidResponse),
        (200, {"success": True, "paging": PAGING}, api_errors.InvalidResponse),
        (200, {"success": True, "data": "x"}, api_errors.InvalidResponse),
        (200, {"success": False, "data": None}, api_errors.InvalidResponse),
        (200, encoded([RECORDING])[:-9], api_errors.InvalidResponse),
        (200, b'{"success": true, "data": ' + b"[" * 100_000, api_errors.InvalidResponse),
    ],
)
def test_errors(parse: Parser, status: int, body: Any, expected: type[api_errors.ApiError]) -> None:
    """Everything but a documented success is an error, even a 404 of RealtimeKit."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(api_errors.ApiError) as caught:
        parse(status, raw)
    assert expected is type(caught.value)


@pytest.mark.parametrize(
    ("parse", "data"),
    [
        (parse_recordings_page, RECORDING),
        (parse_recordings_page, {"recordings": [RECORDING]}),
        (parse_sessions_page, {"sessions": SESSION}),
        (parse_record_on_start, [{"record_on_start": True}]),
    ],
)
def test_data_of_another_shape(parse: Parser, data: Any) -> None:
    """Data of an undocumented type is an invalid response."""
    with pytest.raises(api_errors.InvalidResponse):
        parse(200, encoded(data))


# No field accepts any of these values.
with_garbage = pytest.mark.parametrize("garbage", [[], [None], [[CANARY]], -1.5], ids=str)
COUNTED_AS = {"meeting": "meeting_id"}
# `meeting_id` is not read if there is a `meeting`. A URL may be a list, and a malformed URL differs
# from an absent one.
URLS = ["download_url", "audio_download_url"]
READ = [
    name
    for name in schema.listed_recording.type.__struct_fields__
    if name not in {"meeting_id", *URLS}
]


@pytest.mark.parametrize("field", READ)
@with_garbage
def test_malformed_field_of_a_recording(field: str, garbage: Any) -> None:
    """Any malformed field is counted, and everything else is as if the field were absent."""
    neighbour = {**RECORDING, "id": "neighbour"}
    absent = recordings(neighbour, recording_without(field), neighbour)
    malformed = recordings(neighbour, {**RECORDING, field: garbage}, neighbour)
    assert absent.value == malformed.value
    assert (COUNTED_AS.get(field, field),) == malformed.malformed_fields


@pytest.mark.parametrize("field", URLS)
@pytest.mark.parametrize("garbage", [True, -1.5, {"url": CANARY}])
def test_malformed_url(field: str, garbage: Any) -> None:
    """A malformed URL is unknown, and counted."""
    whole = recordings(RECORDING).value.items[0]
    page = recordings({**RECORDING, field: garbage})
    unknown: dict[str, Any] = {f"has_{field}": None}
    expected = replace(whole.recording, **unknown)
    assert ((field,), expected) == (page.malformed_fields, page.value.items[0].recording)
    assert whole.meeting == page.value.items[0].meeting


@pytest.mark.parametrize("field", schema.session.type.__struct_fields__)
@with_garbage
def test_malformed_field_of_a_session(field: str, garbage: Any) -> None:
    """Any malformed field is counted, and everything else is as if the field were absent."""
    neighbour = {**SESSION, "id": "neighbour"}
    others = {name: value for name, value in SESSION.items() if name != field}
    absent = sessions(neighbour, others, neighbour)
    malformed = sessions(neighbour, {**others, field: garbage}, neighbour)
    assert absent.value == malformed.value
    assert (field,) == malformed.malformed_fields


FIELDS = st.sampled_from(
    [
        *schema.listed_recording.type.__struct_fields__,
        *schema.session.type.__struct_fields__,
        "record_on_start",
        "sessions",
        "download_url",
        "storage_config",
    ]
)
ITEMS = JSON_VALUES | st.dictionaries(FIELDS, JSON_VALUES | st.sampled_from(["a-b", "LIVE", 1]))


@with_each_parser
@given(
    data=ITEMS | st.lists(ITEMS) | st.fixed_dictionaries({"sessions": st.lists(ITEMS)}),
    paging=JSON_VALUES | st.dictionaries(st.sampled_from([*PAGING]), JSON_VALUES),
)
def test_any_value_in_any_field(parse: Parser, data: Any, paging: Any) -> None:
    """Any JSON in any field is read or is an error; only known fields are counted."""
    try:
        answer = parse(200, encoded(data, paging=paging))
    except api_errors.ApiError as error:
        assert CANARY not in str(error)
        return
    assert {*answer.malformed_fields} <= {*schema.MALFORMABLE_FIELDS}
    if isinstance(answer.value, Page):
        sessions = [item for item in answer.value.items if isinstance(item, LiveSession)]
        assert all(type(session.participants) in {int, type(None)} for session in sessions)


@with_each_parser
@given(body=st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_at_all(parse: Parser, body: bytes) -> None:
    """Any body is either a success or an ApiError."""
    for status in (200, 404, 500):
        try:
            parse(status, body)
        except api_errors.ApiError as error:
            assert CANARY not in str(error)

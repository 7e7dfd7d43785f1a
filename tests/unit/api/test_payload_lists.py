import json

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api import schema as shapes
from rk_exporter.api.recordings import parse_recordings_page
from rk_exporter.api.results import (
    LiveSession,
    MeetingSettings,
    Page,
    Paging,
    Parsed,
)
from rk_exporter.api.sessions import parse_meeting, parse_sessions_page
from rk_exporter.model import errors as api_errors
from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Status
from tests.support.payloads import CANARY, JSON_VALUES, SAMPLE, gateway


PARSERS = (parse_recordings_page, parse_sessions_page, parse_meeting)
Recordings = Parsed[Page[ListedRecording]]
Sessions = Parsed[Page[LiveSession]]
Parser = Callable[[int, bytes], Recordings | Sessions | Parsed[MeetingSettings]]
each_parser = pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)

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


class TestRecordingsPage:
    """The list of an app's recordings."""

    def test_a_page(self) -> None:
        """Each recording is read as it is elsewhere, with its meeting; the paging goes along."""
        page = recordings(RECORDING, {**RECORDING, "id": "recording-2"}, paging=PAGING)
        assert Paging(total_count=30, end_offset=30) == page.value.paging
        assert ("recording-1", "recording-2") == page.value.item_ids
        assert [Meeting("meeting-1", "Biology")] * 2 == [each.meeting for each in page.value.items]
        assert Status.INVOKED is page.value.items[0].recording.status
        assert 1577470279.117 == page.value.items[0].recording.stopped_timestamp_seconds
        assert ((), ()) == (page.malformed_fields, page.unknown_statuses)

    @pytest.mark.parametrize(
        ("told", "expected"),
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
    def test_which_meeting(self, told: dict[str, Any], expected: str) -> None:
        """The meeting is `meeting.id`, else `meeting_id`, else what the file is named after."""
        page = recordings(recording_without("meeting", **told))
        assert [expected] == [each.meeting.meeting_id for each in page.value.items]
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
        """A recording whose meeting is not told is left out and counted, and its id is kept."""
        lost = recording_without("meeting", id="lost", output_file_name=name)
        page = recordings(lost, RECORDING)
        assert ["recording-1"] == [each.recording.recording_id for each in page.value.items]
        assert ("lost", "recording-1") == page.value.item_ids
        assert ("meeting_id",) == page.malformed_fields

    @pytest.mark.parametrize("meeting", ["meeting-1", 7, [], {"id": "../x"}, {"id": 7}])
    def test_malformed_meeting(self, meeting: Any) -> None:
        """A malformed `meeting` is counted, and the next that tells the meeting is asked."""
        page = recordings({**RECORDING, "meeting": meeting})
        assert ["meeting-1"] == [each.meeting.meeting_id for each in page.value.items]
        assert ("meeting_id",) == page.malformed_fields

    def test_all_that_tells_the_meeting_is_malformed(self) -> None:
        """Where nothing tells the meeting, that is counted once, however much is malformed."""
        page = recordings({**RECORDING, "meeting": 7, "meeting_id": "../x", "output_file_name": ""})
        assert ((), ("meeting_id",)) == (page.value.items, page.malformed_fields)

    @pytest.mark.parametrize(
        ("title", "expected"),
        [
            ({"title": "Ward round"}, "Ward round"),
            ({"title": "a\nb"}, "a b"),
            ({"title": "ä" * 5000}, "ä" * 127),
            ({}, "meeting-1"),
            ({"title": None}, "meeting-1"),
            ({"title": ""}, "meeting-1"),
            ({"title": "null"}, "meeting-1"),
            ({"title": 7}, "meeting-1"),
            ({"title": ["Biology"]}, "meeting-1"),
        ],
    )
    def test_the_meetings_title(self, title: dict[str, Any], expected: str) -> None:
        """A title is the meeting's name, fit for a label; without one it is called by its id."""
        page = recordings({**RECORDING, "meeting": {"id": "meeting-1", **title}})
        assert [Meeting("meeting-1", expected)] == [each.meeting for each in page.value.items]
        assert () == page.malformed_fields

    def test_no_title_where_the_meeting_is_told_otherwise(self) -> None:
        """A meeting that is told by its id or by the file's name alone is called by its id."""
        by_id = recording_without("meeting", meeting_id="second")
        by_file = recording_without("meeting", id="recording-2")
        page = recordings(by_id, by_file)
        expected = [Meeting("second", "second"), Meeting("meeting-1", "meeting-1")]
        assert expected == [each.meeting for each in page.value.items]

    def test_new_status(self) -> None:
        """A status that is not documented is UNKNOWN and remembered."""
        page = recordings({**RECORDING, "status": "TRANSCODING"})
        assert Status.UNKNOWN is page.value.items[0].recording.status
        assert ((), ("TRANSCODING",)) == (page.malformed_fields, page.unknown_statuses)

    def test_the_later_of_two_counts(self) -> None:
        """A recording that moved while the page was made is shown once, as it stands there last."""
        page = recordings(RECORDING, {**RECORDING, "status": "UPLOADED"})
        assert [Status.UPLOADED] == [each.recording.status for each in page.value.items]
        assert ("recording-1", "recording-1") == page.value.item_ids


class TestSessionsPage:
    """The list of an app's sessions."""

    def test_a_page(self) -> None:
        """A live session has its meeting, the meeting's name and its participants."""
        expected = LiveSession("session-1", "meeting-1", "Biology", 3)
        page = sessions(SESSION, paging=PAGING)
        assert Parsed(Page((expected,), ("session-1",), Paging(30, 30))) == page

    def test_a_list_in_data(self) -> None:
        """A list that stands in `data` itself is read as well."""
        assert sessions(SESSION) == parse_sessions_page(200, encoded([SESSION]))

    @pytest.mark.parametrize("status", ["ENDED", "live", "SCHEDULED"])
    def test_others_than_live(self, status: str) -> None:
        """A session that is not live is left out; its id still tells the page."""
        page = sessions({**SESSION, "status": status, "associated_id": None}, paging=PAGING)
        assert Parsed(Page((), ("session-1",), Paging(30, 30))) == page

    @pytest.mark.parametrize("status", [{}, {"status": None}, {"status": "null"}])
    def test_no_status(self, status: dict[str, Any]) -> None:
        """Without a status a session counts as live: only live ones were asked for."""
        bare = {"id": "session-1", "associated_id": "abcdef-ghijkl", **status}
        expected = LiveSession("session-1", "abcdef-ghijkl", None, None)
        assert Parsed(Page((expected,), ("session-1",), None)) == sessions(bare)

    @pytest.mark.parametrize("meeting", [None, "", "../x", 7])
    def test_no_meeting(self, meeting: Any) -> None:
        """A session without a usable meeting is left out and counted."""
        page = sessions({**SESSION, "id": "lost", "associated_id": meeting}, SESSION)
        assert ["session-1"] == [each.session_id for each in page.value.items]
        assert ("lost", "session-1") == page.value.item_ids
        assert ("associated_id",) == page.malformed_fields

    @pytest.mark.parametrize(("told", "expected"), [(0, 0), (2.0, 2), ("12", 12), (None, None)])
    def test_participants(self, told: Any, expected: int | None) -> None:
        """Nobody is 0; the number may be a float or a string; null is not said."""
        page = sessions({**SESSION, "live_participants": told})
        assert (expected, ()) == (page.value.items[0].participants, page.malformed_fields)

    @pytest.mark.parametrize("told", [-1, 2.5, "many", True, [3]])
    def test_malformed_participants(self, told: Any) -> None:
        """A malformed number of participants loses itself alone."""
        page = sessions({**SESSION, "live_participants": told})
        assert [LiveSession("session-1", "meeting-1", "Biology", None)] == list(page.value.items)
        assert ("live_participants",) == page.malformed_fields

    def test_names_are_fit_for_a_label(self) -> None:
        """A title has blanks for control characters, ends after 255 bytes, and "" is none."""
        titles = ["a\nb", "ä" * 5000, ""]
        page = sessions(
            *({**SESSION, "id": str(i), "meeting_display_name": t} for i, t in enumerate(titles))
        )
        assert ["a b", "ä" * 127, None] == [each.meeting_name for each in page.value.items]

    def test_the_later_of_two_counts(self) -> None:
        """A session that ended while the page was made is no longer live."""
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
        settings = Parsed(MeetingSettings(expected), malformed)
        assert settings == parse_meeting(200, encoded(data))


@pytest.mark.parametrize("data", [None, [], {"sessions": None}, {"sessions": []}, {}])
def test_empty_pages(data: Any) -> None:
    """Null and an empty list are a page with nothing on it."""
    body = encoded(data, paging={"total_count": 0, "end_offset": 0})
    assert Parsed(Page((), (), Paging(0, 0))) == parse_sessions_page(200, body)
    if not isinstance(data, dict):
        assert Parsed(Page((), (), Paging(0, 0))) == parse_recordings_page(200, body)


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
    """Paging is read from numbers of any kind; absent or malformed it is None, the page is kept."""
    for page in (recordings(RECORDING, **paging), sessions(SESSION, **paging)):
        assert (1, expected) == (len(page.value.items), page.value.paging)
        assert malformed == page.malformed_fields


@pytest.mark.parametrize("bad", [{}, {"id": None}, {"id": "../x"}, {"id": 7}, None, 7, "x", [{}]])
def test_an_item_without_id_is_lost_alone(bad: Any) -> None:
    """An item that has no usable id, or is no object at all, costs no other on its page."""
    for page in (recordings(bad, RECORDING, bad), sessions(bad, SESSION, bad)):
        assert (1, 1) == (len(page.value.items), len(page.value.item_ids))
        assert ("id", "id") == page.malformed_fields


@each_parser
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
def test_refusals(
    parse: Parser, status: int, body: Any, expected: type[api_errors.ApiError]
) -> None:
    """Whatever is not a documented success has its error, and no 404 says "none" here."""
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
        (parse_meeting, [{"record_on_start": True}]),
    ],
)
def test_data_of_another_shape(parse: Parser, data: Any) -> None:
    """Data in a shape that no documentation has is no documented answer."""
    with pytest.raises(api_errors.InvalidResponse):
        parse(200, encoded(data))


# No field may be any of them.
GARBAGE = st.sampled_from([[], [None], [[CANARY]], -1.5])
COUNTED_AS = {"meeting": "meeting_id"}
# Nobody looks at `meeting_id` where `meeting` is told. A URL may be a list, and where it cannot be
# read that is not as if there were none.
URLS = ["download_url", "audio_download_url"]
READ = [
    name
    for name in shapes.listed_recording.type.__struct_fields__
    if name not in {"meeting_id", *URLS}
]


@given(field=st.sampled_from(READ), garbage=GARBAGE)
def test_a_garbled_field_of_a_recording_loses_itself_alone(field: str, garbage: Any) -> None:
    """Whichever field is garbled, all is as if it were absent, and its name is counted."""
    neighbour = {**RECORDING, "id": "neighbour"}
    absent = recordings(neighbour, recording_without(field), neighbour)
    garbled = recordings(neighbour, {**RECORDING, field: garbage}, neighbour)
    assert absent.value == garbled.value
    assert (COUNTED_AS.get(field, field),) == garbled.malformed_fields


@pytest.mark.parametrize("field", URLS)
@pytest.mark.parametrize("garbage", [True, -1.5, {"url": CANARY}])
def test_a_garbled_url_loses_itself_alone(field: str, garbage: Any) -> None:
    """Whether there is a URL is not known where it is garbled, and its name is counted."""
    whole = recordings(RECORDING).value.items[0]
    page = recordings({**RECORDING, field: garbage})
    unknown: dict[str, Any] = {f"has_{field}": None}
    expected = replace(whole.recording, **unknown)
    assert ((field,), expected) == (page.malformed_fields, page.value.items[0].recording)
    assert whole.meeting == page.value.items[0].meeting


@given(field=st.sampled_from(shapes.session.type.__struct_fields__), garbage=GARBAGE)
def test_a_garbled_field_of_a_session_loses_itself_alone(field: str, garbage: Any) -> None:
    """Whichever field is garbled, all is as if it were absent, and its name is counted."""
    neighbour = {**SESSION, "id": "neighbour"}
    others = {name: value for name, value in SESSION.items() if name != field}
    absent = sessions(neighbour, others, neighbour)
    garbled = sessions(neighbour, {**others, field: garbage}, neighbour)
    assert absent.value == garbled.value
    assert (field,) == garbled.malformed_fields


FIELDS = st.sampled_from(
    [
        *shapes.listed_recording.type.__struct_fields__,
        *shapes.session.type.__struct_fields__,
        "record_on_start",
        "sessions",
        "download_url",
        "storage_config",
    ]
)
ITEMS = JSON_VALUES | st.dictionaries(FIELDS, JSON_VALUES | st.sampled_from(["a-b", "LIVE", 1]))


@each_parser
@given(
    data=ITEMS | st.lists(ITEMS) | st.fixed_dictionaries({"sessions": st.lists(ITEMS)}),
    paging=JSON_VALUES | st.dictionaries(st.sampled_from([*PAGING]), JSON_VALUES),
)
def test_any_value_in_any_field(parse: Parser, data: Any, paging: Any) -> None:
    """Any JSON in any field is read or refused; what is counted has a name that is known."""
    try:
        answer = parse(200, encoded(data, paging=paging))
    except api_errors.ApiError as error:
        assert CANARY not in str(error)
        return
    assert {*answer.malformed_fields} <= {*shapes.MALFORMABLE_FIELDS}
    if isinstance(answer.value, Page):
        sessions = [item for item in answer.value.items if isinstance(item, LiveSession)]
        assert all(type(session.participants) in {int, type(None)} for session in sessions)


@each_parser
@given(body=st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_at_all(parse: Parser, body: bytes) -> None:
    """Any body is either a success or an ApiError."""
    for status in (200, 404, 500):
        try:
            parse(status, body)
        except api_errors.ApiError as error:
            assert CANARY not in str(error)

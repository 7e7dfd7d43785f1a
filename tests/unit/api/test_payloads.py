import json
import math
import traceback

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.parsers import parse_active_recordings, parse_recording
from rk_exporter.api.results import Parsed
from rk_exporter.api.schema import MALFORMABLE_FIELDS, RecordingItem
from rk_exporter.model import errors as api_errors
from rk_exporter.model.recording import Recording, Status, StopReason
from tests.support.payloads import CANARY, DETAILS, JSON_VALUES, RECORDING_ID, SAMPLE, gateway


MOMENT = 1577470279.117
OPTIONAL_FIELDS = json.loads(SAMPLE)["data"].keys() - {"id", "status"}

URL = f"https://bucket.example/a.mp4?{CANARY}"
TRACK_URLS = [{"layer_name": "default", "download_urls": {"a.webm": {"download_url": URL}}}]


def parse(data: Any, *, status: int = 200) -> Parsed[tuple[Recording, ...]]:
    return parse_active_recordings(status, json.dumps({"success": True, "data": data}).encode())


def one(**fields: Any) -> Recording:
    (recording,) = parse({"id": "recording-1", "status": "UPLOADED", **fields}).value
    return recording


def details(data: Any, *, status: int = 200) -> Parsed[Recording | None]:
    body = json.dumps({"success": True, "data": data}).encode()
    return parse_recording(status, body, recording_id=RECORDING_ID)


def detailed(**fields: Any) -> tuple[Recording, tuple[str, ...]]:
    """Return a recording with *fields* from its own endpoint, and the malformed fields."""
    answer = details({"id": RECORDING_ID, "status": "UPLOADED", **fields})
    assert answer.value
    return answer.value, answer.malformed_fields


Parser = Callable[[int, bytes], Parsed[tuple[Recording, ...]] | Parsed[Recording | None]]
with_each_parser = pytest.mark.parametrize(
    "parser",
    [parse_active_recordings, partial(parse_recording, recording_id="recording-1")],
    ids=["active-recording", "recording"],
)


def error_of(parser: Parser, status: int, body: bytes | Any) -> api_errors.ApiError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(api_errors.ApiError) as caught:
        parser(status, raw)
    return caught.value


def test_sample_of_the_endpoints_page() -> None:
    """The sample response on the endpoint's page is read field by field."""
    expected = Recording(
        recording_id="182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e",
        status=Status.INVOKED,
        session_id="182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e",
        output_file_name="output_file_name",
        file_size_bytes=0,
        reported_duration_seconds=0,
        download_url_expiry_timestamp_seconds=MOMENT,
        invoked_timestamp_seconds=MOMENT,
        started_timestamp_seconds=MOMENT,
        stopped_timestamp_seconds=MOMENT,
        has_download_url=True,
        has_audio_download_url=True,
    )
    assert Parsed((expected,)) == parse_active_recordings(200, SAMPLE.encode())


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.UNKNOWN])
def test_documented_statuses(status: Status) -> None:
    """Each documented status is read as itself."""
    assert status is one(status=status.value).status


@pytest.mark.parametrize("status", ["TRANSCODING", "recording"])
def test_new_statuses_are_unknown(status: str) -> None:
    """An undocumented status is UNKNOWN and reported; it is not malformed."""
    answer = parse({"id": "recording-1", "status": status})
    assert (Status.UNKNOWN, ()) == (answer.value[0].status, answer.malformed_fields)
    assert (status,) == answer.unknown_statuses


@pytest.mark.parametrize("status", [None, 1, True, ["RECORDING"], ""])
def test_unusable_statuses_are_counted(status: Any) -> None:
    """A recording without a usable status is UNKNOWN, and the field is counted."""
    answer = parse({"id": "recording-1", "status": status})
    assert (Status.UNKNOWN, ("status",)) == (answer.value[0].status, answer.malformed_fields)


@pytest.mark.parametrize("absent", [{}, dict.fromkeys(OPTIONAL_FIELDS)])
def test_absent_and_null_fields(absent: dict[str, Any]) -> None:
    """Fields that are null or missing are None, and not malformed."""
    answer = parse({"id": "recording-1", "status": "INVOKED", **absent})
    expected = Recording(recording_id="recording-1", status=Status.INVOKED)
    assert Parsed((expected,)) == answer


@pytest.mark.usefixtures("far_east")
@pytest.mark.parametrize(
    "text",
    [
        "2019-12-27T18:11:19.117Z",
        "2019-12-27 18:11:19.117Z",
        "2019-12-27t18:11:19.117z",
        "2019-12-27T20:11:19.117+02:00",
        "2019-12-27 13:11:19.117-0500",
        "2019-12-27T18:11:19.117000000Z",
        "2019-12-27T18:11:19.117",
    ],
)
def test_timestamps(text: str) -> None:
    """Variants are read, wherever this machine is: T or space; Z, an offset or none; fractions."""
    assert MOMENT == one(started_time=text).started_timestamp_seconds


def test_earliest_timestamp() -> None:
    """The first moment that is not the zero time of some language is read."""
    assert 946_684_800.0 == one(started_time="2000-01-01T00:00:00Z").started_timestamp_seconds


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "", "null"]
)
def test_zero_times_are_absent(text: str) -> None:
    """The zero times of other languages, and the vendor's "null", are absent."""
    answer = parse({"id": "recording-1", "status": "INVOKED", "stopped_time": text})
    assert answer.value[0].stopped_timestamp_seconds is None
    assert () == answer.malformed_fields


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("file_size", -1),
        ("file_size", "large"),
        ("file_size", True),
        ("file_size", "1e3"),
        ("file_size", 2**63),
        ("file_size", "nan"),
        ("recording_duration", {"seconds": 1}),
        ("started_time", "yesterday"),
        ("started_time", 1577470279),
        ("started_time", "2019-12-27"),
        ("started_time", "2019-02-30T00:00:00Z"),
        ("started_time", "2019-12-27T18:11:61Z"),
        ("session_id", "../../escape"),
        ("session_id", "x" * 129),
        ("output_file_name", 7),
    ],
)
def test_malformed_field(field: str, bad: Any) -> None:
    """A malformed optional field is skipped and reported; the other fields are read."""
    good = json.loads(SAMPLE)["data"]
    answer = parse({**good, field: bad})
    expected = {name: value for name, value in good.items() if name != field}
    assert (field,) == answer.malformed_fields
    assert parse(expected).value == answer.value


@pytest.mark.parametrize("literal", [b"1e999", b"-1e999", b"1" + b"0" * 400])
def test_huge_numbers(literal: bytes) -> None:
    """A valid JSON number that is too large for a float is malformed."""
    body = b'{"success": true, "data": {"id": "r", "status": "UPLOADED", "file_size": %s}}'
    answer = parse_active_recordings(200, body % literal)
    assert (None, ("file_size",)) == (
        answer.value[0].file_size_bytes,
        answer.malformed_fields,
    )


@pytest.mark.parametrize(("size", "expected"), [(216787, 216787), ("2044680", 2044680), (0, 0)])
def test_sizes_as_numbers_and_strings(size: Any, expected: int) -> None:
    """The file size may be a number or a string, and 0 is a size."""
    assert expected == one(file_size=size).file_size_bytes


@pytest.mark.parametrize("size", ["", "null"])
def test_empty_sizes_are_absent(size: str) -> None:
    """The empty string and the vendor's "null" are absent, not malformed."""
    answer = parse({"id": "recording-1", "status": "INVOKED", "file_size": size})
    assert (None, ()) == (answer.value[0].file_size_bytes, answer.malformed_fields)


def test_file_names_are_cleaned_for_labels() -> None:
    """Control characters become spaces; a name ends after 255 characters."""
    assert "a b" == one(output_file_name="a\nb").output_file_name
    assert "ä" * 255 == one(output_file_name="ä" * 5000).output_file_name


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"type": "COMPOSITE", "output_file_name": "a_1577470279117.mp4"}, False),
        ({"type": None, "download_url": URL}, False),
        ({"type": "TRACK"}, True),
        ({"type": "", "output_file_name": "a_1577470279117_{{peer_id}}.webm"}, True),
        ({"output_file_name": "a_1577470279117.webm.mp4"}, False),
        ({"download_url": TRACK_URLS}, True),
    ],
)
def test_track_recordings(fields: dict[str, Any], *, expected: bool) -> None:
    """A track recording has the type TRACK, a WebM file, or a list of URLs."""
    assert (expected, ()) == (detailed(**fields)[0].is_track, detailed(**fields)[1])


@pytest.mark.parametrize("kind", [7, ["TRACK"], {"kind": "TRACK"}])
def test_malformed_type(kind: Any) -> None:
    """A type that is not a string is counted, and the file name decides."""
    recording, malformed = detailed(type=kind, output_file_name="a_1577470279117.webm")
    assert (True, ("type",)) == (recording.is_track, malformed)


@pytest.mark.parametrize("field", ["download_url", "audio_download_url"])
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, False),
        ("", False),
        ("null", False),
        ([], False),
        (URL, True),
        (TRACK_URLS, True),
        (7, None),
        (True, None),
        ({"url": URL}, None),
    ],
)
def test_presence_of_a_url(field: str, url: Any, *, expected: bool | None) -> None:
    """There is a URL if a string or a list is not empty; other types are unknown."""
    recording, malformed = detailed(**{field: url})
    assert expected is getattr(recording, f"has_{field}")
    assert (() if expected is not None else (field,)) == malformed


def test_spaces_around_a_url() -> None:
    """An empty list is no URL, however the JSON is formatted."""
    body = (
        b'{"success": true, "data": {"id": "r", "status": "UPLOADED", "download_url" :\n [ \n ] }}'
    )
    answer = parse_recording(200, body, recording_id="r")
    assert answer.value
    assert False is answer.value.has_download_url


@with_each_parser
@pytest.mark.parametrize("url", [URL, [URL], TRACK_URLS, {"url": URL}, [[URL]]])
def test_urls_are_secret(parser: Parser, url: Any) -> None:
    """Neither a result nor an error contains a URL, whatever its form."""
    fields = {"download_url": url, "audio_download_url": url, "status": "UPLOADED"}
    body = json.dumps({"success": True, "data": {"id": "recording-1", **fields}}).encode()
    assert CANARY in body.decode()
    assert CANARY not in repr(parser(200, body))
    for status, bad in [
        (200, body.replace(b"recording-1", b"../x")),
        (200, body[:-1]),
        (500, body),
    ]:
        error = error_of(parser, status, bad)
        assert CANARY not in "".join(traceback.format_exception(error))


class TestRecordingDetails:
    """A recording from its own endpoint."""

    def test_all_fields(self) -> None:
        """All fields and the stop reason are read; storage and callers are skipped."""
        (active,) = parse(json.loads(SAMPLE)["data"]).value
        expected = replace(active, stop_reason=StopReason.ALL_PEERS_LEFT)
        assert Parsed(expected) == details(DETAILS)

    @pytest.mark.parametrize(
        ("stop_reason", "expected"),
        [
            *(({"reason": reason.value}, reason) for reason in StopReason),
            ("INTERNAL_ERROR", StopReason.INTERNAL_ERROR),
            ({"reason": "HOST_LEFT", "caller": None}, StopReason.UNKNOWN),
            ("HOST_LEFT", StopReason.UNKNOWN),
            ({"reason": None}, None),
            ({"reason": ""}, None),
            ({"reason": "null"}, None),
            ({}, None),
            (None, None),
            ("", None),
            ("null", None),
        ],
    )
    def test_stop_reasons(self, stop_reason: Any, expected: StopReason | None) -> None:
        """A stop reason is an object or a string; an undocumented one is UNKNOWN."""
        recording, malformed = detailed(stop_reason=stop_reason)
        assert (expected, ()) == (recording.stop_reason, malformed)

    @pytest.mark.parametrize("stop_reason", [7, True, [], ["API_CALL"], {"reason": 7}])
    def test_malformed_stop_reason(self, stop_reason: Any) -> None:
        """A malformed stop reason is counted and costs nothing else."""
        assert (detailed()[0], ("stop_reason",)) == detailed(stop_reason=stop_reason)

    def test_new_status(self) -> None:
        """An undocumented status is UNKNOWN and reported."""
        answer = details({**DETAILS, "status": "TRANSCODING"})
        assert answer.value
        assert Status.UNKNOWN is answer.value.status
        assert ((), ("TRANSCODING",)) == (answer.malformed_fields, answer.unknown_statuses)

    def test_404_of_realtimekit(self) -> None:
        """A 404 with the `error` object means that the recording does not exist."""
        body = {"success": False, "error": {"code": 404, "message": "No recording found"}}
        answer = parse_recording(404, json.dumps(body).encode(), recording_id=RECORDING_ID)
        assert Parsed(None) == answer

    @pytest.mark.parametrize(
        "data",
        [
            None,
            {**DETAILS, "id": "recording-2"},
            {**DETAILS, "id": None},
            {**DETAILS, "id": 7},
            [],
            [DETAILS],
        ],
    )
    def test_another_recording(self, data: Any) -> None:
        """An answer about another recording, none or several is an invalid response."""
        with pytest.raises(api_errors.InvalidResponse) as caught:
            details(data)
        assert "recording-2" not in str(caught.value)


def test_several_recordings_newest_first() -> None:
    """A list in `data` has several recordings: newest first, each id once."""
    answer = parse(
        [
            {"id": "old", "status": "UPLOADING", "invoked_time": "2026-01-01T00:00:00Z"},
            {"id": "unknown", "status": "PAUSED"},
            {"id": "new", "status": "RECORDING", "invoked_time": "2026-01-02T00:00:00Z"},
            {"id": "old", "status": "UPLOADED", "invoked_time": "2026-01-01T00:00:00Z"},
        ]
    )
    shown = [(recording.recording_id, recording.status) for recording in answer.value]
    assert [
        ("new", Status.RECORDING),
        ("old", Status.UPLOADED),
        ("unknown", Status.PAUSED),
    ] == shown


@pytest.mark.parametrize("number", [101, 27_000])
@pytest.mark.parametrize("changes", [{}, {"id": "same"}], ids=["ids", "one id"])
def test_so_many_recordings_that_none_is_believed(number: int, changes: Any) -> None:
    """A meeting with more than 100 recordings at a time is a wrong answer, and no part counts."""
    items = [{"id": f"recording-{index}", "status": "RECORDING"} for index in range(number)]
    data = [item | changes for item in items]
    with pytest.raises(api_errors.InvalidResponse, match=f"{number:,} recordings of one meeting"):
        parse(data)
    assert 100 == len(parse(items[:100]).value)


@pytest.mark.parametrize("data", [None, []])
def test_nothing_in_data_is_no_recording(data: Any) -> None:
    """Null or an empty list in `data` means no recording."""
    assert Parsed(()) == parse(data)


def test_404_of_realtimekit_is_no_recording() -> None:
    """A 404 with the `error` object means no recording, which is a success."""
    body = {"success": False, "error": {"code": 404, "message": "No active recording found"}}
    assert Parsed(()) == parse_active_recordings(404, json.dumps(body).encode())


@with_each_parser
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, gateway(7003), api_errors.NotFound),
        (404, b"<html>", api_errors.NotFound),
        (404, b"", api_errors.NotFound),
        (404, {"error": {"code": 404}, "errors": [{"code": 7003}]}, api_errors.NotFound),
        (401, gateway(10000), api_errors.Unauthorized),
        (403, gateway(10000), api_errors.Unauthorized),
        (403, b"<html>blocked</html>", api_errors.Intercepted),
        (401, b" \n<!DOCTYPE html>", api_errors.Intercepted),
        (403, b"\xef\xbb\xbf<html>", api_errors.Intercepted),
        (403, b"", api_errors.Unauthorized),
        (403, b"blocked", api_errors.Unauthorized),
        (429, b"<html>slow down</html>", api_errors.RateLimited),
        (400, gateway(6003), api_errors.Unauthorized),
        (200, gateway(10000), api_errors.Unauthorized),
        (429, gateway(971), api_errors.RateLimited),
        (429, b"slow down", api_errors.RateLimited),
        (500, gateway(971), api_errors.RateLimited),
        (200, gateway(10429), api_errors.RateLimited),
        (403, gateway(10100), api_errors.RateLimited),
        (400, {"success": False, "error": {"code": 400}}, api_errors.ClientError),
        (409, {"success": False, "error": {"code": 409}}, api_errors.ClientError),
        (422, gateway(None), api_errors.ClientError),
        (500, {"success": False, "error": {"code": 500}}, api_errors.ServerError),
        (502, b"<html>502</html>", api_errors.ServerError),
        (520, b"error code: 520", api_errors.ServerError),
        (204, b"", api_errors.InvalidResponse),
        (302, b"", api_errors.InvalidResponse),
        (201, {"success": True, "data": None}, api_errors.InvalidResponse),
        (404, {"error": {"code": 7000}}, api_errors.NotFound),
        (404, {"error": {"code": "7003"}}, api_errors.NotFound),
        (200, b"", api_errors.InvalidResponse),
        (200, b"<html>captive portal</html>", api_errors.InvalidResponse),
        (200, b"null", api_errors.InvalidResponse),
        (200, b"[]", api_errors.InvalidResponse),
        (200, b'\xef\xbb\xbf{"success": true}', api_errors.InvalidResponse),
        (200, '{"success": true}'.encode("utf-16"), api_errors.InvalidResponse),
        (200, b'{"success": true, "data": {"id": "\xff"}}', api_errors.InvalidResponse),
        (200, b'{"success": true, "data": ' + b"[" * 100_000, api_errors.InvalidResponse),
        (200, b'{"success": true, "data": {"id": "recording-1"', api_errors.InvalidResponse),
        (200, {"success": True}, api_errors.InvalidResponse),
        (200, {"success": "true", "data": None}, api_errors.InvalidResponse),
        (200, {"success": False, "error": {"code": 500}}, api_errors.InvalidResponse),
        (200, {"success": True, "data": {"status": "RECORDING"}}, api_errors.InvalidResponse),
        (200, {"success": True, "data": {"id": "../x"}}, api_errors.InvalidResponse),
        (200, {"success": True, "data": "recording-1"}, api_errors.InvalidResponse),
    ],
)
def test_errors(
    parser: Parser, status: int, body: Any, expected: type[api_errors.ApiError]
) -> None:
    """Everything but a documented success is an error of the right type."""
    assert expected is type(error_of(parser, status, body))


@with_each_parser
def test_errors_do_not_quote_the_answer(parser: Parser) -> None:
    """Only the status and the error code in a message come from the API."""
    error = error_of(parser, 500, {"error": {"code": 5007, "message": CANARY}, "errors": None})
    assert "the API answered 500 with the error code 5007" == str(error)


@with_each_parser
@given(
    fields=st.dictionaries(
        st.sampled_from([*RecordingItem.__struct_fields__, "storage_config"]), JSON_VALUES
    ),
    status=st.sampled_from([200, 404, 429, 500]),
)
def test_any_value_in_any_field(parser: Parser, fields: dict[str, Any], status: int) -> None:
    """Any JSON in any field is parsed or an ApiError, without NaN and without URLs."""
    body = json.dumps({"success": True, "data": {"id": "recording-1", **fields}}).encode()
    try:
        answer = parser(status, body)
    except api_errors.ApiError as error:
        assert CANARY not in str(error)
        return
    assert {*answer.malformed_fields} <= {*MALFORMABLE_FIELDS}
    recording = answer.value[0] if isinstance(answer.value, tuple) else answer.value
    for name in Recording.__dataclass_fields__:
        value = getattr(recording, name)
        assert not (isinstance(value, float) and not math.isfinite(value))
        if name != "output_file_name":
            assert CANARY not in str(value)


@with_each_parser
@given(body=st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_at_all(parser: Parser, body: bytes) -> None:
    """Any body is either a success or an ApiError."""
    for status in (200, 404, 500):
        try:
            parser(status, body)
        except api_errors.ApiError as error:
            assert CANARY not in str(error)


def test_each_error_has_its_reason() -> None:
    """
    All errors differ in their reason, except the two for broken connections.

    A call that was not made has the reason of those before it.
    """
    every = [error for error in vars(api_errors).values() if isinstance(error, type)]
    errors = [error for error in every if issubclass(error, api_errors.ApiError)]
    shared = {api_errors.ApiError, api_errors.ConnectionStale, api_errors.Unreachable}
    leaves = [error for error in errors if error not in shared]
    assert len(leaves) == len({error.reason for error in leaves})

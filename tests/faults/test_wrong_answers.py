"""Complete answers of the API that say something wrong, something odd, or nothing."""

import json

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from tests.support.building import by_meeting, labelled, samples, value
from tests.support.fault_server import FaultServer, answer, head, send
from tests.support.faulty_api import (
    FAULTY,
    GONE,
    Site,
    body,
    recording,
    served,
    shown,
    site_in,
)


HTML = b"<!DOCTYPE html><html><title>Sign in to this network</title></html>"
CANARY = "X-Amz-Signature=canary"
BODY = body(recording(FAULTY))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run an exporter for all faults, one after the other."""
    with site_in(tmp_path_factory.mktemp("site")) as site:
        yield site


def malformed(text: str, field: str) -> float | None:
    """Return how often a field could not be understood."""
    return value(text, "rk_api_malformed_fields_total", rk_app=FAULTY, field=field)


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        pytest.param(HTML, (), id="HTML"),
        pytest.param(b"", (), id="empty"),
        pytest.param(b"null", (), id="null"),
        pytest.param(b"[]", (), id="list"),
        pytest.param(b'{"success":true}', (), id="no data"),
        pytest.param(b'{"success":"true","data":{}}', (), id="text as a boolean"),
        pytest.param(b"\xef\xbb\xbf" + BODY, (), id="byte order mark"),
        pytest.param(BODY.decode().encode("utf-16"), (), id="UTF-16"),
        pytest.param(b"\xff" + BODY, (), id="bytes that are not UTF-8"),
        pytest.param(b"", ("Content-Type: text/plain",), id="empty text"),
        pytest.param(BODY[:-1], (), id="no end"),
        pytest.param(BODY + BODY, (), id="twice"),
        pytest.param(b'{"data":' + b"[" * 100_000, (), id="deep nesting"),
        pytest.param(BODY.replace(b"100}", b"NaN}"), (), id="NaN"),
        pytest.param(BODY.replace(b'"success": true', b'"success": 1'), (), id="number as boolean"),
    ],
)
def test_body_that_is_not_the_documented_json(
    site: Site, content: bytes, headers: tuple[str, ...]
) -> None:
    """Another body than the documented JSON is invalid, and no byte of it is in the log."""
    line = site.fails("invalid_response", answer(200, content, *headers))
    assert "Sign in" not in line


@pytest.mark.parametrize(
    "wrong",
    [b"\xff\xfe", b"\xe4"],
    ids=["bytes", "another charset"],
)
def test_name_that_is_not_utf_8(site: Site, wrong: bytes) -> None:
    """A text that is no UTF-8 costs its own label, and is counted; the other values are shown."""
    before = malformed(site.recovers(), "output_file_name") or 0
    content = BODY.replace(b"mp4", wrong)
    kind = "Content-Type: application/json; charset=iso-8859-1"
    assert 100 == site.duration(site.succeeds(answer(200, content, kind)), FAULTY)
    assert before + 1 == malformed(site.recovers(), "output_file_name")


@pytest.mark.parametrize("wrong", [b"\\udca0", b"\\ud83d"], ids=["second half", "first half"])
def test_half_a_character(site: Site, wrong: bytes) -> None:
    """A text that is cut in the middle of a character costs no other value."""
    site.succeeds(answer(200, BODY.replace(b"mp4", wrong)))


def test_ten_megabytes_of_json(site: Site) -> None:
    """An answer of ten megabytes is too large, even if it is valid JSON."""
    content = body(recording(FAULTY, output_file_name="x" * 10_000_000))
    site.fails("too_large", answer(200, content), within_seconds=30)


def test_keys_that_appear_twice(site: Site) -> None:
    """Of two values for one key, the last one counts, as in most parsers of JSON."""
    content = BODY.replace(b'"success": true', b'"success": false, "success": true').replace(
        b'"recording_duration": 100', b'"recording_duration": 99, "recording_duration": 100'
    )
    assert 100 == site.duration(site.succeeds(answer(200, content)), FAULTY)


@pytest.mark.parametrize(
    "content",
    [
        b'{"success":false,"error":{"code":1234,"message":"internal"}}',
        b'{"success":false,"errors":[{"code":1234,"message":"internal"}]}',
        b'{"success":false}',
    ],
    ids=["error", "errors", "nothing else"],
)
def test_success_false(site: Site, content: bytes) -> None:
    """An answer with the status 200 that denies its success is a failure."""
    site.fails("invalid_response", answer(200, content))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(site: Site, status: int) -> None:
    """A redirect to another host is a failure: no request and no token goes there."""
    elsewhere = FaultServer()
    with served(elsewhere):
        site.fails("invalid_response", answer(status, b"", f"Location: {elsewhere.url}/{FAULTY}"))
    assert 0 == elsewhere.connections


def test_redirect_loop(site: Site) -> None:
    """A redirect to the same URL is one call, not a loop."""
    calls = len(site.server.requests)
    site.fails("invalid_response", answer(302, b"", f"Location: {site.server.url}/{FAULTY}"))
    assert {f"/{FAULTY}"}.isdisjoint(request.path for request in site.server.requests[calls:])
    # The good calls before and after it, and those for the other app.
    assert len(site.server.requests) - calls < 10


@pytest.mark.parametrize("status", [400, 405, 409, 410, 418, 422])
def test_client_error(site: Site, status: int) -> None:
    """A status that blames the call is a failure of this meeting, and the call is not repeated."""
    site.fails("client_error", answer(status, b'{"success":false,"errors":[]}'))


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 522, 524, 526, 599])
def test_server_error(site: Site, status: int) -> None:
    """A status that blames the API is a failure, and the call is not repeated in this scrape."""
    site.fails("server_error", answer(status, HTML, "Content-Type: text/html"))


@pytest.mark.parametrize(
    "content",
    [
        b'{"success":false,"errors":[{"code":7003,"message":"No route for that URI"}]}',
        b'{"success":false,"errors":[{"code":7000,"message":"Could not route"}]}',
        HTML,
    ],
    ids=["7003", "7000", "HTML"],
)
def test_unknown_account_or_app(site: Site, content: bytes) -> None:
    """A 404 of the gateway is about the configuration; the log names the options."""
    line = site.fails("not_found", answer(404, content))
    assert "account" in line
    assert "app" in line


def test_flapping(site: Site) -> None:
    """While every second call fails, each failure is counted, and the last good values stay."""
    for _ in range(5):
        site.fails("server_error", answer(500))


# Values. The API sends strings, numbers and times in JSON, and any of them can be wrong.


@pytest.mark.parametrize(
    "odd",
    [
        "0000-00-00T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "yesterday",
        "1700000000",
        1_700_000_000,
        True,
        ["2026-01-01T00:00:00Z"],
        {},
    ],
    ids=repr,
)
def test_malformed_time(site: Site, odd: Any) -> None:
    """A time that is none has no sample, and is counted; the other values are shown."""
    before = malformed(site.recovers(), "started_time") or 0
    # Of a known recording, the last valid time would be shown.
    new_id = f"odd-{before:.0f}"
    text = site.succeeds(shown(FAULTY, id=new_id, started_time=odd))
    labels = {"rk_app": FAULTY, "recording_id": new_id}
    assert None is value(text, "rk_recording_started_timestamp_seconds", **labels)
    assert None is not value(text, "rk_recording_invoked_timestamp_seconds", **labels)
    assert before + 1 == malformed(site.recovers(), "started_time")


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-18T11:06:40Z",
        "2026-11-18T11:06:40.000000000Z",
        "2026-11-18t11:06:40z",
        "2026-11-18 11:06:40Z",
        "2026-11-18T11:06:40",
        "2026-11-18T13:06:40+02:00",
    ],
)
def test_time_in_another_form(site: Site, written: str) -> None:
    """Every usual form of a time is understood; without a zone it is UTC."""
    text = site.succeeds(shown(FAULTY, started_time=written))
    labels = {"rk_app": FAULTY, "recording_id": f"recording-of-{FAULTY}"}
    assert 1_795_000_000 == value(text, "rk_recording_started_timestamp_seconds", **labels)


def test_times_that_contradict_each_other(site: Site) -> None:
    """A recording that stops before it starts has no negative length."""
    text = site.succeeds(
        shown(
            FAULTY,
            recording_duration=0,
            started_time="2026-11-18T11:06:40Z",
            stopped_time="2026-11-18T11:00:00Z",
        )
    )
    assert (site.duration(text, FAULTY) or 0) >= 0


@pytest.mark.parametrize("odd", [-1, "-1", "many", "0x10", True, [1], {}], ids=repr)
def test_malformed_number(site: Site, odd: Any) -> None:
    """A number that cannot be has no sample, and is counted; the other values are shown."""
    name = "rk_recording_file_size_bytes"
    before = malformed(site.recovers(), "file_size") or 0
    text = site.succeeds(shown(FAULTY, file_size=odd))
    assert None is value(text, name, rk_app=FAULTY)
    assert 100 == site.duration(text, FAULTY)
    assert before + 1 == malformed(site.recovers(), "file_size")


def test_number_as_text(site: Site) -> None:
    """A number in quotes, as in the vendor's webhooks, is a number."""
    text = site.succeeds(shown(FAULTY, recording_duration="123"))
    assert 123 == site.duration(text, FAULTY)


@pytest.mark.parametrize("number", ["1e999", "1" * 400, "-1e999"])
def test_huge_number(site: Site, number: str) -> None:
    """A number that is too large for a float never becomes a sample."""
    content = BODY.replace(b"100}", f'100, "file_size": {number}}}'.encode())
    before = malformed(site.recovers(), "file_size") or 0
    site.server.script(FAULTY, answer(200, content))
    text = site.scrape()
    assert None is value(text, "rk_recording_file_size_bytes", rk_app=FAULTY)
    is_up = value(text, "rk_meeting_up", rk_app=FAULTY)
    assert (is_up == 0) is (before == (malformed(site.recovers(), "file_size") or 0))


@pytest.mark.parametrize("status", ["recording", "EXPLODED", "", None, 7], ids=repr)
def test_unknown_status(site: Site, status: Any) -> None:
    """Any other state is UNKNOWN, and makes no new value of a label."""
    text = site.succeeds(shown(FAULTY, status=status))
    states = {
        labels["status"]: number
        for labels, number in labelled(text, "rk_recording_status")
        if labels["recording_id"] == f"recording-of-{FAULTY}"
    }
    assert 7 == len(states)
    assert {"UNKNOWN"} == {state for state, number in states.items() if number}


@pytest.mark.parametrize("data", [5, "text", True, [5], {"status": "RECORDING"}, {}], ids=repr)
def test_data_of_another_shape(site: Site, data: Any) -> None:
    """Data that is no recording is invalid."""
    site.fails("invalid_response", answer(200, body(data)))


def test_list_of_recordings(site: Site) -> None:
    """A list in place of a recording shows all that it has."""
    other = recording(FAULTY, id="another-recording", recording_duration=7)
    text = site.succeeds(answer(200, body([recording(FAULTY), other])))
    shown_seconds = {
        labels["recording_id"]: number
        for labels, number in labelled(text, "rk_recording_duration_seconds")
        if labels["recording_id"] in {f"recording-of-{FAULTY}", "another-recording"}
    }
    assert {f"recording-of-{FAULTY}": 100, "another-recording": 7} == shown_seconds


def test_thousands_of_recordings(site: Site) -> None:
    """An answer with more recordings than a meeting can have is invalid: none of them is shown."""
    ghosts = [recording(FAULTY, id=f"ghost-{number}") for number in range(2_000)]
    assert "2,000 recordings" in site.fails("invalid_response", answer(200, body(ghosts)))
    text = site.scrape()
    assert "ghost-" not in text
    assert not [call for call in site.server.requests if "ghost-" in str(call)]


def test_more_fields_than_documented(site: Site) -> None:
    """Fields that nobody knows are ignored."""
    text = site.succeeds(shown(FAULTY, future={"a": [1, None]}, download_url=["odd", 5, None]))
    assert 100 == site.duration(text, FAULTY)


ODD_NAMES = {
    "line ends": "a\nb\r\nc",
    "quotes": 'a"b\\c\\n',
    "NUL": "a\0b",
    "direction": "a\u202etxt.exe",
    "separators": "a\u2028b\u2029c\u0085d",
    "emoji": "📹" * 50,
    "metrics": 'x"} 1\nrk_up{rk_app="faulty"} 7',
    "one megabyte": "x" * 900_000,
}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_name(site: Site, name: str) -> None:
    """Whatever a name is, the metrics are valid, and its label is short."""
    text = site.succeeds(shown(FAULTY, output_file_name=ODD_NAMES[name]))
    assert 2 == len(samples(text, "rk_up"))
    assert len([*text_string_to_metric_families(text)]) > 50
    (label,) = [
        labels["output_file_name"]
        for labels, _ in labelled(text, "rk_recording_info")
        if labels["recording_id"] == f"recording-of-{FAULTY}"
    ]
    assert len(label.encode()) <= 512
    accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
    openmetrics = site.exporter.client.get("/metrics", headers=accept).text
    parse: Callable[[str], Iterator[Any]] = openmetrics_parser.text_string_to_metric_families
    assert len([*parse(openmetrics)]) > 50


def test_secrets_in_answers(site: Site) -> None:
    """Neither signed URLs nor an echo of the token reach metrics, pages or the log."""
    echo = site.server.requests[-1].headers["authorization"]
    url = f"https://bucket.example/a.mp4?{CANARY}"
    site.succeeds(shown(FAULTY, download_url=url, audio_download_url=url))
    problem = json.dumps({"success": False, "errors": [{"code": 1, "message": f"{echo} {url}"}]})
    site.fails("client_error", answer(400, problem.encode()))
    site.fails("server_error", answer(500, problem.encode(), f"X: {echo}"))
    pages = [site.exporter.client.get(path).text for path in ("/", "/api/v1/status", "/-/ready")]
    for text in (*pages, site.exporter.log, site.scrape()):
        assert CANARY not in text
        assert echo not in text


# Answers without a recording.


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run an exporter whose meeting has never had a recording."""
    with site_in(tmp_path_factory.mktemp("idle")) as site:
        yield site


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param(GONE, id="404"),
        pytest.param(answer(200, b'{"success":true,"data":null}'), id="null"),
        pytest.param(answer(200, b'{"success":true,"data":[]}'), id="empty list"),
    ],
)
def test_no_recording(idle: Site, quiet: Any) -> None:
    """A meeting without a recording is read, idle and no failure."""
    idle.server.script(FAULTY, quiet)
    text = idle.scrape()
    assert 1 == value(text, "rk_meeting_up", rk_app=FAULTY)
    assert 0 == by_meeting(text, "rk_meeting_active_recordings")[FAULTY]
    assert {} == {
        labels["reason"]: number
        for labels, number in labelled(text, "rk_api_request_failures_total")
        if labels["rk_app"] == FAULTY and number
    }


def test_no_content(site: Site) -> None:
    """A 204, which no document mentions, is a failure: it does not say that nothing records."""
    site.fails("invalid_response", send(head(204)))

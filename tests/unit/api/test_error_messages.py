"""What an error says about an answer: the status, the code, and what is wrong, in our own words."""

import json

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from rk_exporter.api import parsers
from rk_exporter.model.errors import ApiError, ClientError
from tests.support.payloads import gateway


Parser = Callable[[int, bytes], object]
ALL_PARSERS: dict[str, Parser] = {
    "active-recording": parsers.parse_active_recordings,
    "recording": partial(parsers.parse_recording, recording_id="r-1"),
    "recordings": parsers.parse_recordings_page,
    "sessions": parsers.parse_sessions_page,
    "apps": parsers.parse_apps_page,
    "meeting": parsers.parse_record_on_start,
    "any": parsers.parse_any,
}


def error_of(endpoint: str, status: int, body: Any) -> ApiError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ApiError) as caught:
        ALL_PARSERS[endpoint](status, raw)
    return caught.value


@pytest.mark.parametrize("endpoint", ALL_PARSERS)
@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, b"", "the API answered 500"),
        (500, gateway(500), "the API answered 500"),
        (400, gateway(6003), "the API answered 400 with the error code 6003"),
        (
            500,
            {"error": {"code": 9}, "errors": [{"code": 8}, {"code": 500}, {"code": "10"}]},
            "the API answered 500 with the error code 8, 9, 10",
        ),
        (
            500,
            {"errors": [{"code": number} for number in range(9_000)]},
            "the API answered 500 with the error code 0, 1, 2, 3, 4",
        ),
        (302, b"", "the API answered 302, which it does not document"),
        (202, b"{}", "the API answered 202, which it does not document"),
        (200, {"success": False}, 'the API answered 200, but not "success": true'),
        (
            200,
            {"success": False, "error": {"code": 5007}},
            'the API answered 200 with the error code 5007, but not "success": true',
        ),
        (200, b"[]", "the API answered 200 with a body that is not the documented JSON"),
        (200, b"<html>", "the API answered 200 with a body that is not the documented JSON"),
        (200, {"success": True}, "the API answered 200 without `data`"),
        (403, b"<html>", "something in front of the API answered 403 with a web page"),
        (401, b"<html>", "something in front of the API answered 401 with a web page"),
        (403, b"", "the API answered 403"),
        (502, b"<html>", "the API answered 502"),
    ],
)
def test_any_endpoint(endpoint: str, status: int, body: Any, message: str) -> None:
    """Each endpoint has the same words for the same answer."""
    assert message == str(error_of(endpoint, status, body))


@pytest.mark.parametrize(
    ("endpoint", "body", "message"),
    [
        (
            "active-recording",
            {"success": True, "data": {"status": "RECORDING"}},
            "the API answered 200 with a recording that has no usable id",
        ),
        (
            "recording",
            {"success": True, "data": None},
            "the API answered 200 without the requested recording",
        ),
        (
            "recording",
            {"success": True, "data": {"id": "r-2"}},
            "the API answered 200 without the requested recording",
        ),
        (
            "apps",
            {"success": True, "data": [{}]},
            "the API answered 200 with apps without a usable `id`",
        ),
    ],
)
def test_unusable_data(endpoint: str, body: Any, message: str) -> None:
    """An endpoint says what it misses in the data."""
    assert message == str(error_of(endpoint, 200, body))


@pytest.mark.parametrize("endpoint", ["recordings", "sessions", "apps"])
def test_created(endpoint: str) -> None:
    """A list is as good with the status 201; for anything else it is not documented."""
    body = b'{"success": true, "data": []}'
    ALL_PARSERS[endpoint](201, body)
    for other in ALL_PARSERS.keys() - {"recordings", "sessions", "apps"}:
        message = "the API answered 201, which it does not document"
        assert message == str(error_of(other, 201, body))


@pytest.mark.parametrize(
    ("status", "expected"), [(400, True), (413, True), (422, True), (405, False), (409, False)]
)
def test_rejected_query(status: int, *, expected: bool) -> None:
    """Some refusals may be about a parameter of the query."""
    error = error_of("recordings", status, b"")
    assert isinstance(error, ClientError)
    assert expected is error.rejects_query

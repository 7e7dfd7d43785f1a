import json
import re

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.parsers import parse_recordings_page
from rk_exporter.api.replies import BodyKind, Reply
from rk_exporter.model.failure import Failure, Reason


CANARY = "canary-7f3a"
KINDS = [
    (b"", BodyKind.EMPTY),
    (b" \n", BodyKind.EMPTY),
    (b"\n<!DOCTYPE html><p>", BodyKind.HTML),
    (b"not found", BodyKind.TEXT),
    (b"\xff\xfe", BodyKind.TEXT),
    (b'{"a"', BodyKind.TEXT),
    (b"[1]", BodyKind.JSON),
    (b'["\xff"]', BodyKind.JSON),
    (b'"text"', BodyKind.JSON),
    (b'{"message":"no"}', BodyKind.JSON),
    (b'{"success":false,"data":{}}', BodyKind.JSON),
    (b'{"success":true,"data":null}', BodyKind.SUCCESS),
    (b'{"success":true,"data":{},"errors":[]}', BodyKind.SUCCESS),
    (b'{"success":true,"data":{},"error":null}', BodyKind.SUCCESS),
    (b'{"success":false,"error":{"code":404}}', BodyKind.ERROR),
    (b'{"success":false,"error":"no"}', BodyKind.JSON),
    (b'{"success":false,"errors":[{"code":7003}]}', BodyKind.ERRORS),
    (b'{"error":{"code":404},"errors":[{"code":7003}]}', BodyKind.ERRORS),
]


def reply(body: bytes = b"", status: int | None = 404, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(endpoint="meeting", answered_at=0.0, status=status, body=body, headers=named)


@pytest.mark.parametrize(("body", "kind"), KINDS)
def test_kinds(body: bytes, kind: BodyKind) -> None:
    """A body has one of the known kinds."""
    assert kind is reply(body).kind


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (b'{"error":{"code":404}}', (404,)),
        (b'{"errors":[{"code":7003},{"message":"x"},{"code":"7000"},{"code":1}]}', (7003, 1)),
        (b'{"errors":[{"code":123456789012}]}', ()),
        (b'{"errors":[{"code":9999999},{"code":-9999999}]}', (9_999_999, -9_999_999)),
        (b'{"errors":[{"code":10000000},{"code":-10000000}]}', ()),
        (json.dumps({"errors": [{"code": code} for code in range(9)]}).encode(), (0, 1, 2, 3, 4)),
        (b'{"errors":[{"code":1}],"error":{"code":2}}', (1, 2)),
        (b'{"errors":{"code":1}}', ()),
        (b'{"errors":["x"],"error":{"code":5}}', ()),
        (b"text", ()),
    ],
)
def test_codes(body: bytes, codes: tuple[int, ...]) -> None:
    """Codes are numbers of usual size in one of the documented envelopes."""
    assert codes == reply(body).codes


@pytest.mark.parametrize(
    ("body", "is_missing"),
    [
        (b'{"error":{"code":404}}', True),
        (b'{"errors":[{"code":404}]}', True),
        (b"", True),
        (b"not found", True),
        (b'{"errors":[{"code":7003}]}', False),
        (b'{"errors":[{"code":7000}]}', False),
        (b"<html>", False),
    ],
)
def test_missing(body: bytes, *, is_missing: bool) -> None:
    """A 404 means that there is no such item, except for unknown routes and web pages."""
    assert is_missing is reply(body).is_missing
    assert is_missing is (reply(body).refusal is None)
    assert not reply(body, status=200).is_missing


def test_no_answer() -> None:
    """A failed call shows its reason."""
    failure = Failure(Reason.TIMEOUT, "the API did not answer in time")
    failed = Reply.failed("meeting", failure, 0.0)
    assert "GET /x: no answer (timeout)" == failed.describe("GET /x")
    assert "the API did not answer in time" == failed.problem
    assert not failed.is_ok
    assert failed.read(parse_recordings_page) is None
    nothing = Reply(endpoint="meeting", answered_at=0.0)
    assert "GET /x: no answer (none)" == nothing.describe("GET /x")
    assert "the API failed (None)" == nothing.problem


@pytest.mark.parametrize(
    ("body", "status", "problem", "refusal"),
    [
        (b"", 401, *["the API refuses this endpoint (401)"] * 2),
        (b"", 403, *["the API refuses this endpoint (403)"] * 2),
        (b"<html>", 404, None, "the API has no such endpoint (404)"),
        (b"", 404, None, None),
        (b"", 429, "the API asks for fewer calls (429)", None),
        (b"", 499, None, None),
        (b"<html>", 500, "the API failed (500)", None),
        (b"", 599, "the API failed (599)", None),
    ],
)
def test_problems(body: bytes, status: int, problem: str | None, refusal: str | None) -> None:
    """Some answers say nothing about the request, and after some the API cannot be asked at all."""
    assert (problem, refusal) == (reply(body, status).problem, reply(body, status).refusal)


@pytest.mark.parametrize(
    ("body", "status", "is_ok"),
    [
        (b'{"success":true,"data":null}', 200, True),
        (b'{"success":true,"data":null}', 201, True),
        (b'{"success":true,"data":null}', 202, False),
        (b'{"success":true}', 200, False),
        (b'{"data":null}', 200, False),
    ],
)
def test_success(body: bytes, status: int, *, is_ok: bool) -> None:
    """A success has `data`, and the status of one."""
    assert is_ok is reply(body, status).is_ok


def test_description() -> None:
    """The evidence has status, kind, codes and names of fields, and nothing else."""
    body = {"success": False, "error": {"code": 404, "message": f"no {CANARY}", CANARY: 1}}
    assert (
        "GET /x: 404; RealtimeKit's `error`; codes 404; fields success, error (?, code, message)"
        == reply(json.dumps(body).encode()).describe("GET /x")
    )
    several = b'{"errors":[{"code":1,"a":2},{"code":3}],"error":{}}'
    assert (
        "GET /x: 400; the gateway's `errors`; codes 1, 3; fields errors, error (a, code)"
        == reply(several, 400).describe("GET /x")
    )
    other = reply(b'{"message":"none"}', 400)
    assert "GET /x: 400; other JSON; fields message" == other.describe("GET /x")
    assert "GET /x: 404; text" == reply(b"none", 404).describe("GET /x", with_fields=True)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ([{"id": 1, "status": 2}, {"other": 1}], "id, status"),
        ({"id": 1}, "id"),
        ({"sessions": [{"id": 1, "live": 2}]}, "id, live"),
        ({"sessions": []}, ""),
        ([], ""),
        (None, ""),
        ([1], ""),
        ({f"f{number}": 1 for number in range(24)}, ", ".join(f"f{n}" for n in range(24))),
        ({f"f{number}": 1 for number in range(25)}, ", ".join(f"f{n}" for n in range(24)) + ", …"),
    ],
)
def test_fields_of_items(data: object, names: str) -> None:
    """The evidence can name the fields of an item."""
    shown = reply(json.dumps({"success": True, "data": data}).encode(), status=200)
    assert names == shown.describe("GET /x", with_fields=True).partition("; fields ")[2]
    assert "GET /x: 200; a success with `data`" == shown.describe("GET /x")


json_values = st.recursive(
    st.sampled_from([CANARY, None, 1, True, 1e9]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["success", "data", "error", "errors", "code", "sessions", CANARY]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(json_values, st.sampled_from([200, 404, 400, None]))
def test_values_are_never_shown(value: object, status: int | None) -> None:
    """Whatever the body is, no value of it is shown, and no name that may be a value."""
    shown = reply(json.dumps(value).encode(), status=status)
    assert CANARY not in shown.describe("GET /x", with_fields=True) + repr(shown)


@given(st.binary(max_size=200), st.integers(100, 599))
def test_any_body(body: bytes, status: int) -> None:
    """Every body can be described in a line."""
    described = reply(body, status=status).describe("GET /x", with_fields=True)
    assert described.startswith(f"GET /x: {status}; ")
    assert "\n" not in described


@given(st.text(max_size=200))
def test_any_header(value: str) -> None:
    """A header is shown in a short line of plain text, without long words."""
    shown = reply(Ratelimit=value).header("Ratelimit")
    assert shown is not None
    assert len(shown) <= 120
    assert shown.isascii()
    assert not shown or shown.isprintable()
    assert not re.search(r"[A-Za-z0-9_.-]{20}", shown)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://host/a", "https:??host?a"),
        ("x" * 19 + " " + "y" * 20, "x" * 19 + " ?"),
        ("a;" * 60 + "b", "a;" * 60),
        ("", ""),
    ],
)
def test_unusual_headers(value: str, shown: str) -> None:
    """What a rate limit header does not contain is replaced, and a long one is cut."""
    assert shown == reply(Ratelimit=value).header("Ratelimit")


def test_usual_headers() -> None:
    """The documented headers are shown as they are."""
    for value in ('"default";r=50;t=30', '"burst";q=100;w=60', "30"):
        assert value == reply(Ratelimit=value).header("Ratelimit")
    assert reply().header("Ratelimit") is None

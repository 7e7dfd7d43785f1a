"""The meaning of a 404, and the API's own message about an error."""

import asyncio
import json

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.envelope import api_message
from rk_exporter.api.list_proof import ListProof
from rk_exporter.api.parsers import parse_active_recordings, parse_recording
from rk_exporter.api.results import Parsed
from rk_exporter.model.errors import ApiError, ConnectFailed, NotFound
from rk_exporter.model.secret import Secret
from tests.support import virtual_time
from tests.support.payloads import JSON_VALUES, gateway


TOKEN = Secret("canary-4f1b9a")
Parser = Callable[[int, bytes], Parsed[Any]]
PARSERS: list[Parser] = [parse_active_recordings, partial(parse_recording, recording_id="r")]
with_each_parser = pytest.mark.parametrize("parser", PARSERS, ids=["active-recording", "recording"])


def meaning(parser: Parser, body: Any) -> str:
    """Return what a 404 with a *body* means."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        assert not parser(404, raw).value
    except NotFound as error:
        return "perhaps none" if error.may_mean_none else "unknown path"
    return "none"


@with_each_parser
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"success": False, "error": {"code": 404, "message": "none"}}, "none"),
        ({"error": {}}, "none"),
        ({"error": {"code": "x"}}, "none"),
        ({"error": {"code": None, "message": 7}, "errors": []}, "none"),
        ({"error": {"code": True}, "errors": None}, "none"),
        (gateway(404), "perhaps none"),
        (gateway(10000), "perhaps none"),
        ({"error": {"code": 404}, "errors": [{"code": 1}]}, "perhaps none"),
        ({"error": "No active recording"}, "perhaps none"),
        ({"errors": ["none"]}, "perhaps none"),
        ({"errors": {"code": 404}}, "perhaps none"),
        ({"message": "none"}, "perhaps none"),
        ({}, "perhaps none"),
        ([], "perhaps none"),
        (b"", "perhaps none"),
        (b"no active recording", "perhaps none"),
        (b"\xff\xfe", "perhaps none"),
        (gateway(7003), "unknown path"),
        (gateway(7000), "unknown path"),
        ({"errors": {"code": 7003}}, "unknown path"),
        ({"errors": [{"code": "7003"}, "x"]}, "unknown path"),
        ({"error": {"code": 7003}}, "unknown path"),
        ({"error": {"code": 404}, "errors": [{"code": 7000}]}, "unknown path"),
        (b"<html>", "unknown path"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html>", "unknown path"),
    ],
)
def test_bodies(parser: Parser, body: Any, expected: str) -> None:
    """The documented body means none; an unknown path or a web page does not; others may."""
    assert meaning(parser, body) == expected


@with_each_parser
@given(JSON_VALUES, JSON_VALUES, st.binary(max_size=30))
def test_any_body(parser: Parser, error: Any, errors: Any, text: bytes) -> None:
    """Any body has one of the three meanings."""
    for body in ({"error": error, "errors": errors}, {"error": {"code": error}}, [error], text):
        assert meaning(parser, body) in {"none", "perhaps none", "unknown path"}


class TestApiMessage:
    """What `check` shows of an error's body."""

    @staticmethod
    def said(body: Any) -> str | None:
        """Return the message in a *body*."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return api_message(raw, TOKEN)

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (gateway(7003), gateway(7003)["errors"][0]["message"]),
            ({"error": {"code": 404, "message": "No recording"}}, "No recording"),
            ({"error": "No recording"}, "No recording"),
            ({"message": "No recording"}, "No recording"),
            ({"errors": [{"message": "one"}, {"message": "two"}]}, "one two"),
            (b"no active\r\nrecording\0", "no active recording"),
            (b"<html>secret</html>", None),
            (b"", None),
            (b"{", None),
            (b" {no", None),
            (b"\n[no", None),
            (b'\t"no', None),
            (b"no \xff byte", "no \ufffd byte"),
            (b"ab " * 3000, "ab " * 66 + "ab"),
            ({"message": "a " * 99 + "bcd"}, "a " * 99 + "bc"),
            ({}, None),
            ([], None),
            ({"error": {"message": ["x"]}}, None),
            ({"message": "\u202eevil\x1b[31m"}, "evil [31m"),
        ],
    )
    def test_texts(self, body: Any, expected: str | None) -> None:
        """The texts for people become one printable line."""
        assert self.said(body) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("invalid token canary-4f1b9a", "invalid token [redacted]"),
            ("invalid token CANARY-4F1B9A.", "invalid token [redacted]."),
            ("Bearer abc is wrong", "Bearer [redacted] is wrong"),
            ("see https://host/a?sig=1 please", "see [redacted] please"),
            ("see s3://bucket/key", "see [redacted]"),
            ("key=abc&x", "key=[redacted]"),
            ("no 182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e", "no [redacted]"),
            ("x" * 19 + " " + "y" * 20, "x" * 19 + " [redacted]"),
        ],
    )
    def test_secrets(self, text: str, expected: str) -> None:
        """URLs, the token, and words that are long enough to be keys are left out."""
        assert self.said({"message": text}) == expected
        assert self.said(text.encode()) == expected

    @given(st.text(), st.text(), st.sampled_from(["message", "error", "text", "gateway"]))
    def test_any_text(self, before: str, after: str, place: str) -> None:
        """Whatever surrounds a token, the message is short, printable and without it."""
        text = f"{before}canary-4f1b9a{after}"
        bodies: dict[str, Any] = {
            "message": {"message": text},
            "error": {"error": {"message": text}},
            "gateway": {"errors": [{"code": 1, "message": text}]},
            "text": text.encode(errors="replace"),
        }
        said = self.said(bodies[place]) or ""
        assert "canary-4f1b9a" not in said
        assert len(said) <= 200
        assert said.isprintable()

    @given(st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
    def test_any_body(self, body: bytes) -> None:
        """Any body has a printable message or none."""
        assert (self.said(body) or " ").isprintable()


class TestListProof:
    """The list that decides what a 404 means."""

    def run(self, *seconds: float, error: ApiError | None = None) -> tuple[list[bool], int]:
        """Ask for a proof after each of these *seconds*; return the answers and the calls."""
        calls = 0

        async def steps() -> list[bool]:
            nonlocal calls
            proof, loop = ListProof(), asyncio.get_running_loop()

            async def read_list() -> None:
                nonlocal calls
                calls += 1
                await asyncio.sleep(1)
                if error:
                    proof.fail(loop.time())
                    raise error
                proof.succeed(loop.time())

            async def ask(after: float) -> bool:
                await asyncio.sleep(after)
                return await proof.obtain(read_list)

            return list(await asyncio.gather(*map(ask, seconds)))

        return virtual_time.run(steps()), calls

    def test_shared(self) -> None:
        """All meetings share one list, and it is valid for ten minutes."""
        assert self.run(0, 0, 0, 0.5, 10, 600) == ([True] * 6, 1)
        assert self.run(0, 601) == ([True, True], 2)

    def test_failure(self) -> None:
        """A list that failed is read again after a minute at the earliest."""
        error = ConnectFailed("closed")
        assert self.run(0, 0, 0, 0.5, 10, 60, error=error) == ([False] * 6, 1)
        assert self.run(0, 62, error=error) == ([False] * 2, 2)

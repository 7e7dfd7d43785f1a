"""Bodies of JSON in which characters are cut in half."""

import json
import re

import msgspec
import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.runtime.json_text import decode, whole_characters


PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
HALF = re.compile("[\ud800-\udfff]")
any_text = st.text(
    st.characters(codec=None, exclude_categories=[]) | st.sampled_from('\\"u/\ud83d\ude00')
)


def joined(text: str) -> str:
    """Return *text* with halves that are next to each other as one character, others as U+FFFD."""
    whole = PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return HALF.sub("\ufffd", whole)


@given(st.dictionaries(any_text, any_text | st.lists(any_text)), st.booleans())
def test_any_text_can_be_read(content: dict[str, str | list[str]], upper: bool) -> None:  # noqa: FBT001 # drawn
    """Whatever texts a program writes, each is read, and only halves of characters are replaced."""
    body = json.dumps(content).encode()
    if upper:
        body = re.sub(rb"(?<!\\)\\u[0-9a-f]{4}", lambda e: b"\\u" + e[0][2:].upper(), body)
    expected = {
        joined(key): joined(value) if isinstance(value, str) else [*map(joined, value)]
        for key, value in content.items()
    }
    assert decode(msgspec.json.decode, body) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb'"\ud83d"', "\ufffd"),
        (rb'"\ude00"', "\ufffd"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\ud83d\u0041"', "\ufffdA"),
        (rb'"\ud83d\n"', "\ufffd\n"),
        (rb'"\uD83D \uDE00"', "\ufffd \ufffd"),
        (rb'"\ud83d\\ude00"', "\ufffd\\ude00"),
        (rb'"\\\ud83d"', "\\\ufffd"),
    ],
)
def test_halves(text: bytes, expected: str) -> None:
    """Each half that has no other half beside it is replaced."""
    assert decode(msgspec.json.decode, text) == expected


@pytest.mark.parametrize(
    "body", [b"", b"{}", rb'"\\ud83d"', rb'"\ud83d\ude00"', rb'"\u00e4\n"', "\U0001f600".encode()]
)
def test_whole_characters_stay(body: bytes) -> None:
    """A body without halves is the same, byte for byte."""
    assert whole_characters(body) == body


@pytest.mark.parametrize("body", [b"", b"{", rb'{"a":"\ud83d"', rb'"\ud83"', b'"\xff"'])
def test_other_errors_are_raised(body: bytes) -> None:
    """A body that is not JSON for another reason is still refused."""
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode(msgspec.json.decode, body)

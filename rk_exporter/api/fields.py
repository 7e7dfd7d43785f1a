"""
Parsers of one field each, given nothing but the field's own bytes.

What is absent is None: null, the empty string, and the vendor's "null". What is malformed raises
one of UNREADABLE, and `Oddities` turns that into a note, so that a field loses itself alone.
"""

import re

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import msgspec

from rk_exporter.model.ids import ID_PATTERN


T = TypeVar("T")
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


"""Whatever decoding can raise."""
ABSENT = msgspec.Raw(b"null")
_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
# Below it lie the zero times of other languages (0001-01-01, 1970-01-01): "not set".
_EARLIEST_YEAR = 2000
_NUMBER = re.compile(r"\d{1,19}(\.\d{1,9})?", re.ASCII)
_LARGEST_NUMBER = 2.0**63
# As long as file systems let a name be.
_LONGEST_LABEL_BYTES = 255
_text_decoder: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)
_number_decoder: msgspec.json.Decoder[int | float | str | None] = msgspec.json.Decoder(
    int | float | str | None
)
_NOT_GIVEN = frozenset({b"null", b'""', b'"null"'})
_list_decoder: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_boolean_decoder: msgspec.json.Decoder[bool | None] = msgspec.json.Decoder(bool | None)


@dataclass(slots=True)
class ParseIssues:
    """What in an answer is not as documented, noted while the answer is read."""

    malformed_fields: list[str] = field(default_factory=list)
    unknown_statuses: list[str] = field(default_factory=list)

    def read(self, name: str, raw: msgspec.Raw, parse: Callable[[msgspec.Raw], T]) -> T | None:
        """Return what *parse* makes of *raw*, or None with the field's *name* noted."""
        try:
            return parse(raw)
        except UNREADABLE:
            self.malformed_fields.append(name)
            return None


def present(value: T | None) -> T:
    """Return the value of a field that is never absent."""
    if value is None:
        raise ValueError("absent")
    return value


def text(raw: msgspec.Raw) -> str | None:
    """Return a string as it was sent."""
    value = _text_decoder.decode(raw)
    return None if value in {None, "", "null"} else value


def identifier(raw: msgspec.Raw) -> str | None:
    """Return an id, which is fit for a path and for a label."""
    value = text(raw)
    if value is not None and not ID_PATTERN.fullmatch(value):
        raise ValueError("not an id")
    return value


def label(raw: msgspec.Raw) -> str | None:
    """Return a label value: no control characters, and no longer than a file's name may be."""
    value = text(raw)
    if value is None:
        return None
    if not value.isprintable():
        value = "".join(character if character.isprintable() else " " for character in value)
    return value.encode()[:_LONGEST_LABEL_BYTES].decode(errors="ignore")


def is_given(raw: msgspec.Raw) -> bool:
    """
    Tell whether a text or a list is there and not empty, without decoding what it says.

    A presigned URL never becomes a Python string.
    """
    content = bytes(raw)
    if content in _NOT_GIVEN:
        return False
    if content.startswith(b"["):
        return bool(_list_decoder.decode(raw))
    if not content.startswith(b'"'):
        raise ValueError("neither a text nor a list")
    return True


def boolean(raw: msgspec.Raw) -> bool | None:
    """Return a switch."""
    return _boolean_decoder.decode(raw)


def number(raw: msgspec.Raw) -> float | None:
    """Return a number from 0 to 2**63; webhooks send sizes as strings, so strings count too."""
    value = _number_decoder.decode(raw)
    if isinstance(value, str):
        if value in {"", "null"}:
            return None
        if not _NUMBER.fullmatch(value):
            raise ValueError("not a number")
        value = float(value)
    if value is None:
        return None
    # NaN is not in this range either; integers may be larger than any float.
    if not 0 <= value < _LARGEST_NUMBER:
        raise ValueError("out of range")
    return float(value)


def count(raw: msgspec.Raw) -> int | None:
    """Return a number of things, of which there are no halves; 3.0 is 3."""
    value = number(raw)
    if value is None:
        return None
    if not value.is_integer():
        raise ValueError("not whole")
    return int(value)


def timestamp(raw: msgspec.Raw) -> float | None:
    """
    Return unix seconds; without an offset the time is UTC.

    RFC 3339 with the liberties that the API takes: a blank for the T, up to nine digits of
    fraction (those past the sixth are cut).
    """
    value = text(raw)
    if value is None:
        return None
    value = value.upper()
    if not (match := _TIMESTAMP.fullmatch(value)):
        raise ValueError("not a timestamp")
    moment = datetime.fromisoformat(value if match[2] else f"{value}Z")
    return moment.timestamp() if moment.year >= _EARLIEST_YEAR else None

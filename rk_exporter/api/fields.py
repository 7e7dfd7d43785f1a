"""
Parsers of single fields, which get the field's own bytes only.

Absent is None: null, the empty string, and the vendor's "null". A malformed field raises one of
UNREADABLE. `ParseIssues` collects the names of malformed fields, so that one malformed field costs
nothing else.
"""

import re

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

from rk_exporter.api.results import Parsed
from rk_exporter.model.ids import ID_PATTERN, canonical
from rk_exporter.runtime.printable import label_text
from rk_exporter.runtime.redaction import without_signatures


T = TypeVar("T")
# All that decoding can raise.
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
ABSENT = msgspec.Raw(b"null")
_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
# Earlier are the zero times of other languages (0001-01-01, 1970-01-01), which mean "not set".
_EARLIEST_YEAR = 2000
_NUMBER_IN_STRING = re.compile(rb'"\d{1,19}(\.\d{1,9})?"')
_text_decoder: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)
_number_decoder: msgspec.json.Decoder[float] = msgspec.json.Decoder(
    Annotated[float, msgspec.Meta(ge=0.0, lt=2.0**63)], strict=False
)
_NOT_GIVEN = frozenset({b"null", b'""', b'"null"'})
_list_decoder: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
# Returns true, false or None.
boolean: Callable[[msgspec.Raw], bool | None] = msgspec.json.Decoder(bool | None).decode


class Malformed(ValueError):
    """A field has none of the forms that are read; only its name is ever shown."""


@dataclass(slots=True)
class ParseIssues:
    """Collects the differences between an answer and the documentation during parsing."""

    malformed_fields: list[str] = field(default_factory=list)
    unknown_statuses: list[str] = field(default_factory=list)

    def read(self, name: str, raw: msgspec.Raw, parse: Callable[[msgspec.Raw], T]) -> T | None:
        """Return what *parse* returns for *raw*, or record the field *name* and return None."""
        try:
            return parse(raw)
        except UNREADABLE:
            self.malformed_fields.append(name)
            return None

    def parsed(self, value: T) -> Parsed[T]:
        """Return *value* together with the issues."""
        return Parsed(value, tuple(self.malformed_fields), tuple(self.unknown_statuses))


def if_readable(raw: msgspec.Raw, parse: Callable[[msgspec.Raw], T]) -> T | None:
    """Return what *parse* returns for *raw*; None if it is malformed, which is not counted."""
    try:
        return parse(raw)
    except UNREADABLE:
        return None


def present(value: T | None) -> T:
    """Return the *value* of a required field."""
    if value is None:
        raise Malformed
    return value


def text(raw: msgspec.Raw) -> str | None:
    """
    Return a string without what is secret in the URLs in it.

    Each text of an answer passes here, whatever becomes of it.
    """
    value = _text_decoder.decode(raw)
    return None if value in {None, "", "null"} else without_signatures(value or "")


def identifier(raw: msgspec.Raw) -> str | None:
    """Return an id that is safe in a path and in a label; a UUID in lower case."""
    value = text(raw)
    if value is None:
        return None
    if not ID_PATTERN.fullmatch(value):
        raise Malformed
    return canonical(value)


def present_identifier(raw: msgspec.Raw) -> str:
    """Return a required id."""
    return present(identifier(raw))


def label(raw: msgspec.Raw) -> str | None:
    """Return the value of a label."""
    value = text(raw)
    return None if value is None else label_text(value) or None


def is_given(raw: msgspec.Raw) -> bool:
    """
    Return whether there is a string or a list that is not empty, without decoding its content.

    A presigned URL never becomes a Python string.
    """
    content = bytes(raw)
    if content in _NOT_GIVEN:
        return False
    if content.startswith(b"["):
        return bool(_list_decoder.decode(raw))
    if not content.startswith(b'"'):
        raise Malformed
    return True


def number(raw: msgspec.Raw) -> float | None:
    """Return a number from 0 to 2**63, also from a string: webhooks send sizes as strings."""
    content = bytes(raw)
    if content in _NOT_GIVEN:
        return None
    if content.startswith(b'"') and not _NUMBER_IN_STRING.fullmatch(content):
        raise Malformed
    return _number_decoder.decode(raw)


def count(raw: msgspec.Raw) -> int | None:
    """Return a whole number; 3.0 is 3."""
    value = number(raw)
    if value is None:
        return None
    if not value.is_integer():
        raise Malformed
    return int(value)


def timestamp(raw: msgspec.Raw) -> float | None:
    """
    Return unix seconds; a time without an offset is UTC.

    The API deviates from RFC 3339: a space instead of T, and up to nine digits of fraction (digits
    after the sixth are cut).
    """
    value = text(raw)
    if value is None:
        return None
    value = value.upper()
    if not (match := _TIMESTAMP.fullmatch(value)):
        raise Malformed
    moment = datetime.fromisoformat(value if match[2] else f"{value}Z")
    return moment.timestamp() if moment.year >= _EARLIEST_YEAR else None

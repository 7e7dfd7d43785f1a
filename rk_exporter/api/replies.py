"""
Answers as evidence of how the API behaves, without anything confidential.

A body may contain presigned URLs, keys and names. So only its kind, its error codes and the names
of its fields are shown.
"""

import re

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import TypeVar

import msgspec

from rk_exporter.api.connection import Answer
from rk_exporter.api.fields import UNREADABLE
from rk_exporter.api.results import Parsed
from rk_exporter.model.errors import ApiError
from rk_exporter.model.failure import Failure
from rk_exporter.runtime.json_text import whole_characters


T = TypeVar("T")
# The gateway's codes for a path that it does not know.
_ROUTE_CODES = frozenset({7000, 7003})
# Shorter than any token, in case an API uses values as names.
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}", re.ASCII)
_MOST_NAMES = 24
_MOST_CODES = 5
_LARGEST_CODE = 9_999_999
# What rate limit headers and dates consist of; longer words may be ids or secrets.
_NOT_IN_A_HEADER = re.compile(r"""[^A-Za-z0-9 ";=,.:_-]|[A-Za-z0-9_.-]{20,}""", re.ASCII)
_LONGEST_HEADER = 120
_MARKUP = re.compile(rb"\s*<")
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_objects_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_code_decoder = msgspec.json.Decoder(int)


class BodyKind(StrEnum):
    """The kinds of bodies, in the words of the report."""

    SUCCESS = "a success with `data`"
    ERROR = "RealtimeKit's `error`"
    ERRORS = "the gateway's `errors`"
    HTML = "an HTML page"
    JSON = "other JSON"
    TEXT = "text"
    EMPTY = "an empty body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    The answer to one call, or the *failure* to get a complete one.

    *status* is None without an answer; *answered_at* is in unix seconds of this machine's clock.
    """

    endpoint: str
    answered_at: float
    status: int | None = None
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    failure: Failure | None = None

    @classmethod
    def of(cls, endpoint: str, answer: Answer, answered_at: float) -> "Reply":
        """Return the reply with an *answer*."""
        return cls(
            endpoint=endpoint,
            answered_at=answered_at,
            status=answer.status,
            body=whole_characters(answer.body),
            headers=answer.headers,
        )

    @classmethod
    def failed(cls, endpoint: str, failure: Failure, answered_at: float) -> "Reply":
        """Return the reply without an answer."""
        return cls(endpoint=endpoint, answered_at=answered_at, failure=failure)

    def read(self, parse: Callable[[int, bytes], Parsed[T]]) -> T | None:
        """Return what *parse* finds in the answer; None if there is none, or it is an error."""
        if self.status is None:
            return None
        try:
            return parse(self.status, self.body).value
        except ApiError:
            return None

    @property
    def is_ok(self) -> bool:
        """Return whether the answer is a success."""
        return self.status in {HTTPStatus.OK, HTTPStatus.CREATED} and (
            self.kind is BodyKind.SUCCESS
        )

    @property
    def is_rejection(self) -> bool:
        """Return whether the API finds fault with the request's parameters."""
        return self.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}

    @property
    def is_of_the_gateway(self) -> bool:
        """Return whether the answer comes from in front of RealtimeKit: a page, or no route."""
        return self.kind is BodyKind.HTML or bool(_ROUTE_CODES.intersection(self.codes))

    @property
    def is_missing(self) -> bool:
        """Return whether RealtimeKit has nothing with the requested id."""
        return self.status == HTTPStatus.NOT_FOUND and not self.is_of_the_gateway

    @property
    def refusal(self) -> str | None:
        """Return why the API cannot be asked at all; None if the answer is about the id."""
        if self.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return self.problem
        if self.status == HTTPStatus.NOT_FOUND and self.is_of_the_gateway:
            return f"the API has no such endpoint ({self.status})"
        return None

    @property
    def problem(self) -> str | None:
        """Return why the answer says nothing about the request; None if it does."""
        if self.failure is not None and self.status is None:
            return self.failure.explanation
        if self.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return f"the API refuses this endpoint ({self.status})"
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            return "the API asks for fewer calls (429)"
        if self.status is None or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return f"the API failed ({self.status})"
        return None

    @property
    def kind(self) -> BodyKind:
        """Return what the body is."""
        if not self.body.strip():
            return BodyKind.EMPTY
        if _MARKUP.match(self.body):
            return BodyKind.HTML
        fields = _fields(self.body)
        if fields is None:
            return BodyKind.JSON if _is_json(self.body) else BodyKind.TEXT
        errors, error = (bytes(fields.get(name, b"")) for name in ("errors", "error"))
        if errors not in {b"", b"null", b"[]"}:
            return BodyKind.ERRORS
        if error.startswith(b"{"):
            return BodyKind.ERROR
        is_success = bytes(fields.get("success", b"")) == b"true" and "data" in fields
        return BodyKind.SUCCESS if is_success else BodyKind.JSON

    @property
    def codes(self) -> tuple[int, ...]:
        """Return the error codes in the body."""
        found = (_code(error) for error in _errors(self.body))
        return tuple(code for code in found if code is not None)[:_MOST_CODES]

    def describe(self, request: str, *, with_fields: bool = False) -> str:
        """
        Return the evidence in a line; *request* says what was asked, without ids.

        *with_fields* adds the names of an item's fields.
        """
        if self.status is None:
            reason = self.failure.reason.value if self.failure else "none"
            return f"{request}: no answer ({reason})"
        parts = [f"{request}: {self.status}", self.kind.value]
        if self.codes:
            parts.append(f"codes {', '.join(map(str, self.codes))}")
        if names := self._field_names(of_items=with_fields):
            parts.append(f"fields {names}")
        return "; ".join(parts)

    def header(self, name: str) -> str | None:
        """Return a header's value, without anything that a rate limit header does not contain."""
        value = self.headers.get(name)
        return None if value is None else _NOT_IN_A_HEADER.sub("?", value)[:_LONGEST_HEADER]

    def _field_names(self, *, of_items: bool) -> str:
        fields = _fields(self.body)
        if fields is None:
            return ""
        if self.kind is BodyKind.SUCCESS:
            return _names(_item_fields(fields["data"])) if of_items else ""
        inner = sorted({name for error in _errors(self.body) for name in error})
        nested = f" ({_names(inner)})" if inner else ""
        return f"{_names(fields)}{nested}"


@dataclass(frozen=True, slots=True)
class NotAsked:
    """A question without a call, and what is missing for it."""

    reason: str


Asked = Reply | NotAsked


def _fields(body: bytes) -> dict[str, msgspec.Raw] | None:
    """Return the fields of an object, undecoded; None if *body* is something else."""
    try:
        return _object_decoder.decode(body)
    except UNREADABLE:
        return None


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except UNREADABLE:
        return False
    return True


def _errors(body: bytes) -> list[dict[str, msgspec.Raw]]:
    """Return the errors of both envelopes."""
    fields = _fields(body) or {}
    found = []
    try:
        if "errors" in fields:
            found += _objects_decoder.decode(fields["errors"])
        if "error" in fields:
            found.append(_object_decoder.decode(fields["error"]))
    except UNREADABLE:
        pass
    return found


def _item_fields(data: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Return the fields of an item, of the first one in a list, or of what a list is in."""
    try:
        if bytes(data).startswith(b"["):
            items = _objects_decoder.decode(data)
            return items[0] if items else {}
        fields = _object_decoder.decode(data)
    except UNREADABLE:
        return {}
    # Sessions are one level deeper.
    inner = fields.get("sessions")
    return fields if inner is None else _item_fields(inner)


def _code(error: Mapping[str, msgspec.Raw]) -> int | None:
    try:
        code = _code_decoder.decode(error["code"])
    except (KeyError, *UNREADABLE):
        return None
    return code if abs(code) <= _LARGEST_CODE else None


def _names(names: Iterable[str]) -> str:
    """Return the names of fields that are surely names."""
    shown = [name if _FIELD_NAME.fullmatch(name) else "?" for name in names]
    more = ["…"] if len(shown) > _MOST_NAMES else []
    return ", ".join(shown[:_MOST_NAMES] + more)

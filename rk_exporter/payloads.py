"""
The API's answers, parsed once: a status and a body go in, recordings or an ApiError come out.

Only the fields named here ever become Python objects: msgspec skips the rest, so a presigned URL
is gone with the bytes it came in. Each field is decoded alone, so a malformed one loses itself
and nothing else.
"""

import re

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import msgspec

from rk_exporter.api_errors import (
    ApiError,
    ClientError,
    InvalidResponse,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
)
from rk_exporter.recordings import Recording, Status


T = TypeVar("T")

# Cloudflare's gateway: "Authentication error", and "Invalid request headers" for a token that
# cannot be one, which comes as a 400.
AUTH_CODES = frozenset({10000, 6003})
# The rate limit's codes over the years; 971 was seen with a status of 500.
RATE_LIMIT_CODES = frozenset({971, 10429, 10100})

ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)

_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 400, 401, 403, 404
_TOO_MANY_REQUESTS, _INTERNAL_SERVER_ERROR = 429, 500

_DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_ABSENT = msgspec.Raw(b"null")

_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
# Below it lie the zero times of other languages (0001-01-01, 1970-01-01): "not set".
_EARLIEST_YEAR = 2000
_COUNT = re.compile(r"\d{1,19}(\.\d{1,9})?", re.ASCII)
_LARGEST_NUMBER = 2.0**63
# As long as file systems let a name be.
_LONGEST_LABEL_BYTES = 255


class _RecordingPayload(msgspec.Struct, gc=False):
    id: msgspec.Raw = _ABSENT
    status: msgspec.Raw = _ABSENT
    session_id: msgspec.Raw = _ABSENT
    output_file_name: msgspec.Raw = _ABSENT
    file_size: msgspec.Raw = _ABSENT
    recording_duration: msgspec.Raw = _ABSENT
    download_url_expiry: msgspec.Raw = _ABSENT
    invoked_time: msgspec.Raw = _ABSENT
    started_time: msgspec.Raw = _ABSENT
    stopped_time: msgspec.Raw = _ABSENT


class _Success(msgspec.Struct, gc=False):
    success: bool
    data: _RecordingPayload | list[_RecordingPayload] | msgspec.UnsetType | None = msgspec.UNSET


class _ErrorCode(msgspec.Struct, gc=False):
    code: msgspec.Raw = _ABSENT


class _Envelope(msgspec.Struct, gc=False):
    """Both envelopes of an error: RealtimeKit's `error` object and the gateway's `errors` list."""

    error: _ErrorCode | None = None
    errors: list[_ErrorCode] | None = None


_success_decoder = msgspec.json.Decoder(_Success)
_envelope_decoder = msgspec.json.Decoder(_Envelope)
_string_decoder = msgspec.json.Decoder(str | None)
_number_decoder = msgspec.json.Decoder(int | float | str | None)
_code_decoder = msgspec.json.Decoder(int)


@dataclass(frozen=True, slots=True)
class ActiveRecordings:
    """A meeting's recordings, newest first, and what in the answer was not as documented."""

    recordings: tuple[Recording, ...]
    malformed_fields: tuple[str, ...] = ()
    unknown_statuses: tuple[str, ...] = ()


def parse_active_recordings(status: int, body: bytes) -> ActiveRecordings:
    """
    Return what "Fetch active recording" answered; no recording at all is a success.

    The endpoint's page documents one object in `data`; its ancestor returned a list, so both are
    read. A 404 with RealtimeKit's `error` object says "no active recording".

    Raises ApiError for any answer that is not a documented success.
    """
    if status != _OK:
        if status == _NOT_FOUND and _says_there_is_none(body):
            return ActiveRecordings(())
        raise _refusal(status, _error_codes(body))
    try:
        answer = _success_decoder.decode(body)
    except _DECODE_ERRORS:
        # Without the cause: its traceback would carry the body's bytes along.
        raise InvalidResponse(
            "the API answered 200 with a body that is not the documented JSON"
        ) from None
    if not answer.success:
        raise _refusal(status, _error_codes(body))
    if answer.data is msgspec.UNSET:
        raise InvalidResponse("the API answered 200 without `data`")
    payloads = answer.data if isinstance(answer.data, list) else [answer.data]
    return _recordings([payload for payload in payloads if payload is not None])


@dataclass(slots=True)
class _Oddities:
    malformed_fields: list[str] = field(default_factory=list)
    unknown_statuses: list[str] = field(default_factory=list)


def _recordings(payloads: list[_RecordingPayload]) -> ActiveRecordings:
    oddities = _Oddities()
    recordings = {
        recording.recording_id: recording
        for recording in (_recording(payload, oddities) for payload in payloads)
    }
    newest_first = sorted(
        recordings.values(), key=lambda each: each.invoked_timestamp_seconds or 0.0, reverse=True
    )
    return ActiveRecordings(
        tuple(newest_first),
        tuple(oddities.malformed_fields),
        tuple(oddities.unknown_statuses),
    )


def _recording(payload: _RecordingPayload, oddities: _Oddities) -> Recording:
    """Return the recording in *payload*, and note what is odd about it."""

    def parsed(name: str, parse: Callable[[msgspec.Raw], T | None]) -> T | None:
        try:
            return parse(getattr(payload, name))
        except (ValueError, *_DECODE_ERRORS):
            oddities.malformed_fields.append(name)
            return None

    recording_id = parsed("id", _identifier)
    if recording_id is None:
        raise InvalidResponse("the API answered 200 with a recording that has no usable id")
    word = parsed("status", _word)
    status = Status(word) if word else Status.UNKNOWN
    if word and status is Status.UNKNOWN:
        oddities.unknown_statuses.append(word)
    return Recording(
        recording_id=recording_id,
        status=status,
        session_id=parsed("session_id", _identifier),
        output_file_name=parsed("output_file_name", _label),
        file_size_bytes=parsed("file_size", _number),
        reported_duration_seconds=parsed("recording_duration", _number),
        download_url_expiry_timestamp_seconds=parsed("download_url_expiry", _timestamp),
        invoked_timestamp_seconds=parsed("invoked_time", _timestamp),
        started_timestamp_seconds=parsed("started_time", _timestamp),
        stopped_timestamp_seconds=parsed("stopped_time", _timestamp),
    )


MALFORMABLE_FIELDS = tuple(name for name in _RecordingPayload.__struct_fields__ if name != "id")


def _text(raw: msgspec.Raw) -> str | None:
    """Return a string; null, the empty string and the vendor's "null" are absent."""
    text = _string_decoder.decode(raw)
    return None if text in {None, "", "null"} else text


def _identifier(raw: msgspec.Raw) -> str | None:
    text = _text(raw)
    if text is not None and not ID_PATTERN.fullmatch(text):
        raise ValueError("not an id")
    return text


def _word(raw: msgspec.Raw) -> str:
    word = _label(raw)
    if word is None:
        raise ValueError("a recording always has a status")
    return word


def _label(raw: msgspec.Raw) -> str | None:
    """Return a label value: no control characters, and no longer than a file's name may be."""
    text = _text(raw)
    if text is None:
        return None
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable.encode()[:_LONGEST_LABEL_BYTES].decode(errors="ignore")


def _number(raw: msgspec.Raw) -> float | None:
    """Return a number from 0 to 2**63; webhooks send sizes as strings, so strings count too."""
    value = _number_decoder.decode(raw)
    if isinstance(value, str):
        if value in {"", "null"}:
            return None
        if not _COUNT.fullmatch(value):
            raise ValueError("not a number")
        value = float(value)
    if value is None:
        return None
    # NaN is not in this range either; integers may be larger than any float.
    if not 0 <= value < _LARGEST_NUMBER:
        raise ValueError("out of range")
    return float(value)


def _timestamp(raw: msgspec.Raw) -> float | None:
    """
    Return unix seconds; without an offset the time is UTC.

    RFC 3339 with the liberties that the API takes: a blank for the T, up to nine digits of
    fraction (those past the sixth are cut).
    """
    text = _text(raw)
    if text is None:
        return None
    text = text.upper()
    if not (match := _TIMESTAMP.fullmatch(text)):
        raise ValueError("not a timestamp")
    moment = datetime.fromisoformat(text if match[2] else f"{text}Z")
    return moment.timestamp() if moment.year >= _EARLIEST_YEAR else None


def _says_there_is_none(body: bytes) -> bool:
    try:
        envelope = _envelope_decoder.decode(body)
    except _DECODE_ERRORS:
        return False
    return envelope.error is not None and not envelope.errors


def _error_codes(body: bytes) -> frozenset[int]:
    """Return the error codes in either envelope; none where the body holds no such thing."""
    try:
        envelope = _envelope_decoder.decode(body)
    except _DECODE_ERRORS:
        return frozenset()
    errors = [*(envelope.errors or ()), *((envelope.error,) if envelope.error else ())]
    return frozenset(code for error in errors if (code := _code(error)) is not None)


def _code(error: _ErrorCode) -> int | None:
    try:
        return _code_decoder.decode(error.code)
    except _DECODE_ERRORS:
        return None


def _refusal(status: int, codes: frozenset[int]) -> ApiError:
    """Return the error for an answer of *status* whose body held the error *codes*."""
    shown = ", ".join(str(code) for code in sorted(codes) if code != status)
    said = f"the API answered {status}" + (f" with the error code {shown}" if shown else "")
    error = _refusal_type(status, codes)
    if error is InvalidResponse:
        said += ', but not "success": true' if status == _OK else ", which it does not document"
    return error(said)


def _refusal_type(status: int, codes: frozenset[int]) -> type[ApiError]:
    if status == _TOO_MANY_REQUESTS or codes & RATE_LIMIT_CODES:
        return RateLimited
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        return Unauthorized
    if status in {_OK, _BAD_REQUEST} and codes & AUTH_CODES:
        return Unauthorized
    if status == _NOT_FOUND:
        return NotFound
    if status < _BAD_REQUEST:
        return InvalidResponse
    return ClientError if status < _INTERNAL_SERVER_ERROR else ServerError

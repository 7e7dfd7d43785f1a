"""
The envelopes around every answer: a status and a body go in, the payload or an ApiError comes out.

A success is `{"success": true, "data": …}`, with `paging` beside `data` in lists. RealtimeKit's own
errors have an `error` object; those of Cloudflare's gateway in front of it have a list, `errors`;
and what stands in front of both answers with HTML or nothing at all.
"""

from typing import Generic, TypeVar

import msgspec

from rk_exporter.api.fields import ABSENT, UNREADABLE
from rk_exporter.model.errors import (
    ApiError,
    ClientError,
    InvalidResponse,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
)


T = TypeVar("T")
# Cloudflare's gateway: "Authentication error", and "Invalid request headers" for a token that
# cannot be one, which comes as a 400.
AUTH_CODES = frozenset({10000, 6003})
# The rate limit's codes over the years; 971 was seen with a status of 500.
RATE_LIMIT_CODES = frozenset({971, 10429, 10100})
_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 400, 401, 403, 404
_TOO_MANY_REQUESTS, _INTERNAL_SERVER_ERROR = 429, 500


class Success(msgspec.Struct, Generic[T], gc=False):
    """The envelope of a success; its decoder knows what `data` is."""

    success: bool
    data: T | msgspec.UnsetType = msgspec.UNSET
    paging: msgspec.Raw = ABSENT


class _ErrorCode(msgspec.Struct, gc=False):
    code: msgspec.Raw = ABSENT


class _Failure(msgspec.Struct, gc=False):
    """Both envelopes of an error, of which an answer has one."""

    error: _ErrorCode | None = None
    errors: list[_ErrorCode] | None = None


_failure_decoder = msgspec.json.Decoder(_Failure)
_code_decoder = msgspec.json.Decoder(int)


def unwrap(
    status: int, body: bytes, decoder: msgspec.json.Decoder[Success[T]]
) -> tuple[T, msgspec.Raw]:
    """
    Return the `data` of a success and the `paging` beside it.

    Raises ApiError for any answer that is not a documented success.
    """
    if status != _OK:
        raise _refusal(status, body)
    try:
        answer = decoder.decode(body)
    except UNREADABLE:
        # Without the cause: its traceback would carry the body's bytes along.
        raise InvalidResponse(
            "the API answered 200 with a body that is not the documented JSON"
        ) from None
    if not answer.success:
        raise _refusal(status, body)
    if answer.data is msgspec.UNSET:
        raise InvalidResponse("the API answered 200 without `data`")
    return answer.data, answer.paging


def is_not_found(status: int, body: bytes) -> bool:
    """Tell whether RealtimeKit itself answered 404; the gateway's 404 is of another kind."""
    if status != _NOT_FOUND:
        return False
    failure = _failure(body)
    return failure.error is not None and not failure.errors


def _failure(body: bytes) -> _Failure:
    """Return the errors in the *body*; none where it holds no such thing."""
    try:
        return _failure_decoder.decode(body)
    except UNREADABLE:
        return _Failure()


def _error_codes(body: bytes) -> frozenset[int]:
    failure = _failure(body)
    errors = [*(failure.errors or ()), *((failure.error,) if failure.error else ())]
    return frozenset(code for error in errors if (code := _code(error)) is not None)


def _code(error: _ErrorCode) -> int | None:
    try:
        return _code_decoder.decode(error.code)
    except UNREADABLE:
        return None


def _refusal(status: int, body: bytes) -> ApiError:
    """Return the error that an answer stands for."""
    codes = _error_codes(body)
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

"""
The envelope of every answer: turns a status and a body into the payload or an ApiError.

A success is `{"success": true, "data": ...}`; lists have `paging` beside `data`. Errors of
RealtimeKit have an `error` object. Errors of Cloudflare's gateway in front of RealtimeKit have a
list `errors`. Proxies in front of both answer with HTML or with nothing.
"""

from http import HTTPStatus
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
# Cloudflare's gateway: "Authentication error", and a 400 "Invalid request headers" for a malformed
# token.
AUTH_CODES = frozenset({10000, 6003})
# Error codes of the rate limit over the years; 971 was seen with status 500.
RATE_LIMIT_CODES = frozenset({971, 10429, 10100})


class Success(msgspec.Struct, Generic[T], gc=False):
    """The envelope of a success; the decoder knows the type of `data`."""

    success: bool
    data: T | msgspec.UnsetType = msgspec.UNSET
    paging: msgspec.Raw = ABSENT


class _ErrorCode(msgspec.Struct, gc=False):
    code: object = None


class _Failure(msgspec.Struct, gc=False):
    """The two envelopes of an error; an answer has one of them."""

    error: _ErrorCode | None = None
    errors: list[_ErrorCode] | None = None


_failure_decoder = msgspec.json.Decoder(_Failure)


def unwrap(
    status: int, body: bytes, decoder: msgspec.json.Decoder[Success[T]]
) -> tuple[T, msgspec.Raw]:
    """
    Return the `data` of a success and the `paging` beside it.

    Raises ApiError unless the answer is a documented success.
    """
    if status != HTTPStatus.OK:
        raise _error(status, body)
    try:
        answer = decoder.decode(body)
    except UNREADABLE:
        # Without the cause, because its traceback would contain the body.
        raise InvalidResponse(
            "the API answered 200 with a body that is not the documented JSON"
        ) from None
    if not answer.success:
        raise _error(status, body)
    if answer.data is msgspec.UNSET:
        raise InvalidResponse("the API answered 200 without `data`")
    return answer.data, answer.paging


def is_not_found(status: int, body: bytes) -> bool:
    """Return whether RealtimeKit itself answered 404, and not the gateway in front of it."""
    if status != HTTPStatus.NOT_FOUND:
        return False
    failure = _failure(body)
    return failure.error is not None and not failure.errors


def _failure(body: bytes) -> _Failure:
    """Return the errors in the *body*, if it has any."""
    try:
        return _failure_decoder.decode(body)
    except UNREADABLE:
        return _Failure()


def _error(status: int, body: bytes) -> ApiError:
    """Return the error for an answer that is not a success."""
    failure = _failure(body)
    errors = filter(None, (failure.error, *(failure.errors or ())))
    codes = frozenset(error.code for error in errors if type(error.code) is int)
    shown = ", ".join(str(code) for code in sorted(codes) if code != status)
    message = f"the API answered {status}" + (f" with the error code {shown}" if shown else "")
    error = _error_type(status, codes)
    if error is InvalidResponse:
        is_ok = status == HTTPStatus.OK
        message += ', but not "success": true' if is_ok else ", which it does not document"
    return error(message)


def _error_type(status: int, codes: frozenset[int]) -> type[ApiError]:
    if status == HTTPStatus.TOO_MANY_REQUESTS or codes & RATE_LIMIT_CODES:
        return RateLimited
    has_auth_code = status in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST} and codes & AUTH_CODES
    if has_auth_code or status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Unauthorized
    if status == HTTPStatus.NOT_FOUND:
        return NotFound
    if status < HTTPStatus.BAD_REQUEST:
        return InvalidResponse
    return ClientError if status < HTTPStatus.INTERNAL_SERVER_ERROR else ServerError

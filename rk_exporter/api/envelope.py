"""
The envelope of every answer: turns a status and a body into the payload or an ApiError.

A success is `{"success": true, "data": ...}`; lists have `paging` beside `data`. Errors of
RealtimeKit have an `error` object. Errors of Cloudflare's gateway in front of RealtimeKit have a
list `errors`. Proxies in front of both answer with HTML or with nothing.
"""

import re

from collections.abc import Collection, Iterator
from http import HTTPStatus
from typing import Generic, TypeVar

import msgspec

from rk_exporter.api.fields import ABSENT, UNREADABLE
from rk_exporter.model.errors import (
    ApiError,
    ClientError,
    Intercepted,
    InvalidResponse,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
)
from rk_exporter.model.secret import Secret
from rk_exporter.runtime import json_text
from rk_exporter.runtime.redaction import REDACTED, without_signatures


T = TypeVar("T")
# Cloudflare's gateway: "Authentication error", and a 400 "Invalid request headers" for a malformed
# token.
AUTH_CODES = frozenset({10000, 6003})
# Error codes of the rate limit over the years; 971 was seen with status 500.
RATE_LIMIT_CODES = frozenset({971, 10429, 10100})
# Cloudflare's gateway: "No route for that URI" and "Could not route to ...".
UNKNOWN_PATH_CODES = frozenset({7000, 7003})
_QUERY_REJECTED = frozenset({400, 413, 422})
_CODE = re.compile(r"[0-9]{1,9}", re.ASCII)
_LONGEST_MESSAGE = 200
_MOST_CODES = 5
_LONGEST_TEXT_BYTES = 4096
# URLs, what follows a scheme of authorization or "=", and words that are long enough to be keys.
_SECRET = re.compile(
    r"[a-z][a-z0-9+.-]*:/\S*|(?<=\bbearer )\S+|(?<=\bbasic )\S+|(?<==)\S+|[\w%+/=.~-]{20,}",
    re.IGNORECASE,
)


class Success(msgspec.Struct, Generic[T], gc=False):
    """The envelope of a success; the decoder knows the type of `data`."""

    success: bool
    data: T | msgspec.UnsetType = msgspec.UNSET
    paging: msgspec.Raw = ABSENT


class _Failure(msgspec.Struct, gc=False):
    """The fields of both envelopes of an error, which may have any type."""

    error: object = None
    errors: object = None
    message: object = None

    def codes(self) -> frozenset[int]:
        """Return the error codes, which may be strings."""
        codes = (error.get("code") for error in self._objects())
        return frozenset(int(str(code)) for code in codes if _CODE.fullmatch(str(code)))

    def messages(self) -> Iterator[str]:
        """Return the texts for people."""
        inner = (error.get("message") for error in self._objects())
        texts = (self.message, self.error, *inner)
        return (text for text in texts if isinstance(text, str) and text)

    def _objects(self) -> list[dict[str, object]]:
        errors = self.errors if isinstance(self.errors, list) else [self.errors]
        return [error for error in (self.error, *errors) if isinstance(error, dict)]


_failure_decoder = msgspec.json.Decoder(_Failure)


def unwrap(
    status: int,
    body: bytes,
    decoder: msgspec.json.Decoder[Success[T]],
    *,
    successes: Collection[int] = (HTTPStatus.OK,),
) -> tuple[T, msgspec.Raw]:
    """
    Return the `data` of a success, whose status is one of *successes*, and the `paging` beside it.

    Raises ApiError unless the answer is a documented success.
    """
    if status not in successes:
        raise _error(status, body)
    try:
        answer = json_text.decode(decoder.decode, body)
    except UNREADABLE:
        # Without the cause, because its traceback would contain the body.
        raise InvalidResponse(
            f"the API answered {status} with a body that is not the documented JSON"
        ) from None
    if not answer.success:
        raise _error(status, body)
    if answer.data is msgspec.UNSET:
        raise InvalidResponse(f"the API answered {status} without `data`")
    return answer.data, answer.paging


def is_not_found(status: int, body: bytes) -> bool:
    """Return whether RealtimeKit itself answered 404, and not the gateway in front of it."""
    if status != HTTPStatus.NOT_FOUND:
        return False
    failure = _failure(body)
    is_documented = isinstance(failure.error, dict) and not failure.errors
    return is_documented and failure.codes().isdisjoint(UNKNOWN_PATH_CODES)


def api_message(body: bytes, token: Secret) -> str | None:
    """
    Return what the API says about an error: a short line without URLs, *token*, and keys.

    None if it says nothing to people, or if the body is a web page.
    """
    said = " ".join(_failure(body).messages()) or _plain_text(body)
    said = re.sub(re.escape(token.reveal()), REDACTED, said, flags=re.IGNORECASE)
    said = _SECRET.sub(REDACTED, without_signatures(said))
    printable = "".join(character if character.isprintable() else " " for character in said)
    return " ".join(printable.split())[:_LONGEST_MESSAGE] or None


def _plain_text(body: bytes) -> str:
    """Return a *body* that is neither JSON nor a web page."""
    if _is_web_page(body) or body.lstrip().startswith((b"{", b"[", b'"')):
        return ""
    return body[:_LONGEST_TEXT_BYTES].decode(errors="replace")


def _is_web_page(body: bytes) -> bool:
    return body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def _failure(body: bytes) -> _Failure:
    """Return the errors in the *body*, if it has any."""
    try:
        return json_text.decode(_failure_decoder.decode, body)
    except UNREADABLE:
        return _Failure()


def _error(status: int, body: bytes) -> ApiError:
    """Return the error for an answer that is not a success."""
    codes = _failure(body).codes()
    shown = ", ".join(map(str, sorted(codes - {status})[:_MOST_CODES]))
    message = f"the API answered {status}" + (f" with the error code {shown}" if shown else "")
    error_type = _error_type(status, codes, is_web_page=_is_web_page(body))
    if error_type is InvalidResponse:
        is_ok = status == HTTPStatus.OK
        message += ', but not "success": true' if is_ok else ", which it does not document"
    if error_type is Intercepted:
        message = f"something in front of the API answered {status} with a web page"
    error = error_type(message)
    if isinstance(error, ClientError):
        error.rejects_query = status in _QUERY_REJECTED
    if isinstance(error, NotFound):
        error.may_mean_none = not codes & UNKNOWN_PATH_CODES and not _is_web_page(body)
    return error


def _error_type(status: int, codes: frozenset[int], *, is_web_page: bool) -> type[ApiError]:
    if status == HTTPStatus.TOO_MANY_REQUESTS or codes & RATE_LIMIT_CODES:
        return RateLimited
    has_auth_code = status in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST} and codes & AUTH_CODES
    if has_auth_code or status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Intercepted if is_web_page else Unauthorized
    if status == HTTPStatus.NOT_FOUND:
        return NotFound
    if status < HTTPStatus.BAD_REQUEST:
        return InvalidResponse
    return ClientError if status < HTTPStatus.INTERNAL_SERVER_ERROR else ServerError

"""The responses that injected faults cause: replaced or changed ones."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import cast

import msgspec

from rk_exporter.simulator.api.faults import Fault
from rk_exporter.simulator.api.responses import (
    AUTHENTICATION_ERROR,
    JSON_HEADERS,
    NO_ROUTE,
    RATE_LIMITED,
    Headers,
    JsonObject,
    JsonResponse,
    Response,
    backend_error,
    gateway_error,
    success,
)


OVERSIZED_BYTES = 2 * 1024 * 1024

_HTML_HEADERS: Headers = ((b"content-type", b"text/html; charset=UTF-8"),)


def apply_fault(fault: Fault, response: JsonResponse) -> Response:
    """Return the response that *fault* makes of the correct *response*."""
    if fault in _REPLACEMENTS:
        return _REPLACEMENTS[fault]()
    if fault == Fault.TRUNCATED:
        whole = response.encode()
        length = (b"content-length", str(len(whole.body)).encode())
        return Response(whole.status, whole.body[: len(whole.body) // 2], (*JSON_HEADERS, length))
    data = response.content.get("data")
    if data is None:
        # An error such as "no active recording" has no data to change.
        return response.encode()
    if fault == Fault.DATA_LIST:
        changed: object = data if isinstance(data, list) else [data]
    elif fault == Fault.DATA_NULL:
        changed = None
    else:
        change = _CHANGES[fault]
        changed = [change(item) for item in data] if isinstance(data, list) else change(data)
    return JsonResponse(response.status, {**response.content, "data": changed}).encode()


def _page(status: int, title: str, headers: Headers = ()) -> Response:
    """Return a web page, as Cloudflare's edge does for its own errors."""
    body = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>"
    return Response(status, body.encode(), (*_HTML_HEADERS, *headers))


def unavailable() -> Response:
    """Return the answer of a backend that is not available, with a time to wait."""
    error = backend_error(HTTPStatus.SERVICE_UNAVAILABLE, "Service unavailable").encode()
    return Response(error.status, error.body, (*JSON_HEADERS, (b"retry-after", b"30")))


def _oversized() -> Response:
    """Return valid JSON that a client should not read to its end."""
    return success({"output_file_name": "x" * OVERSIZED_BYTES}).encode()


_REPLACEMENTS: dict[Fault, Callable[[], Response]] = {
    Fault.UNAUTHORIZED: lambda: gateway_error(401, *AUTHENTICATION_ERROR).encode(),
    Fault.FORBIDDEN: lambda: gateway_error(403, *AUTHENTICATION_ERROR).encode(),
    Fault.GATEWAY_NOT_FOUND: lambda: gateway_error(404, *NO_ROUTE).encode(),
    Fault.RATE_LIMITED: lambda: gateway_error(429, *RATE_LIMITED).encode(),
    # The real API has returned this once.
    Fault.RATE_LIMITED_971_AS_500: lambda: gateway_error(500, *RATE_LIMITED).encode(),
    Fault.BAD_REQUEST: lambda: backend_error(400, 'BAD_REQUEST: "id" is not valid').encode(),
    Fault.UNPROCESSABLE: lambda: backend_error(422, "Validation failed").encode(),
    Fault.SERVER_ERROR: lambda: backend_error(500, "Cannot read properties of undefined").encode(),
    Fault.BAD_GATEWAY: lambda: _page(502, "502 Bad Gateway"),
    Fault.UNAVAILABLE: unavailable,
    Fault.CLOUDFLARE_520: lambda: _page(520, "520: Web server is returning an unknown error"),
    Fault.HTML: lambda: _page(200, "Just a moment..."),
    Fault.EMPTY: lambda: Response(200, b""),
    Fault.NO_CONTENT: lambda: Response(204, b"", ()),
    Fault.NOT_JSON: lambda: Response(200, b'{"success": true, "data": {'),
    Fault.SUCCESS_FALSE: lambda: JsonResponse(
        200, {"success": False, "error": {"code": 500, "message": "Internal error"}}
    ).encode(),
    Fault.SUCCESS_FALSE_ERRORS: lambda: gateway_error(200, 10013, "Internal error").encode(),
    Fault.OVERSIZED: _oversized,
    Fault.REDIRECT: lambda: _page(
        302, "302 Found", ((b"location", b"https://login.example.com/"),)
    ),
}


def _garble(data: object) -> object:
    """Make every field invalid that the endpoint's page declares as optional or nullable."""
    return {
        **cast("JsonObject", data),
        "audio_download_url": True,
        "download_url": [["nested"], [[]]],
        "download_url_expiry": "soon",
        "file_size": -1,
        "session_id": [[["nested"]]],
        "started_time": True,
        "stopped_time": {"at": "soon"},
        # Valid JSON, but too large for a float.
        "recording_duration": msgspec.Raw(b"1e999"),
    }


def _cut_in_half(data: object) -> object:
    """Cut a text in the middle of an emoji, as JavaScript does and writes it."""
    name = msgspec.Raw(rb'"half of \ud83d"')
    return {**cast("JsonObject", data), "output_file_name": name}


def _rename_status(data: object) -> object:
    """Set an undocumented status."""
    return {**cast("JsonObject", data), "status": "TRANSCODING"}


def _reformat(data: object) -> object:
    """Write times and size in other formats, which ISO 8601 or older samples allow."""
    fields = dict(cast("JsonObject", data))
    for name, reformat in _FORMATS.items():
        value = fields.get(name)
        if isinstance(value, str):
            fields[name] = reformat(value)
    if fields.get("file_size") is not None:
        fields["file_size"] = str(fields["file_size"])
    return fields


def _with_blank(timestamp: str) -> str:
    """Write a space instead of the T, and six digits, as in the vendor's webhook samples."""
    return timestamp.replace("T", " ").replace("Z", "000Z")


def _with_offset(timestamp: str) -> str:
    """Write the same time with an offset of two hours."""
    east = timezone(timedelta(hours=2))
    return datetime.fromisoformat(timestamp).astimezone(east).isoformat()


def _with_nanoseconds(timestamp: str) -> str:
    """Write nine fraction digits."""
    return timestamp.replace("Z", "000000Z")


_FORMATS: dict[str, Callable[[str], str]] = {
    "invoked_time": _with_blank,
    "started_time": _with_offset,
    "stopped_time": _with_nanoseconds,
    "download_url_expiry": _with_blank,
}

_CHANGES: dict[Fault, Callable[[object], object]] = {
    Fault.GARBAGE_FIELDS: _garble,
    Fault.HALF_CHARACTER: _cut_in_half,
    Fault.UNKNOWN_STATUS: _rename_status,
    Fault.ODD_TIMESTAMPS: _reformat,
}

"""What can go wrong on request: whole answers replaced, or a good answer's data bent."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from http import HTTPStatus
from typing import cast

import msgspec

from rk_exporter.simulator.answers import (
    AUTHENTICATION_ERROR,
    JSON_HEADERS,
    NO_ROUTE,
    RATE_LIMITED,
    Answer,
    Headers,
    JsonObject,
    Reply,
    backend_error,
    found,
    gateway_error,
)


class Fault(StrEnum):
    """The kinds of trouble."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    GATEWAY_NOT_FOUND = "gateway_not_found"
    RATE_LIMITED = "rate_limited"
    RATE_LIMITED_971_AS_500 = "rate_limited_971_as_500"
    BAD_REQUEST = "bad_request"
    UNPROCESSABLE = "unprocessable"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    UNAVAILABLE = "unavailable"
    CLOUDFLARE_520 = "cloudflare_520"
    HTML = "html"
    EMPTY = "empty"
    NO_CONTENT = "no_content"
    NOT_JSON = "not_json"
    SUCCESS_FALSE = "success_false"
    SUCCESS_FALSE_ERRORS = "success_false_errors"
    OVERSIZED = "oversized"
    REDIRECT = "redirect"
    TRUNCATED = "truncated"
    HANG = "hang"
    GARBAGE_FIELDS = "garbage_fields"
    UNKNOWN_STATUS = "unknown_status"
    DATA_LIST = "data_list"
    ODD_TIMESTAMPS = "odd_timestamps"
    DATA_NULL = "data_null"


ALL_MEETINGS = "*"
OVERSIZED_BYTES = 2 * 1024 * 1024

_HTML_HEADERS: Headers = ((b"content-type", b"text/html; charset=UTF-8"),)


@dataclass(slots=True)
class Order:
    """A fault that was asked for; *times* counts down, None never ends."""

    fault: Fault
    times: int | None


class FaultBoard:
    """The faults asked for, by meeting id; the last order for a meeting counts."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}

    def inject(self, meeting_id: str, fault: Fault, times: int | None = None) -> None:
        """Order a fault for one meeting, or `ALL_MEETINGS`, for ever or the next *times* calls."""
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, not {times}")
        self._orders[meeting_id] = Order(fault, times)

    def clear(self, meeting_id: str | None = None) -> None:
        """Take back the order for a meeting, or all orders."""
        if meeting_id is None:
            self._orders.clear()
        else:
            self._orders.pop(meeting_id, None)

    def take(self, meeting_id: str | None) -> Fault | None:
        """Return the fault for a call about a meeting (None: about no single one)."""
        for key in (meeting_id, ALL_MEETINGS):
            order = self._orders.get(key) if key is not None else None
            if key is None or order is None:
                continue
            if order.times is not None:
                order.times -= 1
                if order.times == 0:
                    del self._orders[key]
            return order.fault
        return None

    def content(self) -> JsonObject:
        """Tell the orders as JSON."""
        return {
            key: {"kind": order.fault, "times": order.times} for key, order in self._orders.items()
        }


def apply(fault: Fault, reply: Reply) -> Answer:
    """Answer with *fault* instead of *reply*, or with the fault in it."""
    if fault in _REPLACED:
        return _REPLACED[fault]()
    if fault == Fault.TRUNCATED:
        whole = reply.encode()
        length = (b"content-length", str(len(whole.body)).encode())
        return Answer(whole.status, whole.body[: len(whole.body) // 2], (*JSON_HEADERS, length))
    data = reply.content.get("data")
    if data is None:
        # There is nothing to bend in "no active recording".
        return reply.encode()
    if fault == Fault.DATA_LIST:
        bent: object = data if isinstance(data, list) else [data]
    elif fault == Fault.DATA_NULL:
        bent = None
    else:
        bend = _BENT[fault]
        bent = [bend(item) for item in data] if isinstance(data, list) else bend(data)
    return Reply(reply.status, {**reply.content, "data": bent}).encode()


def _page(status: int, title: str, headers: Headers = ()) -> Answer:
    """Answer with a web page, as the edge does when it speaks for itself."""
    body = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>"
    return Answer(status, body.encode(), (*_HTML_HEADERS, *headers))


def _unavailable() -> Answer:
    answer = backend_error(HTTPStatus.SERVICE_UNAVAILABLE, "Service unavailable").encode()
    return Answer(answer.status, answer.body, (*JSON_HEADERS, (b"retry-after", b"30")))


def _oversized() -> Answer:
    """Answer with sound JSON that nobody should read to its end."""
    return found({"output_file_name": "x" * OVERSIZED_BYTES}).encode()


_REPLACED: dict[Fault, Callable[[], Answer]] = {
    Fault.UNAUTHORIZED: lambda: gateway_error(401, *AUTHENTICATION_ERROR).encode(),
    Fault.FORBIDDEN: lambda: gateway_error(403, *AUTHENTICATION_ERROR).encode(),
    Fault.GATEWAY_NOT_FOUND: lambda: gateway_error(404, *NO_ROUTE).encode(),
    Fault.RATE_LIMITED: lambda: gateway_error(429, *RATE_LIMITED).encode(),
    # Seen once in the wild: the code of the rate limit under the status of a failure.
    Fault.RATE_LIMITED_971_AS_500: lambda: gateway_error(500, *RATE_LIMITED).encode(),
    Fault.BAD_REQUEST: lambda: backend_error(400, 'BAD_REQUEST: "id" is not valid').encode(),
    Fault.UNPROCESSABLE: lambda: backend_error(422, "Validation failed").encode(),
    Fault.SERVER_ERROR: lambda: backend_error(500, "Cannot read properties of undefined").encode(),
    Fault.BAD_GATEWAY: lambda: _page(502, "502 Bad Gateway"),
    Fault.UNAVAILABLE: _unavailable,
    Fault.CLOUDFLARE_520: lambda: _page(520, "520: Web server is returning an unknown error"),
    Fault.HTML: lambda: _page(200, "Just a moment..."),
    Fault.EMPTY: lambda: Answer(200, b""),
    Fault.NO_CONTENT: lambda: Answer(204, b"", ()),
    Fault.NOT_JSON: lambda: Answer(200, b'{"success": true, "data": {'),
    Fault.SUCCESS_FALSE: lambda: Reply(
        200, {"success": False, "error": {"code": 500, "message": "Internal error"}}
    ).encode(),
    Fault.SUCCESS_FALSE_ERRORS: lambda: gateway_error(200, 10013, "Internal error").encode(),
    Fault.OVERSIZED: _oversized,
    Fault.REDIRECT: lambda: _page(
        302, "302 Found", ((b"location", b"https://login.example.com/"),)
    ),
}


def _garble(data: object) -> object:
    """Spoil every field that the endpoint's page lets be absent or null."""
    return {
        **cast("JsonObject", data),
        "audio_download_url": True,
        "download_url": [["nested"], [[]]],
        "download_url_expiry": "soon",
        "file_size": -1,
        "session_id": [[["nested"]]],
        "started_time": True,
        "stopped_time": {"at": "soon"},
        # JSON allows it, a float cannot hold it.
        "recording_duration": msgspec.Raw(b"1e999"),
    }


def _rename_status(data: object) -> object:
    """Give a status that no documentation knows."""
    return {**cast("JsonObject", data), "status": "TRANSCODING"}


def _restyle(data: object) -> object:
    """Write the same times and size in other ways that ISO 8601 or older samples have."""
    fields = dict(cast("JsonObject", data))
    for name, style in _STYLES.items():
        value = fields.get(name)
        if isinstance(value, str):
            fields[name] = style(value)
    if fields.get("file_size") is not None:
        fields["file_size"] = str(fields["file_size"])
    return fields


def _with_blank(timestamp: str) -> str:
    """Write a blank instead of the T, and six digits, as the vendor's webhook samples do."""
    return timestamp.replace("T", " ").replace("Z", "000Z")


def _with_offset(timestamp: str) -> str:
    """Write the same moment as seen two hours east."""
    east = timezone(timedelta(hours=2))
    return datetime.fromisoformat(timestamp).astimezone(east).isoformat()


def _with_nanoseconds(timestamp: str) -> str:
    """Write nine fraction digits."""
    return timestamp.replace("Z", "000000Z")


_STYLES: dict[str, Callable[[str], str]] = {
    "invoked_time": _with_blank,
    "started_time": _with_offset,
    "stopped_time": _with_nanoseconds,
    "download_url_expiry": _with_blank,
}

_BENT: dict[Fault, Callable[[object], object]] = {
    Fault.GARBAGE_FIELDS: _garble,
    Fault.UNKNOWN_STATUS: _rename_status,
    Fault.ODD_TIMESTAMPS: _restyle,
}

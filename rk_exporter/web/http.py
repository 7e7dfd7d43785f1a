"""HTTP requests and responses, between ASGI and the pages."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApplication = Callable[[Scope, Receive, Send], Awaitable[None]]
# A slow reader keeps no more than this in the server's memory.
_SLICE_BYTES = 64 * 1024
_MOST_PARAMETERS = 20
WEBHOOK_PATH = "/webhooks/realtimekit"
"""The path of events, on a listener of its own."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request without its body; *path* is decoded and has no empty segments."""

    method: str
    path: str
    query: Mapping[str, str]
    """The first value of each query parameter."""
    headers: Mapping[str, str]
    """Values by lower-case name; repeated headers are one list (RFC 9110, 5.3)."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def line(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response of one line of text."""
    return Response(status, f"{text}\n".encode(), headers=headers or {})


def parse_request(scope: Scope) -> Request | None:
    """Return the request in an ASGI *scope*; None if its target is malformed (RFC 9112, 3.2)."""
    path = _path(scope["raw_path"].decode("latin-1"))
    if path is None:
        return None
    return Request(
        method=scope["method"],
        path=path,
        query=_query(scope["query_string"].decode("latin-1")),
        headers=_headers(scope["headers"]),
    )


async def send_response(response: Response, send: Send, *, with_body: bool) -> None:
    """Send *response* in slices; without its body if the request was a HEAD."""
    headers = {
        "Content-Type": response.content_type,
        "X-Content-Type-Options": "nosniff",
        **response.headers,
    }
    if response.body:
        headers["Content-Length"] = str(len(response.body))
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    body = response.body if with_body else b""
    for begin in range(0, len(body), _SLICE_BYTES):
        piece = body[begin : begin + _SLICE_BYTES]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _path(target: str) -> str | None:
    """
    Return the decoded path of a request's target; None if that is malformed.

    The target may be a whole URL, as proxies send it. Empty segments do not count, so that
    `/metrics/` and `//metrics` are `/metrics`.
    """
    if not target.startswith("/"):
        try:
            url = urlsplit(target)
            is_valid = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        except ValueError:
            return None
        if not is_valid:
            return None
        target = url.path
    return f"/{'/'.join(filter(None, unquote(target).split('/')))}"


def _query(text: str) -> dict[str, str]:
    """Return the first value of each parameter; none if there are too many."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return {name: ", ".join(parts) for name, parts in values.items()}

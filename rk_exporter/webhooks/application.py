"""The ASGI application that RealtimeKit sends its events to."""

import asyncio

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from rk_exporter.web.application import or_internal_error
from rk_exporter.web.http import (
    WEBHOOK_PATH,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    line,
    parse_request,
    send_response,
)
from rk_exporter.webhooks.receiver import Result


MAX_REQUESTS = 16
"""How many requests are answered in parallel."""
LARGEST_BODY_BYTES = 64 * 1024
BODY_SECONDS = 5.0
_CLOSE = {"Connection": "close"}
RESPONSES = {
    Result.ACCEPTED: (200, "accepted"),
    Result.DUPLICATE: (200, "accepted before"),
    # No failure: after many of those, RealtimeKit may send less.
    Result.UNKNOWN_MEETING: (200, "ignored: this exporter does not read the meeting"),
    Result.BAD_SIGNATURE: (403, "the signature in rtk-signature is missing or wrong"),
    Result.MALFORMED: (400, "expected JSON with an event"),
    # RealtimeKit repeats an event after a 5xx.
    Result.NO_KEY: (503, "the public key is not available; try again"),
}


class _BodyTooLarge(Exception):
    """The body of a request is larger than that of any event."""


class _ClientGone(Exception):
    """The client has closed the connection."""


@dataclass(frozen=True, slots=True)
class WebhookApplication:
    """Answers one path; *take* gets the headers and the body of each event."""

    take: Callable[[Mapping[str, str], bytes], Awaitable[Result]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; an ASGI server calls this."""
        response = await or_internal_error(self._respond(scope, receive))
        await send_response(response, send, with_body=scope["method"] != "HEAD")

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        request = parse_request(scope)
        if request is None:
            return line(400, "malformed request target")
        if refusal := _refusal(request):
            return refusal
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read(receive)
        except _BodyTooLarge:
            return line(413, "the body is larger than 64 KiB", _CLOSE)
        except TimeoutError:
            return line(408, f"the body must arrive within {BODY_SECONDS:.0f} s", _CLOSE)
        except _ClientGone:
            return line(400, "incomplete request", _CLOSE)
        status, text = RESPONSES[await self.take(request.headers, body)]
        return line(status, text)


def _refusal(request: Request) -> Response | None:
    """Return the answer to a request that is refused before its body is read."""
    if request.path != WEBHOOK_PATH:
        return line(404, f"not found; events are sent to {WEBHOOK_PATH}", _CLOSE)
    if request.method != "POST":
        return line(405, "use POST", {"Allow": "POST", **_CLOSE})
    length = request.headers.get("content-length") or "0"
    if not length.isdecimal() or int(length) > LARGEST_BODY_BYTES:
        return line(413, "the body is larger than 64 KiB", _CLOSE)
    return None


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGone
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY_BYTES:
            raise _BodyTooLarge
        if not message.get("more_body"):
            return bytes(body)

"""The ASGI application: finds the page of a request, and is the boundary of its errors."""

import logging

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from rk_exporter.runtime.tracebacks import redacted_traceback
from rk_exporter.web.http import (
    Receive,
    Request,
    Response,
    Scope,
    Send,
    line,
    parse_request,
    send_response,
)


T = TypeVar("T")
logger = logging.getLogger(__name__)
READING = ("GET", "HEAD")
# No path takes a body; a small one is ignored.
_LARGEST_REQUEST_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Route:
    """What answers the requests to a path, and with which methods."""

    answer: Callable[[Request], Awaitable[Response]]
    methods: tuple[str, ...] = READING


async def or_internal_error(answer: Awaitable[T]) -> T | Response:
    """Return what *answer* returns; if a bug prevents that, log it and return a response."""
    try:
        return await answer
    except Exception as error:  # noqa: BLE001 # the boundary of a request
        # The server would print the traceback and close the connection without a response.
        logger.error(  # noqa: TRY400 # `exception` would log messages and values
            "request failed", extra={"traceback": redacted_traceback(error)}
        )
        return line(500, "internal error; see the exporter's log")


@dataclass(eq=False, repr=False)
class Application:
    """
    Answers HTTP requests with the page that *routes* has for their path.

    Links on pages begin with *link_prefix*.
    """

    routes: Mapping[str, Route]
    link_prefix: str = ""

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request; an ASGI server calls this."""
        response = await or_internal_error(self._respond(parse_request(scope)))
        await send_response(response, send, with_body=scope["method"] != "HEAD")

    async def _respond(self, request: Request | None) -> Response:
        if request is None:
            return line(400, "malformed request target")
        route = self.routes.get(request.path)
        if route is None:
            return line(404, f"not found; see {self.link_prefix}/ for the available pages")
        if request.method not in route.methods:
            methods = ", ".join(route.methods)
            return line(405, f"use {route.methods[0]}", {"Allow": methods})
        length = request.headers.get("content-length") or "0"
        if not length.isdecimal() or int(length) > _LARGEST_REQUEST_BODY_BYTES:
            return line(413, "send no body", {"Connection": "close"})
        return await route.answer(request)

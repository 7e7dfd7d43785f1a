"""
Responses and their envelopes.

RealtimeKit reports a singular `error`; Cloudflare's gateway in front of it reports `errors`.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

import msgspec


JsonObject: TypeAlias = dict[str, object]
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

HTML_HEADERS: Headers = ((b"content-type", b"text/html"),)
JSON_HEADERS: Headers = ((b"content-type", b"application/json"),)

AUTHENTICATION_ERROR = (10000, "Authentication error")
RATE_LIMITED = (971, "Please wait and consider throttling your request speed")
NO_ROUTE = (7003, "No route for the URI")
METHOD_NOT_ALLOWED = (10405, "Method not allowed for this authentication scheme")


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, without the headers that are common to all responses."""

    status: int
    body: bytes
    headers: Headers = JSON_HEADERS


@dataclass(frozen=True, slots=True)
class JsonResponse:
    """A response whose content is still a JSON object, so that faults can change it."""

    status: int
    content: JsonObject

    def encode(self) -> Response:
        """Encode the content."""
        return Response(self.status, msgspec.json.encode(self.content))


def success(data: object, paging: JsonObject | None = None) -> JsonResponse:
    """Return *data*, for lists together with their *paging*."""
    content: JsonObject = {"success": True, "data": data}
    if paging is not None:
        content["paging"] = paging
    return JsonResponse(HTTPStatus.OK, content)


def backend_error(status: int, message: str) -> JsonResponse:
    """Return an error of RealtimeKit itself."""
    error = {"code": status, "message": message}
    return JsonResponse(status, {"success": False, "error": error})


def gateway_error(status: int, code: int, message: str, **details: object) -> JsonResponse:
    """Return an error of Cloudflare's API gateway, in the v4 envelope."""
    error: JsonObject = {"code": code, "message": message, **details}
    content: JsonObject = {"success": False, "errors": [error], "messages": [], "result": None}
    return JsonResponse(status, content)

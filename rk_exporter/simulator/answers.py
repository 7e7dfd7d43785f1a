"""
Answers and their envelopes.

RealtimeKit speaks with a singular `error`, Cloudflare's gateway in front of it with `errors`.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

import msgspec


JsonObject: TypeAlias = dict[str, object]
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

JSON_HEADERS: Headers = ((b"content-type", b"application/json"),)

AUTHENTICATION_ERROR = (10000, "Authentication error")
RATE_LIMITED = (971, "Please wait and consider throttling your request speed")
NO_ROUTE = (7003, "No route for the URI")
METHOD_NOT_ALLOWED = (10405, "Method not allowed for this authentication scheme")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, complete but for the headers that every answer has."""

    status: int
    body: bytes
    headers: Headers = JSON_HEADERS


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint says: a *status* and a JSON object that faults may still bend."""

    status: int
    content: JsonObject

    def encode(self) -> Answer:
        """Turn it into bytes."""
        return Answer(self.status, msgspec.json.encode(self.content))


def found(data: object, paging: JsonObject | None = None) -> Reply:
    """Answer with *data*; lists have *paging* beside it."""
    content: JsonObject = {"success": True, "data": data}
    if paging is not None:
        content["paging"] = paging
    return Reply(HTTPStatus.OK, content)


def backend_error(status: int, message: str) -> Reply:
    """Answer as RealtimeKit itself does when it cannot serve a request."""
    return Reply(status, {"success": False, "error": {"code": status, "message": message}})


def gateway_error(status: int, code: int, message: str, **details: object) -> Reply:
    """Answer as Cloudflare's API gateway does, with the v4 envelope."""
    error: JsonObject = {"code": code, "message": message, **details}
    return Reply(status, {"success": False, "errors": [error], "messages": [], "result": None})

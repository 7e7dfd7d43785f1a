"""Answers of an API to the questions of `check --probe`."""

import json

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rk_exporter.api.connection import Answer
from rk_exporter.api.replies import Reply


NO_HEADERS: Mapping[str, str] = {}
ENDED: dict[str, Any] = {"success": False, "error": {"code": 404, "message": "none"}}
NO_ROUTE: dict[str, Any] = {"success": False, "errors": [{"code": 7003, "message": "no route"}]}


def iso(unix_seconds: float) -> str:
    """Return a moment as the API writes it."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat()


def item(
    recording_id: str = "r-1",
    *,
    status: str = "UPLOADED",
    meeting: str = "m-1",
    invoked: float | None = None,
    created: float | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Return a recording in a list; the moments are in unix seconds."""
    reference = {"id": meeting} | ({} if created is None else {"created_at": iso(created)})
    moment = {} if invoked is None else {"invoked_time": iso(invoked)}
    return {"id": recording_id, "status": status, "meeting": reference, **moment, **fields}


def success(data: Any, **beside: Any) -> dict[str, Any]:
    """Return the body of a success."""
    return {"success": True, "data": data, **beside}


def page(*items: Any, total: int | None = None) -> dict[str, Any]:
    """Return the body of a page of a list that has *total* items."""
    if total is None:
        return success(items)
    return success(items, paging={"total_count": total, "end_offset": len(items)})


def answer(body: Any, status: int = 200, headers: Mapping[str, str] = NO_HEADERS) -> Answer:
    """Return an answer."""
    return Answer(status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)


def reply(
    body: Any = b"",
    status: int = 200,
    headers: Mapping[str, str] = NO_HEADERS,
    *,
    endpoint: str = "recordings",
    answered_at: float = 0.0,
) -> Reply:
    """Return an answer as the probe keeps it."""
    return Reply.of(endpoint, answer(body, status, headers), answered_at)

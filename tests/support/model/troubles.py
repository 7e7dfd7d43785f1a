"""What can be wrong with the API of one app, or with the answers about one of its meetings."""

import json

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from rk_exporter.simulator import Fault


class Trouble(StrEnum):
    """The kinds of trouble; those with the name of a `Fault` are made by the simulator."""

    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    UNAVAILABLE = "unavailable"
    HTML = "html"
    NOT_JSON = "not_json"
    EMPTY = "empty"
    SUCCESS_FALSE = "success_false"
    UNPROCESSABLE = "unprocessable"
    GATEWAY_NOT_FOUND = "gateway_not_found"
    GARBAGE_FIELDS = "garbage_fields"
    ODD_TIMESTAMPS = "odd_timestamps"
    UNKNOWN_STATUS = "unknown_status"
    RATE_LIMITED = "rate_limited"
    UNAUTHORIZED = "unauthorized"
    HANG = "hang"
    RETRY_LATER = "retry later"
    """429 with a Retry-After."""
    REFUSED = "refused"
    """No connection."""
    RESET = "reset"
    """The connection breaks instead of an answer."""
    SLOW = "slow"
    """The correct answer, 3 s after it was made."""
    CUT_LISTS = "cut lists"
    """Lists lack every second item, although their number is right."""


RETRY_AFTER_SECONDS = 40
_SLOW_SECONDS = 3.0
_SIMULATED = frozenset(Fault)
LYING = frozenset({Trouble.CUT_LISTS, Trouble.UNKNOWN_STATUS, Trouble.GARBAGE_FIELDS})
"""Kinds with which calls succeed, but say less than the truth."""
_LIST_SECONDS = 60.0
_RETRY_SECONDS = 10.0
_ALONE_SECONDS = 120.0
HARMLESS = frozenset({Trouble.ODD_TIMESTAMPS})
"""Kinds that say the truth in another way."""
SUCCEEDING = LYING | HARMLESS | {Trouble.SLOW}
"""Kinds with which calls may succeed."""
SHARED = frozenset({Trouble.RATE_LIMITED, Trouble.RETRY_LATER, Trouble.REFUSED})
"""Kinds that concern all apps of a user: calls are limited together, to the same host."""
ALONE = (
    Trouble.SERVER_ERROR,
    Trouble.HTML,
    Trouble.NOT_JSON,
    Trouble.SUCCESS_FALSE,
    Trouble.UNPROCESSABLE,
    Trouble.GARBAGE_FIELDS,
    Trouble.HANG,
)
"""Kinds that may happen to the calls about one meeting alone."""


@dataclass(frozen=True, slots=True)
class Troubled:
    """A *trouble* with all calls about an app, or only with those about one meeting."""

    trouble: Trouble
    meeting_id: str | None = None

    @property
    def fault(self) -> Fault | None:
        """Return the fault of the simulator that makes this trouble."""
        return Fault(self.trouble.value) if self.trouble.value in _SIMULATED else None

    @property
    def recovery_seconds(self) -> float:
        """Return how long after its end an exposition may still be wrong."""
        if self.meeting_id:
            return _ALONE_SECONDS
        if self.trouble in LYING:
            # What was told to have ended is looked at again in the app's list.
            return _LIST_SECONDS
        return _RETRY_SECONDS if self.trouble is Trouble.REFUSED else 0.0

    @property
    def delay_seconds(self) -> float:
        """Return how long an answer is under way."""
        return _SLOW_SECONDS if self.trouble is Trouble.SLOW else 0.0

    def before(self) -> httpx.Response | None:
        """Return the answer that replaces the right one; raise what a connection raises."""
        if self.trouble is Trouble.REFUSED:
            raise httpx.ConnectError("refused")
        if self.trouble is Trouble.RESET:
            raise httpx.ReadError("reset")
        if self.trouble is Trouble.RETRY_LATER:
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            return httpx.Response(429, headers=headers, content=b"{}")
        return None

    def after(self, body: bytes) -> bytes:
        """Return what is left of the right answer."""
        if self.trouble is not Trouble.CUT_LISTS:
            return body
        content: Any = json.loads(body)
        if isinstance(content.get("data"), list):
            content["data"] = content["data"][::2]
        return json.dumps(content).encode()

"""Faults that can be injected into calls."""

from dataclasses import dataclass
from enum import StrEnum

from rk_exporter.simulator.api.responses import JsonObject


class Fault(StrEnum):
    """The kinds of faults."""

    UNAUTHORIZED = "unauthorized"
    """401 from the gateway, as for an invalid token."""
    FORBIDDEN = "forbidden"
    """403 from the gateway, as for a token without the permission."""
    GATEWAY_NOT_FOUND = "gateway_not_found"
    """404 from the gateway, as for an unknown path."""
    RATE_LIMITED = "rate_limited"
    """429 with code 971 and without Retry-After."""
    RATE_LIMITED_971_AS_500 = "rate_limited_971_as_500"
    """500 with code 971, the code of the rate limit."""
    BAD_REQUEST = "bad_request"
    """400 from RealtimeKit."""
    UNPROCESSABLE = "unprocessable"
    """422 from RealtimeKit."""
    SERVER_ERROR = "server_error"
    """500 from RealtimeKit."""
    BAD_GATEWAY = "bad_gateway"
    """502 with an HTML page."""
    UNAVAILABLE = "unavailable"
    """503 with Retry-After: 30."""
    CLOUDFLARE_520 = "cloudflare_520"
    """520 with an HTML page."""
    HTML = "html"
    """200 with an HTML page instead of JSON."""
    EMPTY = "empty"
    """200 with an empty body."""
    NO_CONTENT = "no_content"
    """204 without a body."""
    NOT_JSON = "not_json"
    """200 with incomplete JSON."""
    SUCCESS_FALSE = "success_false"
    """200 with `success: false` and RealtimeKit's `error`."""
    SUCCESS_FALSE_ERRORS = "success_false_errors"
    """200 with `success: false` and the gateway's `errors`."""
    OVERSIZED = "oversized"
    """200 with valid JSON of more than 2 MiB."""
    REDIRECT = "redirect"
    """302 to another host, which must not get the token."""
    TRUNCATED = "truncated"
    """The correct response, but the connection closes after half of the body."""
    HANG = "hang"
    """No response until the client disconnects."""
    GARBAGE_FIELDS = "garbage_fields"
    """The correct response with invalid values in all optional fields."""
    HALF_CHARACTER = "half_character"
    """The correct response with a text that ends in the middle of a character."""
    UNKNOWN_STATUS = "unknown_status"
    """The correct response with the undocumented status TRANSCODING."""
    DATA_LIST = "data_list"
    """The correct response with a list in `data` instead of an object."""
    ODD_TIMESTAMPS = "odd_timestamps"
    """The correct response with timestamps and file size in other valid formats."""
    DATA_NULL = "data_null"
    """The correct response with null in `data`."""


ALL_MEETINGS = "*"


@dataclass(slots=True)
class InjectedFault:
    """A fault and the number of calls that are still affected; None means all calls."""

    fault: Fault
    times: int | None


class FaultRegistry:
    """The injected faults by meeting id, one for each meeting."""

    def __init__(self) -> None:
        self._injected: dict[str, InjectedFault] = {}

    def inject(self, meeting_id: str, fault: Fault, times: int | None = None) -> None:
        """Make all calls, or the next *times* calls, about a meeting or `ALL_MEETINGS` fail."""
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, not {times}")
        self._injected[meeting_id] = InjectedFault(fault, times)

    def clear(self, meeting_id: str | None = None) -> None:
        """Remove the fault of a meeting, or all faults."""
        if meeting_id is None:
            self._injected.clear()
        else:
            self._injected.pop(meeting_id, None)

    def take(self, meeting_id: str | None) -> Fault | None:
        """Return the fault for a call about a meeting (None: about several) and count it."""
        for key in (meeting_id, ALL_MEETINGS):
            injected = self._injected.get(key) if key is not None else None
            if key is None or injected is None:
                continue
            if injected.times is not None:
                injected.times -= 1
                if injected.times == 0:
                    del self._injected[key]
            return injected.fault
        return None

    def content(self) -> JsonObject:
        """Return the injected faults as a JSON object."""
        return {
            meeting_id: {"kind": injected.fault, "times": injected.times}
            for meeting_id, injected in self._injected.items()
        }

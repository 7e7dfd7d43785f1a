"""
A line of level debug for each call: its subject, its result, and the meaning of the answer.

The lines have no token, no body and no text from an answer, because answers contain download URLs.
"""

import logging

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from rk_exporter.api.endpoints import ACTIVE_RECORDING, MEETING, NO_STATUS, RECORDING
from rk_exporter.api.results import Page
from rk_exporter.model.errors import ApiError
from rk_exporter.model.recording import Recording
from rk_exporter.ratelimit.status import RateLimitPolicy


logger = logging.getLogger(__name__)
# The field for the id at the end of a path.
_SUBJECTS = {
    ACTIVE_RECORDING: "meeting_id",
    MEETING: "meeting_id",
    RECORDING: "recording_id",
}


@dataclass(slots=True)
class CallTrace:
    """One call while it is made, perhaps in two attempts; the values are those of the last one."""

    endpoint: str
    path: str
    """The path below the app's, with the query."""
    attempts: int = 0
    code: str = NO_STATUS
    duration_seconds: float = 0.0
    ratelimit_remaining: int | None = None
    """The calls left, as the answer reports them."""

    def observe(self, policies: Iterable[RateLimitPolicy]) -> None:
        """Take in the rate limit that the answer reports."""
        self.ratelimit_remaining = min((policy.remaining for policy in policies), default=None)


class CallLog:
    """Logs the calls about one app or account, which *subject* names."""

    def __init__(self, subject: Mapping[str, str]) -> None:
        self._subject = subject

    def succeeded(self, trace: CallTrace, value: object) -> None:
        """Log a call, and what its answer says."""
        if logger.isEnabledFor(logging.DEBUG):
            self._log(trace, _learnt(trace.endpoint, value))

    def failed(self, trace: CallTrace, error: ApiError) -> None:
        """Log a failed call, or one that would fail like those before it."""
        if logger.isEnabledFor(logging.DEBUG):
            not_made = "" if trace.attempts else "not made: "
            self._log(trace, f"{not_made}{error}", error.reason)

    def postponed(self, trace: CallTrace) -> None:
        """Log a call that was not made."""
        if logger.isEnabledFor(logging.DEBUG):
            self._log(trace, "not made: the rate limiter would let it wait for too long")

    def _log(self, trace: CallTrace, learnt: str, reason: str | None = None) -> None:
        path, _, query = trace.path.partition("?")
        fields: dict[str, object] = {**self._subject, "endpoint": trace.endpoint}
        if subject := _SUBJECTS.get(trace.endpoint):
            fields[subject] = unquote(path.rpartition("/")[2])
        if query:
            fields["query"] = query
        fields |= {
            "code": trace.code,
            "duration_seconds": round(trace.duration_seconds, 3),
            "attempts": trace.attempts,
        }
        if trace.ratelimit_remaining is not None:
            fields["ratelimit_remaining"] = trace.ratelimit_remaining
        if reason is not None:
            fields["reason"] = str(reason)
        logger.debug("API call: %s", learnt, extra=fields)


def _learnt(endpoint: str, value: object) -> str:
    """Return in words what the *value* of an answer means."""
    match value:
        case Recording(status=status):
            return f"recording {status}"
        case Page(items=items, paging=paging):
            total = f" of {paging.total_count}" if paging else ""
            return f"{len(items)}{total} {endpoint}"
        case () if endpoint == ACTIVE_RECORDING:
            return "no active recording"
        case (Recording(status=status),):
            return f"active recording {status}"
        case (Recording(), *_) if isinstance(value, tuple):
            return f"{len(value)} active recordings: {', '.join(item.status for item in value)}"
        case None if endpoint == RECORDING:
            return "no such recording"
        case bool() if endpoint == MEETING:
            return f"recorded from its start on: {'yes' if value else 'no'}"
        case _:
            return "answered"

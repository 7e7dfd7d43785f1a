"""The clock of the API, which its timestamps follow, estimated from Date headers."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def http_date(text: str) -> datetime | None:
    """Return the moment of an HTTP date (RFC 9110, 5.6.7), or None if *text* is not a date."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# A Date is cut to whole seconds, and its answer takes some time to arrive.
_HALF_A_SECOND = 0.5
_ROUNDING_SECONDS = 2.0
# An even larger offset means a wrong header, not a wrong clock.
_LARGEST_OFFSET_SECONDS = 30 * 86_400.0


class ServerClock:
    """The API's time: this machine's *clock* (unix seconds) plus an offset."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.offset_seconds = 0.0
        """How far the API's clock is ahead; 0 if the difference may be rounding."""

    def __call__(self) -> float:
        """Return the API's time in unix seconds."""
        return self._clock() + self.offset_seconds

    def observe(self, date: str | None) -> None:
        """Learn from the Date header of an answer that has just arrived (RFC 9110, 6.6.1)."""
        moment = http_date(date.strip()) if date else None
        if moment is None:
            return
        offset = moment.timestamp() + _HALF_A_SECOND - self._clock()
        has_moved = abs(offset - self.offset_seconds) > _ROUNDING_SECONDS
        if has_moved and abs(offset) <= _LARGEST_OFFSET_SECONDS:
            self.offset_seconds = offset if abs(offset) > _ROUNDING_SECONDS else 0.0

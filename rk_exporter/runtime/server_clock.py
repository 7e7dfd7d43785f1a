"""The API's clock, told by the Date of its answers: what it timestamps is by that one."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def http_date(text: str) -> datetime | None:
    """Return the moment that an HTTP date names (RFC 9110, 5.6.7), None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# A Date is cut to whole seconds, and takes a moment to arrive.
_HALF_A_SECOND = 0.5
_ROUNDING_SECONDS = 2.0
# A Date that is further away is no clock that is wrong, but a Date that is.
_LARGEST_OFFSET_SECONDS = 30 * 86_400.0


class ServerClock:
    """The API's time: that of this machine, *clock* (unix seconds), put right by an offset."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.offset_seconds = 0.0
        """By how much the API is ahead; 0 where that is no more than rounding."""

    def __call__(self) -> float:
        """Return the API's time in unix seconds."""
        return self._clock() + self.offset_seconds

    def observe(self, date: str | None) -> None:
        """Take in the *date* header of an answer that came just now (RFC 9110, 6.6.1)."""
        moment = http_date(date.strip()) if date else None
        if moment is None:
            return
        offset = moment.timestamp() + _HALF_A_SECOND - self._clock()
        has_moved = abs(offset - self.offset_seconds) > _ROUNDING_SECONDS
        if has_moved and abs(offset) <= _LARGEST_OFFSET_SECONDS:
            self.offset_seconds = offset if abs(offset) > _ROUNDING_SECONDS else 0.0

"""The clock of the API, which its timestamps follow, estimated from Date headers."""

import re

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from rk_exporter.runtime.clock import Clock


_AGE = re.compile(r"[0-9]{1,9}", re.ASCII)


def http_date(text: str) -> datetime | None:
    """Return the moment of an HTTP date (RFC 9110, 5.6.7), or None if *text* is not a date."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def age_seconds(text: str | None) -> float:
    """Return how long a cache has stored an answer with this Age (RFC 9111, 5.1)."""
    # What `strip` removes is more than `float` accepts around a number.
    number = (text or "").strip()
    return float(number) if _AGE.fullmatch(number) else 0.0


# Smaller differences may be rounding.
_ROUNDING_SECONDS = 2.0
# A Date and an Age are cut to whole seconds.
_RESOLUTION_SECONDS = 1.0
# An even larger offset means a wrong header, not a wrong clock.
_LARGEST_OFFSET_SECONDS = 30 * 86_400.0
# An offset that differs from the known one must be confirmed by as many answers in a row, over a
# while: caches return many old answers at the same moment.
_CONFIRMATIONS = 3
_CONFIRMED_AFTER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The offsets that some *answers* in a row allow; the first answer came at *since*."""

    lowest: float
    highest: float
    since: float
    answers: int = 1

    def agrees_with(self, offset: float) -> bool:
        return self.lowest - _ROUNDING_SECONDS <= offset <= self.highest + _ROUNDING_SECONDS

    def confirmed_by(self, later: "_Evidence") -> "_Evidence":
        """Return the evidence of both, or only *later* if they contradict each other."""
        lowest, highest = max(self.lowest, later.lowest), min(self.highest, later.highest)
        if lowest > highest or later.since < self.since:
            return later
        return _Evidence(lowest, highest, self.since, self.answers + 1)

    def is_sure_at(self, moment: float) -> bool:
        """Return whether there were enough answers over a while."""
        lasted_seconds = moment - self.since
        return self.answers >= _CONFIRMATIONS and lasted_seconds >= _CONFIRMED_AFTER_SECONDS

    @property
    def offset(self) -> float:
        """Return the most likely offset; 0 if the difference may be rounding."""
        middle = (self.lowest + self.highest) / 2
        return middle if abs(middle) > _ROUNDING_SECONDS else 0.0


class ServerClock:
    """The API's time: the wall time of this machine's *clock* (unix seconds) plus an offset."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset_seconds = 0.0
        """How far the API's clock is ahead; 0 if the difference may be rounding."""
        self._known: _Evidence | None = None
        self._contradiction: _Evidence | None = None
        # The earliest that the API's time could be at the last answer, and the monotonic time then.
        self._earliest: tuple[float, float] | None = None

    def __call__(self) -> float:
        """Return the API's time in unix seconds."""
        return self._clock.wall() + self.offset_seconds

    def earliest(self) -> float:
        """
        Return the earliest that the API's time may be, for what cannot be taken back.

        This machine's clock may be wrong for a moment, so monotonic time counts since the last
        answer that agreed with it. A single answer may have a wrong date, so the earlier one of
        both clocks counts until several answers have agreed.
        """
        if self._earliest is None:
            return min(self._clock.wall(), self())
        api_time, answered_at = self._earliest
        return api_time + self._clock.monotonic() - answered_at

    def earliest_at(self, moment: float) -> float:
        """Return the earliest that the API's time may have been at a *moment* (monotonic)."""
        return self.earliest() - (self._clock.monotonic() - moment)

    def observe(self, date: str | None, *, age: str | None = None, took_seconds: float) -> None:
        """
        Learn from an answer that has just arrived, *took_seconds* after its request.

        Its Date is when it was made (RFC 9110, 6.6.1). If a cache has stored the answer, its Age is
        how long ago that was (RFC 9111, 5.1). An offset that contradicts the known one counts only
        if later answers confirm it, because a cache may send no Age.
        """
        evidence = self._evidence(date, age, took_seconds)
        if evidence is None:
            return
        if self._known is None:
            self._known, self.offset_seconds = evidence, evidence.offset
        elif evidence.agrees_with(self.offset_seconds):
            self._known = replace(self._known, answers=self._known.answers + 1)
        else:
            before = self._contradiction
            self._contradiction = before.confirmed_by(evidence) if before else evidence
            if not self._contradiction.is_sure_at(self._clock.wall()):
                return
            self._known, self.offset_seconds = self._contradiction, self._contradiction.offset
        self._contradiction = None
        wall = self._clock.wall()
        api_time = self() if self._known.is_sure_at(wall) else min(wall, self())
        self._earliest = api_time, self._clock.monotonic()

    def _evidence(self, date: str | None, age: str | None, took_seconds: float) -> _Evidence | None:
        """Return which offsets an answer allows; None if it says nothing."""
        moment = http_date(date.strip()) if date else None
        if moment is None:
            return None
        arrived_at, stored_seconds = self._clock.wall(), age_seconds(age)
        resolution = 2 * _RESOLUTION_SECONDS if stored_seconds else _RESOLUTION_SECONDS
        lowest = moment.timestamp() + stored_seconds - arrived_at
        evidence = _Evidence(lowest, lowest + took_seconds + resolution, arrived_at)
        return evidence if abs(evidence.offset) <= _LARGEST_OFFSET_SECONDS else None

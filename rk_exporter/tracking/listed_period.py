"""Until when an app's list of recordings was seen, and which recordings that makes inherited."""

from typing import NamedTuple

from rk_exporter.model.recording import Recording
from rk_exporter.runtime.server_clock import ServerClock


# How exactly the API's time is known: a Date has whole seconds, and an answer takes a while.
_CLOCK_SECONDS = 5.0


class _Beginning(NamedTuple):
    """A *moment* of monotonic time, when that was by the API's clock, and the newest recording."""

    moment: float
    at: float
    newest_at: float


class ListedPeriod:
    """
    The time whose recordings were all seen in the list; times are unix seconds of the API.

    An earlier process has seen those invoked *until* then; None if there was none. Otherwise
    counting begins with the first page of the first list. What is older does not count as new if
    only a later list has it: the first one may be empty or old by mistake.
    """

    def __init__(self, until: float | None, clock: ServerClock) -> None:
        self._clock = clock
        # Recordings invoked until then were counted by an earlier process.
        self._saved_until = until
        self._listed_until = 0.0
        self._beginning: _Beginning | None = None
        self._is_restoring = until is None

    @property
    def until(self) -> float | None:
        """Return up to which invocation time all recordings were seen; None if never."""
        until = self._inherited_until
        return None if until is None else max(until, self._listed_until)

    def begin(self, newest_at: float, *, moment: float) -> None:
        """
        Begin to count, unless counting has begun.

        The list was requested at a *moment* of monotonic time, and its newest recording was invoked
        at *newest_at*.
        """
        if self._beginning is None:
            began_at = self._clock.earliest_at(moment)
            self._beginning = _Beginning(moment, began_at, min(newest_at, self._clock()))

    def extend(self, until: float) -> None:
        """Remember that the list has shown all recordings invoked *until* then."""
        # A time in the future must not make later recordings count as inherited.
        self._listed_until = max(min(until, self._clock()), self._listed_until)
        self._is_restoring = False

    def is_inherited(self, recording: Recording) -> bool:
        """Return whether a recording was invoked before counting began."""
        until, invoked_at = self._inherited_until, recording.invoked_timestamp_seconds
        if until is None:
            return True
        return self._is_restoring if invoked_at is None else invoked_at <= until

    @property
    def _inherited_until(self) -> float | None:
        if self._saved_until is not None or self._beginning is None:
            return self._saved_until
        # Later answers may show that the first ones had a date in the future.
        began_at = min(self._beginning.at, self._clock.earliest_at(self._beginning.moment))
        return max(self._beginning.newest_at, began_at - _CLOCK_SECONDS)

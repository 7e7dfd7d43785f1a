"""
Whether connections to the API can be opened.

While they cannot, a call would fail for the same reason as those before it. So it is not made: it
fails at once. From time to time one call tries.
"""

from rk_exporter.model.errors import ApiError, ApiTimeout, ConnectFailed, Unreachable
from rk_exporter.ratelimit.circuit_breaker import CircuitBreaker
from rk_exporter.runtime.backoff import Backoff


# No longer than between two passes, so that the first one after an outage finds its end.
PAUSE_SECONDS = 4.5
_UNREACHABLE = Backoff(first_seconds=PAUSE_SECONDS, longest_seconds=PAUSE_SECONDS)
# As many calls as an app makes at the same time: one short disturbance can break all of them.
FAILURES_UNTIL_OPEN = 8


class Reachability:
    """
    What the calls of a group show about connections; times are monotonic seconds.

    It looks only at how connections are opened. An open one that breaks, or on which no answer
    comes, may be about one meeting, and must not stop the calls for others.
    """

    def __init__(self) -> None:
        self._breaker = CircuitBreaker(_UNREACHABLE)
        self._failures = 0

    @property
    def is_lost(self) -> bool:
        """Return whether no connection could be opened the last times."""
        return not self._breaker.is_closed

    def wait_seconds(self, now: float) -> float:
        """Return how long calls fail at once: infinity while a call tries."""
        return self._breaker.wait_seconds(now)

    def check(self, now: float) -> None:
        """Raise Unreachable if a call would have to wait: for the next try, or for its end."""
        cause = self._breaker.cause
        if cause is not None and self.wait_seconds(now) > 0:
            raise Unreachable(cause)

    def start_call(self) -> bool:
        """Let a call pass that does not have to wait; return whether it tries for the others."""
        return self._breaker.start_call()

    def end_trial(self) -> None:
        """End the call that tried, whatever its result."""
        self._breaker.end_trial()

    def take_answer(self) -> None:
        """Let all calls pass, because a connection was open."""
        self._failures = 0
        if self.is_lost:
            self._breaker.close()

    def take_failure(self, error: ApiError, now: float) -> None:
        """Decide what the failure of a call means for later calls."""
        if not error.was_sent:
            self._failures += 1
            if self.is_lost or self._failures >= FAILURES_UNTIL_OPEN:
                self._breaker.open(now, cause=error.failure)
        elif error.opened_connection or not isinstance(error, ApiTimeout | ConnectFailed):
            # Silence on a connection that was open before proves nothing.
            self.take_answer()

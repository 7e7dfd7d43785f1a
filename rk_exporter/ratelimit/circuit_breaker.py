"""A circuit breaker: after refused calls it blocks all calls, then lets one call try."""

import math

from collections.abc import Iterable

from rk_exporter.model.failure import Failure
from rk_exporter.runtime.backoff import Backoff


class CircuitBreaker:
    """
    Closed at first. While it is open it blocks calls, for as long as *backoff* says.

    After that it is half-open: one call passes. The result of that trial call closes the breaker,
    or opens it for longer. All times are seconds of one monotonic clock.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._has_trial = False
        self.open_until: float | None = None
        """The end of the block; None while the breaker is closed."""
        self.opened_at: float | None = None
        """When the breaker opened; failures of trial calls since then do not count."""
        self.cause: Failure | None = None
        """The failure that opened the breaker, or the last one of a trial call."""

    def take_over(self, others: Iterable["CircuitBreaker"]) -> None:
        """Begin in the state of the one of the *others* that blocks calls for longest."""
        strictest = max(others, key=lambda other: other.open_until or -math.inf)
        self.open_until, self.opened_at = strictest.open_until, strictest.opened_at
        self.cause = strictest.cause
        self._backoff = strictest._backoff  # noqa: SLF001 # of the same class

    @property
    def is_closed(self) -> bool:
        """Return whether all calls pass."""
        return self.open_until is None

    def wait_seconds(self, now: float) -> float:
        """Return how long calls are blocked: infinity while a trial call runs."""
        if self.open_until is None:
            return 0.0
        return math.inf if self._has_trial else max(0.0, self.open_until - now)

    def start_call(self) -> bool:
        """Let a call pass that does not have to wait; return whether it is the trial call."""
        self._has_trial = not self.is_closed
        return self._has_trial

    def end_trial(self) -> None:
        """End the trial call, whatever its result."""
        self._has_trial = False

    def close(self) -> None:
        """Let all calls pass."""
        self.open_until = self.opened_at = self.cause = None
        self._backoff = self._backoff.after_success()

    def open(
        self, now: float, *, seconds: float | None = None, cause: Failure | None = None
    ) -> None:
        """
        Block all calls for *seconds*; without a number, for the delay of the back-off.

        The *cause* explains the block to people.
        """
        if self.is_closed:
            self.opened_at = now
        self.cause = cause
        # Calls that ran when the breaker opened do not count as further failures.
        if self.is_closed or self._has_trial:
            self._backoff = self._backoff.after_failure()
        until = now + (self._backoff.delay_seconds if seconds is None else seconds)
        self.open_until = max(until, self.open_until or until)

"""A gate that closes when calls are refused: after a while one call alone tries it."""

import math


class CircuitBreaker:
    """
    Open at first; once closed, it lets one call through when its time has come.

    What comes of that call decides: it opens the gate, or closes it again for longer. All times
    are seconds of one monotonic clock.
    """

    def __init__(self, *, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._closings = 0
        self._is_tried = False
        self.closed_until: float | None = None

    def wait_seconds(self, now: float) -> float:
        """Return how long the gate stays shut: 0 if not at all, infinity while it is tried."""
        if self.closed_until is None:
            return 0.0
        return math.inf if self._is_tried else max(0.0, self.closed_until - now)

    def enter(self) -> bool:
        """Let a call through that need not wait; return whether it is the one that tries."""
        self._is_tried = self.closed_until is not None
        return self._is_tried

    def leave(self) -> None:
        """End the try, whatever came of it."""
        self._is_tried = False

    def open(self) -> None:
        """Let all calls through."""
        self.closed_until = None
        self._closings = 0

    def close(self, now: float, *, seconds: float | None = None) -> None:
        """Let no call through for *seconds*, else for twice as long as the last time."""
        if self.closed_until is None or self._is_tried:
            self._closings += 1
        doubled = self._first_seconds * 2 ** min(self._closings - 1, 32)
        until = now + (min(doubled, self._longest_seconds) if seconds is None else seconds)
        self.closed_until = max(until, self.closed_until or until)

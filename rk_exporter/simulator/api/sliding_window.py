"""Count calls in a sliding window of time."""

from collections import deque


class SlidingWindow:
    """The times of the calls in the last *seconds*."""

    __slots__ = ("_seconds", "_times")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._times: deque[float] = deque()

    def add(self, now: float) -> None:
        """Add a call made at *now*."""
        self._times.append(now)

    def count(self, now: float) -> int:
        """Return the number of calls in the window that ends at *now*; forget older ones."""
        while self._times and self._times[0] <= now - self._seconds:
            self._times.popleft()
        return len(self._times)

    @property
    def oldest(self) -> float:
        """The time of the oldest call."""
        return self._times[0]

"""For how much longer readings are shown when calls were held back."""

import math


# After that, what is shown is too old whatever the reason.
_LONGEST_SECONDS = 900.0


class Hold:
    """The last time that calls were held back; its end counts for *stale_after_seconds*."""

    def __init__(self, stale_after_seconds: float) -> None:
        self._stale_after_seconds = stale_after_seconds
        self._began_at = self._ended_at = -math.inf

    def note(self, now: float, interval_seconds: float) -> None:
        """Note that calls are held back *now* (unix seconds); passes come each interval."""
        if now - self._ended_at > self._stale_after_seconds:
            self._began_at = now - interval_seconds
        self._ended_at = now

    def extra_seconds(self, now: float, interval_seconds: float) -> float:
        """Return for how much longer than usual readings are shown."""
        if now - self._ended_at > self._stale_after_seconds:
            return 0.0
        return min(self._ended_at - self._began_at, _LONGEST_SECONDS) + interval_seconds

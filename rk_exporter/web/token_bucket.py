"""The rate limit of the web configuration."""

from collections.abc import Callable


class TokenBucket:
    """Allows *burst* requests in a row, and on average one each *interval_seconds*."""

    def __init__(
        self, interval_seconds: float, burst: int, *, monotonic: Callable[[], float]
    ) -> None:
        self.rule = interval_seconds, burst
        self._monotonic = monotonic
        self._tokens = float(burst)
        self._filled_at = monotonic()

    def allow(self) -> bool:
        """Return whether a request is allowed now, and count it if it is."""
        interval_seconds, burst = self.rule
        now = self._monotonic()
        self._tokens = min(burst, self._tokens + (now - self._filled_at) / interval_seconds)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

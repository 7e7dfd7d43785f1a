"""Cloudflare's global rate limit: one call too many in five minutes blocks the next five."""

import math

from dataclasses import dataclass

from rk_exporter.simulator.api.sliding_window import SlidingWindow


@dataclass(frozen=True, slots=True)
class RateLimitDecision:
    """The decision of a rate limit about one call."""

    allowed: bool
    remaining: int
    """Calls left in the window."""
    reset_seconds: int
    """Seconds until calls become available again, rounded up."""
    policy: str
    """The name of the limit."""
    quota: int
    window_seconds: int


class RateLimit:
    """
    Allow each user *limit* calls in any *window_seconds*; then block the user for as long.

    Cloudflare's rate limit page defines the rule: "If you exceed this limit, all API calls for the
    next five minutes will be blocked, receiving a HTTP 429". The *name* identifies the limit in
    headers.
    """

    def __init__(
        self, limit: int = 1200, window_seconds: float = 300.0, name: str = "default"
    ) -> None:
        self.limit = limit
        self.window_seconds = window_seconds
        self.name = name
        self._windows: dict[str, SlidingWindow] = {}
        self._blocked_until: dict[str, float] = {}

    def acquire(self, user: str, now: float) -> RateLimitDecision:
        """Count a call made at *now*, unless it is rejected."""
        blocked_until = self._blocked_until.get(user, -math.inf)
        if now < blocked_until:
            return self._decide(allowed=False, reset_seconds=blocked_until - now)
        window = self._windows.setdefault(user, SlidingWindow(self.window_seconds))
        count = window.count(now)
        if count >= self.limit:
            self._blocked_until[user] = now + self.window_seconds
            return self._decide(allowed=False, reset_seconds=self.window_seconds)
        window.add(now)
        return self._decide(
            allowed=True,
            remaining=self.limit - count - 1,
            reset_seconds=window.oldest + self.window_seconds - now,
        )

    def _decide(
        self, *, allowed: bool, reset_seconds: float, remaining: int = 0
    ) -> RateLimitDecision:
        return RateLimitDecision(
            allowed=allowed,
            remaining=remaining,
            reset_seconds=_ceil(reset_seconds),
            policy=self.name,
            quota=self.limit,
            window_seconds=_ceil(self.window_seconds),
        )


def _ceil(seconds: float) -> int:
    """Round up to whole seconds, at least one."""
    return max(1, math.ceil(seconds))

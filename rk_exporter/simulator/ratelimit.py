"""Cloudflare's global rate limit: so many calls in five minutes, then none for five minutes."""

import math

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the limit says to one call."""

    allowed: bool
    remaining: int
    """Calls left in the window."""
    reset_seconds: int
    """Seconds until calls are given back, rounded up."""
    policy: str
    """The limit's name."""
    quota: int
    window_seconds: int


class RateLimit:
    """
    Allow each token *limit* calls in any *window_seconds*; block it as long after one more.

    The rule is on Cloudflare's rate limit page: "If you exceed this limit, all API calls for the
    next five minutes will be blocked, receiving a HTTP 429". Several limits are told apart by
    their *name*.
    """

    def __init__(
        self, limit: int = 1200, window_seconds: float = 300.0, name: str = "default"
    ) -> None:
        self.limit = limit
        self.window_seconds = window_seconds
        self.name = name
        self._calls: dict[str, deque[float]] = {}
        self._blocked_until: dict[str, float] = {}

    def ask(self, token: str, now: float) -> Verdict:
        """Count a call made at *now*, unless it is refused."""
        blocked_until = self._blocked_until.get(token, -math.inf)
        if now < blocked_until:
            return self._verdict(allowed=False, reset_seconds=blocked_until - now)
        calls = self._calls.setdefault(token, deque())
        while calls and calls[0] <= now - self.window_seconds:
            calls.popleft()
        if len(calls) >= self.limit:
            self._blocked_until[token] = now + self.window_seconds
            return self._verdict(allowed=False, reset_seconds=self.window_seconds)
        calls.append(now)
        return self._verdict(
            allowed=True,
            remaining=self.limit - len(calls),
            reset_seconds=calls[0] + self.window_seconds - now,
        )

    def _verdict(self, *, allowed: bool, reset_seconds: float, remaining: int = 0) -> Verdict:
        return Verdict(
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

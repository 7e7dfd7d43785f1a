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


class RateLimit:
    """
    Allow each token *limit* calls in any *window_seconds*; block it as long after one more.

    The rule is on Cloudflare's rate limit page: "If you exceed this limit, all API calls for the
    next five minutes will be blocked, receiving a HTTP 429".
    """

    def __init__(self, limit: int = 1200, window_seconds: float = 300.0) -> None:
        self.limit = limit
        self.window_seconds = window_seconds
        self._calls: dict[str, deque[float]] = {}
        self._blocked_until: dict[str, float] = {}

    def ask(self, token: str, now: float) -> Verdict:
        """Count a call made at *now*, unless it is refused."""
        blocked_until = self._blocked_until.get(token, -math.inf)
        if now < blocked_until:
            return Verdict(allowed=False, remaining=0, reset_seconds=_ceil(blocked_until - now))
        calls = self._calls.setdefault(token, deque())
        while calls and calls[0] <= now - self.window_seconds:
            calls.popleft()
        if len(calls) >= self.limit:
            self._blocked_until[token] = now + self.window_seconds
            wait = _ceil(self.window_seconds)
            return Verdict(allowed=False, remaining=0, reset_seconds=wait)
        calls.append(now)
        reset_seconds = _ceil(calls[0] + self.window_seconds - now)
        return Verdict(allowed=True, remaining=self.limit - len(calls), reset_seconds=reset_seconds)

    def headers(self, verdict: Verdict) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers that tell a client where it stands (same page)."""
        standing = f'"default";r={verdict.remaining};t={verdict.reset_seconds}'
        policy = f'"default";q={self.limit};w={_ceil(self.window_seconds)}'
        headers = ((b"ratelimit", standing.encode()), (b"ratelimit-policy", policy.encode()))
        if verdict.allowed:
            return headers
        return (*headers, (b"retry-after", str(verdict.reset_seconds).encode()))


def _ceil(seconds: float) -> int:
    """Round up to whole seconds, at least one."""
    return max(1, math.ceil(seconds))

"""What the simulator was asked: the proof of how sparing a client is."""

from collections import Counter, deque
from dataclasses import dataclass, field

from rk_exporter.simulator.answers import JsonObject


@dataclass(slots=True)
class RequestLog:
    """Counts of the calls under the API's prefix, refused ones included."""

    window_seconds: float = 300.0
    total: int = 0
    refused: int = 0
    """By the rate limit."""
    peak: int = 0
    """The most calls in any window, over all tokens."""
    peak_by_token: dict[str, int] = field(default_factory=dict)
    """The same of each token; left out of `content`, since a token may be somebody's real one."""
    by_endpoint: Counter[str] = field(default_factory=Counter)
    by_meeting: Counter[str] = field(default_factory=Counter)
    _window: deque[float] = field(default_factory=deque)
    _window_by_token: dict[str, deque[float]] = field(default_factory=dict)

    def count(
        self, endpoint: str, meeting_id: str | None, now: float, token: str | None = None
    ) -> None:
        """Count a call to *endpoint*, about one meeting or about none, made at *now*."""
        self.total += 1
        self.by_endpoint[endpoint] += 1
        if meeting_id is not None:
            self.by_meeting[meeting_id] += 1
        self.peak = max(self.peak, self._move(self._window, now))
        if token is not None:
            window = self._window_by_token.setdefault(token, deque())
            peak = self.peak_by_token.get(token, 0)
            self.peak_by_token[token] = max(peak, self._move(window, now))

    def _move(self, window: deque[float], now: float) -> int:
        """Let a window end with a call made at *now*, and tell how many calls are in it."""
        window.append(now)
        while window[0] <= now - self.window_seconds:
            window.popleft()
        return len(window)

    def content(self) -> JsonObject:
        """Tell the counts as JSON."""
        return {
            "total": self.total,
            "refused": self.refused,
            "peak": self.peak,
            "window_seconds": self.window_seconds,
            "by_endpoint": dict(self.by_endpoint),
            "by_meeting": dict(self.by_meeting),
        }

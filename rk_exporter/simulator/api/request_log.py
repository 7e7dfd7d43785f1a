"""The request log: it shows how many calls a client makes."""

from collections import Counter
from dataclasses import dataclass, field

from rk_exporter.simulator.api.responses import JsonObject
from rk_exporter.simulator.api.sliding_window import SlidingWindow


@dataclass(slots=True)
class RequestLog:
    """Counts of the API calls, including rejected ones."""

    window_seconds: float = 300.0
    total: int = 0
    refused: int = 0
    """Calls rejected by the rate limit."""
    peak: int = 0
    """The maximum number of calls in any window, with all tokens together."""
    peak_by_token: dict[str, int] = field(default_factory=dict)
    """The same for each token; `content` omits it because a token may be a real one."""
    by_endpoint: Counter[str] = field(default_factory=Counter)
    by_meeting: Counter[str] = field(default_factory=Counter)
    by_app: Counter[str] = field(default_factory=Counter)
    """The calls that name an app, by its id."""
    files: int = 0
    """The requests for files, which are no calls to the API."""
    _arrivals: dict[str, list[float]] = field(default_factory=dict)
    _windows: dict[str | None, SlidingWindow] = field(default_factory=dict)
    """A window for each token, and under None the window for all calls."""

    def arrive(self, user: str | None, now: float) -> None:
        """Keep the time at which a call of a known user arrived."""
        if user is not None:
            self._arrivals.setdefault(user, []).append(now)

    def busiest_window(self, seconds: float, user: str | None = None) -> int:
        """Return most calls that arrived within *seconds*, of one user or of the busiest one."""
        users = self._arrivals.values() if user is None else [self._arrivals.get(user, [])]
        return max((_busiest(sorted(times), seconds) for times in users), default=0)

    def count(
        self,
        endpoint: str,
        meeting_id: str | None,
        now: float,
        token: str | None = None,
        app_id: str = "",
    ) -> None:
        """Count a call to *endpoint* at *now*, about one meeting or none, in one app or none."""
        self.total += 1
        self.by_endpoint[endpoint] += 1
        if meeting_id is not None:
            self.by_meeting[meeting_id] += 1
        if app_id:
            self.by_app[app_id] += 1
        self.peak = max(self.peak, self._in_window(None, now))
        if token is not None:
            peak = self.peak_by_token.get(token, 0)
            self.peak_by_token[token] = max(peak, self._in_window(token, now))

    def _in_window(self, token: str | None, now: float) -> int:
        """Add a call to a window and return the number of calls in it."""
        window = self._windows.setdefault(token, SlidingWindow(self.window_seconds))
        window.add(now)
        return window.count(now)

    def content(self) -> JsonObject:
        """Return the counts as a JSON object."""
        return {
            "total": self.total,
            "refused": self.refused,
            "peak": self.peak,
            "window_seconds": self.window_seconds,
            "by_endpoint": dict(self.by_endpoint),
            "by_meeting": dict(self.by_meeting),
            "by_app": dict(self.by_app),
            "files": self.files,
        }


def _busiest(times: list[float], seconds: float) -> int:
    """Return the largest number of *times* in any window of *seconds*."""
    first = most = 0
    for last, now in enumerate(times):
        while times[first] <= now - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most

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
    by_endpoint: Counter[str] = field(default_factory=Counter)
    by_meeting: Counter[str] = field(default_factory=Counter)
    by_app: Counter[str] = field(default_factory=Counter)
    """The calls that name an app, by its id."""
    files: int = 0
    """The requests for files, which are no calls to the API."""
    _arrivals: dict[str, list[float]] = field(default_factory=dict)
    _window: SlidingWindow = field(init=False)

    def __post_init__(self) -> None:
        self._window = SlidingWindow(self.window_seconds)

    def arrive(self, user: str | None, now: float) -> None:
        """Keep the time at which a call of a known user arrived."""
        if user is not None:
            self._arrivals.setdefault(user, []).append(now)

    def busiest_window(self, seconds: float, user: str | None = None) -> int:
        """Return most calls that arrived within *seconds*, of one user or of the busiest one."""
        users = self._arrivals.values() if user is None else [self._arrivals.get(user, [])]
        return max((_busiest(sorted(times), seconds) for times in users), default=0)

    def count(self, endpoint: str, meeting_id: str | None, now: float, app_id: str = "") -> None:
        """Count a call to *endpoint* at *now*, about one meeting or none, in one app or none."""
        self.total += 1
        self.by_endpoint[endpoint] += 1
        if meeting_id is not None:
            self.by_meeting[meeting_id] += 1
        if app_id:
            self.by_app[app_id] += 1
        self._window.add(now)
        self.peak = max(self.peak, self._window.count(now))

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
        # Times are too coarse for the shortest windows, which have at least this call.
        while first < last and times[first] <= now - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most

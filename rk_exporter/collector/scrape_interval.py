"""The interval between passes, measured from the passes themselves."""

from dataclasses import dataclass, replace
from statistics import median


# Prometheus's usual interval.
USUAL_INTERVAL_SECONDS = 15.0
_LONGEST_INTERVAL_SECONDS = 300.0
_SHORTEST_INTERVAL_SECONDS = 1.0
_PASSES = 9


@dataclass(frozen=True, slots=True)
class ScrapeInterval:
    """
    The interval between passes; *starts* are when the last ones started, in monotonic seconds.

    *usual_seconds* is assumed until there are enough passes to measure.
    """

    starts: tuple[float, ...] = ()
    usual_seconds: float = USUAL_INTERVAL_SECONDS

    def observe(self, now: float) -> "ScrapeInterval":
        """Return the interval after a pass that starts *now*."""
        return replace(self, starts=(*self.starts, now)[-_PASSES:])

    @property
    def seconds(self) -> float:
        """
        Return the usual interval of the last passes, at most five minutes.

        It is the median over two intervals each, because the scrapes of two Prometheus servers
        alternate between a short and a long interval. While there are only a few passes, a short
        interval may be an extra scrape, so the result is at least the usual one.
        """
        starts = self.starts
        if len(starts) < _PASSES:
            mean = (starts[-1] - starts[0]) / (len(starts) - 1) if len(starts) > 1 else 0.0
            usual = max(mean, self.usual_seconds)
        else:
            pairs = zip(starts, starts[2:], strict=False)
            usual = median((later - earlier) / 2 for earlier, later in pairs)
        return min(max(usual, _SHORTEST_INTERVAL_SECONDS), _LONGEST_INTERVAL_SECONDS)

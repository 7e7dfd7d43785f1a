"""The interval between passes, measured from the passes themselves."""

from collections import deque
from statistics import median


# Until the rhythm of the scrapes is known, Prometheus' usual one is assumed.
USUAL_INTERVAL_SECONDS = 15.0
_LONGEST_INTERVAL_SECONDS = 300.0
_BEATS = 9
_SHORTEST_INTERVAL_SECONDS = 1.0


class ScrapeInterval:
    """The interval at which passes come, learnt from the last of them."""

    def __init__(self) -> None:
        self._beats: deque[float] = deque(maxlen=_BEATS)

    def beat(self, now: float) -> None:
        """Note a pass that begins at *now* (monotonic seconds)."""
        self._beats.append(now)

    @property
    def interval_seconds(self) -> float:
        """
        Return the usual interval of the last passes, at most five minutes.

        Over two intervals each time: those of two Prometheis are short and long in turn. Until
        there are enough of them, a short one may be a scrape out of turn.
        """
        beats = list(self._beats)
        if len(beats) < _BEATS:
            mean = (beats[-1] - beats[0]) / (len(beats) - 1) if len(beats) > 1 else 0.0
            usual = max(mean, USUAL_INTERVAL_SECONDS)
        else:
            pairs = zip(beats, beats[2:], strict=False)
            usual = median((later - earlier) / 2 for earlier, later in pairs)
        return min(max(usual, _SHORTEST_INTERVAL_SECONDS), _LONGEST_INTERVAL_SECONDS)

"""Exponential back-off."""

from dataclasses import dataclass, replace


# More doublings than any back-off has before it reaches its longest delay.
_MOST_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """A delay of *first_seconds* after the first failure, doubled each time up to a limit."""

    first_seconds: float
    longest_seconds: float
    failures: int = 0

    @property
    def delay_seconds(self) -> float:
        """Return how long to wait before the next try; 0 before the first failure."""
        if not self.failures:
            return 0.0
        doubled = self.first_seconds * 2.0 ** min(self.failures - 1, _MOST_DOUBLINGS)
        return min(doubled, self.longest_seconds)

    def after_failure(self) -> "Backoff":
        """Return the back-off after one more failure."""
        return replace(self, failures=self.failures + 1)

    def after_success(self) -> "Backoff":
        """Return the back-off without failures."""
        return replace(self, failures=0)

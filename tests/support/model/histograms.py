"""Histograms: how many of the right values each bucket has."""

import math

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.support.model.shown import Shown


_ROUNDING_SECONDS = 1e-5


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram of an app as it is shown, perhaps only its series with some more labels."""

    name: str
    buckets: tuple[tuple[float, float], ...]
    """The bound of each bucket, and how many values it has, with those of the smaller ones."""
    count: float
    total: float

    @classmethod
    def of(cls, shown: Shown, app: str, name: str, **labels: str) -> "Histogram":
        """Return the histogram *name* of an app."""
        wanted = labels.items()
        buckets = [
            (float(found["le"]), value)
            for found, value in shown.of(f"{name}_bucket", app)
            if wanted <= found.items()
        ]
        count, total = (shown.total(f"{name}_{what}", app, **labels) for what in ("count", "sum"))
        return cls(" ".join([name, *labels.values()]), tuple(sorted(buckets)), count, total)

    def contradictions(self) -> Iterator[str]:
        """Return how the buckets differ from each other, and from the number of values."""
        counts = [value for _, value in self.buckets]
        if counts != sorted(counts) or self.buckets[-1:] != ((math.inf, self.count),):
            yield f"{self.name} has {self.count} values in the buckets {self.buckets}"

    def too_many(self, shortest: Sequence[float], longest: Sequence[float]) -> Iterator[str]:
        """Return what is more than values between *shortest* and *longest* allow."""
        ordered = sorted(shortest)
        for bound, value in self.buckets:
            most = bisect_right(ordered, bound + _ROUNDING_SECONDS)
            if value > most:
                yield f"{self.name}: {value} are at most {bound}, {most} would be right"
        if self.total > math.fsum(longest) + _slack(longest):
            yield f"{self.name}: the sum is {self.total}, at most {math.fsum(longest)} is right"

    def too_few(self, shortest: Sequence[float], longest: Sequence[float]) -> Iterator[str]:
        """Return what is less than values between *shortest* and *longest* require."""
        ordered = sorted(longest)
        for bound, value in self.buckets:
            least = bisect_left(ordered, bound - _ROUNDING_SECONDS)
            if value < least:
                yield f"{self.name}: {value} are at most {bound}, {least} would be right"
        if self.total < math.fsum(shortest) - _slack(shortest):
            yield f"{self.name}: the sum is {self.total}, at least {math.fsum(shortest)} is right"


def _slack(values: Sequence[float]) -> float:
    return _ROUNDING_SECONDS * (1 + len(values))

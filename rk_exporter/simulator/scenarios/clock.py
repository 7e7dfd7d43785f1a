"""A clock for simulated time, which can run faster than real time."""

import time

from collections.abc import Callable


class AcceleratedClock:
    """Return simulated unix seconds that pass *speed* times as fast as real ones."""

    __slots__ = ("_monotonic", "_origin", "_starts_at", "speed")

    def __init__(
        self,
        speed: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
        starts_at: float | None = None,
    ) -> None:
        self.speed = speed
        self._monotonic = monotonic
        self._origin = monotonic()
        self._starts_at = time.time() if starts_at is None else starts_at

    def __call__(self) -> float:
        """Return the current simulated time."""
        return self._starts_at + (self._monotonic() - self._origin) * self.speed

"""The two clocks of a process, as one parameter."""

import time

from typing import Protocol


class Clock(Protocol):
    """What time it is: *wall* may be set by people, *monotonic* only ever goes on."""

    def wall(self) -> float:
        """Return unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def wall(self) -> float:
        """Return unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment."""
        return time.monotonic()

"""The two clocks of a process, as one parameter."""

import time


class Clock:
    """The clocks of this machine: people may set *wall*, but *monotonic* never goes back."""

    def wall(self) -> float:
        """Return unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment."""
        return time.monotonic()

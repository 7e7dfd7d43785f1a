"""How late this process is: on a busy machine the load itself becomes a slow client."""

import asyncio

from dataclasses import dataclass


_TICK_SECONDS = 0.1


@dataclass(slots=True)
class OwnDelay:
    """Measures how much later than wanted the event loop runs what is due."""

    _past_seconds: float = 0.0
    _next_tick_at: float | None = None

    async def watch(self) -> None:
        """Measure, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._next_tick_at = loop.time() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            self._past_seconds = self.total_seconds

    @property
    def total_seconds(self) -> float:
        """Return the sum of all delays until now, also of one that has not ended."""
        if self._next_tick_at is None:
            return self._past_seconds
        now = asyncio.get_running_loop().time()
        return self._past_seconds + max(0.0, now - self._next_tick_at)

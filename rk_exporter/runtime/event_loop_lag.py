"""How late the event loop runs what is due, because something has blocked it."""

import asyncio

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


# A block is seen except for at most this part of it; waking up twice a second costs nothing.
_TICK_SECONDS = 0.5


class EventLoopLag:
    """Sums up how late a timer of the event loop runs; in a loop that nothing blocks, about 0."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """The sum of all delays so far."""

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        """Measure until the block ends."""
        ticks = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            ticks.cancel()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_at = loop.time() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            # A clock of the loop may run a timer early by its resolution.
            self.seconds += max(loop.time() - due_at, 0.0)

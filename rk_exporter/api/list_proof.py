"""Whether an app's list of recordings can be read, which decides what an undocumented 404 means."""

import asyncio
import math

from collections.abc import Awaitable, Callable

from rk_exporter.model.errors import ApiError


_VALID_SECONDS = 600.0
# After a list that could not be read.
_PAUSE_SECONDS = 60.0


class ListProof:
    """
    The time of the last list of recordings of one app, by the loop's clock.

    A list proves for ten minutes that account, app and token are right. All calls that need the
    proof share one list.
    """

    def __init__(self) -> None:
        self._succeeded_at = self._failed_at = -math.inf
        self._turn = asyncio.Lock()

    def succeed(self, now: float) -> None:
        """Remember that the list was read *now*."""
        self._succeeded_at = now

    def is_valid(self, now: float) -> bool:
        """Return whether the list was read lately."""
        return now - self._succeeded_at < _VALID_SECONDS

    async def obtain(self, read_list: Callable[[], Awaitable[None]]) -> bool:
        """Return whether there is a proof; *read_list* makes one unless it failed lately."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            if self.is_valid(loop.time()):
                return True
            if loop.time() - self._failed_at < _PAUSE_SECONDS:
                return False
            try:
                await read_list()
            except ApiError:
                self._failed_at = loop.time()
            return self.is_valid(loop.time())

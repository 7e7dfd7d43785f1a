"""Calls to be made, in their order, by a few workers."""

import asyncio

from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from rk_exporter.ratelimit.limiter import RateLimitWait


class WorkQueue:
    """What *workers* are to do, in its order, until a *deadline* in loop time."""

    def __init__(self, workers: int, deadline: float) -> None:
        self._workers = workers
        self._deadline = deadline
        self._queue: deque[Callable[[], Awaitable[None]]] = deque()

    def __len__(self) -> int:
        """Return how many are left."""
        return len(self._queue)

    def add(self, *errands: Callable[[], Awaitable[None]]) -> None:
        """Add errands behind those that are there."""
        self._queue.extend(errands)

    def add_next(self, errands: Iterable[Callable[[], Awaitable[None]]]) -> None:
        """Add errands before those that are there."""
        self._queue.extendleft(reversed(list(errands)))

    async def run(self) -> None:
        """Run errands, also those added meanwhile, while there is time and calls may be made."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(self._workers, len(self._queue))):
                workers.create_task(self._work())

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue and loop.time() < self._deadline:
            errand = self._queue.popleft()
            try:
                await errand()
            except RateLimitWait:
                # Another worker may be let through yet.
                self._queue.appendleft(errand)
                return

"""Calls to be made, one after the other, by as many workers as there are connections."""

import asyncio

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

from rk_exporter.ratelimit.limiter import RateLimitWait


R = TypeVar("R")


class WorkQueue(Generic[R]):
    """
    What the *readers* are to do, in its order, until a *deadline* in loop time.

    Each errand is called with the reader that runs it.
    """

    def __init__(self, readers: Sequence[R], deadline: float) -> None:
        self._readers = readers
        self._deadline = deadline
        self._queue: deque[Callable[[R], Awaitable[None]]] = deque()

    def __len__(self) -> int:
        """Return how many are left."""
        return len(self._queue)

    def add(self, *errands: Callable[[R], Awaitable[None]]) -> None:
        """Add errands behind those that are there."""
        self._queue.extend(errands)

    def add_next(self, errands: Iterable[Callable[[R], Awaitable[None]]]) -> None:
        """Add errands before those that are there."""
        self._queue.extendleft(reversed(list(errands)))

    async def run(self) -> None:
        """Run errands, also those added meanwhile, while there is time and calls may be made."""
        async with asyncio.TaskGroup() as workers:
            for reader in self._readers[: len(self._queue)]:
                workers.create_task(self._work(reader))

    async def _work(self, reader: R) -> None:
        loop = asyncio.get_running_loop()
        while self._queue and loop.time() < self._deadline:
            errand = self._queue.popleft()
            try:
                await errand(reader)
            except RateLimitWait:
                # Another worker may be let through yet.
                self._queue.appendleft(errand)
                return

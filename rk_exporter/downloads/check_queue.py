"""The checks that wait and run: few at a time, and at a rate of their own."""

import asyncio
import logging

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from rk_exporter.runtime.last_logged import LastLogged
from rk_exporter.runtime.tracebacks import redacted_traceback


logger = logging.getLogger(__name__)
Check: TypeAlias = Callable[[], Awaitable[None]]
CountBug: TypeAlias = Callable[[], None]
MOST_AT_A_TIME = 2
# Five a second at most: nobody waits for a check, and storages limit their callers.
PAUSE_SECONDS = 0.2


class CheckQueue:
    """
    Runs the checks of all apps in the order in which they come.

    No task exists while nothing waits. An unexpected exception costs its check only; it is counted,
    and logged without values, because these may contain a URL.
    """

    def __init__(
        self, *, most_at_a_time: int = MOST_AT_A_TIME, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self._most_at_a_time = most_at_a_time
        self._pause_seconds = pause_seconds
        self._waiting: deque[tuple[Check, CountBug]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._next_at = 0.0
        self._is_closed = False
        self._last_logged = LastLogged("")

    def submit(self, check: Check, *, count_bug: CountBug) -> None:
        """Run *check* when its turn comes; *count_bug* is called if it ends unexpectedly."""
        if self._is_closed:
            # A pass that ends during the shutdown wants checks that nobody would end.
            return
        self._waiting.append((check, count_bug))
        if len(self._workers) < self._most_at_a_time:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def turn(self) -> None:
        """Wait until the rate allows another request."""
        now = asyncio.get_running_loop().time()
        at = self._next_at = max(now, self._next_at + self._pause_seconds)
        await asyncio.sleep(at - now)

    async def close(self) -> None:
        """End all checks; there will be no others."""
        self._is_closed = True
        self._waiting.clear()
        workers = [*self._workers]
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self) -> None:
        while self._waiting:
            check, count_bug = self._waiting.popleft()
            try:
                await check()
            except Exception as error:  # noqa: BLE001 # any bug, but of this check only
                count_bug()
                self._log(redacted_traceback(error))

    def _log(self, traceback: str) -> None:
        """Log a bug, unless it was the last one: all checks may have the same."""
        if self._last_logged.changes_to(traceback):
            logger.error(
                "internal error in the check of a download", extra={"traceback": traceback}
            )

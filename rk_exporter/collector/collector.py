"""Passes over all apps, one at a time, shared by all who ask while one runs."""

import asyncio
import contextlib
import time

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.state_file import StateFileStatus


# After its deadline a pass has broken connections to close, and a snapshot to make.
_OVERRUN_SECONDS = 0.25


class AppPasses(Protocol):
    """The passes over one app."""

    @property
    def snapshot(self) -> AppSnapshot:
        """Return what the last pass left."""
        ...

    async def run_pass(self, deadline: float) -> AppSnapshot:
        """Return the snapshot after a pass that ends at *deadline* (loop time)."""
        ...

    async def close(self) -> None:
        """Close what it holds."""


class Collector:
    """
    Passes over all apps, one at a time, shared by all who ask while one runs.

    What a pass brought is shown after *keep*, which writes it down where that is wanted.
    """

    def __init__(
        self,
        apps: Sequence[AppPasses],
        *,
        clock: Callable[[], float] = time.time,
        keep: Callable[[], Awaitable[StateFileStatus | None]] | None = None,
    ) -> None:
        self._apps = apps
        self._clock = clock
        self._keep = keep
        self._running: asyncio.Task[None] | None = None
        self._deadline = 0.0
        self.last_pass_ended_at: float | None = None
        self.snapshot = Snapshot(tuple(app.snapshot for app in apps), clock())

    async def scrape(self, timeout_seconds: float) -> Snapshot:
        """
        Return the snapshot after a pass that ends within *timeout_seconds*.

        Who joins a pass that may take longer than he has gets the last snapshot when his own
        time is over.
        """
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        if self._running is None or self._running.done():
            self._deadline = deadline
            self._running = asyncio.create_task(self._run_pass(deadline))
        patience = _OVERRUN_SECONDS if deadline >= self._deadline else 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline + patience):
                # A scrape that is given up must not take the pass of the others with it.
                await asyncio.shield(self._running)
        return self.snapshot

    async def close(self) -> None:
        """End a running pass and close all connections."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
        for app in self._apps:
            await app.close()

    async def _run_pass(self, deadline: float) -> None:
        async with asyncio.TaskGroup() as passes:
            tasks = [passes.create_task(app.run_pass(deadline)) for app in self._apps]
        # What is shown has to outlive the process.
        state_file = await self._keep() if self._keep else None
        self.last_pass_ended_at = self._clock()
        apps = tuple(task.result() for task in tasks)
        # What has not changed stays as it was rendered.
        if (apps, state_file) != (self.snapshot.apps, self.snapshot.state_file):
            self.snapshot = Snapshot(apps, self.last_pass_ended_at, state_file)

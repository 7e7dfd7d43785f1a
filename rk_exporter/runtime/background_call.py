"""Blocking functions off the event loop, with a bound on how long anyone waits for them."""

import asyncio

from collections.abc import Callable
from typing import Generic, TypeVar


T = TypeVar("T")


class StillRunning(Exception):
    """The function has not returned within the time that its caller can wait."""


class BackgroundCall(Generic[T]):
    """
    A blocking function that runs in a thread, one call at a time.

    File systems such as NFS can hang for minutes. A call that hangs keeps its thread, and no
    other is started until it returns; its callers only ever wait for a bounded time.
    """

    def __init__(self) -> None:
        self._running: asyncio.Task[T] | None = None

    @property
    def is_running(self) -> bool:
        """Return whether a call was started whose result nobody has taken yet."""
        return self._running is not None

    def start(self, function: Callable[[], T]) -> None:
        """Start *function* in a thread; no other call may be running."""
        if self._running is not None:
            raise RuntimeError("a call is running")
        self._running = asyncio.create_task(asyncio.to_thread(function))

    async def result(self, *, timeout_seconds: float) -> T:
        """
        Return what the running call returns, or raise what it raises.

        Raises StillRunning if that takes longer than *timeout_seconds*; the call goes on.
        """
        if self._running is None:
            raise RuntimeError("no call is running")
        done, _ = await asyncio.wait({self._running}, timeout=max(0.0, timeout_seconds))
        if not done:
            raise StillRunning
        task, self._running = self._running, None
        return task.result()

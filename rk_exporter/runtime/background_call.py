"""Blocking file accesses off the event loop, with a bound on how long anyone waits for them."""

import asyncio
import threading
import time
import weakref

from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Generic, TypeVar

from rk_exporter.runtime.daemon_executor import complete
from rk_exporter.runtime.files import FileHangs


T = TypeVar("T")
# The start of the process may wait longer than a scrape, e.g. for an automounter.
_MAX_WAIT_SECONDS = 10.0
# A signal wakes the main thread only if it arrives there, and while it waits. Otherwise its handler
# runs when the main thread runs next.
_SIGNAL_WAIT_SECONDS = 0.1
# Each call that hangs keeps a thread, and a reload may make another one.
_MOST_HANGING = 32
_hanging: set[Future[Any]] = set()


def bounded_call(function: Callable[[], T], *, max_wait_seconds: float = _MAX_WAIT_SECONDS) -> T:
    """
    Return what *function* returns, for the start, reloads and the end of the process.

    Raises FileHangs if that takes longer than *max_wait_seconds*; the call goes on. While too many
    calls go on, no other is made. Handlers of signals run while it waits.
    """
    if _count_hanging() >= _MOST_HANGING:
        raise FileHangs
    future: Future[T] = Future()
    threading.Thread(target=complete, args=(future, function), daemon=True).start()
    deadline = time.monotonic() + max_wait_seconds
    while not future.done() and (left := deadline - time.monotonic()) > 0:
        wait({future}, min(left, _SIGNAL_WAIT_SECONDS))
    if not future.done():
        _hanging.add(future)
        raise FileHangs
    return future.result()


def _count_hanging() -> int:
    _hanging.difference_update([call for call in tuple(_hanging) if call.done()])
    return len(_hanging)


class BackgroundCall(Generic[T]):
    """
    A blocking function that runs in a thread of the loop's default executor, one call at a time.

    File systems such as NFS can hang for minutes. A call that hangs keeps its thread, and no
    other is started until it returns; its callers only ever wait for a bounded time.
    """

    def __init__(self) -> None:
        self._running: asyncio.Task[T] | None = None

    @property
    def is_running(self) -> bool:
        """Return whether a call was started whose result nobody has taken yet."""
        return self._running is not None

    @property
    def is_late(self) -> bool:
        """Return whether the running call has not returned in time."""
        return self in _late_calls

    def start(self, function: Callable[[], T]) -> None:
        """Start *function* in a thread; no other call may be running."""
        if self._running is not None:
            raise RuntimeError("a call is running")
        self._running = asyncio.create_task(asyncio.to_thread(function))

    async def result(self, *, timeout_seconds: float) -> T:
        """
        Return what the running call returns, or raise what it raises.

        Raises FileHangs if that takes longer than *timeout_seconds*; the call goes on.
        """
        if self._running is None:
            raise RuntimeError("no call is running")
        done, _ = await asyncio.wait({self._running}, timeout=max(0.0, timeout_seconds))
        if not done:
            _late_calls.add(self)
            raise FileHangs
        _late_calls.discard(self)
        task, self._running = self._running, None
        return task.result()

    async def has_returned(self, *, timeout_seconds: float) -> bool:
        """
        Return whether the running call returns within *timeout_seconds*.

        For calls that only compute: one that takes longer does not hang, and is not counted.
        """
        if self._running is None:
            raise RuntimeError("no call is running")
        done, _ = await asyncio.wait({self._running}, timeout=max(0.0, timeout_seconds))
        return bool(done)


# Threads belong to the process, so all exporters in it share this.
_late_calls: weakref.WeakSet[BackgroundCall[Any]] = weakref.WeakSet()


def late_calls() -> int:
    """Return how many calls did not return in time and, as far as anyone has looked, still run."""
    return len(_late_calls) + _count_hanging()

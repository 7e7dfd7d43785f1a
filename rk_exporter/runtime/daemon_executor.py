"""Threads for calls that may hang: bounded in number, and never waited for at the end."""

import errno
import queue
import threading

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar


P = ParamSpec("P")
T = TypeVar("T")


class TooManyCalls(OSError):
    """All threads are busy, and too many calls wait for one."""


class DaemonExecutor(ThreadPoolExecutor):
    """
    Runs functions in at most *max_workers* daemon threads; *max_waiting* calls may wait for one.

    The standard library's executor has no bound for those, and the end of the process waits for
    its threads. asyncio accepts only a subclass of it as the default executor of a loop.
    """

    def __init__(self, max_workers: int, *, name: str, max_waiting: int) -> None:
        super().__init__(1)  # its own thread never starts
        self._name = name
        self._limit = max_workers
        self._max_unfinished = max_workers + max_waiting
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0
        self._started = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run *fn* in a thread; the future raises TooManyCalls if too many calls wait."""
        future: Future[T] = Future()
        with self._lock:
            if self._unfinished >= self._max_unfinished:
                future.set_exception(TooManyCalls(errno.EAGAIN, "too many calls wait for a thread"))
                return future
            self._unfinished += 1
            self._calls.put(lambda: complete(future, lambda: fn(*args, **kwargs)))
            if self._started < min(self._unfinished, self._limit):
                self._started += 1
                name = f"{self._name}-{self._started}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        return future

    def shutdown(
        self,
        wait: bool = True,  # noqa: FBT001, FBT002 # the standard library's signature
        *,
        cancel_futures: bool = False,
    ) -> None:
        """Do nothing, because a call that hangs cannot be ended."""

    def _work(self) -> None:
        while True:
            self._calls.get()()
            with self._lock:
                self._unfinished -= 1


def complete(future: Future[T], function: Callable[[], T]) -> None:
    """Set the result of *future* to that of *function*, unless its caller has given up."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 # the caller gets it
        future.set_exception(error)
    else:
        future.set_result(result)

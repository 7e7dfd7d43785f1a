"""Virtual time, which passes only while all tasks wait."""

import asyncio
import selectors

from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack


T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class NothingToWaitFor(RuntimeError):
    """All tasks wait, and no timer will ever wake one of them."""


class _JumpingSelector(selectors.DefaultSelector):
    """Select what is ready; if nothing is, let the time pass until the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; *timeout* is how far away the next timer is, None without any."""
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            # A thread could still wake the loop, but its work would take no virtual time.
            raise NothingToWaitFor("all tasks wait for something that never comes")
        self.now += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """
    An event loop whose time begins with 0 and jumps to the next timer when nothing is ready.

    Simulated parts must wait through the loop, because it ignores threads and processes.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._jumping.now

    def block(self, seconds: float) -> None:
        """Let time pass in which the loop can do nothing."""
        self._jumping.now += seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Call *func* immediately: a thread could not wake a loop in virtual time."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 # the caller gets it
            future.set_exception(error)
        return future

    async def shutdown_default_executor(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 # asyncio's signature
    ) -> None:
        """Do nothing: asyncio would wait for a thread, which takes no virtual time."""
        del timeout


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* in a loop of its own, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)

import asyncio
import queue
import signal
import threading

import pytest

from rk_exporter.runtime.background_call import BackgroundCall, bounded_call, late_calls
from rk_exporter.runtime.files import FileHangs
from tests.support.building import run


class Hang:
    """A function that returns when it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def __call__(self) -> str:
        self.released.wait(10)
        return "done"


def test_result() -> None:
    """The caller gets what the function returns, and the next call may start."""

    async def steps() -> list[str]:
        call, results = BackgroundCall[str](), []
        for text in ("a", "b"):
            call.start(text.upper)
            results.append(await call.result(timeout_seconds=10))
        return results

    assert ["A", "B"] == run(steps())


def test_hanging_function() -> None:
    """The caller waits for a hanging function only for the timeout; it can be awaited later."""

    async def steps() -> str:
        call, hang = BackgroundCall[str](), Hang()
        call.start(hang)
        with pytest.raises(FileHangs):
            await call.result(timeout_seconds=0)
        assert call.is_running
        hang.released.set()
        return await call.result(timeout_seconds=10)

    assert "done" == run(steps())


def test_the_loop_goes_on() -> None:
    """The event loop serves others while the function blocks."""

    async def steps() -> bool:
        call, hang = BackgroundCall[str](), Hang()
        call.start(hang)
        asyncio.get_running_loop().call_soon(hang.released.set)
        return "done" == await call.result(timeout_seconds=10)

    assert run(steps())


def test_error() -> None:
    """The caller gets the function's exception, and the next call may start."""

    async def steps() -> bool:
        call = BackgroundCall[int]()
        call.start(lambda: int("x"))
        with pytest.raises(ValueError, match="invalid literal"):
            await call.result(timeout_seconds=10)
        return call.is_running

    assert not run(steps())


def test_function_that_computes() -> None:
    """A function that only computes may take its time: nobody counts it as hanging."""

    async def steps() -> tuple[str, int]:
        call, slow, earlier = BackgroundCall[str](), Hang(), late_calls()
        with pytest.raises(RuntimeError):
            await call.has_returned(timeout_seconds=0)
        call.start(slow)
        assert not await call.has_returned(timeout_seconds=0)
        late = late_calls() - earlier
        slow.released.set()
        assert await call.has_returned(timeout_seconds=10)
        return await call.result(timeout_seconds=0), late

    assert ("done", 0) == run(steps())


def test_one_at_a_time() -> None:
    """A second call must wait for the first, and without a call there is no result."""

    async def steps() -> None:
        call, hang = BackgroundCall[str](), Hang()
        with pytest.raises(RuntimeError):
            await call.result(timeout_seconds=0)
        call.start(hang)
        with pytest.raises(RuntimeError):
            call.start(hang)
        hang.released.set()
        await call.result(timeout_seconds=10)

    run(steps())


def test_bounded_calls_that_hang() -> None:
    """Calls that hang are counted, and limited, because each of them keeps a thread."""
    # Calls of other tests may not have ended yet.
    before, earlier, hang = set(threading.enumerate()), late_calls(), Hang()
    for _ in range(100):
        with pytest.raises(FileHangs):
            bounded_call(hang, max_wait_seconds=0.001)
    threads = len({*threading.enumerate()} - before)
    assert 0 < threads <= late_calls() <= 32 + earlier
    hang.released.set()
    while late_calls() > earlier:
        pass
    assert "fine" == bounded_call(lambda: "fine")


def test_signal_while_a_call_hangs() -> None:
    """A signal that another thread gets, or just before the main thread waits, ends the wait."""
    handled, was_handled = threading.Event(), queue.SimpleQueue[bool]()

    def signal_and_hang() -> None:
        # Until the main thread waits.
        threading.Event().wait(0.05)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        was_handled.put(handled.wait(5))

    def interrupt(*_: object) -> None:
        handled.set()
        raise InterruptedError

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(InterruptedError):
            bounded_call(signal_and_hang, max_wait_seconds=9)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert was_handled.get(timeout=9)

import asyncio
import threading

from concurrent.futures import Future, wait

import pytest

from rk_exporter.runtime.daemon_executor import DaemonExecutor, TooManyCalls
from tests.support.building import run


def test_result_and_error() -> None:
    """A call returns its result, or raises its error."""
    executor = DaemonExecutor(2, name="test", max_waiting=10)
    assert 12 == executor.submit(int, "12").result(10)
    with pytest.raises(ValueError, match="invalid literal"):
        executor.submit(int, "x").result(10)


def test_default_executor_of_a_loop() -> None:
    """A loop uses it, and does not wait for a call that hangs when it ends."""
    hang = threading.Event()

    async def steps() -> int:
        executor = DaemonExecutor(2, name="test", max_waiting=10)
        loop = asyncio.get_running_loop()
        loop.set_default_executor(executor)
        executor.submit(hang.wait)
        return await asyncio.to_thread(int, "12")

    assert 12 == run(steps())
    hang.set()


def test_bounds() -> None:
    """The threads and the waiting calls are limited; a hanging call takes one thread, not more."""
    executor = DaemonExecutor(3, name="bounded", max_waiting=2)
    hang = threading.Event()
    hanging: list[Future[bool]] = [executor.submit(hang.wait) for _ in range(2)]
    # One thread is left, and takes one call after the other.
    for number in range(20):
        assert number == executor.submit(int, str(number)).result(10)
    hanging += [executor.submit(hang.wait) for _ in range(3)]
    with pytest.raises(TooManyCalls):
        executor.submit(int, "1").result(10)
    names = [thread.name for thread in threading.enumerate()]
    assert 3 == sum(name.startswith("bounded-") for name in names)
    assert all(thread.daemon for thread in threading.enumerate() if "bounded" in thread.name)
    hang.set()
    done, _ = wait(hanging, 10)
    assert 5 == len(done)
    while True:
        # The last thread may not have counted yet that it has finished.
        try:
            assert 1 == executor.submit(int, "1").result(10)
        except TooManyCalls:
            continue
        break


def test_cancelled_before_it_starts() -> None:
    """A call that was cancelled while it waited does not run."""
    executor = DaemonExecutor(1, name="test", max_waiting=10)
    hang, calls = threading.Event(), list[int]()
    executor.submit(hang.wait)
    cancelled = executor.submit(calls.append, 1)
    assert cancelled.cancel()
    hang.set()
    executor.submit(calls.append, 2).result(10)
    assert [2] == calls

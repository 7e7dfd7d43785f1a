import asyncio
import logging

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from rk_exporter.downloads.check_queue import CheckQueue
from tests.support import virtual_time


def no_bug() -> None:
    raise AssertionError("there is no bug in this check")


def run(test: Callable[[CheckQueue], Coroutine[Any, Any, None]]) -> None:
    async def steps() -> None:
        await test(CheckQueue())

    virtual_time.run(steps())


def test_two_at_a_time() -> None:
    """At most two checks run at a time, in the order in which they came."""

    async def test(queue: CheckQueue) -> None:
        running, most, order = 0, 0, list[int]()

        async def check(number: int) -> None:
            nonlocal running, most
            order.append(number)
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1

        for number in range(7):
            queue.submit(partial(check, number), count_bug=no_bug)
        await asyncio.sleep(3.5)
        assert (2, list(range(7))) == (most, order)
        await asyncio.sleep(1)
        assert 0 == running

    run(test)


def test_rate() -> None:
    """Requests are a fifth of a second apart, also after a time without any."""

    async def test(queue: CheckQueue) -> None:
        loop, times = asyncio.get_running_loop(), list[float]()

        async def request() -> None:
            await queue.turn()
            times.append(round(loop.time(), 3))

        await asyncio.sleep(100)
        await asyncio.gather(*(request() for _ in range(4)))
        assert [100.0, 100.2, 100.4, 100.6] == times

    run(test)


def test_bug(caplog: pytest.LogCaptureFixture) -> None:
    """A bug in a check is counted, logged without its message, and the next check runs."""
    caplog.set_level(logging.ERROR)

    async def test(queue: CheckQueue) -> None:
        done = list[str]()

        async def fail() -> None:
            raise KeyError("https://files.example.com/?Signature=SECRET")

        async def succeed() -> None:
            done.append("second")

        queue.submit(fail, count_bug=lambda: done.append("bug"))
        queue.submit(succeed, count_bug=no_bug)
        await asyncio.sleep(1)
        assert ["bug", "second"] == done

    run(test)
    (record,) = caplog.records
    assert "internal error in the check of a download" == record.message
    assert "KeyError" in record.__dict__["traceback"]
    assert "SECRET" not in str(record.__dict__)


def test_close() -> None:
    """Closing ends the running checks, and no other begins."""

    async def test(queue: CheckQueue) -> None:
        begun = list[int]()

        async def hang(number: int) -> None:
            begun.append(number)
            await asyncio.sleep(1e9)

        for number in range(5):
            queue.submit(partial(hang, number), count_bug=no_bug)
        await asyncio.sleep(1)
        await queue.close()
        assert [0, 1] == begun
        assert 1.0 == asyncio.get_running_loop().time()
        assert {asyncio.current_task()} == asyncio.all_tasks()

    run(test)


def test_submitted_after_the_end() -> None:
    """A check that comes after the end of all checks does not run: nobody would end it."""

    async def test(queue: CheckQueue) -> None:
        done = list[str]()

        async def check() -> None:
            done.append("late")

        await queue.close()
        queue.submit(check, count_bug=no_bug)
        await asyncio.sleep(1)
        assert [] == done

    run(test)

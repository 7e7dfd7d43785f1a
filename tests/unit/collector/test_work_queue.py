import asyncio

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from rk_exporter.collector.work_queue import WorkQueue
from rk_exporter.ratelimit.limiter import RateLimitWait
from tests.support.virtual_time import run


class Diary:
    """Jobs that take a second each, and when each of them began."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, str]] = []

    def job(self, name: str) -> Callable[[], Awaitable[None]]:
        async def note() -> None:
            self.entries.append((asyncio.get_running_loop().time(), name))
            await asyncio.sleep(1)

        return note

    @property
    def names(self) -> str:
        """The jobs in the order in which they began."""
        return "".join(name for _, name in self.entries)


def queue_of(diary: Diary, names: str, *, workers: int = 1, deadline: float = 100) -> WorkQueue:
    """Return a queue of jobs that have single letters as names."""
    queue = WorkQueue(workers, deadline)
    queue.add(*map(diary.job, names))
    return queue


async def blocked() -> None:
    raise RateLimitWait


def test_one_worker() -> None:
    """One worker runs the jobs one after the other, in the order in which they were added."""
    diary = Diary()
    run(queue_of(diary, "abc").run())
    assert diary.entries == [(0, "a"), (1, "b"), (2, "c")]


@pytest.mark.parametrize(("workers", "seconds"), [(2, 4), (7, 1), (9, 1)])
def test_several_workers(workers: int, seconds: int) -> None:
    """Each worker runs one job at a time; there may be more workers than jobs."""
    diary = Diary()

    async def act() -> float:
        await queue_of(diary, "abcdefg", workers=workers).run()
        return asyncio.get_running_loop().time()

    assert run(act()) == seconds
    assert diary.names == "abcdefg"
    assert max(Counter(at for at, _ in diary.entries).values()) <= workers


def test_none() -> None:
    """Without errands there is nothing to run."""
    given = queue_of(Diary(), "")
    run(given.run())
    assert len(given) == 0


def test_added_meanwhile() -> None:
    """What an errand adds is run as well: next, or when all others are done."""
    diary = Diary()
    given = queue_of(diary, "")

    async def first() -> None:
        await diary.job("a")()
        given.add(diary.job("z"))
        given.add_next(map(diary.job, "b"))

    given.add(first, *map(diary.job, "cd"))
    run(given.run())
    assert diary.names == "abcdz"


def test_added_next_in_their_order() -> None:
    """Several that are to be next are run in the order in which they were given."""
    diary = Diary()
    given = queue_of(diary, "d")
    given.add_next(map(diary.job, "abc"))
    run(given.run())
    assert diary.names == "abcd"


@pytest.mark.parametrize(("deadline", "names", "left"), [(2, "ab", 2), (2.5, "abc", 1), (0, "", 4)])
def test_deadline(deadline: float, names: str, left: int) -> None:
    """From the deadline on none is begun; those left are counted."""
    diary = Diary()
    given = queue_of(diary, "abcd", deadline=deadline)
    run(given.run())
    assert (diary.names, len(given)) == (names, left)


def test_held_back() -> None:
    """Where calls are held back the errand is left, and those behind it; it is still the first."""
    diary = Diary()
    given = queue_of(diary, "a")
    given.add(blocked, *map(diary.job, "bc"))
    run(given.run())
    assert (diary.names, len(given)) == ("a", 3)
    given.add_next([diary.job("x")])
    run(given.run())
    assert (diary.names, len(given)) == ("ax", 3)


def test_blocked_for_one_worker() -> None:
    """If one worker's call is blocked, the other workers may still run its job."""
    diary = Diary()
    tries: list[str] = []
    given = queue_of(diary, "a", workers=2)

    async def once() -> None:
        tries.append("b")
        if len(tries) == 1:
            raise RateLimitWait
        await diary.job("b")()

    given.add(once, diary.job("c"))
    run(given.run())
    assert diary.entries == [(0, "a"), (1, "b"), (2, "c")]
    assert len(given) == 0

import asyncio

from collections import Counter
from collections.abc import Sequence
from functools import partial

import pytest

from rk_exporter.collector.work_queue import Job, run_jobs
from rk_exporter.ratelimit.limiter import RateLimitWait
from tests.support.virtual_time import run


class Diary:
    """Jobs that take a second each, and when each of them started."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, str]] = []
        self.follow_ups: dict[str, Sequence[Job]] = {}

    def jobs(self, names: str) -> list[Job]:
        """Return jobs that have single letters as names."""
        return [partial(self._work, name) for name in names]

    async def _work(self, name: str) -> Sequence[Job] | None:
        self.entries.append((asyncio.get_running_loop().time(), name))
        await asyncio.sleep(1)
        return self.follow_ups.get(name)

    async def run(self, *jobs: Job, workers: int = 1, deadline: float = 100) -> int:
        """Run jobs, and return how many are left."""
        return await run_jobs(jobs, workers=workers, deadline=deadline)

    @property
    def names(self) -> str:
        """The jobs in the order in which they started."""
        return "".join(name for _, name in self.entries)


async def blocked() -> None:
    raise RateLimitWait


def test_one_worker() -> None:
    """One worker runs the jobs one after the other, in the order in which they were given."""
    diary = Diary()
    assert run(diary.run(*diary.jobs("abc"))) == 0
    assert diary.entries == [(0, "a"), (1, "b"), (2, "c")]


@pytest.mark.parametrize(("workers", "seconds"), [(2, 4), (7, 1), (9, 1)])
def test_several_workers(workers: int, seconds: int) -> None:
    """Each worker runs one job at a time; there may be more workers than jobs."""
    diary = Diary()

    async def run_steps() -> float:
        await diary.run(*diary.jobs("abcdefg"), workers=workers)
        return asyncio.get_running_loop().time()

    assert run(run_steps()) == seconds
    assert diary.names == "abcdefg"
    assert max(Counter(at for at, _ in diary.entries).values()) <= workers


def test_no_jobs() -> None:
    """Without jobs, nothing runs."""
    assert run(Diary().run()) == 0


def test_follow_ups() -> None:
    """The jobs that follow from a result run next, in their order."""
    diary = Diary()
    diary.follow_ups = {"a": diary.jobs("xyz"), "y": diary.jobs("w")}
    assert run(diary.run(*diary.jobs("ab"))) == 0
    assert diary.names == "axywzb"


@pytest.mark.parametrize(("deadline", "names", "left"), [(2, "ab", 2), (2.5, "abc", 1), (0, "", 4)])
def test_deadline(deadline: float, names: str, left: int) -> None:
    """After the deadline, no job starts; the jobs that are left are counted."""
    diary = Diary()
    assert run(diary.run(*diary.jobs("abcd"), deadline=deadline)) == left
    assert diary.names == names


def test_blocked() -> None:
    """If the rate limiter blocks a job, that job and the jobs after it are left."""
    diary = Diary()
    assert run(diary.run(*diary.jobs("a"), blocked, *diary.jobs("bc"))) == 3
    assert diary.names == "a"


def test_blocked_for_one_worker() -> None:
    """If one worker's call is blocked, the other workers may still run its job."""
    diary = Diary()
    (job_b,) = diary.jobs("b")
    tries: list[str] = []

    async def once_blocked() -> Sequence[Job] | None:
        tries.append("b")
        if len(tries) == 1:
            raise RateLimitWait
        return await job_b()

    assert run(diary.run(*diary.jobs("a"), once_blocked, *diary.jobs("c"), workers=2)) == 0
    assert diary.entries == [(0, "a"), (1, "b"), (2, "c")]

"""Run the calls of a pass with a few workers."""

import asyncio

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias, TypeVar

from rk_exporter.ratelimit.limiter import RateLimitWait


R = TypeVar("R")
Job: TypeAlias = Callable[[], Awaitable[R]]


async def run_jobs(
    jobs: Iterable[Job[R]],
    *,
    workers: int,
    deadline: float,
    merge: Callable[[R], Iterable[Job[R]]],
) -> int:
    """
    Run *jobs* in order, and return how many were not run.

    *merge* takes in each result immediately, and returns the jobs that follow from it, which run
    next. No job starts after *deadline* (loop time), or if the rate limiter blocks its call.
    """
    loop, queue = asyncio.get_running_loop(), deque(jobs)

    async def work() -> None:
        while queue and loop.time() < deadline:
            job = queue.popleft()
            try:
                result = await job()
            except RateLimitWait:
                # Another worker may still get its call through.
                queue.appendleft(job)
                return
            queue.extendleft(reversed(list(merge(result))))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(workers, len(queue))):
            group.create_task(work())
    return len(queue)

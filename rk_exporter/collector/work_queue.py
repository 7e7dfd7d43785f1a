"""Run the calls of a pass with a few workers."""

import asyncio

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

from rk_exporter.ratelimit.limiter import RateLimitWait


# A job returns the jobs that follow from it, if any.
Job: TypeAlias = Callable[[], Awaitable[Sequence["Job"] | None]]


async def run_jobs(jobs: Iterable[Job], *, workers: int, deadline: float) -> int:
    """
    Run *jobs* in order, and return how many were not run.

    The jobs that follow from a job run next. No job starts after *deadline* (loop time), or if the
    rate limiter blocks its call.
    """
    loop, queue = asyncio.get_running_loop(), deque(jobs)

    async def work() -> None:
        while queue and loop.time() < deadline:
            job = queue.popleft()
            try:
                follow_ups = await job()
            except RateLimitWait:
                # Another worker may still get its call through.
                queue.appendleft(job)
                return
            queue.extendleft(reversed(follow_ups or ()))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(workers, len(queue))):
            group.create_task(work())
    return len(queue)

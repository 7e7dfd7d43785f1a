"""A pass over the meetings: plan what to read, read it until the deadline, merge what came."""

import asyncio
import contextlib
import logging
import time

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rk_exporter.api_errors import ApiError, ApiTimeout
from rk_exporter.credentials import Secret, TokenSource
from rk_exporter.payloads import ActiveRecordings
from rk_exporter.recordings import (
    App,
    AppSnapshot,
    Failure,
    Meeting,
    Reading,
    Recording,
    Snapshot,
)


logger = logging.getLogger(__name__)

# A pass that ends at its deadline still has to close broken connections and publish.
_PATIENCE_SECONDS = 0.25


class RecordingReader(Protocol):
    """One connection to the API, used by one worker at a time."""

    async def active_recordings(
        self, meeting_id: str, *, token: Secret, deadline: float
    ) -> ActiveRecordings:
        """Return the meeting's recordings at the latest at *deadline* (loop time)."""
        ...

    async def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to read a meeting, made at *made_at* (unix seconds)."""

    meeting_id: str
    made_at: float
    outcome: tuple[Recording, ...] | Failure
    cut_off: bool = False
    """The pass ended before the answer came."""


def plan(readings: Iterable[Reading]) -> list[Meeting]:
    """Return the meetings to read, longest wait first: what a pass leaves out leads the next."""
    by_wait = sorted(readings, key=lambda each: each.last_attempt_timestamp_seconds or 0.0)
    return [reading.meeting for reading in by_wait]


def merge(
    previous: AppSnapshot,
    attempts: Sequence[Attempt],
    *,
    ended_at: float,
    duration_seconds: float,
    stale_after_seconds: float,
) -> AppSnapshot:
    """
    Return *previous* brought up to date by the *attempts* of a pass that ended at *ended_at*.

    A meeting that was not read keeps its last reading, until that is *stale_after_seconds* old.
    """
    by_meeting = {attempt.meeting_id: attempt for attempt in attempts}
    readings = tuple(
        _without_stale(
            _after(reading, by_meeting.get(reading.meeting.meeting_id)),
            oldest=ended_at - stale_after_seconds,
        )
        for reading in previous.readings
    )
    answered = sum(1 for attempt in attempts if not attempt.cut_off)
    succeeded = any(not isinstance(attempt.outcome, Failure) for attempt in attempts)
    return replace(
        previous,
        readings=readings,
        up=succeeded if attempts else previous.up,
        deferred=len(readings) - answered,
        duration_seconds=duration_seconds,
    )


def _after(reading: Reading, attempt: Attempt | None) -> Reading:
    if attempt is None:
        return reading
    if isinstance(attempt.outcome, Failure):
        return replace(
            reading,
            last_attempt_timestamp_seconds=attempt.made_at,
            failure=attempt.outcome,
        )
    return replace(
        reading,
        recordings=attempt.outcome,
        last_attempt_timestamp_seconds=attempt.made_at,
        last_success_timestamp_seconds=attempt.made_at,
        failure=None,
    )


def _without_stale(reading: Reading, *, oldest: float) -> Reading:
    last_success = reading.last_success_timestamp_seconds
    if last_success is None or last_success >= oldest:
        return reading
    return replace(reading, recordings=None)


class AppScraper:
    """The passes over one app's meetings, by as many workers as there are *readers*."""

    def __init__(
        self,
        app: App,
        meetings: Iterable[Meeting],
        *,
        token: TokenSource,
        readers: Sequence[RecordingReader],
        stale_after_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._token = token
        self._readers = readers
        self._stale_after_seconds = stale_after_seconds
        self._clock = clock
        self._told: Counter[str] = Counter()
        self.snapshot = AppSnapshot(
            app=app, readings=tuple(Reading(meeting=meeting) for meeting in meetings)
        )

    async def run_pass(self, deadline: float) -> AppSnapshot:
        """Read every meeting that can be read until *deadline* (loop time)."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        token = self._token.current()
        queue = deque(plan(self.snapshot.readings))
        attempts: list[Attempt] = []
        async with asyncio.TaskGroup() as workers:
            for reader in self._readers[: len(queue)]:
                workers.create_task(self._work(reader, queue, attempts, token, deadline))
        self.snapshot = merge(
            self.snapshot,
            attempts,
            ended_at=self._clock(),
            duration_seconds=loop.time() - begun,
            stale_after_seconds=self._stale_after_seconds,
        )
        self._tell(attempts)
        return self.snapshot

    async def close(self) -> None:
        """Close all connections."""
        for reader in self._readers:
            await reader.close()

    async def _work(
        self,
        reader: RecordingReader,
        queue: deque[Meeting],
        attempts: list[Attempt],
        token: Secret,
        deadline: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        while queue and loop.time() < deadline:
            meeting_id = queue.popleft().meeting_id
            try:
                active = await reader.active_recordings(meeting_id, token=token, deadline=deadline)
            except ApiError as error:
                cut_off = isinstance(error, ApiTimeout) and loop.time() >= deadline
                attempt = Attempt(meeting_id, self._clock(), error.failure, cut_off)
                logger.debug("%s", error, extra=self._fields(meeting_id=meeting_id))
            else:
                attempt = Attempt(meeting_id, self._clock(), active.recordings)
                self._tell_malformed(meeting_id, active.malformed_fields)
            attempts.append(attempt)

    def _tell_malformed(self, meeting_id: str, fields: Sequence[str]) -> None:
        if fields:
            logger.debug(
                "malformed fields in the API's answer",
                extra=self._fields(meeting_id=meeting_id, malformed=",".join(fields)),
            )

    def _tell(self, attempts: Iterable[Attempt]) -> None:
        """Log how many meetings failed and why, once each time that this changes."""
        failures = [each.outcome for each in attempts if isinstance(each.outcome, Failure)]
        counts = Counter(failure.reason.value for failure in failures)
        if counts == self._told:
            return
        self._told = counts
        if not failures:
            logger.info("all meetings can be read again", extra=self._fields())
            return
        reasons = ",".join(f"{reason}:{count}" for reason, count in sorted(counts.items()))
        logger.warning(
            "meetings could not be read; the first: %s",
            failures[0].explanation,
            extra=self._fields(failed=len(failures), reasons=reasons),
        )

    def _fields(self, **fields: object) -> dict[str, object]:
        return {"app": self.snapshot.app.name, **fields}


class Scraper:
    """Passes over all apps, one at a time, shared by all who ask while one runs."""

    def __init__(
        self, apps: Sequence[AppScraper], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._apps = apps
        self._clock = clock
        self._running: asyncio.Task[None] | None = None
        self.last_pass_ended_at: float | None = None
        self.snapshot = Snapshot(tuple(app.snapshot for app in apps), clock())

    async def scrape(self, timeout_seconds: float) -> Snapshot:
        """
        Return the snapshot after a pass that ends within *timeout_seconds*.

        Who joins a pass that may take longer than he has gets the last snapshot when his own
        time is over.
        """
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run_pass(deadline))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline + _PATIENCE_SECONDS):
                # A scrape that is given up must not take the pass of the others with it.
                await asyncio.shield(self._running)
        return self.snapshot

    async def close(self) -> None:
        """End a running pass and close all connections."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
        for app in self._apps:
            await app.close()

    async def _run_pass(self, deadline: float) -> None:
        async with asyncio.TaskGroup() as passes:
            tasks = [passes.create_task(app.run_pass(deadline)) for app in self._apps]
        self.last_pass_ended_at = self._clock()
        self.snapshot = Snapshot(tuple(task.result() for task in tasks), self.last_pass_ended_at)

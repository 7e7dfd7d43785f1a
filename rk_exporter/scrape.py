"""A pass over the meetings: plan what to read, read it until the deadline, merge what came."""

import asyncio
import contextlib
import logging
import time

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rk_exporter.api_errors import ApiError
from rk_exporter.credentials import Secret, TokenSource
from rk_exporter.payloads import ActiveRecordings
from rk_exporter.recordings import (
    App,
    AppSnapshot,
    Failure,
    Meeting,
    Reading,
    Reason,
    Recording,
    Snapshot,
)


logger = logging.getLogger(__name__)

# After its deadline a pass has broken connections to close, and a snapshot to make.
_OVERRUN_SECONDS = 0.25
# A call that takes longer gives its worker to another meeting.
CALL_TIMEOUT_SECONDS = 5.0


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

    @property
    def timed_out(self) -> bool:
        """Tell whether no answer came in time."""
        return isinstance(self.outcome, Failure) and self.outcome.reason is Reason.TIMEOUT


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
    oldest = ended_at - stale_after_seconds
    readings = tuple(
        _after(reading, by_meeting.get(reading.meeting.meeting_id), oldest=oldest)
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


def _after(reading: Reading, attempt: Attempt | None, *, oldest: float) -> Reading:
    if attempt is None:
        return _without_stale(reading, oldest=oldest)
    if isinstance(attempt.outcome, Failure):
        failed = replace(
            reading, last_attempt_timestamp_seconds=attempt.made_at, failure=attempt.outcome
        )
        return _without_stale(failed, oldest=oldest)
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
        self._told: frozenset[str] = frozenset()
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
        # However many meetings hang, each worker gets to a second one.
        call_timeout = min(CALL_TIMEOUT_SECONDS, (deadline - begun) / 2)

        async def work(reader: RecordingReader) -> None:
            while queue and loop.time() < deadline:
                meeting_id = queue.popleft().meeting_id
                call_deadline = min(deadline, loop.time() + call_timeout)
                attempt = await self._attempt(reader, meeting_id, token, call_deadline)
                is_cut_off = attempt.timed_out and loop.time() >= deadline
                attempts.append(replace(attempt, cut_off=is_cut_off))

        async with asyncio.TaskGroup() as workers:
            for reader in self._readers[: len(queue)]:
                workers.create_task(work(reader))
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

    async def _attempt(
        self, reader: RecordingReader, meeting_id: str, token: Secret, deadline: float
    ) -> Attempt:
        try:
            active = await reader.active_recordings(meeting_id, token=token, deadline=deadline)
        except ApiError as error:
            logger.debug("%s", error, extra=self._fields(meeting_id=meeting_id))
            return Attempt(meeting_id, self._clock(), error.failure)
        self._tell_oddities(meeting_id, active)
        return Attempt(meeting_id, self._clock(), active.recordings)

    def _tell_oddities(self, meeting_id: str, active: ActiveRecordings) -> None:
        if active.malformed_fields or active.unknown_statuses:
            logger.debug(
                "the API's answer is not quite as documented",
                extra=self._fields(
                    meeting_id=meeting_id,
                    malformed=",".join(active.malformed_fields),
                    unknown_status=",".join(active.unknown_statuses),
                ),
            )

    def _tell(self, attempts: Iterable[Attempt]) -> None:
        """Log how many meetings failed and why, once each time that the reasons change."""
        failures = [each.outcome for each in attempts if isinstance(each.outcome, Failure)]
        counts = Counter(failure.reason.value for failure in failures)
        if counts.keys() == self._told:
            return
        self._told = frozenset(counts)
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
        self._deadline = 0.0
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
            self._deadline = deadline
            self._running = asyncio.create_task(self._run_pass(deadline))
        patience = _OVERRUN_SECONDS if deadline >= self._deadline else 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline + patience):
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

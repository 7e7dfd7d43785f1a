"""Reading meetings with several connections at once: a call for each, or all through the list."""

import asyncio
import logging

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from rk_exporter.api import CallTerms
from rk_exporter.api_errors import ApiError
from rk_exporter.discovery import Discovery, DiscoveryReader
from rk_exporter.listing import Listing, ListReader, RecordingsList
from rk_exporter.merge import Attempt
from rk_exporter.payloads import ActiveRecordings
from rk_exporter.recordings import Failure, Meeting, Reading
from rk_exporter.throttle import HeldBack


logger = logging.getLogger(__name__)

# However tight the budget is, settings are read at last.
_SETTINGS_FIRST = 2


class Reader(ListReader, DiscoveryReader, Protocol):
    """One connection to the API, used by one worker at a time."""

    async def active_recordings(self, meeting_id: str, terms: CallTerms) -> ActiveRecordings:
        """Return the meeting's recordings."""
        ...

    async def close(self) -> None:
        """Close the connection."""


Errand = Callable[[Reader], Awaitable[None]]


class MeetingReader:
    """Reads meetings of one app by as many workers as there are *readers*."""

    def __init__(
        self,
        app: str,
        readers: Sequence[Reader],
        *,
        discovery: Discovery | None,
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._readers = readers
        self._discovery = discovery
        self._clock = clock
        self._list = RecordingsList(app=app, clock=clock)
        self._left_over = 0

    @property
    def list_calls(self) -> int:
        """Return how many calls it takes to read the list."""
        return self._list.usual_calls

    @property
    def list_is_failing(self) -> bool:
        """Tell whether the list failed time and again."""
        return self._list.is_failing

    @property
    def whole_list_calls(self) -> int:
        """Return the same with what was left over the last time, though no more than as much."""
        return self.list_calls + min(self._left_over, self.list_calls)

    @property
    def discovery_calls(self) -> int:
        """Return how many calls it takes to list the live sessions."""
        return self._discovery.usual_calls if self._discovery else 0

    async def discover(self, terms: CallTerms, *, calls_per_second: float) -> None:
        """List the live sessions where that is due."""
        if self._discovery:
            await self._discovery.refresh(
                self._readers[0], terms, calls_per_second=calls_per_second
            )

    async def read_each(self, meetings: Iterable[Meeting], terms: CallTerms) -> list[Attempt]:
        """Return what came of a call for each of the *meetings*, as far as they could be made."""
        attempts: list[Attempt] = []
        settings = self._settings_errands(terms)
        await self._run(
            [
                *settings[:_SETTINGS_FIRST],
                *(self._attempt_errand(each.meeting_id, terms, attempts) for each in meetings),
                *settings[_SETTINGS_FIRST:],
            ],
            terms,
        )
        return attempts

    async def read_list(self, readings: Sequence[Reading], terms: CallTerms) -> list[Attempt]:
        """
        Return what the list of recordings tells of each meeting in *readings*.

        A recording that was in progress, and is not in the list, is asked for: it has ended, or it
        has moved from one page or status to another between two calls.
        """
        listing = await self._list.read(self._readers, terms)
        made_at = self._clock()
        if self._discovery:
            self._discovery.add_recorded(listing.by_meeting)
        listed = {reading.meeting.meeting_id: reading.recordings or () for reading in readings}
        missing = {each: None for each, known in listed.items() if listing.lacks_any(each, known)}
        attempts = [
            Attempt(each, made_at, outcome)
            for each in dict.fromkeys([*listing.by_meeting, *listed])
            if (outcome := listing.outcome(each, is_missing=each in missing)) is not None
        ]
        if listing.is_complete:
            errands = [self._attempt_errand(each, terms, attempts, listing) for each in missing]
            settings = self._settings_errands(terms)
            left = await self._run([*errands, *settings], terms)
            # For settings no more is saved up than for a few.
            self._left_over = min(left, max(_SETTINGS_FIRST, left - len(settings)))
        return attempts

    async def close(self) -> None:
        """Close all connections."""
        for reader in self._readers:
            await reader.close()

    async def _run(self, errands: Iterable[Errand], terms: CallTerms) -> int:
        """
        Run errands in their order until the deadline, or until no more calls may be made.

        Return how many are left.
        """
        loop = asyncio.get_running_loop()
        queue = deque(errands)

        async def work(reader: Reader) -> None:
            while queue and loop.time() < terms.deadline:
                errand = queue.popleft()
                try:
                    await errand(reader)
                except HeldBack:
                    # Another worker may be let through yet.
                    queue.appendleft(errand)
                    return

        async with asyncio.TaskGroup() as workers:
            for reader in self._readers[: len(queue)]:
                workers.create_task(work(reader))
        return len(queue)

    def _attempt_errand(
        self,
        meeting_id: str,
        terms: CallTerms,
        attempts: list[Attempt],
        listing: Listing | None = None,
    ) -> Errand:
        """Return the errand of reading a meeting, besides what is in the *listing* already."""

        async def errand(reader: Reader) -> None:
            attempt = await self._attempt(reader, meeting_id, terms)
            if listing and not isinstance(attempt.outcome, Failure):
                listing.add_recordings(meeting_id, attempt.outcome)
                attempt = replace(attempt, outcome=listing.recordings(meeting_id))
            is_late = asyncio.get_running_loop().time() >= terms.deadline
            attempts.append(replace(attempt, cut_off=attempt.timed_out and is_late))

        return errand

    def _settings_errands(self, terms: CallTerms) -> list[Errand]:
        if self._discovery is None:
            return []
        discovery = self._discovery

        def errand(meeting_id: str) -> Errand:
            return lambda reader: discovery.read_settings(meeting_id, reader, terms)

        return [errand(meeting_id) for meeting_id in discovery.unknown_settings()]

    async def _attempt(self, reader: Reader, meeting_id: str, terms: CallTerms) -> Attempt:
        fields = {"app": self._app, "meeting_id": meeting_id}
        try:
            active = await reader.active_recordings(meeting_id, terms)
        except ApiError as error:
            logger.debug("%s", error, extra=fields)
            return Attempt(meeting_id, self._clock(), error.failure)
        if active.malformed_fields or active.unknown_statuses:
            logger.debug(
                "the API's answer is not quite as documented",
                extra={
                    **fields,
                    "malformed": ",".join(active.malformed_fields),
                    "unknown_status": ",".join(active.unknown_statuses),
                },
            )
        return Attempt(meeting_id, self._clock(), active.recordings)

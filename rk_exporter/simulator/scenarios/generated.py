"""
An endless scenario, generated from a seed.

The time of each meeting is divided into blocks of equal length. Each block comes from a random
generator of its own, seeded with (seed, meeting, block number). So the scenario at one moment does
not depend on the moments that were requested before.
"""

import math

from collections.abc import Iterator, Sequence
from random import Random

from rk_exporter.simulator.scenarios.blocks import (
    Block,
    SessionRun,
    draw_block,
    draw_meeting_profile,
)
from rk_exporter.simulator.scenarios.cache import BlockCache, TimeSlice
from rk_exporter.simulator.scenarios.model import Meeting, Recording, Session
from rk_exporter.simulator.scenarios.pace import Pace


RETENTION_SECONDS = 8 * 86_400.0
"""How long the API lists a recording: a day longer than it keeps the file."""

# Most lists ask for the last hours; with long slices, most of the generated data would be unused.
_SLICES_PER_BLOCK = 8


class GeneratedScenario:
    """
    A `Scenario` that is generated on demand: the same arguments give the same scenario.

    It has one block of history at *starts_at*. Recordings disappear after *retention_seconds*.
    """

    def __init__(
        self,
        seed: int,
        meeting_count: int,
        starts_at: float,
        pace: Pace,
        *,
        retention_seconds: float = RETENTION_SECONDS,
    ) -> None:
        self._seed = seed
        self._starts_at = starts_at
        self._pace = pace
        self._retention_seconds = retention_seconds
        rng = _seeded_random(f"{seed}")
        self._profiles = tuple(
            draw_meeting_profile(rng, pace, starts_at) for _ in range(meeting_count)
        )
        self._meetings = tuple(profile.meeting for profile in self._profiles)
        self._indexes = {meeting.id: index for index, meeting in enumerate(self._meetings)}
        self._busy = tuple(index for index, profile in enumerate(self._profiles) if profile.busy)
        # A window of this length overlaps two more blocks than fit into it.
        self._cache = BlockCache(math.ceil(retention_seconds / pace.block_seconds) + 3)

    @property
    def longest_seconds(self) -> float:
        return self._pace.longest_seconds

    def meetings(self) -> Sequence[Meeting]:
        return self._meetings

    def meeting(self, meeting_id: str) -> Meeting | None:
        index = self._indexes.get(meeting_id)
        return None if index is None else self._meetings[index]

    def recordings(
        self, now: float, *, meeting_id: str | None = None, since: float = -math.inf
    ) -> Sequence[Recording]:
        first = max(since, self._oldest(now))
        if meeting_id is None:
            found = [
                recording
                for time_slice in self._slices(first, now)
                for recording in time_slice.recordings(first, now)
            ]
        else:
            found = [
                recording
                for block in self._blocks(meeting_id, first, now)
                for _, recording, _ in reversed(block)
                if recording is not None and first <= recording.invoked_at <= now
            ]
        return [recording for recording in found if now < recording.vanishes_at]

    def active(
        self, meeting_id: str, now: float, linger_seconds: float = 0.0
    ) -> Sequence[Recording]:
        oldest = self._oldest(now)
        found = []
        for block in self._blocks(meeting_id, max(now - linger_seconds, oldest), now):
            for _, recording, ends_at in reversed(block):
                if ends_at + linger_seconds <= now:
                    break
                if (
                    recording is not None
                    and recording.invoked_at >= oldest
                    and recording.is_active(now, linger_seconds)
                ):
                    found.append(recording)
        return found

    def recording(self, recording_id: str, now: float) -> Recording | None:
        run = self._find(recording_id, now)
        recording = None if run is None else run.recording
        if recording is None or recording.id != recording_id or recording.status(now) is None:
            return None
        return recording if recording.invoked_at >= self._oldest(now) else None

    def sessions(
        self, now: float, *, meeting_id: str | None = None, since: float = -math.inf
    ) -> Sequence[Session]:
        first = max(since, self._oldest(now))
        if meeting_id is None:
            return [
                session
                for time_slice in self._slices(first, now)
                for session in time_slice.sessions(first, now)
            ]
        return [
            session
            for block in self._blocks(meeting_id, first, now)
            for session, _, _ in reversed(block)
            if first <= session.started_at <= now
        ]

    def session(self, session_id: str, now: float) -> Session | None:
        run = self._find(session_id, now)
        if run is None or run.session.id != session_id:
            return None
        return run.session if self._oldest(now) <= run.session.started_at <= now else None

    def _oldest(self, now: float) -> float:
        """Return the earliest time that the scenario still covers at *now*."""
        return max(now - self._retention_seconds, self._starts_at - self._pace.block_seconds)

    def _find(self, item_id: str, now: float) -> SessionRun | None:
        """Find a session by its own id or by the id of its recording."""
        if item_id not in self._cache.by_id:
            # The id may come from another process with the same seed: fill the cache.
            for _ in self._slices(self._oldest(now), now):
                pass
        return self._cache.by_id.get(item_id)

    def _blocks(self, meeting_id: str, first: float, last: float) -> Iterator[Block]:
        """Return the blocks of one meeting from *first* to *last*, newest first."""
        index = self._indexes.get(meeting_id)
        if index is None or not self._profiles[index].busy:
            return
        begin, end = self._in_blocks(first), self._in_blocks(last)
        for number in reversed(self._block_numbers(index, begin, end)):
            yield self._block(index, number)

    def _slices(self, first: float, last: float) -> Iterator[TimeSlice]:
        """Return the time slices from *first* to *last*, newest first."""
        oldest, newest = (
            math.floor(self._in_blocks(at) * _SLICES_PER_BLOCK) for at in (first, last)
        )
        for number in range(newest, oldest - 1, -1):
            yield self._slice(number)

    def _in_blocks(self, at: float) -> float:
        """Convert a time to blocks since the start of the scenario."""
        return (at - self._starts_at) / self._pace.block_seconds

    def _slice(self, number: int) -> TimeSlice:
        """Return a time slice, counted from the start of the scenario."""
        time_slice = self._cache.slice(number)
        if time_slice is None:
            begin, end = number / _SLICES_PER_BLOCK, (number + 1) / _SLICES_PER_BLOCK
            wanted = [
                (index, block_number)
                for index in self._busy
                for block_number in self._block_numbers(index, begin, end)
            ]
            blocks = [self._block(index, block_number) for index, block_number in wanted]
            begins_at, ends_at = (
                self._starts_at + at * self._pace.block_seconds for at in (begin, end)
            )
            time_slice = TimeSlice.from_blocks(blocks, begins_at, ends_at)
            self._cache.add_slice(number, time_slice, {block_number for _, block_number in wanted})
        return time_slice

    def _block_numbers(self, index: int, begin: float, end: float) -> range:
        """Return which blocks of a meeting overlap the time from *begin* to *end*, in blocks."""
        offset = self._profiles[index].offset
        return range(math.floor(begin - offset), math.floor(end - offset) + 1)

    def _block(self, index: int, number: int) -> Block:
        """Return a block of one meeting; generate it if it is not cached."""
        block = self._cache.block(index, number)
        if block is None:
            profile = self._profiles[index]
            begins_at = self._starts_at + (number + profile.offset) * self._pace.block_seconds
            rng = _seeded_random(f"{self._seed}/{index}/{number}")
            block = draw_block(rng, profile, self._pace, begins_at)
            self._cache.add_block(index, number, block)
        return block


def _seeded_random(seed: str) -> Random:
    """Return a random generator; a text seed gives the same numbers on every machine."""
    return Random(seed)  # noqa: S311 - a scenario needs repeatable numbers, not secret ones

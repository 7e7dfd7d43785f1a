"""A bounded cache of generated blocks."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from rk_exporter.simulator.scenarios.blocks import Block, SessionRun
from rk_exporter.simulator.scenarios.model import Recording, Session


@dataclass(frozen=True, slots=True)
class TimeSlice:
    """Everything that begins in a period of time, in all meetings, oldest first."""

    all_recordings: tuple[Recording, ...]
    invoked_at: tuple[float, ...]
    all_sessions: tuple[Session, ...]
    started_at: tuple[float, ...]

    @classmethod
    def from_blocks(cls, blocks: Iterable[Block], begins_at: float, ends_at: float) -> Self:
        """Collect everything that begins from *begins_at* until just before *ends_at*."""
        recordings, sessions = [], []
        for block in blocks:
            for session, recording, _ in block:
                if begins_at <= session.started_at < ends_at:
                    sessions.append(session)
                if recording is not None and begins_at <= recording.invoked_at < ends_at:
                    recordings.append(recording)
        recordings.sort(key=lambda recording: recording.invoked_at)
        sessions.sort(key=lambda session: session.started_at)
        return cls(
            tuple(recordings),
            tuple(recording.invoked_at for recording in recordings),
            tuple(sessions),
            tuple(session.started_at for session in sessions),
        )

    def recordings(self, first: float, last: float) -> Sequence[Recording]:
        """Return the recordings invoked from *first* to *last*, newest first."""
        start, stop = bisect_left(self.invoked_at, first), bisect_right(self.invoked_at, last)
        return self.all_recordings[start:stop][::-1]

    def sessions(self, first: float, last: float) -> Sequence[Session]:
        """Return the sessions started from *first* to *last*, newest first."""
        start, stop = bisect_left(self.started_at, first), bisect_right(self.started_at, last)
        return self.all_sessions[start:stop][::-1]


class BlockCache:
    """
    The blocks of the *capacity* numbers that were added last, and the time slices made from them.

    The cache evicts all blocks of a number together, because requests ask for all meetings.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._blocks: dict[int, dict[int, Block]] = {}
        """Blocks by their number, then by the index of the meeting."""
        self._slices: dict[int, TimeSlice] = {}
        self._slices_from: dict[int, set[int]] = {}
        """For each block number, the numbers of the slices made from its blocks."""
        self.by_id: dict[str, SessionRun] = {}
        """Cached sessions by the id of the session and of its recording."""

    def block(self, meeting_index: int, number: int) -> Block | None:
        """Return a block of a meeting, if it is cached."""
        blocks = self._blocks.get(number)
        return None if blocks is None else blocks.get(meeting_index)

    def add_block(self, meeting_index: int, number: int, block: Block) -> None:
        """Add a block of a meeting; evict the number that was added first if the cache is full."""
        if number not in self._blocks:
            if len(self._blocks) >= self._capacity:
                self._evict(next(iter(self._blocks)))
            self._blocks[number] = {}
            self._slices_from[number] = set()
        self._blocks[number][meeting_index] = block
        for run in block:
            self.by_id.update(dict.fromkeys(_ids(run), run))

    def slice(self, number: int) -> TimeSlice | None:
        """Return a time slice, if it is cached."""
        return self._slices.get(number)

    def add_slice(self, number: int, time_slice: TimeSlice, block_numbers: Collection[int]) -> None:
        """Add a time slice, unless one of the blocks that it was made from is no longer cached."""
        if block_numbers and all(block_number in self._blocks for block_number in block_numbers):
            self._slices[number] = time_slice
            for block_number in block_numbers:
                self._slices_from[block_number].add(number)

    def _evict(self, number: int) -> None:
        """Drop all blocks of a number and the slices made from them."""
        for slice_number in self._slices_from.pop(number):
            self._slices.pop(slice_number, None)
        for block in self._blocks.pop(number).values():
            for run in block:
                for item_id in _ids(run):
                    self.by_id.pop(item_id, None)


def _ids(run: SessionRun) -> tuple[str, ...]:
    """Return the ids of a session and of its recording."""
    session, recording, _ = run
    return (session.id,) if recording is None else (session.id, recording.id)

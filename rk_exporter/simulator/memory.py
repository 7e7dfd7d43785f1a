"""What an improvisation remembers, so that it need not be drawn again for each question."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from rk_exporter.simulator.blocks import Block, Episode
from rk_exporter.simulator.story import Recording, Session


@dataclass(frozen=True, slots=True)
class Page:
    """What begins in all meetings in a stretch of time, oldest first, ready to be cut."""

    all_recordings: tuple[Recording, ...]
    invoked_at: tuple[float, ...]
    all_sessions: tuple[Session, ...]
    started_at: tuple[float, ...]

    @classmethod
    def of(cls, blocks: Iterable[Block], begins_at: float, ends_at: float) -> Self:
        """Collect what begins from *begins_at* until just before *ends_at*."""
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
        """Return the sessions begun from *first* to *last*, newest first."""
        start, stop = bisect_left(self.started_at, first), bisect_right(self.started_at, last)
        return self.all_sessions[start:stop][::-1]


class Memory:
    """The blocks drawn, for the last *capacity* numbers k asked about, and pages made of them."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._blocks: dict[int, dict[int, Block]] = {}
        self._pages: dict[int, Page] = {}
        self._pages_with: dict[int, set[int]] = {}
        """The numbers of the pages that were collected from blocks k."""
        self.by_id: dict[str, Episode] = {}
        """Episodes by the ids of their session and of their recording."""

    def block(self, number: int, k: int) -> Block | None:
        """Return block *k* of a meeting, if it is remembered."""
        blocks = self._blocks.get(k)
        return None if blocks is None else blocks.get(number)

    def keep_block(self, number: int, k: int, block: Block) -> None:
        """Remember block *k* of a meeting, at the cost of those remembered longest."""
        if k not in self._blocks:
            if len(self._blocks) >= self._capacity:
                self._forget(next(iter(self._blocks)))
            self._blocks[k] = {}
            self._pages_with[k] = set()
        self._blocks[k][number] = block
        for episode in block:
            self.by_id.update(dict.fromkeys(_ids(episode), episode))

    def page(self, number: int) -> Page | None:
        """Return a page, if it is remembered."""
        return self._pages.get(number)

    def keep_page(self, number: int, page: Page, collected_from: Collection[int]) -> None:
        """Remember a page as long as all blocks that it was *collected_from*, told by their k."""
        if collected_from and all(k in self._blocks for k in collected_from):
            self._pages[number] = page
            for k in collected_from:
                self._pages_with[k].add(number)

    def _forget(self, k: int) -> None:
        """Drop blocks *k* and the pages made of them; they can be drawn again."""
        for number in self._pages_with.pop(k):
            self._pages.pop(number, None)
        for block in self._blocks.pop(k).values():
            for episode in block:
                for part_id in _ids(episode):
                    self.by_id.pop(part_id, None)


def _ids(episode: Episode) -> tuple[str, ...]:
    """Tell the ids that stand in an episode."""
    session, recording, _ = episode
    return (session.id,) if recording is None else (session.id, recording.id)

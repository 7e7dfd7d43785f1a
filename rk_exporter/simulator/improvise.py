"""
An endless story drawn from a seed.

Each meeting's time is cut into blocks of equal length, beginning at a moment of its own. What it
does in a block is drawn from a generator seeded by (seed, meeting, block): any moment can be told
without telling what came before, in whichever order moments are asked for.
"""

import math

from collections.abc import Iterator, Sequence

from rk_exporter.simulator.blocks import Block, Episode, draw_block, draw_cast, generator
from rk_exporter.simulator.memory import Memory, Page
from rk_exporter.simulator.pace import Pace
from rk_exporter.simulator.story import Meeting, Recording, Session


REMEMBERED_SECONDS = 8 * 86_400.0
"""How long a recording is listed: a day longer than its file is kept."""

# Lists mostly ask about the last hours: with long pages most of what is drawn would not be shown.
_PAGES_PER_BLOCK = 8


class Improvisation:
    """A `Story` that is drawn when asked about, and keeps what is likely to be asked again."""

    def __init__(
        self,
        seed: int,
        meeting_count: int,
        starts_at: float,
        pace: Pace,
        remembered_seconds: float = REMEMBERED_SECONDS,
    ) -> None:
        self._seed = seed
        self._starts_at = starts_at
        self._pace = pace
        self._remembered_seconds = remembered_seconds
        rng = generator(f"{seed}")
        self._casts = tuple(draw_cast(rng, pace, starts_at) for _ in range(meeting_count))
        self._meetings = tuple(cast.meeting for cast in self._casts)
        self._numbers = {meeting.id: number for number, meeting in enumerate(self._meetings)}
        self._busy = tuple(number for number, cast in enumerate(self._casts) if cast.busy)
        # A window that long touches two more blocks than fit into it.
        self._memory = Memory(math.ceil(remembered_seconds / pace.block_seconds) + 3)

    @property
    def longest_seconds(self) -> float:
        """How long a recording can be under way."""
        return self._pace.longest_seconds

    def meetings(self) -> Sequence[Meeting]:
        """Return all meetings."""
        return self._meetings

    def meeting(self, meeting_id: str) -> Meeting | None:
        """Return one meeting."""
        number = self._numbers.get(meeting_id)
        return None if number is None else self._meetings[number]

    def recordings(
        self, now: float, *, meeting_id: str | None = None, since: float = -math.inf
    ) -> Sequence[Recording]:
        """Return what was invoked from *since* to *now*, of one meeting or of all."""
        first = max(since, self._oldest(now))
        if meeting_id is None:
            found = [
                recording
                for page in self._pages(first, now)
                for recording in page.recordings(first, now)
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
        """Return the recordings of a meeting that are under way, or ended a moment ago."""
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
        """Return one recording, if it exists by *now*."""
        episode = self._find(recording_id, now)
        recording = None if episode is None else episode.recording
        if recording is None or recording.id != recording_id or recording.status(now) is None:
            return None
        return recording if recording.invoked_at >= self._oldest(now) else None

    def sessions(self, now: float, *, meeting_id: str | None = None) -> Sequence[Session]:
        """Return the sessions begun by *now*, of one meeting or of all."""
        first = self._oldest(now)
        if meeting_id is None:
            pages = self._pages(first, now)
            return [session for page in pages for session in page.sessions(first, now)]
        return [
            session
            for block in self._blocks(meeting_id, first, now)
            for session, _, _ in reversed(block)
            if first <= session.started_at <= now
        ]

    def session(self, session_id: str, now: float) -> Session | None:
        """Return one session, if it has begun by *now*."""
        episode = self._find(session_id, now)
        if episode is None or episode.session.id != session_id:
            return None
        session = episode.session
        return session if self._oldest(now) <= session.started_at <= now else None

    def _oldest(self, now: float) -> float:
        """Tell from when on things are remembered at *now*."""
        return max(now - self._remembered_seconds, self._starts_at - self._pace.block_seconds)

    def _find(self, part_id: str, now: float) -> Episode | None:
        """Find the episode that a recording's or session's id belongs to."""
        if part_id not in self._memory.by_id:
            # Whoever asks may have learnt the id from another process with the same seed.
            for _ in self._pages(self._oldest(now), now):
                pass
        return self._memory.by_id.get(part_id)

    def _blocks(self, meeting_id: str, first: float, last: float) -> Iterator[Block]:
        """Tell the blocks of one meeting from *first* to *last*, newest first."""
        number = self._numbers.get(meeting_id)
        if number is None or not self._casts[number].busy:
            return
        begin, end = self._blocks_until(first), self._blocks_until(last)
        for k in reversed(self._block_numbers(number, begin, end)):
            yield self._block(number, k)

    def _pages(self, first: float, last: float) -> Iterator[Page]:
        """Tell the pages of all meetings from *first* to *last*, newest first."""
        oldest, newest = (
            math.floor(self._blocks_until(at) * _PAGES_PER_BLOCK) for at in (first, last)
        )
        for number in range(newest, oldest - 1, -1):
            yield self._page(number)

    def _blocks_until(self, at: float) -> float:
        """Tell how many blocks fit between the start of the story and *at*."""
        return (at - self._starts_at) / self._pace.block_seconds

    def _page(self, number: int) -> Page:
        """Tell what begins in a part of a block's time, counted from the start of the story."""
        page = self._memory.page(number)
        if page is None:
            begin, end = number / _PAGES_PER_BLOCK, (number + 1) / _PAGES_PER_BLOCK
            wanted = [(m, k) for m in self._busy for k in self._block_numbers(m, begin, end)]
            blocks = [self._block(m, k) for m, k in wanted]
            begins_at, ends_at = (
                self._starts_at + at * self._pace.block_seconds for at in (begin, end)
            )
            page = Page.of(blocks, begins_at, ends_at)
            self._memory.keep_page(number, page, {k for _, k in wanted})
        return page

    def _block_numbers(self, number: int, begin: float, end: float) -> range:
        """Tell which of a meeting's blocks touch the time from *begin* to *end*, in blocks."""
        # Each meeting's block k begins a part of a block later.
        offset = self._casts[number].offset
        return range(math.floor(begin - offset), math.floor(end - offset) + 1)

    def _block(self, number: int, k: int) -> Block:
        """Tell block *k* of one meeting."""
        block = self._memory.block(number, k)
        if block is None:
            cast = self._casts[number]
            begins_at = self._starts_at + (k + cast.offset) * self._pace.block_seconds
            rng = generator(f"{self._seed}/{number}/{k}")
            block = draw_block(rng, cast, self._pace, begins_at)
            self._memory.keep_block(number, k, block)
        return block


def improvise(
    seed: int,
    meeting_count: int,
    starts_at: float,
    pace: Pace,
    *,
    remembered_seconds: float = REMEMBERED_SECONDS,
) -> Improvisation:
    """
    Improvise the story of *meeting_count* meetings, already under way at *starts_at*.

    The same arguments give the same story. Recordings older than *remembered_seconds* are
    forgotten; at *starts_at* one block of the *pace* is remembered.
    """
    return Improvisation(seed, meeting_count, starts_at, pace, remembered_seconds)

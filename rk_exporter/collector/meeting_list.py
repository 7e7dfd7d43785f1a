"""The configured meetings and those in files, as one list."""

import asyncio

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import FileState, Meeting
from rk_exporter.runtime.printable import visible


class MeetingSource(Protocol):
    """A file that lists meetings and may change at any time."""

    problem: str | None
    last_read_successful: bool
    last_success_timestamp_seconds: float | None

    @property
    def path(self) -> Path:
        """Return the path of the file."""

    @property
    def meetings(self) -> tuple[Meeting, ...]:
        """Return the meetings of the last good list."""

    async def refresh(self) -> bool:
        """Read the file again if it has changed; return whether the list has."""


def combine(meetings: Iterable[Meeting]) -> tuple[Meeting, ...]:
    """Return each of the *meetings* once, with its first id and the first name that is no id."""
    combined: dict[str, Meeting] = {}
    for meeting in meetings:
        key = canonical(meeting.meeting_id)
        known = combined.setdefault(key, meeting)
        if known.name == known.meeting_id and meeting.name != meeting.meeting_id:
            combined[key] = Meeting(known.meeting_id, meeting.name)
    return tuple(combined.values())


class MeetingList:
    """The meetings of one app: the *configured* ones, and those that *files* list now."""

    def __init__(self, configured: Sequence[Meeting], files: Sequence[MeetingSource] = ()) -> None:
        self._configured = configured
        self._files = files
        self.meetings = self._combined()

    async def refresh(self) -> None:
        """Read the files that have changed, all at the same time, because each may hang."""
        if any(await asyncio.gather(*(file.refresh() for file in self._files))):
            self.meetings = self._combined()

    @property
    def duplicates(self) -> tuple[str, ...]:
        """Return the ids of the meetings that more than one list has."""
        counts = Counter(canonical(meeting.meeting_id) for meeting in self._listed())
        return tuple(
            meeting.meeting_id
            for meeting in self.meetings
            if counts[canonical(meeting.meeting_id)] > 1
        )

    @property
    def files(self) -> tuple[FileState, ...]:
        """Return for each file whether the list in use is the one that it holds now."""
        return tuple(
            FileState(
                visible(str(file.path)),
                file.last_read_successful,
                file.last_success_timestamp_seconds,
                file.problem and visible(file.problem),
            )
            for file in self._files
        )

    def _combined(self) -> tuple[Meeting, ...]:
        return combine(self._listed())

    def _listed(self) -> Iterator[Meeting]:
        yield from self._configured
        for file in self._files:
            yield from file.meetings

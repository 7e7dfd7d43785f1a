"""Which meetings are read: those configured, those in files, and those found live, as one list."""

from collections.abc import Iterable, Sequence

from rk_exporter.config.meeting_file import MeetingFile
from rk_exporter.model.meeting import FileState, Meeting


def combine(meetings: Iterable[Meeting]) -> tuple[Meeting, ...]:
    """Return each of the *meetings* once, with the first name of its own that it was given."""
    combined: dict[str, Meeting] = {}
    for meeting in meetings:
        known = combined.get(meeting.meeting_id)
        if known is None or known.name == known.meeting_id:
            combined[meeting.meeting_id] = meeting
    return tuple(combined.values())


class MeetingList:
    """The meetings of one app: *fixed* ones, and what stands in *files* at the time."""

    def __init__(self, fixed: Sequence[Meeting], files: Sequence[MeetingFile] = ()) -> None:
        self._fixed = fixed
        self._files = files
        self.meetings = self._combined()

    async def refresh(self) -> None:
        """Read the files that have changed."""
        for file in self._files:
            if await file.refresh():
                self.meetings = self._combined()

    @property
    def files(self) -> tuple[FileState, ...]:
        """Return whether what each file holds now is what is read."""
        return tuple(
            FileState(
                str(file.path), file.last_read_successful, file.last_success_timestamp_seconds
            )
            for file in self._files
        )

    def _combined(self) -> tuple[Meeting, ...]:
        in_files = (meeting for file in self._files for meeting in file.meetings)
        return combine([*self._fixed, *in_files])

"""What the client's calls return."""

from dataclasses import dataclass

from rk_exporter.model.meeting import ListedRecording
from rk_exporter.model.recording import Recording


@dataclass(frozen=True, slots=True)
class ActiveRecordings:
    """A meeting's recordings, newest first, and what in the answer was not as documented."""

    recordings: tuple[Recording, ...]
    malformed_fields: tuple[str, ...] = ()
    unknown_statuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordingDetails:
    """A recording by its id; None where the API says that there is no such recording."""

    recording: Recording | None
    malformed_fields: tuple[str, ...] = ()
    unknown_statuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paging:
    """How long a list is, and where in it a page ends; offsets count from 1, inclusive."""

    total_count: int
    end_offset: int


@dataclass(frozen=True, slots=True)
class RecordingsPage:
    """
    A page of an app's recordings.

    *item_ids* are the ids of all recordings on it as they stand there, also of those whose meeting
    is not told: a page that repeats has the same.
    """

    items: tuple[ListedRecording, ...]
    item_ids: tuple[str, ...]
    paging: Paging | None
    malformed_fields: tuple[str, ...] = ()
    unknown_statuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that goes on; a recorder may be among its *participants*."""

    session_id: str
    meeting_id: str
    meeting_name: str | None
    participants: int | None


@dataclass(frozen=True, slots=True)
class SessionsPage:
    """A page of an app's sessions: *items* are the live ones, *item_ids* the ids of all."""

    items: tuple[LiveSession, ...]
    item_ids: tuple[str, ...]
    paging: Paging | None
    malformed_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeetingSettings:
    """How a meeting is set up; None is "not said"."""

    record_on_start: bool | None
    malformed_fields: tuple[str, ...] = ()

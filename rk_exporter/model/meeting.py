"""Meetings, apps, and the last reading of each meeting."""

from dataclasses import dataclass
from enum import StrEnum

from rk_exporter.model.failure import Failure
from rk_exporter.model.recording import Recording


class ReadMode(StrEnum):
    """How an app's recordings are read: the label `read` of rk_app_info."""

    ACTIVE_RECORDING = "active-recording"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting to be read. Without a name of its own it is called by its id."""

    meeting_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ListedRecording:
    """A recording, and the meeting that it is of."""

    meeting: Meeting
    recording: Recording


@dataclass(frozen=True, slots=True)
class Room:
    """What discovery knows of a meeting: whether people are in it, and its settings."""

    is_live: bool | None = None
    participants: int | None = None
    record_on_start: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    What is known of one meeting after the last attempt to read it.

    *recordings* is None until a read has succeeded, and again when the last success is too old
    to be shown; the empty tuple is the API's word that there is none.
    """

    meeting: Meeting
    recordings: tuple[Recording, ...] | None = None
    last_attempt_timestamp_seconds: float | None = None
    last_success_timestamp_seconds: float | None = None
    failure: Failure | None = None
    room: Room | None = None

    @property
    def up(self) -> bool | None:
        """Tell whether the last attempt succeeded; None before there was one."""
        return None if self.last_attempt_timestamp_seconds is None else self.failure is None


@dataclass(frozen=True, slots=True)
class App:
    """A RealtimeKit app: *name* is the label `app`."""

    name: str
    account_id: str
    app_id: str


@dataclass(frozen=True, slots=True)
class DiscoveryState:
    """How the live sessions were listed: the last *failure*, None where it succeeded."""

    failure: Failure | None = None
    last_success_timestamp_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FileState:
    """A file with meetings: whether what it holds now is what is read."""

    path: str
    is_read: bool
    last_success_timestamp_seconds: float | None

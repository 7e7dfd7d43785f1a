"""Apps, their meetings, and the last reading of each meeting."""

from dataclasses import dataclass
from enum import StrEnum

from rk_exporter.model.failure import Failure
from rk_exporter.model.ids import canonical
from rk_exporter.model.recording import Recording


class ReadMode(StrEnum):
    """How an app's recordings are read: the values of the label `read` of rk_app_info."""

    ACTIVE_RECORDING = "active-recording"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting to read; its id is the *name* if it has no other."""

    meeting_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ListedRecording:
    """A recording from a list of all meetings, and its meeting."""

    meeting: Meeting
    recording: Recording


@dataclass(frozen=True, slots=True)
class Room:
    """What discovery knows about a meeting: its participants and its settings."""

    is_live: bool | None = None
    participants: int | None = None
    record_on_start: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    The result of the last attempts to read one meeting.

    *recordings* is None before the first success, and again when the last success is too old to
    be shown; it is empty if the API says that there are none.
    """

    meeting: Meeting
    recordings: tuple[Recording, ...] | None = None
    last_attempt_timestamp_seconds: float | None = None
    last_success_timestamp_seconds: float | None = None
    failure: Failure | None = None
    failures_alone: int = 0
    """How many attempts in a row failed in passes in which other calls succeeded."""
    room: Room | None = None

    @property
    def up(self) -> bool | None:
        """Return whether the last attempt succeeded; None before the first one."""
        return None if self.last_attempt_timestamp_seconds is None else self.failure is None


@dataclass(frozen=True, slots=True)
class App:
    """A RealtimeKit app: *name* is the label `rk_app`."""

    name: str
    account_id: str
    app_id: str

    @property
    def ids(self) -> tuple[str, str]:
        """Return what makes it the same app, whatever its name and the spelling of its ids."""
        return canonical(self.account_id), canonical(self.app_id)


@dataclass(frozen=True, slots=True)
class DiscoveryState:
    """The result of listing the live sessions; *failure* is None after a success."""

    failure: Failure | None = None
    last_success_timestamp_seconds: float | None = None
    is_late: bool = False
    """Whether the budget is too small to finish a list within the time for which it is valid."""

    @property
    def up(self) -> bool:
        """Return whether there is a list, and the last attempt has succeeded in time."""
        is_listed = self.last_success_timestamp_seconds is not None
        return is_listed and self.failure is None and not self.is_late


@dataclass(frozen=True, slots=True)
class FileState:
    """A file of meetings; *is_read* says whether its present content is in use."""

    path: str
    is_read: bool
    last_success_timestamp_seconds: float | None
    problem: str | None = None
    """Why the present content cannot be used."""

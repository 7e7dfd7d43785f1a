"""
The file that keeps counters and readings across restarts.

It is replaced as a whole, and before what it holds is shown: a counter that a killed process has
shown and its successor does not know would go back, which to Prometheus is a reset that counts
all of it once more.
"""

import asyncio
import fcntl
import logging
import os
import stat

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rk_exporter.model.meeting import App, Meeting, Reading
from rk_exporter.model.recording import Recording
from rk_exporter.tracking.tracker import TrackerState


@dataclass(frozen=True, slots=True)
class StateFileState:
    """The file that outlives the process: whether the last write went well, and when one did."""

    is_written: bool
    last_success_timestamp_seconds: float | None


logger = logging.getLogger(__name__)
_VERSION = 1
_LARGEST_FILE_BYTES = 256 << 20
# What has only been read again is not worth a write at each scrape.
_UNCHANGED_SECONDS = 60.0
# A disk that hangs is waited for no longer: scrapes are to be answered.
_PATIENCE_SECONDS = 0.2
LAST_PATIENCE_SECONDS = 5.0


"""How long the last write is waited for: no scrape is, and no other write makes up for it."""


class StateFileError(Exception):
    """A state file that cannot be used at all; the message says why, and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingState:
    """A meeting as it was last read, at *read_at* (unix seconds)."""

    meeting_id: str
    read_at: float
    recordings: tuple[Recording, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """What is kept of an app."""

    app: App
    past: TrackerState
    newest_ids: tuple[str, ...] = ()
    """What the list of recordings began with."""
    meetings: tuple[MeetingState, ...] = ()

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Return what was read of each meeting, without an attempt: all are to be read again."""
        return tuple(
            Reading(
                meeting=Meeting(each.meeting_id, each.meeting_id),
                recordings=each.recordings,
                last_success_timestamp_seconds=each.read_at,
            )
            for each in self.meetings
        )


def app_state(
    app: App, past: TrackerState, readings: Iterable[Reading], newest_ids: tuple[str, ...]
) -> AppState:
    """Return what is to be kept of an app, of its *readings* those that succeeded."""
    return AppState(
        app=app,
        past=past,
        newest_ids=newest_ids,
        meetings=tuple(
            MeetingState(
                meeting_id=reading.meeting.meeting_id,
                read_at=reading.last_success_timestamp_seconds,
                recordings=reading.recordings,
            )
            for reading in readings
            if reading.recordings is not None and reading.last_success_timestamp_seconds is not None
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    version: int
    apps: tuple[AppState, ...]


@dataclass(frozen=True, slots=True)
class _Version:
    version: int


_version_decoder = msgspec.json.Decoder(_Version)
_decoder = msgspec.json.Decoder(_Content)
_encoder = msgspec.json.Encoder()


class StateFile:
    """
    A file that one process at a time keeps its state in; *clock* gives unix seconds.

    Raises StateFileError where it cannot be written or read, or another process has it. A file
    that is damaged is set aside, with a warning.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._lock = _locked(path)
        self._states = {each.app: each for each in self._load()}
        self._kept_at = clock()
        self._writing: asyncio.Task[str | None] | None = None
        self._trouble: str | None = None
        self.last_write_successful = True
        self.last_success_timestamp_seconds: float | None = None

    def state_of(self, app: App) -> AppState | None:
        """Return what was kept of *app*, by a process before this one."""
        return self._states.get(app)

    def is_due(self) -> bool:
        """Tell whether the file is to be written though nothing has happened."""
        return abs(self._clock() - self._kept_at) >= _UNCHANGED_SECONDS

    async def keep(
        self, states: Sequence[AppState], *, max_wait_seconds: float = _PATIENCE_SECONDS
    ) -> bool:
        """
        Write down the *states*, and tell whether that was done within *max_wait_seconds*.

        What goes wrong is logged, each time that it changes.
        """
        deadline = asyncio.get_running_loop().time() + max_wait_seconds
        trouble = await self._trouble_with(self._writing, deadline) if self._writing else None
        if self._writing is None:
            self._kept_at = self._clock()
            content = _encoder.encode(_Content(version=_VERSION, apps=tuple(states)))
            self._writing = asyncio.create_task(asyncio.to_thread(_write, self._path, content))
            trouble = await self._trouble_with(self._writing, deadline)
        self._report(trouble)
        return trouble is None

    async def _trouble_with(self, writing: asyncio.Task[str | None], deadline: float) -> str | None:
        """Return what is wrong with what is being written, as far as known by the *deadline*."""
        left_seconds = deadline - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait({writing}, timeout=max(0.0, left_seconds))
        if not done:
            return "the file system does not answer"
        self._writing = None
        trouble = writing.result()
        if trouble is None:
            self.last_success_timestamp_seconds = self._clock()
        return trouble

    def close(self) -> None:
        """Let another process have the file."""
        os.close(self._lock)

    def _report(self, trouble: str | None) -> None:
        self.last_write_successful = trouble is None
        if trouble == self._trouble:
            return
        self._trouble = trouble
        fields = {"path": str(self._path)}
        if trouble:
            logger.warning(
                "state file: %s; what happens now is not known after a restart",
                trouble,
                extra=fields,
            )
        else:
            logger.info("state file: it can be written again", extra=fields)

    def _load(self) -> Sequence[AppState]:
        try:
            content = _read(self._path)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StateFileError(f"{self._path}: cannot be read ({error.strerror})") from None
        try:
            if _version_decoder.decode(content).version == _VERSION:
                return _decoder.decode(content).apps
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._set_aside("is damaged")
        else:
            self._set_aside("was written by another version")
        return ()

    def _set_aside(self, what: str) -> None:
        aside = _beside(self._path, ".damaged")
        try:
            self._path.replace(aside)
        except OSError as error:
            reason = f"{what}, and cannot be moved ({error.strerror})"
            raise StateFileError(f"{self._path}: {reason}") from None
        logger.warning(
            "state file: it %s, and was set aside; counters begin at 0",
            what,
            extra={"path": str(self._path), "aside": str(aside)},
        )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _locked(path: Path) -> int:
    """Return a descriptor that locks the file at *path* until it is closed."""
    lock = _beside(path, ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateFileError(f"{lock}: cannot be written ({error.strerror})") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StateFileError(
            f"{path}: another rk-exporter uses it; give each a file of its own"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise StateFileError(
            f"{lock}: cannot be locked ({error.strerror}); give a file on a disk of this machine"
        ) from None
    return descriptor


def _read(path: Path) -> bytes:
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise StateFileError(f"{path}: has to be a file")
        return file.read(_LARGEST_FILE_BYTES)


def _open_at_once(path: str, flags: int) -> int:
    # What is no file could keep its reader waiting.
    return os.open(path, flags | os.O_NONBLOCK)


def _write(path: Path, content: bytes) -> str | None:
    """
    Replace the file at *path*, and return what went wrong.

    Whoever reads it sees all of the old content or all of the new.
    """
    new = _beside(path, ".new")
    try:
        with open(new, "wb", opener=_open_for_ourselves) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return None


def _sync_folder(folder: Path) -> None:
    # Until then a loss of power would bring the old file back.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_for_ourselves(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

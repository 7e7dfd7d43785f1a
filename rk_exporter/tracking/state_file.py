"""
The file that keeps counters and readings across restarts.

Each write replaces the whole file before a scrape shows the new values. Otherwise a restart after
a kill could set a counter back. Prometheus takes that for a reset, and counts everything again.
"""

import asyncio
import errno
import fcntl
import logging
import os
import stat

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rk_exporter.model.account import AccountApps
from rk_exporter.model.saved_calls import SavedCalls
from rk_exporter.runtime.background_call import BackgroundCall, bounded_call
from rk_exporter.runtime.files import (
    FileError,
    FileHangs,
    FileMissing,
    FileTooLarge,
    read_regular_file,
    size_text,
)
from rk_exporter.runtime.last_logged import LastLogged
from rk_exporter.tracking.state_records import (
    SavedApp,
    SavedState,
    UnreadableState,
    decode,
    encode,
)


logger = logging.getLogger(__name__)
# A file that is written must be readable again, or all counters would be lost.
_LARGEST_FILE_BYTES = 2 << 30
# New read times alone are not worth a write at each scrape.
_UNCHANGED_SECONDS = 60.0
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
# Scrapes must get their answer even if the disk hangs.
_MAX_WAIT_SECONDS = 0.2
# No scrape waits for the last write, and no later write makes up for it.
LAST_MAX_WAIT_SECONDS = 5.0
# Of a busy disk that has to write everything before this file, too.
_SLOWEST_WRITE_SECONDS = 4.0
_SMALLER = "lower follow.max_recordings, or divide the apps among several exporters"
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM})


class StateFileError(Exception):
    """A state file that cannot be used; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class StateFileStatus:
    """Whether the last write succeeded, and the unix time of the last successful write."""

    is_written: bool
    last_success_timestamp_seconds: float | None


class StateFile:
    """
    A file in which one process at a time saves its state; *clock* gives unix seconds.

    It is neither written nor read if it is larger than *max_bytes*.
    A damaged file is moved aside, with a warning. Raises StateFileError if the file cannot be
    read or written, or if another process uses it.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float],
        max_bytes: int = _LARGEST_FILE_BYTES,
    ) -> None:
        self._path = path
        self._clock = clock
        self._max_bytes = max_bytes
        try:
            self._lock = bounded_call(partial(_lock, path))
            content = self._load()
        except FileHangs as error:
            raise StateFileError(f"{path}: {error}") from None
        self.restored_apps = {saved.app: saved for saved in content.apps}
        """What an earlier process saved of each app."""
        self.restored_accounts = {saved.account_id: saved for saved in content.accounts}
        """The apps of each account that an earlier process saved, by the account's id."""
        self._restored_calls = {saved.group: saved for saved in content.calls}
        self._saved_at = clock()
        self._write: BackgroundCall[None] = BackgroundCall()
        self._logged_problem: LastLogged[str | None] = LastLogged(None)
        self.status = StateFileStatus(is_written=True, last_success_timestamp_seconds=None)

    def restored_calls(self, group: str | None) -> SavedCalls | None:
        """Return the recent calls of a budget *group* that an earlier process saved."""
        return self._restored_calls.get(group)

    def is_due(self) -> bool:
        """Return whether to write the file even if nothing has changed."""
        return abs(self._clock() - self._saved_at) >= _UNCHANGED_SECONDS

    async def save(
        self,
        apps: Iterable[SavedApp],
        calls: Iterable[SavedCalls] = (),
        accounts: Iterable[AccountApps] = (),
        *,
        max_wait_seconds: float = _MAX_WAIT_SECONDS,
    ) -> bool:
        """
        Write *apps*, *calls* and *accounts* to the file, and return whether that succeeded in time.

        The caller waits for *max_wait_seconds* at most. Problems are logged when they change.
        """
        deadline = asyncio.get_running_loop().time() + max_wait_seconds
        if self._write.is_running:
            await self._take_result(deadline)
        if self._write.is_running:
            return False
        self._saved_at = self._clock()
        content = encode(apps, calls, accounts)
        self._write.start(partial(_replace, self._path, content, max_bytes=self._max_bytes))
        await self._take_result(deadline)
        return self.status.is_written and not self._write.is_running

    async def _take_result(self, deadline: float) -> None:
        """Take the result of the running write, if it ends until *deadline* (loop time)."""
        left_seconds = deadline - asyncio.get_running_loop().time()
        has_ended = await self._write.has_returned(timeout_seconds=left_seconds)
        if not has_ended and abs(self._clock() - self._saved_at) < _SLOWEST_WRITE_SECONDS:
            return
        was_late, problem = self._write.is_late, None
        try:
            await self._write.result(timeout_seconds=0.0)
        except FileHangs as error:
            problem = str(error)
        except OSError as error:
            problem = str(error.strerror)
        else:
            self.status = replace(self.status, last_success_timestamp_seconds=self._clock())
            if was_late:
                # Perhaps the next one is late, too.
                return
        self.status = replace(self.status, is_written=problem is None)
        self._log(problem)

    def close(self) -> None:
        """Release the file to other processes."""
        with suppress(FileHangs):
            bounded_call(partial(os.close, self._lock), max_wait_seconds=_MAX_WAIT_SECONDS)

    def _log(self, problem: str | None) -> None:
        if not self._logged_problem.changes_to(problem):
            return
        fields = {"path": str(self._path)}
        if problem is None:
            logger.info("state file can be written again", extra=fields)
        else:
            logger.warning(
                "state file cannot be written (%s); new state will be lost on restart",
                problem,
                extra=fields,
            )

    def _load(self) -> SavedState:
        read = partial(read_regular_file, self._path, max_bytes=self._max_bytes)
        try:
            # Only the file system may hang; decoding takes long if the process gets little CPU.
            return decode(bounded_call(read))
        except FileMissing:
            return SavedState()
        except (FileTooLarge, UnreadableState) as error:
            bounded_call(partial(self._quarantine, str(error)))
            return SavedState()
        except FileError as error:
            raise StateFileError(f"{self._path}: {error}") from None

    def _quarantine(self, reason: str) -> None:
        """Move the file aside, so that the next write does not destroy it."""
        aside = _beside(self._path, ".damaged")
        try:
            self._path.replace(aside)
        except OSError as error:
            message = f"{self._path}: {reason}, and cannot be moved ({error.strerror})"
            raise StateFileError(message) from None
        logger.warning(
            "state file %s and was moved aside; counters start at 0",
            reason,
            extra={"path": str(self._path), "moved_to": str(aside)},
        )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _lock(path: Path) -> int:
    """Return a descriptor that locks the file at *path* until it is closed."""
    lock = _beside(path, ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
    except OSError as error:
        advice = ""
        if error.errno in _NOT_ALLOWED:
            advice = f"; the user with the id {os.geteuid()} must be able to write to its folder"
        elif error.errno == errno.EROFS:
            advice = "; choose a folder on a file system that can be written, e.g. a volume"
        raise StateFileError(f"{lock}: cannot be written ({error.strerror}){advice}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StateFileError(
            f"{path}: another rk-exporter uses this file; give each exporter its own file"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise StateFileError(
            f"{lock}: cannot be locked ({error.strerror}); choose a file on a local disk"
        ) from None
    return descriptor


def _replace(path: Path, content: bytes, *, max_bytes: int) -> None:
    """Replace the file at *path*; a reader sees either all of the old or all of the new content."""
    if len(content) > max_bytes:
        # The next start could not read it; the old file still has most counts.
        raise OSError(errno.EFBIG, f"it would be larger than {size_text(max_bytes)}; {_SMALLER}")
    new = _beside(path, ".new")
    with open(new, "xb", opener=_create) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    # Without this a power loss could bring the old file back.
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(path: str, flags: int) -> int:
    """Create the private file at *path*; a process that was killed may have left one there."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            # Someone else made it, e.g. a link, so that the state goes somewhere else.
            raise FileExistsError(errno.EEXIST, f"{path} is not a regular file; remove it")
        Path(path).unlink()
    return os.open(path, flags, 0o600)

"""Values in files that people and tools replace at any time."""

import asyncio
import logging
import stat
import time

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from rk_exporter.runtime.background_call import BackgroundCall, bounded_call
from rk_exporter.runtime.files import (
    FileError,
    FileHangs,
    irregular,
    read_regular_file,
    unreadable,
)
from rk_exporter.runtime.last_logged import LastLogged


T = TypeVar("T")
# A program that truncates a file and then writes it needs less. Within this time a second change
# may also leave size and timestamps as they are.
_SETTLED_AFTER_SECONDS = 1.0
# Device, inode, size, and the times of the last change of content and of metadata.
_version = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
IS_PUBLIC = "can be read by other users of the machine; set its mode to 0600 or 0640"
_Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _ReadResult(Generic[T]):
    """The result of a read: a value, or the *problem* with the file."""

    version: _Version | None = None
    """None makes the next refresh read the file again."""
    value: T | None = None
    problem: str | None = None
    is_public: bool = False
    """Whether other users of the machine can read the file."""


@dataclass(frozen=True, slots=True)
class _Unparsed:
    """The *content* of a file that has changed, or may change again without a new version."""

    version: _Version | None
    content: bytes
    is_public: bool


class WatchedFile(ABC, Generic[T]):
    """
    A value in a file that is read again when it changes.

    If the file becomes unreadable or invalid, the last good value stays in use, and a warning with
    the *option* that names the file is logged whenever the problem changes. A refresh waits at most
    *max_wait_seconds*; a value whose parsing takes longer is used by a later one. Raises FileError
    if the first read fails.
    """

    kind: ClassVar[str]
    """The kind of file in log messages."""
    content: ClassVar[str]
    """The content of the file in log messages."""
    remedy: ClassVar[str] = "correct the file; it is read again when it changes"
    """What to do about a problem, in log messages."""
    max_bytes: ClassVar[int]
    is_path_shown: ClassVar[bool] = True
    is_secret: ClassVar[bool] = False
    waits_until_settled: ClassVar[bool] = False
    """Whether a file that was written just now is left for the next refresh."""

    def __init__(
        self,
        path: Path,
        *,
        option: str,
        clock: Callable[[], float] = time.time,
        max_wait_seconds: float = 1.0,
    ) -> None:
        self.path = path
        self.fields = {"option": option}
        if self.is_path_shown:
            self.fields["path"] = str(path)
        self._logger = logging.getLogger(type(self).__module__)
        self._clock = clock
        self._max_wait_seconds = max_wait_seconds
        self._call = BackgroundCall[_Unparsed | _ReadResult[T] | None]()
        self._parsing = BackgroundCall[_ReadResult[T]]()
        self._lock = asyncio.Lock()
        self._logged_problem = LastLogged[str | None](None)
        try:
            found = bounded_call(lambda: self._read(known=None, is_first=True))
        except FileHangs:
            raise FileHangs(self._about("")) from None
        if found is None:
            raise FileError(self._about("changed while it was read; try again"))
        # Only the file system may hang; parsing takes long if the process gets little CPU.
        first = self._parsed(found) if isinstance(found, _Unparsed) else found
        if first.value is None:
            raise FileError(str(first.problem))
        self.value, self._version = first.value, first.version
        self.is_public = first.is_public
        self.problem: str | None = None
        """Why the present content of the file cannot be used."""
        self.last_read_successful = True
        self.last_success_timestamp_seconds: float | None = clock()

    @abstractmethod
    def parse(self, content: bytes) -> T:
        """Return the value in the *content* of the file, or raise ValueError."""

    def log_change(self, before: T, after: T) -> None:
        """Log that the value has changed, if that is worth a log line."""

    async def refresh(self) -> bool:
        """Read the file again if it has changed; return whether the value has."""
        # Webhooks that arrive at the same time use one file.
        async with self._lock:
            return await self._refresh()

    async def _refresh(self) -> bool:
        # Every scrape waits for a file, but only one for each time that it hangs.
        wait_seconds = 0.0 if self._call.is_late else self._max_wait_seconds
        deadline = asyncio.get_running_loop().time() + wait_seconds
        if not self._parsing.is_running:
            found = await self._changed(wait_seconds)
            if not isinstance(found, _Unparsed):
                return found is not None and self._accept(found)
            self._parsing.start(partial(self._parsed, found))
        left_seconds = deadline - asyncio.get_running_loop().time()
        if not await self._parsing.has_returned(timeout_seconds=left_seconds):
            return False
        return self._accept(await self._parsing.result(timeout_seconds=0.0))

    async def _changed(self, wait_seconds: float) -> _Unparsed | _ReadResult[T] | None:
        """Return what a read of the file finds; a problem if it takes longer than allowed."""
        if not self._call.is_running:
            known = self._version
            self._call.start(lambda: self._read(known=known))
        try:
            return await self._call.result(timeout_seconds=wait_seconds)
        except FileHangs as error:
            return _ReadResult(problem=self._about(str(error)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def _read(
        self, *, known: _Version | None, is_first: bool = False
    ) -> _Unparsed | _ReadResult[T] | None:
        """Return what is in the file now; None if it is as *known*, or being written."""
        try:
            status = self.path.stat()
            version = _version(status)
            if version == known:
                return None
            if problem := irregular(status):
                return _ReadResult(version, problem=self._about(problem))
            is_settled = abs(self._clock() - status.st_mtime) >= _SETTLED_AFTER_SECONDS
            if self.waits_until_settled and not (is_settled or is_first):
                return None
            content = read_regular_file(self.path, max_bytes=self.max_bytes)
            if _version(self.path.stat()) != version:
                return None
        except FileError as error:
            return _ReadResult(problem=self._about(str(error)))
        except OSError as error:
            return _ReadResult(problem=self._about(unreadable(error)))
        is_public = bool(status.st_mode & stat.S_IROTH)
        return _Unparsed(version if is_settled else None, content, is_public)

    def _parsed(self, found: _Unparsed) -> _ReadResult[T]:
        try:
            value = self.parse(found.content)
        except ValueError as error:
            return _ReadResult(found.version, problem=str(error))
        return _ReadResult(found.version, value, is_public=found.is_public)

    def _accept(self, result: _ReadResult[T]) -> bool:
        self._version = result.version
        self.problem = result.problem
        self._log_problem(result.problem)
        self.last_read_successful = result.value is not None
        if result.value is None:
            return False
        self.last_success_timestamp_seconds = self._clock()
        if result.is_public and not self.is_public and self.is_secret:
            self._logger.warning("%s %s", self.kind, IS_PUBLIC, extra=self.fields)
        self.is_public = result.is_public
        before, self.value = self.value, result.value
        if before == self.value:
            return False
        self.log_change(before, self.value)
        return True

    def _log_problem(self, problem: str | None) -> None:
        if not self._logged_problem.changes_to(problem):
            return
        if problem is None:
            self._logger.info("%s can be used again", self.kind, extra=self.fields)
        else:
            self._logger.warning(
                "%s cannot be used, the last good %s stays in use: %s",
                self.kind,
                self.content,
                problem,
                extra=self.fields | {"remedy": self.remedy},
            )

    def _about(self, message: str) -> str:
        return f"{self.path}: {message}" if self.is_path_shown else message

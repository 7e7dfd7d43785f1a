"""
Lists of meetings in files, as YAML, as JSON or with one id a line, read again when they change.

Such a file is replaced or edited at any time by people and their tools. Neither an accident nor
a writer that has come half way may take meetings from the list, so what is not sound, or was
written to just now, leaves the last good list in use.
"""

import asyncio
import logging
import os
import re
import stat
import time

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rk_exporter.config.parsers import EntryError, distinct_meetings
from rk_exporter.config.schema import MeetingEntry, explain
from rk_exporter.config.yaml_document import LARGEST_FILE_BYTES, DocumentError, parse_document
from rk_exporter.model.meeting import Meeting


logger = logging.getLogger(__name__)
# Who truncates a file and then writes it needs less.
_SETTLED_AFTER_SECONDS = 1.0
_LINE_BREAK = re.compile(r"\r\n?|\n")
# How the first line of a YAML or JSON file begins, or a mapping's ends; no id does. What jq
# writes where it finds nothing is no id either.
_YAML = re.compile(r"[\[{\"'%!&*|>?]|-(?:--)?(?:\s|$)|(?:null|~)$|.*:(?:\s|$)")
_JSON = msgspec.json.Decoder(list[str | MeetingEntry])
_NAMES_AT = {"[]": MeetingEntry.__struct_fields__}
_HOLDS_NOTHING = "is empty; list meetings there, or write [] if there are none"
# Device, inode, size, and times of the last change of the content and of the rest.
_Version = tuple[int, int, int, int, int]


class MeetingFileError(Exception):
    """A list that cannot be used; the message names the file, the line and what would be right."""


def parse_meetings(path: Path, content: bytes) -> tuple[Meeting, ...]:
    """
    Return the meetings in the *content* of the file at *path*, each once, with its first name.

    Raises MeetingFileError.
    """
    if len(content) > LARGEST_FILE_BYTES:
        raise MeetingFileError(f"{path}: larger than 16 MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MeetingFileError(f"{path}:{line}: not UTF-8") from None
    lines = [line.partition("#")[0].strip() for line in _LINE_BREAK.split(text)]
    first = next(filter(None, lines), "")
    if first.startswith("["):
        meetings = _from_json(path, text)
        if meetings is not None:
            return meetings
    return _from_yaml(path, text) if _YAML.match(first) else _from_lines(path, lines)


def _from_json(path: Path, text: str) -> tuple[Meeting, ...] | None:
    """Return the list in *text*; None if YAML has to tell what it is, and in which line."""
    try:
        entries = _JSON.decode(text)
    except msgspec.DecodeError:
        return None
    try:
        return distinct_meetings(entries)
    except EntryError as error:
        raise MeetingFileError(f"{path}: {error.at}: {error}") from None


def _from_yaml(path: Path, text: str) -> tuple[Meeting, ...]:
    try:
        document = parse_document(path, text.encode())
    except DocumentError as error:
        raise MeetingFileError(str(error)) from None
    if document.content is None:
        raise MeetingFileError(f"{path}: {_HOLDS_NOTHING}")
    try:
        return distinct_meetings(msgspec.convert(document.content, list[str | MeetingEntry]))
    except msgspec.ValidationError as error:
        where, message = explain(str(error), _NAMES_AT)
    except EntryError as error:
        where, message = error.at, str(error)
    raise MeetingFileError(document.about(where, message))


def _from_lines(path: Path, lines: list[str]) -> tuple[Meeting, ...]:
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line]
    if not numbered:
        raise MeetingFileError(f"{path}: {_HOLDS_NOTHING}")
    try:
        return distinct_meetings(line for _, line in numbered)
    except EntryError as error:
        number, _ = numbered[error.number]
        raise MeetingFileError(f"{path}:{number}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What a look at a file showed: its meetings, or the *trouble* with them."""

    version: _Version | None
    """None where it is not the content's fault, so that the next look tries again."""
    meetings: tuple[Meeting, ...] = ()
    trouble: str | None = None


class MeetingFile:
    """
    A list of meetings in a file that is read again when it changes.

    A file that turns unreadable or invalid leaves the last good list in use, and a warning in the
    log, with the *option* that named the file, each time that what is wrong changes. Raises
    MeetingFileError where it begins so. A file system that does not answer within
    *max_wait_seconds* is waited for no longer, until it does.
    """

    def __init__(
        self,
        path: Path,
        *,
        option: str,
        clock: Callable[[], float] = time.time,
        max_wait_seconds: float = 1.0,
    ) -> None:
        look = _look(path, known=None)
        if look is None:
            raise MeetingFileError(f"{path}: changed while it was read; try again")
        if look.trouble:
            raise MeetingFileError(look.trouble)
        self.path = path
        self.meetings = look.meetings
        self.last_read_successful = True
        self.last_success_timestamp_seconds: float | None = clock()
        self._option = option
        self._clock = clock
        self._patience_seconds = max_wait_seconds
        self._version = look.version
        self._trouble: str | None = None
        self._looking: asyncio.Task[_Look | None] | None = None

    async def refresh(self) -> bool:
        """Read the file again if it has changed; tell whether the list has."""
        if self._looking is None:
            # In a thread: ten thousand entries take a moment, and health must answer meanwhile.
            look = asyncio.to_thread(_look, self.path, known=self._version, clock=self._clock)
            self._looking = asyncio.create_task(look)
        done, _ = await asyncio.wait({self._looking}, timeout=self._patience_seconds)
        if not done:
            # A file system that hangs, as NFS does; passes go on, and this look is not given up.
            trouble = f"{self.path}: the file system does not answer"
            return self._take(_Look(version=None, trouble=trouble))
        seen, self._looking = self._looking.result(), None
        return seen is not None and self._take(seen)

    def __repr__(self) -> str:
        return f"MeetingFile({str(self.path)!r})"

    def _take(self, look: _Look) -> bool:
        self._version = look.version
        self._report(look.trouble)
        self.last_read_successful = look.trouble is None
        if look.trouble:
            return False
        self.last_success_timestamp_seconds = self._clock()
        before, self.meetings = self.meetings, look.meetings
        if before == self.meetings:
            return False
        self._report_change(before, self.meetings)
        return True

    def _report(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            if trouble:
                logger.warning(
                    "meetings file: %s; the last good list stays in use",
                    trouble,
                    extra=self._fields(),
                )
            else:
                logger.info("meetings file: it can be read again", extra=self._fields())
        self._trouble = trouble

    def _report_change(self, before: tuple[Meeting, ...], after: tuple[Meeting, ...]) -> None:
        old, new = ({each.meeting_id for each in meetings} for meetings in (before, after))
        counts = {"meetings": len(new), "added": len(new - old), "removed": len(old - new)}
        fields = {**self._fields(), **counts}
        logger.info("meetings file: the list has changed", extra=fields)
        if 2 * counts["removed"] > len(old):
            logger.warning("meetings file: more than half of it is gone at once", extra=fields)

    def _fields(self) -> dict[str, str]:
        return {"option": self._option, "path": str(self.path)}


def _look(
    path: Path, *, known: _Version | None, clock: Callable[[], float] | None = None
) -> _Look | None:
    """
    Return what is in the file at *path* now; None if it is as *known*, or being written to.

    Without a *clock* a file that was written to just now counts as well.
    """
    try:
        status = path.stat()
        version = _version(status)
        if version == known:
            return None
        if not stat.S_ISREG(status.st_mode):
            return _Look(version=version, trouble=f"{path}: has to be a file, with a list in it")
        if clock and abs(clock() - status.st_mtime) < _SETTLED_AFTER_SECONDS:
            return None
        content = _read(path, version)
    except OSError as error:
        return _Look(version=None, trouble=f"{path}: cannot be read ({error.strerror})")
    if content is None:
        return None
    try:
        return _Look(version=version, meetings=parse_meetings(path, content))
    except MeetingFileError as error:
        return _Look(version=version, trouble=str(error))


def _read(path: Path, version: _Version) -> bytes | None:
    """Return the bytes of that *version* of the file, or None if it is another by now."""
    # A FIFO that has come in the meantime would wait for a writer.
    with open(path, "rb", opener=_open_at_once) as file:
        content = file.read(LARGEST_FILE_BYTES + 1)
        return content if _version(os.fstat(file.fileno())) == version else None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _version(status: os.stat_result) -> _Version:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )

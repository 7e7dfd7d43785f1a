"""Reading files without waiting for anything that is not a file."""

import errno
import os
import stat

from pathlib import Path
from typing import BinaryIO

from rk_exporter.runtime.printable import visible


_ADVICE = {
    errno.ENOENT: "create it, or correct the path",
    errno.ENOTDIR: "correct the path",
    errno.EISDIR: "give the path of a file in it",
    errno.EACCES: "allow the user with the id {user} to read it",
}
_KIB = 1 << 10
_MIB = 1 << 20
_GIB = 1 << 30


class FileError(ValueError):
    """
    A file cannot be used.

    The *message*, one printable line, gives the reason, and the path only if that is safe.
    """

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))


class FileMissing(FileError):
    """There is no such file."""


class FileTooLarge(FileError):
    """The file is larger than any valid one."""


class FileHangs(FileError):
    """The file system takes longer than anyone can wait."""

    def __init__(self, subject: str = "") -> None:
        super().__init__(f"{subject}the file system does not answer")


def read_regular_file(path: Path, *, max_bytes: int) -> bytes:
    """
    Return the content of the regular file at *path*.

    Raises FileError, whose message does not name the path: a secret pasted in its place must not
    be printed.
    """
    try:
        # Opening a device may have effects of its own.
        _require_regular(path.stat())
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            _require_regular(status)
            # Most large files need not be read to be refused.
            content = _content(file, status.st_size, max_bytes)
    except OSError as error:
        kind = FileMissing if isinstance(error, FileNotFoundError) else FileError
        raise kind(unreadable(error)) from None
    if content is None:
        raise FileTooLarge(f"larger than {size_text(max_bytes)}")
    return content


def unreadable(error: OSError) -> str:
    """Return why a file cannot be read, and what to do."""
    number = error.errno or 0
    advice = _ADVICE.get(number, "").format(user=os.geteuid())
    return f"cannot be read ({error.strerror})" + (advice and f"; {advice}")


def irregular(status: os.stat_result) -> str | None:
    """Return why a file of this *status* cannot be read, and what to do; None if it can."""
    if stat.S_ISREG(status.st_mode):
        return None
    if stat.S_ISDIR(status.st_mode):
        return unreadable(OSError(errno.EISDIR, os.strerror(errno.EISDIR)))
    return "must be a regular file"


def _require_regular(status: os.stat_result) -> None:
    if problem := irregular(status):
        raise FileError(problem)


def _content(file: BinaryIO, size_bytes: int, max_bytes: int) -> bytes | None:
    """Return what is in *file*, whose status gives *size_bytes*; None if that is too much."""
    if size_bytes > max_bytes:
        return None
    # A read reserves memory for all that it may return.
    content = file.read(size_bytes + 1)
    if len(content) > size_bytes:
        # The file grows, or has no size, as in /proc.
        content += file.read(max_bytes + 1 - size_bytes)
    return content if len(content) <= max_bytes else None


def size_text(size_bytes: int) -> str:
    """Return a size of whole KiB, MiB or GiB as text."""
    for unit_bytes, unit in ((_GIB, "GiB"), (_MIB, "MiB")):
        if size_bytes >= unit_bytes:
            return f"{size_bytes // unit_bytes} {unit}"
    return f"{size_bytes // _KIB} KiB"


def _open_without_waiting(path: str, flags: int) -> int:
    # A FIFO may have replaced the file, and opening it would wait for a writer.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)

"""Reading files without waiting for anything that is not a file."""

import errno
import os
import stat

from pathlib import Path

from rk_exporter.runtime.printable import visible


_ADVICE = {
    errno.ENOENT: "create it, or correct the path",
    errno.ENOTDIR: "correct the path",
    errno.EISDIR: "give the path of a file in it",
    errno.EACCES: "allow the user with the id {user} to read it",
}
_KIB = 1 << 10
_MIB = 1 << 20


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
            content = file.read(max_bytes + 1) if status.st_size <= max_bytes else None
    except OSError as error:
        kind = FileMissing if isinstance(error, FileNotFoundError) else FileError
        raise kind(unreadable(error)) from None
    if content is None or len(content) > max_bytes:
        raise FileTooLarge(f"larger than {_size_text(max_bytes)}")
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


def _size_text(size_bytes: int) -> str:
    return f"{size_bytes // _MIB} MiB" if size_bytes >= _MIB else f"{size_bytes // _KIB} KiB"


def _open_without_waiting(path: str, flags: int) -> int:
    # A FIFO may have replaced the file, and opening it would wait for a writer.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)

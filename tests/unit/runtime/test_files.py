import os

from collections.abc import Callable
from pathlib import Path

import pytest

from rk_exporter.runtime.files import FileError, FileMissing, read_regular_file


def test_content(tmp_path: Path) -> None:
    """The content of a file is returned, up to the largest size."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 2048)
    assert path.read_bytes() == read_regular_file(path, max_bytes=2048)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (
            lambda _: None,
            "cannot be read (No such file or directory); create it, or correct the path",
        ),
        (Path.mkdir, "cannot be read (Is a directory); give the path of a file in it"),
        (os.mkfifo, "must be a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "must be a regular file"),
        (lambda path: path.write_bytes(b"x" * 2049), "larger than 2 KiB"),
    ],
    ids=["missing", "folder", "fifo", "device", "large"],
)
def test_errors(tmp_path: Path, prepare: Callable[[Path], object], message: str) -> None:
    """An error gives the reason, never the path, and nothing waits for a writer of a FIFO."""
    prepare(tmp_path / "file")
    with pytest.raises(FileError) as caught:
        read_regular_file(tmp_path / "file", max_bytes=2048)
    assert message == str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A missing file can be distinguished from one that cannot be read."""
    with pytest.raises(FileMissing):
        read_regular_file(tmp_path / "file", max_bytes=1)


def test_memory(tmp_path: Path) -> None:
    """A read takes the memory that the file needs, however large a file may be."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 2048)
    assert path.read_bytes() == read_regular_file(path, max_bytes=1 << 60)


def test_file_without_a_size() -> None:
    """All of a file is read whose status gives no size, and too much is refused."""
    path = Path("/proc/self/status")
    if not path.exists():
        pytest.skip("there is no /proc")
    assert read_regular_file(path, max_bytes=1 << 20).startswith(b"Name:")
    with pytest.raises(FileError, match="larger than 0 KiB"):
        read_regular_file(path, max_bytes=100)

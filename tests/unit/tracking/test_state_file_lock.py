"""The lock of the state file, and file systems that refuse or hang at the start and the end."""

import errno
import fcntl
import os
import threading

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rk_exporter.runtime.background_call import bounded_call, late_calls
from rk_exporter.runtime.files import FileHangs
from rk_exporter.tracking.state_file import StateFile, StateFileError
from tests.support.building import Time
from tests.support.exporter_process import eventually


MOST_HANGING_CALLS = 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def lock_of(path: Path) -> Path:
    return path.with_name("state.lock")


def refusal(path: Path) -> str:
    """Return why a state file cannot be used."""
    with pytest.raises(StateFileError) as caught:
        StateFile(path, clock=Time())
    return str(caught.value)


def failing(number: int) -> Callable[..., int]:
    """Return a function that fails as the operating system does."""

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


@contextmanager
def too_many_hanging_calls() -> Iterator[None]:
    """Let so many calls hang that no other is made."""
    released, earlier = threading.Event(), late_calls()
    try:
        for _ in range(MOST_HANGING_CALLS):
            with suppress(FileHangs):
                bounded_call(released.wait, max_wait_seconds=0.001)
        yield
    finally:
        released.set()
        eventually(lambda: late_calls() <= earlier)


def test_second_exporter(path: Path) -> None:
    """A file that another exporter uses is refused until that is closed."""
    file = StateFile(path, clock=Time())
    assert (
        f"{path}: another rk-exporter uses this file; give each exporter its own file"
        == refusal(path)
    )
    file.close()
    StateFile(path, clock=Time()).close()


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        *(
            (number, f"; the user with the id {os.geteuid()} must be able to write to its folder")
            for number in (errno.EACCES, errno.EPERM)
        ),
        (errno.EROFS, "; choose a folder on a file system that can be written, e.g. a volume"),
        (errno.ENOSPC, ""),
    ],
)
def test_folder_that_cannot_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    """The error says what to do, if that is known."""
    # Not even root may write, which no folder of a test forbids.
    monkeypatch.setattr(os, "open", failing(number))
    problem = f"cannot be written ({os.strerror(number)})"
    assert f"{lock_of(path)}: {problem}{advice}" == refusal(path)


def test_file_system_without_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system may have no locks."""
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    problem = f"cannot be locked ({os.strerror(errno.ENOLCK)}); choose a file on a local disk"
    assert f"{lock_of(path)}: {problem}" == refusal(path)


def test_start_while_the_file_system_hangs(path: Path) -> None:
    """The start ends with an error."""
    with too_many_hanging_calls():
        assert f"{path}: the file system does not answer" == refusal(path)


def test_end_while_the_file_system_hangs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end does not wait until the file system answers, and is no error."""
    file = StateFile(path, clock=Time())
    lock, close, released = lock_of(path).stat(), os.close, threading.Event()

    def hanging(descriptor: int) -> None:
        if os.path.samestat(lock, os.fstat(descriptor)):
            released.wait(5)
        close(descriptor)

    monkeypatch.setattr(os, "close", hanging)
    earlier = late_calls()
    file.close()
    assert earlier + 1 == late_calls()
    released.set()
    eventually(lambda: late_calls() <= earlier)
    StateFile(path, clock=Time()).close()

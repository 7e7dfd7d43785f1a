import asyncio
import copy
import logging
import os
import pickle
import threading

from collections.abc import Callable
from pathlib import Path, PosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.config.tokens import FixedToken, TokenFile, parse_token
from rk_exporter.model.secret import Secret
from rk_exporter.runtime.files import FileError
from tests.support.building import run


CANARY = "canary-4f1b9a"


def token_file(folder: Path, content: str | bytes = CANARY) -> Path:
    path = folder / "token"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


def refreshed(source: TokenFile) -> str:
    """Return the token after a refresh."""
    run(source.refresh())
    return source.current().reveal()


def test_secret_does_not_show_its_text(tmp_path: Path) -> None:
    """No representation contains the text of a secret, and a secret cannot be copied."""
    secret = Secret(CANARY)
    for holder in (secret, FixedToken(secret), TokenFile(token_file(tmp_path), option="o")):
        assert CANARY not in f"{holder!r} {holder!s} {holder}"
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copying(secret)
    assert CANARY == secret.reveal()


def test_fixed_token() -> None:
    """A token from the environment stays the same."""
    source = FixedToken(Secret(CANARY))
    run(source.refresh())
    assert CANARY == source.current().reveal()


@pytest.mark.parametrize("text", [CANARY, f"{CANARY}\n", f"  {CANARY}\r\n"])
def test_white_space_around_a_token(text: str) -> None:
    """The line break at the end of a file is not part of the token."""
    assert CANARY == parse_token(text).reveal()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (f"{CANARY} {CANARY}", "no API token has"),
        (f"{CANARY}\n{CANARY}", "no API token has"),
        (f"{CANARY}\0", "no API token has"),
        (f"{CANARY}é", "no API token has"),
        (f'"{CANARY}"', "no API token has"),
    ],
)
def test_invalid_tokens(text: str, message: str) -> None:
    """A text that cannot be a token is an error that does not repeat the text."""
    with pytest.raises(ValueError, match=message) as caught:
        parse_token(text)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "rotate",
    [
        lambda path: path.write_text("second"),
        lambda path: path.write_text("other"),
        lambda path: token_file(path.parent / "other", "second").replace(path),
    ],
    ids=["in place", "same size", "replaced"],
)
def test_rotation(tmp_path: Path, rotate: Callable[[Path], object]) -> None:
    """A refresh reads the new token immediately, whether a tool edits or replaces the file."""
    (tmp_path / "other").mkdir()
    path = token_file(tmp_path, "first")
    source = TokenFile(path, option="api.token_file", max_wait_seconds=60)
    assert "first" == source.current().reveal()
    rotate(path)
    assert "first" == source.current().reveal()
    assert "first" != refreshed(source)


def in_place_of(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return a function that replaces a file with something else."""

    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"two words"),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.write_bytes(b"x" * 5000),
        Path.unlink,
        in_place_of(Path.mkdir),
        in_place_of(os.mkfifo),
    ],
    ids=["empty", "words", "bytes", "big", "missing", "folder", "fifo"],
)
def test_bad_rotation_keeps_the_last_good_token(
    tmp_path: Path, spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    """An invalid file leaves the old token in use; the log has one line for it, and one after."""
    caplog.set_level(logging.INFO)
    path = token_file(tmp_path)
    source = TokenFile(path, option="api.token_file", max_wait_seconds=60)
    spoil(path)
    assert [CANARY] * 3 == [refreshed(source) for _ in range(3)]
    assert 1 == caplog.text.count("the last good token stays in use")
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    token_file(tmp_path, "second")
    assert "second" == refreshed(source)
    assert "can be used again" in caplog.text
    assert {"api.token_file"} == {record.__dict__["option"] for record in caplog.records}
    assert CANARY not in caplog.text
    assert str(path) not in caplog.text


class Hanging(PosixPath):
    """A path on a file system that hangs until it is released."""

    released = threading.Event()

    def stat(self, **options: Any) -> os.stat_result:
        self.released.wait(30)
        return super().stat(**options)


def test_file_system_that_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A refresh waits for a bounded time, and the last good token stays in use."""
    path = Hanging(token_file(tmp_path))
    path.released.set()
    source = TokenFile(path, option="o", max_wait_seconds=0.001)
    path.released.clear()

    async def steps() -> None:
        for _ in range(3):
            await source.refresh()
            assert CANARY == source.current().reveal()
        path.released.set()

    run(steps())
    assert 1 == caplog.text.count("the file system does not answer")


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (Path.unlink, r"cannot be read \(No such file or directory\)"),
        (in_place_of(os.mkfifo), "must be a regular file"),
    ],
)
def test_unusable_file(tmp_path: Path, prepare: Callable[[Path], object], message: str) -> None:
    """An error does not repeat the path, because people paste tokens in its place."""
    (tmp_path / CANARY).mkdir()
    path = token_file(tmp_path / CANARY)
    prepare(path)
    with pytest.raises(FileError, match=message) as caught:
        TokenFile(path, option="o")
    assert CANARY not in str(caught.value)


def test_permissions_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When other users become able to read the file, that is logged once."""
    path = token_file(tmp_path)
    source = TokenFile(path, option="api.token_file", max_wait_seconds=60)
    assert None is source.warning
    for mode in (0o644, 0o644, 0o640, 0o604):
        path.chmod(mode)
        assert [CANARY] * 2 == [refreshed(source) for _ in range(2)]
    assert 2 == len(caplog.records)
    assert "can be read by other users" in caplog.text


BAD: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "empty": Path.touch,
    "words": lambda path: path.write_text("two words"),
    "huge": lambda path: path.write_bytes(b"x" * 5000),
    "folder": Path.mkdir,
    "FIFO": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/ptmx"),
    "loop": lambda path: path.symlink_to(path),
}


@given(st.lists(st.sampled_from([*BAD]) | st.integers(0, 9).map(str), max_size=8))
def test_any_history(contents: list[str]) -> None:
    """Whatever replaces the file one after the other, the last good token is in use."""
    with TemporaryDirectory() as folder, asyncio.Runner() as runner:
        path = token_file(Path(folder))
        source, last_good = TokenFile(path, option="o", max_wait_seconds=60), CANARY
        for content in contents:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            path.unlink(missing_ok=True)
            if content in BAD:
                BAD[content](path)
            else:
                last_good = f"token-{content}"
                token_file(path.parent, last_good)
            runner.run(source.refresh())
            assert last_good == source.current().reveal()
            assert source.last_read_successful == (content not in BAD)

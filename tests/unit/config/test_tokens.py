import copy
import logging
import pickle

from collections.abc import Callable
from pathlib import Path

import pytest

from rk_exporter.config.tokens import FixedToken, TokenError, TokenFile, parse_token
from rk_exporter.model.secret import Secret


CANARY = "canary-4f1b9a"


def token_file(folder: Path, content: str | bytes = CANARY) -> Path:
    path = folder / "token"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_secret_shows_itself_to_nobody(tmp_path: Path) -> None:
    """A secret is in no representation of itself, nor of what holds it, and is not copied."""
    secret = Secret(CANARY)
    holders = [secret, FixedToken(secret), TokenFile(token_file(tmp_path), option="o")]
    for each in holders:
        assert CANARY not in f"{each!r} {each!s} {each}"
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copying(secret)
    assert CANARY == secret.reveal()


@pytest.mark.parametrize("text", [CANARY, f"{CANARY}\n", f"  {CANARY}\r\n"])
def test_blanks_around_a_token(text: str) -> None:
    """The line break at the end of a file is no part of the token."""
    assert CANARY == parse_token(text).reveal()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        (f"{CANARY} {CANARY}", "no API token has"),
        (f"{CANARY}\n{CANARY}", "no API token has"),
        (f"{CANARY}\0", "no API token has"),
        (f"{CANARY}é", "no API token has"),
        (f'"{CANARY}"', "no API token has"),
    ],
)
def test_what_is_no_token(text: str, message: str) -> None:
    """A text that cannot be a token is refused, without being repeated."""
    with pytest.raises(TokenError, match=message) as caught:
        parse_token(text)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "rotate",
    [
        lambda path: path.write_text("second"),
        lambda path: token_file(path.parent / "other", "second").replace(path),
    ],
    ids=["in place", "replaced"],
)
def test_rotation(tmp_path: Path, rotate: Callable[[Path], object]) -> None:
    """A file that changes, in place or by another taking its place, changes the token."""
    (tmp_path / "other").mkdir()
    path = token_file(tmp_path, "first")
    source = TokenFile(path, option="api.token_file")
    assert "first" == source.current().reveal()
    rotate(path)
    assert "second" == source.current().reveal()


@pytest.mark.parametrize(
    "content", [b"", b"two words", b"\xff\xfe", b"x" * 5000], ids=["empty", "words", "bytes", "big"]
)
def test_bad_rotation_keeps_the_last_good_token(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that turns bad leaves the old token in use; the log says so once, and its end."""
    caplog.set_level(logging.INFO)
    path = token_file(tmp_path)
    source = TokenFile(path, option="api.token_file")
    path.write_bytes(content)
    assert [CANARY] * 3 == [source.current().reveal() for _ in range(3)]
    assert 1 == caplog.text.count("the last good token stays in use")
    path.write_text("second")
    assert "second" == source.current().reveal()
    assert "it can be read again" in caplog.text
    assert {"api.token_file"} == {record.__dict__["option"] for record in caplog.records}
    assert CANARY not in caplog.text


def test_deleted_file_keeps_the_last_good_token(tmp_path: Path) -> None:
    """A file that is gone leaves the old token in use."""
    path = token_file(tmp_path)
    source = TokenFile(path, option="api.token_file")
    path.unlink()
    assert CANARY == source.current().reveal()


def test_missing_file_is_refused_without_its_name() -> None:
    """The path is not repeated: a token pasted in its place must not be printed."""
    with pytest.raises(TokenError, match=r"cannot be read \(No such file or directory\)") as caught:
        TokenFile(Path(CANARY), option="o")
    assert CANARY not in str(caught.value)

import contextlib
import os

from collections.abc import Callable
from pathlib import Path

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rk_exporter.config.yaml_document import Document, parse_document, read_document
from rk_exporter.runtime.files import FileError


Reader = Callable[[str | bytes], Document]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    def from_text(text: str | bytes) -> Document:
        path = tmp_path / "file.yml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_document(path)

    return from_text


def test_scalars_stay_text(read: Reader) -> None:
    """Numbers, dates and booleans of YAML stay text."""
    text = "a: 0123\nb: 2026-11-22\nc: no\nd: 1e3\ne: '7'\nf: 12:30:45\ng: null\nh:\n"
    expected = {
        "a": "0123",
        "b": "2026-11-22",
        "c": "no",
        "d": "1e3",
        "e": "7",
        "f": "12:30:45",
        "g": None,
        "h": None,
    }
    assert expected == read(text).content


def line_of(document: Document, path: str) -> int:
    return document.problem(path, "").rank


def test_lines(read: Reader) -> None:
    """Each value has its line, and a missing value has the line of what would enclose it."""
    document = read("a: 1\nlist:\n  - x\n  - y: 2\n")
    paths = ("a", "list[1].y", "list[1].z", "list[9].z", "nowhere.at.all")
    assert [1, 4, 4, 2, 1] == [line_of(document, path) for path in paths]
    assert document.problem("a", "bad").text.endswith("file.yml:1: a: bad")


def test_text_in_memory() -> None:
    """Text in memory becomes the same document as a file."""
    document = parse_document(Path("there.yml"), b"a: 1\nb: [x]\n")
    assert {"a": "1", "b": ["x"]} == document.content
    assert "there.yml:2: b[0]: bad" == document.problem("b[0]", "bad").text


def test_empty_file(read: Reader) -> None:
    """An empty file has no content."""
    assert read("# nothing\n").content is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "file.yml:2: not YAML"),
        (b"a: \xff\n", "not YAML in UTF-8"),
        (b"a: \x00\n", "not YAML in UTF-8"),
    ],
)
def test_not_yaml(read: Reader, text: str | bytes, message: str) -> None:
    """A file that is not YAML is an error with file and line."""
    with pytest.raises(FileError, match=message):
        read(text)


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("a: 1\nb: 2\na: 3\n", ["3: a: duplicate key; remove one of them"]),
        ("a: &x 1\nb: *x\n", ["2: b: aliases are not allowed; repeat the value"]),
        (
            "a: &x [1]\nb: [*x, *x]\n",
            [f"2: b[{i}]: aliases are not allowed; repeat the value" for i in (0, 1)],
        ),
        ("[a]: 1\n", ["1: a key must be a word"]),
        ("b:\n  {a: 1}: {x: y}\n", ["2: b: a key must be a word"]),
        ("a: 1\n---\nb: 2\n", ["3: a second document begins here; remove one of them"]),
        (
            "a: !!python/object/apply:os.system [x]\nb: 1\na: 2\nb: *x",
            [
                "3: a: duplicate key; remove one of them",
                "4: b: duplicate key; remove one of them",
                "4: b: aliases are not allowed; repeat the value",
            ],
        ),
    ],
)
def test_problems(read: Reader, text: str, messages: list[str]) -> None:
    """YAML that is easy to misread is a problem with file and line; all of them are collected."""
    found = [problem.text.partition("file.yml:")[2] for problem in read(text).problems]
    assert messages == found


def block_mappings(levels: int) -> str:
    """Return mappings in each other, each on a line of its own."""
    return "".join(f"{' ' * level}a:\n" for level in range(levels))


@pytest.mark.parametrize("levels", [21, 22, 999, 1000, 1001, 5000])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("[", "]"),
        ("[\n", "]\n"),
        ("{a: ", "}"),
        ('{"a":', "}"),
        ("[a, ", "]"),
        ("[{a: [", "]}]"),
        ("!!seq [", "]"),
        ("&a [", "]"),
        ("- ", ""),
    ],
)
@pytest.mark.parametrize("is_closed", [True, False])
def test_deep_nesting(
    read: Reader, opening: str, closing: str, levels: int, *, is_closed: bool
) -> None:
    """Deep nesting has one message, whether this module or the parser refuses it first."""
    text = "\n" + opening * levels + "x" + (closing * levels if is_closed else "")
    with pytest.raises(FileError) as caught:
        read(text)
    # The first level that is too deep is the 22nd value, because the outermost has no level.
    line = 2 + 21 * opening.count("\n")
    assert f"file.yml:{line}: nested too deeply: write at most 20 levels" in str(caught.value)


@pytest.mark.parametrize("levels", [22, 500, 1500])
def test_deep_indentation(read: Reader, levels: int) -> None:
    """The message about deep indentation names the line of the first level that is too deep."""
    with pytest.raises(FileError, match=r"file\.yml:22: nested too deeply"):
        read(block_mappings(levels))


def test_deepest_nesting(read: Reader) -> None:
    """Twenty levels are read, in brackets and by indentation."""
    assert str(read("[" * 20 + "]" * 20).content) == "[" * 20 + "]" * 20
    assert str(read(block_mappings(20)).content).count("a") == 20


def test_missing_and_huge_files(tmp_path: Path) -> None:
    """A file that is missing, or too large for a configuration, is an error."""
    with pytest.raises(FileError, match="cannot be read"):
        read_document(tmp_path / "missing.yml")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FileError, match="fifo: must be a regular file"):
        read_document(tmp_path / "fifo")
    huge = tmp_path / "huge.yml"
    with huge.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(FileError, match="larger than 16 MiB"):
        read_document(huge)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text() | st.binary())
def test_any_text_at_all(read: Reader, text: str | bytes) -> None:
    """Any bytes are either a document or a FileError."""
    with contextlib.suppress(FileError):
        read(text if isinstance(text, bytes) else text.encode(errors="replace"))

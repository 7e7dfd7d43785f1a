import contextlib

from collections.abc import Callable
from pathlib import Path

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rk_exporter.config.yaml_document import Document, DocumentError, parse_document, read_document


Reader = Callable[[str | bytes], Document]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    def from_text(text: str | bytes) -> Document:
        path = tmp_path / "file.yml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_document(path)

    return from_text


def test_scalars_stay_text(read: Reader) -> None:
    """What YAML takes for numbers, dates and truth values stays as it is written."""
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


def test_places(read: Reader) -> None:
    """Each value has its line, and what is not there has the line of what encloses it."""
    document = read("a: 1\nlist:\n  - x\n  - y: 2\n")
    lines = [document.place(where) for where in ("a", "list[1].y", "list[1].z", "list[9].z")]
    assert [1, 4, 4, 2] == [int(place.rpartition(":")[2]) for place in lines]
    assert document.place("nowhere.at.all").endswith("file.yml:1")


def test_text_that_was_read_before() -> None:
    """Bytes that are at hand become the same document, with the places of the file they are of."""
    document = parse_document(Path("there.yml"), b"a: 1\nb: [x]\n")
    assert ({"a": "1", "b": ["x"]}, "there.yml:2") == (document.content, document.place("b[0]"))


def test_empty_file(read: Reader) -> None:
    """An empty file has no content."""
    assert read("# nothing\n").content is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "file.yml:3: a stands here a second time"),
        ("a: &x 1\nb: *x\n", "write the value out, not an alias"),
        ("a: &x [1]\nb: [*x, *x]\n", "write the value out, not an alias"),
        ("[a]: 1\n", "file.yml:1: a key has to be a word"),
        ("a: [1\n", "file.yml:2: not YAML"),
        ("a: 1\n---\nb: 2\n", "file.yml:3: a second document begins here"),
        (b"a: \xff\n", "not YAML in UTF-8"),
        (b"a: \x00\n", "not YAML in UTF-8"),
        ("a: !!python/object/apply:os.system [x]\nb: 1\na: 2", "second time"),
    ],
)
def test_what_is_refused(read: Reader, text: str | bytes, message: str) -> None:
    """What would be misread is refused, with file and line."""
    with pytest.raises(DocumentError, match=message.replace("[", r"\[")):
        read(text)


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
    with pytest.raises(DocumentError) as caught:
        read(text)
    # The first level that is too deep is the 22nd value, because the outermost has no level.
    line = 2 + 21 * opening.count("\n")
    assert f"file.yml:{line}: nested too deeply: write at most 20 levels" in str(caught.value)


@pytest.mark.parametrize("levels", [22, 500, 1500])
def test_deep_indentation(read: Reader, levels: int) -> None:
    """Of deep indentation the message names the line of the first level that is too deep."""
    with pytest.raises(DocumentError, match=r"file\.yml:22: nested too deeply"):
        read(block_mappings(levels))


def test_deepest_nesting(read: Reader) -> None:
    """Twenty levels are read, in brackets and by indentation."""
    assert str(read("[" * 20 + "]" * 20).content) == "[" * 20 + "]" * 20
    assert str(read(block_mappings(20)).content).count("a") == 20


def test_missing_and_huge_files(tmp_path: Path) -> None:
    """A file that is not there, or too large to be a configuration, is refused."""
    with pytest.raises(DocumentError, match="cannot be read"):
        read_document(tmp_path / "missing.yml")
    huge = tmp_path / "huge.yml"
    with huge.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(DocumentError, match="larger than 16 MiB"):
        read_document(huge)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text() | st.binary())
def test_any_text_at_all(read: Reader, text: str | bytes) -> None:
    """Any bytes are either a document or a DocumentError."""
    with contextlib.suppress(DocumentError):
        read(text if isinstance(text, bytes) else text.encode(errors="replace"))

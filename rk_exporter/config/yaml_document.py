"""
YAML files as plain text, lists and mappings, with the line of every value.

YAML's types would turn the id `0123` into 83 and `2026-11-22` into a date, so scalars stay text.
Duplicate keys and aliases are mistakes: YAML lets the last of two equal keys win, and expands
aliases without limit.

The values are built from the parser's events, because older versions of its own composer go as deep
as the file does: a hundred thousand brackets crash the process.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from rk_exporter.runtime.background_call import bounded_call
from rk_exporter.runtime.files import FileError, read_regular_file
from rk_exporter.runtime.printable import visible


PlainValue = str | list["PlainValue"] | dict[str, "PlainValue"] | None
LARGEST_FILE_BYTES = 16 << 20
DEEPEST_NESTING = 20
_TOO_DEEP = (
    f"nested too deeply: write at most {DEEPEST_NESTING} levels, and check brackets and indentation"
)
# libyaml 0.2.6, which PyYAML 6.0.4 contains, stops at 1,000 levels with this problem. Its scanner
# reads brackets ahead, so it may fail before it emits the event at which this module refuses.
_NESTING_PROBLEM = "maximum nesting"
_LONGEST_PATH_SHOWN = 80
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# libyaml's parser, if PyYAML was built with it, reads ten thousand meetings without a delay.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A mistake in a configuration: its line or rank, and the message for people."""

    rank: int
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A file's *content*, and the line of each value by its path, e.g. `apps[0].app_id`."""

    path: Path
    content: PlainValue
    lines: Mapping[str, int]
    problems: tuple[Problem, ...] = field(default=())
    """Mistakes that do not prevent reading the rest."""

    def problem(self, where: str, message: str) -> Problem:
        """Return the problem with the value at the path *where*, or with what encloses it."""
        enclosing = where
        while enclosing and enclosing not in self.lines:
            enclosing = enclosing[: max(enclosing.rfind("."), enclosing.rfind("["), 0)]
        return _problem(self.path, self.lines.get(enclosing, 0), where, message)


def _problem(path: Path, line: int, where: str, message: str) -> Problem:
    location = f"{path}:{line}" if line else str(path)
    subject = f"{where[:_LONGEST_PATH_SHOWN]}: " if where else ""
    return Problem(line, visible(f"{location}: {subject}{message}"))


def read_document(path: Path) -> Document:
    """
    Return the YAML file at *path*; the content of an empty file is None.

    Raises FileError, whose message names file and line but never repeats a value.
    """
    try:
        text = bounded_call(lambda: read_regular_file(path, max_bytes=LARGEST_FILE_BYTES))
    except FileError as error:
        raise FileError(f"{path}: {error}") from None
    return parse_document(path, text)


def parse_document(path: Path, text: bytes) -> Document:
    """
    Return the YAML *text* that the file at *path* contains, as *read_document* does.

    Raises FileError.
    """
    try:
        return _DocumentBuilder(path, text).document()
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        is_too_deep = _NESTING_PROBLEM in (error.problem or "")
        message = _TOO_DEEP if is_too_deep else f"not YAML: {error.problem}"
        raise FileError(f"{path}{line}: {message}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise FileError(f"{path}: not YAML in UTF-8") from None


class _DocumentBuilder:
    """Builds the plain values of one file from its events, and records their lines."""

    def __init__(self, path: Path, text: bytes) -> None:
        self._path = path
        self._events: Iterator[yaml.Event] = (
            event
            for event in yaml.parse(text, Loader=_LOADER)
            if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent)
        )
        self._lines: dict[str, int] = {}
        self._problems: list[Problem] = []

    def document(self) -> Document:
        first = next(self._events, None)
        content = None if first is None else self._value(first, "", depth=0)
        second = next(self._events, None)
        if second is not None:
            self._fail(second, "", "a second document begins here; remove one of them")
        return Document(self._path, content, self._lines, tuple(self._problems))

    def _fail(self, event: yaml.Event, where: str, message: str) -> None:
        self._problems.append(_problem(self._path, _line(event), where, message))

    def _value(self, event: yaml.Event, where: str, *, depth: int) -> PlainValue:
        self._lines[where] = _line(event)
        if depth > DEEPEST_NESTING:
            raise FileError(f"{self._path}:{_line(event)}: {_TOO_DEEP}")
        match event:
            case yaml.ScalarEvent():
                # Quoted text is text, even if it is empty.
                is_plain = event.implicit[0]
                return None if is_plain and event.value in _NULLS else event.value
            case yaml.SequenceStartEvent():
                return list(self._items(where, depth=depth + 1))
            case yaml.MappingStartEvent():
                return dict(self._pairs(where, depth=depth + 1))
        self._fail(event, where, "aliases are not allowed; repeat the value")
        return None

    def _items(self, where: str, *, depth: int) -> Iterator[PlainValue]:
        for number, event in enumerate(self._until_end()):
            yield self._value(event, f"{where}[{number}]", depth=depth)

    def _pairs(self, where: str, *, depth: int) -> Iterator[tuple[str, PlainValue]]:
        keys: set[str] = set()
        for event in self._until_end():
            if not isinstance(event, yaml.ScalarEvent):
                self._fail(event, where, "a key must be a word")
                self._value(event, where, depth=depth)
                self._value(next(self._events), where, depth=depth)
                continue
            key: str = event.value
            inner = f"{where}.{key}" if where else key
            if key in keys:
                self._fail(event, inner, "duplicate key; remove one of them")
            keys.add(key)
            yield key, self._value(next(self._events), inner, depth=depth)
            # The line of a mapping or list is that of its key, not of its first item.
            self._lines[inner] = _line(event)

    def _until_end(self) -> Iterator[yaml.Event]:
        for event in self._events:
            if isinstance(event, yaml.CollectionEndEvent):
                return
            yield event


def _line(event: yaml.Event) -> int:
    # Marks are missing only in events that the parser did not make.
    return event.start_mark.line + 1 if event.start_mark else 0

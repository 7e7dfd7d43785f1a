"""
YAML files as plain text, lists and mappings, with the line of every value.

YAML's own idea of types would turn the id `0123` into 83 and `2026-11-22` into a date, would let
the second of two equal keys win, and would expand aliases without end. So scalars stay text, and
both of the others are refused.

The values are built from the parser's events, because older versions of its own composer go as deep
as the file does: a hundred thousand brackets crash the process.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml

from yaml.events import (
    CollectionEndEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)


PlainValue = str | list["PlainValue"] | dict[str, "PlainValue"] | None
LARGEST_FILE_BYTES = 16 << 20
DEEPEST_NESTING = 20

_TOO_DEEP = (
    f"nested too deeply: write at most {DEEPEST_NESTING} levels, and check brackets and indentation"
)
# libyaml 0.2.6, which PyYAML 6.0.4 contains, stops at 1,000 levels with this problem. Its scanner
# reads brackets ahead, so it may fail before it emits the event at which this module refuses.
_NESTING_PROBLEM = "maximum nesting"

_LONGEST_SHOWN = 40
_LONGEST_PATH_SHOWN = 80
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# libyaml's parser where it was built in: ten thousand meetings are read in a moment.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DocumentError(Exception):
    """A file that cannot be read, or is not the YAML that is understood here."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's *content*, and the line of each value by its path, like `apps[0].app_id`."""

    path: Path
    content: PlainValue
    lines: Mapping[str, int]

    def place(self, where: str) -> str:
        """Return the file and line of the value at the path *where*, or of what encloses it."""
        enclosing = where
        while enclosing and enclosing not in self.lines:
            enclosing = enclosing[: max(enclosing.rfind("."), enclosing.rfind("["), 0)]
        line = self.lines.get(enclosing)
        return f"{self.path}:{line}" if line else str(self.path)

    def about(self, where: str, message: str) -> str:
        """Return *message* with the value that it is about: its file, line and path."""
        subject = f"{where[:_LONGEST_PATH_SHOWN]}: " if where else ""
        return f"{self.place(where)}: {subject}{message}"


def read_document(path: Path) -> Document:
    """
    Return the YAML file at *path*; an empty one has the content None.

    Raises DocumentError, whose message names file and line but never repeats a value.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read ({error.strerror})") from None
    return parse_document(path, text)


def parse_document(path: Path, text: bytes) -> Document:
    """
    Return the YAML *text* that the file at *path* held, as *read_document* does.

    Raises DocumentError.
    """
    if len(text) > LARGEST_FILE_BYTES:
        raise DocumentError(f"{path}: larger than 16 MiB")
    try:
        return _DocumentBuilder(path, text).document()
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        is_too_deep = _NESTING_PROBLEM in (error.problem or "")
        message = _TOO_DEEP if is_too_deep else f"not YAML: {error.problem}"
        raise DocumentError(f"{path}{line}: {message}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise DocumentError(f"{path}: not YAML in UTF-8") from None


class _DocumentBuilder:
    """Builds the plain values of one file from its events, and notes their lines."""

    def __init__(self, path: Path, text: bytes) -> None:
        self._path = path
        self._events: Iterator[Event] = (
            event
            for event in yaml.parse(text, Loader=_LOADER)
            if isinstance(event, NodeEvent | CollectionEndEvent)
        )
        self._lines: dict[str, int] = {}

    def document(self) -> Document:
        first = next(self._events, None)
        content = None if first is None else self._value(first, "", depth=0)
        second = next(self._events, None)
        if second is not None:
            self._refuse(second, "a second document begins here; leave one")
        return Document(self._path, content, self._lines)

    def _refuse(self, event: Event, message: str) -> NoReturn:
        raise DocumentError(f"{self._path}:{_line(event)}: {message}")

    def _value(self, event: Event, where: str, *, depth: int) -> PlainValue:
        self._lines[where] = _line(event)
        if depth > DEEPEST_NESTING:
            self._refuse(event, _TOO_DEEP)
        match event:
            case ScalarEvent():
                # Quoted, even the empty text is text.
                is_plain = event.implicit[0]
                return None if is_plain and event.value in _NULLS else event.value
            case SequenceStartEvent():
                return list(self._items(where, depth=depth + 1))
            case MappingStartEvent():
                return dict(self._pairs(where, depth=depth + 1))
        self._refuse(event, f"{where[:_LONGEST_PATH_SHOWN]}: write the value out, not an alias")

    def _items(self, where: str, *, depth: int) -> Iterator[PlainValue]:
        for number, event in enumerate(self._until_end()):
            yield self._value(event, f"{where}[{number}]", depth=depth)

    def _pairs(self, where: str, *, depth: int) -> Iterator[tuple[str, PlainValue]]:
        keys: set[str] = set()
        for event in self._until_end():
            if not isinstance(event, ScalarEvent):
                self._refuse(event, "a key has to be a word")
            key: str = event.value
            if key in keys:
                shown = key[:_LONGEST_SHOWN]
                self._refuse(event, f"{shown} stands here a second time; leave one")
            keys.add(key)
            inner = f"{where}.{key}" if where else key
            yield key, self._value(next(self._events), inner, depth=depth)
            # Of a mapping or list the first line is that of its name, not of what is in it.
            self._lines[inner] = _line(event)

    def _until_end(self) -> Iterator[Event]:
        for event in self._events:
            if isinstance(event, CollectionEndEvent):
                return
            yield event


def _line(event: Event) -> int:
    # Marks are missing only where events are made by hand.
    return event.start_mark.line + 1 if event.start_mark else 0

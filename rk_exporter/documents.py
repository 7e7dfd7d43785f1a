"""
YAML files as plain text, lists and mappings, with the line of every value.

YAML's own idea of types would turn the id `0123` into 83 and `2026-11-22` into a date, would let
the second of two equal keys win, and would expand aliases without end. So scalars stay text, and
both of the others are refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode


PlainValue = str | list["PlainValue"] | dict[str, "PlainValue"] | None

LARGEST_FILE_BYTES = 16 << 20

_NULL_TAG = "tag:yaml.org,2002:null"
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


def read_document(path: Path) -> Document:
    """
    Return the YAML file at *path*; an empty one has the content None.

    Raises DocumentError, whose message names file and line but never repeats the content.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read ({error.strerror})") from None
    if len(text) > LARGEST_FILE_BYTES:
        raise DocumentError(f"{path}: larger than 16 MiB")
    try:
        node = yaml.compose(text, Loader=_LOADER)
        lines: dict[str, int] = {}
        content = None if node is None else _Plain(path, lines).value(node, "")
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DocumentError(f"{path}{line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise DocumentError(f"{path}: not YAML in UTF-8") from None
    except RecursionError:
        raise DocumentError(f"{path}: nested too deeply") from None
    return Document(path, content, lines)


class _Plain:
    """Turns the nodes of one file into plain values, and notes their lines."""

    def __init__(self, path: Path, lines: dict[str, int]) -> None:
        self._path = path
        self._lines = lines
        self._seen: set[int] = set()

    def value(self, node: Node, where: str) -> PlainValue:
        line = node.start_mark.line + 1
        if id(node) in self._seen:
            raise DocumentError(f"{self._path}:{line}: {where}: write the value out, not an alias")
        self._seen.add(id(node))
        self._lines[where] = line
        if isinstance(node, ScalarNode):
            return None if node.tag == _NULL_TAG else str(node.value)
        if isinstance(node, SequenceNode):
            return [self.value(each, f"{where}[{i}]") for i, each in enumerate(node.value)]
        assert isinstance(node, MappingNode)  # noqa: S101 # YAML has no fourth kind of node
        return self._mapping(node, where)

    def _mapping(self, node: MappingNode, where: str) -> dict[str, PlainValue]:
        mapping: dict[str, PlainValue] = {}
        for key_node, value_node in node.value:
            place = f"{self._path}:{key_node.start_mark.line + 1}"
            if not isinstance(key_node, ScalarNode):
                raise DocumentError(f"{place}: a key has to be a word")
            key = str(key_node.value)
            if key in mapping:
                raise DocumentError(f"{place}: {key} stands here a second time; leave one")
            mapping[key] = self.value(value_node, f"{where}.{key}" if where else key)
        return mapping

"""
What was given: a YAML file with variables and flags laid over it, and each value's place.

All three are plain text first, the stronger laid over the weaker, and are checked once: the option
`--a.b-c` stands in the file as `b_c` under `a`. So a value is refused in the same words wherever
it came from, with its place: file and line, variable or flag.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from rk_exporter.config.meeting_file import MeetingFileError
from rk_exporter.config.schema import Options, explain
from rk_exporter.config.tokens import TokenError
from rk_exporter.config.yaml_document import Document, PlainValue


T = TypeVar("T")
V = TypeVar("V")


class ConfigError(Exception):
    """A configuration that cannot be used; the message names the place and what would be right."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A value given outside the file, and its *origin*: the flag or variable that gave it."""

    value: str | list[str]
    origin: str


class ConfigSource:
    """
    The *options* in a file and in the settings laid over it; every refusal names the place.

    A place is a path in the file, like `apps[0].app_id`. Raises ConfigError.
    """

    def __init__(self, document: Document | None, settings: Mapping[str, Setting]) -> None:
        self._document = document
        self._settings = settings
        self.options = self._checked()

    def _checked(self) -> Options:
        content = (self._document and self._document.content) or {}
        merged = _without_nulls(content)
        if not isinstance(merged, dict):
            self.refuse("", "the file has to hold options, like `account_id: …`")
        for where, setting in self._settings.items():
            _put(merged, where.split("."), setting.value)
        try:
            return msgspec.convert(merged, Options, strict=False)
        except msgspec.ValidationError as error:
            self.refuse(*explain(str(error)))

    def is_setting(self, where: str) -> bool:
        """Tell whether a flag or variable gave the value at *where*."""
        return where in self._settings

    def entry(self, where: str, at: str) -> str:
        """Return the place of an entry, which is *at* in the list at *where*."""
        # A flag or variable is named as a whole.
        return where if self.is_setting(where) else f"{where}{at}"

    def path(self, where: str, name: str) -> Path:
        """Return the path that is *name*d at *where*."""
        # As with Prometheus' own files, a path in the file is relative to the file.
        if self._document is None or self.is_setting(where):
            return Path(name)
        return self._document.path.parent / name

    def paths(self, where: str, names: Iterable[str]) -> Mapping[Path, str]:
        """Return the places of the paths in the list at *where*, each path once."""
        places: dict[Path, str] = {}
        for number, name in enumerate(names):
            places.setdefault(self.path(where, name), self.entry(where, f"[{number}]"))
        return places

    def parsed(self, where: str, parse: Callable[[T], V], value: T) -> V:
        """Return what *parse* makes of the *value* at *where*."""
        try:
            return parse(value)
        except (ValueError, TokenError, MeetingFileError) as error:
            self.refuse(where, str(error))

    def refuse(self, where: str, message: str) -> NoReturn:
        """Raise ConfigError for the value at *where*."""
        if where in self._settings:
            raise ConfigError(f"{self._settings[where].origin}: {message}")
        if self._document:
            raise ConfigError(self._document.about(where, message))
        raise ConfigError(f"{where}: {message}" if where else message)


def _without_nulls(value: PlainValue) -> PlainValue:
    """Return a copy without keys that have no value: their lines are commented out, mostly."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _put(mapping: dict[str, PlainValue], path: list[str], value: str | list[str]) -> None:
    """Put *value* into nested mappings; what else stands in the way is replaced."""
    *parents, last = path
    for name in parents:
        inner = mapping.get(name)
        if not isinstance(inner, dict):
            inner = mapping[name] = {}
        mapping = inner
    mapping[last] = [*value] if isinstance(value, list) else value

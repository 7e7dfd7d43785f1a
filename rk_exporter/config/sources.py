"""
The values that people give: a YAML file, and variables and flags that override it.

All values are plain text first and are parsed in one place, so a mistake has the same message
wherever the value comes from, with its position: file and line, variable, or flag.
"""

import re

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rk_exporter.config.option import Option
from rk_exporter.config.parsers import InvalidItems
from rk_exporter.config.suggestions import unknown_option
from rk_exporter.config.yaml_document import Document, PlainValue, Problem
from rk_exporter.runtime.files import FileHangs
from rk_exporter.runtime.printable import visible


T = TypeVar("T")
# Mistakes in the file come first, by line; then those in flags and variables; then what is missing.
_SETTING_RANK = 1 << 32
_LAST_RANK = _SETTING_RANK + 1
_APPS, _ACCOUNTS = "apps", "accounts"
# The lists of the file whose entries have options of their own, with an entry as an example.
_EXAMPLES = {
    _APPS: "{app_id: abc, meetings: {discover: true}}",
    _ACCOUNTS: "{account_id: abc, api_token_file: token}",
}


class ConfigError(Exception):
    """
    A configuration that cannot be used; the message lists all mistakes and where they are.

    *problems* are the mistakes one by one, by default only the message.
    """

    def __init__(self, message: str, problems: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


@dataclass(frozen=True, slots=True)
class Setting:
    """A value from outside the file, and its *origin*: the flag or variable that gives it."""

    value: str | list[str]
    origin: str


class ConfigSource:
    """
    The values of a file and of the *settings* that override it, by their path in the file.

    It collects the mistakes; *raise_problems* raises ConfigError if there are any.
    """

    def __init__(
        self,
        document: Document | None,
        settings: Mapping[str, Setting],
        options: Iterable[Option],
        account_options: Iterable[Option] = (),
    ) -> None:
        self._document = document
        self._settings = settings
        self._problems = set(document.problems if document else ())
        options = tuple(options)
        self._paths = [option.path for option in options if option.path]
        self._paths_in = {
            _APPS: [option.path_in_app for option in options if option.path_in_app],
            _ACCOUNTS: [option.path_in_app for option in account_options],
        }
        # What options are called in each place, by what they are called elsewhere.
        names = [(option.path, option.path_in_app) for option in options if option.path]
        self._called = {"": {in_entry: path for path, in_entry in names if in_entry}}
        for place, paths in self._paths_in.items():
            self._called[place] = {path: in_entry for path, in_entry in names if in_entry in paths}
        self._wrong: set[str] = set()
        self._values: dict[str, PlainValue] = {}
        self._counts: dict[str, int] = {}
        if document and document.content is not None:
            self._read(document, document.content)
        self._values |= {path: _copy(setting.value) for path, setting in settings.items()}

    def _read(self, document: Document, content: PlainValue) -> None:
        """Read the values of the file, and collect unknown options."""
        if not isinstance(content, dict):
            message = "expected a mapping of options, e.g. account_id: abc"
            raise ConfigError(document.problem("", message).text)
        lists = [name for name, paths in self._paths_in.items() if paths]
        self._values |= self._leaves(content, [*self._paths, *lists], at="")
        for name in lists:
            if content.get(name) is not None:
                self._read_list(name, content[name])

    def _read_list(self, name: str, entries: PlainValue) -> None:
        """Read the values of the entries of a list, e.g. of `apps`."""
        if not isinstance(entries, list):
            self.fail(name, f"expected a list, e.g. [{_EXAMPLES[name]}]")
            entries = []
        self._counts[name] = len(entries)
        for number, entry in enumerate(entries):
            at = f"{name}[{number}]"
            if isinstance(entry, dict):
                self._values |= self._leaves(entry, self._paths_in[name], at=f"{at}.")
            else:
                self.fail(at, f"expected a mapping, e.g. {_EXAMPLES[name]}")

    @property
    def app_count(self) -> int | None:
        """Return how many apps the file lists under `apps`; None if it has no such list."""
        return self._counts.get(_APPS)

    @property
    def account_count(self) -> int | None:
        """Return how many accounts the file lists; None if it has no such list."""
        return self._counts.get(_ACCOUNTS)

    def _leaves(
        self, mapping: Mapping[str, PlainValue], known: list[str], *, at: str, section: str = ""
    ) -> Iterator[tuple[str, PlainValue]]:
        """Return the values below *section* that have *known* paths, relative to *at*."""
        for key, value in mapping.items():
            path = f"{section}{key}"
            if value is None:  # usually the lines below are commented out
                continue
            if path in known:
                yield f"{at}{path}", value
            elif not any(name.startswith(f"{path}.") for name in known):
                names = dict.fromkeys(
                    name.removeprefix(section).partition(".")[0]
                    for name in known
                    if name.startswith(section)
                )
                called = self._called_here(path, value, at)
                message = unknown_option(key, list(names), self._paths_of(key), called)
                self.fail(f"{at}{path}", message)
            elif isinstance(value, dict):
                yield from self._leaves(value, known, at=at, section=f"{path}.")
            else:
                self.fail(f"{at}{path}", "expected a mapping, e.g. {key: value}")

    def _called_here(self, path: str, value: PlainValue, at: str) -> list[str]:
        """Return what the options at *path*, which is right in another place, are called here."""
        called = self._called[at.partition("[")[0]]
        below = [f"{path}.{key}" for key in value] if isinstance(value, dict) else []
        return [called[name] for name in (path, *below) if name in called]

    def _paths_of(self, name: str) -> list[str]:
        """Return the paths of the options that have this *name* at their end."""
        paths = [*self._paths, *(f"{_APPS}[].{path}" for path in self._paths_in[_APPS])]
        return [path for path in paths if path.endswith(f".{name}")]

    def has(self, path: str) -> bool:
        """Return whether there is a value at *path*, even an empty one."""
        return path in self._values

    def is_given(self, path: str) -> bool:
        """Return whether there is a value at *path* that is not empty."""
        return bool(self._values.get(path))

    def values_in_entries(self, path_in_entry: str) -> Iterator[PlainValue]:
        """Return the values of one option in all entries of `apps` and `accounts`."""
        starts = tuple(f"{name}[" for name in self._paths_in)
        for path, value in self._values.items():
            if path.startswith(starts) and path.endswith(f".{path_in_entry}"):
                yield value

    def is_setting(self, path: str) -> bool:
        """Return whether a flag or variable gives the value at *path*."""
        return path in self._settings

    def item_path(self, path: str, item: str) -> str:
        """Return the path of an item, e.g. `[0]`, in the list at *path*."""
        # A flag or variable has one origin for all items.
        return path if self.is_setting(path) else f"{path}{item}"

    def parse(self, option: Option, path: str) -> Any:  # noqa: ANN401 # as the option's parser
        """Return the value of *option* at *path*; after a mistake, or without one, its default."""
        value = self._values.get(path)
        is_checked = option.is_file or option.is_mapping or option.default is not None
        if value is None or not (value or is_checked):
            return option.fallback
        parsed = self.attempt(path, lambda: option.parse(self._checked(option, path, value)))
        return option.fallback if parsed is None else parsed

    def _checked(self, option: Option, path: str, value: PlainValue) -> PlainValue:
        """Return *value* with the shape that *option* needs, and paths resolved."""
        option.check_shape(value)
        if not option.is_file:
            return value
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str) and name.strip() for name in names):
            raise ValueError("expected the path of a file")
        if any("\0" in str(name) for name in names):
            raise ValueError("a path cannot contain the character NUL; correct the path")
        # A path is relative to the file that contains it, as in Prometheus.
        source = None if self.is_setting(path) else self._document
        folder = source.path.parent if source else Path()
        resolved: list[PlainValue] = [str(folder / str(name)) for name in names]
        return resolved if isinstance(value, list) else resolved[0]

    def attempt(self, path: str, action: Callable[[], T]) -> T | None:
        """Return the result of *action*; a ValueError is a mistake in the value at *path*."""
        try:
            return action()
        except InvalidItems as error:
            for item, message in error.items:
                self.fail(self.item_path(path, item), message)
        except FileHangs as error:
            # The next files may hang as well, and each would take its time.
            self.fail(path, str(error))
            self.raise_problems()
        except ValueError as error:
            self.fail(path, str(error))
        return None

    def is_wrong(self, path: str) -> bool:
        """Return whether a mistake was recorded in the value at *path*, or in what encloses it."""
        return any(
            f"{path}.".startswith((f"{wrong}.", f"{wrong}["))
            or wrong.startswith((f"{path}.", f"{path}["))
            for wrong in self._wrong
        )

    def fail(self, path: str, message: str) -> None:
        """Record a mistake in the value at *path*; an empty path is the whole configuration."""
        self._wrong.add(path)
        if path in self._settings:
            problem = Problem(_SETTING_RANK, f"{self._settings[path].origin}: {message}")
        elif self._document and path:
            problem = self._document.problem(path, message)
        else:
            subject = f"{self._document.path}: " if self._document else ""
            problem = Problem(_LAST_RANK, f"{subject}{message}")
        self._problems.add(problem)

    def raise_problems(self, hints: Iterable[str] = ()) -> None:
        """Raise ConfigError if there are mistakes; *hints* may explain them."""
        if not self._problems:
            return
        problems = (problem.text.split("\n") for problem in sorted(self._problems))
        messages = ["\n".join(map(visible, lines)) for lines in problems]
        messages += hints
        if len(messages) == 1:
            raise ConfigError(messages[0])
        lines = "\n".join(re.sub("(?m)^", "  ", message) for message in messages)
        raise ConfigError(f"{len(messages)} problems in the configuration:\n{lines}", messages)


def _copy(value: str | list[str]) -> PlainValue:
    return [*value] if isinstance(value, list) else value

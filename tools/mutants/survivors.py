"""The mutants that are known to survive, each with the reason."""

import tomllib

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tools.mutants.mutant import Mutant


FILE = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True, slots=True)
class Survivor:
    """Some changes of a line in a function that no test notices."""

    file: str
    function: str
    line: str
    changes: tuple[str, ...]
    reason: str

    def is_of(self, mutant: Mutant) -> bool:
        """Return whether a *mutant* is one of these changes."""
        where = (self.file, self.function, self.line)
        return where == (mutant.file, mutant.function, mutant.before) and (
            mutant.after in self.changes
        )


@cache
def survivors() -> Sequence[Survivor]:
    """Return all known survivors."""
    return [
        Survivor(
            file=f"rk_exporter/{entry['file']}",
            function=entry["function"],
            line=entry["line"],
            changes=tuple(entry["changes"]),
            reason=entry["reason"],
        )
        for entry in _data()["survivor"]
    ]


@dataclass(frozen=True, slots=True)
class Figures:
    """
    How many changes of a package the tests noticed when all were tried.

    Then tests were written for many of those that *survived_at_first*; the list has the others.
    """

    package: str
    mutants: int
    timeouts: int
    survived_at_first: int

    @property
    def noticed_at_first(self) -> int:
        """Return how many changes a test noticed, also by running forever."""
        return self.mutants - self.survived_at_first

    @property
    def survived(self) -> int:
        """Return how many changes are in the list."""
        folder = f"rk_exporter/{self.package}/"
        return sum(len(known.changes) for known in survivors() if known.file.startswith(folder))

    @property
    def noticed(self) -> int:
        """Return how many changes the tests notice now."""
        return self.mutants - self.survived


@cache
def figures() -> Sequence[Figures]:
    """Return the figures of all packages."""
    return [Figures(**row) for row in _data()["figures"]]


def is_known(mutant: Mutant) -> bool:
    """Return whether a *mutant* is known to survive."""
    return any(survivor.is_of(mutant) for survivor in survivors())


def _data() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))

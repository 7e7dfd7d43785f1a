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
    How many changes of a package the tests notice, when they were tried last.

    *mutants* were tried: all of them, or a random part of *all_mutants*. Of a part, tests were
    written for those that *survived_at_first*, so only this number says something about the others.
    """

    package: str
    files: str
    mutants: int
    timeouts: int
    survived: int
    all_mutants: int | None = None
    survived_at_first: int | None = None

    @property
    def tried(self) -> str:
        """Return which part was tried, in words."""
        return "all" if self.all_mutants is None else f"a random part of {self.all_mutants:,}"

    @property
    def noticed_at_first(self) -> str:
        """Return the share of a random part that was noticed before tests were written for it."""
        if self.survived_at_first is None:
            return ""
        return f"{1 - self.survived_at_first / self.mutants:.1%}"

    @property
    def noticed(self) -> int:
        """Return how many changes a test noticed, also by running forever."""
        return self.mutants - self.survived


@cache
def figures() -> Sequence[Figures]:
    """Return the figures of all packages that were tried."""
    return [Figures(**row) for row in _data()["figures"]]


def is_known(mutant: Mutant) -> bool:
    """Return whether a *mutant* is known to survive."""
    return any(survivor.is_of(mutant) for survivor in survivors())


def _data() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))

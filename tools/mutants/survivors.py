"""The mutants that are known to survive, each with the reason."""

import tomllib

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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
        for entry in tomllib.loads(FILE.read_text(encoding="utf-8"))["survivor"]
    ]


def is_known(mutant: Mutant) -> bool:
    """Return whether a *mutant* is known to survive."""
    return any(survivor.is_of(mutant) for survivor in survivors())

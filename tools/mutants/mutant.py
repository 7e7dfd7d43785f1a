"""What became of each mutant, from the files of mutmut."""

import difflib
import json
import re

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any


# Those of a process that a test failed in, and of one in which pytest itself failed.
_KILLED = {1, 3}
# mutmut ends a process that takes too long by SIGXCPU, and then by SIGKILL.
_TIMEOUT = {24, -24, 36, 152, 255, -9}
# `package.module.x_function__mutmut_1` or `package.module.xǁClassǁmethod__mutmut_1`.
_NAME = re.compile(r"(?:^|\.)x(?:_|ǁ(?P<class>\w+?)ǁ)(?P<function>\w+)__mutmut_\d+$")


class Outcome(Enum):
    """What the tests said to a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of one function. Lines are joined by a space, so that no layout matters."""

    file: str
    function: str
    before: str
    after: str
    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.file}: {self.function}\n  - {self.before}\n  + {self.after}"


def read_mutants(folder: Path) -> Iterator[Mutant]:
    """
    Yield the mutants that were tried.

    *folder* is the working directory of mutmut. A mutant that no test reaches has survived.
    """
    mutated = folder / "mutants"
    for meta in sorted(mutated.rglob("*.py.meta")):
        file = meta.with_suffix("")
        exit_codes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        spans = json.loads(file.with_name(f"{file.name}.spans").read_text())["spans"]
        lines = file.read_text().splitlines()
        for key, exit_code in exit_codes.items():
            if exit_code is None:
                continue
            before, after = _difference(key, spans, lines)
            yield Mutant(
                file=file.relative_to(mutated).as_posix(),
                function=_function(key),
                before=before,
                after=after,
                outcome=_outcome(exit_code),
            )


def joined(lines: list[str]) -> str:
    """Return *lines* as one, without their indentation."""
    return " ".join(line.strip() for line in lines)


def _outcome(exit_code: int) -> Outcome:
    if exit_code in _KILLED:
        return Outcome.KILLED
    return Outcome.TIMEOUT if exit_code in _TIMEOUT else Outcome.SURVIVED


def _function(key: str) -> str:
    found = _NAME.search(key)
    if found is None:
        raise ValueError(key)
    name = found["function"]
    return f"{found['class']}.{name}" if found["class"] else name


def _difference(key: str, spans: dict[str, Any], lines: list[str]) -> tuple[str, str]:
    """Return the lines of a function that a mutant changes, and what it makes of them."""
    name = key.rpartition(".")[2]
    original = f"{name.rpartition('__mutmut_')[0]}__mutmut_orig"
    before, after = (
        [
            line.replace(which, _function(key).rpartition(".")[2])
            for line in lines[spans[which][0] - 1 : spans[which][1]]
        ]
        for which in (original, name)
    )
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    changes = [change for change in matcher.get_opcodes() if change[0] != "equal"]
    begin, end = changes[0][1], changes[-1][2]
    changed_end = len(after) - (len(before) - end)
    return joined(before[begin:end]), joined(after[changes[0][3] : changed_end])

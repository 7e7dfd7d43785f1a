"""The instructions of a Dockerfile, and the files that a build gets."""

import re

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction with its arguments, in a stage that starts with 0."""

    stage: int
    name: str
    arguments: str

    @property
    def copied(self) -> tuple[list[str], str] | None:
        """Return the sources in the build context and the target, if it copies such files."""
        words = self.arguments.split()
        if self.name != "COPY" or words[0].startswith("--from="):
            return None
        return words[:-1], words[-1]


def instructions(path: Path) -> list[Instruction]:
    """Return the instructions of all stages, without comments."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    found, stage = [], -1
    for line in re.sub(r"\\\n", "", "\n".join(lines)).splitlines():
        name, _, arguments = line.strip().partition(" ")
        stage += name == "FROM"
        if name:
            found.append(Instruction(max(stage, 0), name, arguments.strip()))
    return found


def context(root: Path) -> Iterator[Path]:
    """
    Yield the files of the build context, relative to the project.

    The .dockerignore must exclude everything and name what it includes.
    """
    excluded, *patterns = (root / ".dockerignore").read_text().split()
    assert excluded == "*"
    for pattern in patterns:
        included = root / pattern.removeprefix("!")
        if pattern.startswith("!"):
            files = [included] if included.is_file() else included.rglob("*")
            yield from (
                path.relative_to(root)
                for path in files
                if path.is_file() and "__pycache__" not in path.parts
            )
        else:
            assert pattern == "**/__pycache__"

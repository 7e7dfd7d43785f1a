"""A copy of the project, in which mutmut changes the code."""

import shutil
import subprocess
import sys

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


ROOT = Path(__file__).parents[2]
_FOLDER = ROOT / ".cache/mutants"
# What tests read beside the code.
_ALSO_COPIED = ("README.md", "dashboards", "deploy", "docs", "share", "tools")
_CONFIGURATION = """

[tool.mutmut]
source_paths = ["rk_exporter"]
only_mutate = {files}
also_copy = {also_copied}
pytest_add_cli_args = ["--hypothesis-profile=mutants", "-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = {tests}
# Every run is a new one.
track_dependencies = false
use_git_change_detection = false
# Of the time of a processor. A mutant that loops forever is found out by it.
timeout_constant = 10.0
timeout_multiplier = 4.0
"""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The copy in which the files of one package are changed."""

    package: str
    tests: tuple[str, ...]
    """Those that run for each mutant, if they reach the function that it changes."""

    @property
    def folder(self) -> Path:
        """Return where the copy is, which other runs overwrite."""
        return _FOLDER / self.package

    def prepare(self, files: Iterable[str], tests: Iterable[str]) -> None:
        """Copy the project as it is now; let mutmut change *files* only, and run these *tests*."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in _project_files():
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        configuration = _CONFIGURATION.format(
            files=[*files], also_copied=[*_ALSO_COPIED], tests=[*tests]
        )
        with (self.folder / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(configuration)

    def names(self, files: Iterable[str]) -> Sequence[str]:
        """Return the names of all mutants of *files*."""
        listed = subprocess.run(
            [sys.executable, "-m", "tools.mutants.names", *files],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            check=True,
        )
        return listed.stdout.decode().split()

    def run(self, names: Iterable[str], children: int) -> int:
        """Let mutmut try mutants, at most *children* side by side, and return its exit code."""
        mutmut = Path(sys.executable).with_name("mutmut")
        command = [str(mutmut), "run", "--max-children", str(children), *names]
        log = self.folder / "mutmut.log"
        with log.open("wb") as file:
            done = subprocess.run(
                command, cwd=self.folder, stdout=file, stderr=subprocess.STDOUT, check=False
            )
        return done.returncode

    @property
    def last_words(self) -> str:
        """Return the end of what mutmut has printed."""
        log = self.folder / "mutmut.log"
        return log.read_text(errors="replace").replace("\r", "\n")[-4000:]


def _project_files() -> list[str]:
    """Return the files that are in the repository or new, but not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]

"""
Change the code in small ways, one at a time, and see whether a test fails.

    make mutants
    make mutants FILES='ratelimit/circuit_breaker.py tracking/*.py'
    make mutants SHARD=1/20

A change that no test notices has survived: add a test, or add the change to survivors.toml with the
reason why no test can notice it. Such a survivor that is not in the list is an error.
"""

import argparse
import fnmatch
import hashlib
import os
import sys

from collections.abc import Iterable, Sequence

from tools.mutants.mutant import Mutant, Outcome, read_mutants
from tools.mutants.survivors import is_known
from tools.mutants.workspace import ROOT, Workspace


# Beside the unit tests of the package. The reference has the name and HELP of each metric. Of the
# scenarios, those that take seconds altogether run: a mutant that survives takes as long.
_MORE_TESTS = {
    "collector": (
        "tests/scenarios/test_restarts.py",
        "tests/scenarios/test_reload.py::TestApps",
        "tests/scenarios/test_reload.py::TestMeetings",
        "tests/scenarios/test_webhooks.py::TestDueNow",
        "tests/scenarios/test_read_modes.py::TestOneByOne",
    ),
    "metrics": (
        "tests/unit/exporter",
        "tests/project/test_docs.py::test_metrics_table",
        "tests/project/test_reference.py::test_pages_are_current[metrics]",
    ),
}
WORKSPACES = tuple(
    Workspace(package, (f"tests/unit/{package}", *_MORE_TESTS.get(package, ())))
    for package in ("ratelimit", "tracking", "metrics", "collector", "api")
)


def main() -> None:
    """Try the mutants of the files that the arguments name, print a table, and exit."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants")
    parser.add_argument(
        "files", nargs="*", default=["*"], help="patterns of files below rk_exporter"
    )
    parser.add_argument(
        "--shard", type=_shard, default=(1, 1), help="e.g. 1/20: a random part of the mutants"
    )
    parser.add_argument("--children", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--tests", nargs="+", help="by default all unit tests of the package")
    options = parser.parse_args()
    files = chosen_files(options.files)
    if not files:
        parser.error("no file of these packages is chosen")
    mutants = [mutant for workspace in WORKSPACES for mutant in _tried(workspace, files, options)]
    print(report(mutants))
    sys.exit(any(_is_new(mutant) for mutant in mutants))


def chosen_files(patterns: Iterable[str]) -> Sequence[str]:
    """Return the files of all packages that match."""
    files = sorted(
        path.relative_to(ROOT).as_posix()
        for workspace in WORKSPACES
        for path in (ROOT / "rk_exporter" / workspace.package).glob("*.py")
    )
    return [
        file
        for file in files
        if any(fnmatch.fnmatch(file, f"rk_exporter/{pattern}") for pattern in patterns)
    ]


def in_shard(name: str, number: int, count: int) -> bool:
    """Return whether the mutant *name* is in part *number* of *count*: by chance, but always."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest) % count == number - 1


def report(mutants: Sequence[Mutant]) -> str:
    """Return a table of the packages, and the survivors that are not known."""
    lines = [
        "| package | mutants | killed | timeout | survived | not known | killed |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    packages = sorted({_package(mutant) for mutant in mutants})
    lines += [_row(name, [m for m in mutants if _package(m) == name]) for name in packages]
    lines += ["", *(str(mutant) for mutant in mutants if _is_new(mutant))]
    return "\n".join(lines)


def _row(name: str, mutants: Sequence[Mutant]) -> str:
    killed, timeouts, survived = (
        sum(mutant.outcome is outcome for mutant in mutants) for outcome in Outcome
    )
    new = sum(map(_is_new, mutants))
    share = (killed + timeouts) / len(mutants)
    return f"| {name} | {len(mutants)} | {killed} | {timeouts} | {survived} | {new} | {share:.1%} |"


def _package(mutant: Mutant) -> str:
    return mutant.file.split("/")[1]


def _is_new(mutant: Mutant) -> bool:
    return mutant.outcome is Outcome.SURVIVED and not is_known(mutant)


def _tried(
    workspace: Workspace, files: Sequence[str], options: argparse.Namespace
) -> Sequence[Mutant]:
    own = [file for file in files if file.startswith(f"rk_exporter/{workspace.package}/")]
    if not own:
        return ()
    workspace.prepare(own, options.tests or workspace.tests)
    names = [name for name in workspace.names(own) if in_shard(name, *options.shard)]
    if not names:
        return ()
    if workspace.run(names, options.children):
        sys.exit(f"mutmut failed:\n{workspace.last_words}")
    return [*read_mutants(workspace.folder)]


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not 1 <= int(number) <= int(count):
        raise ValueError(text)
    return int(number), int(count)


if __name__ == "__main__":
    main()

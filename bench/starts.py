"""
What a start costs when all optional parts are off.

`python -m bench.starts REVISION` starts the exporter of an older revision of the repository in
turns with this one, so that noise meets both, and says whether they show the same metrics.
"""

import argparse
import io
import shutil
import statistics
import subprocess
import tarfile
import tempfile

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Running, running
from bench.scraping import exporting, scrape, write_config


STARTS = 9
MEETINGS = 1
_HERE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Start:
    """The cost of one start until the exporter listens, and the names of the metrics it shows."""

    seconds: float
    cpu_seconds: float
    resident_mib: float
    families: frozenset[str]


def print_starts(trees: Mapping[str, Path] | None = None) -> None:
    """Print what a start costs with each source tree; by default, with this one."""
    trees = trees or {"this one": _HERE}
    starts: dict[str, list[Start]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as folder, _simulator() as simulator:
        config = write_config(Path(folder), simulator)
        for _ in range(STARTS):
            for name, tree in trees.items():
                starts[name].append(_start(config, tree))
    print(
        f"start of the process until it listens, everything optional off (medians of {STARTS}):\n\n"
        "| revision | time | CPU | memory | metrics |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for name, measured in starts.items():
        print(
            f"| {name} | {statistics.median(start.seconds for start in measured):.2f} s "
            f"| {statistics.median(start.cpu_seconds for start in measured):.2f} s "
            f"| {statistics.median(start.resident_mib for start in measured):.1f} MiB "
            f"| {len(measured[-1].families)} |"
        )
    print(*_differences({name: measured[-1] for name, measured in starts.items()}), sep="\n")


def _start(config: Path, tree: Path) -> Start:
    with exporting(config, tree) as exporter:
        seconds = exporter.listens_at - exporter.started_at
        cpu_seconds, resident_mib = exporter.cpu_seconds(), exporter.resident_mib()
        lines = scrape(exporter).text.splitlines()
    families = frozenset(line.split()[2] for line in lines if line.startswith("# TYPE "))
    if "rk_meeting_up" not in families:
        raise RuntimeError("the exporter does not show its meetings")
    return Start(seconds, cpu_seconds, resident_mib, families)


def _differences(starts: Mapping[str, Start]) -> Iterator[str]:
    """Return a line for the metrics that only one of two revisions shows."""
    every = frozenset[str]().union(*(start.families for start in starts.values()))
    for name, start in starts.items():
        if missing := every - start.families:
            yield f"not in {name}: {', '.join(sorted(missing))}"
    yield ""


def _simulator() -> AbstractContextManager[Running]:
    arguments = ("--web.listen-address", "127.0.0.1:0", "--meetings", str(MEETINGS))
    return running("rk_exporter", "simulate", *arguments)


@contextmanager
def _tree_of(revision: str) -> Iterator[Path]:
    """Check a *revision* out into a folder of its own, until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        git = shutil.which("git") or "git"
        archive = subprocess.run(
            [git, "archive", revision], cwd=_HERE, stdout=subprocess.PIPE, check=True
        )
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


def main() -> None:
    """Compare this source tree with that of a revision."""
    parser = argparse.ArgumentParser(prog="python -m bench.starts", description=__doc__)
    parser.add_argument("revision", help="what git calls it: a tag, a branch or a commit")
    revision = parser.parse_args().revision
    with _tree_of(revision) as tree:
        print_starts({revision: tree, "this one": _HERE})


if __name__ == "__main__":
    main()

"""Fuzz all targets, each in a process of its own."""

import os
import re
import subprocess
import sys

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


CORPUS = Path(__file__).parent / "corpus"
"""A folder for each target, and a file with words that inputs may contain."""
# A target that ran fewer has not been fuzzed.
_FEWEST_RUNS = 100
_SHOWN_CHARACTERS = 6000
_CRASH = re.compile(r"\bcrash-[0-9a-f]{40}\b")
_RUNS = re.compile(r"^stat::number_of_executed_units: (\d+)$", re.MULTILINE)
_PEAK = re.compile(r"^stat::peak_rss_mb: +(\d+)$", re.MULTILINE)
_COVERAGE = re.compile(r"\bcov: (\d+)\b")


@dataclass(frozen=True, slots=True)
class _Outcome:
    target: str
    exit_code: int
    printed: str

    @property
    def runs(self) -> int:
        return _last(_RUNS, self.printed)

    @property
    def is_good(self) -> bool:
        return self.exit_code == 0 and self.runs >= _FEWEST_RUNS

    def __str__(self) -> str:
        peak, covered = _last(_PEAK, self.printed), _last(_COVERAGE, self.printed)
        verdict = "ok" if self.is_good else "FAILED"
        return f"| {self.target} | {self.runs:,} | {covered:,} | {peak} MiB | {verdict} |"


def run_all(seconds: int) -> int:
    """Fuzz all targets for some *seconds* each, print a table, and return the exit code."""
    targets = sorted(folder.name for folder in CORPUS.iterdir() if folder.is_dir())
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        outcomes = list(workers.map(lambda target: _run(target, seconds), targets))
    print("| target | inputs | branches | peak memory | |\n| --- | ---: | ---: | ---: | --- |")
    print(*outcomes, sep="\n")
    failed = [outcome for outcome in outcomes if not outcome.is_good]
    for outcome in failed:
        print(f"\n{outcome.target}:\n{outcome.printed[-_SHOWN_CHARACTERS:]}")
        # In CI, the files are lost.
        for crash in set(_CRASH.findall(outcome.printed)):
            print(f"{crash}: {Path(crash).read_bytes()!r}")
    return bool(failed)


def _run(target: str, seconds: int) -> _Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", target, "--seconds", str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return _Outcome(target, done.returncode, done.stdout.decode(errors="replace"))


def _last(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.findall(text)
    return int(found[-1]) if found else 0

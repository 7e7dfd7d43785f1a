"""Everything in the corpus of the fuzzer keeps the promises, also inputs that once failed."""

import subprocess

from pathlib import Path

import pytest

from tests.fuzz.campaign import CORPUS
from tests.fuzz.targets import TARGETS


SHOWING = {"payloads", "rate-limit-headers", "meeting-files", "state-files"}
"""The targets that show what they have read."""
INPUTS = [(target, file) for target in TARGETS for file in sorted((CORPUS / target).iterdir())]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("target", "file"), INPUTS, ids=[f"{target}-{file.name}" for target, file in INPUTS]
)
def test_input(target: str, file: Path) -> None:
    """An input ends as declared: with a value, or with an exception of its parser."""
    TARGETS[target](file.read_bytes())


@pytest.mark.parametrize("target", sorted(SHOWING))
def test_promtool_reads_it(target: str, promtool: str) -> None:
    """What is shown of any input is valid for Prometheus, and its linter has nothing to say."""
    found = 0
    for file in sorted((CORPUS / target).iterdir()):
        exposition = TARGETS[target](file.read_bytes())
        if exposition is None:
            continue
        found += 1
        done = subprocess.run(
            [promtool, "check", "metrics"],
            input=exposition,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, "", "") == (done.returncode, done.stdout, done.stderr), file.name
    assert found > 0


def test_folders() -> None:
    """Each target has a folder, so the fuzzer runs all of them."""
    assert {folder.name for folder in CORPUS.iterdir() if folder.is_dir()} == {*TARGETS}

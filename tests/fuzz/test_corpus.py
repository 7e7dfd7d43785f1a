"""Everything in the corpus of the fuzzer keeps the promises, also inputs that once failed."""

from pathlib import Path

import pytest

from tests.fuzz.campaign import CORPUS
from tests.fuzz.targets import TARGETS


INPUTS = [(target, file) for target in TARGETS for file in sorted((CORPUS / target).iterdir())]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("target", "file"), INPUTS, ids=[f"{target}-{file.name}" for target, file in INPUTS]
)
def test_input(target: str, file: Path) -> None:
    """An input ends as declared: with a value, or with an exception of its parser."""
    TARGETS[target](file.read_bytes())


def test_folders() -> None:
    """Each target has a folder, so the fuzzer runs all of them."""
    assert {folder.name for folder in CORPUS.iterdir() if folder.is_dir()} == {*TARGETS}

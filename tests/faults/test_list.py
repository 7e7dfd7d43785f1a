"""The list of faults has all tests, and each of its tests, metrics and messages exists."""

import ast
import re

from functools import cache
from pathlib import Path

import pytest

from tests.support.markdown import ROOT, text_of
from tools.docs.faults import Fault, fault_list
from tools.docs.log_messages import messages


FAULTS = list(fault_list())
NUMBERS = range(1, 65)
HERE = Path(__file__).parent
_METRIC = re.compile(r"`((?:rk|process)_\w+)")
_MESSAGE = re.compile(r'log: "([^"]+)"')


@cache
def ids_in(path: Path) -> frozenset[str]:
    """Return the ids of the tests in a file."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        names = [function.name for function in inner if isinstance(function, ast.FunctionDef)]
        found |= {f"{path.relative_to(ROOT)}::{prefix}{name}" for name in names}
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


@cache
def texts_of_messages() -> tuple[str, ...]:
    """Return the messages of the log."""
    return tuple(message.text for message in messages())


def test_every_number_has_a_fault() -> None:
    """The numbers of the matrix are complete."""
    # Later faults have none.
    assert {0, *NUMBERS} == {number for fault in FAULTS for number in fault.numbers}


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.fault for fault in FAULTS])
def test_tests_exist(fault: Fault) -> None:
    """Each fault has tests, and they exist."""
    assert fault.tests
    for test in fault.tests:
        assert test in ids_in(ROOT / test.partition("::")[0]), test


def test_every_test_is_listed() -> None:
    """Each test of this folder is in the list."""
    listed = {test for fault in FAULTS for test in fault.tests}
    here = {
        test
        for path in HERE.glob("test_*.py")
        if path.name != Path(__file__).name
        for test in ids_in(path)
    }
    assert set() == here - listed


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.fault for fault in FAULTS])
def test_what_shows_it_exists(fault: Fault) -> None:
    """The metrics are in the reference, and the lines of the log begin as the program's do."""
    reference = text_of("docs/reference/metrics.md") + " `process_"
    for name in _METRIC.findall(fault.shown + fault.happens):
        assert f"`{name}" in reference or name.startswith("process_"), name
    for beginning in _MESSAGE.findall(fault.shown):
        assert any(text.startswith(beginning) for text in texts_of_messages()), beginning

"""The tool behind `make mutants`, and its list of survivors."""

import json

from pathlib import Path

import pytest

from tools.mutants.__main__ import WORKSPACES, chosen_files, in_shard, report
from tools.mutants.mutant import Mutant, Outcome, joined, read_mutants
from tools.mutants.survivors import Survivor, figures, survivors
from tools.mutants.workspace import ROOT


MUTATED = """\
class Gate:
    def xǁGateǁis_open__mutmut_orig(self, now: float) -> bool:
        \"\"\"Return whether it is.\"\"\"
        return (
            self.until <= now
        )
    def xǁGateǁis_open__mutmut_1(self, now: float) -> bool:
        \"\"\"Return whether it is.\"\"\"
        return (
            self.until < now
        )
def x_half__mutmut_orig(number: int = 1) -> float:
    return number / 2
def x_half__mutmut_1(number: int = 2) -> float:
    return number / 2
def x_half__mutmut_2(number: int = 1) -> float:
    return number * 2
"""
SPANS = {
    "xǁGateǁis_open__mutmut_orig": [2, 6],
    "xǁGateǁis_open__mutmut_1": [7, 11],
    "x_half__mutmut_orig": [12, 13],
    "x_half__mutmut_1": [14, 15],
    "x_half__mutmut_2": [16, 17],
}
FILE = "rk_exporter/ratelimit/gate.py"


def name_of(survivor: Survivor) -> str:
    return f"{survivor.file}: {survivor.function}: {survivor.line}"


@pytest.mark.parametrize("survivor", survivors(), ids=name_of)
def test_survivor_exists(survivor: Survivor) -> None:
    """Each entry names a line that exists, in its function, and what it would be instead."""
    source = (ROOT / survivor.file).read_text(encoding="utf-8")
    _, found, rest = source.partition(f"def {survivor.function.rpartition('.')[2]}(")
    assert survivor.line in joined(f"{found}{rest}".splitlines())
    assert survivor.changes
    assert survivor.line not in survivor.changes
    assert survivor.reason.endswith(".")


def test_survivors_are_listed_once() -> None:
    """No change is in the list twice."""
    listed = [
        (entry.file, entry.function, entry.line, change)
        for entry in survivors()
        for change in entry.changes
    ]
    assert len(listed) == len(set(listed))


def test_figures_are_of_packages() -> None:
    """Each package that is tried has figures, and at least 95 % of its changes are noticed."""
    packages = [workspace.package for workspace in WORKSPACES]
    assert packages == [row.package for row in figures()]
    for row in figures():
        assert row.timeouts <= row.noticed_at_first <= row.noticed
        assert row.noticed >= 0.95 * row.mutants


def test_tests_exist() -> None:
    """Each package has tests that can notice a change."""
    for workspace in WORKSPACES:
        for tests in workspace.tests:
            path = ROOT / tests.partition("::")[0]
            assert path.is_file() or any(path.glob("test_*.py"))


def test_shards() -> None:
    """Each mutant is in one shard, and every shard has about the same number, of each function."""
    names = [f"gate.x_{function}__mutmut_{number}" for function in "ab" for number in range(700)]
    parts = [[name for name in names if in_shard(name, number, 7)] for number in range(1, 8)]
    assert sorted(name for part in parts for name in part) == sorted(names)
    for part in parts:
        assert all(70 <= sum(f"x_{function}_" in name for name in part) <= 130 for function in "ab")


def test_patterns() -> None:
    """A pattern chooses files below rk_exporter, of the packages that are tried."""
    assert chosen_files(["ratelimit/budget.py", "web/*.py"]) == ["rk_exporter/ratelimit/budget.py"]


def mutants(tmp_path: Path, **exit_codes: int | None) -> list[Mutant]:
    """Return the mutants of a file, given the exit codes of the tests."""
    file = tmp_path / "mutants" / FILE
    file.parent.mkdir(parents=True)
    file.write_text(MUTATED)
    module = FILE.removesuffix(".py").replace("/", ".")
    codes = {f"{module}.{name}": code for name, code in exit_codes.items()}
    Path(f"{file}.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    Path(f"{file}.spans").write_text(json.dumps({"spans": SPANS}))
    return [*read_mutants(tmp_path)]


def test_changes(tmp_path: Path) -> None:
    """A mutant has its function, the lines that change, and what becomes of them."""
    first, default, last = mutants(
        tmp_path, xǁGateǁis_open__mutmut_1=0, x_half__mutmut_1=1, x_half__mutmut_2=-24
    )
    assert (
        Mutant(FILE, "Gate.is_open", "self.until <= now", "self.until < now", Outcome.SURVIVED)
        == first
    )
    assert ("half", "def half(number: int = 2) -> float:") == (default.function, default.after)
    assert ("return number / 2", "return number * 2") == (last.before, last.after)
    assert [Outcome.KILLED, Outcome.TIMEOUT] == [default.outcome, last.outcome]


@pytest.mark.parametrize(
    ("exit_code", "outcome"),
    [(0, Outcome.SURVIVED), (33, Outcome.SURVIVED), (5, Outcome.SURVIVED), (1, Outcome.KILLED)],
)
def test_outcomes(tmp_path: Path, exit_code: int, outcome: Outcome) -> None:
    """A mutant that no test reaches has survived."""
    (mutant,) = mutants(tmp_path, x_half__mutmut_1=exit_code)
    assert outcome is mutant.outcome


def test_not_tried(tmp_path: Path) -> None:
    """A mutant that was not tried is left out."""
    assert [] == mutants(tmp_path, x_half__mutmut_1=None)


def test_report(tmp_path: Path) -> None:
    """The report counts mutants by package, and shows the survivors that are not known."""
    text = report(mutants(tmp_path, x_half__mutmut_1=0, x_half__mutmut_2=1))
    assert "| ratelimit | 2 | 1 | 0 | 1 | 1 | 50.0% |" in text
    assert "gate.py: half\n  - def half(number: int = 1) -> float:" in text

"""The structure of the simulator's package."""

import re

from pathlib import Path

import rk_exporter.simulator as simulator_package


PACKAGE = Path(simulator_package.__file__).parent


def imports(folder: Path) -> set[str]:
    """Return the modules of the exporter's package that the modules in *folder* import."""
    sources = [path.read_text() for path in folder.rglob("*.py")]
    return set(
        re.findall(r"^\s*(?:from|import) (rk_exporter\S*)", "\n".join(sources), re.MULTILINE)
    )


def test_independence() -> None:
    """The simulator does not import the exporter, so that both cannot share a mistake."""
    names = imports(PACKAGE)

    assert len(names) > 10
    assert {name for name in names if not name.startswith("rk_exporter.simulator.")} == set()


def test_scenarios_do_not_know_the_api() -> None:
    """Scenarios import only each other."""
    prefix = "rk_exporter.simulator.scenarios."

    assert {name for name in imports(PACKAGE / "scenarios") if not name.startswith(prefix)} == set()


def test_the_api_knows_one_protocol() -> None:
    """The API uses the protocol `Scenario` and its data, so that any scenario can be served."""
    used = {name for name in imports(PACKAGE / "api") if ".scenarios." in name}

    assert {name.rpartition(".")[2] for name in used} == {"model", "scenario"}

"""The units of systemd: valid, hardened, and the exporter runs within their limits."""

import re
import subprocess

from pathlib import Path

import pytest

from rk_exporter.cli.main import main
from rk_exporter.tracking.state_file import LAST_MAX_WAIT_SECONDS
from rk_exporter.web.server import GRACE_SECONDS
from tests.support.programs import required_program


MOST_EXPOSURE = 2.0
PROGRAM = "/opt/rk-exporter/bin/rk-exporter"


@pytest.fixture(scope="module")
def analyze() -> str:
    return required_program("systemd-analyze", package="systemd")


@pytest.fixture
def units(root: Path, tmp_path: Path) -> list[Path]:
    """Return copies of the units whose program exists on this machine."""
    copies = []
    for source in sorted((root / "deploy/systemd").iterdir()):
        copy = tmp_path / source.name
        copy.write_text(source.read_text().replace(PROGRAM, "/bin/true"))
        copies.append(copy)
    return copies


def service(root: Path) -> dict[str, list[str]]:
    """Return the values of each setting in the section of the service."""
    text = (root / "deploy/systemd/rk-exporter.service").read_text()
    section = text.partition("[Service]\n")[2].partition("\n[")[0]
    values: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        values.setdefault(name, []).append(value)
    return values


def test_valid(analyze: str, units: list[Path]) -> None:
    """The units have no mistakes."""
    result = subprocess.run(
        [analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (0, "", "") == (result.returncode, result.stdout, result.stderr)


def test_hardened(analyze: str, units: list[Path]) -> None:
    """The exposure of the service is small."""
    (unit,) = (path for path in units if path.suffix == ".service")
    result = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=True,
    )
    exposure = re.search(
        r"Overall exposure level for rk-exporter.service: ([0-9.]+)", result.stdout
    )
    assert exposure
    assert float(exposure[1]) < MOST_EXPOSURE


def test_start_time_can_be_read(root: Path) -> None:
    """The service sees /proc/stat, from which process_start_time_seconds is computed."""
    assert "ProcSubset" not in service(root)


def test_command(root: Path) -> None:
    """The options of the unit exist, and the token comes from a credential."""
    program, command, *arguments = service(root)["ExecStart"][0].split()
    assert (PROGRAM, "serve") == (program, command)
    flags = {flag for option in main.commands["serve"].params for flag in option.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= flags
    assert "%d/api-token" == arguments[arguments.index("--api.token-file") + 1]
    assert service(root)["LoadCredential"] == ["api-token:/etc/rk-exporter/api-token"]


def test_time_to_stop(root: Path) -> None:
    """The time to stop is longer than the exporter ever needs."""
    (seconds,) = service(root)["TimeoutStopSec"]
    assert int(seconds.removesuffix("s")) > GRACE_SECONDS + LAST_MAX_WAIT_SECONDS + 5

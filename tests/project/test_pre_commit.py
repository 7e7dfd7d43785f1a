"""The hooks of pre-commit check what `make lint` checks."""

import subprocess

from pathlib import Path

import yaml

from tests.support.programs import required_program


def test_hooks_run_every_program_of_lint(root: Path) -> None:
    """A commit that the hooks accept passes `make lint`."""
    make = required_program("make", package="make")
    lint = subprocess.run(
        [make, "--dry-run", "lint"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    linted = {line.split()[0] for line in lint.splitlines() if line.startswith(".venv/bin/")}
    (repository,) = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"]
    hooked = {hook["entry"].split()[0] for hook in repository["hooks"]}
    assert linted - {".venv/bin/python"} <= hooked

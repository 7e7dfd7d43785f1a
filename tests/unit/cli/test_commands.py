"""The group of all commands."""

import subprocess
import sys

import pytest

from rk_exporter.cli.main import main


# What a run of `serve` does not need while all optional parts are off.
UNUSED = [
    "boto3",
    "botocore",
    "cryptography",
    "rk_exporter.cli.assets",
    "rk_exporter.cli.check",
    "rk_exporter.cli.simulator",
    "rk_exporter.demo.demo",
    "rk_exporter.simulator",
    "rk_exporter.webhooks",
]


@pytest.fixture(scope="module")
def of_serve() -> list[str]:
    """Return the modules that a new process has imported when it runs `serve`."""
    program = "import sys, rk_exporter.cli.main, rk_exporter.cli.serve; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_names() -> None:
    """Each name in the list of commands is that of the command in its module."""
    assert [*main.commands] == [command.name for command in main.commands.values()]


@pytest.mark.parametrize("unused", UNUSED)
def test_what_is_off_is_not_imported(unused: str, of_serve: list[str]) -> None:
    """The start of `serve` takes neither time nor memory for other commands and optional parts."""
    assert not [name for name in of_serve if f"{name}.".startswith(f"{unused}.")]

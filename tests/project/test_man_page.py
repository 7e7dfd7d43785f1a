"""The manual page is what the programs that show it accept, and has every command and option."""

import os
import re
import subprocess

from pathlib import Path

import click
import pytest

from rk_exporter import __version__
from rk_exporter.cli.main import main
from tests.support.programs import required_program


@pytest.fixture(scope="module")
def page(root: Path) -> Path:
    return root / "share/man/man1/rk-exporter.1"


@pytest.fixture(scope="module")
def shown(page: Path) -> str:
    """Return what `man` shows, in one line without hyphens at line ends."""
    man = required_program("man", package="man-db")
    result = subprocess.run(
        [man, "--warnings", "--local-file", str(page)],
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "MANWIDTH": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not result.stderr
    return " ".join(re.sub(r".\x08", "", result.stdout).split())


def test_man(shown: str) -> None:
    """It has the version, each command, and each option with its variable and help."""
    assert f"rk-exporter {__version__}" in shown
    for name, command in main.commands.items():
        assert f"rk-exporter {name} " in shown
        assert " ".join((command.help or "").split()) in shown
        for option in command.params:
            if not isinstance(option, click.Option):
                continue
            assert option.opts[0] in shown
            assert " ".join((option.help or "").split()) in shown
            assert f"env var: {option.envvar}" in shown or not option.envvar


@pytest.mark.parametrize(
    ("program", "package", "arguments"),
    [
        ("groff", "groff-base", ("-man", "-ww", "-Tutf8")),
        ("mandoc", "mandoc", ("-Tlint", "-W", "warning")),
    ],
)
def test_linters(page: Path, program: str, package: str, arguments: tuple[str, ...]) -> None:
    """Neither groff nor mandoc has a warning about it."""
    path = required_program(program, package=package)
    result = subprocess.run(
        [path, *arguments, str(page)], capture_output=True, text=True, check=False
    )
    assert (0, "") == (result.returncode, result.stderr)
    assert program != "mandoc" or not result.stdout

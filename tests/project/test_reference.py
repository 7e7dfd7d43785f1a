"""The generated reference has everything that the code has."""

import os
import subprocess
import sys

import pytest
import yaml

from rk_exporter.cli.main import main
from rk_exporter.config.config import OPTIONS
from rk_exporter.config.option import Option
from tools.docs.command_line import command_line_reference
from tools.docs.configuration import configuration_reference
from tools.docs.options import options_reference


def test_options() -> None:
    """Each flag has a row with its variable, its default and its help."""
    lines = options_reference().splitlines()
    flags = [option for option in OPTIONS if option.flag]
    assert len(flags) + 3 == len(lines)
    for option, line in zip(flags, lines[3:], strict=True):
        cells = line.strip("| ").split(" | ")
        assert (f"`{option.flag}`", f"`{option.variable}`") == (cells[0], cells[1])
        assert option.help.replace("|", "\\|") in line
        assert not option.default or f"`{option.default}`" in line


def test_configuration() -> None:
    """Each key of the file, of an app and of a meeting has a row."""
    text = configuration_reference()
    keys = [f"| `{name}` |" for option in OPTIONS for name in (option.path, option.path_in_app)]
    for key in [*keys, "| `apps` |", "| `id` |", "| `name` |"]:
        assert key == "| `` |" or key in text, key


@pytest.mark.parametrize(
    "option",
    # The folder of a state file must exist.
    [option for option in OPTIONS if option.example and option.path != "state.file"],
    ids=lambda option: option.path_in_app,
)
def test_examples(option: Option) -> None:
    """The examples of the reference are valid values."""
    assert option.example
    value = yaml.safe_load(option.example)
    assert option.parse(value) is not None or not option.is_list
    assert isinstance(value, list) is option.is_list


def test_command_line() -> None:
    """Each command has a section with its help page, in which nothing is cut off."""
    text = command_line_reference()
    for name in main.commands:
        assert f"## rk-exporter {name}\n\n```text\nUsage: rk-exporter {name} " in text
    assert "..." not in text.replace("[ARGS]...", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    """The documented variable makes the program print a script for the shell."""
    assert f"_RK_EXPORTER_COMPLETE={shell}_source" in command_line_reference()
    program = "from rk_exporter.cli.main import entry_point; import sys; entry_point()"
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[0] = 'rk-exporter'; {program}"],
        env={"PATH": os.environ["PATH"], "_RK_EXPORTER_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    # Click asks the installed bash for its version.
    assert "_RK_EXPORTER_COMPLETE" in result.stdout, result.stderr

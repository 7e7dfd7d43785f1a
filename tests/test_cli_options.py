import click
import pytest

from click.testing import CliRunner

from rk_exporter.cli_options import configuration_options, given_settings
from rk_exporter.config import Setting


def settings(*arguments: str, **environment: str) -> dict[str, Setting]:
    """Return what a command is given by *arguments* and *environment*."""
    found: dict[str, Setting] = {}

    @click.command()
    @configuration_options
    @click.pass_context
    def command(context: click.Context, /, **_options: object) -> None:
        found.update(given_settings(context))

    result = CliRunner().invoke(command, [*arguments], env=environment, catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    return found


def test_nothing_given() -> None:
    """What neither a flag nor a variable gives is left to the file, and to the defaults."""
    assert {} == settings()
    assert {} == settings(RK_MEETING_IDS="", RK_MEETINGS_FILE="", RK_MEETINGS_DISCOVER="")


@pytest.mark.parametrize("said", ["true", "false", "maybe"])
def test_switches(said: str) -> None:
    """A flag without a value says true; what its variable says is passed on as it is."""
    place = "meetings.discover"
    assert {place: Setting("true", "--meetings.discover")} == settings("--meetings.discover")
    assert {place: Setting(said, "RK_MEETINGS_DISCOVER")} == settings(RK_MEETINGS_DISCOVER=said)
    assert {place: Setting("true", "--meetings.discover")} == settings(
        "--meetings.discover", RK_MEETINGS_DISCOVER=said
    )


def test_lists() -> None:
    """A flag can be repeated; in a variable commas or blanks stand between the parts."""
    flags = ("--meetings.file", "one list.yml", "--meetings.file", "b.yml")
    assert {"meetings.files": Setting(["one list.yml", "b.yml"], "--meetings.file")} == settings(
        *flags
    )
    assert {"meetings.files": Setting(["a.yml", "b.yml"], "RK_MEETINGS_FILE")} == settings(
        RK_MEETINGS_FILE="a.yml, b.yml"
    )

import click
import pytest

from click.testing import CliRunner

from rk_exporter.cli.options import configuration_options, given_settings
from rk_exporter.config.sources import Setting


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
    assert {} == settings(RK_FOLLOW_RETAIN="", RK_FOLLOW_KEEP_REMOVED="", RK_STATE_FILE="")


@pytest.mark.parametrize(
    ("flag", "variable", "place"),
    [
        ("--meetings.discover", "RK_MEETINGS_DISCOVER", "meetings.discover"),
        ("--follow.keep-removed", "RK_FOLLOW_KEEP_REMOVED", "follow.keep_removed"),
    ],
)
@pytest.mark.parametrize("said", ["true", "false", "maybe"])
def test_switches(flag: str, variable: str, place: str, said: str) -> None:
    """A flag without a value says true; what its variable says is passed on as it is."""
    assert {place: Setting("true", flag)} == settings(flag)
    assert {place: Setting(said, variable)} == settings(**{variable: said})
    assert {place: Setting("true", flag)} == settings(flag, **{variable: said})


@pytest.mark.parametrize(
    ("flag", "variable", "place"),
    [
        ("--follow.retain", "RK_FOLLOW_RETAIN", "follow.retain"),
        ("--follow.max-recordings", "RK_FOLLOW_MAX_RECORDINGS", "follow.max_recordings"),
        ("--follow.reread-interval", "RK_FOLLOW_REREAD_INTERVAL", "follow.reread_interval"),
        ("--state.file", "RK_STATE_FILE", "state.file"),
    ],
)
def test_single_values(flag: str, variable: str, place: str) -> None:
    """What a flag or a variable says is passed on as it is; the flag wins."""
    assert {place: Setting("a, b", flag)} == settings(flag, "a, b")
    assert {place: Setting("a, b", variable)} == settings(**{variable: "a, b"})
    assert {place: Setting("a", flag)} == settings(flag, "a", **{variable: "b"})


def test_empty_text() -> None:
    """A flag that is given the empty text is given, so that it can be refused."""
    assert {"state.file": Setting("", "--state.file")} == settings("--state.file", "")


def test_lists() -> None:
    """A flag can be repeated; in a variable commas or blanks stand between the parts."""
    flags = ("--meetings.file", "one list.yml", "--meetings.file", "b.yml")
    assert {"meetings.files": Setting(["one list.yml", "b.yml"], "--meetings.file")} == settings(
        *flags
    )
    assert {"meetings.files": Setting(["a.yml", "b.yml"], "RK_MEETINGS_FILE")} == settings(
        RK_MEETINGS_FILE="a.yml, b.yml"
    )

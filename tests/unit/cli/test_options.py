import click
import pytest

from click.testing import CliRunner

from rk_exporter.cli.options import configuration_options, given_settings
from rk_exporter.config.sources import Setting


def settings(*arguments: str, **environment: str) -> dict[str, Setting]:
    """Return the settings in the *arguments* and the *environment* of a command."""
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
    """Without flags and variables there are no settings; empty variables do not count."""
    assert {} == settings()
    assert {} == settings(RK_MEETING_IDS="", RK_MEETINGS_FILE="", RK_MEETINGS_DISCOVER="")
    assert {} == settings(RK_FOLLOW_RETAIN="", RK_FOLLOW_KEEP_REMOVED="", RK_STATE_FILE="")


@pytest.mark.parametrize(
    ("flag", "variable", "path"),
    [
        ("--meetings.discover", "RK_MEETINGS_DISCOVER", "meetings.discover"),
        ("--follow.keep-removed", "RK_FOLLOW_KEEP_REMOVED", "follow.keep_removed"),
    ],
)
@pytest.mark.parametrize("text", ["true", "false", "maybe"])
def test_switches(flag: str, variable: str, path: str, text: str) -> None:
    """A switch means true; the text of its variable is passed on unchanged."""
    assert {path: Setting("true", flag)} == settings(flag)
    assert {path: Setting(text, variable)} == settings(**{variable: text})
    assert {path: Setting("true", flag)} == settings(flag, **{variable: text})


@pytest.mark.parametrize(
    ("flag", "variable", "path"),
    [
        ("--follow.retain", "RK_FOLLOW_RETAIN", "follow.retain"),
        ("--follow.max-recordings", "RK_FOLLOW_MAX_RECORDINGS", "follow.max_recordings"),
        ("--follow.reread-interval", "RK_FOLLOW_REREAD_INTERVAL", "follow.reread_interval"),
        ("--state.file", "RK_STATE_FILE", "state.file"),
    ],
)
def test_single_values(flag: str, variable: str, path: str) -> None:
    """The text of a flag or variable is passed on unchanged; the flag wins."""
    assert {path: Setting("a, b", flag)} == settings(flag, "a, b")
    assert {path: Setting("a, b", variable)} == settings(**{variable: "a, b"})
    assert {path: Setting("a", flag)} == settings(flag, "a", **{variable: "b"})


def test_empty_text() -> None:
    """An empty flag is a setting, so that the configuration can reject it."""
    assert {"state.file": Setting("", "--state.file")} == settings("--state.file", "")


def test_lists() -> None:
    """A flag can be repeated; a variable separates items with commas or spaces."""
    flags = ("--meetings.file", "one list.yml", "--meetings.file", "b.yml")
    assert {"meetings.files": Setting(["one list.yml", "b.yml"], "--meetings.file")} == settings(
        *flags
    )
    assert {"meetings.files": Setting(["a.yml", "b.yml"], "RK_MEETINGS_FILE")} == settings(
        RK_MEETINGS_FILE="a.yml, b.yml"
    )

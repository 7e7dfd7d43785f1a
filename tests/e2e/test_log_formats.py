"""The log of a real process, on a real terminal and in a pipe."""

import json
import re
import signal

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.processes import started, url_in
from tests.support.terminal import started_on_terminal


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ONE_APP = {
    "CLOUDFLARE_API_TOKEN": "simulated",
    "CLOUDFLARE_ACCOUNT_ID": "account",
    "RK_APP_ID": "app",
    "RK_MEETING_IDS": "a",
    "RK_WEB_LISTEN_ADDRESS": "127.0.0.1:0",
    "TERM": "xterm-256color",
}


@contextmanager
def shown_by_serve(*arguments: str, environment: dict[str, str]) -> Iterator[str]:
    """Return what `serve` shows on a terminal until it has stopped."""
    with started_on_terminal("serve", *arguments, environment=environment) as (process, terminal):
        terminal.read_until("/metrics")
        # From now on the process handles signals.
        httpx.get(f"{url_in(terminal.text)}/-/healthy")
        process.send_signal(signal.SIGTERM)
        yield terminal.read_until("stopped")


def test_colours_on_a_terminal() -> None:
    """A terminal gets local time, a coloured level and no logfmt."""
    with shown_by_serve(environment=ONE_APP) as text:
        assert _COLOUR.search(text)
        assert re.search(
            r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d info    listening ", plain(text), re.MULTILINE
        )


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_terminal_without_colours(variable: dict[str, str]) -> None:
    """NO_COLOR and TERM=dumb leave the form, and take the colours."""
    with shown_by_serve(environment=ONE_APP | variable) as text:
        assert "\x1b" not in text
        assert " info    listening " in text


@pytest.mark.parametrize("form", ["logfmt", "json", "JSON"])
def test_chosen_format_on_a_terminal(form: str) -> None:
    """A chosen format wins, in capitals too."""
    with shown_by_serve("--log.format", form, environment=ONE_APP) as text:
        assert "\x1b" not in text
        (line,) = [line for line in text.splitlines() if "listening" in line]
        if form == "logfmt":
            assert line.startswith("time=20")
        else:
            assert "listening" == json.loads(line)["msg"]


@pytest.mark.parametrize("form", [(), ("--log.format", "console")])
def test_no_colours_in_a_pipe(form: tuple[str, ...]) -> None:
    """A pipe gets no escape sequences, and logfmt unless another form is chosen."""
    with started("serve", *form, environment=ONE_APP) as process:
        assert process.stderr
        line = next(line for line in process.stderr if "listening" in line)
    assert line.isascii()
    assert "\x1b" not in line
    assert line.startswith("time=20") is not bool(form)


def test_nothing_from_outside_reaches_a_terminal(tmp_path: Path) -> None:
    """Escape sequences in ids and names of files are shown as text."""
    evil = "\x1b[31mred\x9b2J\x07"
    file = tmp_path / f"{evil}.txt"
    file.write_text("a\n")
    environment = {**ONE_APP, "RK_MEETINGS_FILE": str(file), "RK_SCRAPE_MIN_INTERVAL": "0s"}
    environment[f"RK_{evil}"] = "unknown variable"
    with shown_by_serve(environment=environment) as text:
        assert r"unknown variable RK_\x1b[31mred" in plain(text)
        rest = plain(text).replace("\r\n", "")
        assert rest.isprintable(), rest
    file.write_text(f"{evil}\n")
    with started_on_terminal("check", "--offline", environment=environment) as (_, terminal):
        text = terminal.read_until("is not a valid id")
        assert "\x1b" not in text


def plain(text: str) -> str:
    """Return *text* without the colours of our own."""
    return _COLOUR.sub("", text)

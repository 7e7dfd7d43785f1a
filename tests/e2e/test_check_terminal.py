"""`check` as people see it: colours on a terminal, plain text in a pipe, and Ctrl-C."""

import queue
import re
import signal
import subprocess

from collections.abc import Iterator

import pytest

from rk_exporter.simulator import Fault, ScriptedScenario, Simulator
from tests.support.building import NOW, ApiProxy, Call, scripted
from tests.support.processes import TOKEN, started
from tests.support.serving import served
from tests.support.terminal import on_terminal


RED, GREEN = "\x1b[91m", "\x1b[32m"
ESCAPE = re.compile(r"\x1b\[\d*m")


@pytest.fixture
def simulator() -> Simulator:
    scenario = ScriptedScenario(meetings=["idle"], recordings=[scripted("weekly")])
    return Simulator(scenario, clock=lambda: NOW + 35, linger_seconds=1e9)


@pytest.fixture
def arguments(simulator: Simulator) -> Iterator[tuple[str, ...]]:
    with served(simulator) as url:
        yield check_at(url)


def check_at(url: str) -> tuple[str, ...]:
    return (
        *("check", "--account-id", "account", "--app-id", "app"),
        *("--api.base-url", f"{url}/client/v4"),
        *("--meeting-id", "weekly", "--meeting-id", "tpyo"),
    )


def test_colours(arguments: tuple[str, ...]) -> None:
    """On a terminal, failures are red and what is fine is green."""
    code, shown = on_terminal(*arguments, environment=TOKEN)
    assert 1 == code
    assert f"app: account account, app app: {RED}FAILED\x1b[0m, 2 of 2 meetings read" in shown
    assert f"tpyo    {RED}FAILED\x1b[0m not_found" in shown
    assert f"1 app, 2 meetings: {RED}1 fine, 1 does not exist\x1b[0m" == shown.splitlines()[-1]
    code, shown = on_terminal(*arguments[:-2], environment=TOKEN)
    assert (0, True) == (code, f"{GREEN}ok\x1b[0m, 1 of 1 meetings read" in shown)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours(arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    """NO_COLOR and a dumb terminal mean plain text."""
    _, shown = on_terminal(*arguments, environment={**TOKEN, **environment})
    assert "1 app, 2 meetings: 1 fine, 1 does not exist" == shown.splitlines()[-1]
    assert "\x1b" not in shown


def test_pipe(arguments: tuple[str, ...]) -> None:
    """A pipe gets the same text as a terminal, without colours, and nothing about the progress."""
    _, shown = on_terminal(*arguments, environment=TOKEN)
    with started(*arguments, environment={"TERM": "xterm", **TOKEN}) as process:
        output, errors = process.communicate(timeout=30)
    assert ("", 1) == (errors, process.returncode)
    expected, actual = (re.sub(r"\d+s long", "", text) for text in (ESCAPE.sub("", shown), output))
    assert expected == actual


def test_escape_sequences_in_names(arguments: tuple[str, ...], simulator: Simulator) -> None:
    """An escape sequence from the API never reaches the terminal."""
    simulator.inject("weekly", Fault.SERVER_ERROR)
    _, shown = on_terminal(*arguments, "--meeting-id", "a\x1b[2Jb", environment=TOKEN)
    assert "\x1b[2J" not in shown


def test_interrupted() -> None:
    """Ctrl-C ends a check with one line and the exit code that shells use for it."""
    simulator = Simulator(ScriptedScenario())
    simulator.inject("*", Fault.HANG)
    proxy, running = ApiProxy(simulator), queue.Queue[subprocess.Popen[str]]()

    def press_once(_: Call) -> None:
        # Here and not in a loop that looks for the call: the check would end by itself after 5 s.
        proxy.before = lambda _: None
        running.get(timeout=10).send_signal(signal.SIGINT)

    proxy.before = press_once
    with (
        served(proxy) as url,
        started(*check_at(url), environment=TOKEN) as process,
    ):
        running.put(process)
        output, errors = process.communicate(timeout=30)
    assert (130, "", "interrupted\n") == (process.returncode, output, errors)

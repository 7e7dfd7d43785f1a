"""The progress of slow commands, on a clock that jumps."""

import asyncio
import io

import pytest

from rk_exporter.cli.progress import Stage, progress_line, stage_text
from tests.support.virtual_time import run


class Screen(io.StringIO):
    """A stream that says that it is a terminal, or not."""

    def __init__(self, *, is_terminal: bool = True) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    @property
    def visible(self) -> str:
        """Return what people see in the last line."""
        line = ""
        for part in self.getvalue().rpartition("\n")[2].split("\r"):
            text, erase, _ = part.partition("\x1b[K")
            line = text if erase else text + line[len(text) :]
        return line


def shown_after(seconds: float, screen: Screen, **environment: str) -> str:
    """Return what is visible *seconds* after the beginning of a stage."""

    async def steps() -> str:
        loop = asyncio.get_running_loop()
        async with progress_line(screen, {"TERM": "xterm", **environment}) as begin:
            begin(Stage("reading", lambda: int(loop.time() * 10), "calls", 120))
            await asyncio.sleep(seconds)
            return screen.visible

    return run(steps())


def test_quick_commands() -> None:
    """A command of less than two seconds shows nothing, not even an escape sequence."""
    screen = Screen()
    assert "" == shown_after(1.9, screen)
    assert "" == screen.getvalue()


def test_slow_commands() -> None:
    """From two seconds on, the line shows the work done and the time; at the end it is gone."""
    screen = Screen()
    assert "reading: 52 of 120 calls, 5s" == shown_after(5.3, screen)
    assert "" == screen.visible
    assert "\n" not in screen.getvalue()


def test_next_stage() -> None:
    """A new stage replaces the one before, also if its line is shorter."""
    screen = Screen()

    async def steps() -> str:
        async with progress_line(screen, {"TERM": "xterm"}) as begin:
            begin(Stage("a very long description", lambda: 1, "calls"))
            await asyncio.sleep(3.0)
            begin(Stage("short", lambda: 2, "calls"))
            await asyncio.sleep(0.3)
            return screen.visible

    assert "short: 2 calls, 3s" == run(steps())


def test_interrupted() -> None:
    """The line is gone too if the command is interrupted."""
    screen = Screen()

    async def steps() -> None:
        async with asyncio.timeout(4.0), progress_line(screen, {"TERM": "xterm"}) as begin:
            begin(Stage("reading", lambda: 1, "calls"))
            await asyncio.sleep(100.0)

    with pytest.raises(TimeoutError):
        run(steps())
    assert "reading" in screen.getvalue()
    assert "" == screen.visible


def test_log_line_in_between() -> None:
    """A log line replaces the line, because the cursor is at its beginning."""
    screen = Screen()
    shown_after(3.0, screen)
    before, _, _ = screen.getvalue().rpartition("\x1b[K")
    assert before.endswith("\r")


@pytest.mark.parametrize(
    ("is_terminal", "environment"), [(False, {}), (True, {"TERM": "dumb"}), (True, {"TERM": ""})]
)
def test_no_terminal(*, is_terminal: bool, environment: dict[str, str]) -> None:
    """A pipe, a file and a terminal without escape sequences get nothing."""
    screen = Screen(is_terminal=is_terminal)
    shown_after(10.0, screen, **environment)
    assert "" == screen.getvalue()


@pytest.mark.parametrize(
    ("done", "total", "expected"),
    [
        (5, None, "reading: 5 calls, 1m 5s"),
        (1234, 5000, "reading: 1,234 of 5,000 calls, 1m 5s"),
        # A call is repeated if the API has closed the connection.
        (6, 5, "reading: 5 of 5 calls, 1m 5s"),
    ],
)
def test_stage_text(done: int, total: int | None, expected: str) -> None:
    """The text has the number of calls, never more than the total, and the time."""
    stage = Stage("reading", lambda: done, "calls", total)
    assert expected == stage_text(stage, 65.0, width=100)
    assert expected[:10] == stage_text(stage, 65.0, width=10)

"""
A line on a terminal that says what a slow command is doing.

click's progress bar and those of other libraries leave a line behind, or hide the cursor, which a
signal would leave hidden. A bar also needs to know the end, and a check that finds live meetings
does not.
"""

import asyncio
import shutil

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TextIO

from rk_exporter.runtime.durations import duration_text
from rk_exporter.runtime.terminal import is_terminal


_SHOWN_AFTER_SECONDS = 2.0
_REDRAWN_EVERY_SECONDS = 0.2
_ERASE_LINE = "\x1b[K"


@dataclass(frozen=True, slots=True)
class Stage:
    """
    A part of the work: *done* returns how many *units* are done, out of *total*.

    *total* is None if it is not known.
    """

    label: str
    done: Callable[[], int]
    units: str
    total: int | None = None


Begin = Callable[[Stage], object]
"""Begins a stage, which ends the one before."""


def stage_text(stage: Stage, elapsed_seconds: float, *, width: int) -> str:
    """Return the line that shows *stage*, in at most *width* characters."""
    done = stage.done()
    if stage.total is None:
        count = f"{done:,} {stage.units}"
    else:
        count = f"{min(done, stage.total):,} of {stage.total:,} {stage.units}"
    return f"{stage.label}: {count}, {duration_text(elapsed_seconds)}"[:width]


class _Line:
    """The line; it is drawn so that a log line that comes in between replaces it."""

    def __init__(self, stream: TextIO) -> None:
        self.stage: Stage | None = None
        self._stream = stream
        self._is_drawn = False

    def begin(self, stage: Stage) -> None:
        self.stage = stage

    async def keep_drawn(self) -> None:
        """Draw the line again and again, until this task is cancelled."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(_SHOWN_AFTER_SECONDS)
        while True:
            if self.stage:
                # The last column would make some terminals begin a new line.
                width = shutil.get_terminal_size().columns - 1
                self._draw(stage_text(self.stage, loop.time() - begun, width=width))
            await asyncio.sleep(_REDRAWN_EVERY_SECONDS)

    def _draw(self, text: str) -> None:
        self._stream.write(f"{text}{_ERASE_LINE}\r")
        self._stream.flush()
        self._is_drawn = True

    def erase(self) -> None:
        if self._is_drawn:
            self._stream.write(_ERASE_LINE)
            self._stream.flush()


@asynccontextmanager
async def progress_line(stream: TextIO, environment: Mapping[str, str]) -> AsyncIterator[Begin]:
    """
    Return a function that begins a stage, which is shown if the context lasts for two seconds.

    The line disappears at the end. Nothing is shown unless *stream* is a terminal.
    """
    line = _Line(stream)
    if not is_terminal(stream, environment):
        yield line.begin
        return
    drawing = asyncio.create_task(line.keep_drawn())
    try:
        yield line.begin
    finally:
        drawing.cancel()
        line.erase()

"""The exporter's command line in a process that can say how many asyncio tasks it has."""

import asyncio
import os
import signal

from pathlib import Path
from types import FrameType

from rk_exporter.cli.main import entry_point


TASKS_VARIABLE = "SOAK_TASKS_FILE"


def _write_task_count(_signal: int, _frame: FrameType | None) -> None:
    """Write the number of tasks of the loop that this signal interrupted."""
    path = Path(os.environ[TASKS_VARIABLE])
    unfinished = path.with_suffix(".new")
    unfinished.write_text(str(len(asyncio.all_tasks())))
    unfinished.replace(path)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _write_task_count)
    entry_point()

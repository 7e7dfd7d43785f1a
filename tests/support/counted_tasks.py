"""The command line; on SIGUSR1 it writes how many tasks run into the file TASKS names."""

import asyncio
import os
import signal

from pathlib import Path

from rk_exporter.cli.main import entry_point


TASKS_VARIABLE = "TASKS"

if __name__ == "__main__":
    file = Path(os.environ[TASKS_VARIABLE])

    def count(*_: object) -> None:
        """Write the number of tasks, in the thread of the event loop."""
        new = file.with_suffix(".new")
        new.write_text(str(len(asyncio.all_tasks())))
        new.rename(file)

    signal.signal(signal.SIGUSR1, count)
    entry_point()

"""The command line, on a machine whose clock is wrong by the seconds in the file CLOCK names."""

import os
import time

from pathlib import Path

from rk_exporter.cli.main import entry_point


if __name__ == "__main__":
    offset = Path(os.environ["CLOCK"])
    real_time, real_time_ns = time.time, time.time_ns

    def ahead() -> int:
        """Return how far the clock is ahead."""
        return int(offset.read_text() or 0)

    vars(time)["time"] = lambda: real_time() + ahead()
    vars(time)["time_ns"] = lambda: real_time_ns() + ahead() * 1_000_000_000
    entry_point()

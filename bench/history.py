"""Samples of the past in the storage of Prometheus, which refuses to scrape them."""

import subprocess

from collections.abc import Callable
from pathlib import Path

from rk_exporter.model.thresholds import LONGEST_SCRAPE_INTERVAL_SECONDS


_BLOCK_SECONDS = 7200


def write_history(
    promtool: str, exposition: Callable[[float], bytes], *, begin: float, end: float, storage: Path
) -> None:
    """
    Write samples at the longest scrape interval into the *storage*.

    *exposition* renders the account at a time (unix seconds).
    """
    file = storage.with_name("history.txt")
    for start in range(_before(begin), int(end), _BLOCK_SECONDS):
        with file.open("wb") as output:
            for moment in range(start, start + _BLOCK_SECONDS, LONGEST_SCRAPE_INTERVAL_SECONDS):
                if begin <= moment < end:
                    output.write(stamped(exposition(moment), str(moment)))
            output.write(b"# EOF\n")
        command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
        subprocess.run([*command, str(file), str(storage)], check=True)
    file.unlink()


def stamped(page: bytes, timestamp: str) -> bytes:
    """Return a text exposition with a timestamp after each value."""
    end = f" {timestamp}\n".encode()
    page = page.replace(b"\n", end)
    # HELP lines are free text, but types are words.
    for kind in (b"gauge", b"counter", b"histogram"):
        page = page.replace(b" " + kind + end, b" " + kind + b"\n")
    return page


def _before(moment: float) -> int:
    """Return when the block begins that contains a moment. Prometheus aligns blocks."""
    return int(moment // _BLOCK_SECONDS) * _BLOCK_SECONDS

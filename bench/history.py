"""Samples of the past in the storage of Prometheus, which refuses to scrape them."""

import re
import subprocess

from collections.abc import Callable, Mapping
from pathlib import Path

from rk_exporter.model.thresholds import LONGEST_SCRAPE_INTERVAL_SECONDS


_BLOCK_SECONDS = 7200
_WITH_LABELS = re.compile(rb"^([a-z_:]+)\{", re.MULTILINE)
_WITHOUT_LABELS = re.compile(rb"^([a-z_:]+) ", re.MULTILINE)


def write_history(
    promtool: str,
    exposition: Callable[[float], bytes],
    *,
    labels: Mapping[str, str],
    begin: float,
    end: float,
    storage: Path,
) -> None:
    """
    Write samples at the longest scrape interval into the *storage*.

    *exposition* renders the account at a time (unix seconds). *labels* are those of the target.
    """
    file = storage.with_name("history.txt")
    for start in range(_before(begin), int(end), _BLOCK_SECONDS):
        with file.open("wb") as output:
            for moment in range(start, start + _BLOCK_SECONDS, LONGEST_SCRAPE_INTERVAL_SECONDS):
                if begin <= moment < end:
                    output.write(with_labels(stamped(exposition(moment), str(moment)), labels))
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


def with_labels(page: bytes, labels: Mapping[str, str]) -> bytes:
    """Return a text exposition with labels that no series has; their values are plain words."""
    text = ",".join(f'{name}="{value}"' for name, value in labels.items()).encode()
    page = _WITH_LABELS.sub(rb"\1{" + text + b",", page)
    return _WITHOUT_LABELS.sub(rb"\1{" + text + b"} ", page)


def _before(moment: float) -> int:
    """Return when the block begins that contains a moment. Prometheus aligns blocks."""
    return int(moment // _BLOCK_SECONDS) * _BLOCK_SECONDS

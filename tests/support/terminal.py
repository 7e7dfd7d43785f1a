"""The program on a pseudo-terminal, as people start it."""

import contextlib
import os
import pty
import subprocess
import sys

from collections.abc import Mapping


def on_terminal(*arguments: str, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run the command line on a terminal, and return its exit code and what it shows there."""
    own, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "rk_exporter", *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        env={"TERM": "xterm", **environment},
    )
    os.close(its)
    shown = b""
    # Linux reports the end as an error.
    with contextlib.suppress(OSError):
        while part := os.read(own, 65536):
            shown += part
    os.close(own)
    return process.wait(30), shown.decode().replace("\r\n", "\n")

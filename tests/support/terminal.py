"""The program on a pseudo-terminal, as people start it."""

import contextlib
import os
import pty
import select
import subprocess
import sys

from collections.abc import Iterator, Mapping


# A process takes a second or two to start, on a busy machine much longer.
_SECONDS = 60.0


class TerminalReader:
    """Reads what programs write to a terminal."""

    def __init__(self) -> None:
        self._reader, self.writer = pty.openpty()
        self.text = ""

    def read_until(self, expected: str) -> str:
        """Return all that was written, as soon as it contains *expected*."""
        while expected not in self.text:
            ready, _, _ = select.select([self._reader], [], [], _SECONDS)
            assert ready, f"not shown within {_SECONDS:.0f} s: {expected!r}; but {self.text!r}"
            self.text += os.read(self._reader, 65536).decode(errors="surrogateescape")
        return self.text

    def close(self) -> None:
        """Close both ends."""
        os.close(self._reader)
        os.close(self.writer)


@contextlib.contextmanager
def started_on_terminal(
    *arguments: str, environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], TerminalReader]]:
    """Run the command line with standard error on a terminal."""
    terminal = TerminalReader()
    process = subprocess.Popen(
        [sys.executable, "-m", "rk_exporter", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal.writer,
        env=dict(environment),
    )
    try:
        yield process, terminal
    finally:
        process.kill()
        process.wait()
        terminal.close()


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

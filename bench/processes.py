"""Processes under measurement: started here, read from /proc."""

import os
import re
import subprocess
import sys
import time

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread


_ADDRESS = r"127\.0\.0\.1:[1-9]\d*"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Running:
    """A process that serves HTTP at *url*. Times are monotonic, in seconds."""

    url: str
    pid: int
    started_at: float
    listens_at: float

    def cpu_seconds(self) -> float:
        """Return the CPU time that the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND

    def resident_mib(self) -> float:
        """Return the process's memory."""
        return self._memory_mib("VmRSS")

    def peak_mib(self) -> float:
        """Return the process's peak memory."""
        return self._memory_mib("VmHWM")

    def open_sockets(self) -> int:
        """Return the number of sockets that the process has open."""
        count = 0
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            # The process may close files meanwhile.
            with suppress(FileNotFoundError):
                count += str(link.readlink()).startswith("socket:")
        return count

    def _memory_mib(self, name: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(rf"{name}:\s+(\d+) kB", status)
        if not match:
            raise LookupError(name)
        return int(match[1]) / 1024


def running(
    module: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    tree: Path | None = None,
) -> AbstractContextManager[Running]:
    """
    Run a *module* until the end of the block; its output contains the address.

    Its source is in *tree*, by default this one.
    """
    # Python looks in the current folder first for modules.
    command = [sys.executable, "-m", module, *arguments]
    return running_command(command, environment=environment, folder=tree)


@contextmanager
def running_command(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Running]:
    """Run a *command* in a *folder* until the end of the block; its output contains the address."""
    started_at = time.monotonic()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], **(environment or {})},
    ) as process:
        try:
            said, url = "", None
            while url is None:
                line = process.stdout.readline() if process.stdout else ""
                if not line:
                    raise RuntimeError(f"did not start: {said}")
                said += line
                url = url_in(line)
            # A process must not wait because nobody reads what it logs.
            Thread(target=process.stdout.read if process.stdout else None, daemon=True).start()
            yield Running(url, process.pid, started_at, time.monotonic())
        finally:
            process.terminate()


def url_in(line: str) -> str | None:
    """Return the URL of the address in a line, which says without a scheme that it is HTTP."""
    if url := re.search(rf"https?://{_ADDRESS}", line):
        return url[0]
    address = re.search(_ADDRESS, line)
    return f"http://{address[0]}" if address else None

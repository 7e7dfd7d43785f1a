"""The exporter as users start it: a process with a configuration file, and a log in a file."""

import os
import signal
import subprocess
import sys
import time

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx


# Far longer than anything takes on a busy machine.
PATIENCE_SECONDS = 60.0
ROOT = Path(__file__).parents[2]
PROGRAM = ("-m", "rk_exporter")
TOKEN = "token-of-the-fault-matrix"  # made up
# A token in the environment would win over the one in a file that the configuration names.
NO_TOKEN = {"CLOUDFLARE_API_TOKEN": ""}


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until *condition* is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@dataclass(frozen=True, slots=True)
class ExporterProcess:
    """A running exporter; everything that it prints is in the file *output*."""

    process: "subprocess.Popen[str]"
    output: Path
    client: httpx.Client

    @property
    def log(self) -> str:
        """Return what it has printed so far."""
        return self.output.read_text()

    def logged(self, text: str, *, times: int = 1, since: int = 0) -> list[str]:
        """
        Require that *text* is in so many lines behind the first *since* characters; return them.

        The exporter writes its log in a thread of its own, so that a line may come later than the
        answer that it is about.
        """

        def found() -> list[str]:
            return [line for line in self.log[since:].splitlines() if text in line]

        eventually(lambda: len(found()) >= times)
        lines = found()
        assert times == len(lines)
        return lines

    @property
    def address(self) -> tuple[str, int]:
        """Return where it listens."""
        return self.client.base_url.host, self.client.base_url.port or 0

    def scrape(self, timeout_seconds: float = 30.0) -> str:
        """Return the metrics, as a Prometheus with this scrape timeout gets them."""
        header = {"X-Prometheus-Scrape-Timeout-Seconds": str(timeout_seconds)}
        response = self.client.get("/metrics", headers=header)
        assert 200 == response.status_code, response.text
        return response.text

    def is_healthy(self) -> bool:
        """Return whether it answers while something else hangs."""
        return 200 == httpx.get(self.client.base_url.join("/-/healthy"), timeout=10).status_code

    def terminate(self) -> None:
        """End the process by SIGTERM, as systemd and Kubernetes do."""
        self.process.send_signal(signal.SIGTERM)
        assert 0 == self.process.wait(PATIENCE_SECONDS)
        assert "Traceback" not in self.log


@contextmanager
def exporter_process(
    config: Path,
    *,
    environment: Mapping[str, str] | None = None,
    program: tuple[str, ...] = PROGRAM,
    launcher: tuple[str, ...] = (),
) -> Iterator[ExporterProcess]:
    """
    Run the exporter with a *config* that listens on any port, until the block ends.

    *environment* is all that it gets besides the token; a *launcher* is a command before its own.
    """
    output = config.with_name("output")
    variables = {"CLOUDFLARE_API_TOKEN": TOKEN, **(environment or {})}
    command = [*launcher, sys.executable, *program, "serve", "--config.file", str(config)]
    with (
        output.open("wb") as stream,
        subprocess.Popen(
            command, stdout=stream, stderr=stream, text=True, env=variables, cwd=ROOT
        ) as process,
    ):
        try:

            def listens() -> bool:
                assert process.poll() is None, output.read_text()
                return "msg=listening" in output.read_text()

            eventually(listens)
            lines = output.read_text().splitlines()
            line = next(line for line in lines if "msg=listening" in line)
            url = line.rpartition(" url=")[2].removesuffix("/metrics")
            with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS) as client:
                yield ExporterProcess(process, output, client)
        finally:
            process.kill()


def open_files(process: "subprocess.Popen[str]") -> int:
    """Return how many files and sockets the process has open."""
    return sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir())


def resident_bytes(process: "subprocess.Popen[str]") -> int:
    """Return how much memory the process uses."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

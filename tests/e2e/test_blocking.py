"""Processes whose files and streams block, are replaced by something else, or are gone."""

import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import time

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from rk_exporter.web.server import GRACE_SECONDS
from tests.support.building import scripted, value
from tests.support.serving import served


# The limit for an answer is a second; a loaded machine may need longer to start a connection.
HEALTHY_SECONDS = 1.0
SCRAPE_SECONDS = 10.0
# Of the simulated time.
SPEED = 100.0
END_SECONDS = GRACE_SECONDS + 5.0
FIRST_READ_SECONDS = 10.0
WATCHED = ("token", "meetings", "state")
FILES = (*WATCHED, "config")
HANGS = "the file system does not answer"
CONFIG = """\
account_id: account
app_id: app
api: {{base_url: "{api}/client/v4", budget: 100000, token_file: ../token/file}}
meetings: {{files: [../meetings/file]}}
scrape: {{min_interval: 0s}}
state: {{file: ../state/file}}
web: {{listen_address: "127.0.0.1:{port}"}}
"""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of an exporter, each named `file` in a folder of its own."""

    folder: Path

    def __getitem__(self, name: str) -> Path:
        """Return the path of a file."""
        return self.folder / name / "file"

    def hang(self, name: str) -> None:
        """Let all accesses to a file hang."""
        self[name].with_name("hang").touch()


@pytest.fixture
def api() -> Iterator[str]:
    begin = time.time()

    def clock() -> float:
        return begin + SPEED * (time.time() - begin)

    # Something changes between any two scrapes, so that each of them writes the state.
    recordings = [scripted("weekly", **moments(begin + 10 * n)) for n in range(-10, 1000)]
    scenario = ScriptedScenario(meetings=["weekly"], recordings=recordings)
    with served(Simulator(scenario, clock=clock, rate_limit=0)) as url:
        yield url


def moments(invoked_at: float) -> dict[str, Any]:
    return {
        "invoked_at": invoked_at,
        "started_at": invoked_at + 2,
        "paused": [],
        "stopped_at": invoked_at + 6,
        "uploaded_at": invoked_at + 8,
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture
def files(tmp_path: Path, api: str) -> Files:
    files = Files(tmp_path)
    for name in FILES:
        files[name].parent.mkdir()
    files["token"].write_text("simulated")
    files["token"].chmod(0o600)
    files["meetings"].write_text("weekly\n")
    files["config"].write_text(CONFIG.format(api=api, port=free_port()))
    return files


class Exporter:
    """A running exporter."""

    def __init__(self, process: "subprocess.Popen[str]", files: Files) -> None:
        self.process = process
        address = files["config"].read_text().rpartition('listen_address: "')[2].partition('"')[0]
        self.client = httpx.Client(base_url=f"http://{address}", timeout=SCRAPE_SECONDS)
        host, _, port = address.partition(":")
        self.address = (host, int(port))

    def wait_until_it_listens(self) -> None:
        """Wait without the log, which may go nowhere."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(OSError):
                socket.create_connection(self.address, timeout=1).close()
                return
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
                break
        pytest.fail("the exporter does not listen")

    def is_healthy(self) -> bool:
        """Return whether /-/healthy answers in time."""
        url = self.client.base_url.join("/-/healthy")
        return httpx.get(url, timeout=HEALTHY_SECONDS).status_code == 200

    def scrape(self) -> str:
        """Return the metrics; the exporter must be healthy before and during the scrape."""
        with ThreadPoolExecutor(1) as thread:
            scrape = thread.submit(self.client.get, "/metrics")
            assert self.is_healthy()
            assert 200 == scrape.result().status_code
            return scrape.result().text

    def wait_until_hanging(self, calls: int) -> None:
        """Wait until so many file accesses count as hanging; a write does after some seconds."""
        deadline = time.monotonic() + 30
        while calls != value(self.scrape(), "rk_exporter_hanging_file_calls"):
            assert time.monotonic() < deadline

    def terminate(self) -> None:
        """End the process by SIGTERM within its grace."""
        self.process.send_signal(signal.SIGTERM)
        assert 0 == self.process.wait(END_SECONDS)


@contextmanager
def exporter(files: Files, **options: Any) -> Iterator[Exporter]:
    """Run an exporter with *files*; *options* are those of Popen."""
    command = ["-m", "tests.support.hanging_files", "serve", "--config.file", str(files["config"])]
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=Path(__file__).parents[2],
        text=True,
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options},
    ) as process:
        try:
            running = Exporter(process, files)
            with running.client:
                yield running
        finally:
            process.kill()


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


OBSTRUCTIONS: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/ptmx"),
    "folder": Path.mkdir,
    "permission": lambda path: path.touch(mode=0),
    "huge": sparse,
    "hang": lambda path: path.with_name("hang").touch(),
}


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


class TestFiles:
    @pytest.mark.parametrize("name", WATCHED)
    def test_while_it_runs(self, files: Files, name: str) -> None:
        """Whatever replaces a file: health and metrics answer, and SIGTERM ends the process."""
        with exporter(files) as running:
            running.wait_until_it_listens()
            assert 1 == value(running.scrape(), "rk_up")
            for obstruct in OBSTRUCTIONS.values():
                for path in (files[name], files[name].with_name("file.new")):
                    remove(path)
                    obstruct(path)
                for _ in range(2):
                    assert 1 == value(running.scrape(), "rk_up")
            running.wait_until_hanging(1)
            running.terminate()

    def test_all_hang(self, files: Files) -> None:
        """If all files hang, scrapes wait for them only once."""
        with exporter(files) as running:
            running.wait_until_it_listens()
            running.scrape()
            for name in WATCHED:
                files.hang(name)
            running.scrape()
            begun = time.monotonic()
            for _ in range(3):
                assert 1 == value(running.scrape(), "rk_up")
            assert time.monotonic() - begun < 3
            running.wait_until_hanging(3)
            running.terminate()

    def test_certificates(self, files: Files) -> None:
        """A certificate file that never ends its content gives a message, and exit code 2."""
        text = files["config"].read_text().replace("http://", "https://")
        files["config"].write_text(text)
        fifo = files.folder / "certificates"
        os.mkfifo(fifo)
        environment = {**os.environ, "SSL_CERT_FILE": str(fifo)}
        with exporter(files, stderr=subprocess.PIPE, env=environment) as running:
            _, output = running.process.communicate(timeout=FIRST_READ_SECONDS + 20)
        assert (2, True) == (running.process.returncode, f"SSL_CERT_DIR: {HANGS}" in output)

    def test_hang_at_the_start(self, files: Files, tmp_path: Path) -> None:
        """A file that hangs at the start gives a message that names it, and exit code 2."""
        with ExitStack() as stack:
            processes = {}
            for name in FILES:
                own = Files(tmp_path / f"hanging-{name}")
                own.folder.mkdir()
                for other in FILES:
                    own[other].parent.mkdir()
                    if other != "state":
                        own[other].write_bytes(files[other].read_bytes())
                own.hang(name)
                running = stack.enter_context(exporter(own, stderr=subprocess.PIPE))
                processes[name] = running.process
            outputs = {}
            for name, process in processes.items():
                _, outputs[name] = process.communicate(timeout=FIRST_READ_SECONDS + 20)
                assert 2 == process.returncode
        for output in outputs.values():
            assert HANGS in output
            assert "Traceback" not in output
        assert "token_file: " in outputs["token"]
        assert "meetings.files[0]: " in outputs["meetings"]
        assert "state.file: " in outputs["state"]
        assert "config/file: " in outputs["config"]


def full_pipe() -> tuple[int, int]:
    """Return the ends of a pipe that takes no byte more."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # the standard library's signature
    with ExitStack() as stack:
        stack.callback(partial(os.set_blocking, writing, True))  # noqa: FBT003 # as above
        size = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
        assert size == os.write(writing, b"x" * size)
    return reading, writing


def broken_pipe() -> tuple[int, int]:
    """Return the end of a pipe whose reader is gone, twice."""
    reading, writing = os.pipe()
    os.close(reading)
    return os.dup(writing), writing


def stopped_terminal() -> tuple[int, int]:
    """Return the ends of a terminal whose output somebody has stopped with Ctrl-S."""
    controller, terminal = os.openpty()
    os.write(controller, b"\x13")
    return controller, terminal


class TestStreams:
    @pytest.mark.parametrize("make", [full_pipe, broken_pipe, stopped_terminal])
    def test_blocked(self, files: Files, make: Callable[[], tuple[int, int]]) -> None:
        """A stream that nobody reads blocks nothing; lines are dropped and counted."""
        other, stream = make()
        with ExitStack() as stack:
            stack.callback(os.close, other)
            running = stack.enter_context(exporter(files, stdout=stream, stderr=stream))
            os.close(stream)
            running.wait_until_it_listens()
            for number in range(80):
                # Each change is a line in the log.
                files["token"].write_text("simulated" if number % 2 else "not a token")
                with socket.create_connection(running.address) as client:
                    client.sendall(b"GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n")
                    client.recv(1 << 16)
                if number % 10 == 0:
                    text = running.scrape()
            assert 1 == value(text, "rk_up")
            running.terminate()
        if make is broken_pipe:
            assert value(text, "rk_exporter_log_lines_dropped_total")

    def test_closed(self, files: Files) -> None:
        """Without any standard stream, sockets do not take their numbers."""
        close = 'exec 0<&- 1>&- 2>&-; exec "$@"'
        command = [sys.executable, "-m", "rk_exporter", "serve", "--config.file"]
        with subprocess.Popen(
            ["/bin/sh", "-c", close, "sh", *command, str(files["config"])], text=True
        ) as process:
            running = Exporter(process, files)
            with running.client:
                running.wait_until_it_listens()
                assert 1 == value(running.scrape(), "rk_up")
                links = [Path(f"/proc/{process.pid}/fd/{number}").readlink() for number in range(3)]
                assert [Path(os.devnull)] * 3 == links
                running.terminate()


class TestOpenFiles:
    def test_idle_clients(self, files: Files) -> None:
        """With few open files and many idle clients, the exporter answers and logs little."""

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

        log = files.folder / "log"
        with log.open("wb") as output, exporter(files, stderr=output, preexec_fn=limit) as running:
            running.wait_until_it_listens()
            with ExitStack() as stack:
                for _ in range(100):
                    stack.enter_context(socket.create_connection(running.address, timeout=5))
                begun = time.monotonic()
                while time.monotonic() - begun < 3:
                    assert 200 == running.client.get("/-/healthy", timeout=5).status_code
                assert 1 == value(running.scrape(), "rk_up")
            running.terminate()
        assert log.stat().st_size < 2000
        assert 1 >= log.read_text().count("connections cannot be accepted")

    def test_soft_limit(self, files: Files) -> None:
        """The start raises the soft limit to the hard one."""

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))

        with exporter(files, preexec_fn=limit) as running:
            running.wait_until_it_listens()
            limits = Path(f"/proc/{running.process.pid}/limits").read_text()
            (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
            assert ["512", "512"] == line.split()[3:5]

"""SIGTERM and SIGINT at every moment in the life of a process."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from rk_exporter.simulator import Fault, ScriptedScenario, Simulator
from rk_exporter.web.server import GRACE_SECONDS
from tests.support.processes import TOKEN, listening_lines, started, url_in
from tests.support.serving import served
from tests.support.state_files import read_state


# More than are read at the same time, so that a pass over an API that hangs outlives the grace.
MEETINGS = [f"meeting-{number}" for number in range(20)]
IDS = ("--account-id", "account", "--app-id", "app", *(f"--meeting-id={name}" for name in MEETINGS))
ANYWHERE = ("--web.listen-address", "127.0.0.1:0")
STOP_SIGNALS = [signal.SIGTERM, signal.SIGINT]
# A start that hangs: each program patches what it waits for, and prints a line when it waits.
PROGRAM = """\
import pathlib, socket, threading
import rk_exporter.config.yaml_document, rk_exporter.tracking.state_file
import rk_exporter.cli.scrape, rk_exporter.web.sockets

def hang(*_, **__):
    print("waiting", flush=True)
    threading.Event().wait()

def fail(*_, **__):
    try:
        hang()
    finally:
        # As a lock does whose release is interrupted.
        raise RuntimeError("release unlocked lock")

def compute(*_):
    print("waiting", flush=True)
    while True:
        pass

{} = {}
from rk_exporter.cli.main import entry_point
entry_point()
"""
STARTS = {
    "configuration file": ("rk_exporter.config.yaml_document.read_regular_file", "hang"),
    "state file": ("rk_exporter.tracking.state_file.read_regular_file", "hang"),
    "large state file": ("rk_exporter.tracking.state_file.decode", "compute"),
    "name look-up": ("socket.getaddrinfo", "hang"),
    "lock": ("rk_exporter.web.sockets.bounded_call", "fail"),
}
# Before these, the exporter reads the state file, and would refuse the one of the test.
AFTER_STATE_FILE = {"name look-up", "lock"}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def holds_signals_back(process: "subprocess.Popen[str]") -> bool:
    """Return whether the first line of the program has run."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(blocked.split()[1], 16) & (1 << (signal.SIGTERM - 1)))


class TestStart:
    @pytest.mark.parametrize("number", STOP_SIGNALS)
    @pytest.mark.parametrize("command", ["serve", "simulate", "demo"])
    def test_during_the_imports(self, command: str, number: signal.Signals) -> None:
        """A service that is stopped before it has loaded its code ends with exit code 0."""
        arguments = (*IDS, *ANYWHERE) if command == "serve" else ANYWHERE
        with started(command, *arguments, environment=TOKEN) as process:
            wait_until(lambda: holds_signals_back(process))
            process.send_signal(number)
            output = process.communicate(timeout=20)
        assert (0, ("", "")) == (process.returncode, output)

    @pytest.mark.parametrize("number", STOP_SIGNALS)
    @pytest.mark.parametrize("start", STARTS)
    def test_before_it_listens(self, tmp_path: Path, start: str, number: signal.Signals) -> None:
        """A start that hangs can be stopped immediately, and leaves the state file as it was."""
        (tmp_path / "rk.yml").write_text("account_id: account\napp_id: app\nmeeting_ids: [a]\n")
        (tmp_path / "state").write_text("before")
        arguments = (
            *("serve", "--config.file", str(tmp_path / "rk.yml")),
            *("--state.file", str(tmp_path / "state"), "--web.listen-address", "some.host:0"),
            *("--log.level", "warning"),
        )
        if start in AFTER_STATE_FILE:
            (tmp_path / "state").unlink()
        program = ("-c", PROGRAM.format(*STARTS[start]))
        with started(*arguments, environment=TOKEN, program=program) as process:
            assert process.stdout
            assert "waiting\n" == process.stdout.readline()
            begin = time.monotonic()
            process.send_signal(number)
            _, errors = process.communicate(timeout=20)
        assert (0, "") == (process.returncode, errors)
        # It would give up by itself after 10 s.
        assert time.monotonic() - begin < 9
        if start not in AFTER_STATE_FILE:
            assert "before" == (tmp_path / "state").read_text()

    def test_at_any_time(self) -> None:
        """Whenever the signal arrives, the exit code is 0 and there is no traceback."""
        generator = random.Random(13)  # noqa: S311 # no secret
        for _ in range(6):
            with started("serve", *IDS, *ANYWHERE, environment=TOKEN) as process:
                wait_until(partial(holds_signals_back, process))
                threading.Event().wait(generator.uniform(0, 1.5))
                process.send_signal(generator.choice(STOP_SIGNALS))
                _, errors = process.communicate(timeout=20)
            assert (0, False) == (process.returncode, "Traceback" in errors), errors

    @pytest.mark.parametrize("command", ["check", "scrape"])
    def test_other_commands(self, command: str) -> None:
        """A command that is interrupted has not done its work: its exit code is not 0."""
        with started(command, *IDS, environment=TOKEN) as process:
            wait_until(lambda: holds_signals_back(process))
            process.send_signal(signal.SIGINT)
            assert 130 == process.wait(20)
            assert process.stderr
            assert "interrupted\n" == process.stderr.read()

    def test_another_error_when_interrupted(self) -> None:
        """A command is interrupted although another error replaces the interruption."""
        program = ("-c", PROGRAM.format("rk_exporter.cli.scrape.run", "fail"))
        with started("scrape", *IDS, environment=TOKEN, program=program) as process:
            assert process.stdout
            assert "waiting\n" == process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        assert (130, "interrupted\n") == (process.returncode, errors)


@dataclass(frozen=True, slots=True)
class Scraped:
    """A process with a scrape under way, which gets its answer from *answer*."""

    process: "subprocess.Popen[str]"
    url: str
    state: Path
    connection: socket.socket

    def answer(self) -> bytes:
        """Return everything that the scrape gets until its connection is closed."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := self.connection.recv(65536):
                received += part
        return received

    def refuses(self) -> bool:
        """Return whether a new connection is refused."""
        host, port = self.url.removeprefix("http://").split(":")
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionError:
            return True
        return False

    def is_saved(self) -> bool:
        """Return whether the state of the end is in the state file."""
        return all(group["is_final"] for group in read_state(self.state)["calls"])


@contextlib.contextmanager
def scraped(folder: Path, timeout_seconds: float) -> Iterator[Scraped]:
    """Run an exporter whose API hangs, and start a scrape with a timeout."""
    simulator = Simulator(ScriptedScenario(meetings=MEETINGS))
    simulator.inject("*", Fault.HANG)
    state = folder / "state"
    with served(simulator) as api:
        arguments = (
            *("serve", *IDS, *ANYWHERE, "--api.base-url", f"{api}/client/v4"),
            *("--state.file", str(state)),
        )
        with started(*arguments, environment=TOKEN) as process:
            (line,) = listening_lines(process)
            url = url_in(line)
            host, port = url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                connection.sendall(
                    b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
                    b"X-Prometheus-Scrape-Timeout-Seconds: %f\r\n\r\n" % timeout_seconds
                )
                wait_until(lambda: simulator.requests.total > 0)
                yield Scraped(process, url, state, connection)


class TestScrapeUnderWay:
    @pytest.mark.parametrize("number", STOP_SIGNALS)
    def test_ends(self, tmp_path: Path, number: signal.Signals) -> None:
        """A scrape gets its answer, but no new connection is accepted; the state is saved."""
        with scraped(tmp_path, 3) as scrape:
            kept = socket.create_connection(scrape.connection.getpeername())
            kept.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert kept.recv(100).startswith(b"HTTP/1.1 200 ")
            scrape.process.send_signal(number)
            wait_until(scrape.refuses)
            while kept.recv(1000):
                pass
            kept.close()
            assert scrape.process.poll() is None
            head, _, body = scrape.answer().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert body.endswith(b"\n")
            assert 0 == scrape.process.wait(10)
            assert scrape.is_saved()

    def test_longer_than_the_grace(self, tmp_path: Path) -> None:
        """A scrape that outlives the grace is given up, and the state is saved."""
        with scraped(tmp_path, 100) as scrape:
            begin = time.monotonic()
            scrape.process.send_signal(signal.SIGTERM)
            assert b" 200 " not in scrape.answer().partition(b"\r\n")[0]
            assert 0 == scrape.process.wait(20)
            assert GRACE_SECONDS - 1 < time.monotonic() - begin < GRACE_SECONDS + 5
            assert scrape.is_saved()
            assert scrape.process.stderr
            assert "Traceback" not in scrape.process.stderr.read()

    def test_second_signal(self, tmp_path: Path) -> None:
        """A second signal gives up the scrape, and the state is saved."""
        with scraped(tmp_path, 100) as scrape:
            scrape.process.send_signal(signal.SIGTERM)
            wait_until(scrape.refuses)
            begin = time.monotonic()
            scrape.process.send_signal(signal.SIGINT)
            assert b"" == scrape.answer()
            assert 0 == scrape.process.wait(10)
            assert time.monotonic() - begin < GRACE_SECONDS - 2
            assert scrape.is_saved()

    def test_many_signals(self, tmp_path: Path) -> None:
        """However often somebody repeats the signal, the state is saved and the exit code is 0."""
        generator = random.Random(13)  # noqa: S311 # no secret
        with scraped(tmp_path, 100) as scrape:
            count = 0
            while scrape.process.poll() is None:
                scrape.process.send_signal(generator.choice(STOP_SIGNALS))
                threading.Event().wait(0.001)
                count += 1
            assert count > 5
            assert 0 == scrape.process.returncode
            assert scrape.is_saved()
            assert scrape.process.stderr
            assert "Traceback" not in scrape.process.stderr.read()


def test_first_process_of_a_container() -> None:
    """Also as process 1, which ignores signals by default, an early signal ends the service."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a PID namespace needs privileges")
    command = [*unshare, sys.executable, "-m", "rk_exporter", "serve", *IDS, *ANYWHERE]
    with subprocess.Popen(command, env=TOKEN, stderr=subprocess.PIPE, text=True) as process:
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            wait_until(lambda: bool(children.read_text().split()))
            (child,) = children.read_text().split()
            # `unshare` blocks signals, too, until it becomes our process.
            line, blocked = Path(f"/proc/{child}/cmdline"), Path(f"/proc/{child}/status")
            wait_until(lambda: line.read_text().startswith(sys.executable))
            wait_until(lambda: "SigBlk:\t0000000000000000" not in blocked.read_text())
            os.kill(int(child), signal.SIGTERM)
            assert 0 == process.wait(20)
        finally:
            process.kill()

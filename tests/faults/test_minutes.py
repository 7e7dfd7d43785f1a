"""Faults whose effects take minutes, in a process whose clocks go as fast as a test wants."""

import signal
import time

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.building import labelled, value
from tests.support.exporter_process import ExporterProcess, eventually, exporter_process
from tests.support.fault_server import ANY_PATH, FaultServer, answer
from tests.support.faulty_api import FAULTY, GONE, NEIGHBOUR, NO_RECORDINGS, served, shown


INTERVAL_SECONDS = 10
BLOCKED_UNTIL = "rk_api_blocked_until_timestamp_seconds"
CONFIG = """\
account_id: account
app_id: app
meeting_ids: [faulty, neighbour]
api: {{base_url: "{url}/client/v4", budget: 100000, read: active-recording}}
scrape: {{min_interval: 0s}}
web: {{listen_address: "127.0.0.1:0"}}
"""


@dataclass(slots=True)
class Machine:
    """An exporter of two meetings, its API, and the seconds that have *passed*."""

    server: FaultServer
    exporter: ExporterProcess
    file: Path
    passed: int = 0
    _seen: int = 0

    def scrape(self, *, after: int = INTERVAL_SECONDS) -> str:
        """Scrape when some more seconds have passed."""
        self.passed += after
        # The process may read the file at any time.
        new = self.file.with_name("new")
        new.write_text(str(self.passed))
        new.rename(self.file)
        return self.exporter.scrape()

    def new_calls(self, name: str) -> int:
        """Return how many calls about a meeting there were since the last time."""
        paths = [request.path for request in self.server.requests[self._seen :]]
        self._seen += len(paths)
        return sum(path.endswith(f"active-recording/{name}") for path in paths)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Run an exporter whose meetings have a recording each."""
    server = FaultServer()
    server.script(ANY_PATH, GONE)
    server.script("recordings", NO_RECORDINGS)
    for name in (FAULTY, NEIGHBOUR):
        server.script(name, shown(name))
    file, config = tmp_path / "passed", tmp_path / "rk.yml"
    file.write_text("0")
    with served(server):
        config.write_text(CONFIG.format(url=server.url))
        environment = {"PASSED": str(file)}
        program = ("-m", "tests.support.passing_time")
        with exporter_process(config, environment=environment, program=program) as exporter:
            yield Machine(server, exporter, file)
            exporter.terminate()


def ups(text: str) -> dict[str, float]:
    """Return whether each meeting could be read."""
    return {labels["meeting_id"]: up for labels, up in labelled(text, "rk_meeting_up")}


def test_meeting_that_fails_again_and_again(machine: Machine) -> None:
    """It is read ever less often, the other one at each scrape; a reload makes it due."""
    machine.scrape()
    machine.new_calls(FAULTY)
    machine.server.script(FAULTY, answer(500))
    made = []
    for _ in range(40):
        assert {FAULTY: 0, NEIGHBOUR: 1} == ups(machine.scrape())
        made.append(machine.new_calls(FAULTY))
    # Four in a row, then after 30 s, 60 s, and each 120 s.
    tried = [number for number, calls in enumerate(made) if calls]
    assert [0, 1, 2, 3, 6, 12, 24, 36] == tried
    assert {0, 1} == set(made)
    machine.server.script(FAULTY, shown(FAULTY))
    reloads = machine.exporter.log.count('msg="configuration reloaded"')
    machine.exporter.process.send_signal(signal.SIGHUP)
    eventually(lambda: machine.exporter.log.count('msg="configuration reloaded"') > reloads)
    assert {FAULTY: 1, NEIGHBOUR: 1} == ups(machine.scrape(after=0))


def test_too_many_calls_again(machine: Machine) -> None:
    """Each 429 after a pause makes the next pause longer, until 15 minutes; then all is read."""
    machine.scrape()
    for name in (FAULTY, NEIGHBOUR, "recordings"):
        machine.server.script(name, answer(429))
    pauses = []
    text = machine.scrape()
    for _ in range(4):
        calls = len(machine.server.requests)
        now = time.time() + machine.passed
        pauses.append((value(text, BLOCKED_UNTIL) or 0) - now)
        # A moment before the end there is no call, and after it one call tries.
        machine.scrape(after=round(pauses[-1]) - 20)
        assert calls == len(machine.server.requests)
        text = machine.scrape(after=30)
        assert calls + 1 == len(machine.server.requests)
    assert [300, 600, 900, 900] == pytest.approx(pauses, abs=15)
    for name in (FAULTY, NEIGHBOUR):
        machine.server.script(name, shown(name))
    machine.server.script("recordings", NO_RECORDINGS)
    text = machine.scrape(after=910)
    assert {FAULTY: 1, NEIGHBOUR: 1} == ups(text)
    assert None is value(text, BLOCKED_UNTIL)
    machine.exporter.logged("API calls are made again")


def test_meeting_that_is_deleted(machine: Machine) -> None:
    """It is no failure; its recording is counted as vanished after a minute, and not shown."""
    recording = {"meeting_id": FAULTY, "recording_id": f"recording-of-{FAULTY}"}
    for _ in range(2):
        assert 1 == value(machine.scrape(), "rk_recording_status", **recording, status="RECORDING")
    for name in (FAULTY, f"recording-of-{FAULTY}"):
        machine.server.script(name, GONE)
    text = machine.scrape()
    assert {FAULTY: 1, NEIGHBOUR: 1} == ups(text)
    for _ in range(20):
        text = machine.scrape()
    assert f"recording-of-{FAULTY}" not in text
    assert f"recording-of-{NEIGHBOUR}" in text
    assert 1 == value(text, "rk_recordings_finished_total", outcome="vanished")
    assert {FAULTY: 1, NEIGHBOUR: 1} == ups(text)
    machine.exporter.logged("recording no longer exists in the API (404)")

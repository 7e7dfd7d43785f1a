"""A process with a bug, one that is killed again and again, and one whose calls never end well."""

import contextlib
import random
import signal
import socket
import time

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.bugs import BLOCK_SECONDS
from tests.support.building import value
from tests.support.counted_tasks import TASKS_VARIABLE
from tests.support.exporter_process import (
    TOKEN,
    ExporterProcess,
    eventually,
    exporter_process,
    open_files,
)
from tests.support.fault_server import (
    ANY_PATH,
    FaultServer,
    answer,
    close,
    drip,
    hang,
    head,
    reset,
)
from tests.support.faulty_api import (
    CONFIG,
    FAULTY,
    GONE,
    NEIGHBOUR,
    NO_RECORDINGS,
    served,
    shown,
)


ERRORS = "rk_exporter_internal_errors_total"
LAG = "rk_exporter_event_loop_lag_seconds_total"


@pytest.fixture
def api() -> Iterator[FaultServer]:
    """Serve an API."""
    server = FaultServer()
    server.script(ANY_PATH, GONE)
    server.script("recordings", NO_RECORDINGS)
    for name in (FAULTY, NEIGHBOUR):
        server.script(name, shown(name))
    with served(server):
        yield server


def in_one_group(api: FaultServer) -> str:
    """Return a configuration whose apps share a budget, as they share a token."""
    text = CONFIG.format(url=api.url)
    return text.replace(", budget_group: first", "").replace(", budget_group: second", "")


# Bugs.


@contextlib.contextmanager
def with_bugs(config: Path, text: str) -> Iterator[tuple[ExporterProcess, Path]]:
    """Run an exporter that has the bugs whose names are in a file, without any at first."""
    bugs = config.with_name("bugs")
    config.write_text(text)
    bugs.write_text("")
    program, environment = ("-m", "tests.support.bugs"), {"BUGS": str(bugs)}
    with exporter_process(config, program=program, environment=environment) as exporter:
        yield exporter, bugs


def test_bugs(tmp_path: Path, api: FaultServer) -> None:
    """A bug costs what it is in and nothing else, and shows no secret; without it all is right."""
    text = in_one_group(api).replace('"127.0.0.1:0"', '"127.0.0.1:0", enable_lifecycle: true')
    with with_bugs(tmp_path / "rk.yml", text) as (exporter, bugs):
        exporter.scrape()
        bugs.write_text("call")
        for number in range(1, 4):
            api.script(NEIGHBOUR, shown(NEIGHBOUR, recording_duration=number))
            metrics = exporter.scrape()
            assert 0 == value(metrics, ERRORS, rk_app=NEIGHBOUR)
            assert 1 == value(metrics, "rk_up", rk_app=NEIGHBOUR)
            assert number == value(metrics, "rk_recording_duration_seconds", rk_app=NEIGHBOUR)
            assert 100 == value(metrics, "rk_recording_duration_seconds", rk_app=FAULTY)
        # A scrape shows a new counter as 0, and the next one what it has counted.
        assert 3 == value(metrics, ERRORS, rk_app=FAULTY)
        exporter.logged("internal error in the pass")
        bugs.write_text("render")
        page = exporter.client.get("/metrics")
        assert (500, "internal error; see the exporter's log\n") == (page.status_code, page.text)
        assert page.headers["Content-Type"].startswith("text/plain")
        assert exporter.is_healthy()
        bugs.write_text("reload")
        page = exporter.client.post("/-/reload")
        assert 500 == page.status_code
        assert page.text.endswith("internal error; see the exporter's log\n")
        bugs.write_text("")
        metrics = exporter.scrape()
        assert 0 == value(metrics, "rk_config_last_reload_successful")
        assert {1} == {value(metrics, "rk_meeting_up", rk_app=app) for app in (FAULTY, NEIGHBOUR)}
        assert 3 == value(metrics, ERRORS, rk_app=FAULTY)
        assert 200 == exporter.client.post("/-/reload").status_code
        exporter.logged("LookupError", times=3)
        assert TOKEN not in exporter.log
        assert api.url not in exporter.log.partition("internal error")[2]
        exporter.process.terminate()
        assert 0 == exporter.process.wait(60)


def test_event_loop_that_is_blocked(tmp_path: Path, api: FaultServer) -> None:
    """What blocks all work for seconds loses nothing, and a metric says how long it was."""
    with with_bugs(tmp_path / "rk.yml", CONFIG.format(url=api.url)) as (exporter, bugs):
        before = value(exporter.scrape(), LAG) or 0
        bugs.write_text("block")
        for number in range(1, 4):
            for name in (FAULTY, NEIGHBOUR):
                api.script(name, shown(name, recording_duration=number))
            metrics = exporter.scrape()
            for name in (FAULTY, NEIGHBOUR):
                assert number == value(metrics, "rk_recording_duration_seconds", rk_app=name)
        bugs.write_text("")
        # The timer that measures it may have begun half a second later than the block.
        least = 3 * (BLOCK_SECONDS - 0.5)
        assert least <= (value(exporter.scrape(), LAG) or 0) - before
        exporter.terminate()


def test_rendering_that_takes_long(tmp_path: Path, api: FaultServer) -> None:
    """While the metrics are rendered, everything else goes on."""
    with (
        with_bugs(tmp_path / "rk.yml", CONFIG.format(url=api.url)) as (exporter, bugs),
        ThreadPoolExecutor(1) as thread,
    ):
        exporter.scrape()
        bugs.write_text("hang")
        calls = len(api.requests)
        scrape = thread.submit(exporter.scrape)
        eventually(lambda: len(api.requests) >= calls + 2)
        for _ in range(3):
            assert exporter.is_healthy()
        assert "Meetings and recordings" in httpx.get(exporter.client.base_url).text
        assert not scrape.done()
        bugs.write_text("")
        assert 1 == value(scrape.result(), "rk_up", rk_app=FAULTY)
        exporter.terminate()


# A crash loop.


@pytest.mark.parametrize("has_state", [True, False], ids=["state file", "no state file"])
def test_budget_of_a_crash_loop(tmp_path: Path, api: FaultServer, *, has_state: bool) -> None:
    """However often it is killed, all its processes together stay within the budget."""
    budget, processes = 60, 4
    at_start, per_second = budget // 15, budget / 300
    config = tmp_path / "rk.yml"
    text = in_one_group(api).replace("100000", str(budget))
    config.write_text(text + ("state: {file: state}\n" if has_state else ""))
    begun = time.monotonic()
    for _ in range(processes):
        with exporter_process(config) as exporter:
            for _ in range(8):
                exporter.scrape(1)
            exporter.process.kill()
            exporter.process.wait()
    paced = per_second * (time.monotonic() - begun)
    # A process without a state file knows nothing of the others. One with it has lost a moment.
    borrowed = at_start + processes if has_state else at_start * processes
    assert at_start <= len(api.requests) <= borrowed + paced
    assert len(api.requests) <= budget


# Calls that are cancelled.


def leave_early(exporter: ExporterProcess, chance: random.Random) -> None:
    """Ask for the metrics, and leave in the middle."""
    with socket.create_connection(exporter.address) as client:
        timeout = b"X-Prometheus-Scrape-Timeout-Seconds: 1\r\n"
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + timeout + b"\r\n")
        client.settimeout(chance.uniform(0.001, 0.3))
        with contextlib.suppress(TimeoutError):
            client.recv(1)


def test_calls_that_are_cancelled(tmp_path: Path, api: FaultServer) -> None:
    """Clients that leave, deadlines and reloads, for seconds: no connection or task is left."""
    names = [f"meeting-{number}" for number in range(12)]
    config, tasks = tmp_path / "rk.yml", tmp_path / "tasks"
    text = in_one_group(api).replace("[faulty]", f"[{', '.join(names)}]")
    config.write_text(text)
    faults = [
        hang(),
        hang(head(200, "Content-Length: 100")),
        drip(b" " * 1000, head=head(200, "Content-Length: 1000")),
        reset(),
        close(),
        answer(500),
    ]

    def repair() -> None:
        for name in names:
            api.script(name, shown(name))

    def count_tasks() -> int:
        tasks.unlink(missing_ok=True)
        exporter.process.send_signal(signal.SIGUSR1)
        eventually(tasks.exists)
        return int(tasks.read_text())

    program, environment = ("-m", "tests.support.counted_tasks"), {TASKS_VARIABLE: str(tasks)}
    chance = random.Random(56)  # noqa: S311 # the same faults each time
    with exporter_process(config, program=program, environment=environment) as exporter:
        repair()
        exporter.scrape()
        files, connections, idle = open_files(exporter.process), api.open_connections, count_tasks()
        for number in range(9):
            for name in names:
                api.script(name, chance.choice(faults), chance.choice(faults), hang())
            for _ in range(5):
                leave_early(exporter, chance)
            if number % 3 == 0:
                exporter.process.send_signal(signal.SIGHUP)
            exporter.scrape(1)
        eventually(lambda: exporter.log.count('msg="configuration reloaded"') >= 2)
        repair()
        # Meetings that failed alone wait, unless somebody may have repaired them.
        exporter.process.send_signal(signal.SIGHUP)

        def is_right() -> bool:
            text = exporter.scrape()
            ups = {value(text, "rk_meeting_up", meeting_id=name) for name in names}
            return ups == {1}

        eventually(is_right)
        eventually(lambda: open_files(exporter.process) <= files + 4)
        eventually(lambda: api.open_connections <= connections + 4)
        eventually(lambda: count_tasks() <= idle + 2)
        exporter.terminate()

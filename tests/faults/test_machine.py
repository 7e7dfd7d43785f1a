"""What a machine does to a process: signals, clocks, limits, disks, users."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.building import labelled, value
from tests.support.exporter_process import (
    PATIENCE_SECONDS,
    PROGRAM,
    ROOT,
    TOKEN,
    ExporterProcess,
    eventually,
    exporter_process,
)
from tests.support.fault_server import ANY_PATH, FaultServer, answer, hang
from tests.support.faulty_api import (
    FAULTY,
    GONE,
    NO_RECORDINGS,
    body,
    recording,
    rfc3339,
    served,
    shown,
    site_in,
)
from tests.support.state_files import read_state


HOUR, YEAR = 3600, 365 * 86_400
STOP_SIGNALS = [signal.SIGTERM, signal.SIGINT]
STARTED = "rk_recordings_started_total"


@pytest.fixture(scope="module")
def api() -> Iterator[FaultServer]:
    """Serve an API."""
    server = FaultServer()
    with served(server):
        yield server


@pytest.fixture
def config(tmp_path: Path, api: FaultServer) -> Path:
    """Return the file of an exporter with one meeting, which is right in the beginning."""
    api.script(ANY_PATH, GONE)
    api.script("recordings", NO_RECORDINGS)
    api.script("meeting", shown("meeting"))
    (tmp_path / "state").mkdir()
    file = tmp_path / "rk.yml"
    file.write_text(
        "account_id: account\napp_id: app\nmeeting_ids: [meeting]\n"
        f"api: {{base_url: '{api.url}/client/v4', budget: 100000, read: active-recording}}\n"
        "scrape: {min_interval: 0s}\nstate: {file: state/file}\n"
        "web: {listen_address: '127.0.0.1:0', enable_lifecycle: true}\n"
    )
    return file


@contextmanager
def background(exporter: ExporterProcess) -> Iterator["Future[str]"]:
    """Scrape during a block."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(exporter.scrape)


# Signals.


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_signal_while_calls_are_suspended(
    config: Path, api: FaultServer, number: signal.Signals
) -> None:
    """A pause after a 429 does not hold up the end."""
    api.script("meeting", answer(429, b"", "Retry-After: 3000"))
    with exporter_process(config) as exporter:
        assert value(exporter.scrape(), "rk_api_blocked_until_timestamp_seconds")
        exporter.process.send_signal(number)
        assert 0 == exporter.process.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_signal_while_a_look_up_hangs(config: Path, number: signal.Signals) -> None:
    """A resolver that hangs does not hold up the end, neither idle nor during a scrape."""
    names = config.with_name("names")
    names.write_text("hang")
    text = config.read_text()
    config.write_text(text.replace("127.0.0.1", "api.test", 1))
    environment = {"NAMES": str(names)}
    program = ("-m", "tests.support.hanging_names")
    with exporter_process(config, environment=environment, program=program) as exporter:
        assert 0 == value(exporter.scrape(2), "rk_up")
        begun = time.monotonic()
        exporter.process.send_signal(number)
        assert 0 == exporter.process.wait(PATIENCE_SECONDS)
        assert time.monotonic() - begun < PATIENCE_SECONDS / 2


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_signal_during_a_reload(config: Path, number: signal.Signals) -> None:
    """A reload whose files hang does not hold up the end."""
    folder = config.with_name("hanging")
    folder.mkdir()
    inner = folder / "rk.yml"
    inner.write_text(config.read_text().replace("state/file", "../state/file"))
    program = ("-m", "tests.support.hanging_files")
    with exporter_process(inner, program=program) as exporter:
        assert 1 == value(exporter.scrape(), "rk_up")
        (folder / "hang").touch()
        for _ in range(3):
            exporter.process.send_signal(signal.SIGHUP)
        exporter.process.send_signal(number)
        assert 0 == exporter.process.wait(PATIENCE_SECONDS)
        (folder / "hang").unlink()


def test_hang_up_during_the_end(config: Path, api: FaultServer) -> None:
    """SIGHUP while a process ends neither ends it faster nor keeps it alive."""
    api.script("meeting", hang())
    with exporter_process(config) as exporter, background(exporter) as scrape:
        eventually(lambda: any(request.path.endswith("meeting") for request in api.requests))
        exporter.process.send_signal(signal.SIGTERM)
        for _ in range(20):
            exporter.process.send_signal(signal.SIGHUP)
        with contextlib.suppress(Exception):
            scrape.result()
        assert 0 == exporter.process.wait(PATIENCE_SECONDS)
        assert "Traceback" not in exporter.log


def test_killed_again_and_again(config: Path, api: FaultServer) -> None:
    """After each SIGKILL the next process goes on with the counters of the last one."""
    started = 0.0
    for number in range(4):
        with exporter_process(config) as exporter:
            # The first scrape shows what was known; the recording is new for this process.
            invoked_time = rfc3339(time.time())
            name = f"recording-{number}"
            api.script("meeting", shown("meeting", id=name, invoked_time=invoked_time))
            texts = [exporter.scrape() for _ in range(3)]
            counts = [value(text, STARTED) or 0 for text in texts]
            assert sorted(counts) == counts
            assert started <= counts[0]
            started = counts[-1]
            assert 1 == value(texts[-1], "rk_state_file_last_write_successful")
            exporter.process.kill()
            exporter.process.wait()
    # The first one was there before the first process.
    assert 3 == started
    assert not config.with_name("state").joinpath("file.damaged").exists()


# Clocks and pauses.


def test_clock_that_is_set(config: Path, api: FaultServer) -> None:
    """A clock that jumps by an hour or a year costs no sample, no call and no counter."""
    clock = config.with_name("clock")
    clock.write_text("0")
    environment = {"CLOCK": str(clock)}
    program = ("-m", "tests.support.set_clock")
    with exporter_process(config, environment=environment, program=program) as exporter:
        before = 0.0
        for step, seconds in enumerate((0, HOUR, -HOUR, YEAR, -YEAR, 0)):
            clock.write_text(str(seconds))
            api.script("meeting", shown("meeting", recording_duration=step + 1))
            text = exporter.scrape()
            assert 1 == value(text, "rk_up")
            assert 1 == value(text, "rk_meeting_up")
            assert step + 1 == value(text, "rk_recording_duration_seconds")
            assert 0 == value(text, "rk_meetings_deferred")
            assert None is value(text, "rk_api_blocked_until_timestamp_seconds")
            assert 1 == value(text, "rk_recordings", status="RECORDING")
            count = value(text, STARTED) or 0
            assert before <= count
            before = count
            assert exporter.is_healthy()
        exporter.terminate()


@pytest.mark.parametrize("seconds", [-YEAR, YEAR], ids=["back", "ahead"])
def test_clock_that_is_set_between_two_processes(
    config: Path, api: FaultServer, seconds: int
) -> None:
    """A state file from another time is used, and nothing is counted twice."""
    clock = config.with_name("clock")
    clock.write_text("0")
    environment = {"CLOCK": str(clock)}
    program = ("-m", "tests.support.set_clock")
    for offset in (0, seconds, 0):
        clock.write_text(str(offset))
        with exporter_process(config, environment=environment, program=program) as exporter:
            api.script("meeting", shown("meeting"))
            texts = [exporter.scrape() for _ in range(3)]
            assert 1 == value(texts[-1], "rk_up")
            assert 1 == value(texts[-1], "rk_meeting_up")
            # The recording was there before the first process.
            assert {0.0} == {value(text, STARTED) for text in texts}
            exporter.terminate()


def test_process_that_is_stopped_for_a_while(config: Path, api: FaultServer) -> None:
    """After seconds in which nothing ran, the scrape that waited and the next one are right."""
    with exporter_process(config) as exporter:
        exporter.scrape()
        api.script("meeting", hang())
        calls = len(api.requests)
        with background(exporter) as scrape:
            eventually(lambda: len(api.requests) > calls)
            exporter.process.send_signal(signal.SIGSTOP)
            threading.Event().wait(4)
            exporter.process.send_signal(signal.SIGCONT)
            assert 0 == value(scrape.result(), "rk_meeting_up")
        api.script("meeting", shown("meeting", recording_duration=7))
        assert 7 == value(exporter.scrape(), "rk_recording_duration_seconds")
        exporter.terminate()


# Limits.


def test_memory_that_is_limited(config: Path, api: FaultServer) -> None:
    """If memory runs out in a pass, the process lives on; when there is some, all is right."""
    with exporter_process(config) as exporter:
        exporter.scrape()
        process = exporter.process
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
        size = pages * os.sysconf("SC_PAGE_SIZE")
        unlimited = resource.prlimit(process.pid, resource.RLIMIT_AS)
        resource.prlimit(process.pid, resource.RLIMIT_AS, (size, unlimited[1]))
        many = [recording("meeting", id=f"recording-{number}") for number in range(3000)]
        api.script("meeting", answer(200, body(many)))
        for _ in range(3):
            # There may be no memory for the answer either.
            with contextlib.suppress(httpx.TransportError):
                exporter.client.get("/metrics")
            assert process.poll() is None
        resource.prlimit(process.pid, resource.RLIMIT_AS, unlimited)
        api.script("meeting", shown("meeting", id="after", recording_duration=7))
        eventually(lambda: value(exporter.scrape(), "rk_meeting_up") == 1)
        text = exporter.scrape()
        assert 7 == value(text, "rk_recording_duration_seconds", recording_id="after")
        exporter.process.terminate()
        assert 0 == exporter.process.wait(PATIENCE_SECONDS)


def test_thousands_of_meetings(config: Path, api: FaultServer) -> None:
    """With 20,000 meetings and a small budget, scrapes are answered in time."""
    meetings = config.with_name("meetings")
    meetings.write_text("".join(f"meeting-{number}\n" for number in range(20_000)))
    text = config.read_text().replace("meeting_ids: [meeting]", "meetings: {files: [meetings]}")
    config.write_text(text.replace("budget: 100000, read: active-recording", "budget: 600"))
    calls = len(api.requests)
    with exporter_process(config) as exporter:
        for _ in range(3):
            text = exporter.scrape(10)
        assert 20_000 == value(text, "rk_meetings")
        assert 1 == value(text, "rk_up")
        assert len(api.requests) - calls <= 600
        exporter.terminate()


# Disks.


@pytest.fixture
def small_disk(config: Path) -> Iterator[Path]:
    """Return a folder on a file system of its own."""
    folder = config.with_name("state")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system needs privileges")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607 # of the system


def test_full_disk(config: Path, api: FaultServer, small_disk: Path) -> None:
    """While the state cannot be written, scrapes are right, and the metric says so."""
    written = "rk_state_file_last_write_successful"
    with exporter_process(config) as exporter:
        exporter.scrape()
        assert 1 == value(exporter.scrape(), written)
        before = read_state(small_disk / "file")
        with (
            contextlib.suppress(OSError),
            (small_disk / "filler").open("wb", buffering=0) as filler,
        ):
            while True:
                filler.write(bytes(4096))
        for number in range(3):
            # More than the rest of the last block.
            new = [recording("meeting", id=f"recording-{number}-{n}") for n in range(100)]
            api.script("meeting", answer(200, body(new)))
            assert 1 == value(exporter.scrape(), "rk_meeting_up")
        eventually(lambda: value(exporter.scrape(), written) == 0)
        assert before == read_state(small_disk / "file")
        (small_disk / "filler").unlink()
        eventually(lambda: value(exporter.scrape(), written) == 1)
        exporter.terminate()
    assert 1 == exporter.log.count("state file cannot be written")


def test_read_only_disk(config: Path, small_disk: Path) -> None:
    """If the state cannot be written at the start, an error of one line names the option."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)  # noqa: S607 # of the system
    command = [sys.executable, *PROGRAM, "serve", "--config.file", str(config)]
    environment = {"CLOUDFLARE_API_TOKEN": TOKEN}
    result = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 2 == result.returncode
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "state.file" in error
    assert "(Read-only file system); choose a folder on a file system that can be writ" in error
    assert "Traceback" not in result.stderr


# Users and places.


def test_unknown_user(config: Path) -> None:
    """A user without a name, a home or a password entry can run it, as in a container."""
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("another user needs privileges")
    folder = config.with_name("state")
    os.chown(folder, 54_321, 54_321)
    # The interpreter may be in a home that only its owner reads.
    setpriv = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups"]
    capabilities = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    with exporter_process(config, launcher=(*setpriv, *capabilities)) as exporter:
        for _ in range(2):
            text = exporter.scrape()
        assert 1 == value(text, "rk_up")
        assert 1 == value(text, "rk_state_file_last_write_successful")
        status = Path(f"/proc/{exporter.process.pid}/status").read_text()
        assert "Uid:\t54321" in status
        exporter.terminate()


@pytest.mark.parametrize("locale", ["C", "POSIX", "tr_TR.ISO-8859-9", "nonsense"])
def test_locale(config: Path, api: FaultServer, locale: str) -> None:
    """In any locale, metrics and log are UTF-8, and numbers have points."""
    api.script("meeting", shown("meeting", output_file_name="größe-📹.mp4"))
    with exporter_process(config, environment={"LC_ALL": locale}) as exporter:
        text = exporter.scrape()
        ((labels, _),) = labelled(text, "rk_recording_info")
        assert "größe-📹.mp4" == labels["output_file_name"]
        exporter.terminate()


def test_configuration_that_is_deleted(tmp_path: Path) -> None:
    """Without its file, a reload is refused, and the exporter goes on as before."""
    with site_in(tmp_path) as site:
        site.recovers()
        (tmp_path / "rk.yml").unlink()
        site.exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: "configuration was not reloaded" in site.exporter.log)
        text = site.recovers()
        assert 0 == value(text, "rk_config_last_reload_successful")
        assert 1 == value(text, "rk_meeting_up", rk_app=FAULTY)

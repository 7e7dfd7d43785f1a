"""A running process takes a new configuration on SIGHUP and on POST /-/reload."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import by_meeting, labelled, scripted, value
from tests.support.processes import url_in
from tests.support.serving import served


ROOT = Path(__file__).parents[2]
CANARY = "canary-5d1f7c"
MEETINGS = ["a", "b", "c"]
# Longer than any step takes on a busy machine.
PATIENCE_SECONDS = 30.0
RELOADED, REFUSED = "configuration reloaded", "configuration was not reloaded"
CONFIG = """\
account_id: account
api: {{base_url: "{api}/client/v4", budget: 100000, token_file: token/file}}
scrape: {{min_interval: 0s}}
state: {{file: state}}
web: {{listen_address: "127.0.0.1:0", enable_lifecycle: {lifecycle}}}
"""
ONE = CONFIG + "apps: [{{app_id: x, meetings: {{ids: [a]}}}}]\n"
TWO = (
    CONFIG
    + "apps: [{{app_id: x, meetings: {{ids: [a, b]}}}}, {{app_id: y, meetings: {{ids: [c]}}}}]\n"
)
RENAMED = CONFIG + "apps: [{{app_id: x, name: renamed, meetings: {{ids: [a]}}}}]\n"
BAD = ONE + "scrape.timeout_offset: 3s\n"


@pytest.fixture
def api() -> Iterator[str]:
    begin = time.time()
    scenario = ScriptedScenario(
        meetings=MEETINGS,
        recordings=[
            scripted(meeting, invoked_at=begin - 100, started_at=begin - 90, stopped_at=None,
                     uploaded_at=None, paused=())
            for meeting in MEETINGS
        ],
    )  # fmt: skip
    with served(Simulator(scenario, rate_limit=0, token=CANARY)) as url:
        yield url


class Exporter:
    """A running exporter, whose configuration is in *path*."""

    def __init__(self, process: "subprocess.Popen[str]", path: Path, api: str) -> None:
        self.process = process
        self.path = path
        self._api = api
        self.log: list[str] = []
        self._has_new = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.client = httpx.Client(base_url=url_in(self.wait_for("listening")), timeout=60)

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._has_new:
                self.log.append(line)
                self._has_new.notify_all()

    def count(self, text: str) -> int:
        """Return how many lines of the log have a *text*."""
        return sum(text in line for line in self.log)

    def wait_for(self, text: str, count: int = 1) -> str:
        """Return the last of *count* lines with a *text*."""
        with self._has_new:
            found = self._has_new.wait_for(lambda: self.count(text) >= count, PATIENCE_SECONDS)
        assert found, self.log
        return [line for line in self.log if text in line][-1]

    def write(self, template: str, *, lifecycle: str = "true") -> None:
        self.path.write_text(template.format(api=self._api, lifecycle=lifecycle))

    def hang_up(self, expected: str) -> str:
        """Send SIGHUP, and return the line about its result."""
        count = self.count(expected)
        self.process.send_signal(signal.SIGHUP)
        return self.wait_for(expected, count + 1)

    def post(self) -> httpx.Response:
        return self.client.post("/-/reload")

    def scrape(self) -> str:
        answer = self.client.get("/metrics")
        assert 200 == answer.status_code
        return answer.text

    def apps(self) -> list[str]:
        return [labels["rk_app"] for labels, _ in labelled(self.scrape(), "rk_up")]

    @property
    def open_files(self) -> int:
        return len([*Path(f"/proc/{self.process.pid}/fd").iterdir()])

    @property
    def threads(self) -> int:
        return len([*Path(f"/proc/{self.process.pid}/task").iterdir()])

    def terminate(self) -> str:
        """End the process, and return its log."""
        self.process.send_signal(signal.SIGTERM)
        assert 0 == self.process.wait(PATIENCE_SECONDS)
        self._reader.join()
        return "".join(self.log)


@contextmanager
def serving(folder: Path, api: str, template: str = ONE, **options: str) -> Iterator[Exporter]:
    """Run an exporter, which must end well; no secret may be in its log."""
    token = folder / "token/file"
    token.parent.mkdir(exist_ok=True)
    token.write_text(CANARY)
    token.chmod(0o600)
    path = folder / "config/file"
    path.parent.mkdir(exist_ok=True)
    path.with_name("token").symlink_to(token.parent)
    path.write_text(template.format(api=api, lifecycle=options.get("lifecycle", "true")))
    program = ["-m", "tests.support.hanging_files", "serve", "--config.file", str(path)]
    with subprocess.Popen(
        [sys.executable, *program],
        cwd=ROOT,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            exporter = Exporter(process, path, api)
            with exporter.client:
                yield exporter
                log = exporter.terminate()
            assert CANARY not in log
            assert "Traceback" not in log
        finally:
            process.kill()


class TestReload:
    def test_signal_and_request(self, tmp_path: Path, api: str) -> None:
        """Both add and remove apps and meetings, and keep what was read before."""
        with serving(tmp_path, api) as exporter:
            name = "rk_meeting_last_success_timestamp_seconds"
            before = by_meeting(exporter.scrape(), name)
            exporter.write(TWO)
            assert "added=y" in exporter.hang_up(RELOADED)
            assert ["x", "y"] == exporter.apps()
            exporter.write(RENAMED)
            answer = exporter.post()
            assert (200, f"{RELOADED}\n") == (answer.status_code, answer.text)
            text = exporter.scrape()
            assert ["renamed"] == exporter.apps()
            assert by_meeting(text, name)["a"] >= before["a"]
            assert 1 == value(text, "rk_config_last_reload_successful")

    def test_wrong_and_right_again(self, tmp_path: Path, api: str) -> None:
        """A wrong file is refused by name and place; the next right one is taken."""
        with serving(tmp_path, api) as exporter:
            before = exporter.scrape()
            since = value(before, "rk_config_last_reload_success_timestamp_seconds")
            exporter.write(TWO + "scrape: {{min_interval: soon}}\n")
            line = exporter.hang_up(REFUSED)
            answer = exporter.post()
            for text in (line, answer.text):
                assert f"{exporter.path}:7: scrape: duplicate key" in text
            assert 500 == answer.status_code
            text = exporter.scrape()
            assert ["x"] == exporter.apps()
            assert 0 == value(text, "rk_config_last_reload_successful")
            assert since == value(text, "rk_config_last_reload_success_timestamp_seconds")
            exporter.write(TWO)
            assert 200 == exporter.post().status_code
            text = exporter.scrape()
            assert 1 == value(text, "rk_config_last_reload_successful")
            later = value(text, "rk_config_last_reload_success_timestamp_seconds")
            assert since is not None
            assert later is not None
            assert later > since

    @pytest.mark.parametrize(
        ("template", "problem"),
        [
            (ONE.replace("token/file", CANARY), "api.token_file"),
            (ONE.replace("budget: 100000", f"budget: {CANARY}"), "api.budget"),
            (ONE.replace("token_file: token/file", f"token: {CANARY}"), "api.token"),
            (ONE.replace("{api}", "https://user:" + CANARY + "@host"), "api.base_url"),
            (f"{CANARY}: [\n", "file"),
            ("", "missing"),
        ],
    )
    def test_no_secret_in_a_refusal(
        self, tmp_path: Path, api: str, template: str, problem: str
    ) -> None:
        """Neither the log nor the answer repeats a secret from a wrong place in the file."""
        with serving(tmp_path, api) as exporter:
            exporter.write(template)
            answer = exporter.post()
            assert 500 == answer.status_code
            assert problem in answer.text
            assert CANARY not in answer.text

    def test_fixed_options(self, tmp_path: Path, api: str) -> None:
        """What cannot change is named in answer and log, and all else is taken."""
        with serving(tmp_path, api) as exporter:
            changed = TWO.replace("127.0.0.1:0", "127.0.0.1:1").replace("file: state", "file: new")
            exporter.write(changed)
            answer = exporter.post()
            for option in ("web.listen_address", "state.file"):
                note = f"{option} cannot change while the exporter runs; restart it"
                assert note in answer.text
                exporter.wait_for(note)
            assert 200 == answer.status_code
            assert ["x", "y"] == exporter.apps()
            assert not exporter.path.with_name("new").exists()

    def test_state_file(self, tmp_path: Path, api: str) -> None:
        """The next process continues with what the last configuration had."""
        with serving(tmp_path, api) as exporter:
            exporter.write(TWO)
            assert 200 == exporter.post().status_code
            exporter.scrape()
        state = tmp_path / "config/state"
        assert '"y"' in state.read_text()

    def test_disabled(self, tmp_path: Path, api: str) -> None:
        """By default a request cannot reload; SIGHUP can, and may allow requests."""
        with serving(tmp_path, api, lifecycle="false") as exporter:
            answer = exporter.post()
            assert (403, True) == (answer.status_code, "--web.enable-lifecycle" in answer.text)
            assert 405 == exporter.client.get("/-/reload").status_code
            exporter.write(TWO, lifecycle="true")
            exporter.hang_up(RELOADED)
            assert 200 == exporter.post().status_code

    def test_log(self, tmp_path: Path, api: str) -> None:
        """Level and format of the log change immediately."""
        with serving(tmp_path, api) as exporter:
            exporter.write(ONE + "log: {{level: debug, format: json}}\n")
            assert exporter.hang_up(RELOADED).startswith("{")
            exporter.write(ONE)
            assert exporter.hang_up(RELOADED).startswith("time=")

    def test_before_the_start_is_complete(self, tmp_path: Path, api: str) -> None:
        """Signals from the first moment on do not end the process, and lead to a reload."""
        stop = threading.Event()

        def hang_up_all_the_time(process_id: int) -> None:
            while not stop.wait(0.002):
                os.kill(process_id, signal.SIGHUP)

        program = [sys.executable, "-m", "rk_exporter", "serve", "--config.file"]
        with serving(tmp_path, api):
            pass  # makes the files
        command = [*program, str(tmp_path / "config/file")]
        with subprocess.Popen(command, text=True, stderr=subprocess.PIPE) as process:
            assert process.stderr
            # The interpreter itself needs some time before it can hold back a signal.
            wait_until_blocked(process.pid)
            thread = threading.Thread(target=hang_up_all_the_time, args=[process.pid])
            thread.start()
            try:
                assert any("listening" in line for line in process.stderr)
                assert any(RELOADED in line for line in process.stderr)
            finally:
                stop.set()
                thread.join()
                process.terminate()
            process.stderr.read()
            assert 0 == process.wait(PATIENCE_SECONDS)


def wait_until_blocked(process_id: int) -> None:
    """Wait until a process holds back SIGHUP."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        status = Path(f"/proc/{process_id}/status").read_text()
        found = re.search(r"SigBlk:\s*([0-9a-f]+)", status)
        if found and int(found[1], 16) & 1:
            return
    pytest.fail("SIGHUP is not held back")


class TestUnderLoad:
    def test_storm_under_scrapes(self, tmp_path: Path, api: str) -> None:
        """A thousand signals in a second cause two reloads, and cost no scrape its answer."""
        with serving(tmp_path, api) as exporter:
            stop = threading.Event()

            def scrape() -> list[tuple[str, ...]]:
                shown = []
                with httpx.Client(base_url=exporter.client.base_url, timeout=60) as client:
                    while not stop.is_set():
                        answer = client.get("/metrics")
                        assert 200 == answer.status_code
                        found = labelled(answer.text, "rk_app_info")
                        shown.append(tuple(labels["rk_app"] for labels, _ in found))
                        calls = labelled(answer.text, "rk_api_malformed_fields_total")
                        assert {*shown[-1]} == {labels["rk_app"] for labels, _ in calls}
                return shown

            with ThreadPoolExecutor(3) as threads:
                scrapes = [threads.submit(scrape) for _ in range(3)]
                exporter.scrape()
                exporter.write(TWO)
                begun = time.monotonic()
                for number in range(1000):
                    exporter.process.send_signal(signal.SIGHUP)
                    time.sleep(max(0.0, begun + number * 0.0008 - time.monotonic()))
                took_seconds = time.monotonic() - begun
                exporter.wait_for(RELOADED, 2)
                assert 200 == exporter.post().status_code
                stop.set()
                shown = [names for scrape in scrapes for names in scrape.result()]
            assert {("x",), ("x", "y")} == {*shown}
            # The request is one more, and a slow machine may need longer than a second.
            assert exporter.count(RELOADED) <= 3 + int(took_seconds)

    def test_many_reloads(self, tmp_path: Path, api: str) -> None:
        """Reloads that add and remove apps leave no file, thread or connection open."""
        with serving(tmp_path, api) as exporter:
            for template in (TWO, ONE):
                exporter.write(template)
                exporter.post()
                exporter.scrape()
            before = exporter.open_files, exporter.threads
            for template in (TWO, ONE, TWO, RENAMED, BAD, TWO, ONE):
                exporter.write(template)
                exporter.post()
                exporter.scrape()
            after = exporter.open_files, exporter.threads
            # A pool of threads may grow to one for each file.
            assert after[0] <= before[0] + 2
            assert after[1] <= before[1] + 4

    @pytest.mark.parametrize("name", ["config", "token"])
    def test_file_that_hangs(self, tmp_path: Path, api: str, name: str) -> None:
        """While a file hangs, scrapes and health answer; the reload ends, and a later one works."""
        with serving(tmp_path, api) as exporter:
            exporter.scrape()
            threads = exporter.threads
            exporter.write(TWO)
            hang = tmp_path / name / "hang"
            hang.touch()
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(exporter.post)
                for _ in range(3):
                    assert 1 == value(exporter.scrape(), "rk_up")
                    for _ in range(20):
                        exporter.process.send_signal(signal.SIGHUP)
                answer = waiting.result()
            assert (500, True) == (answer.status_code, "does not answer" in answer.text)
            exporter.wait_for(REFUSED, 2)
            assert exporter.threads <= threads + 10
            hang.unlink()
            exporter.hang_up(RELOADED)
            assert ["x", "y"] == exporter.apps()

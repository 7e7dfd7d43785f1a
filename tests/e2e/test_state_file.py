import resource
import signal
import time

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import pytest

from click.testing import CliRunner, Result

from rk_exporter.cli.main import main
from rk_exporter.simulator import Recording, ScriptedScenario, Simulator
from tests.support import hanging_files
from tests.support.building import Time, value
from tests.support.processes import started, url_in
from tests.support.serving import served
from tests.support.state_files import (
    WRITTEN,
    counts,
    file_version,
    read_state,
    rewrite,
    saved_counts,
)


IDS = ("--account-id", "account", "--app-id", "app", "--meeting-id", "weekly")
ENVIRONMENT = {"CLOUDFLARE_API_TOKEN": "simulated", "RK_API_BUDGET": "100000"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "state"


class Account:
    """A simulated account with a settable time and one recording after the other."""

    def __init__(self) -> None:
        # The exporter uses the real clock.
        self.begin = time.time()
        self.time = Time(self.begin)
        self.recordings = [self._recording(self.begin + 10 * number) for number in range(1, 400)]
        scenario = ScriptedScenario(meetings=["weekly"], recordings=self.recordings)
        self.simulator = Simulator(scenario, clock=self.time, rate_limit=0)

    @staticmethod
    def _recording(invoked_at: float) -> Recording:
        return Recording.scripted(
            "weekly",
            invoked_at=invoked_at,
            started_at=invoked_at + 2,
            stopped_at=invoked_at + 6,
            uploaded_at=invoked_at + 8,
        )

    def pass_time(self, seconds: float) -> None:
        """Move the time forward."""
        self.time.now += seconds

    @property
    def truth(self) -> tuple[float, float]:
        """Return how many recordings have really started and finished."""
        elapsed = self.time.now - self.begin
        return max(0, int((elapsed - 2) // 10)), max(0, int((elapsed - 8) // 10))


class ExporterProcess:
    """A running exporter process."""

    def __init__(self, process: Popen[str]) -> None:
        assert process.stderr
        self.process = process
        self._log = process.stderr
        url = url_in(next(line for line in self._log if "listening" in line))
        self.client = httpx.Client(base_url=url, timeout=60)

    def scrape(self) -> str:
        """Return the exposition."""
        return self.client.get("/metrics").text

    def terminate(self) -> str:
        """Terminate the process, and return the rest of its log."""
        self.process.send_signal(signal.SIGTERM)
        log = self._log.read()
        assert 0 == self.process.wait(60)
        return log

    def scrapes(self, account: Account, count: int) -> list[str]:
        """Return the expositions of *count* scrapes, one every 5 s; check their counts."""
        texts = []
        for _ in range(count):
            account.pass_time(5)
            texts.append(self.scrape())
            assert account.truth == counts(texts[-1])
        return texts


class Launcher:
    """Starts exporters that read an *account* at *url*, with a state file at *path*."""

    def __init__(self, account: Account, url: str, path: Path) -> None:
        self.account = account
        self.options = (
            *(*IDS, "--api.base-url", f"{url}/client/v4", "--scrape.min-interval", "0s"),
            *("--state.file", str(path)),
        )
        self.path = path

    @contextmanager
    def serve(self, program: tuple[str, ...] = ("-m", "rk_exporter")) -> Iterator[ExporterProcess]:
        """Run an exporter process."""
        address = ("--web.listen-address", "127.0.0.1:0")
        arguments = ("serve", *self.options, *address)
        with started(*arguments, environment=ENVIRONMENT, program=program) as process:
            exporter = ExporterProcess(process)
            with exporter.client:
                yield exporter

    def invoke(self, command: str, *arguments: str) -> Result:
        """Return the result of a command."""
        return CliRunner().invoke(main, [command, *self.options, *arguments], env=ENVIRONMENT)


@pytest.fixture
def launcher(path: Path) -> Iterator[Launcher]:
    account = Account()
    with served(account.simulator) as url:
        yield Launcher(account, url, path)


# Kills a process after a number of changes to its state file or the temporary file.
KILLER = """
import os, signal, sys

def versions():
    found = []
    for file in (path, path + ".new"):
        try:
            status = os.stat(file)
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size))
    return found

pid, path, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
before = versions()
while count:
    now = versions()
    count -= now != before
    before = now
os.kill(pid, signal.SIGKILL)
"""


@contextmanager
def killing(process: Popen[str], path: Path, *, step: int) -> Iterator[None]:
    """Kill a *process* immediately after *step* changes to its files at *path*."""
    arguments = (str(process.pid), str(path), str(step))
    with started(*arguments, program=("-S", "-c", KILLER)) as killer:
        yield
        assert 0 == killer.wait(30)
    assert -signal.SIGKILL == process.wait(60)


class TestProcesses:
    def test_restart(self, launcher: Launcher) -> None:
        """The next process continues the counters, including what happened in between."""
        account = launcher.account
        with launcher.serve() as exporter:
            assert (0, 0) == counts(exporter.scrape())
            text = exporter.scrapes(account, 7)[-1]
            exporter.terminate()
        for _ in range(2):
            account.pass_time(135)
            before = counts(text)
            with launcher.serve() as exporter:
                # Prometheus must see the old values before they grow.
                assert [before, before] == [counts(exporter.scrape()) for _ in range(2)]
                text = exporter.scrape()
                assert account.truth == counts(text)
                exporter.terminate()
        assert {"state", "state.lock"} == {file.name for file in launcher.path.parent.iterdir()}

    def test_scrape_command(self, launcher: Launcher) -> None:
        """`scrape`, as in a cron job, continues after the last one."""
        launcher.invoke("scrape")
        for _ in range(4):
            launcher.account.pass_time(33)
            result = launcher.invoke("scrape")
            assert 0 == result.exit_code
            assert launcher.account.truth == counts(result.stdout)

    @pytest.mark.parametrize("options", [(), ("--offline",)])
    def test_check(self, launcher: Launcher, options: tuple[str, ...]) -> None:
        """`check` neither creates, changes nor locks a state file."""
        folder = launcher.path.parent
        assert 0 == launcher.invoke("check", *options).exit_code
        assert [] == [*folder.iterdir()]
        launcher.path.write_text("damaged")
        before = file_version(launcher.path)
        assert 0 == launcher.invoke("check", *options).exit_code
        assert ([launcher.path], before) == ([*folder.iterdir()], file_version(launcher.path))
        launcher.path.unlink()
        with launcher.serve():
            assert 0 == launcher.invoke("check", *options).exit_code

    @pytest.mark.parametrize("is_killed", [False, True])
    def test_one_process_at_a_time(self, launcher: Launcher, *, is_killed: bool) -> None:
        """A second process is refused until the first has ended, even by a kill."""
        refusal = (
            f"Error: state.file: {launcher.path}: another rk-exporter uses this file; "
            "give each exporter its own file\n"
        )
        with launcher.serve() as exporter:
            exporter.scrape()
            before = launcher.path.read_bytes()
            for command in ("serve", "scrape"):
                with started(command, *launcher.options, environment=ENVIRONMENT) as second:
                    output, errors = second.communicate(timeout=30)
                assert (2, "", True) == (second.returncode, output, errors.endswith(refusal))
            assert before == launcher.path.read_bytes()
            exporter.scrapes(launcher.account, 5)
            if is_killed:
                exporter.process.kill()
                exporter.process.wait(60)
            else:
                exporter.terminate()
        result = launcher.invoke("scrape")
        assert (0, launcher.account.truth) == (result.exit_code, counts(result.stdout))

    def test_no_file_without_the_option(self, tmp_path: Path) -> None:
        """Without --state.file a process writes no file, even into its own folders."""
        folders = [tmp_path / name for name in ("cwd", "home", "tmp")]
        cwd, home, temporary = folders
        for folder in folders:
            folder.mkdir()
        program = (
            "import os, sys; from rk_exporter.cli.main import entry_point; "
            "os.chdir(sys.argv.pop(1)); entry_point()"
        )
        environment = {**ENVIRONMENT, "HOME": str(home), "TMPDIR": str(temporary)}
        account = Account()
        with served(account.simulator) as url:
            options = (str(cwd), "serve", *IDS, "--api.base-url", f"{url}/client/v4")
            with started(
                *(*options, "--web.listen-address", "127.0.0.1:0"),
                environment=environment,
                program=("-c", program),
            ) as process:
                exporter = ExporterProcess(process)
                with exporter.client:
                    text = exporter.scrape()
                    assert cwd == Path(f"/proc/{process.pid}/cwd").resolve()
                    exporter.terminate()
        assert 1 == value(text, "rk_up")
        assert None is value(text, WRITTEN)
        assert [*sorted(folders)] == sorted(tmp_path.rglob("*"))

    def test_full_disk(self, launcher: Launcher) -> None:
        """If the disk is full, scrapes continue; one line is logged then, one after recovery."""
        account = launcher.account
        with launcher.serve() as exporter:
            exporter.scrapes(account, 2)
            before = launcher.path.read_bytes()
            process = exporter.process
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            texts = exporter.scrapes(account, 3)
            assert before == launcher.path.read_bytes()
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
            while not value(exporter.scrape(), WRITTEN):
                pass
            assert account.truth == saved_counts(launcher.path)
            log = exporter.terminate()
        assert [0, 0, 0] == [value(text, WRITTEN) for text in texts]
        assert 1 == log.count("state file cannot be written (File too large); new state")
        assert 1 == log.count("state file can be written again")

    def test_sigterm_while_a_write_hangs(self, launcher: Launcher) -> None:
        """A process with a hanging file system answers scrapes, and ends on SIGTERM."""
        switch = launcher.path.with_name("hang")
        with launcher.serve((hanging_files.__file__,)) as exporter:
            exporter.scrape()
            switch.touch()
            exporter.scrapes(launcher.account, 5)
            while value(exporter.scrape(), WRITTEN):
                pass
            assert "cannot be written (the file system does not answer)" in exporter.terminate()
        switch.unlink()
        result = launcher.invoke("scrape")
        assert (0, launcher.account.truth) == (result.exit_code, counts(result.stdout))

    def test_killed_during_a_write(self, launcher: Launcher) -> None:
        """After any number of kills the next process starts; no counter decreases or overshoots."""
        account, path = launcher.account, launcher.path
        with launcher.serve() as exporter:
            exporter.scrape()
            exporter.terminate()

        def enlarge(document: Any) -> None:
            document["apps"][0]["past"]["departed"] = {f"{n:0>200}": {} for n in range(9000)}

        # A large file makes the write slow.
        rewrite(path, enlarge)
        saved = [saved_counts(path)]

        def check(text: str) -> None:
            for least, count, truth in zip(saved[-1], counts(text), account.truth, strict=True):
                assert least <= count <= truth
            saved.append(saved_counts(path))

        for step in range(1, 8):
            with (
                launcher.serve() as exporter,
                killing(exporter.process, path, step=step),
                suppress(httpx.HTTPError),
            ):
                # The process is killed before the last scrape.
                for _ in range(300):
                    account.pass_time(3)
                    check(exporter.scrape())
            assert 9000 <= len(read_state(path)["apps"][0]["past"]["departed"])
            account.pass_time(step % 3 * 10)
        with launcher.serve() as exporter:
            *_, text = (exporter.scrape() for _ in range(3))
            exporter.terminate()
        check(text)
        assert account.truth == counts(text)
        assert len({*saved}) > 1
        assert not path.with_name("state.damaged").exists()

"""Each file that the exporter reads or writes, replaced by one that never answers or has no end."""

import os
import signal
import subprocess
import sys

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.building import value
from tests.support.exporter_files import (
    FILES,
    REPLACED,
    is_closed_for_all,
    scrape,
    write_files,
)
from tests.support.exporter_process import (
    NO_TOKEN,
    PATIENCE_SECONDS,
    PROGRAM,
    ROOT,
    eventually,
    exporter_process,
)
from tests.support.fault_server import FaultServer
from tests.support.faulty_api import api_of_one_meeting, shown


def sparse(path: Path) -> None:
    """Make a file of a terabyte that takes no room."""
    path.touch()
    os.truncate(path, 1 << 40)


OBSTRUCTIONS: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "empty": Path.touch,
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 10),
    "huge": sparse,
}


@pytest.fixture(scope="module")
def api() -> Iterator[FaultServer]:
    """Serve an API."""
    with api_of_one_meeting() as server:
        yield server


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def test_fifo_at_the_start(tmp_path: Path, api: FaultServer) -> None:
    """A FIFO in the place of any file is an error that names it, and not a start that hangs."""
    processes = {}
    for name in FILES:
        folder = tmp_path / f"without-{name}"
        folder.mkdir()
        write_files(folder, api)
        remove(folder / name)
        os.mkfifo(folder / name)
        command = [sys.executable, *PROGRAM, "serve", "--config.file", str(folder / "rk.yml")]
        processes[name] = subprocess.Popen(
            command, env={}, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
    try:
        for name, process in processes.items():
            _, errors = process.communicate(timeout=PATIENCE_SECONDS)
            assert 2 == process.returncode, (name, errors)
            error = [line for line in errors.splitlines() if line.startswith("Error: ")]
            assert len(error) == 1, (name, errors)
            assert FILES[name] in error[0]
            assert "Traceback" not in errors
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()


def test_any_obstruction_while_it_runs(tmp_path: Path, api: FaultServer) -> None:
    """Whatever takes the place of a file, also during a reload, scrapes are right, and it ends."""
    write_files(tmp_path, api)
    contents = {name: (tmp_path / name).read_bytes() for name in REPLACED}
    with exporter_process(tmp_path / "rk.yml", environment=NO_TOKEN) as exporter:
        for name in REPLACED:
            for number, (kind, obstruct) in enumerate(OBSTRUCTIONS.items()):
                if (name, kind) == ("web.yml", "empty"):
                    # It is valid, and means that there is no TLS.
                    continue
                api.script("meeting", shown("meeting", recording_duration=number + 1))
                remove(tmp_path / name)
                obstruct(tmp_path / name)
                exporter.process.send_signal(signal.SIGHUP)
                if name == "web.yml":
                    # It may have had users, so nobody gets in.
                    eventually(lambda: is_closed_for_all(exporter))
                    continue
                text = scrape(exporter)
                assert 1 == value(text, "rk_up"), name
                assert number + 1 == value(text, "rk_recording_duration_seconds")
            remove(tmp_path / name)
            (tmp_path / name).write_bytes(contents[name])
            (tmp_path / name).chmod(0o600)
            eventually(lambda: not is_closed_for_all(exporter))
        reloads = exporter.log.count('msg="configuration reloaded"')
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: exporter.log.count('msg="configuration reloaded"') > reloads)
        text = scrape(exporter)
        assert 1 == value(text, "rk_config_last_reload_successful")
        assert 1 == value(text, "rk_web_config_last_reload_successful")
        assert 1 == value(text, "rk_meetings_file_last_read_successful")
        assert len(list(Path(f"/proc/{exporter.process.pid}/task").iterdir())) < 50
        exporter.terminate()

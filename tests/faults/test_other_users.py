"""Files that belong to another user, as after a copy by root."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

from collections.abc import Iterator
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


USER = 54_321
DENIED = "Permission denied"
LAUNCHER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")


@pytest.fixture(scope="module")
def api() -> Iterator[FaultServer]:
    """Serve an API."""
    with api_of_one_meeting() as server:
        yield server


@pytest.fixture
def folder(api: FaultServer) -> Iterator[Path]:
    """Return a folder with the files of an exporter, which belong to a user without privileges."""
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("another user needs privileges")
    command = [*LAUNCHER, sys.executable, "-c", "import rk_exporter"]
    if subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("another user cannot read the interpreter")
    # Not below the folder of pytest, which belongs to its user only.
    with tempfile.TemporaryDirectory() as name:
        write_files(Path(name), api)
        for path in (Path(name), *Path(name).iterdir()):
            os.chown(path, USER, USER)
        yield Path(name)


def replace_as_root(path: Path) -> None:
    """Replace a file by one with the same content that only root reads."""
    new = path.with_suffix(".new")
    new.write_bytes(path.read_bytes() if path.exists() else b"")
    new.chmod(0o600)
    new.rename(path)


def test_at_the_start(folder: Path) -> None:
    """A file that cannot be read is an error of one line that names it and the reason."""
    for name in FILES:
        replace_as_root(folder / name)
        command = [*LAUNCHER, sys.executable, *PROGRAM, "serve", "--config.file", "rk.yml"]
        result = subprocess.run(
            command,
            env={"PYTHONPATH": str(ROOT)},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert 2 == result.returncode, (name, result.stderr)
        (error,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert FILES[name] in error
        assert DENIED in error
        assert "Traceback" not in result.stderr
        os.chown(folder / name, USER, USER)


def test_while_it_runs(folder: Path, api: FaultServer) -> None:
    """What was read before stays in use, and counts until the file can be read again."""
    with exporter_process(folder / "rk.yml", environment=NO_TOKEN, launcher=LAUNCHER) as exporter:
        for number, name in enumerate(REPLACED):
            api.script("meeting", shown("meeting", recording_duration=number + 1))
            denied = exporter.log.count(DENIED)
            replace_as_root(folder / name)
            exporter.process.send_signal(signal.SIGHUP)
            if name == "web.yml":
                # It may have had users, so nobody gets in.
                eventually(lambda: is_closed_for_all(exporter))
            else:
                text = scrape(exporter)
                assert 1 == value(text, "rk_up"), name
                assert number + 1 == value(text, "rk_recording_duration_seconds")
            # The key is read when an event arrives.
            if name != "webhook.pem":
                eventually(lambda: exporter.log.count(DENIED) > denied)  # noqa: B023 # in this round
            os.chown(folder / name, USER, USER)
            eventually(lambda: not is_closed_for_all(exporter))
        reloads = exporter.log.count('msg="configuration reloaded"')
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: exporter.log.count('msg="configuration reloaded"') > reloads)
        text = scrape(exporter)
        for last in ("config_last_reload", "web_config_last_reload", "meetings_file_last_read"):
            assert 1 == value(text, f"rk_{last}_successful")
        exporter.terminate()

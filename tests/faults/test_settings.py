"""Odd configurations and tokens, at the start and while the program runs."""

import subprocess
import sys

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.building import labelled, value
from tests.support.exporter_process import (
    NO_TOKEN,
    PATIENCE_SECONDS,
    PROGRAM,
    ROOT,
    exporter_process,
)
from tests.support.fault_server import FaultServer
from tests.support.faulty_api import api_of_one_meeting


CONFIG = """\
account_id: account
app_id: app
meeting_ids: [meeting]
api: {{base_url: "{url}/client/v4", budget: 100000, read: active-recording, token_file: token}}
scrape: {{min_interval: 0s}}
web: {{listen_address: "127.0.0.1:0", enable_lifecycle: true}}
"""
RIGHT = "meeting_ids: [meeting]"
CANARY = "canary"


@pytest.fixture
def api() -> Iterator[FaultServer]:
    """Serve an API."""
    with api_of_one_meeting() as server:
        yield server


@pytest.fixture
def config(tmp_path: Path, api: FaultServer) -> Path:
    """Return the file of an exporter with a meeting, and a token in a file."""
    file = tmp_path / "rk.yml"
    file.write_text(CONFIG.format(url=api.url))
    write(file.with_name("token"), b"first-token")
    return file


def write(file: Path, content: bytes) -> None:
    """Replace a file by one that only its owner reads, as deployments do."""
    new = file.with_name("new")
    new.write_bytes(content)
    new.chmod(0o600)
    new.rename(file)


def errors_at_start(files: Mapping[str, Path]) -> dict[str, str]:
    """Start an exporter with each of the *files*, and return its error of one line."""
    processes = {
        name: subprocess.Popen(
            [sys.executable, *PROGRAM, "serve", "--config.file", str(file)],
            env={},
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, file in files.items()
    }
    errors = {}
    try:
        for name, process in processes.items():
            _, output = process.communicate(timeout=PATIENCE_SECONDS)
            assert 2 == process.returncode, (name, output)
            (errors[name],) = output.splitlines()[:1]
            assert not output.splitlines()[1:], output
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    return errors


# What stands in the place of the meetings, and how the error goes on after the name of the file.
BROKEN = {
    "unknown key": ("meeting_ids: [meeting]\nmeeting_idz: [a]", "4: meeting_idz: unknown option"),
    "key that appears twice": ("meeting_ids: [meeting]\napp_id: b", "4: app_id: duplicate key"),
    "aliases": ("meeting_ids: &a [b]\nlog: *a", "4: "),
    "parent folder": ("meeting_ids: ['..']", "3: meeting_ids[0]: "),
    "slash": ("meeting_ids: [meeting, a/b]", "3: meeting_ids[1]: "),
    "long id": (f"meeting_ids: [{'x' * 129}]", "3: meeting_ids[0]: "),
    "no YAML": ("meeting_ids: [", "5: not YAML"),
}


def test_broken_configuration(config: Path) -> None:
    """It is an error of one line, which names file and line, at the start and at a reload."""
    good = config.read_text()
    files = {}
    for name, (meetings, _) in BROKEN.items():
        files[name] = config.with_name(f"{name}.yml")
        files[name].write_text(good.replace(RIGHT, meetings))
    for name, error in errors_at_start(files).items():
        assert f"{files[name]}:{BROKEN[name][1]}" in error
        assert len(error) < 500
    with exporter_process(config) as exporter:
        config.write_text(good.replace(RIGHT, BROKEN["slash"][0]))
        answer = exporter.client.post("/-/reload")
        assert 500 == answer.status_code
        assert f"{config}:{BROKEN['slash'][1]}" in answer.text
        text = exporter.scrape()
        assert 0 == value(text, "rk_config_last_reload_successful")
        assert 1 == value(text, "rk_meeting_up")
        config.write_text(good)
        assert 200 == exporter.client.post("/-/reload").status_code
        assert 1 == value(exporter.scrape(), "rk_config_last_reload_successful")
        exporter.terminate()


def test_odd_configuration(config: Path, api: FaultServer) -> None:
    """A meeting counts once in each app, ids stay text, and a token in two groups is a warning."""
    ids = "meetings: {ids: [meeting, meeting, 0123, 1e3]}"
    apps = f"- {{app_id: a, {ids}, budget_group: x}}\n- {{app_id: b, {ids}}}\n"
    good = config.read_text().replace("app_id: app\n", "").replace("meeting_ids: [meeting]\n", "")
    config.write_text(f"{good}apps:\n{apps}")
    warning = "in several budget groups: app a (budget_group x), app b (no budget_group); give"
    with exporter_process(config) as exporter:
        exporter.logged(warning)
        text = exporter.scrape()
        found = sorted(
            (labels["rk_app"], labels["meeting_id"])
            for labels, _ in labelled(text, "rk_meeting_up")
        )
        assert [(app, name) for app in "ab" for name in ("0123", "1e3", "meeting")] == found
        paths = {request.path for request in api.requests}
        for app in "ab":
            root = f"/client/v4/accounts/account/realtime/kit/{app}/recordings/active-recording"
            assert {f"{root}/{name}" for name in ("0123", "1e3", "meeting")} <= paths
        config.write_text(f"{good}apps:\n{apps.replace(', budget_group: x', '')}")
        assert 200 == exporter.client.post("/-/reload").status_code
        config.write_text(f"{good}apps:\n{apps}")
        assert 200 == exporter.client.post("/-/reload").status_code
        exporter.logged(warning, times=2)
        assert 1 == value(exporter.scrape(), "rk_up", rk_app="a")
        exporter.terminate()


def linked(file: Path, content: bytes) -> None:
    """Replace a file by a link to another one, as Kubernetes does."""
    target = file.with_name("target")
    write(target, content)
    link = file.with_name("link")
    link.symlink_to(target)
    link.rename(file)


WAYS: dict[str, tuple[Callable[[Path, bytes], object], bytes]] = {
    "renamed": (write, b"%s"),
    "line end": (write, b"%s\n"),
    "carriage return": (write, b"  %s\r\n"),
    "link": (linked, b"%s"),
    "another link": (linked, b"%s\n"),
    "written into": (Path.write_bytes, b"%s"),
}
WRONG = {
    "empty": b"",
    "blank": b" \r\n",
    "NUL": CANARY.encode() + b"\0",
    "two lines": f"{CANARY}\n{CANARY}".encode(),
    "no ASCII": f"{CANARY}-größe".encode(),
    "a megabyte": CANARY.encode() * 200_000,
    "UTF-16": CANARY.encode("utf-16"),
}


def test_tokens(config: Path, api: FaultServer) -> None:
    """A valid token counts at the next scrape; a wrong one is warned of, and the last one stays."""
    file = config.with_name("token")
    with exporter_process(config, environment=NO_TOKEN) as exporter:

        def token_in_use() -> str:
            text = exporter.scrape()
            assert 1 == value(text, "rk_up")
            return api.requests[-1].headers["authorization"].removeprefix("Bearer ")

        assert "first-token" == token_in_use()
        for number, (replace, form) in enumerate(WAYS.values()):
            token = f"token-{number}"
            replace(file, form % token.encode())
            assert token == token_in_use()
            logged = len(exporter.log)
            content = [*WRONG.values()][number]
            write(file, content)
            assert token == token_in_use()
            (line,) = exporter.logged("warning", since=logged)
            assert "API token file cannot be used, the last good token stays in use" in line
        file.unlink()
        assert token == token_in_use()
        write(file, b"last-token")
        assert "last-token" == token_in_use()
        assert CANARY not in exporter.log
        assert "-token" not in exporter.log
        exporter.terminate()


def test_wrong_token_at_start(config: Path) -> None:
    """The error of one line names the option, and does not show the token."""
    files = {}
    for name, content in WRONG.items():
        folder = config.with_name(name)
        folder.mkdir()
        files[name] = folder / "rk.yml"
        files[name].write_text(config.read_text())
        write(folder / "token", content)
    config.with_name("missing").mkdir()
    files["missing"] = config.with_name("missing") / "rk.yml"
    files["missing"].write_text(config.read_text())
    for error in errors_at_start(files).values():
        assert "api.token_file: " in error
        assert CANARY not in error

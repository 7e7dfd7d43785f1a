"""A process whose one app has a bug in each pass."""

import os
import signal
import subprocess
import sys

from pathlib import Path

import httpx

from tests.support.building import samples, value


TOKEN = "a-token-that-nobody-must-see"
CONFIG = """\
account_id: account
api: {budget: 100000}
scrape: {min_interval: 0s}
state: {file: state.json}
web: {listen_address: "127.0.0.1:0"}
apps:
  - {app_id: buggy, meetings: {ids: [a]}}
  - {app_id: sound, meetings: {ids: [b]}}
"""


def test_bug_in_one_app(tmp_path: Path, root: Path) -> None:
    """The process serves the other app, saves its state, shows no secret, and ends with 0."""
    file = tmp_path / "rk.yml"
    file.write_text(CONFIG)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.buggy_exporter", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "CLOUDFLARE_API_TOKEN": TOKEN},
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        answers = [httpx.get(f"{url}/metrics", timeout=20) for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
    assert [answer.status_code for answer in answers] == [200] * 3
    text = answers[-1].text
    errors = samples(text, "rk_exporter_internal_errors_total")
    assert errors == {'{rk_app="buggy"}': 3, '{rk_app="sound"}': 0}
    assert value(text, "rk_up", rk_app="sound") == 1
    assert value(text, "rk_state_file_last_write_successful") == 1
    assert process.returncode == 0
    # The same bug may be in one call or in two calls of a pass, which are different tracebacks.
    lines = [line for line in log.splitlines() if "internal error" in line]
    assert 1 <= len(lines) <= len(answers)
    for line in lines:
        assert "app=buggy" in line
        assert "RuntimeError" in line
    saved = (tmp_path / "state.json").read_text()
    for output in (log, text, saved):
        assert TOKEN not in output
    assert "https://" not in log

"""Canary secrets are searched for in everything that ever leaves the process."""

import logging
import os
import re
import subprocess
import sys

from pathlib import Path

import httpx
import pytest

from click.testing import CliRunner

from rk_exporter.cli import main
from rk_exporter.exposition import Format
from rk_exporter.simulator import CANARY, Fault, Simulator
from tests.building import ACCOUNT, APP, in_process, run, setup
from tests.serving import served
from tests.test_metrics import every_state


TOKEN = "canary-token-4f1b9a"
CANARIES = (CANARY, TOKEN, "X-Amz-Signature")
MEETINGS = ["invoked", "recording", "paused", "uploading", "uploaded", "errored", "no-bucket"]


def assert_no_canary(text: str, *, where: str) -> None:
    for canary in CANARIES:
        assert canary not in text, f"{canary} in {where}"


def simulated(**options: object) -> Simulator:
    each = setup(*every_state(), token=TOKEN, **options)  # type: ignore[arg-type] # switches of the simulator
    return each.simulator


def test_the_canaries_are_there_to_be_found() -> None:
    """What the API sends holds the canaries: a search that finds nothing has searched something."""

    async def ask() -> str:
        url = (
            f"http://api/client/v4/accounts/{ACCOUNT}/realtime/kit/{APP}"
            "/recordings/active-recording/uploaded"
        )
        async with in_process(simulated())() as client:
            return (await client.get(url, headers={"Authorization": f"Bearer {TOKEN}"})).text

    text = run(ask())
    assert CANARY in text
    assert "X-Amz-Signature" in text


@pytest.mark.parametrize("fault", [None, *(f for f in Fault if f is not Fault.TRUNCATED)])
def test_pages_logs_and_objects(fault: Fault | None, caplog: pytest.LogCaptureFixture) -> None:
    """No page in any format, no line of any debug log, no object's text has a secret."""
    for name in (None, "rk_exporter", "httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    each = setup(*every_state(), linger_seconds=1e9)
    if fault:
        for meeting_id in MEETINGS:
            each.simulator.inject(meeting_id, fault)

    async def ask() -> list[str]:
        short = {"X-Prometheus-Scrape-Timeout-Seconds": "0.2"}
        pages = [
            (await each.get("/metrics", {"Accept": form.value, **short})).text for form in Format
        ]
        others = [(await each.get(path)).text for path in ("/", "/-/healthy", "/-/ready", "/nope")]
        return pages + others

    for page in run(ask()):
        assert_no_canary(page, where="a page")
    assert_no_canary("\n".join(map(logging.Formatter().format, caplog.records)), where="the log")
    assert_no_canary(repr(each.exporter.scraper.snapshot), where="the snapshot")


@pytest.mark.parametrize("command", ["check", "scrape"])
@pytest.mark.parametrize("fault", [None, Fault.UNAUTHORIZED, Fault.HTML, Fault.GARBAGE_FIELDS])
def test_command_line(command: str, fault: Fault | None) -> None:
    """Neither what the commands print nor what they log has a secret."""
    simulator = simulated()
    if fault:
        simulator.inject("*", fault)
    with served(simulator) as url:
        meetings = [part for meeting in MEETINGS for part in ("--meeting-id", meeting)]
        result = CliRunner().invoke(
            main,
            [
                command,
                "--account-id",
                ACCOUNT,
                "--app-id",
                APP,
                *meetings,
                "--api.base-url",
                f"{url}/client/v4",
                "--log.level",
                "debug",
            ],
            env={"CLOUDFLARE_API_TOKEN": TOKEN},
        )
    assert "uploaded" in result.stdout
    assert_no_canary(result.output, where=command)


def test_a_whole_process(tmp_path: Path) -> None:
    """A running exporter lets no secret out: not by its pages, its log, its command line."""
    simulator = simulated()
    (tmp_path / "token").write_text(TOKEN)
    meetings = [part for meeting in MEETINGS for part in ("--meeting-id", meeting)]
    with served(simulator) as url:
        process = subprocess.Popen(
            [
                *(sys.executable, "-X", "dev", "-m", "rk_exporter", "serve"),
                *("--account-id", ACCOUNT, "--app-id", APP, *meetings),
                *("--api.token-file", str(tmp_path / "token")),
                *("--api.base-url", f"{url}/client/v4"),
                *("--web.listen-address", "127.0.0.1:0", "--log.level", "debug"),
                *("--api.budget", "1200", "--scrape.min-interval", "0s"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr
            match = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
            assert match
            pages = [httpx.get(f"{match[0]}/metrics").text]
            assert "rk_recording_status{" in pages[0]
            simulator.inject("*", Fault.BAD_GATEWAY, times=3)
            simulator.inject("recording", Fault.GARBAGE_FIELDS)
            pages.append(httpx.get(f"{match[0]}/metrics").text)
            (tmp_path / "token").write_text(f"{TOKEN} and more")
            pages.append(httpx.get(f"{match[0]}/metrics").text)
            command_line = Path(f"/proc/{process.pid}/cmdline")
            if command_line.exists():
                pages.append(command_line.read_text())
        finally:
            process.terminate()
            output, errors = process.communicate(timeout=10)
    for text in (*pages, output, errors):
        assert_no_canary(text, where="the process")
    assert "level=debug" in errors
    assert "level=warning" in errors
    assert 0 == process.returncode, os.linesep + errors

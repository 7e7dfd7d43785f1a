"""No output of the process contains one of the canary secrets."""

import logging
import os
import re
import subprocess
import sys
import time

from pathlib import Path

import httpx
import pytest

from click.testing import CliRunner

from rk_exporter.cli.main import main
from rk_exporter.metrics.exposition import Format
from rk_exporter.simulator import CANARY, Fault, ScriptedScenario, Simulator
from tests.support.building import (
    ACCOUNT,
    APP,
    NOW,
    ApiProxy,
    Call,
    Time,
    config,
    in_process,
    run,
    setup,
)
from tests.support.exporters import every_state, finish
from tests.support.serving import served


TOKEN = "canary-token-4f1b9a"
CANARIES = (CANARY, TOKEN, "X-Amz-Signature")
MEETINGS = [
    *("invoked", "recording", "paused", "uploading", "uploaded", "errored"),
    *("no-bucket", "several", "track"),
]
# Enough for all calls here, although a new process may make a small part of them only.
BUDGET = "100000"
# Some recordings of `every_state` still run this long before its moment.
BEFORE_SECONDS = 15


def assert_no_canary(text: str, *, where: str) -> None:
    for canary in CANARIES:
        assert canary not in text, f"{canary} in {where}"


def simulated(now: float = NOW) -> tuple[Simulator, Time]:
    """Return a simulator shortly before *now*, and its clock."""
    clock = Time(now - BEFORE_SECONDS)
    scenario = ScriptedScenario(recordings=every_state(now))
    return Simulator(scenario, clock=clock, token=TOKEN, rate_limit=0), clock


def test_canaries_exist() -> None:
    """Responses of the API contain the canaries, so the searches below can fail."""
    simulator, clock = simulated()
    clock.now = NOW
    (uploaded,) = (recording for recording in every_state() if recording.meeting_id == "uploaded")

    async def ask(path: str) -> str:
        url = f"http://api/client/v4/accounts/{ACCOUNT}/realtime/kit/{APP}/recordings{path}"
        async with in_process(simulator)() as client:
            return (await client.get(url, headers={"Authorization": f"Bearer {TOKEN}"})).text

    for path in ("", f"/{uploaded.id}"):
        text = run(ask(path))
        assert CANARY in text
        assert "X-Amz-Signature" in text


@pytest.mark.parametrize("fault", [None, *(f for f in Fault if f is not Fault.TRUNCATED)])
def test_pages_logs_objects_and_the_state_file(
    fault: Fault | None, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Pages, debug logs, representations of objects and files contain no secret."""
    for name in (None, "rk_exporter", "httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    file = tmp_path / "state.json"
    configuration = config(meeting_ids=MEETINGS, state__file=str(file))
    system = setup(*every_state(), configuration=configuration, linger_seconds=0)

    followed = set()

    def spoil(call: Call) -> None:
        if re.fullmatch(r"recordings/[^/]+", call.path):
            followed.add(call.path)
            if fault:
                system.simulator.inject("*", fault, times=1)

    async def collect_pages() -> list[str]:
        system.time.now = NOW - BEFORE_SECONDS
        found = await pages()
        system.time.now = NOW
        # First only reads by id fail, then all calls.
        system.proxy.before = spoil
        found += await pages()
        for meeting_id in (*MEETINGS, "*"):
            if fault:
                system.simulator.inject(meeting_id, fault)
        return found + await pages()

    async def pages() -> list[str]:
        short = {"X-Prometheus-Scrape-Timeout-Seconds": "0.2"}
        shown = [
            (await system.get("/metrics", {"Accept": form.value, **short})).text for form in Format
        ]
        return shown + [
            (await system.get(path)).text
            for path in ("/", "/api/v1/status", "/-/healthy", "/-/ready", "/nope")
        ]

    for page in finish(system, collect_pages):
        assert_no_canary(page, where="a page")
    assert_no_canary("\n".join(map(logging.Formatter().format, caplog.records)), where="the log")
    assert_no_canary(repr(system.exporter.collector.snapshot), where="the snapshot")
    kept = file.read_text()
    assert all(meeting_id in kept for meeting_id in MEETINGS)
    assert_no_canary(kept, where="the state file")
    assert followed


@pytest.mark.parametrize("command", ["check", "scrape"])
@pytest.mark.parametrize("fault", [None, Fault.UNAUTHORIZED, Fault.HTML, Fault.GARBAGE_FIELDS])
def test_command_line(command: str, fault: Fault | None, tmp_path: Path) -> None:
    """Output, logs and files of the commands contain no secret."""
    simulator, clock = simulated(time.time())
    proxy = ApiProxy(simulator)
    file = tmp_path / "state.json"
    with served(proxy) as url:
        meetings = [part for meeting in MEETINGS for part in ("--meeting-id", meeting)]
        arguments = [
            *(command, "--account-id", ACCOUNT, "--app-id", APP, *meetings),
            *("--api.base-url", f"{url}/client/v4", "--api.budget", BUDGET),
            *("--state.file", str(file), "--log.level", "debug"),
        ]
        environment = {"CLOUDFLARE_API_TOKEN": TOKEN}
        results = [CliRunner().invoke(main, arguments, env=environment)]
        clock.now += BEFORE_SECONDS
        results.append(CliRunner().invoke(main, arguments, env=environment))
        if fault:
            simulator.inject("*", fault)
        results.append(CliRunner().invoke(main, arguments, env=environment))
    for result in results:
        # A rejected token is all that `check` has to say.
        assert "uploaded" in result.stdout or "token: FAILED auth" in result.stdout
        assert_no_canary(result.output, where=command)
    if command == "scrape":
        uploaded = re.search(r'meeting_id="uploaded",recording_id="([^"]+)"', results[0].stdout)
        assert uploaded
        is_followed = f"recordings/{uploaded[1]}" in {call.path for call in proxy.calls}
        assert is_followed or fault is Fault.UNAUTHORIZED
        assert uploaded[1] in file.read_text()
        assert_no_canary(file.read_text(), where="the state file")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("fault", [None, Fault.UNAUTHORIZED, Fault.HTML, Fault.GARBAGE_FIELDS])
def test_probe(fault: Fault | None, form: str) -> None:
    """The report of a probe, which people paste into issues, has no secret, id or name."""
    simulator, clock = simulated(time.time())
    clock.now += BEFORE_SECONDS
    with served(simulator) as url:
        arguments = [
            *("check", "--probe", "--format", form, "--account-id", ACCOUNT, "--app-id", APP),
            *("--meeting-id", "uploaded", "--meeting-id", "errored", "--api.budget", BUDGET),
            *("--api.base-url", f"{url}/client/v4", "--log.level", "debug"),
        ]
        if fault:
            simulator.inject("*", fault)
        result = CliRunner().invoke(main, arguments, env={"CLOUDFLARE_API_TOKEN": TOKEN})
    assert "per_page=100" in result.stdout
    assert_no_canary(result.output, where="the report")
    names = [recording.output_file_name for recording in every_state()]
    for private in (ACCOUNT, APP, url, *(recording.id for recording in every_state()), *names):
        assert private not in result.stdout


def test_process(tmp_path: Path) -> None:
    """Pages, logs, files and the command line of a process contain no secret."""
    simulator, clock = simulated(time.time())
    proxy = ApiProxy(simulator)
    (tmp_path / "token").write_text(TOKEN)
    meetings = [part for meeting in MEETINGS for part in ("--meeting-id", meeting)]
    with served(proxy) as url:
        process = subprocess.Popen(
            [
                *(sys.executable, "-X", "dev", "-m", "rk_exporter", "serve"),
                *("--account-id", ACCOUNT, "--app-id", APP, *meetings),
                *("--api.token-file", str(tmp_path / "token")),
                *("--state.file", str(tmp_path / "state.json")),
                *("--api.base-url", f"{url}/client/v4"),
                *("--web.listen-address", "127.0.0.1:0", "--log.level", "debug"),
                *("--api.budget", BUDGET, "--scrape.min-interval", "0s"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr
            lines = iter(process.stderr.readline, "")
            match = next(filter(None, (re.search(r"http://127\S+?:\d+", line) for line in lines)))
            pages = [httpx.get(f"{match[0]}/metrics").text]
            assert "rk_recording_status{" in pages[0]
            clock.now += BEFORE_SECONDS
            pages.append(httpx.get(f"{match[0]}/metrics").text)
            assert "rk_recording_stop_reason{" in pages[1]
            simulator.inject("*", Fault.BAD_GATEWAY, times=3)
            simulator.inject("recording", Fault.GARBAGE_FIELDS)
            pages.append(httpx.get(f"{match[0]}/metrics").text)
            (tmp_path / "token").write_text(f"{TOKEN} and more")
            pages.append(httpx.get(f"{match[0]}/metrics").text)
            pages += [httpx.get(f"{match[0]}{path}").text for path in ("/", "/api/v1/status")]
            # The page also has the warnings of the log.
            assert "API token file cannot be used" in pages[-1]
            assert "has characters that no API token has" in pages[-2]
            command_line = Path(f"/proc/{process.pid}/cmdline")
            if command_line.exists():
                pages.append(command_line.read_text())
        finally:
            process.terminate()
            output, errors = process.communicate(timeout=10)
    files = [path for path in tmp_path.iterdir() if path.name != "token"]
    assert "state.json" in {path.name for path in files}
    for text in (*pages, output, errors, *(path.read_text() for path in files)):
        assert_no_canary(text, where="the process")
    assert "level=debug" in errors
    assert "level=warning" in errors
    assert 0 == process.returncode, os.linesep + errors

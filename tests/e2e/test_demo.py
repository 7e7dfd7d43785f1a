import re
import signal
import socket
import subprocess
import sys
import threading
import time

from pathlib import Path

import httpx

from rk_exporter import simulator
from rk_exporter.cli.simulator import demo_command
from rk_exporter.demo import demo
from rk_exporter.model.meeting import App, Meeting, Reading
from rk_exporter.model.recording import Recording, Status
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.building import NOW, labelled, samples, value
from tests.support.processes import invoke, started


def snapshot(*recordings: KnownRecording, **states: Status | None) -> Snapshot:
    """Return a snapshot of meetings and the states of their recordings."""
    meetings = dict.fromkeys([*states, *(known.meeting.meeting_id for known in recordings)])
    found = [known(name, status) for name, status in states.items() if status]
    readings = tuple(Reading(meeting=Meeting(name, name), recordings=()) for name in meetings)
    app = AppSnapshot(app=App("a", "b", "c"), readings=readings, recordings=(*recordings, *found))
    return Snapshot((app,), NOW)


def default_seed() -> int:
    (seed,) = (parameter.default for parameter in demo_command.params if parameter.name == "seed")
    assert isinstance(seed, int)
    return seed


def known(name: str, status: Status, *, invoked_at: float | None = None) -> KnownRecording:
    recording = Recording(
        recording_id=f"{name}-{invoked_at}", status=status, invoked_timestamp_seconds=invoked_at
    )
    return KnownRecording(meeting=Meeting(name, name), recording=recording, read_at=NOW)


def test_changes() -> None:
    """Only meetings in another state than before have a line."""
    first = snapshot(a=Status.INVOKED, b=Status.RECORDING, c=None)
    second = snapshot(a=Status.RECORDING, b=Status.RECORDING, c=Status.INVOKED)
    lines = [line.split(maxsplit=1) for line in demo.changes(first, second)]
    assert [["a", "INVOKED -> RECORDING"], ["c", "no recording -> INVOKED"]] == lines


def test_newest_recording() -> None:
    """The newest recording of a meeting counts, in whatever order recordings come."""
    first = known("a", Status.UPLOADED, invoked_at=NOW - 90)
    second = known("a", Status.INVOKED, invoked_at=NOW)
    assert [] == list(demo.changes(snapshot(first), snapshot(first)))
    for after in (snapshot(first, second), snapshot(second, first)):
        (line,) = demo.changes(snapshot(first), after)
        assert ["a", "UPLOADED -> INVOKED"] == line.split(maxsplit=1)


def test_unread_meeting() -> None:
    """An unread meeting has no state, and its first state has no previous one."""
    unread = Reading(meeting=Meeting("a", "a"))
    nothing = Snapshot((AppSnapshot(app=App("a", "b", "c"), readings=(unread,)),), NOW)
    assert [] == list(demo.changes(nothing, nothing))
    assert ["a", "INVOKED"] == next(demo.changes(nothing, snapshot(a=Status.INVOKED))).split()


def test_early_alert() -> None:
    """An alert fires soon, because a recording is stuck for 5 minutes when the demo starts."""
    scenario = simulator.GeneratedScenario(
        default_seed(), demo.MEETING_COUNT, NOW, simulator.DEMO_PACE
    )
    for seconds in range(0, 121, 10):
        now = NOW + seconds
        assert [
            recording
            for recording in scenario.recordings(now)
            if recording.status(now) == simulator.Status.INVOKED
            and now - recording.invoked_at > 300
        ], seconds


def test_run() -> None:
    """
    The demo prints URLs, a prometheus.yml and queries, and shows changes within a minute.

    Its metrics have recordings in progress and finished ones, none of them hidden at first.
    """
    free_port = "127.0.0.1:0"
    options = ("--web.listen-address", free_port, "--simulator.listen-address", free_port)
    with started("demo", *options) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(25)]
        shown = "".join(lines)
        exporter, simulated = re.findall(r"http://127\.0\.0\.1:\d+", shown)[:2]
        assert "scrape_configs:" in shown
        assert f'targets: ["{exporter.removeprefix("http://")}"]' in shown
        assert "token `simulated`" in shown
        assert all(query in shown for query in demo.QUERIES)
        assert "Ctrl-C" in shown
        assert 200 == httpx.get(simulated).status_code
        text = httpx.get(f"{exporter}/metrics").text
        assert 12 == len(samples(text, "rk_meeting_up"))
        assert {1.0} == set(samples(text, "rk_meeting_up").values())
        assert 12 == len(samples(text, "rk_meeting_info"))
        assert 1 == samples(text, "rk_discovery_up").popitem()[1]
        assert any(samples(text, "rk_meeting_live_participants").values())
        statuses = labelled(text, "rk_recording_status")
        states = [labels["status"] for labels, is_current in statuses if is_current]
        assert {"RECORDING", "UPLOADED", "ERRORED"} <= set(states)
        assert 0 == value(text, "rk_recordings_hidden")
        assert "rk_webhook_" not in text, "webhooks are off by default"
        assert 200 == httpx.get(f"{exporter}/-/ready").status_code
        changed = threading.Event()

        def watch() -> None:
            assert process.stdout
            for line in process.stdout:
                if " -> " in line:
                    changed.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        started_at = time.monotonic()
        assert changed.wait(60), "no recording changed within a minute"
        assert time.monotonic() - started_at < 60
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(15)
        watcher.join()


def test_webhooks() -> None:
    """
    With an address for webhooks, events arrive that announce what polling sees.

    The demo prints the command that shows them.
    """
    options = [
        part
        for name in ("web", "simulator", "webhook")
        for part in (f"--{name}.listen-address", "127.0.0.1:0")
    ]
    with started("demo", *options) as process:
        assert process.stdout
        shown = "".join(process.stdout.readline() for _ in range(25))
        webhook, command = (
            re.search(pattern, shown)
            for pattern in (
                r"(?m)^webhooks +(http://127\.0\.0\.1:\d+/webhooks/realtimekit) ",
                r"(?m)^How many events arrived:  (curl -s http://127\.0\.0\.1:\d+/metrics .*)$",
            )
        )
        assert webhook
        assert command
        forged = httpx.post(webhook[1], content=b"{}", headers={"rtk-signature": "AAAA"})
        assert 403 == forged.status_code
        deadline = time.monotonic() + 60
        text = ""
        while time.monotonic() < deadline and "rk_webhook_up" not in text:
            text = subprocess.run(
                ["/bin/sh", "-c", command[1]], check=True, capture_output=True, text=True
            ).stdout
            threading.Event().wait(0.5)
        assert 1 == value(text, "rk_webhook_up")
        assert 0 == value(text, "rk_webhook_missed_total")
        results = {
            labels["result"]: count
            for labels, count in labelled(text, "rk_webhook_events_total")
            if labels["event"] == "recording.statusUpdate"
        }
        assert results["accepted"] > 0
        assert 0 == sum(count for result, count in results.items() if result != "accepted")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=15)
        assert 0 == process.returncode


def test_webhook_address_in_use() -> None:
    """An address in use is an error of one line that names the option."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        options = ("--web.listen-address", "127.0.0.1:0", "--simulator.listen-address")
        result = invoke("demo", *options, "127.0.0.1:0", "--webhook.listen-address", address)
    assert 1 == result.exit_code
    assert f"cannot listen on {address}" in result.output
    assert "--webhook.listen-address :" in result.output
    assert 1 == result.output.count("\n")


def test_full_disk() -> None:
    """Output that cannot be written ends the demo with an error of one line, and exit code 1."""
    options = ("--web.listen-address", "127.0.0.1:0", "--simulator.listen-address", "127.0.0.1:0")
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "rk_exporter", "demo", *options],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (1, "Error: cannot write the output: No space left on device\n") == (
        result.returncode,
        result.stderr,
    )

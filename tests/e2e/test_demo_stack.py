"""The demo with a real Prometheus and a real Alertmanager."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rk_exporter.config.parsers import Address
from rk_exporter.demo import stack as demo_stack
from rk_exporter.demo.demo import QUERIES
from rk_exporter.demo.programs import GRACE_SECONDS
from tests.support.monitoring.servers import eventually, free_port
from tests.support.processes import invoke, started
from tests.support.programs import Monitoring


FREE_PORT = "127.0.0.1:0"
ADDRESSES = (
    *("--web.listen-address", FREE_PORT),
    *("--simulator.listen-address", FREE_PORT),
    *("--prometheus.listen-address", f"127.0.0.1:{free_port()}"),
    *("--alertmanager.listen-address", f"127.0.0.1:{free_port()}"),
)
needs_programs = pytest.mark.usefixtures("prometheus", "alertmanager")


@pytest.fixture
def environment(prometheus: str, alertmanager: str, tmp_path: Path) -> dict[str, str]:
    """Return variables with the path of both programs, and a folder for temporary files."""
    (tmp_path / "temporary").mkdir()
    folders = (str(Path(program).parent) for program in (prometheus, alertmanager))
    return {"TMPDIR": str(tmp_path / "temporary"), "PATH": ":".join(folders)}


def left_in(folder: Path) -> list[str]:
    return [path.name for path in (folder / "temporary").iterdir()]


def running_in(folder: Path) -> dict[int, str]:
    """Return the command lines that contain a folder, by the id of their process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        if str(folder) in command:
            found[int(path.parent.name)] = command
    return found


def urls_of(process: subprocess.Popen[str]) -> dict[str, str]:
    """Return the URLs that the demo prints, by the program."""
    assert process.stdout
    found: dict[str, str] = {}
    for line in process.stdout:
        if "Ctrl-C" in line:
            return found
        if match := re.match(r"(rk-exporter|Prometheus|Alertmanager) +(http://\S+)", line):
            found[match[1]] = match[2]
    assert process.stderr
    pytest.fail(f"the demo ended: {process.stderr.read()}")


def fetched(url: str) -> Any:
    return httpx.get(url).raise_for_status().json()


@pytest.fixture
def demo(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with started("demo", "--stack", *ADDRESSES, environment=environment) as process:
        yield process
        # After a failed test, the processes would keep the ports and the folder.
        process.terminate()
        process.communicate(timeout=30)


def test_from_start_to_stop(
    demo: subprocess.Popen[str], monitoring: Monitoring, tmp_path: Path
) -> None:
    """Prometheus scrapes the exporter and evaluates the rules; the end leaves nothing behind."""
    urls = urls_of(demo)
    # Debian's Prometheus has other pages than the upstream one.
    if monitoring is Monitoring.DEBIAN:
        assert urls["Prometheus"].endswith("/alerts")
        assert "Alerts" in httpx.get(urls["Prometheus"]).raise_for_status().text
    else:
        # The build for the tests has no pages at all.
        assert re.fullmatch(r"http://[\d.:]+", urls["Prometheus"])
    prometheus = urls["Prometheus"].removesuffix("/alerts").removesuffix("/classic")
    assert 200 == httpx.get(f"{urls['Alertmanager']}/-/ready").status_code
    target = urls["rk-exporter"].removeprefix("http://").removesuffix("/metrics")

    def is_scraped() -> bool:
        targets = fetched(f"{prometheus}/api/v1/targets")["data"]["activeTargets"]
        shown = [(target["labels"], target["health"]) for target in targets]
        return shown == [({"job": "rk-exporter", "instance": target}, "up")]

    eventually(is_scraped, what="Prometheus scrapes only the exporter")

    def is_evaluated() -> bool:
        groups = fetched(f"{prometheus}/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert [] == [rule for rule in rules if rule["health"] == "err"]
        return {"RealtimeKitRecordingErrored", "RealtimeKitRecordingStuckInvoked"} <= {
            rule["name"] for rule in rules if rule["health"] == "ok"
        }

    eventually(is_evaluated, what="Prometheus evaluates the rules")
    alertmanagers = fetched(f"{prometheus}/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert [f"{urls['Alertmanager']}/api/v2/alerts"] == [
        alertmanager["url"] for alertmanager in alertmanagers
    ]
    for query in QUERIES:

        def has_result(query: str = query) -> bool:
            response = httpx.get(f"{prometheus}/api/v1/query", params={"query": query})
            return bool(response.raise_for_status().json()["data"]["result"])

        eventually(has_result, what=f"{query} has a result")
    assert 2 == len(running_in(tmp_path))
    (folder,) = left_in(tmp_path)
    assert folder.startswith("rk-exporter-demo-")

    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=30)
    assert (0, "") == (demo.returncode, errors)
    assert ({}, []) == (running_in(tmp_path), left_in(tmp_path))


@needs_programs
def test_both_are_ready() -> None:
    """Both are ready when the context begins, and stopped when it has ended."""
    stack = demo_stack.prepare(Address("", free_port()), Address("", free_port()))
    urls = [stack.prometheus.address.url, stack.alertmanager.address.url]

    async def statuses() -> list[int]:
        async with (
            demo_stack.started(stack, target="127.0.0.1:10058"),
            httpx.AsyncClient() as client,
        ):
            return [(await client.get(f"{url}/-/ready")).status_code for url in urls]

    assert [200, 200] == asyncio.run(statuses())
    for url in urls:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_stopped_while_it_starts(
    demo: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    """A signal before both programs are ready stops those that run."""
    eventually(lambda: bool(running_in(tmp_path)), what="a program has started")
    demo.send_signal(number)
    _, errors = demo.communicate(timeout=30)
    assert 0 == demo.returncode, errors
    assert ({}, []) == (running_in(tmp_path), left_in(tmp_path))


def test_second_signal(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    """A second signal kills programs that do not terminate, before their grace period ends."""
    urls_of(demo)
    for number in running_in(tmp_path):
        os.kill(number, signal.SIGSTOP)
    started_at = time.monotonic()

    def has_ended() -> bool:
        demo.send_signal(signal.SIGINT)
        return demo.poll() is not None

    eventually(has_ended, what="the demo has ended")
    assert time.monotonic() - started_at < GRACE_SECONDS
    assert ({}, []) == (running_in(tmp_path), left_in(tmp_path))


@pytest.mark.parametrize("title", ["Prometheus", "Alertmanager"])
def test_one_dies(demo: subprocess.Popen[str], tmp_path: Path, title: str) -> None:
    """If a program ends, the demo ends with an error and the last lines of the program's log."""
    urls_of(demo)
    (number,) = (
        number for number, command in running_in(tmp_path).items() if f"{title}.yml" in command
    )
    os.kill(number, signal.SIGTERM)
    _, errors = demo.communicate(timeout=30)
    first, *log = errors.splitlines()
    assert 1 == demo.returncode
    assert first.startswith(f"Error: {title} ended with exit code ")
    # Each version has its own words.
    assert any(re.search("SIGTERM|exiting gracefully|See you next time", line) for line in log)
    assert ({}, []) == (running_in(tmp_path), left_in(tmp_path))


def test_one_cannot_start(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that ends before it is ready is an error with the last lines of its log."""
    (tmp_path / "prometheus").write_text("#!/bin/sh\necho out of luck >&2\nexit 3\n")
    (tmp_path / "prometheus").chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", environment["TMPDIR"])
    path = f"{tmp_path}:{environment['PATH']}"
    result = invoke("demo", "--stack", *ADDRESSES, environment={"PATH": path})
    assert 1 == result.exit_code
    assert "Error: Prometheus ended with exit code 3:\n  out of luck\n" == result.output
    assert ({}, []) == (running_in(tmp_path / "temporary"), left_in(tmp_path))


def test_nothing_installed() -> None:
    """The error about missing programs names their packages."""
    result = invoke("demo", "--stack", *ADDRESSES, environment={"PATH": ""})
    assert 1 == result.exit_code
    assert (
        "Error: not installed: Prometheus and Alertmanager; on Debian: "
        "apt install prometheus prometheus-alertmanager\n"
    ) == result.output


@needs_programs
@pytest.mark.parametrize("option", ["--prometheus.listen-address", "--alertmanager.listen-address"])
def test_address_in_use(option: str) -> None:
    """An address in use is an error of one line with the option that changes it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = invoke("demo", "--stack", *ADDRESSES, option, address)
    assert 1 == result.exit_code
    (line,) = result.output.splitlines()
    assert line.startswith(f"Error: cannot listen on {address}: Address already in use; ")
    assert option in line


def test_prometheus_configuration(root: Path, tmp_path: Path) -> None:
    """The example changes only in addresses, the path of the rules, and intervals."""
    example = (root / "dashboards/examples/prometheus.yml").read_text()
    made = demo_stack.prometheus_configuration(
        yaml.safe_load(example), target="a:1", alertmanager="b:2", rules=tmp_path / "rules.yml"
    )
    wanted = yaml.safe_load(
        example.replace("localhost:10058", "a:1")
        .replace("localhost:9093", "b:2")
        .replace("../rules/rk-exporter.rules.yml", str(tmp_path / "rules.yml"))
        .replace("interval: 30s", "interval: 5s")
    )
    assert wanted == made


def test_rules(root: Path) -> None:
    """The shipped rules change only in the evaluation interval."""
    shipped = (root / "dashboards/rules/rk-exporter.rules.yml").read_text()
    wanted = yaml.safe_load(shipped.replace("interval: 30s", "interval: 5s"))
    assert wanted == demo_stack.rule_groups(yaml.safe_load(shipped))


def test_alertmanager_configuration(root: Path) -> None:
    """The example keeps routes and inhibitions, and loses all notifications."""
    document = yaml.safe_load((root / "dashboards/examples/alertmanager.yml").read_text())
    made = demo_stack.alertmanager_configuration(document)
    assert (document["route"], document["inhibit_rules"]) == (made["route"], made["inhibit_rules"])
    assert [receiver["name"] for receiver in document["receivers"]] == [
        receiver["name"] for receiver in made["receivers"]
    ]
    assert "url" not in yaml.safe_dump(made)

"""The demo with a real Prometheus and a real Alertmanager beside it."""

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

from rk_exporter import demo_stack
from rk_exporter.demo_programs import GRACE_SECONDS
from rk_exporter.option_values import Address
from tests.support.monitoring.servers import eventually
from tests.test_cli import invoke, started


ANYWHERE = "127.0.0.1:0"
ADDRESSES = (
    *("--web.listen-address", ANYWHERE),
    *("--simulator.listen-address", ANYWHERE),
    *("--prometheus.listen-address", ANYWHERE),
    *("--alertmanager.listen-address", ANYWHERE),
)
needs_programs = pytest.mark.usefixtures("prometheus", "alertmanager")


@pytest.fixture
def environment(prometheus: str, alertmanager: str, tmp_path: Path) -> dict[str, str]:
    """Return one with both programs, and with temporary folders in a folder of the test's."""
    (tmp_path / "temporary").mkdir()
    folders = (str(Path(each).parent) for each in (prometheus, alertmanager))
    return {"TMPDIR": str(tmp_path / "temporary"), "PATH": ":".join(folders)}


def left_in(folder: Path) -> list[str]:
    return [path.name for path in (folder / "temporary").iterdir()]


def running_in(folder: Path) -> dict[int, str]:
    """Return the processes that have a folder in their command line, by their id."""
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
    """Return the addresses that the demo says, by what is there."""
    assert process.stdout
    found: dict[str, str] = {}
    for line in process.stdout:
        if "Ctrl-C" in line:
            return found
        if match := re.match(r"(rk-exporter|Prometheus|Alertmanager) +(http://\S+)", line):
            found[match[1]] = match[2]
    assert process.stderr
    pytest.fail(f"the demo has ended: {process.stderr.read()}")


def answer(url: str) -> Any:
    return httpx.get(url).raise_for_status().json()


@pytest.fixture
def demo(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with started("demo", "--stack", *ADDRESSES, environment=environment) as process:
        yield process
        # What a failed test leaves running would hold the ports and the folder.
        process.terminate()
        process.communicate(timeout=30)


def test_from_start_to_stop(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    """Prometheus scrapes the exporter by the rules, Alertmanager is there; then all is gone."""
    urls = urls_of(demo)
    # Debian's has other pages than the project's own.
    assert urls["Prometheus"].endswith("/alerts")
    assert "Alerts" in httpx.get(urls["Prometheus"]).raise_for_status().text
    prometheus = urls["Prometheus"].removesuffix("/alerts").removesuffix("/classic")
    assert 200 == httpx.get(f"{urls['Alertmanager']}/-/ready").status_code
    target = urls["rk-exporter"].removeprefix("http://").removesuffix("/metrics")

    def is_scraped() -> bool:
        targets = answer(f"{prometheus}/api/v1/targets")["data"]["activeTargets"]
        shown = [(each["labels"], each["health"]) for each in targets]
        return shown == [({"job": "rk-exporter", "instance": target}, "up")]

    eventually(is_scraped, what="the exporter, and nothing else, is scraped")

    def is_evaluated() -> bool:
        groups = answer(f"{prometheus}/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert [] == [rule for rule in rules if rule["health"] == "err"]
        return {"RKRecordingErrored", "RKRecordingStuckInvoked"} <= {
            rule["name"] for rule in rules if rule["health"] == "ok"
        }

    eventually(is_evaluated, what="the rules are loaded, and can be evaluated")
    alertmanagers = answer(f"{prometheus}/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert [f"{urls['Alertmanager']}/api/v2/alerts"] == [each["url"] for each in alertmanagers]
    assert 2 == len(running_in(tmp_path))
    (folder,) = left_in(tmp_path)
    assert folder.startswith("rk-exporter-demo-")

    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=30)
    assert (0, "") == (demo.returncode, errors)
    assert ({}, []) == (running_in(tmp_path), left_in(tmp_path))


@needs_programs
def test_both_are_ready() -> None:
    """Both answer when the context begins, at the URLs that are told, and not when it has ended."""
    anywhere = Address("", 0)
    stack = demo_stack.prepare(prometheus_address=anywhere, alertmanager_address=anywhere)
    urls = [stack.prometheus.url, stack.alertmanager.url]

    async def look() -> list[int]:
        async with (
            demo_stack.started(stack, target="127.0.0.1:10058"),
            httpx.AsyncClient() as client,
        ):
            return [(await client.get(f"{url}/-/ready")).status_code for url in urls]

    assert [200, 200] == asyncio.run(look())
    for url in urls:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_stopped_while_it_starts(
    demo: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    """A signal that comes before all is ready ends what has been started."""
    eventually(lambda: bool(running_in(tmp_path)), what="something is started")
    demo.send_signal(number)
    demo.communicate(timeout=30)
    assert 0 == demo.returncode
    assert ({}, []) == (running_in(tmp_path), left_in(tmp_path))


def test_a_second_signal(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    """What does not end when it is asked to is killed by another signal, long before its time."""
    urls_of(demo)
    for number in running_in(tmp_path):
        os.kill(number, signal.SIGSTOP)
    begun = time.monotonic()

    def has_ended() -> bool:
        demo.send_signal(signal.SIGINT)
        return demo.poll() is not None

    eventually(has_ended, what="the demo has ended")
    assert time.monotonic() - begun < GRACE_SECONDS
    assert ({}, []) == (running_in(tmp_path), left_in(tmp_path))


@pytest.mark.parametrize("title", ["Prometheus", "Alertmanager"])
def test_one_dies(demo: subprocess.Popen[str], tmp_path: Path, title: str) -> None:
    """When one of them ends by itself, so does the demo, with the end of its log."""
    urls_of(demo)
    (number,) = (
        number for number, command in running_in(tmp_path).items() if f"{title}.yml" in command
    )
    os.kill(number, signal.SIGTERM)
    _, errors = demo.communicate(timeout=30)
    first, *log = errors.splitlines()
    assert 1 == demo.returncode
    assert first.startswith(f"Error: {title} has ended with exit code ")
    assert any("SIGTERM" in line for line in log)
    assert ({}, []) == (running_in(tmp_path), left_in(tmp_path))


def test_one_cannot_start(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that ends before it is ready is an error with the end of its log."""
    (tmp_path / "prometheus").write_text("#!/bin/sh\necho out of luck >&2\nexit 3\n")
    (tmp_path / "prometheus").chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", environment["TMPDIR"])
    path = f"{tmp_path}:{environment['PATH']}"
    result = invoke("demo", "--stack", *ADDRESSES, environment={"PATH": path})
    assert 1 == result.exit_code
    assert "Error: Prometheus has ended with exit code 3:\n  out of luck\n" == result.output
    assert ({}, []) == (running_in(tmp_path / "temporary"), left_in(tmp_path))


def test_nothing_installed() -> None:
    """Without the programs the error says which packages have them."""
    result = invoke("demo", "--stack", *ADDRESSES, environment={"PATH": ""})
    assert 1 == result.exit_code
    assert (
        "Error: not installed: Prometheus and Alertmanager; on Debian: "
        "apt install prometheus prometheus-alertmanager\n"
    ) == result.output


@needs_programs
@pytest.mark.parametrize("option", ["--prometheus.listen-address", "--alertmanager.listen-address"])
def test_taken_address(option: str) -> None:
    """An address that is taken is one line, with the option that takes another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = invoke("demo", "--stack", *ADDRESSES, option, address)
    assert 1 == result.exit_code
    (line,) = result.output.splitlines()
    assert line.startswith(f"Error: cannot listen on {address}: Address already in use; ")
    assert option in line


def test_prometheus_configuration(root: Path, tmp_path: Path) -> None:
    """Of the example all is kept but addresses, the path of the rules, and intervals."""
    example = (root / "dashboards/examples/prometheus.yml").read_text()
    made = demo_stack.prometheus_configuration(
        example, target="a:1", alertmanager="b:2", rules=tmp_path / "rules.yml"
    )
    wanted = yaml.safe_load(
        example.replace("localhost:10058", "a:1")
        .replace("localhost:9093", "b:2")
        .replace("../rules/rk-exporter.rules.yml", str(tmp_path / "rules.yml"))
        .replace("interval: 30s", "interval: 5s")
    )
    assert wanted == made


def test_rules(root: Path) -> None:
    """Of the shipped rules nothing is changed but how often they are evaluated."""
    shipped = (root / "dashboards/rules/rk-exporter.rules.yml").read_text()
    wanted = yaml.safe_load(shipped.replace("interval: 30s", "interval: 5s"))
    assert wanted == demo_stack.rule_groups(shipped)


def test_alertmanager_configuration(root: Path) -> None:
    """Of the example routes and inhibitions are kept, and nothing that is sent anywhere."""
    example = (root / "dashboards/examples/alertmanager.yml").read_text()
    document = yaml.safe_load(example)
    made = demo_stack.alertmanager_configuration(example)
    assert (document["route"], document["inhibit_rules"]) == (made["route"], made["inhibit_rules"])
    assert [each["name"] for each in document["receivers"]] == [
        each["name"] for each in made["receivers"]
    ]
    assert "url" not in yaml.safe_dump(made)

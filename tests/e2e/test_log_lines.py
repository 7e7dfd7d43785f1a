"""What operators of a real process read in its log."""

import json

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from rk_exporter import __version__
from rk_exporter.simulator import Fault, ScriptedScenario, Simulator
from tests.support.building import scripted
from tests.support.processes import started, url_in
from tests.support.serving import served


CONFIGURATION = """\
account_id: account
apps:
  - name: production
    app_id: app-1
    api_token_env: TOKEN
    budget_group: acme
    meetings: {{ids: [a, b], files: [meetings.txt], discover: true}}
  - name: staging
    app_id: app-2
    api_token_env: TOKEN
    budget_group: acme
    budget: 300
    read: list
    meetings: {{ids: [c]}}
  - {{app_id: app-3, api_token_env: OTHER_TOKEN, meetings: {{ids: [d]}}}}
api: {{base_url: {url}/client/v4}}
scrape: {{min_interval: 0s}}
web: {{listen_address: "127.0.0.1:0"}}
"""
TOKENS = {"TOKEN": "simulated", "OTHER_TOKEN": "of-another-user"}
Event = dict[str, Any]


@contextmanager
def serving(folder: Path, simulator: Simulator, *options: str) -> Iterator[tuple[str, list[Event]]]:
    """Run the exporter; return its URL, and the events of its log until then and after its end."""
    with served(simulator) as url:
        (folder / "meetings.txt").write_text("b\ne\n")
        (folder / "rk.yml").write_text(CONFIGURATION.format(url=url))
        events: list[Event] = []
        arguments = ("serve", "--config.file", str(folder / "rk.yml"), "--log.format", "json")
        with started(*arguments, *options, environment=TOKENS) as process:
            assert process.stderr
            for line in process.stderr:
                events.append(json.loads(line))
                if events[-1]["msg"] == "listening":
                    break
            exporter = url_in(line)
            # From now on the process handles signals.
            httpx.get(f"{exporter}/-/healthy")
            yield exporter, events
            process.terminate()
            _, rest = process.communicate(timeout=30)
            events += map(json.loads, rest.splitlines())


def simulated() -> Simulator:
    scenario = ScriptedScenario(meetings=[*"abcde"], recordings=[scripted("a")])
    return Simulator(scenario, token=tuple(TOKENS.values()))


def test_start(tmp_path: Path) -> None:
    """First comes the version, then each app: how it is read, its meetings, budget and group."""
    with serving(tmp_path, simulated()) as (_, events):
        start, *apps = events
    assert ("starting rk-exporter", __version__) == (start["msg"], start["version"])
    names = ["read", "meetings", "configured", "in_files", "files", "discover"]
    names += ["budget", "budget_group"]
    assert {
        "production": ("auto", 3, 2, 2, 1, True, 300, "acme"),
        "staging": ("list", 1, 1, 0, 0, False, 300, "acme"),
        "app-3": ("auto", 1, 1, 0, 0, False, 600, ""),
    } == {event["app"]: tuple(event[name] for name in names) for event in apps[:3]}
    assert {"app is configured"} == {event["msg"] for event in apps[:3]}
    assert "rk_exporter.cli.start_log" == start["logger"]
    assert "listening" == apps[-1]["msg"]


def test_failures_and_calls(tmp_path: Path) -> None:
    """A failing meeting is named with the remedy, and at level debug each call has a line."""
    simulator = simulated()
    simulator.inject("d", Fault.SERVER_ERROR)
    with serving(tmp_path, simulator, "--log.level", "DEBUG") as (url, events):
        for _ in range(2):
            httpx.get(f"{url}/metrics", timeout=30)
        simulator.clear()
        httpx.get(f"{url}/metrics", timeout=30)
    (failure,) = (event for event in events if event["msg"].startswith("meetings cannot be read"))
    assert ("warning", "app-3", "d", "server_error") == tuple(
        failure[name] for name in ("level", "app", "meeting_ids", "reason")
    )
    assert "Cloudflare's status page" in failure["remedy"]
    (end,) = (event for event in events if event["msg"].endswith("can be read again"))
    assert "d" == end["meeting_ids"]
    calls = [event for event in events if event["msg"].startswith("API call: ")]
    assert simulator.requests.total == sum(event["attempts"] for event in calls)
    about_d = [event for event in calls if event.get("meeting_id") == "d"]
    assert ["500", "500", "404"] == [event["code"] for event in about_d]
    assert "API call: no active recording" == about_d[-1]["msg"]
    assert all(event["duration_seconds"] >= 0 for event in calls)
    assert "stopped" == events[-1]["msg"]

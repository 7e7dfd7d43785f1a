"""A real Prometheus answers every query of every dashboard with data."""

import json
import re
import time

from collections.abc import Iterator
from pathlib import Path

import pytest

from rk_exporter.model.recording import Status
from rk_exporter.simulator import Fault, Simulator
from tests import every_state, shortened
from tests.grafana import questions
from tests.monitoring import Prometheus, eventually, exporter, started_prometheus
from tests.support.building import Time
from tests.support.markdown import rows
from tests.support.serving import served


# Where a dashboard shows one meeting.
CHOSEN = {"meeting": every_state.WHOLE_LIFE}
# What the story gives reason for.
ALERTS = {
    "RKDataStale",
    "RKDownloadURLExpiringSoon",
    "RKMeetingNotRecorded",
    "RKRecordingEmptyFile",
    "RKRecordingErrored",
    "RKRecordingNearTimeLimit",
    "RKRecordingStuckInvoked",
    "RKRecordingStuckUploading",
}


@pytest.fixture(scope="module")
def server(
    prometheus: str, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Start a Prometheus that has watched, through two exporters, all that can happen."""
    folder = tmp_path_factory.mktemp("panels")
    # It ends about now.
    clock = Time(time.time() - len(every_state.STEPS) * every_state.STEP_SECONDS)
    simulator = every_state.simulator(clock)
    shortened.write_rules(root, folder / "rules.yml")
    with served(simulator) as api:
        file = every_state.write_configuration(folder, simulator.scenario, api)
        first, second = (
            exporter(
                folder,
                *("--config.file", str(file), "--state.file", str(folder / f"{name}.json")),
                environment=every_state.ENVIRONMENT,
            )
            for name in ("first", "second")
        )
        with (
            first,
            second,
            started_prometheus(
                prometheus,
                folder,
                targets={shortened.JOB: [first.address, second.address]},
                rule_files=[folder / "rules.yml"],
            ) as server,
        ):
            tell(simulator, clock, server)
            yield server


def tell(simulator: Simulator, clock: Time, server: Prometheus) -> None:
    """Let all happen, one step after the other as soon as both exporters have shown the last."""

    def both_show(promql: str) -> None:
        eventually(lambda: server.number(f"count({promql})") == 2, what=promql)

    both_show(f'rk_meeting_up{{meeting_id="{every_state.BREAKS}"}} == 1')
    simulator.inject(every_state.BREAKS, Fault.SERVER_ERROR)
    begin = clock.now
    for step, status in enumerate(every_state.STEPS):
        clock.now = begin + 1 + step * every_state.STEP_SECONDS
        meeting = f'meeting_id="{every_state.WHOLE_LIFE}"'
        both_show(f'rk_recording_status{{{meeting}, status="{status}"}} == 1')
    for outcome in ("uploaded", "errored", "vanished"):
        both_show(f'rk_recordings_finished_total{{outcome="{outcome}"}} == 1')


def test_the_story_is_whole(server: Prometheus, root: Path) -> None:
    """What is asked of holds each metric that is documented, and a recording in each state."""
    documented = {row[0].strip("`") for row in rows((root / "README.md").read_text(), "## Metrics")}
    stored = {re.sub("_bucket$", "", each) for each in server.label_values("__name__")}
    assert set() == documented - stored
    states = {each["metric"]["status"] for each in server.query("rk_recording_status == 1")}
    assert set(Status) == states


def test_every_query_has_data(server: Prometheus, root: Path) -> None:
    """Of each panel, variable and annotation; no query is refused, and none gives only NaN."""
    files = sorted((root / "dashboards").glob("*.json"))
    dashboards = [json.loads(each.read_text()) for each in files]
    assert {"rk-overview", "rk-recordings", "rk-recording", "rk-exporter"} == {
        each["uid"] for each in dashboards
    }
    lacking = [each for dashboard in dashboards for each in questions(dashboard, CHOSEN)]

    def none_lacks() -> bool:
        lacking[:] = [each for each in lacking if each.lack(server)]
        return not lacking

    eventually(
        none_lacks,
        what="every query has data",
        told=lambda: "\n".join(
            f"{each.place}: {each.lack(server)}: {each.promql}" for each in lacking
        ),
    )


def test_every_rule_is_evaluated(server: Prometheus) -> None:
    """None has an error, though two exporters tell of the same; alerts say all that they should."""

    def raised() -> set[str]:
        return {each["metric"]["alertname"] for each in server.query("ALERTS")}

    eventually(lambda: raised() >= ALERTS, what=f"all of {ALERTS} are there")
    rules = server.rules()
    assert [] == [(each["name"], each["lastError"]) for each in rules if each["health"] != "ok"]
    alerts = [alert for each in rules for alert in each.get("alerts", [])]
    texts = [text for each in alerts for text in each["annotations"].values()]
    assert [] == [text for text in texts if re.search("<error|<no value>|{{", text)]


def test_what_is_wrong_with_a_query_is_told(server: Prometheus) -> None:
    """In rows too; no data, no values, only NaN and each kind of error are told apart."""
    lacks = {
        'rk_meetings{app=~"$app"}': None,
        "rk_no_metric": "no data",
        "0 * rk_meetings / 0": "only NaN",
        "sum(rk_meetings": "parse error",
        "rk_meetings * on (app) rk_recording_status": "found duplicate series",
    }
    targets = [
        {"refId": f"{query}, {kind}", "expr": query, "instant": kind == "instant"}
        for query in lacks
        for kind in ("instant", "range")
    ]
    dashboard = {
        "title": "Board",
        "templating": {
            "list": [
                {
                    "name": name,
                    "type": "query",
                    "query": f"label_values(rk_meetings, {name})",
                    "includeAll": True,
                }
                for name in ("app", "nothing")
            ]
        },
        "annotations": {"list": [{"builtIn": 1}, {"name": "Alerts", "expr": "ALERTS"}]},
        "panels": [{"title": "Row", "panels": [{"title": "Panel", "targets": targets}]}],
    }
    told = {each.place: each.lack(server) for each in questions(dashboard, chosen={})}
    assert None is told.pop("Board, $app") is told.pop("Board, annotation Alerts")
    assert "no values" == told.pop("Board, $nothing")
    assert len(told) == len(targets)
    for place, lack in told.items():
        expected = lacks[place.removeprefix("Board, Panel, ").rpartition(", ")[0]]
        assert lack is None if expected is None else expected in str(lack), place

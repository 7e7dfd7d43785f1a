"""A real Prometheus returns data for every query of every dashboard."""

import json
import re
import time

from collections.abc import Iterator
from pathlib import Path

import pytest

from rk_exporter.model.recording import Status
from rk_exporter.simulator import Fault, Simulator
from tests.support.building import Time
from tests.support.monitoring import every_state, shortened
from tests.support.monitoring.grafana import questions
from tests.support.monitoring.series import all_series
from tests.support.monitoring.servers import Prometheus, eventually, exporter, started_prometheus
from tests.support.serving import served


# For dashboards that show one meeting.
CHOSEN = {"meeting": every_state.WHOLE_LIFE}
# The alerts that the scenario causes.
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
    """Start a Prometheus that has scraped two exporters through the whole scenario."""
    folder = tmp_path_factory.mktemp("panels")
    # The scenario ends about now.
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
            run_scenario(simulator, clock, server)
            yield server


def run_scenario(simulator: Simulator, clock: Time, server: Prometheus) -> None:
    """Run the scenario. Each step starts when both exporters show the previous one."""

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


def test_the_scenario_is_complete(server: Prometheus, tmp_path: Path) -> None:
    """Prometheus has every metric of the exporter, and a recording in each state."""
    exposed = {name for name in all_series(tmp_path, {"groups": []}) if name.startswith("rk_")}
    assert set() == exposed - {*server.label_values("__name__")}
    states = {sample["metric"]["status"] for sample in server.query("rk_recording_status == 1")}
    assert set(Status) == states


def test_every_query_has_data(server: Prometheus, root: Path) -> None:
    """Each query of a panel, variable or annotation succeeds and returns more than NaN."""
    files = sorted((root / "dashboards").glob("*.json"))
    dashboards = [json.loads(file.read_text()) for file in files]
    assert {"rk-overview", "rk-recordings", "rk-recording", "rk-exporter"} == {
        dashboard["uid"] for dashboard in dashboards
    }
    lacking = [question for dashboard in dashboards for question in questions(dashboard, CHOSEN)]

    def all_have_data() -> bool:
        lacking[:] = [question for question in lacking if question.lack(server)]
        return not lacking

    eventually(
        all_have_data,
        what="every query has data",
        details=lambda: "\n".join(
            f"{question.place}: {question.lack(server)}: {question.promql}" for question in lacking
        ),
    )


def test_every_rule_is_evaluated(server: Prometheus) -> None:
    """No rule has an error although two exporters report the same, and no template is broken."""

    def alert_names() -> set[str]:
        return {sample["metric"]["alertname"] for sample in server.query("ALERTS")}

    eventually(lambda: alert_names() >= ALERTS, what=f"all of {ALERTS} are pending or firing")
    rules = server.rules()
    assert [] == [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"]
    alerts = [alert for rule in rules for alert in rule.get("alerts", [])]
    texts = [text for alert in alerts for text in alert["annotations"].values()]
    assert [] == [text for text in texts if re.search("<error|<no value>|{{", text)]


def test_problems_with_answers(server: Prometheus) -> None:
    """Missing data, missing values, NaN and each kind of error are distinguished, also in rows."""
    lacks = {
        'rk_meetings{rk_app=~"$app"}': None,
        "rk_no_metric": "no data",
        "0 * rk_meetings / 0": "only NaN",
        "sum(rk_meetings": "parse error",
        "rk_meetings * on (rk_app) rk_recording_status": "found duplicate series",
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
                    "query": f"label_values(rk_meetings, {label})",
                    "includeAll": True,
                }
                for name, label in (("app", "rk_app"), ("nothing", "nothing"))
            ]
        },
        "annotations": {"list": [{"builtIn": 1}, {"name": "Alerts", "expr": "ALERTS"}]},
        "panels": [{"title": "Row", "panels": [{"title": "Panel", "targets": targets}]}],
    }
    problems = {
        question.place: question.lack(server) for question in questions(dashboard, chosen={})
    }
    assert None is problems.pop("Board, $app") is problems.pop("Board, annotation Alerts")
    assert "no values" == problems.pop("Board, $nothing")
    assert len(problems) == len(targets)
    for place, lack in problems.items():
        expected = lacks[place.removeprefix("Board, Panel, ").rpartition(", ")[0]]
        assert lack is None if expected is None else expected in str(lack), place

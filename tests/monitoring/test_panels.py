"""A real Prometheus answers every query of every dashboard, although exporters disagree."""

import json
import re
import time

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from dashboards.expressions import STATE_CODES
from rk_exporter.model.recording import Status
from rk_exporter.simulator import Fault, FileFault, Simulator
from tests.support.building import Time
from tests.support.markdown import blocks
from tests.support.monitoring import every_state, shortened
from tests.support.monitoring.disagreeing import DESCRIBING, STATES, UNUSUAL, Renaming
from tests.support.monitoring.grafana import Question, legend, questions
from tests.support.monitoring.series import OF_OPTIONS, all_series
from tests.support.monitoring.servers import (
    Prometheus,
    Remembering,
    eventually,
    exporter,
    started_prometheus,
)
from tests.support.monitoring.target_labels import TARGET_LABELS, target_labels
from tests.support.serving import served
from tests.support.storages import self_signed


# A label that dashboards make of a meeting's name.
NAME_OF_BAR = "bar"
# For dashboards that show one meeting.
CHOSEN = {"meeting": every_state.WHOLE_LIFE, "recording": ".*"}
# The alerts that the scenario causes.
ALERTS = {
    "RealtimeKitDataStale",
    "RealtimeKitDownloadBroken",
    "RealtimeKitDownloadURLExpiringSoon",
    "RealtimeKitMeetingNotRecorded",
    "RealtimeKitRecordingEmptyFile",
    "RealtimeKitRecordingErrored",
    "RealtimeKitRecordingNearTimeLimit",
    "RealtimeKitRecordingStuckInvoked",
    "RealtimeKitRecordingStuckUploading",
}


@dataclass(frozen=True, slots=True)
class Place:
    """An exporter's target, with labels that end with *name* and the labels *at*."""

    exporter: int
    name: str
    at: Mapping[str, str]
    is_behind: bool


HOME = {"cluster": "eu", "env": "prod", "namespace": "rk"}
PLACES = (
    Place(0, "first", HOME, is_behind=False),
    Place(1, "second", HOME, is_behind=True),
    # Another team's view of the second exporter. Its alerts have their own labels.
    Place(1, "third", {}, is_behind=True),
)


@pytest.fixture(scope="module")
def server(
    prometheus: str, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """
    Start a Prometheus that has scraped several exporters through the whole scenario.

    The exporters differ in every label that does not identify a series, and so do their targets.
    """
    folder = tmp_path_factory.mktemp("panels")
    # The scenario ends about now.
    clock = Time(time.time() - len(every_state.STEPS) * every_state.STEP_SECONDS)
    simulator = every_state.simulator(clock)
    # There is no cost while the product is free.
    thresholds = {"rk:price_ratio:threshold": "1"}
    shortened.write_rules(root, folder / "rules.yml", thresholds, service_levels=True)
    with ExitStack() as stack:
        api = stack.enter_context(served(simulator))
        certificate, trusted = self_signed(folder)
        files = stack.enter_context(served(simulator, certificate=certificate))
        simulator.settings = simulator.settings.changed("files_url", files)
        # All files are found to be cut off, so that there is a reason.
        simulator.settings = simulator.settings.changed("file_fault", FileFault.WRONG_SIZE)
        file = every_state.write_configuration(folder, simulator.scenario, api, files=files)
        web = folder / "web.yml"
        web.write_text("http_server_config: {http2: false}\n")
        exporters = [
            stack.enter_context(
                exporter(
                    folder,
                    *("--config.file", str(file), "--web.config.file", str(web)),
                    *("--state.file", str(folder / f"{name}.json")),
                    environment={**every_state.ENVIRONMENT, "SSL_CERT_FILE": str(trusted)},
                )
            )
            for name in ("one", "two")
        ]
        views = [
            Renaming(exporters[place.exporter].url, place.name, is_behind=place.is_behind)
            for place in PLACES
        ]
        targets = [
            {
                "targets": [stack.enter_context(served(view)).removeprefix("http://")],
                "labels": {**target_labels(place.name), **place.at},
            }
            for place, view in zip(PLACES, views, strict=True)
        ]
        server = stack.enter_context(
            started_prometheus(
                prometheus,
                folder,
                targets={shortened.JOB: targets},
                rule_files=[folder / "rules.yml"],
            )
        )
        run_scenario(simulator, clock, server)
        for view in views:
            view.end_scenario()
        renamed = 'count(rk_meeting_info{meeting_name=~".+ earlier"}) or vector(0)'
        eventually(lambda: server.number(renamed) == 0, what="every meeting is renamed")
        yield server


def run_scenario(simulator: Simulator, clock: Time, server: Prometheus) -> None:
    """Run the scenario. Each step starts when all targets show the previous one."""

    def all_show(promql: str, *, after_seconds: float = 0.0) -> None:
        eventually(
            lambda: server.number(f"count({promql})") == len(PLACES),
            what=promql,
            after_seconds=after_seconds,
        )

    all_show(f'rk_meeting_up{{meeting_id="{every_state.BREAKS}"}} == 1')
    simulator.inject(every_state.BREAKS, Fault.SERVER_ERROR)
    # What an exporter shows at the first evaluation is no growth.
    all_show('sum by (instance) (instance:rk_objective_recordings:counted{objective="start"})')
    begin = clock.now
    for step, status in enumerate(every_state.STEPS):
        clock.now = begin + 1 + step * every_state.STEP_SECONDS
        meeting = f'meeting_id="{every_state.WHOLE_LIFE}"'
        all_show(f'rk_recording_status{{{meeting}, status="{status}"}} == 1')
    for outcome in ("uploaded", "errored", "vanished"):
        # The API must deny a vanished recording twice, with a minute between.
        all_show(f'rk_recordings_finished_total{{outcome="{outcome}"}} == 1', after_seconds=60.0)


def questions_of_panels(root: Path) -> list[Question]:
    """Return the queries of all dashboards."""
    files = sorted((root / "dashboards").glob("*.json"))
    dashboards = [json.loads(file.read_text()) for file in files]
    uids = {"rk-overview", "rk-recordings", "rk-recording", "rk-service-level", "rk-exporter"}
    assert uids == {dashboard["uid"] for dashboard in dashboards}
    return [question for dashboard in dashboards for question in questions(dashboard, CHOSEN)]


@pytest.fixture(scope="module")
def answers(server: Prometheus) -> Remembering:
    """Remember the answers, because all of them take a minute."""
    return server.remembering()


def test_the_scenario_is_complete(server: Prometheus, tmp_path: Path) -> None:
    """Prometheus has every metric of the exporter, and a recording in each state."""
    exposed = {name for name in all_series(tmp_path, {"groups": []}) if name.startswith("rk_")}
    missing = exposed - {*server.label_values("__name__")}
    missing -= {name for name in exposed if OF_OPTIONS.match(name)}
    # Only Prometheus 3 can convert histograms to native ones, which have the name alone.
    missing -= {name for name in exposed if f"{name}_bucket" in exposed}
    assert set() == missing

    def states() -> set[str]:
        current = server.query("rk_recording_status == 1")
        return {sample["metric"]["status"] for sample in current}

    # If a scrape fails, its series are missing for a moment.
    eventually(lambda: states() == set(Status), what="a recording in each state")


def test_every_query_has_data(answers: Remembering, root: Path) -> None:
    """
    Each query of a panel, variable or annotation succeeds and returns more than NaN.

    test_panels_of_options.py is about the others.
    """
    asked = questions_of_panels(root)
    lacking = [question for question in asked if not OF_OPTIONS.search(question.promql)]

    def all_have_data() -> bool:
        lacking[:] = [question for question in lacking if question.lack(answers)]
        for question in lacking:
            answers.forget(question.promql)
        return not lacking

    eventually(
        all_have_data,
        what="every query has data",
        # Several hundred queries, some of which take seconds with Prometheus 2.
        after_seconds=120.0,
        details=lambda: "\n".join(
            f"{question.place}: {question.lack(answers)}: {question.promql}" for question in lacking
        ),
    )


def test_no_label_is_hidden(server: Prometheus) -> None:
    """No label of a target has the name of a label of ours, which Prometheus would rename."""
    names = server.label_names()
    assert {*TARGET_LABELS} <= {*names}
    assert [] == [name for name in names if name.startswith("exported_")]


def test_each_thing_is_shown_once(answers: Remembering, root: Path) -> None:
    """
    No query returns a meeting, a recording or an app twice, and no two series have one legend.

    All cells in a row of a table agree on labels such as the meeting's name.
    """
    problems: list[str] = []
    rows: dict[tuple[str, frozenset[tuple[str, str]]], dict[str, str]] = {}
    for question in questions_of_panels(root):
        if not question.panel:
            continue
        found = question.series(answers)
        identities = [identity(labels) for labels in found]
        legends = [legend(question.shown, labels) for labels in found]
        for labels, key, shown in zip(found, identities, legends, strict=True):
            if key and identities.count(key) > 1:
                problems.append(f"{question.place} has {identities.count(key)} of {dict(key)}")
            if question.panel != "table" and legends.count(shown) > 1:
                problems.append(f"{question.place} has {legends.count(shown)} series {shown!r}")
            if question.panel == "table":
                row = rows.setdefault((question.place.rpartition(", ")[0], key), {})
                if any(row.setdefault(label, value) != value for label, value in labels.items()):
                    problems.append(f"{question.place} has two rows of {dict(key)}")
    assert not problems, "\n".join(dict.fromkeys(problems))


def test_one_name_for_each_meeting(answers: Remembering, root: Path) -> None:
    """All panels, also at other times, have the names of the exporter that started last."""
    asked = [question for question in questions_of_panels(root) if question.panel]
    names: set[str] = set()

    def all_are_current() -> bool:
        names.clear()
        for question in asked:
            found = {labels.get("meeting_name", "") for labels in question.series(answers)} - {""}
            names.update(found)
            if any("first" in name or "earlier" in name for name in found):
                answers.forget(question.promql)
        return bool(names) and not any("first" in name or "earlier" in name for name in names)

    # If a scrape of that exporter fails, the other's names are shown for a moment.
    eventually(all_are_current, what="all names are current", details=lambda: str(names))


def test_names_without_a_start_time(server: Prometheus, root: Path) -> None:
    """
    Meetings have the latest names on a system that does not report when a process started.

    They are those of the exporter that loaded its configuration last.
    """
    asking = [
        question
        for question in questions_of_panels(root)
        # Alerts may begin to fire between two queries.
        if question.panel
        and "process_start_time_seconds" in question.promql
        and "meeting_name" in question.promql
        and "ALERTS" not in question.promql
    ]
    assert asking
    for question in asking:
        promql = question.promql.replace("process_start_time_seconds", "no_such_metric")
        without = replace(question, promql=promql).series(server)
        assert {*map(identity, without)} == {*map(identity, question.series(server))}
        assert len(without) == len({*map(identity, without)})
        assert not any("first" in labels.get("meeting_name", "") for labels in without)


def test_the_latest_reading_counts(server: Prometheus, root: Path) -> None:
    """
    Dashboards show the states of the exporter that read a recording last, and each once.

    Totals count an app once in each cluster, because names of apps may be the same in two.
    """
    first = 'pod="pod-first"'
    shown = {question.place: question for question in questions_of_panels(root)}
    for status in Status:
        (count,) = (
            server.number(question.promql.replace('cluster=~".*"', 'cluster=~"eu"'))
            for place, question in shown.items()
            if "Recordings by state" in place and question.shown == status
        )
        assert count == server.number(f'sum(rk_recording_status{{{first}, status="{status}"}})')
    table = "RealtimeKit / Recordings, Recordings, problems first, "
    states = numbers(server, shown[f"{table}B"].promql)
    first_states = {
        sample["metric"]["meeting_id"]: STATE_CODES[sample["metric"]["status"]]
        for sample in server.query(f"rk_recording_status{{{first}}} == 1")
    }
    assert states == first_states
    troubles = numbers(server, shown[f"{table}A"].promql)
    # On a slow machine it has been INVOKED for five minutes by now, and counts as stuck.
    troubles.pop(every_state.WAITING, None)
    assert {meeting: level for meeting, level in troubles.items() if level} == every_state.TROUBLES


def numbers(server: Prometheus, promql: str) -> dict[str, float]:
    """Return the result of a query by meeting."""
    return {
        sample["metric"]["meeting_id"]: float(sample["value"][1]) for sample in server.query(promql)
    }


def identity(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Return the labels that identify a meeting, a recording or an app."""
    states = [label for label, _ in STATES.values()]
    describing = (*DESCRIBING, *states, NAME_OF_BAR)
    return frozenset((label, value) for label, value in labels.items() if label not in describing)


def test_documented_queries(server: Prometheus, root: Path) -> None:
    """No query in the documentation fails, although the exporters disagree."""
    pages = [str(page.relative_to(root)) for page in root.glob("docs/**/*.md")]
    documented = [block.text for page in pages for block in blocks(page, "promql")]
    assert documented
    for promql in documented:
        server.query(promql)


def test_every_rule_is_evaluated(server: Prometheus) -> None:
    """No rule has an error although the exporters disagree, and no template is broken."""

    def alert_names() -> set[str]:
        return {sample["metric"]["alertname"] for sample in server.query("ALERTS")}

    eventually(lambda: alert_names() >= ALERTS, what=f"all of {ALERTS} are pending or firing")
    rules = server.rules()
    assert [] == [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"]
    alerts = [alert for rule in rules for alert in rule.get("alerts", [])]
    texts = [text for alert in alerts for text in alert["annotations"].values()]
    assert [] == [text for text in texts if re.search("<error|<no value>|{{", text)]
    for alert in alerts:
        check_link(alert["annotations"].get("dashboard_url"), alert["labels"])
    places = {tuple(alert["labels"].get(label) for label in HOME) for alert in alerts}
    assert places == {("eu", "prod", "rk"), ("cluster-third", "env-third", "namespace-third")}


def test_alerts_have_current_names(server: Prometheus) -> None:
    """An alert about a meeting that was renamed has its new name."""

    def names() -> set[str]:
        alerts = [alert for rule in server.rules() for alert in rule.get("alerts", [])]
        summaries = [alert["annotations"]["summary"] for alert in alerts]
        return {name for text in summaries for name in re.findall(r'"(.*)"', text)}

    def are_current() -> bool:
        return all(name.endswith("later") for name in names())

    eventually(are_current, what="all names are current", details=lambda: str(names()))
    assert len(names()) > 1


def check_link(link: str | None, labels: Mapping[str, str]) -> None:
    """Check that the link of an alert sets the variables of the dashboard to its labels."""
    if link:
        variables = {
            "var-cluster": "cluster",
            "var-job": "job",
            "var-app": "rk_app",
            "var-meeting": "meeting_id",
            "var-recording": "recording_id",
        }
        passed = dict(parse_qsl(urlsplit(link).query, strict_parsing=True))
        assert ("now-24h", "now") == (passed.pop("from"), passed.pop("to"))
        assert passed == {key: labels[variables[key]] for key in passed}
        if "rk-recording" in link and "recording_id" in labels:
            assert labels["recording_id"] == passed["var-recording"]
        assert UNUSUAL in passed["var-app"]


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

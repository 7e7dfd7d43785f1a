"""Prometheus 3 can convert classic histograms to native ones. Panels and alerts still answer."""

import json

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import Time, scripted
from tests.support.monitoring import shortened
from tests.support.monitoring.grafana import Question, questions
from tests.support.monitoring.series import OF_OPTIONS
from tests.support.monitoring.servers import Prometheus, eventually, exporter, started_prometheus
from tests.support.programs import Monitoring
from tests.support.serving import served


CONVERTED = {"scrape_native_histograms": True, "convert_classic_histograms_to_nhcb": True}
SETTINGS = {
    "classic": {},
    "native": CONVERTED,
    "both": {**CONVERTED, "always_scrape_classic_histograms": True},
}
DELAYS = ("rk_recording_start_delay_seconds", "rk_recording_upload_delay_seconds")
# For dashboards that show one recording.
ALL = {"meeting": ".*", "recording": ".*"}
# One late start is enough for the alert.
THRESHOLDS = {
    "rk:recording_start_delay_seconds:threshold": "1",
    "rk:recordings_started:threshold": "1",
}


@pytest.fixture(scope="module")
def servers(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Prometheus]]:
    """Start a Prometheus with each of the SETTINGS; all have seen recordings start and end."""
    program = Monitoring.BUILT.required("prometheus", package="prometheus")
    folder = tmp_path_factory.mktemp("native")
    shortened.write_rules(root, folder / "rules.yml", THRESHOLDS, service_levels=True)
    clock = Time(1_795_000_000.0)
    begin = clock.now + 5
    starts = {"first": 2, "second": 7, "third": 40}
    recordings = [
        scripted(
            meeting,
            invoked_at=begin,
            started_at=begin + delay,
            paused=(),
            stopped_at=begin + 60,
            uploaded_at=begin + 60 + delay,
        )
        for meeting, delay in starts.items()
    ]
    simulator = Simulator(ScriptedScenario(recordings=recordings), clock=clock, rate_limit=0)
    with ExitStack() as stack:
        exporting = stack.enter_context(
            exporter(
                folder,
                *("--account-id", "account", "--app-id", "app"),
                *(part for meeting in starts for part in ("--meeting-id", meeting)),
                *("--api.base-url", f"{stack.enter_context(served(simulator))}/client/v4"),
                *("--api.budget", "100000", "--scrape.min-interval", "0s"),
                environment={"CLOUDFLARE_API_TOKEN": "simulated"},
            )
        )
        started = {
            name: stack.enter_context(
                started_prometheus(
                    program,
                    tmp_path_factory.mktemp(name),
                    targets={shortened.JOB: [exporting.address]},
                    scraping=settings,
                    rule_files=[folder / "rules.yml"],
                )
            )
            for name, settings in SETTINGS.items()
        }
        run_scenario(clock, begin, list(started.values()))
        yield started


def run_scenario(clock: Time, begin: float, servers: list[Prometheus]) -> None:
    """Let the recordings start and end. Each step starts when all servers show the one before."""

    def all_show(promql: str, number: float) -> None:
        for server in servers:
            eventually(lambda: server.number(promql) == number, what=f"{promql} is {number}")  # noqa: B023 # called now

    # A counter that is first seen with its final value has not grown.
    all_show("rk_recordings_started_total", 0)
    all_show('sum(instance:rk_objective_recordings:counted{objective="start"})', 0)
    for seconds, number in ((1, 0), (3, 1), (8, 2), (41, 3)):
        clock.now = begin + seconds
        all_show('sum(rk_recording_status{status="RECORDING"})', number)
    for seconds, number in ((61, 0), (63, 1), (68, 2), (101, 3)):
        clock.now = begin + seconds
        all_show('sum(rk_recordings_finished_total{outcome="uploaded"})', number)


def about_histograms(root: Path) -> list[Question]:
    """Return the queries of all panels that show a histogram which all exporters have."""
    files = sorted((root / "dashboards").glob("*.json"))
    found = [
        question
        for file in files
        for question in questions(json.loads(file.read_text()), ALL)
        if "histogram_quantile" in question.promql and not OF_OPTIONS.search(question.promql)
    ]
    assert len(found) == 15, "three quantiles of three histograms, of which two are shown twice"
    return found


def test_conversion(servers: Mapping[str, Prometheus]) -> None:
    """The settings have the effect that their names say."""
    for name, (classic, native) in {
        "classic": (1, None),
        "native": (None, 1),
        "both": (1, 1),
    }.items():
        for delay in DELAYS:
            assert classic == servers[name].number(f'count({delay}_bucket{{le="+Inf"}})')
            assert native == servers[name].number(f"count(histogram_count({delay}))")


def test_panels(servers: Mapping[str, Prometheus], root: Path) -> None:
    """Each panel with a histogram has data and one series per query, whatever Prometheus stores."""
    for name, server in servers.items():
        for question in about_histograms(root):
            eventually(
                lambda: question.lack(server) is None,  # noqa: B023 # called now
                what=f"{name}: {question.place} has data",
                details=lambda: question.promql,  # noqa: B023 # called now
            )
            assert len(question.series(server)) == 1


def test_equal_quantiles(servers: Mapping[str, Prometheus], root: Path) -> None:
    """The quantiles of classic, native and doubly stored histograms are equal."""
    compared = [
        question
        for question in about_histograms(root)
        if any(delay in question.promql for delay in DELAYS)
    ]
    assert len(compared) == 12
    for question in compared:
        values = {name: server.number(question.promql) for name, server in servers.items()}
        assert values["classic"]
        assert [pytest.approx(values["classic"])] * 2 == [values["native"], values["both"]], values


def test_alert(servers: Mapping[str, Prometheus]) -> None:
    """RealtimeKitStartDelayHigh fires once with the same value, and no rule has an error."""
    fires = 'count(ALERTS{alertname="RealtimeKitStartDelayHigh", alertstate="firing"})'
    values = []
    for name, server in servers.items():
        eventually(lambda: server.number(fires) == 1, what=f"{name}: the alert fires")  # noqa: B023 # called now
        rules = server.rules()
        assert {"ok"} == {rule["health"] for rule in rules}, rules
        (alert,) = (
            alert
            for rule in rules
            if rule["name"] == "RealtimeKitStartDelayHigh"
            for alert in rule["alerts"]
        )
        values.append(float(alert["value"]))
    assert values == [pytest.approx(values[0])] * 3


def test_objectives(servers: Mapping[str, Prometheus]) -> None:
    """The objectives count the same starts as late, whatever Prometheus stores."""
    total = "app:rk_objective_recordings:total"
    for name, server in servers.items():
        for result, number in (("good", 2), ("bad", 1)):
            counted = f'sum({total}{{objective="start", result="{result}"}})'
            eventually(
                lambda: server.number(counted) == number,  # noqa: B023 # called now
                what=f"{name}: {number} starts are {result}",
            )

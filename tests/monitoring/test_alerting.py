"""A real Prometheus and a real Alertmanager notify about problems and their end."""

import re
import subprocess
import time

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import Time, scripted
from tests.support.monitoring import shortened
from tests.support.monitoring.alerting import Alerting, AlertingPrograms
from tests.support.monitoring.servers import Notified, Server, eventually, exporter
from tests.support.serving import served


FAILS_AFTER_SECONDS = 10
STARTS_AFTER_SECONDS = 20
RECEIVER_BY_SEVERITY = {"critical": "pager", "warning": "team", "info": "daily"}


@dataclass(frozen=True, slots=True)
class Monitored:
    """An exporter with a Prometheus, an Alertmanager and a webhook that receives notifications."""

    clock: Time
    begun_at: float
    exporting: Server
    alerting: Alerting

    def advance(self, seconds: float) -> None:
        """Advance the scenario to at least this age."""
        self.clock.now = max(self.clock.now, self.begun_at + seconds)

    def notification(self, status: str, labels: Mapping[str, str], *, after: int = 0) -> Notified:
        """Wait for a notification, without the first *after* ones, and return it."""
        return self.alerting.notification(status, labels, after=after)

    @property
    def notification_count(self) -> int:
        """Return the number of notifications so far."""
        return len(self.alerting.notified)

    def known(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return Alertmanager's alerts with these labels."""
        return [
            alert
            for alert in self.alerting.alertmanager.alerts()
            if labels.items() <= alert["labels"].items()
        ]

    def states(self, labels: Mapping[str, str]) -> list[str]:
        """Return the states of these alerts: active or suppressed."""
        return [alert["status"]["state"] for alert in self.known(labels)]


def recordings(begin: float) -> ScriptedScenario:
    """Return a recording that starts late, one that never starts, and one that fails."""
    never: dict[str, Any] = {
        "started_at": None,
        "paused": (),
        "stopped_at": None,
        "uploaded_at": None,
    }
    late = {**never, "started_at": begin + STARTS_AFTER_SECONDS}
    return ScriptedScenario(
        recordings=[
            scripted("starts-late", invoked_at=begin - 600, **late),
            scripted("never-starts", invoked_at=begin - 600, **never),
            scripted(
                "fails", invoked_at=begin - 60, **never, errored_at=begin + FAILS_AFTER_SECONDS
            ),
        ]
    )


@pytest.fixture(scope="module")
def monitored(
    alerting: AlertingPrograms, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Monitored]:
    """Start all servers. Every test uses its own recording."""
    folder = tmp_path_factory.mktemp("alerting")
    clock = Time(time.time())
    scenario = recordings(clock.now)
    with served(Simulator(scenario, clock=clock, rate_limit=0)) as api:
        exporting = exporter(
            folder,
            *("--account-id", "account", "--app-id", "telehealth"),
            *(part for meeting in scenario.meetings() for part in ("--meeting-id", meeting.id)),
            *("--api.base-url", f"{api}/client/v4", "--api.budget", "100000"),
            *("--scrape.min-interval", "0s"),
            environment={"CLOUDFLARE_API_TOKEN": "simulated"},
        )
        with exporting, alerting.watching(folder, exporting) as watched:
            yield Monitored(clock, clock.now, exporting, watched)


def check(notified: Notified, rule: dict[str, Any], *names: str) -> None:
    """Check that a notification agrees with its rule, and that its description has these names."""
    severity, annotations = rule["labels"]["severity"], notified.annotations
    assert severity == notified.labels["severity"]
    assert RECEIVER_BY_SEVERITY[severity] == notified.receiver
    texts = f"{annotations['summary']} {annotations['description']}"
    assert all(name in texts for name in names), texts
    assert annotations["runbook_url"].endswith(f"#{rule['alert'].lower()}")
    assert not [text for text in annotations.values() if re.search("<error|<no value>|{{", text)]


def test_a_recording_that_does_not_start(monitored: Monitored, root: Path) -> None:
    """The pager is notified about a recording that does not start, until it starts."""
    labels = {
        "alertname": "RealtimeKitRecordingStuckInvoked",
        "rk_app": "telehealth",
        "meeting_id": "starts-late",
    }
    rule = shortened.alerting_rule(root, "RealtimeKitRecordingStuckInvoked", "critical")
    check(monitored.notification("firing", labels), rule, "telehealth", "starts-late", "10m")
    before = monitored.notification_count
    monitored.advance(STARTS_AFTER_SECONDS)
    monitored.notification("resolved", labels, after=before)


def test_a_recording_that_fails(monitored: Monitored, root: Path) -> None:
    """The team is notified about a failed recording, until the failure is old."""
    labels = {
        "alertname": "RealtimeKitRecordingErrored",
        "rk_app": "telehealth",
        "meeting_id": "fails",
    }
    rule = shortened.alerting_rule(root, "RealtimeKitRecordingErrored", "warning")
    monitored.advance(FAILS_AFTER_SECONDS)
    check(monitored.notification("firing", labels), rule, "telehealth", "fails")
    # Waiting for a day would take too long.
    threshold = {"rk:recording_ended_seconds:threshold": "0"}
    shortened.write_rules(root, monitored.alerting.rules, threshold)
    before = monitored.notification_count
    monitored.alerting.prometheus.reload()
    monitored.notification("resolved", labels, after=before)


def test_an_exporter_that_stops(monitored: Monitored, root: Path) -> None:
    """
    The pager is notified while the exporter is down, and alerts about recordings are suppressed.

    There is no warning about one of several exporters, because it is the only one.
    """
    down = {"alertname": "RealtimeKitExporterDown", "rk_app": "telehealth"}
    stuck = {"alertname": "RealtimeKitRecordingStuckInvoked", "meeting_id": "never-starts"}
    rule = shortened.alerting_rule(root, "RealtimeKitExporterDown", "critical")
    monitored.notification("firing", stuck)
    monitored.exporting.stop()
    check(monitored.notification("firing", down), rule, "telehealth", monitored.exporting.address)

    eventually(lambda: monitored.states(stuck) == ["suppressed"], what="the alert is suppressed")
    (cause,), (suppressed,) = monitored.known(down), monitored.known(stuck)
    assert ["active"] == monitored.states(down)
    assert [cause["fingerprint"]] == suppressed["status"]["inhibitedBy"]
    assert {"ok"} == {rule_state["health"] for rule_state in monitored.alerting.prometheus.rules()}

    before = monitored.notification_count
    monitored.exporting.start()
    monitored.notification("resolved", down, after=before)
    of_several = {"alertname": "RealtimeKitExporterDown", "severity": "warning"}
    assert [] == [
        notified
        for notified in monitored.alerting.notified
        if of_several.items() <= notified.labels.items()
    ]
    eventually(lambda: monitored.states(stuck) == ["active"], what="the alert is active again")


def test_amtool_accepts_the_example(amtool: str, root: Path) -> None:
    """Alertmanager's own check finds nothing wrong with the example."""
    result = subprocess.run(
        [amtool, "check-config", root / shortened.ALERTMANAGER],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (result.returncode, result.stderr)
    assert "SUCCESS" in result.stdout


def test_routes(amtool: str, root: Path) -> None:
    """The example routes each alert by its severity, and no other alert to the pager."""
    labels = {
        (("alertname", rule["alert"]), *rule["labels"].items()): RECEIVER_BY_SEVERITY[
            rule["labels"]["severity"]
        ]
        for rule in shortened.rules(root)
        if "alert" in rule
    }
    labels[("alertname", "DiskFull"), ("severity", "critical")] = "team"
    assert set(RECEIVER_BY_SEVERITY.values()) == set(labels.values())
    for given, receiver in labels.items():
        result = subprocess.run(
            [
                *(amtool, "config", "routes", "test"),
                f"--config.file={root / shortened.ALERTMANAGER}",
                *(f'{name}="{value}"' for name, value in given),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, f"{receiver}\n") == (result.returncode, result.stdout), given

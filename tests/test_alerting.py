"""A real Prometheus and a real Alertmanager tell of what goes wrong, and when it is over."""

import re
import subprocess
import time

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests import shortened
from tests.monitoring import (
    Alertmanager,
    Notified,
    Prometheus,
    Server,
    WebhookReceiver,
    eventually,
    exporter,
    started_alertmanager,
    started_prometheus,
    started_webhook_receiver,
)
from tests.support.building import Time, life
from tests.support.serving import served


FAILS_AFTER_SECONDS = 10
STARTS_AFTER_SECONDS = 20
RECEIVER_BY_SEVERITY = {"critical": "pager", "warning": "team", "info": "daily"}


@dataclass(frozen=True, slots=True)
class Monitored:
    """An exporter that is scraped, whose alerts reach a *webhook*."""

    clock: Time
    begun_at: float
    exporting: Server
    prometheus: Prometheus
    alertmanager: Alertmanager
    webhook: WebhookReceiver
    rules: Path

    def advance(self, seconds: float) -> None:
        """Let the story be at least so many *seconds* old."""
        self.clock.now = max(self.clock.now, self.begun_at + seconds)

    def told(self, status: str, labels: Mapping[str, str], *, after: int = 0) -> Notified:
        """
        Wait for a notification that an alert with *labels* has a *status*, and return it.

        The first ones, as many as *after*, do not count.
        """

        def found() -> list[Notified]:
            return [
                each
                for each in self.webhook.notified[after:]
                if each.status == status and labels.items() <= each.labels.items()
            ]

        eventually(
            lambda: bool(found()),
            what=f"it is told that {labels} is {status}",
            told=lambda: "\n".join(map(str, self.webhook.notified)),
        )
        return found()[-1]

    @property
    def times_told(self) -> int:
        """Return how many alerts have been told of."""
        return len(self.webhook.notified)

    def known(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the alerts with *labels* that Alertmanager knows of."""
        return [
            each for each in self.alertmanager.alerts() if labels.items() <= each["labels"].items()
        ]

    def states(self, labels: Mapping[str, str]) -> list[str]:
        """Return the states of those: active or suppressed."""
        return [each["status"]["state"] for each in self.known(labels)]


def recordings(begin: float) -> ScriptedScenario:
    """Tell of a recording that starts late, of one that never does, and of one that fails."""
    never: dict[str, Any] = {
        "started_at": None,
        "paused": (),
        "stopped_at": None,
        "uploaded_at": None,
    }
    late = {**never, "started_at": begin + STARTS_AFTER_SECONDS}
    return ScriptedScenario(
        recordings=[
            life("starts-late", invoked_at=begin - 600, **late),
            life("never-starts", invoked_at=begin - 600, **never),
            life("fails", invoked_at=begin - 60, **never, errored_at=begin + FAILS_AFTER_SECONDS),
        ]
    )


@pytest.fixture(scope="module")
def monitored(
    prometheus: str, alertmanager: str, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Monitored]:
    """Start all servers; tests leave each other's recordings alone."""
    folder = tmp_path_factory.mktemp("alerting")
    clock = Time(time.time())
    story = recordings(clock.now)
    rules, configuration = folder / "rules.yml", folder / "alertmanager.yml"
    shortened.write_rules(root, rules)
    with (
        served(Simulator(story, clock=clock, rate_limit=0)) as api,
        started_webhook_receiver() as (webhook, webhook_url),
    ):
        shortened.write_alertmanager_configuration(root, configuration, webhook_url=webhook_url)
        exporting = exporter(
            folder,
            *("--account-id", "account", "--app-id", "telehealth"),
            *(part for each in story.meetings() for part in ("--meeting-id", each.id)),
            *("--api.base-url", f"{api}/client/v4", "--api.budget", "100000"),
            *("--scrape.min-interval", "0s"),
            environment={"CLOUDFLARE_API_TOKEN": "simulated"},
        )
        with (
            exporting,
            started_alertmanager(alertmanager, folder, configuration) as alertmanager_server,
            started_prometheus(
                prometheus,
                folder,
                targets={shortened.JOB: [exporting.address]},
                rule_files=[rules],
                alertmanager=alertmanager_server.address,
            ) as prometheus_server,
        ):
            yield Monitored(
                clock=clock,
                begun_at=clock.now,
                exporting=exporting,
                prometheus=prometheus_server,
                alertmanager=alertmanager_server,
                webhook=webhook,
                rules=rules,
            )


def check(notified: Notified, rule: dict[str, Any], *named: str) -> None:
    """Check that an alert is what its *rule* says, and that its description has what is *named*."""
    severity, annotations = rule["labels"]["severity"], notified.annotations
    assert severity == notified.labels["severity"]
    assert RECEIVER_BY_SEVERITY[severity] == notified.receiver
    assert rule["annotations"]["summary"] == annotations["summary"]
    assert all(each in annotations["description"] for each in named), annotations["description"]
    assert annotations["runbook_url"].endswith(f"#{rule['alert'].lower()}")
    assert not [text for text in annotations.values() if re.search("<error|<no value>|{{", text)]


def test_a_recording_that_does_not_start(monitored: Monitored, root: Path) -> None:
    """Somebody is paged for a recording that was asked for long ago, until it starts."""
    labels = {
        "alertname": "RKRecordingStuckInvoked",
        "app": "telehealth",
        "meeting_id": "starts-late",
    }
    rule = shortened.alerting_rule(root, "RKRecordingStuckInvoked", "critical")
    check(monitored.told("firing", labels), rule, "telehealth", "starts-late", "10m")
    before = monitored.times_told
    monitored.advance(STARTS_AFTER_SECONDS)
    monitored.told("resolved", labels, after=before)


def test_a_recording_that_fails(monitored: Monitored, root: Path) -> None:
    """The team is told of a recording that failed, until that is old news."""
    labels = {"alertname": "RKRecordingErrored", "app": "telehealth", "meeting_id": "fails"}
    rule = shortened.alerting_rule(root, "RKRecordingErrored", "warning")
    monitored.advance(FAILS_AFTER_SECONDS)
    check(monitored.told("firing", labels), rule, "telehealth", "fails")
    # A day is too long to wait for.
    threshold = {"rk:recording_ended_seconds:threshold": "0"}
    shortened.write_rules(root, monitored.rules, threshold)
    before = monitored.times_told
    monitored.prometheus.reload()
    monitored.told("resolved", labels, after=before)


def test_an_exporter_that_stops(monitored: Monitored, root: Path) -> None:
    """
    Somebody is paged while it is down; what was known of recordings then is no news.

    It is the only one, so nobody is told that others go on.
    """
    down = {"alertname": "RKExporterDown", "app": "telehealth"}
    stuck = {"alertname": "RKRecordingStuckInvoked", "meeting_id": "never-starts"}
    rule = shortened.alerting_rule(root, "RKExporterDown", "critical")
    monitored.told("firing", stuck)
    monitored.exporting.stop()
    check(monitored.told("firing", down), rule, "telehealth", monitored.exporting.address)

    eventually(lambda: monitored.states(stuck) == ["suppressed"], what="it is suppressed")
    (cause,), (suppressed,) = monitored.known(down), monitored.known(stuck)
    assert ["active"] == monitored.states(down)
    assert [cause["fingerprint"]] == suppressed["status"]["inhibitedBy"]
    assert {"ok"} == {each["health"] for each in monitored.prometheus.rules()}

    before = monitored.times_told
    monitored.exporting.start()
    monitored.told("resolved", down, after=before)
    of_several = {"alertname": "RKExporterDown", "severity": "warning"}
    assert [] == [
        each for each in monitored.webhook.notified if of_several.items() <= each.labels.items()
    ]
    eventually(lambda: monitored.states(stuck) == ["active"], what="it is told of again")


def test_amtool_takes_the_example(amtool: str, root: Path) -> None:
    """Alertmanager's own check has nothing to say of the example."""
    result = subprocess.run(
        [amtool, "check-config", root / shortened.ALERTMANAGER],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (result.returncode, result.stderr)
    assert "SUCCESS" in result.stdout


def test_routes(amtool: str, root: Path) -> None:
    """The example sends each alert where its severity belongs, and no other alert to the pager."""
    labels = {
        (("alertname", each["alert"]), *each["labels"].items()): RECEIVER_BY_SEVERITY[
            each["labels"]["severity"]
        ]
        for each in shortened.rules(root)
        if "alert" in each
    }
    labels[("alertname", "DiskFull"), ("severity", "critical")] = "team"
    assert set(RECEIVER_BY_SEVERITY.values()) == set(labels.values())
    for given, receiver in labels.items():
        result = subprocess.run(
            [
                *(amtool, "config", "routes", "test"),
                f"--config.file={root / shortened.ALERTMANAGER}",
                *(f"{name}={value}" for name, value in given),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, f"{receiver}\n") == (result.returncode, result.stdout), given

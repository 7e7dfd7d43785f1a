"""A real Prometheus and a real Alertmanager notify about objectives and forgotten recordings."""

import time

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.simulator import ScriptedScenario, Session, Simulator
from tests.support.building import Time, scripted
from tests.support.monitoring import shortened
from tests.support.monitoring.servers import (
    Notified,
    Prometheus,
    WebhookReceiver,
    eventually,
    exporter,
    started_alertmanager,
    started_prometheus,
    started_webhook_receiver,
)
from tests.support.programs import in_one_version
from tests.support.serving import served


FAIL_AFTER_SECONDS, SUCCEED_AFTER_SECONDS, ALONE_UNTIL_SECONDS = 10, 20, 30
# So many successes that the failures are less than 5 % of all.
FAILING, SUCCEEDING = 3, 70
ALONE, LONG = "everybody-left", "goes-on-for-hours"
LONG_SECONDS = 7200
# Nobody waits for half an hour. The users of this test allow a recording an hour.
THRESHOLDS = {
    "rk:recording_alone_seconds:threshold": "2",
    "rk:recording_length_seconds:threshold": "3600",
}


@dataclass(frozen=True, slots=True)
class Monitored:
    """A Prometheus that has scraped the scenario, and a webhook that receives notifications."""

    clock: Time
    begun_at: float
    prometheus: Prometheus
    webhook: WebhookReceiver

    def advance(self, seconds: float) -> None:
        """Advance the scenario to this age."""
        self.clock.now = self.begun_at + seconds

    def notification(self, status: str, labels: Mapping[str, str]) -> Notified:
        """Wait for a notification about an alert with these labels and status, and return it."""

        def found() -> list[Notified]:
            return [
                notified
                for notified in self.webhook.notified
                if notified.status == status and labels.items() <= notified.labels.items()
            ]

        eventually(
            lambda: bool(found()),
            what=f"a notification that {labels} is {status}",
            details=lambda: "\n".join(map(str, self.webhook.notified)),
        )
        return found()[-1]


def scenario(begin: float) -> ScriptedScenario:
    """
    Return recordings that fail, others that succeed, and two that nobody stops.

    One of those is in a meeting without people, the other has taken hours, and people are there.
    """
    runs: dict[str, Any] = {"invoked_at": begin - 60, "started_at": begin - 58, "paused": ()}
    never: dict[str, Any] = {"stopped_at": None, "uploaded_at": None}
    uploaded_at = begin + SUCCEED_AFTER_SECONDS
    saved: dict[str, Any] = {"stopped_at": uploaded_at - 5, "uploaded_at": uploaded_at}
    ends_at = begin + ALONE_UNTIL_SECONDS
    return ScriptedScenario(
        recordings=[
            *(
                scripted(f"fails-{number}", **runs, **never, errored_at=begin + FAIL_AFTER_SECONDS)
                for number in range(FAILING)
            ),
            *(scripted(f"succeeds-{number}", **runs, **saved) for number in range(SUCCEEDING)),
            scripted(ALONE, **runs, stopped_at=ends_at, uploaded_at=ends_at + 1),
            scripted(
                LONG,
                invoked_at=begin - LONG_SECONDS - 2,
                started_at=begin - LONG_SECONDS,
                paused=(),
                stopped_at=ends_at,
                uploaded_at=ends_at + 1,
            ),
        ],
        sessions=[
            Session("session", ALONE, begin - 60, live_participants=1),
            Session("long-session", LONG, begin - LONG_SECONDS, live_participants=2),
        ],
    )


@pytest.fixture(scope="module")
def monitored(
    prometheus: str, alertmanager: str, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Monitored]:
    """Start all servers."""
    folder = tmp_path_factory.mktemp("service-levels")
    clock = Time(time.time())
    scripted_ = scenario(clock.now)
    rules, configuration = folder / "rules.yml", folder / "alertmanager.yml"
    shortened.write_rules(root, rules, THRESHOLDS, service_levels=True)
    with (
        served(Simulator(scripted_, clock=clock, rate_limit=0)) as api,
        started_webhook_receiver() as (webhook, webhook_url),
    ):
        shortened.write_alertmanager_configuration(root, configuration, webhook_url=webhook_url)
        exporting = exporter(
            folder,
            *("--account-id", "account", "--app-id", "telehealth", "--meetings.discover"),
            *(part for meeting in scripted_.meetings() for part in ("--meeting-id", meeting.id)),
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
            yield Monitored(clock, clock.now, prometheus_server, webhook)


@in_one_version
def test_from_the_first_failure_to_the_end(monitored: Monitored) -> None:
    """
    The pager hears of an objective that is missed, the team of recordings that nobody stops.

    All end when others succeed, and when the recordings end.
    """
    burn = {"alertname": "RealtimeKitErrorBudgetBurn", "objective": "succeed"}
    critical = {**burn, "severity": "critical"}
    runaway = {"alertname": "RealtimeKitRecordingRunaway", "severity": "warning"}
    alone = {**runaway, "what": "alone", "meeting_id": ALONE}
    long = {**runaway, "what": "long", "meeting_id": LONG}
    counted = 'app:rk_objective_recordings:total{objective="succeed"}'
    eventually(
        lambda: monitored.prometheus.number(f"sum({counted})") == 0,
        what="Prometheus counts before anything fails",
    )
    forgotten = monitored.notification("firing", alone)
    assert forgotten.receiver == "team"
    assert "everybody seems to have left" in forgotten.annotations["summary"]
    assert forgotten.labels["recording_id"] in forgotten.annotations["description"]
    too_long = monitored.notification("firing", long)
    assert too_long.receiver == "team"
    assert "is longer than your recordings should be" in too_long.annotations["summary"]
    assert "has been running for 2h" in too_long.annotations["description"]
    assert too_long.labels["recording_id"] in too_long.annotations["description"]

    monitored.advance(FAIL_AFTER_SECONDS)
    paged = monitored.notification("firing", critical)
    assert paged.receiver == "pager"
    assert paged.annotations["summary"] == "Too many recordings of app telehealth fail."
    assert "/d/rk-service-level?" in paged.annotations["dashboard_url"]

    monitored.advance(SUCCEED_AFTER_SECONDS)
    monitored.notification("resolved", critical)
    monitored.advance(ALONE_UNTIL_SECONDS)
    monitored.notification("resolved", alone)
    monitored.notification("resolved", long)
    runaways = {
        (notified.labels["what"], notified.labels["meeting_id"])
        for notified in monitored.webhook.notified
        if runaway.items() <= notified.labels.items()
    }
    assert runaways == {("alone", ALONE), ("long", LONG)}
    rules = monitored.prometheus.rules()
    assert [] == [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"]
    failed = 'app:rk_objective_recordings:total{objective="succeed", result="bad"}'
    assert monitored.prometheus.number(failed) == FAILING

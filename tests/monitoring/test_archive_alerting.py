"""A real Prometheus and Alertmanager notify about files without a copy in a real bucket."""

import time

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.bucket_server import BUCKET, REGION, BucketServer, bucket_server
from tests.support.building import scripted, value
from tests.support.monitoring import shortened
from tests.support.monitoring.servers import (
    Notified,
    Server,
    WebhookReceiver,
    eventually,
    exporter,
    started_alertmanager,
    started_prometheus,
    started_webhook_receiver,
)
from tests.support.programs import in_one_version
from tests.support.serving import served


SIZE = 1000
CONFIGURATION = """\
account_id: account
api: {{base_url: "{api}/client/v4", budget: 100000}}
scrape: {{min_interval: 0s}}
web: {{enable_lifecycle: true}}
apps:
  - app_id: telehealth
    meetings: {{ids: [saved, missing]}}
    downloads: {{archive: {{bucket: {bucket}, endpoint_url: "{url}", region: {region}}}}}
"""


@dataclass(frozen=True, slots=True)
class Monitored:
    """An exporter that looks for copies, and a webhook that receives notifications."""

    exporting: Server
    bucket: BucketServer
    webhook: WebhookReceiver
    file: Path
    api: str

    def configure(self, bucket: str) -> None:
        """Write the configuration."""
        self.file.write_text(
            CONFIGURATION.format(api=self.api, bucket=bucket, url=self.bucket.url, region=REGION)
        )

    def use(self, bucket: str) -> None:
        """Look for copies in another bucket, from now on."""
        self.configure(bucket)
        answer = httpx.post(f"{self.exporting.url}/-/reload", timeout=60)
        assert 200 == answer.status_code, answer.text

    def notification(self, status: str, labels: Mapping[str, str]) -> Notified:
        """Wait for a notification about an alert with these labels and status."""

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


def scenario(now: float) -> ScriptedScenario:
    """Return two recordings whose files RealtimeKit deletes in ten hours."""
    ended = now - 7 * 86_400 + 36_000
    return ScriptedScenario(
        recordings=[
            scripted(
                meeting,
                invoked_at=ended - 300,
                started_at=ended - 298,
                paused=(),
                stopped_at=ended - 60,
                uploaded_at=ended,
                file_size_bytes=SIZE,
                output_file_name=f"{meeting}.mp4",
            )
            for meeting in ("saved", "missing")
        ]
    )


@pytest.fixture
def monitored(
    prometheus: str, alertmanager: str, root: Path, tmp_path: Path
) -> Iterator[Monitored]:
    """Start all servers."""
    rules, configuration = tmp_path / "rules.yml", tmp_path / "alertmanager.yml"
    shortened.write_rules(root, rules)
    with (
        bucket_server(tmp_path) as bucket,
        served(Simulator(scenario(time.time()), rate_limit=0)) as api,
        started_webhook_receiver() as (webhook, webhook_url),
    ):
        shortened.write_alertmanager_configuration(root, configuration, webhook_url=webhook_url)
        exporting = exporter(
            tmp_path,
            *("--config.file", str(tmp_path / "rk.yml")),
            environment={"CLOUDFLARE_API_TOKEN": "simulated", **bucket.environment},
        )
        found = Monitored(exporting, bucket, webhook, tmp_path / "rk.yml", api)
        bucket.put("copies/saved.mp4", SIZE)
        bucket.put("copies/missing.mp4", SIZE - 1)
        found.configure(BUCKET)
        with (
            exporting,
            started_alertmanager(alertmanager, tmp_path, configuration) as alerts,
            started_prometheus(
                prometheus,
                tmp_path,
                targets={shortened.JOB: [exporting.address]},
                rule_files=[rules],
                alertmanager=alerts.address,
            ),
        ):
            yield found


@in_one_version
def test_archive(monitored: Monitored) -> None:
    """The pager hears of a file without a whole copy; the team, of a bucket that is gone."""
    lost = {
        "alertname": "RealtimeKitDownloadURLExpiringSoon",
        "meeting_id": "missing",
        "severity": "critical",
    }
    notified = monitored.notification("firing", lost)
    assert "pager" == notified.receiver
    assert '1 recording of "missing" will soon be lost' in notified.annotations["summary"]

    # A reload with another bucket begins a list immediately.
    monitored.use("no-such-bucket")
    unreadable = {"alertname": "RealtimeKitArchiveUnreadable", "rk_app": "telehealth"}
    assert "team" == monitored.notification("firing", unreadable).receiver

    monitored.bucket.put("copies/missing.mp4", SIZE)
    monitored.use(BUCKET)
    monitored.notification("resolved", unreadable)
    monitored.notification("resolved", lost)

    text = httpx.get(f"{monitored.exporting.url}/metrics").text
    assert 2 == value(text, "rk_recordings_archived")
    about_saved = [
        notified
        for notified in monitored.webhook.notified
        if notified.labels.get("meeting_id") == "saved" and notified.receiver != "daily"
    ]
    assert [] == about_saved

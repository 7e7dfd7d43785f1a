"""A real Prometheus and Alertmanager notify about files without a copy in a real bucket."""

import time

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.bucket_server import BUCKET, REGION, BucketServer, bucket_server
from tests.support.building import scripted, value
from tests.support.monitoring.alerting import Alerting, AlertingPrograms
from tests.support.monitoring.servers import Server, exporter
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
    """An exporter that looks for copies, and who is notified about it."""

    exporting: Server
    bucket: BucketServer
    alerting: Alerting
    file: Path
    api: str

    def use(self, bucket: str) -> None:
        """Look for copies in another bucket, from now on."""
        self.file.write_text(configuration(self.api, self.bucket, bucket))
        answer = httpx.post(f"{self.exporting.url}/-/reload", timeout=60)
        assert 200 == answer.status_code, answer.text


def configuration(api: str, server: BucketServer, bucket: str) -> str:
    """Return the configuration of an exporter that looks for copies in a *bucket*."""
    return CONFIGURATION.format(api=api, bucket=bucket, url=server.url, region=REGION)


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
def monitored(alerting: AlertingPrograms, tmp_path: Path) -> Iterator[Monitored]:
    """Start all servers."""
    with (
        bucket_server(tmp_path) as bucket,
        served(Simulator(scenario(time.time()), rate_limit=0)) as api,
    ):
        exporting = exporter(
            tmp_path,
            *("--config.file", str(tmp_path / "rk.yml")),
            environment={"CLOUDFLARE_API_TOKEN": "simulated", **bucket.environment},
        )
        bucket.put("copies/saved.mp4", SIZE)
        bucket.put("copies/missing.mp4", SIZE - 1)
        file = tmp_path / "rk.yml"
        file.write_text(configuration(api, bucket, BUCKET))
        with exporting, alerting.watching(tmp_path, exporting) as watched:
            yield Monitored(exporting, bucket, watched, file, api)


@in_one_version
def test_archive(monitored: Monitored) -> None:
    """The pager hears of a file without a whole copy; the team, of a bucket that is gone."""
    alerting = monitored.alerting
    lost = {
        "alertname": "RealtimeKitDownloadURLExpiringSoon",
        "meeting_id": "missing",
        "severity": "critical",
    }
    notified = alerting.notification("firing", lost)
    assert "pager" == notified.receiver
    assert '1 recording of "missing" will soon be lost' in notified.annotations["summary"]

    # A reload with another bucket begins a list immediately.
    monitored.use("no-such-bucket")
    unreadable = {"alertname": "RealtimeKitArchiveUnreadable", "rk_app": "telehealth"}
    assert "team" == alerting.notification("firing", unreadable).receiver

    monitored.bucket.put("copies/missing.mp4", SIZE)
    monitored.use(BUCKET)
    alerting.notification("resolved", unreadable)
    alerting.notification("resolved", lost)

    text = httpx.get(f"{monitored.exporting.url}/metrics").text
    assert 2 == value(text, "rk_recordings_archived")
    about_saved = [
        notified
        for notified in alerting.notified
        if notified.labels.get("meeting_id") == "saved" and notified.receiver != "daily"
    ]
    assert [] == about_saved

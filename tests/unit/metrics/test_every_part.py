"""The exposition of all parts that may be off, with another value for each series."""

import os

from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from rk_exporter.api.endpoints import NO_STATUS
from rk_exporter.archive.status import ArchiveStatus, Copies
from rk_exporter.metrics.config_reload import ConfigReloadMetrics
from rk_exporter.metrics.event_loop import EventLoopMetrics
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.metrics.own_metrics import OwnMetrics
from rk_exporter.metrics.shards import shard_families
from rk_exporter.metrics.web_config import WebConfigMetrics
from rk_exporter.metrics.webhooks import WebhookEvents
from rk_exporter.model.account import Account
from rk_exporter.model.archive import ArchiveFailure, ArchiveReason, Bucket
from rk_exporter.model.download import CheckFailure, DownloadChecks, FileCheck, FileKind
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App, DiscoveryState, FileState, ReadMode, Room
from rk_exporter.model.recording import Kind, Outcome, Recording, Status, StopReason
from rk_exporter.model.shard import Shard
from rk_exporter.model.webhook import WebhookHealth, WebhookStatus
from rk_exporter.ratelimit.status import BudgetStatus, RateLimitPolicy
from rk_exporter.runtime.event_loop_lag import EventLoopLag
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.counters import RecordingCounters
from rk_exporter.tracking.state_file import StateFileStatus
from rk_exporter.tracking.totals import RecordingTotals
from tests.support.building import NOW
from tests.support.exporters import Reloaded
from tests.support.known import known
from tests.support.statuses import REFUSED, account, app, reading


GOLDEN = Path(__file__).parent / "golden"
# The tests of the build look at it.
VOLATILE = "rk_exporter_build"

UPLOADED = known(
    "uploaded",
    "meeting-1",
    read_at=NOW - 11,
    status=Status.UPLOADED,
    session_id="session-1",
    output_file_name="one.mp4",
    file_size_bytes=1_234_567.0,
    reported_duration_seconds=61.5,
    download_url_expiry_timestamp_seconds=NOW + 3000,
    invoked_timestamp_seconds=NOW - 205,
    started_timestamp_seconds=NOW - 202,
    stopped_timestamp_seconds=NOW - 103,
    has_download_url=True,
    has_audio_download_url=None,
    stop_reason=StopReason.ALL_PEERS_LEFT,
)
TRACK = known(
    "track",
    "meeting-2",
    read_at=NOW - 12,
    status=Status.UPLOADED,
    is_track=True,
    download_url_expiry_timestamp_seconds=NOW + 90_000,
    has_download_url=False,
    has_audio_download_url=True,
)
# Its file is lost for 1 s, by the API's clock.
EXPIRED = known(
    "expired",
    "meeting-2",
    read_at=NOW - 13,
    status=Status.UPLOADED,
    download_url_expiry_timestamp_seconds=NOW + 49,
    has_download_url=True,
)
RUNNING = known("running", "meeting-1", read_at=NOW - 14, started_timestamp_seconds=NOW - 114)


def checks() -> DownloadChecks:
    """Return checks of which one failed."""
    return DownloadChecks(
        by_recording={
            "uploaded": (
                FileCheck(
                    recording_id="uploaded",
                    kind=FileKind.COMPOSITE,
                    checked_at=NOW - 21,
                    size_bytes=7654321.0,
                ),
                FileCheck(
                    recording_id="uploaded",
                    kind=FileKind.AUDIO,
                    checked_at=NOW - 22,
                    failure=CheckFailure.NOT_MEDIA,
                ),
            ),
            "expired": (
                FileCheck(recording_id="expired", kind=FileKind.COMPOSITE, checked_at=NOW - 23),
            ),
            "unknown": (
                FileCheck(recording_id="unknown", kind=FileKind.COMPOSITE, checked_at=NOW - 24),
            ),
        },
        made=8,
        failed={CheckFailure.NOT_MEDIA: 3, CheckFailure.GONE: 2},
    )


def archive() -> ArchiveStatus:
    """Return an archive that was listed twice; the next list failed."""
    copies = Copies(
        listed_at=NOW - 31,
        objects=1234,
        saved=frozenset({"uploaded", "hidden-1", "hidden-2"}),
        missing=frozenset({"expired", "hidden-3"}),
        # Within a day by the API's clock only.
        missing_expiries=(NOW + 49, NOW + 86_430, NOW + 86_500, NOW + 172_800),
    )
    listed = ArchiveStatus(bucket=Bucket("copies", 'rec/"2026"\n', "https://s3.example", "eu"))
    for seconds in (0.25, 70.0):
        listed = listed.after_success(copies, seconds=seconds, now=NOW - 32)
    return listed.after_failure(ArchiveFailure(ArchiveReason.REGION, "not here"))


def counters() -> RecordingCounters:
    """Return counters of which no two are equal."""
    counted = RecordingCounters().start(1.5).start(4.0).start(None).drop(9)
    for seconds in (20.0, 20.0, 700.0):
        counted = counted.upload(seconds)
    for number, outcome in enumerate(Outcome, start=1):
        for _ in range(number):
            counted = counted.finish(outcome)
    return replace(
        counted.move(Status.INVOKED, Status.RECORDING).move(Status.UNKNOWN, Status.PAUSED),
        recorded_seconds={Kind.COMPOSITE: 100.5, Kind.TRACK: 200.25},
        recorded_bytes={Kind.COMPOSITE: 3e9, Kind.TRACK: 4e7},
    )


def totals() -> RecordingTotals:
    """Return totals of which no two are equal."""
    return RecordingTotals(
        by_status={status: number for number, status in enumerate(Status, start=10)},
        expiring={"1h": 1, "24h": 2, "72h": 3},
        earliest_expiry_timestamp_seconds=NOW + 49,
        hidden=4,
    )


def busy_app() -> AppSnapshot:
    """Return an app of which all parts are on, and some fail."""
    return app(
        "busy",
        app=App("busy", "account-1", "app-1"),
        readings=(
            reading(
                "meeting-1",
                recordings=(RUNNING.recording, Recording(recording_id="x", status=Status.PAUSED)),
                last_success_timestamp_seconds=NOW - 41,
                room=Room(is_live=True, participants=5, record_on_start=True),
            ),
            reading("meeting-3", recordings=None, failure=REFUSED, room=Room(is_live=False)),
        ),
        read_mode=ReadMode.LIST,
        up=False,
        deferred=6,
        duration_seconds=0.75,
        budget_status=BudgetStatus(
            limit=601,
            remaining=402,
            blocked_until_timestamp_seconds=NOW + 51,
            policies=(
                RateLimitPolicy(policy="default", remaining=17, limit=1200),
                RateLimitPolicy(policy="default", remaining=18, limit=1300),
                RateLimitPolicy(policy="burst", remaining=19),
            ),
        ),
        files=(
            FileState("/lists/a.txt", is_read=True, last_success_timestamp_seconds=NOW - 61),
            FileState("/lists/b.txt", is_read=False, last_success_timestamp_seconds=None),
        ),
        discovery=DiscoveryState(REFUSED, NOW - 62),
        recordings=(UPLOADED, TRACK, EXPIRED, RUNNING),
        totals=totals(),
        counters=counters(),
        downloads=checks(),
        archive=archive(),
        clock_offset_seconds=50.0,
        webhook=WebhookStatus(WebhookHealth.LOSSY, NOW - 71, 8),
    )


def silent_app() -> AppSnapshot:
    """Return an app whose parts are on, and have found nothing yet."""
    return AppSnapshot(
        app=App("silent", "account-2", "app-2"),
        readings=(),
        recordings=(known("uploaded", "meeting-1", read_at=NOW - 15),),
        budget_status=BudgetStatus(limit=602, remaining=0),
        discovery=DiscoveryState(),
        downloads=DownloadChecks(),
        archive=ArchiveStatus(bucket=Bucket("other")),
        webhook=WebhookStatus(WebhookHealth.SILENT),
    )


def snapshot() -> Snapshot:
    """Return a snapshot of an app without parts, of apps with them, and of accounts."""
    first = account(apps=3, is_cut=True, last_success_timestamp_seconds=NOW - 81)
    other = Account("other", "account-2")
    return Snapshot(
        (app("plain"), busy_app(), silent_app()),
        NOW,
        StateFileStatus(is_written=False, last_success_timestamp_seconds=NOW - 82),
        (first, replace(first, account=other, up=False, apps=0, is_cut=False)),
    )


def own_metrics() -> OwnMetrics:
    """Return what counts of two apps and two accounts, of which one app has made no call."""
    metrics = OwnMetrics()
    metrics.set_apps({"busy": ["recordings"], "silent": ["recording", "meeting"]})
    metrics.set_accounts(["acme", "other"])
    calls, listed = metrics.calls.of("busy"), metrics.calls_of_account("acme")
    for code, seconds in (("200", 0.04), ("200", 0.3), (NO_STATUS, 5.5), ("418", 12.0)):
        calls.called("recordings", code, seconds)
        listed.called("apps", code, seconds)
    calls.called("sessions", "200", 0.01)
    calls.failed("recordings", Reason.TIMEOUT)
    calls.malformed(["file_size", "file_size", "type"])
    metrics.count_bug("busy")
    listed.failed("apps", Reason.CLIENT_ERROR)
    listed.malformed(["id", "name"])
    for _ in range(3):
        metrics.count_account_error("acme")()
    return metrics


def exposition(form: Format) -> str:
    """Return everything that a process can show."""
    lag = EventLoopLag()
    lag.seconds = 2.5
    events = WebhookEvents(events=["a", "b"], results=["accepted", "rejected"])
    for event, result, count in (("a", "accepted", 1), ("b", "rejected", 2)):
        for _ in range(count):
            events.count(event, result)
    families = chain(
        SnapshotFamilies()(snapshot()),
        own_metrics().collect({"busy", "silent"}),
        shard_families(Shard(1, 3)),
        ConfigReloadMetrics(
            Reloaded(last_reload_successful=False, last_success_timestamp_seconds=NOW - 91)
        ).collect(),
        WebConfigMetrics(Reloaded(last_success_timestamp_seconds=NOW - 92)).collect(),
        EventLoopMetrics(lag).collect(),
        events.collect(),
    )
    shown = (family for family in families if family.name != VOLATILE)
    return encode(shown, form).decode()


@pytest.mark.parametrize("form", Format)
def test_golden_exposition(form: Format) -> None:
    """The exposition of an exporter whose parts are all on equals the reviewed golden file."""
    text = exposition(form)
    golden = GOLDEN / f"every-part.{form.name.lower()}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert golden.read_text() == text


def test_a_process_without_shards() -> None:
    """Without shards, nothing is shown of them."""
    assert [] == [*shard_families(None)]

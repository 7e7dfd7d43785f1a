"""The reference of the metrics, from the families that the exporter builds."""

from collections.abc import Iterable, Iterator
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from rk_exporter.api.endpoints import ENDPOINTS
from rk_exporter.archive.status import ArchiveStatus, Copies
from rk_exporter.metrics.config_reload import ConfigReloadMetrics
from rk_exporter.metrics.event_loop import EventLoopMetrics
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.metrics.meetings import MEETING_AGE
from rk_exporter.metrics.own_metrics import OwnMetrics
from rk_exporter.metrics.recordings import RECORDING_AGE
from rk_exporter.metrics.shards import shard_families
from rk_exporter.metrics.web_config import WebConfigMetrics
from rk_exporter.metrics.webhooks import WebhookEvents
from rk_exporter.model.account import Account
from rk_exporter.model.archive import ArchiveReason, Bucket
from rk_exporter.model.download import CheckFailure, DownloadChecks, FileCheck, FileKind
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App, DiscoveryState, FileState, Meeting, Reading, Room
from rk_exporter.model.recording import Outcome, Recording, Status, StopReason
from rk_exporter.model.shard import Shard
from rk_exporter.model.webhook import WebhookHealth, WebhookStatus
from rk_exporter.ratelimit.status import BudgetStatus, RateLimitPolicy
from rk_exporter.runtime.event_loop_lag import EventLoopLag
from rk_exporter.snapshot import AccountSnapshot, AppSnapshot, Snapshot
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.state_file import StateFileStatus
from rk_exporter.tracking.totals import RecordingTotals
from rk_exporter.webhooks.events import OTHER, EventName
from rk_exporter.webhooks.receiver import Result
from tools.docs.tables import code, table


# The first subject counts that has a prefix of the metric's name.
_SUBJECTS = {
    "Downloads": (
        "rk_download_",
        "rk_recording_download_verified",
        "rk_recording_download_size_",
        "rk_recording_download_last_check_",
        "rk_recording_download_failure_",
    ),
    "Files": ("rk_meetings_file_", "rk_state_file_", "rk_config_", "rk_web_config_"),
    "Recordings of an app": (
        "rk_recordings",
        "rk_recorded_",
        "rk_recording_transitions_",
        "rk_recording_start_delay_",
        "rk_recording_upload_delay_",
    ),
    "Single recordings": ("rk_recording_",),
    "Meetings": ("rk_meeting_",),
    "Apps": ("rk_up", "rk_meetings", "rk_discovery_", "rk_scrape_", "rk_app_"),
    "Accounts": ("rk_account_",),
    "Archives": ("rk_archive_",),
    "API budget": ("rk_api_budget_", "rk_api_ratelimit_", "rk_api_blocked_"),
    "API calls": ("rk_api_",),
    "Webhooks": ("rk_webhook_",),
    "Exporter": ("rk_exporter_",),
}
_ORDER = (
    "Single recordings",
    "Downloads",
    "Recordings of an app",
    "Meetings",
    "Apps",
    "Accounts",
    "Archives",
    "API budget",
    "API calls",
    "Files",
    "Webhooks",
    "Exporter",
)
_SUFFIXES = {"counter": "_total", "info": "_info"}
# A bucket's bound is part of the type, not of the metric.
_BUCKET_LABEL = "le"


def _codes(values: Iterable[str]) -> str:
    return ", ".join(map(code, values))


_LABELS = {
    "rk_app": "`name` of the app in the configuration file; without it, the app's id",
    "meeting_id": "id of the meeting",
    "recording_id": "id of the recording",
    "status": f"state of the recording: {_codes(Status)}",
    "reason": f"of the end of a recording: {_codes(StopReason)}; of a failed API call: "
    f"{_codes(Reason)}; of a download that does not work: {_codes(CheckFailure)}; of a failed list "
    f"of a bucket: {_codes(ArchiveReason)}",
    "kind": "of a download: `composite` (the recording), `audio` (its sound alone), or in the "
    "metrics of checks also `track` (the files of the participants); of a "
    "recording: `composite` or `track` (a file per participant)",
    "session_id": "id of the meeting's session; empty if the API does not return it",
    "output_file_name": "name of the recording's file; empty if the API does not return it",
    "outcome": f"how the recording ended: {_codes(Outcome)}",
    "within": "time in which the download URLs expire",
    "from": "state before a change",
    "to": "state after a change",
    "meeting_name": "name of the meeting",
    "rk_account": "`name` of the account in the configuration file; without it, the account's id",
    "rk_account_id": "Cloudflare account, e.g. that owns the app",
    "rk_app_id": "id of the RealtimeKit app",
    "read": "how recordings are read: `active-recording` or `list`; see `api.read` in the "
    "[configuration](configuration.md)",
    "bucket": "name of the bucket with an app's copies",
    "prefix": "what the keys of the listed objects begin with",
    "policy": "name of a rate limit policy in the API's headers",
    "file": "path of a meetings file",
    "api_endpoint": f"API endpoint: {_codes(ENDPOINTS)}",
    "code": "HTTP status; `none` if no complete response arrived",
    "field": "field of the API's response",
    "event": f"name of an event in the documentation: {_codes([*EventName, OTHER])}",
    "result": f"what became of an event: {_codes(Result)}; see [HTTP](http.md#webhooks)",
    "exporter_version": "version of the exporter",
    "exporter_revision": "Git revision of the exporter, or `unknown`",
    "python_version": "version of Python",
}
_INTRODUCTION = """\
Unknown values have no sample. For example, a recording that is only `INVOKED` has no size. Metrics
whose type is `info` have the value 1; their labels are the content, which queries can
[join](../how-to/prometheus.md#show-names).

A recording has 12 to 22 series, a meeting 4 to 7. [Following](../explanation/following.md) explains
how long a recording is shown. Its values are as old as
`rk_recording_last_success_timestamp_seconds`, those of a meeting as old as
`rk_meeting_last_success_timestamp_seconds`, and those of live meetings as old as
`rk_discovery_last_success_timestamp_seconds`.

The metrics of downloads exist only if [downloads are verified](../how-to/verify-downloads.md),
those about archives and copies only with [`downloads.archive`](../how-to/archive.md).

A new series of a counter or histogram shows its old value, usually 0, in two scrapes before it
grows, so that `increase` counts [from the first event](../how-to/prometheus.md#new-counters).

`/metrics` also has the `process_*` metrics of the exporter's process. `rk-exporter scrape` does not
print them, because node_exporter, which reads its output, has metrics of the same names.
"""


def metrics_reference() -> str:
    """Return the metrics by subject with type, labels and HELP, and the meaning of the labels."""
    families = list(_families())
    parts = [_INTRODUCTION]
    for subject in _ORDER:
        rows = [_row(family) for family in families if _subject(family) == subject]
        parts.append(f"## {subject}\n\n{table(('metric', 'type', 'labels', 'meaning'), rows)}")
    used = dict.fromkeys(label for family in families for label in _labels(family))
    labels = table(("label", "meaning"), ((code(label), _LABELS[label]) for label in used))
    parts.append(f"## Labels\n\n{labels}")
    return "\n".join(parts)


def _row(family: Metric) -> tuple[str, str, str, str]:
    meaning = family.documentation
    for age in (RECORDING_AGE, MEETING_AGE):
        meaning = meaning.removesuffix(f" {age}")
    return code(_name(family)), family.type, ", ".join(_labels(family)), meaning


def _name(family: Metric) -> str:
    return family.name + _SUFFIXES.get(family.type, "")


def _subject(family: Metric) -> str:
    name = _name(family)
    return next(subject for subject, starts in _SUBJECTS.items() if name.startswith(starts))


def _labels(family: Metric) -> list[str]:
    names = dict.fromkeys(name for sample in family.samples for name in sample.labels)
    return [name for name in names if name != _BUCKET_LABEL]


_FAILED_CHECK = FileCheck(
    recording_id="recording",
    kind=FileKind.COMPOSITE,
    checked_at=1.0,
    failure=CheckFailure.SIZE_MISMATCH,
    size_bytes=1.0,
)


class _Reloaded:
    """A configuration that was reloaded."""

    last_reload_successful = True
    last_success_timestamp_seconds = 1.0


def _families() -> Iterator[Metric]:
    """Return all metrics but those of the process, each with a sample."""
    registry = CollectorRegistry()
    registry.register(EventLoopMetrics(EventLoopLag()))
    registry.register(ConfigReloadMetrics(_Reloaded()))
    registry.register(WebConfigMetrics(_Reloaded()))
    registry.register(WebhookEvents(events=EventName, results=Result))
    own = OwnMetrics()
    own.set_apps({"app": ENDPOINTS})
    own.set_accounts(["account"])
    return chain(
        SnapshotFamilies()(_snapshot()),
        own.collect({"app"}),
        registry.collect(),
        shard_families(Shard(0, 2)),
    )


def _snapshot() -> Snapshot:
    """Return a snapshot in which no value is unknown."""
    meeting = Meeting("meeting", "name")
    recording = Recording(
        recording_id="recording",
        status=Status.UPLOADED,
        session_id="session",
        output_file_name="file",
        file_size_bytes=1.0,
        download_url_expiry_timestamp_seconds=2.0,
        invoked_timestamp_seconds=1.0,
        started_timestamp_seconds=1.0,
        stopped_timestamp_seconds=1.0,
        stop_reason=StopReason.API_CALL,
    )
    reading = Reading(
        meeting=meeting,
        recordings=(recording,),
        last_attempt_timestamp_seconds=1.0,
        last_success_timestamp_seconds=1.0,
        room=Room(is_live=True, participants=1, record_on_start=True),
    )
    app = AppSnapshot(
        app=App("app", "account", "id"),
        readings=(reading,),
        up=True,
        deferred=0,
        duration_seconds=1.0,
        budget_status=BudgetStatus(
            limit=1,
            remaining=1,
            blocked_until_timestamp_seconds=1.0,
            policies=(RateLimitPolicy(policy="default", remaining=1, limit=1),),
        ),
        files=(FileState("path", is_read=True, last_success_timestamp_seconds=1.0),),
        discovery=DiscoveryState(last_success_timestamp_seconds=1.0),
        recordings=(KnownRecording(meeting=meeting, recording=recording, read_at=1.0),),
        downloads=DownloadChecks(
            {"recording": (_FAILED_CHECK,)}, failed=dict.fromkeys(CheckFailure, 0)
        ),
        totals=RecordingTotals(earliest_expiry_timestamp_seconds=1.0),
        webhook=WebhookStatus(
            health=WebhookHealth.HEALTHY, last_event_timestamp_seconds=1.0, missed=1
        ),
        archive=ArchiveStatus(
            bucket=Bucket("bucket"),
            copies=Copies(
                listed_at=1.0,
                objects=1,
                saved=frozenset({"recording"}),
                missing=frozenset(),
            ),
            last_success_timestamp_seconds=1.0,
        ),
    )
    state_file = StateFileStatus(is_written=True, last_success_timestamp_seconds=1.0)
    account = AccountSnapshot(
        account=Account("account", "id"),
        up=True,
        apps=1,
        listed=1,
        failure=None,
        last_success_timestamp_seconds=1.0,
        is_cut=False,
    )
    return Snapshot((app,), 1.0, state_file, (account,))

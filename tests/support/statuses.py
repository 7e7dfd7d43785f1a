"""Snapshots and observations for tests of the status, by hand and generated."""

from html.parser import HTMLParser
from typing import Any

from hypothesis import strategies as st

from rk_exporter.collector.collector import PassProgress
from rk_exporter.model.account import Account
from rk_exporter.model.archive import Bucket
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import (
    App,
    DiscoveryState,
    FileState,
    Meeting,
    Reading,
    ReadMode,
    Room,
)
from rk_exporter.model.recording import Outcome, Recording, Status, StopReason
from rk_exporter.ratelimit.status import BudgetStatus, Outage, RateLimitPolicy
from rk_exporter.snapshot import AccountSnapshot, AppSnapshot, Snapshot
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.state_file import StateFileStatus
from rk_exporter.tracking.totals import RecordingTotals
from rk_exporter.web.status.readiness import Observed
from tests.support.building import NOW


BUCKET = Bucket("our-recordings", "copies/")
REFUSED = Failure(Reason.AUTH, "the API answered 401 with the error code 10000")


def meeting(meeting_id: str = "m", name: str = "") -> Meeting:
    return Meeting(meeting_id, name or meeting_id)


def reading(meeting_id: str = "m", **fields: Any) -> Reading:
    """Return the reading of a meeting without recordings, as of NOW."""
    defaults: dict[str, Any] = {
        "meeting": meeting(meeting_id),
        "recordings": (),
        "last_attempt_timestamp_seconds": NOW,
        "last_success_timestamp_seconds": NOW,
    }
    return Reading(**defaults | fields)


def app(name: str = "production", **fields: Any) -> AppSnapshot:
    """Return an app that is read and well."""
    defaults: dict[str, Any] = {
        "app": App(name, "account", "app-id"),
        "readings": (),
        "up": True,
        "deferred": 0,
        "duration_seconds": 0.5,
        "last_pass_timestamp_seconds": NOW,
        "budget_status": BudgetStatus(limit=600, remaining=588),
        "is_restored": True,
    }
    return AppSnapshot(**defaults | fields)


def progress(**fields: Any) -> PassProgress:
    defaults: dict[str, Any] = {
        "last_ended_at": NOW,
        "is_running": False,
        "failed_apps": frozenset(),
    }
    return PassProgress(**defaults | fields)


def observed(
    *apps: AppSnapshot, state_file: StateFileStatus | None = None, **fields: Any
) -> Observed:
    """Return what was observed of *apps* at NOW."""
    defaults: dict[str, Any] = {
        "snapshot": Snapshot(apps, NOW, state_file),
        "progress": progress(),
        "started_at": NOW - 3600,
        "stale_after_seconds": 300.0,
        "failures": {},
        "internal_errors": {},
    }
    return Observed(**defaults | fields)


def account(**fields: Any) -> AccountSnapshot:
    """Return an account whose two apps were listed at NOW."""
    defaults: dict[str, Any] = {
        "account": Account("acme", "account-id"),
        "up": True,
        "apps": 2,
        "listed": 2,
        "failure": None,
        "last_success_timestamp_seconds": NOW,
    }
    return AccountSnapshot(**defaults | fields)


def with_accounts(*accounts: AccountSnapshot) -> Observed:
    """Return what was observed of an app and of *accounts*."""
    return observed(snapshot=Snapshot((app(),), NOW, accounts=accounts))


class _Cells(HTMLParser):
    """Finds the texts of the cells of a table, and all elements with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[dict[str, str]] = []
        self.text = ""
        self._cell: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "tr":
            self.rows.append({})
        if tag in {"td", "th"}:
            self._cell = attributes.get("data-label")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._cell = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell is not None:
            self.rows[-1][self._cell] = self.rows[-1].get(self._cell, "") + data


def parse(page: bytes) -> _Cells:
    """Return what a browser finds in a *page*: elements, rows of the table, and text."""
    parser = _Cells()
    parser.feed(page.decode())
    parser.close()
    return parser


# --- generated ---

_numbers = st.none() | st.floats(0, 1e12)
_moments = st.none() | st.floats(NOW - 30 * 86_400, NOW + 30 * 86_400)
_texts = st.text(max_size=20)
_ids = st.text("abcdefghij0123456789-_", min_size=1, max_size=6)
failures = st.builds(Failure, st.sampled_from(Reason), _texts)
_recordings = st.builds(
    Recording,
    recording_id=_ids,
    status=st.sampled_from(Status),
    session_id=st.none() | _texts,
    output_file_name=st.none() | _texts,
    file_size_bytes=_numbers,
    reported_duration_seconds=_numbers,
    download_url_expiry_timestamp_seconds=_moments,
    invoked_timestamp_seconds=_moments,
    started_timestamp_seconds=_moments,
    stopped_timestamp_seconds=_moments,
    is_track=st.booleans(),
    stop_reason=st.none() | st.sampled_from(StopReason),
)
_meetings = st.builds(Meeting, _ids, _texts)
_known = st.builds(
    KnownRecording,
    meeting=_meetings,
    recording=_recordings,
    read_at=st.floats(NOW - 86_400, NOW),
    outcome=st.none() | st.sampled_from(Outcome),
)
_readings = st.builds(
    Reading,
    meeting=_meetings,
    recordings=st.none() | st.lists(_recordings, max_size=2).map(tuple),
    last_attempt_timestamp_seconds=_moments,
    last_success_timestamp_seconds=_moments,
    failure=st.none() | failures,
    room=st.none()
    | st.builds(
        Room, st.none() | st.booleans(), st.none() | st.integers(0, 99), st.none() | st.booleans()
    ),
)
_outages = st.none() | st.builds(
    Outage, failure=failures, since_timestamp_seconds=st.floats(NOW - 86_400, NOW)
)
_policies = st.builds(
    RateLimitPolicy,
    policy=_ids,
    remaining=st.integers(0, 10_000),
    limit=st.none() | st.integers(1, 10_000),
    reset_seconds=_numbers,
)
_budgets = st.builds(
    BudgetStatus,
    limit=st.integers(1, 100_000),
    remaining=st.integers(0, 1000),
    blocked_until_timestamp_seconds=_moments,
    block=_outages,
    policies=st.lists(_policies, max_size=2, unique_by=lambda policy: policy.policy).map(tuple),
)
_counts = st.integers(0, 1000)
_totals = st.builds(
    RecordingTotals,
    by_status=st.fixed_dictionaries(dict.fromkeys(Status, _counts)),
    expiring=st.fixed_dictionaries(dict.fromkeys(("1h", "24h", "72h"), _counts)),
    earliest_expiry_timestamp_seconds=_moments,
    hidden=_counts,
)
_files = st.builds(
    FileState,
    path=_texts,
    is_read=st.booleans(),
    last_success_timestamp_seconds=_moments,
    problem=st.none() | _texts,
)


def _apps(name: str) -> st.SearchStrategy[AppSnapshot]:
    return st.builds(
        AppSnapshot,
        app=st.just(App(name, "account", "app-id")),
        readings=st.lists(
            _readings, max_size=5, unique_by=lambda read: read.meeting.meeting_id
        ).map(tuple),
        read_mode=st.sampled_from(ReadMode),
        up=st.none() | st.booleans(),
        deferred=st.none() | _counts,
        duration_seconds=_numbers,
        last_pass_timestamp_seconds=_moments,
        outage=_outages,
        token_problem=st.none() | _texts,
        budget_status=st.none() | _budgets,
        files=st.lists(_files, max_size=2, unique_by=lambda file: file.path).map(tuple),
        discovery=st.none() | st.builds(DiscoveryState, st.none() | failures, _moments),
        recordings=st.lists(
            _known, max_size=5, unique_by=lambda one: (one.meeting.meeting_id, one.recording_id)
        ).map(tuple),
        totals=_totals,
        is_restored=st.booleans(),
        clock_offset_seconds=st.floats(-1000, 1000),
    )


snapshots = st.builds(
    Snapshot,
    apps=_texts.filter(lambda name: name.strip() == name != "").flatmap(
        lambda name: st.tuples(_apps(name), _apps(f"{name}2"))
    ),
    taken_at=st.just(NOW),
    state_file=st.none() | st.builds(StateFileStatus, st.booleans(), _moments),
)

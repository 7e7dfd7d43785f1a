import json
import re

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from hypothesis import given

from rk_exporter.archive.status import ArchiveStatus, Copies
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.model.archive import ArchiveFailure, ArchiveReason
from rk_exporter.model.download import CheckFailure, DownloadChecks, FileCheck, FileKind
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import DiscoveryState, FileState, Room
from rk_exporter.model.recording import Outcome, Status
from rk_exporter.model.remedies import REMEDIES
from rk_exporter.model.webhook import WebhookHealth, WebhookStatus
from rk_exporter.ratelimit.status import BudgetStatus, Outage
from rk_exporter.runtime.recent_warnings import LoggedWarning
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.state_file import StateFileStatus
from rk_exporter.tracking.totals import RecordingTotals
from rk_exporter.web.status import document
from rk_exporter.web.status.build import MOST_APPS, MOST_ROWS, build_status
from rk_exporter.web.status.document import (
    Answer,
    AppStatus,
    Archive,
    Download,
    Filter,
    Row,
    Webhooks,
)
from rk_exporter.web.status.problems import Problem
from tests.support.building import NOW
from tests.support.known import known
from tests.support.statuses import (
    BUCKET,
    REFUSED,
    account,
    app,
    observed,
    progress,
    reading,
    snapshots,
    with_accounts,
)


Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
# The samples of a recording, by the field of the document that has the same value.
OF_RECORDING = {
    "duration_seconds": "rk_recording_duration_seconds",
    "file_size_bytes": "rk_recording_file_size_bytes",
    "invoked_timestamp_seconds": "rk_recording_invoked_timestamp_seconds",
    "started_timestamp_seconds": "rk_recording_started_timestamp_seconds",
    "stopped_timestamp_seconds": "rk_recording_stopped_timestamp_seconds",
    "download_url_expiry_timestamp_seconds": "rk_recording_download_url_expiry_timestamp_seconds",
    "download_url_expires_in_seconds": "rk_recording_download_url_expires_in_seconds",
}
OF_APP = {
    "is_up": "rk_up",
    "meetings": "rk_meetings",
    "meetings_deferred": "rk_meetings_deferred",
    "last_pass_duration_seconds": "rk_scrape_duration_seconds",
}


def series(snapshot: Snapshot) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in SnapshotFamilies()(snapshot)
        for sample in family.samples
    }


def value(found: Series, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def number(figure: float | None) -> float | None:
    return None if figure is None else float(figure)


# One test, because it takes longer to make a snapshot than to check everything.
@given(snapshots)
def test_any_snapshot(snapshot: Snapshot) -> None:
    """
    Each figure is the value of its sample, or neither exists.

    The JSON is valid under the published schema, and has no NaN.
    """
    found = series(snapshot)
    status = build_status(observed(*snapshot.apps, snapshot=snapshot), Filter(), NOW)
    assert {
        (one.app, one.meeting_id, one.recording.recording_id)
        for one in status.rows
        if one.recording
    } == {
        (labels["rk_app"], labels["meeting_id"], labels["recording_id"])
        for name, pairs in found
        if name == "rk_recording_status" and (labels := dict(pairs))
    }
    for row in status.rows:
        check_row(row, found)
    assert len(status.apps) == len(snapshot.apps)
    for one in status.apps:
        check_app(one, found)
    text = msgspec.json.encode(Answer(status="success", data=status))
    validator().validate(json.loads(text, parse_constant=refuse))


def check_row(one: Row, found: Series) -> None:
    of_meeting = {"rk_app": one.app, "meeting_id": one.meeting_id}
    up = value(found, "rk_meeting_up", **of_meeting)
    assert number(one.meeting_up) == up
    active = value(found, "rk_meeting_active_recordings", **of_meeting)
    assert number(one.active_recordings) == active
    if one.recording is None:
        last = value(found, "rk_meeting_last_success_timestamp_seconds", **of_meeting)
        assert one.last_success_timestamp_seconds == last
        return
    labels = {**of_meeting, "recording_id": one.recording.recording_id}
    last = value(found, "rk_recording_last_success_timestamp_seconds", **labels)
    assert one.last_success_timestamp_seconds == last
    assert value(found, "rk_recording_status", status=one.recording.state, **labels) == 1
    for name, metric in OF_RECORDING.items():
        assert getattr(one.recording, name) == value(found, metric, **labels), metric


def check_app(one: AppStatus, found: Series) -> None:
    for name, metric in OF_APP.items():
        assert number(getattr(one, name)) == value(found, metric, rk_app=one.name), metric
    known_ones = one.recordings
    assert known_ones.hidden == value(found, "rk_recordings_hidden", rk_app=one.name)
    earliest = value(found, "rk_recordings_earliest_expiry_timestamp_seconds", rk_app=one.name)
    assert known_ones.earliest_expiry_timestamp_seconds == earliest
    for status, count in known_ones.by_state.items():
        assert count == value(found, "rk_recordings", rk_app=one.name, status=status)
    for within, count in known_ones.expiring_within.items():
        assert count == value(found, "rk_recordings_expiring", rk_app=one.name, within=within)
    for file in one.meetings_files:
        labels = {"rk_app": one.name, "file": file.path}
        assert file.is_read == value(found, "rk_meetings_file_last_read_successful", **labels)
    budget = one.budget
    limit, remaining = (
        value(found, f"rk_api_budget_{name}", rk_app=one.name) for name in ("limit", "remaining")
    )
    assert (limit, remaining) == (
        (budget.limit_calls, budget.remaining_calls) if budget else (None, None)
    )
    assert budget is None or budget.used_calls == budget.limit_calls - budget.remaining_calls
    for policy in one.rate_limits:
        labels = {"rk_app": one.name, "policy": policy.policy}
        assert policy.remaining_calls == value(found, "rk_api_ratelimit_remaining", **labels)
        assert policy.limit_calls == value(found, "rk_api_ratelimit_limit", **labels)
    blocked_until = value(found, "rk_api_blocked_until_timestamp_seconds", rk_app=one.name)
    if one.failing is not None and budget is not None:
        assert one.failing.until_timestamp_seconds == blocked_until


def refuse(constant: str) -> None:
    raise AssertionError(constant)


@cache
def validator() -> jsonschema.Draft202012Validator:
    path = Path(__file__).parents[3] / "docs/reference/status-api.schema.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text()))


def test_units_are_in_the_names() -> None:
    """Each field that is a number of seconds, bytes or calls says so in its name."""
    for kind in vars(document).values():
        if not (isinstance(kind, type) and is_dataclass(kind)):
            continue
        for field in fields(kind):
            if "float" in str(field.type) or field.type in {"Seconds", "Timestamp"}:
                assert re.search(r"_(seconds|bytes)$", field.name), field.name


def row_problems(*args: Any, **fields: Any) -> list[Problem]:
    """Return the problems of the first row."""
    return build_status(observed(app(*args, **fields)), Filter(), NOW).rows[0].problems


DAY = 86_400.0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": Status.INVOKED, "invoked_timestamp_seconds": NOW - 299}, []),
        ({"status": Status.INVOKED, "invoked_timestamp_seconds": NOW - 301}, ["stuck"]),
        ({"status": Status.INVOKED}, []),
        ({"status": Status.UPLOADING, "stopped_timestamp_seconds": NOW - 3599}, []),
        ({"status": Status.UPLOADING, "stopped_timestamp_seconds": NOW - 3601}, ["stuck"]),
        ({"status": Status.ERRORED, "invoked_timestamp_seconds": NOW - DAY + 1}, ["failed"]),
        ({"status": Status.ERRORED, "invoked_timestamp_seconds": NOW - DAY - 1}, []),
        ({"status": Status.UPLOADING, "outcome": Outcome.UPLOAD_FAILED}, ["failed"]),
        ({"status": Status.RECORDING, "outcome": Outcome.VANISHED}, ["vanished"]),
        ({"read_at": NOW - 601}, ["stale"]),
        ({"read_at": NOW - 601, "status": Status.UPLOADED}, []),
        ({"started_timestamp_seconds": NOW - 0.9 * DAY - 1}, ["near_limit"]),
        ({"started_timestamp_seconds": NOW - 0.9 * DAY + 1}, []),
        ({"status": Status.UNKNOWN}, ["unknown"]),
        (
            {
                "status": Status.UPLOADED,
                "download_url_expiry_timestamp_seconds": NOW + DAY - 1,
            },
            ["expiring"],
        ),
        (
            {
                "status": Status.UPLOADED,
                "download_url_expiry_timestamp_seconds": NOW + DAY + 1,
            },
            [],
        ),
        ({"status": Status.UPLOADED, "download_url_expiry_timestamp_seconds": NOW - 1}, []),
        (
            {
                "status": Status.UPLOADED,
                "file_size_bytes": 0.0,
                "reported_duration_seconds": 60.0,
            },
            ["empty"],
        ),
        (
            {
                "status": Status.UPLOADED,
                "file_size_bytes": 0.0,
                "reported_duration_seconds": 60.0,
                "stopped_timestamp_seconds": NOW - DAY - 1,
            },
            [],
        ),
    ],
)
def test_problems_of_recordings(fields: dict[str, Any], expected: list[str]) -> None:
    """A recording has the problems about which there are alerts, within the same limits."""
    assert expected == row_problems(recordings=(known(**fields),))


def checked(failure: CheckFailure | None = None) -> DownloadChecks:
    """Return the checks of the two files of the recording that `known` returns."""
    key = known().recording_id
    composite = FileCheck(
        recording_id=key,
        kind=FileKind.COMPOSITE,
        checked_at=NOW - 60,
        failure=failure,
        size_bytes=1000.0,
    )
    audio = FileCheck(recording_id=key, kind=FileKind.AUDIO, checked_at=NOW - 50)
    return DownloadChecks({key: (composite, audio)})


def test_broken_downloads() -> None:
    """A recording whose file cannot be downloaded has a problem, until its URL has expired."""
    uploaded: dict[str, Any] = {
        "status": Status.UPLOADED,
        "download_url_expiry_timestamp_seconds": NOW + 2 * DAY,
    }
    expired = {**uploaded, "download_url_expiry_timestamp_seconds": NOW - 1}
    gone = checked(CheckFailure.GONE)
    assert ["broken"] == row_problems(recordings=(known(**uploaded),), downloads=gone)
    assert [] == row_problems(recordings=(known(**uploaded),), downloads=checked())
    assert [] == row_problems(recordings=(known(**expired),), downloads=gone)
    assert [] == row_problems(recordings=(known(**uploaded),), downloads=None)


def test_checks_of_downloads() -> None:
    """A recording has the last check of each kind of its files."""
    uploaded = known(status=Status.UPLOADED)
    found = app(recordings=(uploaded,), downloads=checked(CheckFailure.SIZE_MISMATCH))
    (row,) = build_status(observed(found), Filter(), NOW).rows
    assert row.recording
    assert [
        Download(
            kind="composite",
            is_verified=False,
            failure_reason="size_mismatch",
            size_bytes=1000.0,
            last_check_timestamp_seconds=NOW - 60,
        ),
        Download(
            kind="audio",
            is_verified=True,
            failure_reason=None,
            size_bytes=None,
            last_check_timestamp_seconds=NOW - 50,
        ),
    ] == row.recording.downloads


def test_problems_follow_the_clock_of_the_api() -> None:
    """The API's timestamps are compared with the API's clock, which may be ahead."""
    invoked = known(status=Status.INVOKED, invoked_timestamp_seconds=NOW + 700)
    assert ["stuck"] == row_problems(recordings=(invoked,), clock_offset_seconds=1001.0)


LIVE = Room(is_live=True, participants=2, record_on_start=True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"failure": REFUSED}, ["unreadable"]),
        (
            {"last_attempt_timestamp_seconds": None, "last_success_timestamp_seconds": None},
            ["stale"],
        ),
        ({"last_success_timestamp_seconds": None, "failure": REFUSED}, ["unreadable"]),
        ({"recordings": None}, ["stale"]),
        ({"last_success_timestamp_seconds": NOW - 601}, ["stale"]),
        (
            {"last_success_timestamp_seconds": NOW - 601, "failure": REFUSED},
            ["unreadable", "stale"],
        ),
    ],
)
def test_problems_of_meetings(fields: dict[str, Any], expected: list[str]) -> None:
    """A meeting that cannot be read, or was not read recently, has a problem."""
    assert expected == row_problems(readings=(reading(**fields),))


@pytest.mark.parametrize(
    ("room", "recordings", "expected"),
    [
        (LIVE, (), ["unrecorded"]),
        (LIVE, (known(status=Status.UPLOADING),), ["unrecorded"]),
        (LIVE, (known(status=Status.INVOKED),), []),
        (LIVE, (known(status=Status.PAUSED),), []),
        (Room(is_live=True, participants=0, record_on_start=True), (), []),
        (Room(is_live=True, participants=2, record_on_start=False), (), []),
        (Room(is_live=True, participants=2, record_on_start=None), (), []),
    ],
)
def test_unrecorded_meetings(room: Room, recordings: Any, expected: list[str]) -> None:
    """People in a meeting that should be recorded and is not are a problem, as in the alert."""
    one = app(
        readings=(reading(room=room),),
        recordings=recordings,
        discovery=DiscoveryState(None, NOW),
    )
    found = build_status(observed(one), Filter(), NOW).rows
    assert expected == [problem for row in found for problem in row.problems]


def test_problems_come_first() -> None:
    """Rows are in the order of urgency, then what runs now, then what ended last."""
    one = app(
        readings=(reading("idle"), reading("unreadable", failure=REFUSED)),
        recordings=(
            known("old", status=Status.UPLOADED, stopped_timestamp_seconds=NOW - 200),
            known("new", status=Status.UPLOADED, stopped_timestamp_seconds=NOW - 100),
            known("running"),
            known("failed", status=Status.ERRORED),
            known("stuck", status=Status.INVOKED, invoked_timestamp_seconds=NOW - 1000),
        ),
    )
    rows = build_status(observed(one), Filter(), NOW).rows
    assert ["stuck", "failed", "unreadable", "running", "new", "old", "idle"] == [
        row.recording.recording_id if row.recording else row.meeting_id for row in rows
    ]


def test_meetings_with_a_problem_have_a_row_beside_their_recordings() -> None:
    """A meeting that cannot be read is seen although its old recording is fine."""
    one = app(readings=(reading(failure=REFUSED),), recordings=(known(status=Status.UPLOADED),))
    first, second = build_status(observed(one), Filter(), NOW).rows
    assert (None, ["unreadable"], "auth") == (first.recording, first.problems, first.failure_reason)
    assert second.recording is not None


class TestBounds:
    def test_rows(self) -> None:
        """10,000 meetings make 200 rows and a count; the problem is among them."""
        readings = [reading(f"meeting-{number}") for number in range(9_999)]
        one = app(readings=(*readings, reading("last", failure=REFUSED)))
        status = build_status(observed(one), Filter(), NOW)
        assert (10_000, MOST_ROWS) == (status.rows_total, len(status.rows))
        assert "last" == status.rows[0].meeting_id
        assert len(msgspec.json.encode(status)) < 200_000

    def test_apps(self) -> None:
        """Of 1,000 apps, 100 are shown, first those with problems; all are counted."""
        apps = [app(f"app-{number}") for number in range(999)]
        status = build_status(observed(*apps, app("bad", token_problem="is empty")), Filter(), NOW)
        assert (1000, MOST_APPS, "bad") == (
            status.apps_total,
            len(status.apps),
            status.apps[0].name,
        )


class TestFilter:
    apps = (
        app("a", readings=(reading("idle"), reading("bad", failure=REFUSED))),
        app("b", recordings=(known(status=Status.ERRORED),)),
    )

    @pytest.mark.parametrize(
        ("wanted", "rows"),
        [
            (Filter(), ["m", "bad", "idle"]),
            (Filter(app="a"), ["bad", "idle"]),
            (Filter(app="b"), ["m"]),
            (Filter(problem=Problem.UNREADABLE), ["bad"]),
            (Filter(app="b", problem=Problem.UNREADABLE), []),
            (Filter(app="c"), []),
        ],
    )
    def test_rows(self, wanted: Filter, rows: list[str]) -> None:
        """The filter selects rows by app and by problem."""
        status = build_status(observed(*self.apps), wanted, NOW)
        assert rows == [row.meeting_id for row in status.rows]
        assert len(rows) == status.rows_total

    def test_counts_and_apps(self) -> None:
        """The counts and the apps are those of the filter's app; the verdict is about all."""
        status = build_status(observed(*self.apps), Filter(app="a"), NOW)
        assert ["a"] == [one.name for one in status.apps]
        assert ["a", "b"] == status.app_names
        assert (1, 0) == (status.problems["unreadable"], status.problems["failed"])
        assert not status.is_well


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"token_problem": "is empty"},
            "API token file: is empty; the last good token stays in use",
        ),
        (
            {
                "files": (
                    FileState(
                        "f", is_read=False, last_success_timestamp_seconds=1.0, problem="f: x"
                    ),
                )
            },
            "meetings file f: x; the last good list stays in use",
        ),
        (
            {"budget_status": BudgetStatus(limit=600, remaining=3), "deferred": 7},
            "API budget used up: 7 meetings were not read in the last pass",
        ),
        (
            {
                "budget_status": BudgetStatus(
                    limit=600,
                    remaining=3,
                    blocked_until_timestamp_seconds=NOW + 60,
                    block=Outage(
                        failure=Failure(Reason.RATE_LIMITED, "the API answered 429"),
                        since_timestamp_seconds=NOW - 3600,
                    ),
                )
            },
            "API calls rate limited (429) since 10:06 UTC, next call in 1m",
        ),
        (
            {
                "archive": ArchiveStatus(bucket=BUCKET).after_failure(
                    ArchiveFailure(ArchiveReason.REGION, "the answer is HTTP status 301")
                )
            },
            (
                "bucket our-recordings cannot be listed: the answer is HTTP status 301; "
                "set downloads.archive.region to the region of the bucket"
            ),
        ),
        (
            {"webhook": WebhookStatus(WebhookHealth.SILENT, missed=2)},
            "webhooks no longer announce the changes of recordings; all meetings are polled",
        ),
        (
            {"totals": RecordingTotals(hidden=1234)},
            "1,234 finished recordings have no series; raise --follow.max-recordings",
        ),
    ],
)
def test_problems_of_apps(fields: dict[str, Any], problem: str) -> None:
    """The app says what needs attention, since when, and what to do."""
    status = build_status(observed(app(**fields)), Filter(), NOW)
    assert [problem] == status.apps[0].problems
    assert status.is_ready
    assert not status.is_well


class TestArchive:
    def test_not_listed_yet(self) -> None:
        """Before the first list nothing is known about copies."""
        one = app(archive=ArchiveStatus(bucket=BUCKET), recordings=(known(),))
        status = build_status(observed(one), Filter(), NOW)
        assert status.apps[0].archive == Archive(
            bucket="our-recordings",
            prefix="copies/",
            is_up=None,
            last_success_timestamp_seconds=None,
            objects=None,
            saved_recordings=None,
            missing_recordings=None,
            problem=None,
        )
        assert [None] == [row.recording and row.recording.is_archived for row in status.rows]
        assert status.is_well

    def test_listed(self) -> None:
        """After a list each recording says what its sample says, and the app counts them."""
        copies = Copies(
            listed_at=NOW - 60, objects=7, saved=frozenset("a"), missing=frozenset("bc")
        )
        listed = ArchiveStatus(bucket=BUCKET).after_success(copies, seconds=1.0, now=NOW - 59)
        recordings = tuple(known(name) for name in "abcd")
        snapshot = Snapshot((app(archive=listed, recordings=recordings),), NOW)
        status = build_status(observed(snapshot=snapshot), Filter(), NOW)
        found = status.apps[0].archive
        assert found
        assert (found.objects, found.saved_recordings, found.missing_recordings) == (7, 1, 2)
        assert (found.is_up, found.last_success_timestamp_seconds) == (True, NOW - 59)
        samples = series(snapshot)
        shown = {}
        for one in status.rows:
            assert one.recording
            name = one.recording.recording_id
            labels = {"rk_app": one.app, "meeting_id": one.meeting_id, "recording_id": name}
            shown[name] = one.recording.is_archived
            sample = value(samples, "rk_recording_archived", **labels)
            assert number(shown[name]) == sample
        assert shown == {"a": True, "b": False, "c": False, "d": None}


def test_webhooks() -> None:
    """An app with webhooks says how well they work."""
    status = WebhookStatus(WebhookHealth.LOSSY, last_event_timestamp_seconds=NOW - 5, missed=3)
    one = build_status(observed(app(webhook=status)), Filter(), NOW).apps[0]
    assert one.webhooks == Webhooks(
        health="lossy", last_event_timestamp_seconds=NOW - 5, missed_changes=3
    )
    assert not one.problems


class TestAccounts:
    def test_listed(self) -> None:
        """An account says how many of its apps are read."""
        status = build_status(with_accounts(account(apps=3, listed=5)), Filter(), NOW)
        (one,) = status.accounts
        assert (one.name, one.account_id, one.is_up) == ("acme", "account-id", True)
        assert (one.apps, one.apps_listed, one.problem) == (3, 5, None)
        assert status.is_well

    def test_not_listed_any_more(self) -> None:
        """If the list fails, the known apps stay, and the account needs attention."""
        found = with_accounts(account(apps=3, listed=5, up=False, failure=REFUSED))
        status = build_status(found, Filter(), NOW)
        (one,) = status.accounts
        assert one.problem == "apps cannot be listed: token refused (401)"
        assert one.remedy == REMEDIES[Reason.AUTH]
        assert (status.is_ready, status.is_well) == (True, False)

    def test_token_file(self) -> None:
        """A token file that cannot be used needs attention."""
        status = build_status(with_accounts(account(token_problem="is empty")), Filter(), NOW)
        assert ["is empty"] == [one.token_problem for one in status.accounts]
        assert not status.is_well


class TestVerdict:
    def test_well(self) -> None:
        """All is well if everything is read and nothing failed; files expire every day."""
        soon = known(status=Status.UPLOADED, download_url_expiry_timestamp_seconds=NOW + 60)
        status = build_status(observed(app(recordings=(soon,))), Filter(), NOW)
        assert (True, True, 1) == (status.is_well, status.is_ready, status.problems["expiring"])

    def test_state_file(self) -> None:
        """A state file that cannot be written needs attention."""
        broken = StateFileStatus(is_written=False, last_success_timestamp_seconds=None)
        assert not build_status(observed(app(), state_file=broken), Filter(), NOW).is_well

    def test_configuration(self) -> None:
        """A configuration that could not be reloaded needs attention."""
        found = observed(app(), configuration_problems=("configuration was not reloaded",))
        status = build_status(found, Filter(), NOW)
        assert ["configuration was not reloaded"] == status.exporter.configuration_problems
        assert (True, False) == (status.is_ready, status.is_well)

    def test_before_the_first_pass(self) -> None:
        """Before anything is read, nothing is well."""
        status = build_status(
            observed(app(up=None), progress=progress(last_ended_at=None)), Filter(), NOW
        )
        assert (False, False) == (status.is_ready, status.is_well)


def test_warnings_of_the_log() -> None:
    """The document has the last warnings with their fields, and those of the configuration."""
    logged = LoggedWarning(NOW, "warning", "meetings could not be read", (("app", "a"),))
    status = build_status(
        observed(app(), warnings=(logged,), configuration_warnings=("odd",)), Filter(), NOW
    )
    assert [("meetings could not be read", {"app": "a"})] == [
        (line.message, line.fields) for line in status.exporter.warnings
    ]
    assert ["odd"] == status.exporter.configuration_warnings

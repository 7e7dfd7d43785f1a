import json

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.model.account import AccountApps, ListedApp
from rk_exporter.model.download import CheckFailure, FileCheck, FileKind
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import App, Meeting, Reading
from rk_exporter.model.recording import Kind, Outcome, Recording, Status, StopReason
from rk_exporter.model.saved_calls import SavedCalls
from rk_exporter.tracking.counters import Histogram, RecordingCounters
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.state_records import (
    SavedApp,
    SavedState,
    UnreadableState,
    decode,
    encode,
)
from rk_exporter.tracking.store import Tombstone
from rk_exporter.tracking.tracker_state import TrackerState
from tests.support.building import NOW


T = TypeVar("T")

VERSION_1 = (Path(__file__).parent / "golden/state-v1.json").read_bytes()
WITH_TOTALS = (Path(__file__).parent / "golden/state-v1-with-totals.json").read_bytes()
WITH_DOWNLOADS = (Path(__file__).parent / "golden/state-v1-with-downloads.json").read_bytes()
"""A file that release 1 wrote: two apps, recordings in all states, names that are not ASCII."""


def values_of(domain: type[T], **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Return values of a *domain* class; a field without a strategy could get lost unnoticed."""
    assert [field.name for field in fields(domain)] == list(strategies)  # type: ignore[arg-type] # dataclasses only
    return st.builds(domain, **strategies)


MAYBE = st.none()
TEXT = st.text(max_size=9)
TIME = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**53)
SAVED_CALLS = values_of(
    SavedCalls,
    group=MAYBE | TEXT,
    until=TIME,
    ends=st.lists(TIME, max_size=3).map(tuple),
    is_final=st.booleans(),
    blocked_until=MAYBE | TIME,
)
SUM = st.floats(0.0, allow_nan=False, allow_infinity=False)
APPS = values_of(App, name=TEXT, account_id=TEXT, app_id=TEXT)
MEETINGS = values_of(Meeting, meeting_id=TEXT, name=TEXT)
RECORDINGS = values_of(
    Recording,
    recording_id=TEXT,
    status=st.sampled_from(Status),
    session_id=MAYBE | TEXT,
    output_file_name=MAYBE | TEXT,
    file_size_bytes=MAYBE | TIME,
    reported_duration_seconds=MAYBE | TIME,
    download_url_expiry_timestamp_seconds=MAYBE | TIME,
    invoked_timestamp_seconds=MAYBE | TIME,
    started_timestamp_seconds=MAYBE | TIME,
    stopped_timestamp_seconds=MAYBE | TIME,
    is_track=st.booleans(),
    has_download_url=MAYBE | st.booleans(),
    has_audio_download_url=MAYBE | st.booleans(),
    stop_reason=MAYBE | st.sampled_from(StopReason),
)
KNOWN_RECORDINGS = values_of(
    KnownRecording,
    meeting=MEETINGS,
    recording=RECORDINGS,
    read_at=TIME,
    missing_since=MAYBE | TIME,
    outcome=MAYBE | st.sampled_from(Outcome),
    has_details=st.booleans(),
    is_expiry_checked=st.booleans(),
    awaits_duration=st.booleans(),
    awaits_size=st.booleans(),
)
TOMBSTONES = values_of(
    Tombstone,
    outcome=MAYBE | st.sampled_from(Outcome),
    started_timestamp_seconds=MAYBE | TIME,
)
HISTOGRAMS = values_of(
    Histogram,
    bounds=st.lists(TIME, max_size=3).map(tuple),
    counts=st.lists(COUNT, max_size=3).map(tuple),
    total=SUM,
)
COUNTERS = values_of(
    RecordingCounters,
    started=COUNT,
    finished=st.dictionaries(st.sampled_from(Outcome), COUNT),
    dropped=COUNT,
    transitions=st.dictionaries(
        st.sampled_from(Status), st.dictionaries(st.sampled_from(Status), COUNT), max_size=3
    ),
    start_delay=HISTOGRAMS,
    upload_delay=HISTOGRAMS,
    recorded_seconds=st.dictionaries(st.sampled_from(Kind), SUM),
    recorded_bytes=st.dictionaries(st.sampled_from(Kind), SUM),
)
TRACKER_STATES = values_of(
    TrackerState,
    recordings=st.lists(KNOWN_RECORDINGS, max_size=2).map(tuple),
    tombstones=st.dictionaries(TEXT, TOMBSTONES, max_size=2),
    counters=COUNTERS,
    listed_until=MAYBE | TIME,
)


def reading(meeting_id: str, recordings: tuple[Recording, ...], read_at: float) -> Reading:
    """Return a successful reading as a restart restores it."""
    return Reading(
        meeting=Meeting(meeting_id, meeting_id),
        recordings=recordings,
        last_success_timestamp_seconds=read_at,
    )


FILE_CHECKS = values_of(
    FileCheck,
    recording_id=TEXT,
    kind=st.sampled_from(FileKind),
    checked_at=TIME,
    failure=MAYBE | st.sampled_from(CheckFailure),
    size_bytes=MAYBE | SUM,
    failures=COUNT,
)
SAVED_APPS = values_of(
    SavedApp,
    app=APPS,
    tracker=TRACKER_STATES,
    readings=st.lists(
        st.builds(reading, TEXT, st.lists(RECORDINGS, max_size=2).map(tuple), TIME), max_size=2
    ).map(tuple),
    newest_ids=st.lists(TEXT, max_size=2).map(tuple),
    downloads=st.lists(FILE_CHECKS, max_size=2).map(tuple),
)


class TestRoundTrip:
    @given(st.lists(SAVED_APPS, max_size=2))
    def test_any_state(self, apps: list[SavedApp]) -> None:
        """A restart restores exactly the state that was saved."""
        assert tuple(apps) == decode(encode(apps)).apps

    @given(st.lists(SAVED_CALLS, max_size=3).map(tuple))
    def test_calls(self, calls: tuple[SavedCalls, ...]) -> None:
        """A restart restores exactly the calls that were saved."""
        assert SavedState(calls=calls) == decode(encode([], calls))

    def test_accounts(self) -> None:
        """The apps of each account are restored."""
        apps = (ListedApp("app-1", "production"), ListedApp("app-2", "app-2"))
        accounts = (AccountApps("account", apps, NOW), AccountApps("other", (), NOW - 1))
        assert SavedState(accounts=accounts) == decode(encode([], (), accounts))

    def test_what_is_not_saved(self) -> None:
        """A meeting without a successful reading is not in the file, nor is a failure."""
        app, meeting = App("app", "account", "app-id"), Meeting("meeting-1", "Daily")
        failed = Reading(
            meeting=meeting,
            last_attempt_timestamp_seconds=200.0,
            failure=Failure(Reason.TIMEOUT, "timeout"),
        )
        outdated = replace(failed, last_success_timestamp_seconds=100.0)
        shown = replace(outdated, recordings=())
        saved = SavedApp(app=app, tracker=TrackerState(), readings=(failed, outdated, shown))
        assert decode(encode([saved])).apps == (
            SavedApp(app=app, tracker=TrackerState(), readings=(reading("meeting-1", (), 100.0),)),
        )


def test_calls_without_a_block() -> None:
    """A file that knows no blocks, which an earlier version wrote, blocks nothing."""
    content = b'{"version":1,"apps":[],"calls":[{"group":"g","until":9.0,"ends":[8.0]}]}'
    assert (SavedCalls(group="g", until=9.0, ends=(8.0,)),) == decode(content).calls


class TestVersion1:
    """The file that release 1 wrote."""

    def test_written_again(self) -> None:
        """Nothing is lost when it is written again, and what it lacks has its default."""
        apps = decode(VERSION_1).apps
        assert apps == decode(encode(apps)).apps
        for saved in apps:
            assert not any(known.awaits_size for known in saved.tracker.recordings)
            counters = saved.tracker.counters.resumed()
            assert dict.fromkeys(Kind, 0.0) == counters.recorded_bytes == counters.recorded_seconds
            assert 0 == counters.finished[Outcome.UPLOAD_FAILED]

    def test_apps(self) -> None:
        """Each app has its identity and the head of its list of recordings."""
        first, second = decode(VERSION_1).apps
        account = "023e105f4ecef8ad9ca31a8372d0c353"
        assert App("Télésanté", account, "2a95132c-1573-2412-d22c-16fd0a01e000") == first.app
        assert App("proctoring", account, "2a95132c-1573-2412-d22c-16fd0a01e001") == second.app
        assert "e318d51e-401d-59cf-b2c7-b162bf1eddf1" == first.newest_ids[0]
        assert [17, 17] == [len(first.newest_ids), len(second.newest_ids)]
        assert [1795000030.0] * 2 == [first.tracker.listed_until, second.tracker.listed_until]

    def test_recordings(self) -> None:
        """Every value of a recording is restored into its own field."""
        first, second = decode(VERSION_1).apps
        known = {known.meeting.meeting_id: known for known in first.tracker.recordings}
        assert set(Status) == {known.recording.status for known in known.values()}
        names = {meeting_id: known.meeting.name for meeting_id, known in known.items()}
        assert ("Réunion d\u2019équipe", "会議室", "Планёрка 🎥") == (
            *(names["running"], names["paused"], names["uploaded"]),
        )
        assert "réunion_日本語_🎥.mp4" == known["running"].recording.output_file_name
        assert (1795000105.0, 1795000090.0) == (known["gone"].missing_since, known["gone"].read_at)
        assert known["expiring"].is_expiry_checked
        assert known["tracks"].recording.is_track
        assert known["uploaded"].recording.has_audio_download_url
        whole = KnownRecording(
            meeting=Meeting("whole", "whole"),
            recording=Recording(
                recording_id="d3d52602-beca-5761-8add-42c762a71957",
                status=Status.UPLOADED,
                session_id="61d99a69-0678-5a98-80a8-9445bfc64078",
                output_file_name="whole_1795000010000.mp4",
                file_size_bytes=20212537.0,
                reported_duration_seconds=30.0,
                download_url_expiry_timestamp_seconds=1795604870.0,
                invoked_timestamp_seconds=1795000010.0,
                started_timestamp_seconds=1795000025.0,
                stopped_timestamp_seconds=1795000070.0,
                has_download_url=True,
                stop_reason=StopReason.API_CALL,
            ),
            read_at=1795000105.0,
            outcome=Outcome.UPLOADED,
            has_details=True,
        )
        assert whole == second.tracker.recordings[0]

    def test_tombstones(self) -> None:
        """Recordings that were dropped or vanished keep their outcome and start."""
        first, second = decode(VERSION_1).apps
        assert first.tracker.tombstones == {
            "b19882c9-8bac-5932-bda5-6c253c390208": Tombstone(Outcome.UPLOADED, 1794403842.0)
        }
        assert second.tracker.tombstones == {
            "44cca63b-44cd-59cd-aae2-c159432b8d33": Tombstone(Outcome.VANISHED, 1795000020.0)
        }

    def test_counters(self) -> None:
        """All counts and both histograms are restored."""
        first, second = (saved.tracker.counters for saved in decode(VERSION_1).apps)
        assert (1, 1, 3.5) == (first.started, first.dropped, first.start_delay.total)
        assert {Status.RECORDING: 1} == first.transitions[Status.UNKNOWN]
        assert (4, 0) == (second.started, second.dropped)
        outcomes = {Outcome.UPLOADED: 3, Outcome.ERRORED: 1, Outcome.VANISHED: 1}
        assert outcomes == second.finished
        assert {
            *((Status.INVOKED, Status.ERRORED, 1), (Status.INVOKED, Status.RECORDING, 2)),
            *((Status.RECORDING, Status.PAUSED, 1), (Status.RECORDING, Status.UPLOADING, 2)),
            *((Status.PAUSED, Status.RECORDING, 1), (Status.UPLOADING, Status.UPLOADED, 2)),
        } == {
            (before, after, count)
            for before, counts in second.transitions.items()
            for after, count in counts.items()
            if count
        }
        assert (0, 1, 1, 0, 0, 1, 1) == second.start_delay.counts[:7]
        assert (28.0, 55.0) == (second.start_delay.total, second.upload_delay.total)
        assert (0, 1, 2, 0) == second.upload_delay.counts[:4]
        assert outcomes | {Outcome.UPLOAD_FAILED: 0} == second.resumed().finished
        assert second.start_delay == second.resumed().start_delay

    def test_readings(self) -> None:
        """Each meeting that was read shows its recordings again, without an attempt."""
        first, _ = decode(VERSION_1).apps
        readings = {reading.meeting.meeting_id: reading for reading in first.readings}
        assert "broken" not in readings
        assert reading("idle", (), 1795000105.0) == readings["idle"]
        running = next(
            known.recording
            for known in first.tracker.recordings
            if known.meeting.meeting_id == "running"
        )
        assert reading("running", (running,), 1795000105.0) == readings["running"]

    def test_missing_keys(self) -> None:
        """Values that an earlier release did not save get their defaults."""
        app = {"name": "app", "account_id": "account", "app_id": "app-id"}
        content = json.dumps({"version": 1, "apps": [{"app": app, "past": {}}]})
        (saved,) = decode(content.encode()).apps
        assert RecordingCounters() == saved.tracker.counters.resumed()
        assert TrackerState(counters=saved.tracker.counters) == saved.tracker


class TestVersion1WithTotals:
    """The file of version 1 with the values that release 2 added."""

    def test_written_again(self) -> None:
        """The format has not changed: the same state gives the same bytes."""
        assert WITH_TOTALS == encode(decode(WITH_TOTALS).apps)

    def test_added_values(self) -> None:
        """Totals, failed uploads and what still waits for its values are restored."""
        first, second = decode(WITH_TOTALS).apps
        counters = second.tracker.counters
        assert {Kind.COMPOSITE: 95.5, Kind.TRACK: 30.0} == counters.recorded_seconds
        assert {Kind.COMPOSITE: 60425074.0, Kind.TRACK: 0.0} == counters.recorded_bytes
        assert 2 == counters.finished[Outcome.UPLOAD_FAILED]
        assert counters == counters.resumed()
        waiting = {
            known.meeting.meeting_id: (known.awaits_duration, known.awaits_size)
            for known in first.tracker.recordings
            if known.awaits_duration or known.awaits_size
        }
        assert {"tracks": (False, True), "uploaded": (True, False)} == waiting


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"version": 2, "apps": {"one": {}}}', "was written by another version"),
        (b'{"version": 0}', "was written by another version"),
        (b'{"version": 1}', "is damaged"),
        (VERSION_1[:-1], "is damaged"),
        (VERSION_1.replace(b'"vanished"', b'"exploded"'), "is damaged"),
        (VERSION_1[:-1] + b',"calls":[{"group":null}]}', "is damaged"),
        (VERSION_1.replace(b'"total":28.0', b'"total":-28.0'), "is damaged"),
        (VERSION_1.replace(b'"started":4', b'"started":9007199254740993'), "is damaged"),
    ],
)
def test_unreadable(content: bytes, message: str) -> None:
    """The exception says whether the file is damaged or has another version."""
    with pytest.raises(UnreadableState, match=f"^{message}$"):
        decode(content)


class TestVersion1WithDownloads:
    """A file of an exporter that verifies downloads, which adds only optional values."""

    def test_written_again(self) -> None:
        """The format has not changed: the same state gives the same bytes."""
        assert WITH_DOWNLOADS == encode(decode(WITH_DOWNLOADS).apps)

    def test_checks(self) -> None:
        """Each value of a check is restored into its own field; older files have no checks."""
        (app,) = decode(WITH_DOWNLOADS).apps
        good = FileCheck(
            recording_id="r-1", kind=FileKind.AUDIO, checked_at=1795000200.5, size_bytes=1000.0
        )
        bad = FileCheck(
            recording_id="r-1",
            kind=FileKind.COMPOSITE,
            checked_at=1795000200.0,
            failure=CheckFailure.SIZE_MISMATCH,
            size_bytes=10106268.0,
            failures=3,
        )
        assert (bad, good) == app.downloads
        assert [(), ()] == [saved.downloads for saved in decode(WITH_TOTALS).apps]

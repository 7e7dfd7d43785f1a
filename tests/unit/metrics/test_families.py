import os
import re
import subprocess

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from rk_exporter.api.endpoints import ENDPOINTS
from rk_exporter.api.schema import MALFORMABLE_FIELDS
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.metrics.recording_counters import counter_families
from rk_exporter.metrics.recordings import RECORDING_AGE, AllRecordingSeries
from rk_exporter.model.download import CheckFailure, DownloadChecks, FileCheck, FileKind
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App, Meeting, Reading
from rk_exporter.model.recording import Recording as ReadRecording
from rk_exporter.model.recording import Status, StopReason
from rk_exporter.simulator import Fault
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.state_file import StateFileStatus
from rk_exporter.tracking.totals import RecordingTotals
from tests.support.building import (
    NOW,
    Setup,
    config,
    labelled,
    samples,
    scripted,
    setup,
    value,
)
from tests.support.exporters import current, failing, finish, full, rate_limited, scrape, watched
from tests.support.known import known


Build = Callable[[Path], Setup]

GOLDEN = Path(__file__).parent / "golden"
# These values depend on the process or on the time.
VOLATILE = re.compile(
    r"^(#.* )?(process_|rk_exporter_build|rk_scrape_duration|rk_api_request_duration|"
    r"rk_api_budget_remaining|rk_api_ratelimit_remaining|rk_meetings_file_last_read_success_).*\n",
    re.MULTILINE,
)


def exposed(*recordings: KnownRecording, **fields: Any) -> str:
    """Return the exposition of an app at NOW."""
    app = AppSnapshot(
        **{
            "app": App("production", "account", "app-id"),
            "readings": (),
            "recordings": recordings,
            **fields,
        }
    )
    return encode(SnapshotFamilies()(Snapshot((app,), NOW)), Format.TEXT).decode()


@pytest.mark.parametrize("form", Format)
def test_golden_exposition(tmp_path: Path, form: Format) -> None:
    """The exposition of an app with every state equals the reviewed golden file."""
    system = full(tmp_path)
    text = VOLATILE.sub("", watched(system, form)).replace(str(tmp_path), "/etc/rk-exporter")
    golden = GOLDEN / f"every-state.{form.name.lower()}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert golden.read_text() == text


@pytest.mark.parametrize("build", [full, failing, rate_limited])
def test_promtool_lint(tmp_path: Path, promtool: str, build: Build) -> None:
    """The linter of promtool finds no fault, whether all calls succeed or all fail."""
    text = watched(build(tmp_path))
    result = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (0, "", "") == (result.returncode, result.stdout, result.stderr)


def test_openmetrics_parser(tmp_path: Path) -> None:
    """The strict OpenMetrics parser accepts the exposition, and each metric has its type."""
    text = watched(full(tmp_path), Format.OPENMETRICS)
    parsed = {family.name: family.type for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call] # has no annotations
    assert text.endswith("# EOF\n")
    assert "info" == parsed["rk_recording"] == parsed["rk_meeting"] == parsed["rk_app"]
    assert "counter" == parsed["rk_api_requests"] == parsed["rk_recordings_finished"]
    assert "histogram" == parsed["rk_recording_upload_delay_seconds"]


@pytest.mark.parametrize("build", [full, failing])
def test_every_line_is_valid(tmp_path: Path, build: Build) -> None:
    """There are no duplicates, timestamps, `_created` series or NaN, and the order is stable."""
    system = build(tmp_path)

    async def twice() -> list[str]:
        return [(await system.get()).text for _ in range(2)]

    first, second = finish(system, twice)
    series = [line.rpartition(" ")[0] for line in first.splitlines() if line[0] != "#"]
    again = [line.rpartition(" ")[0] for line in second.splitlines() if line[0] != "#"]
    assert len(series) == len(set(series))
    assert series == again
    assert all(re.fullmatch(r"[a-z_:]+(\{.*\})?", name) for name in series)
    assert "_created" not in first
    assert "NaN" not in first


@pytest.mark.parametrize(
    ("name", "label", "count"),
    [("rk_recording_status", "status", 10), ("rk_recording_stop_reason", "reason", 3)],
)
def test_states_are_exclusive(tmp_path: Path, name: str, label: str, count: int) -> None:
    """Exactly one state of a recording is 1, and at most one stop reason."""
    sums: dict[str, float] = {}
    for labels, number in labelled(watched(full(tmp_path)), name):
        labels.pop(label)
        recording = str(sorted(labels.items()))
        sums[recording] = sums.get(recording, 0) + number
    assert (count, {1.0}) == (len(sums), set(sums.values()))


def test_nothing_is_shown_before_it_is_known() -> None:
    """Before the first pass the meetings and zero counters are shown, but no readings."""
    system = setup(scripted())
    snapshot = system.exporter.collector.snapshot
    shown = {family.name: family.samples for family in SnapshotFamilies()(snapshot)}
    counted = {family.name for family in counter_families(snapshot.apps)}
    counted |= {"rk_recordings", "rk_recordings_expiring", "rk_recordings_hidden"}
    assert {"rk_meeting", "rk_meetings", "rk_app", "rk_exporter_build", *counted} == {
        name for name, found in shown.items() if found
    }
    assert {0.0} == {sample.value for name in counted for sample in shown[name]}


@pytest.mark.parametrize(
    ("options", "endpoints"),
    [
        ({}, {"active-recording", "recording", "recordings"}),
        ({"api__read": "list"}, {"recording", "recordings"}),
        ({"meetings__discover": "true"}, set(ENDPOINTS)),
    ],
)
def test_counters_begin_at_zero(options: dict[str, str], endpoints: set[str]) -> None:
    """Every endpoint in use has each failure reason and its usual codes from the start."""
    text = current(setup(meetings=["idle"], configuration=config(**options)))
    assert {(endpoint, reason.value, 0.0) for endpoint in endpoints for reason in Reason} == {
        (labels["api_endpoint"], labels["reason"], number)
        for labels, number in labelled(text, "rk_api_request_failures_total")
    }
    assert {(endpoint, code, 0.0) for endpoint in endpoints for code in ("200", "404")} == {
        (labels["api_endpoint"], labels["code"], number)
        for labels, number in labelled(text, "rk_api_requests_total")
    }
    durations = labelled(text, "rk_api_request_duration_seconds_count")
    assert {(endpoint, 0.0) for endpoint in endpoints} == {
        (labels["api_endpoint"], number) for labels, number in durations
    }
    malformed = samples(text, "rk_api_malformed_fields_total")
    assert (len(MALFORMABLE_FIELDS) + 1, {0.0}) == (len(malformed), set(malformed.values()))


def test_counters_of_calls() -> None:
    """A call is counted by its endpoint and code, with its duration."""
    system = setup(meetings=["idle"])
    scrape(system)
    text = current(system)
    codes = [
        (labels["api_endpoint"], labels["code"], number)
        for labels, number in labelled(text, "rk_api_requests_total")
        if number
    ]
    assert [("active-recording", "404", 1), ("recordings", "200", 1)] == sorted(codes)
    assert 2 == sum(samples(text, "rk_api_request_duration_seconds_count").values())


def test_counts_of_recordings_begin_at_zero() -> None:
    """Every possible outcome and state change has a series from the start."""
    text = scrape(setup(meetings=["idle"]))
    finished = labelled(text, "rk_recordings_finished_total")
    assert {("uploaded", 0), ("errored", 0), ("upload_failed", 0), ("vanished", 0)} == {
        (labels["outcome"], number) for labels, number in finished
    }
    moves = labelled(text, "rk_recording_transitions_total")
    pairs = {(labels["from"], labels["to"]) for labels, _ in moves}
    assert {0.0} == {number for _, number in moves}
    assert {
        ("INVOKED", "RECORDING"),
        ("RECORDING", "PAUSED"),
        ("PAUSED", "RECORDING"),
        ("UPLOADING", "UPLOADED"),
        ("UPLOADING", "ERRORED"),
    } < pairs
    assert not {("UPLOADED", "RECORDING"), ("RECORDING", "INVOKED")} & pairs
    for name in ("rk_recordings_started_total", "rk_recordings_dropped_total"):
        assert 0 == value(text, name)
    for name in ("rk_recording_start_delay_seconds", "rk_recording_upload_delay_seconds"):
        assert {0.0} == {*samples(text, f"{name}_bucket").values()}
        assert (0, 0) == (value(text, f"{name}_count"), value(text, f"{name}_sum"))


def test_recording_counters(tmp_path: Path) -> None:
    """Each observed start, end and state change is counted per app."""
    text = watched(full(tmp_path))
    telehealth = {"rk_app": "telehealth"}
    finished = {
        labels["outcome"]: number
        for labels, number in labelled(text, "rk_recordings_finished_total")
        if labels["rk_app"] == "telehealth"
    }
    assert {"uploaded": 1, "errored": 1, "upload_failed": 0, "vanished": 1} == finished
    # The recordings recording, paused, uploading, uploaded, and the one that vanished.
    assert 5 == value(text, "rk_recordings_started_total", **telehealth)
    moves = {
        (labels["from"], labels["to"]): number
        for labels, number in labelled(text, "rk_recording_transitions_total")
        if labels["rk_app"] == "telehealth" and number
    }
    assert {
        ("INVOKED", "ERRORED"): 1,
        ("INVOKED", "RECORDING"): 1,
        ("INVOKED", "PAUSED"): 1,
        ("PAUSED", "RECORDING"): 1,
        ("RECORDING", "PAUSED"): 1,
        ("RECORDING", "UPLOADING"): 2,
        ("UPLOADING", "UPLOADED"): 1,
    } == moves
    assert 0 == value(text, "rk_recordings_dropped_total", **telehealth)


def test_delays_are_measured(tmp_path: Path) -> None:
    """Histogram buckets are cumulative, and the last bucket counts all delays."""
    text = watched(full(tmp_path))
    app = {"rk_app": "7f0c5d2e-0000-4000-8000-000000000001"}
    name = "rk_recording_upload_delay_seconds"
    # Reads showed no-bucket UPLOADED 20 s after it stopped, and track after 41 s.
    buckets = {
        le: value(text, f"{name}_bucket", le=le, **app)
        for le in ("5.0", "15.0", "30.0", "60.0", "7200.0", "+Inf")
    }
    assert {"5.0": 0, "15.0": 0, "30.0": 1, "60.0": 2, "7200.0": 2, "+Inf": 2} == buckets
    assert (2, 61) == (value(text, f"{name}_count", **app), value(text, f"{name}_sum", **app))
    name = "rk_recording_start_delay_seconds"
    # It took 2 s three times, and 4 s for the track recording.
    at_most = [value(text, f"{name}_bucket", le=le, **app) for le in ("1.0", "2.0", "3.0", "5.0")]
    assert [0, 3, 3, 4] == at_most
    assert (4, 10) == (value(text, f"{name}_count", **app), value(text, f"{name}_sum", **app))


def test_totals() -> None:
    """Totals have a series for each state and time, and the hidden recordings count."""
    totals = RecordingTotals(
        by_status={**dict.fromkeys(Status, 0), Status.UPLOADED: 7},
        expiring={"1h": 1, "24h": 2, "72h": 3},
        earliest_expiry_timestamp_seconds=NOW + 60,
        hidden=4,
    )
    text = exposed(totals=totals)
    assert {(status.value, 7.0 if status is Status.UPLOADED else 0.0) for status in Status} == {
        (labels["status"], number) for labels, number in labelled(text, "rk_recordings")
    }
    assert {("1h", 1), ("24h", 2), ("72h", 3)} == {
        (labels["within"], number) for labels, number in labelled(text, "rk_recordings_expiring")
    }
    assert NOW + 60 == value(text, "rk_recordings_earliest_expiry_timestamp_seconds")
    assert 4 == value(text, "rk_recordings_hidden")
    assert samples(exposed(), "rk_recordings_earliest_expiry_timestamp_seconds") == {}


def test_meeting_counts_what_is_not_followed() -> None:
    """A meeting counts the recordings of its reading that the exporter does not follow."""
    shown = known(recording_id="followed")
    others = [
        ReadRecording(recording_id="new", status=Status.INVOKED),
        ReadRecording(recording_id="odd", status=Status.UNKNOWN),
        ReadRecording(recording_id="ended", status=Status.UPLOADED),
    ]
    reading = Reading(meeting=Meeting("m", "m"), recordings=(shown.recording, *others))
    assert 3 == value(exposed(shown, readings=(reading,)), "rk_meeting_active_recordings")
    # The recording's own endpoint was read later than its meeting.
    ended = known(recording_id="followed", status=Status.UPLOADED)
    assert 2 == value(exposed(ended, readings=(reading,)), "rk_meeting_active_recordings")


def test_absent_is_not_zero() -> None:
    """An INVOKED recording has no size, duration or expiry."""
    system = setup(scripted(started_at=None, paused=(), stopped_at=None, uploaded_at=None))
    text = scrape(system)
    for name in (
        "rk_recording_file_size_bytes",
        "rk_recording_duration_seconds",
        "rk_recording_download_url_expires_in_seconds",
        "rk_recording_started_timestamp_seconds",
        "rk_recording_stopped_timestamp_seconds",
        "rk_recording_stop_reason",
        "rk_state_file_last_write_successful",
        "rk_state_file_last_write_success_timestamp_seconds",
    ):
        assert {} == samples(text, name)
    assert NOW == value(text, "rk_recording_invoked_timestamp_seconds")
    assert NOW == value(text, "rk_recording_last_success_timestamp_seconds")


@pytest.mark.parametrize(
    ("details", "after_upload"),
    [
        ({}, {"composite": 1, "audio": 0}),
        ({"audio": True}, {"composite": 1, "audio": 1}),
        ({"track": True}, {"composite": 1, "audio": 0}),
        ({"bucket_enabled": False}, {"composite": 0, "audio": 0}),
    ],
)
def test_download_available(details: dict[str, Any], after_upload: dict[str, float]) -> None:
    """A download is available once the API returns a URL; audio is a separate file."""
    system = setup(scripted(**details), linger_seconds=0)

    async def steps() -> list[dict[str, float]]:
        found = []
        for seconds in (0, 10, 70, 110):
            system.time.now = NOW + seconds
            text = (await system.get()).text
            shown = labelled(text, "rk_recording_download_available")
            found.append({labels["kind"]: number for labels, number in shown})
        return found

    nothing = {"composite": 0.0, "audio": 0.0}
    assert [nothing, nothing, nothing, after_upload] == finish(system, steps)


@pytest.mark.parametrize(("kind", "other"), [("composite", "audio"), ("audio", "composite")])
def test_malformed_url(kind: str, other: str) -> None:
    """A malformed download URL costs only the sample about that URL."""
    field = {"composite": "has_download_url", "audio": "has_audio_download_url"}[kind]
    unknown: dict[str, Any] = {field: None}
    text = exposed(known(**unknown))
    name = "rk_recording_download_available"
    assert (None, 0) == (value(text, name, kind=kind), value(text, name, kind=other))


@pytest.mark.parametrize(("track", "kind"), [(False, "composite"), (True, "track")])
def test_kinds_of_recordings(*, track: bool, kind: str) -> None:
    """The label kind separates one file per participant from one file for all."""
    text = scrape(setup(scripted(track=track)))
    assert 1 == value(text, "rk_recording_info", kind=kind)


@pytest.mark.parametrize(
    ("stop_reason", "expected"),
    [
        ("API_CALL", "API_CALL"),
        ("INTERNAL_ERROR", "INTERNAL_ERROR"),
        ("ALL_PEERS_LEFT", "ALL_PEERS_LEFT"),
        ("HOST_LEFT", "UNKNOWN"),
        (None, None),
    ],
)
def test_stop_reason(stop_reason: str | None, expected: str | None) -> None:
    """The stop reason appears when the end is observed; undocumented reasons are UNKNOWN."""
    system = setup(scripted(stop_reason=stop_reason), linger_seconds=0)

    async def steps() -> list[dict[str, float]]:
        found = []
        for seconds in (10, 110):
            system.time.now = NOW + seconds
            series = labelled((await system.get()).text, "rk_recording_stop_reason")
            found.append({labels["reason"]: number for labels, number in series})
        return found

    shown = {reason.value: float(reason == expected) for reason in StopReason} if expected else {}
    assert [{}, shown] == finish(system, steps)


def test_labels_of_a_recording_never_change() -> None:
    """The info metric waits for the session; after that its labels never change."""
    system = setup(scripted(started_at=NOW + 8), linger_seconds=0)

    async def steps() -> list[list[dict[str, str]]]:
        found = []
        # Until the session is known, and then at each new state.
        for seconds, is_garbled in [(0, True), (1, True), (5, False), (10, True), (35, True)]:
            found.append(await infos(seconds, is_garbled=is_garbled))
        for seconds, is_garbled in [(36, False), (70, True), (110, True), (111, False)]:
            found.append(await infos(seconds, is_garbled=is_garbled))
        return found

    async def infos(seconds: float, *, is_garbled: bool) -> list[dict[str, str]]:
        system.time.now = NOW + seconds
        system.simulator.clear()
        if is_garbled:
            system.simulator.inject("*", Fault.GARBAGE_FIELDS)
        return [labels for labels, _ in labelled((await system.get()).text, "rk_recording_info")]

    first, second, known, *later = finish(system, steps)
    assert [] == first == second
    (labels,) = known
    assert ("composite", True) == (labels["kind"], bool(labels["session_id"]))
    assert [known] * 6 == later


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": Status.INVOKED}, None),
        ({"status": Status.INVOKED, "session_id": "s"}, 1),
        ({"status": Status.RECORDING}, 1),
        ({"status": Status.ERRORED}, 1),
    ],
)
def test_when_labels_are_final(fields: dict[str, Any], expected: float | None) -> None:
    """The info metric waits for the session until the start; unknown labels are then empty."""
    session_id: str = fields.get("session_id", "")
    text = exposed(known(**fields))
    assert expected == value(text, "rk_recording_info", session_id=session_id, output_file_name="")


def test_the_age_of_a_finished_recording() -> None:
    """The age of a finished recording is that of its own last read, not its meeting's."""
    system = setup(scripted(), linger_seconds=0)

    async def steps() -> str:
        for seconds in (10, 110, 125, 140):
            system.time.now = NOW + seconds
            text = (await system.get()).text
        return text

    text = finish(system, steps)
    assert NOW + 110 == value(text, "rk_recording_last_success_timestamp_seconds")
    assert NOW + 140 == value(text, "rk_meeting_last_success_timestamp_seconds")


def test_active_recordings_include_uploads() -> None:
    """A meeting's count includes recordings that are followed by id."""
    system = setup(scripted(), uploading_is_active=False)

    async def steps() -> list[float | None]:
        found = []
        for seconds in (10, 70, 110):
            system.time.now = NOW + seconds
            found.append(value((await system.get()).text, "rk_meeting_active_recordings"))
        return found

    assert [1, 1, 0] == finish(system, steps)


def test_times_use_the_api_clock() -> None:
    """API timestamps use the API's clock; read times use this machine's clock."""
    running = known(
        started_timestamp_seconds=NOW - 5,
        download_url_expiry_timestamp_seconds=NOW + 1000,
    )
    text = exposed(running, clock_offset_seconds=40.0)
    assert 45 == value(text, "rk_recording_duration_seconds")
    assert 960 == value(text, "rk_recording_download_url_expires_in_seconds")
    assert NOW == value(text, "rk_recording_last_success_timestamp_seconds")


def test_name_of_a_removed_meeting() -> None:
    """A shown recording's meeting keeps its name, even if it has left the list."""
    gone = replace(known(), meeting=Meeting("gone", "Ward round"))
    listed = Reading(meeting=Meeting("listed", "Biology"))
    text = exposed(
        gone, replace(known(), meeting=Meeting("listed", "old name")), readings=(listed,)
    )
    names = {
        labels["meeting_id"]: labels["meeting_name"]
        for labels, _ in labelled(text, "rk_meeting_info")
    }
    assert {"gone": "Ward round", "listed": "Biology"} == names


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (None, (None, None)),
        (StateFileStatus(is_written=False, last_success_timestamp_seconds=None), (0, None)),
        (StateFileStatus(is_written=True, last_success_timestamp_seconds=NOW), (1, NOW)),
        (StateFileStatus(is_written=False, last_success_timestamp_seconds=NOW), (0, NOW)),
    ],
)
def test_state_file(
    state: StateFileStatus | None, expected: tuple[float | None, float | None]
) -> None:
    """With a state file, metrics show whether and when it was written."""
    text = encode(SnapshotFamilies()(Snapshot((), NOW, state)), Format.TEXT).decode()
    assert expected == (
        value(text, "rk_state_file_last_write_successful"),
        value(text, "rk_state_file_last_write_success_timestamp_seconds"),
    )


def test_expiry_counts_down() -> None:
    """The time until the download URL expires decreases with each scrape, also after the expiry."""
    system = setup(scripted())
    name = "rk_recording_download_url_expires_in_seconds"

    async def scrapes() -> list[float | None]:
        found = []
        for later in (100, 60, 7 * 86400 - 101, 61):
            system.time.now += later
            found.append(value((await system.get()).text, name))
        return found

    week = 7 * 86400
    assert [week - 40, week - 100, 1, -60] == finish(system, scrapes)


def test_malformed_fields_are_counted() -> None:
    """Each malformed field is counted by name, and the recording is still shown."""
    system = setup(scripted())
    system.simulator.inject("meeting-1", Fault.GARBAGE_FIELDS)
    scrape(system)
    text = current(system)
    counts = samples(text, "rk_api_malformed_fields_total")
    assert sum(counts.values()) >= 5
    assert 1 == value(text, "rk_meeting_up")
    assert 7 == len(samples(text, "rk_recording_status"))


def test_help_lines() -> None:
    """Each metric has a HELP line; API values name their field and their age."""
    nothing = Snapshot((), NOW)
    for family in SnapshotFamilies()(nothing):
        assert family.documentation.endswith(".")
    own = {"rk_recording_last_success_timestamp_seconds", "rk_recording_stop_reason"}
    for family in AllRecordingSeries().families(nothing):
        assert ("API field" in family.documentation) == (family.name != min(own))
        assert (family.name not in own) == family.documentation.endswith(RECORDING_AGE)


def test_downloads_that_were_not_checked() -> None:
    """Checks have the labels of their recording; one that was not checked yet has no samples."""
    check = FileCheck(
        recording_id="r", kind=FileKind.COMPOSITE, checked_at=NOW - 5, failure=CheckFailure.TIMEOUT
    )
    other = replace(known(), recording=ReadRecording(recording_id="other", status=Status.UPLOADED))
    text = exposed(known(), other, downloads=DownloadChecks(by_recording={"r": (check,)}))
    labels = {"rk_app": "production", "meeting_id": "m", "recording_id": "r", "kind": "composite"}
    assert [(labels, NOW - 5)] == labelled(
        text, "rk_recording_download_last_check_timestamp_seconds"
    )
    assert [({**labels, "reason": "timeout"}, 1)] == labelled(
        text, "rk_recording_download_failure_info"
    )

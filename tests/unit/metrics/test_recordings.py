from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.metrics.meetings import meeting_labels
from rk_exporter.model.meeting import App, Meeting, Reading
from rk_exporter.model.recording import Recording, Status, StopReason
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.building import NOW


TIMES = st.none() | st.sampled_from([NOW - 60, NOW, NOW + 0.5])
RECORDINGS = st.builds(
    Recording,
    recording_id=st.sampled_from(["recording-1", "recording-2"]),
    status=st.sampled_from(Status),
    session_id=st.none() | st.just("session"),
    file_size_bytes=st.none() | st.sampled_from([0.0, 2e7]),
    download_url_expiry_timestamp_seconds=TIMES,
    started_timestamp_seconds=TIMES,
    stopped_timestamp_seconds=TIMES,
    has_download_url=st.none() | st.booleans(),
    stop_reason=st.none() | st.sampled_from(StopReason),
)
MEETINGS = st.builds(Meeting, st.sampled_from(["meeting-1", "meeting-2"]), st.just("name"))
KNOWN = st.builds(
    KnownRecording,
    meeting=MEETINGS,
    recording=RECORDINGS,
    read_at=st.sampled_from([NOW - 30, NOW]),
)
APPS = st.builds(
    AppSnapshot,
    app=st.sampled_from([App("first", "account", "1"), App("second", "account", "2")]),
    readings=st.lists(
        st.builds(Reading, meeting=MEETINGS), max_size=2, unique_by=lambda reading: reading.meeting
    ).map(tuple),
    recordings=st.lists(
        KNOWN, max_size=3, unique_by=lambda known: (known.meeting, known.recording_id)
    ).map(tuple),
    clock_offset_seconds=st.sampled_from([0.0, 7.0]),
)
SNAPSHOTS = st.builds(
    Snapshot,
    apps=st.lists(APPS, max_size=2, unique_by=lambda app: app.app).map(tuple),
    taken_at=st.sampled_from([NOW, NOW + 15]),
)


@given(st.lists(SNAPSHOTS, min_size=2, max_size=5))
def test_an_exposition_depends_on_its_snapshot_alone(snapshots: list[Snapshot]) -> None:
    """An exposition depends on its snapshot only, not on the snapshots before it."""
    families = SnapshotFamilies()
    for snapshot in snapshots:
        page = encode(families(snapshot), Format.TEXT)
        assert encode(SnapshotFamilies()(snapshot), Format.TEXT) == page


def test_a_recording_read_again_shows_the_new_reading() -> None:
    """If the API reports no change, only the samples that depend on time change."""
    running = Recording(
        recording_id="recording-1", status=Status.RECORDING, started_timestamp_seconds=NOW - 100
    )
    first = KnownRecording(meeting=Meeting("meeting-1", "name"), recording=running, read_at=NOW)
    families = SnapshotFamilies()
    pages = []
    for known in (first, replace(first, recording=replace(running), read_at=NOW + 15)):
        app = AppSnapshot(app=App("app", "account", "1"), readings=(), recordings=(known,))
        pages.append(encode(families(Snapshot((app,), NOW + 20)), Format.TEXT).decode())
    lines = [set(page.splitlines()) for page in pages]
    assert {
        "rk_recording_duration_seconds",
        "rk_recording_last_success_timestamp_seconds",
    } == {line.partition("{")[0] for line in lines[1] - lines[0]}


def test_an_unchanged_recording_keeps_its_samples() -> None:
    """Samples are not built again if the API reports the same recording in another answer."""
    finished = Recording(
        recording_id="recording-1",
        status=Status.UPLOADED,
        session_id="session",
        file_size_bytes=2e7,
    )
    first = KnownRecording(meeting=Meeting("meeting-1", "name"), recording=finished, read_at=NOW)
    families = SnapshotFamilies()
    samples = []
    for known in (first, replace(first, recording=replace(finished), read_at=NOW + 15)):
        app = AppSnapshot(app=App("app", "account", "1"), readings=(), recordings=(known,))
        by_name = {family.name: family for family in families(Snapshot((app,), NOW + 20))}
        samples.append(by_name["rk_recording_status"].samples)
    assert [id(sample) for sample in samples[0]] == [id(sample) for sample in samples[1]]


def test_label_sets_are_kept() -> None:
    """A meeting keeps its label set, and the number of label sets is bounded."""
    assert meeting_labels("app", "meeting-1") is meeting_labels("app", "meeting-1")
    assert meeting_labels.cache_parameters()["maxsize"] is not None

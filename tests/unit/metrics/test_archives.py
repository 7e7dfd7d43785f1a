"""Metrics of copies in the users' own buckets."""

from dataclasses import replace
from typing import Any

from rk_exporter.archive.status import ArchiveStatus, Copies
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.model.archive import ArchiveFailure, ArchiveReason, Bucket
from rk_exporter.model.meeting import App
from rk_exporter.snapshot import AppSnapshot, Snapshot
from tests.support.building import NOW, labelled, samples, value
from tests.support.uploaded import uploaded


BUCKET = Bucket("our-recordings", 'recordings/"2026"\n', "https://s3.example", "eu", "archive")
COPIES = Copies(
    listed_at=NOW,
    objects=1234,
    saved=frozenset({"saved", "hidden"}),
    missing=frozenset({"missing"}),
    missing_expiries=(NOW + 3600, NOW + 2 * 86_400),
)
BEFORE = ArchiveStatus(bucket=BUCKET)
LISTED = BEFORE.after_success(COPIES, seconds=7.0, now=NOW - 60)
FAILED = LISTED.after_failure(ArchiveFailure(ArchiveReason.TLS, "canary-5d1f7c"))


def exposed(*statuses: ArchiveStatus | None, **fields: Any) -> str:
    """Return the exposition at NOW of one app for each status."""
    recordings = tuple(uploaded(recording_id) for recording_id in ("saved", "missing", "new"))
    apps = tuple(
        AppSnapshot(
            **{
                "app": App(f"app-{number}", "account", "app-id"),
                "readings": (),
                "recordings": recordings,
                "archive": status,
                **fields,
            }
        )
        for number, status in enumerate(statuses)
    )
    return encode(SnapshotFamilies()(Snapshot(apps, NOW)), Format.TEXT).decode()


def test_off() -> None:
    """Without an archive nothing in the exposition is about archives."""
    assert "archive" not in exposed(None)


def test_before_the_first_list() -> None:
    """Before the first list nothing is known, but what counts begins at 0."""
    text = exposed(BEFORE)
    for name in ("rk_recording_archived", "rk_recordings_not_archived", "rk_archive_up"):
        assert f"# TYPE {name} gauge" in text
        assert not samples(text, name)
    assert {0.0} == {count for _, count in labelled(text, "rk_archive_list_failures_total")}
    assert 0 == value(text, "rk_archive_list_duration_seconds_count")


def test_after_a_list() -> None:
    """Saved recordings have 1, missing ones 0, and those that were not looked for no sample."""
    text = exposed(LISTED)
    archived = labelled(text, "rk_recording_archived")
    assert {"saved": 1.0, "missing": 0.0} == {
        labels["recording_id"]: is_saved for labels, is_saved in archived
    }
    assert {"rk_app", "meeting_id", "recording_id"} == archived[0][0].keys()
    within = labelled(text, "rk_recordings_not_archived")
    assert {"24h": 1.0, "72h": 2.0} == {labels["within"]: count for labels, count in within}
    assert (1.0, 2.0, 1234.0, NOW - 60) == (
        value(text, "rk_archive_up"),
        value(text, "rk_recordings_archived"),
        value(text, "rk_archive_objects"),
        value(text, "rk_archive_last_success_timestamp_seconds"),
    )
    assert (1.0, 7.0) == (
        value(text, "rk_archive_list_duration_seconds_count"),
        value(text, "rk_archive_list_duration_seconds_sum"),
    )
    ((labels, _),) = labelled(text, "rk_archive_info")
    assert ("our-recordings", r"recordings/\"2026\"") == (labels["bucket"], labels["prefix"])
    assert "s3.example" not in text


def test_after_a_failure() -> None:
    """If the bucket cannot be listed, everything else stays as the last list showed it."""
    before, after = exposed(LISTED), exposed(FAILED)
    changed = set(before.splitlines()) ^ set(after.splitlines())
    assert {"rk_archive_up", "rk_archive_list_failures_total"} == {
        line.partition("{")[0] for line in changed
    }
    assert 0 == value(after, "rk_archive_up")
    assert "canary" not in after


def test_clock_of_the_api() -> None:
    """Expiries are compared with the API's time, which makes them."""
    text = exposed(LISTED, clock_offset_seconds=3601.0)
    within = labelled(text, "rk_recordings_not_archived")
    assert [("24h", 0.0), ("72h", 1.0)] == [(labels["within"], count) for labels, count in within]


def test_several_apps() -> None:
    """Only apps with an archive have its metrics."""
    text = exposed(None, replace(LISTED, failure=None), BEFORE)
    assert {"app-1"} == {labels["rk_app"] for labels, _ in labelled(text, "rk_archive_up")}
    assert {"app-1", "app-2"} == {
        labels["rk_app"] for labels, _ in labelled(text, "rk_archive_info")
    }

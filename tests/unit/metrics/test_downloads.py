"""Metrics of checks of downloads, from one snapshot to the next."""

from collections.abc import Iterator

from rk_exporter.metrics.downloads import DownloadFamilies
from rk_exporter.model.download import DownloadChecks, FileCheck, FileKind
from rk_exporter.snapshot import AppSnapshot, Snapshot
from tests.support.building import NOW
from tests.support.known import known
from tests.support.statuses import app


CHECKED = "rk_recording_download_last_check_timestamp_seconds"


def checked(*recording_ids: str) -> AppSnapshot:
    """Return an app whose recordings were all checked."""
    return app(
        recordings=tuple(known(recording_id) for recording_id in recording_ids),
        downloads=DownloadChecks(
            {
                name: (FileCheck(recording_id=name, kind=FileKind.COMPOSITE, checked_at=NOW),)
                for name in recording_ids
            }
        ),
    )


def label_sets(families: DownloadFamilies, *apps: AppSnapshot) -> Iterator[dict[str, str]]:
    """Return the labels of all recordings that were checked."""
    for family in families(Snapshot(apps, NOW)):
        if family.name == CHECKED:
            yield from (sample.labels for sample in family.samples)


def test_label_sets_are_kept() -> None:
    """A recording keeps its label set while it is shown, because to render it costs time."""
    families = DownloadFamilies()
    (first,) = label_sets(families, checked("a"))
    (again, other) = label_sets(families, checked("a", "b"))
    assert again is first
    assert "b" == other["recording_id"]
    # Nothing is kept of what is not shown.
    (only,) = label_sets(families, checked("b"))
    assert only is other
    assert first is not next(label_sets(families, checked("a")))


def test_some_apps_without_checks() -> None:
    """An app whose downloads are not verified hides nothing of the apps after it."""
    (labels,) = label_sets(DownloadFamilies(), app("first"), checked("a"))
    assert "a" == labels["recording_id"]
    assert [] == [*DownloadFamilies()(Snapshot((app(),), NOW))]

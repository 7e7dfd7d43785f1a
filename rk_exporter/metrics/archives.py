"""Metrics of copies in the users' own buckets; there are none without `downloads.archive`."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from rk_exporter.archive.status import ArchiveStatus
from rk_exporter.metrics.builders import Gauge, LabelSet, counter, gauges, histogram, info
from rk_exporter.runtime.printable import label_text
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.lifecycle import KnownRecording


_WithArchive = tuple[LabelSet, ArchiveStatus]
_ARCHIVE_GAUGES: tuple[Gauge[ArchiveStatus], ...] = (
    Gauge(
        "rk_recordings_archived",
        "Known recordings with a copy in the archive, as of the last list; also those without "
        "series of their own.",
        lambda status: len(status.copies.saved) if status.copies else None,
    ),
    Gauge(
        "rk_archive_up",
        "Whether the last list of the archive's bucket succeeded; absent before the first one.",
        lambda status: status.up,
    ),
    Gauge(
        "rk_archive_last_success_timestamp_seconds",
        "When the bucket was last listed completely.",
        lambda status: status.last_success_timestamp_seconds,
    ),
    Gauge(
        "rk_archive_objects",
        "Objects below the archive's prefix in the last list.",
        lambda status: status.copies.objects if status.copies else None,
    ),
)


def archive_families(
    snapshot: Snapshot, labels_of: Callable[[str, KnownRecording], LabelSet]
) -> Iterator[Metric]:
    """Return the metrics of all archives; *labels_of* gives the labels of an app's recording."""
    apps = [app for app in snapshot.apps if app.archive is not None]
    if not apps:
        return
    yield _archived(apps, labels_of)
    yield _not_archived(apps, snapshot.taken_at)
    statuses = _statuses(apps)
    yield from gauges(_ARCHIVE_GAUGES, statuses)
    yield from archive_counters(apps)
    yield info(
        "rk_archive",
        "The bucket of the archive, and the prefix of the objects that are listed.",
        (
            labels.plus(bucket=status.bucket.name, prefix=label_text(status.bucket.prefix))
            for labels, status in statuses
        ),
    )


def archive_counters(apps: Sequence[AppSnapshot]) -> Iterator[Metric]:
    """Return what counts the lists of those *apps* that have an archive."""
    statuses = _statuses(apps)
    if not statuses:
        return
    yield histogram(
        "rk_archive_list_duration_seconds",
        "How long complete lists of the bucket took.",
        ((labels, status.durations) for labels, status in statuses),
    )
    yield counter(
        "rk_archive_list_failures",
        "Lists of the bucket that failed.",
        (
            (labels.plus(reason=reason.value), count)
            for labels, status in statuses
            for reason, count in status.failures.items()
        ),
    )


def _statuses(apps: Sequence[AppSnapshot]) -> list[_WithArchive]:
    return [(LabelSet(rk_app=app.app.name), app.archive) for app in apps if app.archive]


def _archived(
    apps: Sequence[AppSnapshot], labels_of: Callable[[str, KnownRecording], LabelSet]
) -> Metric:
    name = "rk_recording_archived"
    family = Metric(
        name,
        "Whether the archive has a file with the name (API field output_file_name) or key of the "
        "recording and with its size (API field file_size), as of the last list. Absent for "
        "recordings that were not looked for: those without a file yet, and tracks.",
        "gauge",
    )
    family.samples = list(chain.from_iterable(_archived_in(app, name, labels_of) for app in apps))
    return family


def _archived_in(
    app: AppSnapshot, name: str, labels_of: Callable[[str, KnownRecording], LabelSet]
) -> Iterator[Sample]:
    copies = app.archive and app.archive.copies
    if not copies:
        return
    for known in app.recordings:
        has_copy = copies.has(known.recording_id)
        if has_copy is not None:
            yield Sample(name, labels_of(app.app.name, known), float(has_copy))


def _not_archived(apps: Sequence[AppSnapshot], now: float) -> Metric:
    name = "rk_recordings_not_archived"
    family = Metric(
        name,
        "Recordings without a copy in the archive whose download URL expires within the time in "
        "the label (API field download_url_expiry); 72h includes 24h. Also those without series "
        "of their own.",
        "gauge",
    )
    family.samples = [
        Sample(name, LabelSet(rk_app=app.app.name, within=within), float(count))
        for app in apps
        if app.archive and app.archive.copies
        for within, count in app.archive.copies.missing_within(
            now + app.clock_offset_seconds
        ).items()
    ]
    return family

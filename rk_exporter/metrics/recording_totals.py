"""Totals of all recordings that an app's exporter knows, whether or not they have series."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from rk_exporter.metrics.builders import Gauge, LabelSet, gauges
from rk_exporter.snapshot import AppSnapshot
from rk_exporter.tracking.totals import RecordingTotals


TOTAL_GAUGES: tuple[Gauge[RecordingTotals], ...] = (
    Gauge(
        "rk_recordings_earliest_expiry_timestamp_seconds",
        "When the next download URL expires (API field download_url_expiry); absent if none will.",
        lambda totals: totals.earliest_expiry_timestamp_seconds,
    ),
    Gauge(
        "rk_recordings_hidden",
        "Finished recordings without series of their own, because there are more than "
        "follow.max_recordings.",
        lambda totals: totals.hidden,
    ),
)


def total_families(apps: Sequence[AppSnapshot]) -> Iterator[Metric]:
    """Return the totals of the recordings of *apps*."""
    totals = [(LabelSet(rk_app=app.app.name), app.totals) for app in apps]
    yield _labelled(
        "rk_recordings",
        "Known recordings by state as last read (API field status), also those without series of "
        "their own.",
        (
            (labels.plus(status=status.value), count)
            for labels, total in totals
            for status, count in total.by_status.items()
        ),
    )
    yield _labelled(
        "rk_recordings_expiring",
        "Recordings whose download URL expires within the time in the label (API field "
        "download_url_expiry); 24h includes 1h.",
        (
            (labels.plus(within=within), count)
            for labels, total in totals
            for within, count in total.expiring.items()
        ),
    )
    yield from gauges(TOTAL_GAUGES, totals)


def _labelled(name: str, documentation: str, samples: Iterable[tuple[LabelSet, float]]) -> Metric:
    family = Metric(name, documentation, "gauge")
    family.samples = [Sample(name, labels, float(value)) for labels, value in samples]
    return family

"""Metric families made of labels and values; what has no value gives no sample."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from rk_exporter.tracking.counters import Histogram


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Gauge(Generic[T]):
    """A metric's *name*, its HELP, and what its value is; None is "no sample"."""

    name: str
    documentation: str
    value: Callable[[T], float | None]


Labels = dict[str, str]


def gauges(tables: Iterable[Gauge[T]], measured: Sequence[tuple[Labels, T]]) -> Iterator[Metric]:
    """Return a gauge for each of the *tables*, with the samples of all that was *measured*."""
    for table in tables:
        samples = ((labels, table.value(each)) for labels, each in measured)
        yield gauge(table.name, table.documentation, samples)


def gauge(name: str, documentation: str, samples: Iterable[tuple[Labels, float | None]]) -> Metric:
    """Return a gauge with a sample for each value that is not None."""
    family = Metric(name, documentation, "gauge")
    family.samples = [
        Sample(name, labels, float(value)) for labels, value in samples if value is not None
    ]
    return family


def info(name: str, documentation: str, labels: Iterable[Labels]) -> Metric:
    """Return a metric whose labels are what it tells; *name* is without its suffix."""
    family = Metric(name, documentation, "info")
    family.samples = [Sample(f"{name}_info", each, 1.0) for each in labels]
    return family


def counter(name: str, documentation: str, samples: Iterable[tuple[Labels, float]]) -> Metric:
    """Return a counter; *name* is without its suffix."""
    family = Metric(name, documentation, "counter")
    family.samples = [Sample(f"{name}_total", labels, float(value)) for labels, value in samples]
    return family


def histogram(name: str, documentation: str, samples: Iterable[tuple[Labels, Histogram]]) -> Metric:
    """Return a histogram."""
    family = Metric(name, documentation, "histogram")
    family.samples = [sample for labels, each in samples for sample in _buckets(name, labels, each)]
    return family


def _buckets(name: str, labels: Labels, measured: Histogram) -> Iterator[Sample]:
    bounds = [floatToGoString(bound) for bound in (*measured.bounds, float("inf"))]  # type: ignore[no-untyped-call] # unannotated
    for bound, count in zip(bounds, accumulate(measured.counts), strict=True):
        yield Sample(f"{name}_bucket", {**labels, "le": bound}, float(count))
    yield Sample(f"{name}_count", labels, float(sum(measured.counts)))
    yield Sample(f"{name}_sum", labels, measured.total)

"""Build metric families from label sets and values; an unknown value has no sample."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from rk_exporter.tracking.counters import Histogram


T = TypeVar("T")

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class LabelSet(dict[str, str]):
    """
    The labels of a series, and their text in an exposition.

    Rendering labels costs more than all else of a sample, so a label set that is kept from one
    snapshot to the next keeps its text. It must not change once it is made.
    """

    __slots__ = ("text",)

    def __init__(self, labels: Mapping[str, str] | None = None, /, **more: str) -> None:
        super().__init__(labels or {}, **more)
        pairs = ",".join(
            f'{name}="{value.translate(_ESCAPES)}"' for name, value in sorted(self.items())
        )
        self.text = f"{{{pairs}}}" if pairs else ""

    def plus(self, **more: str) -> "LabelSet":
        """Return these labels and *more*."""
        return LabelSet(self, **more)


@dataclass(frozen=True, slots=True)
class Gauge(Generic[T]):
    """A gauge's *name*, its HELP line, and its value; None means that there is no sample."""

    name: str
    documentation: str
    value: Callable[[T], float | None]


class LabelValues:
    """Words of the API as values of a label: *most* of them; all others become one value."""

    OTHER = "other"

    def __init__(self, known: Iterable[str] = (), *, most: int) -> None:
        self._values = set(known)
        self._most = most

    def of(self, word: str) -> str:
        """Return the label value for *word*, which is the same for the rest of the process."""
        if word in self._values:
            return word
        if len(self._values) >= self._most:
            return self.OTHER
        self._values.add(word)
        return word


def gauges(tables: Iterable[Gauge[T]], measured: Sequence[tuple[LabelSet, T]]) -> Iterator[Metric]:
    """Return a gauge for each of the *tables*, with a sample for each thing that was *measured*."""
    for table in tables:
        family = Metric(table.name, table.documentation, "gauge")
        values = ((labels, table.value(thing)) for labels, thing in measured)
        family.samples = [
            Sample(table.name, labels, float(value))
            for labels, value in values
            if value is not None
        ]
        yield family


def info(name: str, documentation: str, labels: Iterable[LabelSet]) -> Metric:
    """Return an info metric, whose labels are its content; *name* has no suffix."""
    family = Metric(name, documentation, "info")
    family.samples = [Sample(f"{name}_info", label_set, 1.0) for label_set in labels]
    return family


def counter(name: str, documentation: str, samples: Iterable[tuple[LabelSet, float]]) -> Metric:
    """Return a counter; *name* has no suffix."""
    family = Metric(name, documentation, "counter")
    family.samples = [Sample(f"{name}_total", labels, float(value)) for labels, value in samples]
    return family


def histogram(
    name: str, documentation: str, samples: Iterable[tuple[LabelSet, Histogram]]
) -> Metric:
    """Return a histogram."""
    family = Metric(name, documentation, "histogram")
    family.samples = [
        sample for labels, measured in samples for sample in _buckets(name, labels, measured)
    ]
    return family


def _buckets(name: str, labels: LabelSet, measured: Histogram) -> Iterator[Sample]:
    bounds = [floatToGoString(bound) for bound in (*measured.bounds, float("inf"))]  # type: ignore[no-untyped-call] # unannotated
    for bound, count in zip(bounds, accumulate(measured.counts), strict=True):
        yield Sample(f"{name}_bucket", labels.plus(le=bound), float(count))
    yield Sample(f"{name}_count", labels, float(sum(measured.counts)))
    yield Sample(f"{name}_sum", labels, measured.total)

"""
New series of counters, which show their old value before they grow.

Prometheus counts how much a series grows from one sample to the next, so its first sample counts
nothing. A failure in the first pass of a process would be lost.
"""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from rk_exporter.snapshot import Snapshot


# One for each of two Prometheus servers, or a second one for a server that missed the first.
_SNAPSHOTS_WITH_OLD_VALUE = 2
_COUNTING = frozenset({"counter", "histogram"})
_Series = tuple[str, ...]
"""The name of a series and the values of its labels, which are always in the same order."""


class NewSeries:
    """
    Replaces the values of new counter series by their old ones, in two snapshots each.

    The old value is the one that `begin` was given, or else 0. The status page reads the counters
    directly, so it shows the current values.
    """

    def __init__(self) -> None:
        self._old_values: Mapping[_Series, float] = {}
        self._first_shown: Mapping[_Series, int] = {}
        """The number of the first snapshot that showed each series."""
        self._snapshot: Snapshot | None = None
        self._number = 0

    def begin(self, families: Iterable[Metric]) -> None:
        """
        Take the values in *families* as old ones.

        Call this before the first pass and after a change of the apps, because restored and
        renamed apps do not begin at 0. It changes nothing for series that are known already.
        """
        before = self._old_values
        self._old_values = {
            series: before.get(series, sample.value)
            for family in families
            if family.type in _COUNTING
            for series, sample in _by_series(family)
        }

    def with_old_values(self, snapshot: Snapshot, families: Iterable[Metric]) -> Iterator[Metric]:
        """Return the *families* of a *snapshot*, but new series with their old values."""
        if snapshot is not self._snapshot:
            self._snapshot, self._number = snapshot, self._number + 1
        old_values, known, shown = self._old_values, self._first_shown, dict[_Series, int]()
        newer_than = self._number - _SNAPSHOTS_WITH_OLD_VALUE
        for family in families:
            if family.type in _COUNTING:
                samples = family.samples
                for index, (series, sample) in enumerate(_by_series(family)):
                    first = shown[series] = known.get(series, self._number)
                    if first > newer_than:
                        samples[index] = sample._replace(value=old_values.get(series, 0.0))
            yield family
        # A series that is gone, e.g. of a removed app, is new if it comes back.
        self._first_shown = shown


def _by_series(family: Metric) -> Iterator[tuple[_Series, Sample]]:
    for sample in family.samples:
        yield (sample.name, *sample.labels.values()), sample

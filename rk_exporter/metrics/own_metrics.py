"""The exporter's own metrics: of its calls and bugs by app, and of blocked files and streams."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.api_calls import ApiCallMetrics
from rk_exporter.metrics.blocked_io import BlockedIoMetrics
from rk_exporter.metrics.internal_errors import internal_errors


class OwnMetrics:
    """The metrics that count as things happen, unlike those of a snapshot."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.calls = ApiCallMetrics({}, registry=self._registry)
        self.internal_errors = internal_errors((), registry=self._registry)
        self._registry.register(BlockedIoMetrics())
        self._names: frozenset[str] = frozenset()
        self._removed: frozenset[str] = frozenset()

    def set_apps(self, endpoints: Mapping[str, Iterable[str]]) -> None:
        """
        Let the metrics of apps begin at 0; *endpoints* are what they call, by name.

        The metrics of apps that are not among them stay until the next change, because a scrape
        may still show the snapshot before this one.
        """
        for name in self._removed - endpoints.keys():
            self.calls.remove(name)
            self.internal_errors.remove_by_labels({"rk_app": name})
        for name, used in endpoints.items():
            self.calls.add(name, used)
            self.internal_errors.labels(name)
        self._removed = (self._removed | self._names) - endpoints.keys()
        self._names = frozenset(endpoints)

    def collect(self, names: Collection[str]) -> Iterator[Metric]:
        """Return the metrics, of the apps with these *names* only."""
        for family in self._registry.collect():
            family.samples = [
                sample
                for sample in family.samples
                if sample.labels.get("rk_app") is None or sample.labels["rk_app"] in names
            ]
            yield family

"""The exporter's own metrics: of its calls and bugs by app, and of blocked files and streams."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.accounts import AccountCallMetrics, AccountMetrics
from rk_exporter.metrics.api_calls import ApiCallMetrics
from rk_exporter.metrics.blocked_io import BlockedIoMetrics
from rk_exporter.metrics.internal_errors import internal_errors


class OwnMetrics:
    """The metrics that count as things happen, unlike those of a snapshot."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.calls = ApiCallMetrics(self._registry)
        self.internal_errors = internal_errors(self._registry)
        self._registry.register(BlockedIoMetrics())
        self._accounts: AccountMetrics | None = None
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

    def set_accounts(self, names: Collection[str]) -> None:
        """Let the metrics of accounts begin at 0; there are none without accounts."""
        if not names:
            self._accounts = None
            return
        self._accounts = self._accounts or AccountMetrics()
        self._accounts.set_accounts(names)

    def calls_of_account(self, name: str) -> AccountCallMetrics:
        """Return the counters of the calls about one account."""
        return AccountCallMetrics(name, self._account_metrics)

    def count_bug(self, name: str) -> None:
        """Count an unexpected exception of an app."""
        self.internal_errors.labels(name).inc()

    def bug_counts(self) -> dict[str, int]:
        """Return how many bugs each app has had."""
        return {
            sample.labels["rk_app"]: int(sample.value)
            for family in self.internal_errors.collect()
            for sample in family.samples
        }

    def count_account_error(self, name: str) -> Callable[[], None]:
        """Return what counts a bug in the lists of one account."""
        return self._account_metrics.internal_errors.labels(name).inc

    @property
    def _account_metrics(self) -> AccountMetrics:
        self._accounts = self._accounts or AccountMetrics()
        return self._accounts

    def collect(self, names: Collection[str]) -> Iterator[Metric]:
        """Return the metrics, of the apps with these *names* only."""
        for family in self._registry.collect():
            family.samples = [
                sample
                for sample in family.samples
                if sample.labels.get("rk_app") is None or sample.labels["rk_app"] in names
            ]
            yield family
        if self._accounts is not None:
            yield from self._accounts.registry.collect()

"""Everything that an exporter exports: metrics of a snapshot, its own, and those of its process."""

from collections.abc import Iterable, Iterator
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector as MetricsSource

from rk_exporter.metrics.archives import archive_counters
from rk_exporter.metrics.downloads import download_counters
from rk_exporter.metrics.exposition import Exposition
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.metrics.new_series import NewSeries
from rk_exporter.metrics.own_metrics import OwnMetrics
from rk_exporter.metrics.recording_counters import counter_families
from rk_exporter.metrics.shards import shard_families
from rk_exporter.metrics.webhooks import webhook_families
from rk_exporter.model.shard import Shard
from rk_exporter.snapshot import Snapshot


# The metrics that say whether the last reload succeeded.
_RELOADED = {
    "configuration": "rk_config_last_reload_successful",
    "web configuration": "rk_web_config_last_reload_successful",
}


class ExportedMetrics:
    """The metrics of an exporter that reads the apps of a *shard* and counts its *own* metrics."""

    def __init__(self, own: OwnMetrics, shard: Shard | None) -> None:
        self._own = own
        self.shard = shard
        """The shard in use; a reload replaces it."""
        # Not of a process that ends after one pass: node_exporter reads its output, and has its
        # own metrics of these names.
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        self._snapshot_families = SnapshotFamilies()
        self._new_series = NewSeries()
        self.exposition = Exposition(self._scraped_families)

    @property
    def process_started_at(self) -> float | None:
        """Return when the process started, in unix seconds; None if this system does not say it."""
        return self._process.get_sample_value("process_start_time_seconds")

    def show(self, metrics: MetricsSource) -> None:
        """Show *metrics* of a process that serves, too."""
        self._process.register(metrics)

    def families(self, snapshot: Snapshot) -> Iterable[Metric]:
        """Return the metrics of the *snapshot*, and the exporter's own as of now."""
        return chain(self._snapshot_families(snapshot), self._own_families(snapshot))

    def begin_series(self, snapshot: Snapshot) -> None:
        """Let new series of counters begin with their current values, those in *snapshot*."""
        of_apps = (counter_families, download_counters, archive_counters, webhook_families)
        families = chain.from_iterable(of(snapshot.apps) for of in of_apps)
        self._new_series.begin(chain(families, self._own_families(snapshot)))

    def failed_reloads(self) -> Iterator[str]:
        """Return the names of the files whose last reload failed."""
        for name, metric in _RELOADED.items():
            if self._process.get_sample_value(metric) == 0:
                yield name

    def _own_families(self, snapshot: Snapshot) -> Iterable[Metric]:
        families = self._own.collect({app.app.name for app in snapshot.apps})
        return chain(families, shard_families(self.shard))

    def _scraped_families(self, snapshot: Snapshot) -> Iterable[Metric]:
        """Return what scrapers get of *snapshot*, with the metrics of a process that serves."""
        families = self._new_series.with_old_values(snapshot, self.families(snapshot))
        return chain(families, self._process.collect())

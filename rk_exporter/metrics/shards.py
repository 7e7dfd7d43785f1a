"""Metrics of the exporter's shard, if it has one."""

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from rk_exporter.model.shard import Shard


def shard_families(shard: Shard | None) -> Iterator[Metric]:
    """Return the number of the *shard* and of all shards; nothing without a shard."""
    if shard is None:
        return
    yield GaugeMetricFamily(
        "rk_exporter_shard",
        "Number of this exporter's shard, beginning with 0. Only with shard.",
        value=shard.index,
    )
    yield GaugeMetricFamily(
        "rk_exporter_shards",
        "Number of shards that share the apps and the API budget. Only with shard.",
        value=shard.count,
    )

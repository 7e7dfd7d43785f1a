"""Metrics of files and streams that block, and therefore lose log lines or keep threads busy."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rk_exporter.runtime.background_call import late_calls
from rk_exporter.runtime.logs import dropped_lines


class BlockedIoMetrics(Collector):
    """The metrics of the process, which all exporters in it share."""

    def collect(self) -> Iterator[Metric]:
        """Return the current values."""
        yield CounterMetricFamily(
            "rk_exporter_log_lines_dropped",
            "Log lines that were dropped because standard error was blocked or broken.",
            value=dropped_lines(),
        )
        yield GaugeMetricFamily(
            "rk_exporter_hanging_file_calls",
            "File accesses that did not return in time, for example on a network file system "
            "that hangs.",
            value=late_calls(),
        )

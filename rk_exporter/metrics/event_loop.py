"""The metric of the event loop, which answers scrapes and makes calls."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from rk_exporter.runtime.event_loop_lag import EventLoopLag


class EventLoopMetrics(Collector):
    """The metric of a process that serves."""

    def __init__(self, lag: EventLoopLag) -> None:
        self._lag = lag

    def collect(self) -> Iterator[Metric]:
        """Return the current value."""
        yield CounterMetricFamily(
            "rk_exporter_event_loop_lag_seconds",
            "How late the exporter did what was due, because it had no processor or was blocked. "
            "Its rate is about the part of the time in which it did not answer.",
            value=self._lag.seconds,
        )

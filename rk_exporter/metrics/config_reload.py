"""Metrics of the configuration, which a signal or a request reloads."""

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rk_exporter.metrics.web_config import ReloadState


class ConfigReloadMetrics(Collector):
    """The metrics of the configuration in use."""

    def __init__(self, state: ReloadState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Return the current values."""
        yield GaugeMetricFamily(
            "rk_config_last_reload_successful",
            "Whether the last reload of the configuration succeeded; after a failure the last good "
            "configuration stays in use.",
            value=self._state.last_reload_successful,
        )
        yield GaugeMetricFamily(
            "rk_config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded successfully.",
            value=self._state.last_success_timestamp_seconds,
        )

"""Metrics of the web configuration, which is read again when its files change."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class ReloadState(Protocol):
    """How the last reload ended."""

    @property
    def last_reload_successful(self) -> bool:
        """Return whether everything in the files is in use."""
        ...

    @property
    def last_success_timestamp_seconds(self) -> float:
        """Return when the files were last taken into use."""
        ...


class WebConfigMetrics(Collector):
    """The metrics of the web configuration in use."""

    def __init__(self, state: ReloadState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Return the current values."""
        yield GaugeMetricFamily(
            "rk_web_config_last_reload_successful",
            "Whether the last reload of the web configuration and its TLS files succeeded. Only "
            "with web.config_file.",
            value=self._state.last_reload_successful,
        )
        yield GaugeMetricFamily(
            "rk_web_config_last_reload_success_timestamp_seconds",
            "When the web configuration was last reloaded successfully. Only with web.config_file.",
            value=self._state.last_success_timestamp_seconds,
        )

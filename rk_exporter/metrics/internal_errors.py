"""Metric of the exporter's own bugs."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter


class InternalErrorMetrics:
    """The counter of unexpected exceptions; every app starts at 0."""

    def __init__(self, app_names: Iterable[str], *, registry: CollectorRegistry) -> None:
        self._errors = Counter(
            "rk_exporter_internal_errors",
            "Unexpected exceptions in passes over the app; each is a bug in the exporter, and the "
            "last snapshot stays in use.",
            ["app"],
            registry=registry,
        )
        for name in app_names:
            self._errors.labels(name)

    def counter(self, app: str) -> Callable[[], None]:
        """Return what counts an exception of one app."""
        return self._errors.labels(app).inc

"""Metrics of API calls."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from rk_exporter.api.client import ENDPOINTS, NO_STATUS, RATELIMIT_FIELD
from rk_exporter.api.schema import MALFORMABLE_FIELDS
from rk_exporter.model.failure import Reason


# The statuses that the API's documentation and third parties name; others appear when observed.
_KNOWN_CODES = (
    "200", "400", "401", "403", "404", "422", "429", "500", "502", "503", "504", NO_STATUS,
)  # fmt: skip
_LATENCY_BUCKETS_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ApiCallMetrics:
    """The counters of API calls; every known child starts at 0."""

    def __init__(self, app_names: Iterable[str], *, registry: CollectorRegistry) -> None:
        # The library's only switch for the _created series.
        disable_created_metrics()  # type: ignore[no-untyped-call] # has no annotations
        self.requests = Counter(
            "rk_api_requests",
            "API calls by HTTP status; `none` if no complete response arrived.",
            ["rk_app", "api_endpoint", "code"],
            registry=registry,
        )
        self.failures = Counter(
            "rk_api_request_failures",
            "Failed API calls, by reason.",
            ["rk_app", "api_endpoint", "reason"],
            registry=registry,
        )
        self.durations = Histogram(
            "rk_api_request_duration_seconds",
            "Duration of API calls.",
            ["rk_app", "api_endpoint"],
            buckets=_LATENCY_BUCKETS_SECONDS,
            registry=registry,
        )
        self.malformed = Counter(
            "rk_api_malformed_fields",
            "Malformed fields that were ignored in otherwise valid API responses.",
            ["rk_app", "field"],
            registry=registry,
        )
        for app in app_names:
            self._start_at_zero(app)

    def of(self, app: str) -> "AppCallMetrics":
        """Return the counters of one app."""
        return AppCallMetrics(app, self)

    def _start_at_zero(self, app: str) -> None:
        for endpoint in ENDPOINTS:
            for code in _KNOWN_CODES:
                self.requests.labels(app, endpoint, code)
            for reason in Reason:
                self.failures.labels(app, endpoint, reason.value)
            self.durations.labels(app, endpoint)
        for field in (*MALFORMABLE_FIELDS, RATELIMIT_FIELD):
            self.malformed.labels(app, field)


@dataclass(frozen=True, slots=True)
class AppCallMetrics:
    """An api.CallObserver that counts for one app."""

    app: str
    metrics: ApiCallMetrics

    def called(self, endpoint: str, code: str, duration_seconds: float) -> None:
        """Count a call."""
        self.metrics.requests.labels(self.app, endpoint, code).inc()
        self.metrics.durations.labels(self.app, endpoint).observe(duration_seconds)

    def failed(self, endpoint: str, reason: Reason) -> None:
        """Count a failed call."""
        self.metrics.failures.labels(self.app, endpoint, reason.value).inc()

    def malformed(self, fields: Iterable[str]) -> None:
        """Count ignored fields."""
        for field in fields:
            self.metrics.malformed.labels(self.app, field).inc()

"""Metrics of API calls."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from rk_exporter.api.endpoints import NO_STATUS, RATELIMIT_FIELD
from rk_exporter.api.schema import MALFORMABLE_FIELDS
from rk_exporter.metrics.builders import LabelValues
from rk_exporter.model.failure import Reason


# The statuses of calls that are not failures; others appear when observed, because failures have
# a counter of their own.
_USUAL_CODES = ("200", "404")
# Any number with three digits can be a status. These always have their own label value.
_KNOWN_CODES = (
    "200", "400", "401", "403", "404", "422", "429", "500", "502", "503", "504", NO_STATUS,
)  # fmt: skip
_LATENCY_BUCKETS_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def code_values() -> LabelValues:
    """Return the values of the label `code` of one counter."""
    return LabelValues(_KNOWN_CODES, most=2 * len(_KNOWN_CODES))


class ApiCallMetrics:
    """
    The counters of API calls.

    The children of the endpoints that an app's configuration uses start at 0 when the app is added;
    those of another endpoint with its first call.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        # The library's only switch for the _created series.
        disable_created_metrics()  # type: ignore[no-untyped-call] # has no annotations
        self.requests = Counter(
            "rk_api_requests",
            "API calls by HTTP status; `none` if no complete response arrived, `other` for codes "
            "beyond the first 24.",
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
        self.codes = code_values()
        self._in_use: set[tuple[str, str]] = set()

    def add(self, app: str, endpoints: Iterable[str]) -> None:
        """Create the children of an app that uses these *endpoints*, if there are none."""
        for endpoint in endpoints:
            self.start_at_zero(app, endpoint)
        for field in (*MALFORMABLE_FIELDS, RATELIMIT_FIELD):
            self.malformed.labels(app, field)

    def remove(self, app: str) -> None:
        """Remove the children of an app that makes no more calls."""
        for family in (self.requests, self.failures, self.durations, self.malformed):
            family.remove_by_labels({"rk_app": app})
        self._in_use = {(name, endpoint) for name, endpoint in self._in_use if name != app}

    def of(self, app: str) -> "AppCallMetrics":
        """Return the counters of one app."""
        return AppCallMetrics(app, self)

    def failure_counts(self) -> dict[str, dict[str, int]]:
        """Return how many calls have failed, by app and reason."""
        counts: dict[str, dict[str, int]] = {}
        for family in self.failures.collect():
            for sample in family.samples:
                by_reason = counts.setdefault(sample.labels["rk_app"], {})
                reason = sample.labels["reason"]
                by_reason[reason] = by_reason.get(reason, 0) + int(sample.value)
        return counts

    def start_at_zero(self, app: str, endpoint: str) -> None:
        """Create the children of an endpoint, if there are none."""
        if (app, endpoint) in self._in_use:
            return
        self._in_use.add((app, endpoint))
        for code in _USUAL_CODES:
            self.requests.labels(app, endpoint, code)
        for reason in Reason:
            self.failures.labels(app, endpoint, reason.value)
        self.durations.labels(app, endpoint)


@dataclass(frozen=True, slots=True)
class AppCallMetrics:
    """An api.CallObserver that counts for one app."""

    app: str
    metrics: ApiCallMetrics

    def called(self, endpoint: str, code: str, duration_seconds: float) -> None:
        """Count a call."""
        self.metrics.start_at_zero(self.app, endpoint)
        code = self.metrics.codes.of(code)
        self.metrics.requests.labels(self.app, endpoint, code).inc()
        self.metrics.durations.labels(self.app, endpoint).observe(duration_seconds)

    def failed(self, endpoint: str, reason: Reason) -> None:
        """Count a failed call."""
        self.metrics.failures.labels(self.app, endpoint, reason.value).inc()

    def malformed(self, fields: Iterable[str]) -> None:
        """Count ignored fields."""
        for field in fields:
            self.metrics.malformed.labels(self.app, field).inc()

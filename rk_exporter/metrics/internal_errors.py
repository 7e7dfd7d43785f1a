"""Metric of the exporter's own bugs."""

from prometheus_client import CollectorRegistry, Counter


def internal_errors(registry: CollectorRegistry) -> Counter:
    """Return the counter of unexpected exceptions, without an app."""
    return Counter(
        "rk_exporter_internal_errors",
        "Unexpected exceptions in passes over the app and in checks of its downloads; each is a "
        "bug in the exporter. What was shown before stays.",
        ["rk_app"],
        registry=registry,
    )

"""Metric of the exporter's own bugs."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter


def internal_errors(app_names: Iterable[str], *, registry: CollectorRegistry) -> Counter:
    """Return the counter of unexpected exceptions; every app starts at 0."""
    errors = Counter(
        "rk_exporter_internal_errors",
        "Unexpected exceptions in passes over the app and in checks of its downloads; each is a "
        "bug in the exporter. What was shown before stays.",
        ["rk_app"],
        registry=registry,
    )
    for name in app_names:
        errors.labels(name)
    return errors

"""Metrics of webhooks; there are none while webhooks are off."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import Counter
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rk_exporter.metrics.builders import Gauge, LabelSet, counter, gauges
from rk_exporter.model.webhook import WebhookStatus
from rk_exporter.snapshot import AppSnapshot


_GAUGES: tuple[Gauge[WebhookStatus], ...] = (
    Gauge(
        "rk_webhook_up",
        "Whether events announce the changes of recordings that polling sees: 0 after two changes "
        "in a row without an event, absent if no change of the last day shows it. Only with "
        "webhook.listen_address.",
        lambda status: status.up,
    ),
    Gauge(
        "rk_webhook_last_event_timestamp_seconds",
        "When the last new event about the app arrived. Only with webhook.listen_address.",
        lambda status: status.last_event_timestamp_seconds,
    ),
)


def webhook_families(apps: Sequence[AppSnapshot]) -> Iterator[Metric]:
    """Return the metrics of all apps' webhooks; no families if webhooks are off."""
    measured = [
        (LabelSet(rk_app=app.app.name), app.webhook) for app in apps if app.webhook is not None
    ]
    if not measured:
        return
    yield from gauges(_GAUGES, measured)
    yield counter(
        "rk_webhook_missed",
        "Changes of recordings that polling saw and no event announced within 2 minutes. Only with "
        "webhook.listen_address.",
        [(labels, status.missed) for labels, status in measured],
    )


class WebhookEvents(Collector):
    """The counter of events; its children start at 0, for each of the *events* and *results*."""

    def __init__(self, *, events: Iterable[str], results: Iterable[str]) -> None:
        self._counter = Counter(
            "rk_webhook_events",
            "Events that arrived as webhooks, by name and result; the name is `other` if it is not "
            "documented, or not known because the signature or the body is wrong. Only with "
            "webhook.listen_address.",
            ["event", "result"],
            registry=None,
        )
        results = list(results)
        for event in events:
            for result in results:
                self._counter.labels(event, result)

    def collect(self) -> Iterable[Metric]:
        """Return the counter."""
        return self._counter.collect()

    def count(self, event: str, result: str) -> None:
        """Count an event."""
        self._counter.labels(event, result).inc()

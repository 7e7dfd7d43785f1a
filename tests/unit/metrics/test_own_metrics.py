from collections.abc import Iterable
from typing import Any

from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.own_metrics import OwnMetrics
from rk_exporter.metrics.webhooks import WebhookEvents
from rk_exporter.model.failure import Reason


LIST = "recordings"


def owners(families: Iterable[Metric], label: str) -> dict[str, set[str]]:
    """Return the values of a label, by the family that has it."""
    found: dict[str, set[str]] = {}
    for family in families:
        for sample in family.samples:
            if label in sample.labels:
                found.setdefault(family.name, set()).add(sample.labels[label])
    return found


def test_removed_accounts() -> None:
    """All counters of a removed account are gone, and those of the others keep their values."""
    metrics = OwnMetrics()
    metrics.set_accounts(["a", "b"])
    for name in "ab":
        calls = metrics.calls_of_account(name)
        calls.called(LIST, "500", 1.0)
        calls.failed(LIST, Reason.SERVER_ERROR)
        calls.malformed(["id"])
        metrics.count_account_error(name)()
    metrics.set_accounts(["b"])
    families = [*metrics.collect(())]
    by_family = owners(families, "rk_account")
    assert 4 == len(by_family)
    assert all({"b"} == names for names in by_family.values())
    assert 1 == sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.labels.get("reason") == Reason.SERVER_ERROR.value
    )
    assert 4 == sum(
        sample.value
        for family in families
        for sample in family.samples
        if "rk_account" in sample.labels
    )


def test_removed_apps() -> None:
    """All counters of a removed app are gone after one more change, and those of others stay."""
    metrics = OwnMetrics()
    metrics.set_apps({"a": [LIST], "b": [LIST]})
    for name in "ab":
        metrics.calls.of(name).called(LIST, "200", 1.0)
        metrics.calls.of(name).failed(LIST, Reason.TIMEOUT)
        metrics.count_bug(name)
    for _ in range(2):
        assert {"a", "b"} == set().union(*owners(metrics.collect("ab"), "rk_app").values())
        metrics.set_apps({"b": [LIST]})
    by_family = owners(metrics.collect("ab"), "rk_app")
    assert 5 == len(by_family)
    assert all({"b"} == names for names in by_family.values())
    assert 1 == metrics.calls.failure_counts()["b"]["timeout"]


def test_failures_of_all_endpoints() -> None:
    """The failures of an app are counted by reason, over all its endpoints."""
    metrics = OwnMetrics()
    metrics.set_apps({"a": [LIST, "sessions"], "b": [LIST]})
    expected: dict[str, Any] = {name: dict.fromkeys(Reason, 0) for name in "ab"}
    assert expected == metrics.calls.failure_counts()
    for endpoint in (LIST, "sessions"):
        metrics.calls.of("a").failed(endpoint, Reason.TIMEOUT)
    metrics.calls.of("b").failed(LIST, Reason.AUTH)
    expected["a"][Reason.TIMEOUT], expected["b"][Reason.AUTH] = 2, 1
    assert expected == metrics.calls.failure_counts()


def test_events_begin_at_0() -> None:
    """Each event has a series for each result before the first one arrives."""
    events = WebhookEvents(events=["one", "two"], results=iter(["good", "bad"]))
    shown = {
        (sample.labels["event"], sample.labels["result"]): sample.value
        for family in events.collect()
        for sample in family.samples
    }
    assert dict.fromkeys([(e, r) for e in ("one", "two") for r in ("good", "bad")], 0.0) == shown

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.own_metrics import OwnMetrics
from rk_exporter.metrics.webhooks import WebhookEvents
from rk_exporter.model.failure import Reason


LIST = "recordings"
# Each change leaves these apps or accounts in the configuration.
CHANGES = st.lists(st.lists(st.sampled_from("abc"), unique=True), min_size=1, max_size=6)


def owners(families: Iterable[Metric], label: str) -> dict[str, set[str]]:
    """Return the values of a label, by the family that has it."""
    found: dict[str, set[str]] = {}
    for family in families:
        for sample in family.samples:
            if label in sample.labels:
                found.setdefault(family.name, set()).add(sample.labels[label])
    return found


def sums(families: Iterable[Metric], name: str, label: str) -> dict[str, float]:
    """Return the sum of a counter's samples, by the value of a label."""
    found: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            if sample.name == f"{name}_total":
                owner = sample.labels[label]
                found[owner] = found.get(owner, 0) + sample.value
    return found


@given(CHANGES)
def test_any_changes_of_apps(changes: list[list[str]]) -> None:
    """The apps of the last two changes are shown, with what happened since they were added."""
    metrics, counted, before = OwnMetrics(), dict[str, int](), list[str]()
    for names in changes:
        metrics.set_apps({name: [LIST] for name in names})
        counted = {name: counted.get(name, 0) for name in {*names, *before}}
        for name in names:
            metrics.calls.of(name).called(LIST, "200", 1.0)
            metrics.count_bug(name)
            counted[name] += 1
        families = [*metrics.collect(counted)]
        assert all(counted.keys() == shown for shown in owners(families, "rk_app").values())
        assert counted == sums(families, "rk_api_requests", "rk_app") == metrics.bug_counts()
        of_names = owners(metrics.collect(names), "rk_app").values()
        assert [set(names)] * (5 if names else 0) == [*of_names]
        before = names


@given(CHANGES)
def test_any_changes_of_accounts(changes: list[list[str]]) -> None:
    """Only the accounts of the last change are shown, with what happened since they were added."""
    metrics, counted = OwnMetrics(), dict[str, int]()
    for names in changes:
        metrics.set_accounts(names)
        counted = {name: counted.get(name, 0) + 1 for name in names}
        for name in names:
            metrics.calls_of_account(name).called(LIST, "200", 1.0)
            metrics.count_account_error(name)()
        families = [*metrics.collect(())]
        shown = owners(families, "rk_account").values()
        assert [set(names)] * (4 if names else 0) == [*shown]
        for name in ("rk_account_api_requests", "rk_account_internal_errors"):
            assert counted == sums(families, name, "rk_account")


def test_accounts_are_in_their_order() -> None:
    """The series of accounts have the order of the configuration, in every process."""
    metrics, names = OwnMetrics(), [f"account-{number}" for number in range(9)]
    metrics.set_accounts(names)
    for family in metrics.collect(()):
        shown = [sample.labels.get("rk_account") for sample in family.samples]
        assert "account" not in family.name or names == [*dict.fromkeys(shown)]


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

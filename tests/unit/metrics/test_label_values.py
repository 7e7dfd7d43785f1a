from dataclasses import replace

import pytest

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from rk_exporter.metrics.api_calls import ApiCallMetrics
from rk_exporter.metrics.builders import LabelValues
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.ratelimit.status import BudgetStatus, RateLimitPolicy
from tests.support.building import labelled, setup, value


REMAINING = "rk_api_ratelimit_remaining"


@given(st.lists(st.text()))
def test_bound(words: list[str]) -> None:
    """The number of values has a limit, and a word keeps its value."""
    values = LabelValues(["known"], most=4)
    first = [values.of(word) for word in words]
    assert first == [values.of(word) for word in words]
    assert "known" == values.of("known")
    assert {LabelValues.OTHER}.issuperset(set(first) - set(words))
    assert len({*first, "known"} - {LabelValues.OTHER}) <= 4


def test_the_first_words_keep_their_names() -> None:
    """Exactly as many words as allowed are values of their own; all later ones are one value."""
    values = LabelValues(["known"], most=3)
    assert ["a", "b", "other", "a", "known", "other"] == [values.of(word) for word in "abca"] + [
        values.of(word) for word in ("known", "d")
    ]


def test_status_codes() -> None:
    """An API that answers with every possible status creates a limited number of series."""
    registry = CollectorRegistry()
    metrics = ApiCallMetrics(registry)
    metrics.add("app", ["recording"])
    for code in range(100, 1000):
        metrics.of("app").called("recording", str(code), 0.1)
    text = encode(registry.collect(), Format.TEXT).decode()
    calls = labelled(text, "rk_api_requests_total")
    assert 900 == sum(count for _, count in calls)
    # As many as the HELP line says, `other` in addition; no call was without a status.
    assert 24 - 1 + 1 == len({labels["code"] for labels, _ in calls})
    assert 1 == value(text, "rk_api_requests_total", code="404", api_endpoint="recording")


@pytest.mark.parametrize("per_answer", [1, 8])
def test_names_of_policies(per_answer: int) -> None:
    """An API that renames its rate limits in every answer creates a limited number of series."""
    snapshot = setup().exporter.collector.snapshot
    families, found = SnapshotFamilies(), set[str]()
    (app,) = snapshot.apps
    for answer in range(40):
        policies = tuple(
            RateLimitPolicy(policy=f"{answer}-{number}", remaining=number)
            for number in range(per_answer)
        )
        status = BudgetStatus(limit=600, remaining=600, policies=policies)
        renamed = replace(app, budget_status=status)
        text = encode(families(replace(snapshot, apps=(renamed,))), Format.TEXT).decode()
        shown = [dict(labels)["policy"] for labels, _ in labelled(text, REMAINING)]
        assert len(shown) == len(set(shown)) >= 1
        found |= set(shown)
    assert len(found) == 17
    assert 0 == value(text, REMAINING, policy="other")

"""The benchmark of rules and dashboards: the rounds that it measures."""

from bench.monitoring import last_round


def test_rounds() -> None:
    """A group that has not run yet took no time, so it counts as no round."""
    ran = {"lastEvaluation": "2026-02-25T06:13:20.5Z", "evaluationTime": 0.25}

    assert {"2026-02-25T06:13:20.5Z": 0.25} == last_round(ran)
    assert {} == last_round({"lastEvaluation": "0001-01-01T00:00:00Z", "evaluationTime": 0})

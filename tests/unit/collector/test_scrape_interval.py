from collections.abc import Iterable

import pytest

from rk_exporter.collector.scrape_interval import ScrapeInterval


def interval_after(starts: Iterable[float]) -> ScrapeInterval:
    """Return the interval after passes that started at these moments."""
    interval = ScrapeInterval()
    for start in starts:
        interval = interval.observe(start)
    return interval


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ([], 15),
        ([5], 15),
        # Somebody scrapes twice before Prometheus does.
        ([0, 1], 15),
        ([0, 1, 2, 3], 15),
        ([0, 60], 60),
        ([0, 30, 60, 90], 30),
        (range(0, 100, 5), 5),
        # Two Prometheus servers, each with its own phase.
        (sorted([*range(0, 300, 15), *range(6, 300, 15)]), 7.5),
        # Only the last ones count.
        ([*range(0, 150, 15), *range(150, 1350, 60)], 60),
        ([0, 3600, 7200], 300),
        (range(0, 72_000, 3600), 300),
    ],
)
def test_usual_interval(starts: Iterable[float], expected: float) -> None:
    """The interval comes from the last passes: at most 300 s, and at first at least 15 s."""
    assert expected == interval_after(starts).seconds


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(range(0, 300, 15), [292, *range(300, 450, 15)], id="out of turn"),
        pytest.param(range(0, 300, 15), range(900, 1050, 15), id="after a pause"),
    ],
)
def test_one_unusual_pass(before: Iterable[float], after: Iterable[float]) -> None:
    """Neither one extra scrape nor one pause changes the usual interval."""
    interval = interval_after(before)
    for start in after:
        interval = interval.observe(start)
        assert 15 == interval.seconds


def test_passes_at_one_moment() -> None:
    """If a coarse clock shows all passes at the same moment, the interval is not 0."""
    assert interval_after([5.0] * 20).seconds > 0

import pytest

from rk_exporter.collector.readings import StalenessGrace
from tests.support.building import NOW


STALE_AFTER = 300.0


def noted(*moments: float, interval: float = 15.0) -> StalenessGrace:
    """Return what is left of passes whose calls were held back so many seconds after NOW."""
    grace = StalenessGrace(STALE_AFTER)
    for moment in moments:
        grace = grace.record_block(NOW + moment, interval)
    return grace


def extra(grace: StalenessGrace, after: float, interval: float = 15.0) -> float:
    """Return for how much longer readings are shown, so many seconds after NOW."""
    return grace.grace_seconds(NOW + after, interval)


def test_never_held_back() -> None:
    """Where no call was ever held back nothing is shown for longer."""
    assert extra(noted(), 0) == 0


def test_one_pass() -> None:
    """The readings are those of the pass before; a meeting may wait for a turn after that."""
    assert extra(noted(0), 0) == 15 + 15


def test_several_passes() -> None:
    """They are shown for as long as calls were held back, and no longer while it goes on."""
    grace = noted(0, 15, 30, 45)
    assert [extra(grace, after) for after in (45, 50, 300)] == [60 + 15] * 3


def test_end() -> None:
    """How long it was counts until all that was read before it would be too old anyway."""
    grace = noted(0, 60)
    assert extra(grace, 60 + STALE_AFTER) == 75 + 15
    assert extra(grace, 60 + STALE_AFTER + 0.1) == 0


@pytest.mark.parametrize(("later", "began"), [(STALE_AFTER, 0), (STALE_AFTER + 0.1, None)])
def test_again(later: float, began: float | None) -> None:
    """Calls held back again soon are one hold with those before, later on another."""
    grace = noted(0, later)
    assert extra(grace, later) == (15 + 15 if began is None else later + 15 + 15)


@pytest.mark.parametrize("seconds", [900, 3600])
def test_longest(seconds: int) -> None:
    """After a quarter of an hour what was read is too old, whatever the reason."""
    grace = noted(*range(0, seconds + 1, 100))
    assert extra(grace, seconds) == 900 + 15


def test_interval() -> None:
    """With passes that are far apart a turn takes as long."""
    assert extra(noted(0, 60, interval=60), 60, interval=60) == 120 + 60

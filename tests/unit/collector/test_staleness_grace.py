import pytest

from rk_exporter.collector.readings import StalenessGrace
from tests.support.building import NOW


STALE_AFTER = 300.0


def blocked_at(*moments: float, interval: float = 15.0) -> StalenessGrace:
    """Return the grace after passes whose calls were blocked at these seconds after NOW."""
    grace = StalenessGrace(STALE_AFTER)
    for moment in moments:
        grace = grace.record_block(NOW + moment, interval)
    return grace


def grace_after(grace: StalenessGrace, after: float, interval: float = 15.0) -> float:
    """Return the grace in seconds, that many seconds *after* NOW."""
    return grace.grace_seconds(NOW + after, interval)


def test_never_blocked() -> None:
    """Without a block, there is no grace."""
    assert grace_after(blocked_at(), 0) == 0


def test_one_pass() -> None:
    """The readings are from the previous pass, and a meeting may wait for one more turn."""
    assert grace_after(blocked_at(0), 0) == 15 + 15


def test_several_passes() -> None:
    """The grace is as long as the block."""
    grace = blocked_at(0, 15, 30, 45)
    assert [grace_after(grace, after) for after in (45, 50, 300)] == [60 + 15] * 3


def test_end() -> None:
    """The block counts until all readings from before it are too old anyway."""
    grace = blocked_at(0, 60)
    assert grace_after(grace, 60 + STALE_AFTER) == 75 + 15
    assert grace_after(grace, 60 + STALE_AFTER + 0.1) == 0


@pytest.mark.parametrize(("later", "began"), [(STALE_AFTER, 0), (STALE_AFTER + 0.1, None)])
def test_again(later: float, began: float | None) -> None:
    """A second block soon after the first extends it; a later one is a new block."""
    grace = blocked_at(0, later)
    assert grace_after(grace, later) == (15 + 15 if began is None else later + 15 + 15)


@pytest.mark.parametrize("seconds", [900, 3600])
def test_longest(seconds: int) -> None:
    """After a quarter of an hour, readings are too old, whatever the reason."""
    grace = blocked_at(*range(0, seconds + 1, 100))
    assert grace_after(grace, seconds) == 900 + 15


def test_interval() -> None:
    """If passes are far apart, a turn takes as long."""
    assert grace_after(blocked_at(0, 60, interval=60), 60, interval=60) == 120 + 60

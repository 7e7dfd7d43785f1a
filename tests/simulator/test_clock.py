import time

import pytest

from rk_exporter.simulator import AcceleratedClock


def test_accelerated_clock() -> None:
    """An accelerated clock runs faster by the given factor."""
    real = [100.0]
    clock = AcceleratedClock(60, monotonic=lambda: real[0], starts_at=1000.0)

    real[0] += 2

    assert clock() == 1120.0


def test_accelerated_clock_starts_now() -> None:
    """By default, simulated time starts now."""
    assert AcceleratedClock()() == pytest.approx(time.time(), abs=5)

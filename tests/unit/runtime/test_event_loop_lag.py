import asyncio

import pytest

from rk_exporter.metrics.event_loop import EventLoopMetrics
from rk_exporter.runtime.event_loop_lag import EventLoopLag
from tests.support.virtual_time import VirtualTimeLoop, run


def blocked(*blocks: tuple[float, float]) -> float:
    """Return the lag after several blocks, given as seconds after the last one and length."""
    lag = EventLoopLag()

    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        async with lag.measured():
            for seconds, length in blocks:
                await asyncio.sleep(seconds)
                loop.block(length)
            await asyncio.sleep(10)
        loop.block(100)
        await asyncio.sleep(10)
        assert 1 == len(asyncio.all_tasks())

    run(story())
    return lag.seconds


def test_nothing_blocks() -> None:
    """A loop that is idle or busy in small steps has no lag."""
    assert 0 == blocked((1000.0, 0.0))


@pytest.mark.parametrize("length", [0.6, 3, 3600])
@pytest.mark.parametrize("offset", [0.01, 0.25, 0.49])
def test_a_block(length: float, offset: float) -> None:
    """A block counts, except for the time until the timer was due; nothing counts afterwards."""
    assert pytest.approx(length - (0.5 - offset)) == blocked((offset, length))


def test_blocks_add_up() -> None:
    """Later blocks are added to the earlier ones."""
    assert pytest.approx(4.75 + 2.65) == blocked((20.25, 5), (20.15, 3))


def test_metric() -> None:
    """The metric is a counter of these seconds."""
    lag = EventLoopLag()
    lag.seconds = 2.5
    (family,) = EventLoopMetrics(lag).collect()
    (sample,) = family.samples
    assert ("rk_exporter_event_loop_lag_seconds_total", 2.5) == (sample.name, sample.value)

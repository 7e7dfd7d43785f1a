from rk_exporter.simulator.scenarios.cache import BlockCache, TimeSlice


def test_capacity() -> None:
    """A full cache evicts its oldest block."""
    cache = BlockCache(capacity=2)
    for number in (1, 2, 3):
        cache.add_block(0, number, ())

    assert cache.block(0, 1) is None
    assert cache.block(0, 3) == ()


def test_slices() -> None:
    """A slice stays in the cache as long as all blocks that it was made from."""
    cache = BlockCache(capacity=2)
    cache.add_block(0, 1, ())
    cache.add_block(0, 2, ())
    time_slice = TimeSlice.from_blocks([], 0.0, 1.0)

    cache.add_slice(7, time_slice, {1, 2})
    cache.add_slice(8, time_slice, {2})
    cache.add_slice(9, time_slice, {2, 3})
    cached = [cache.slice(number) for number in (7, 8, 9)]
    cache.add_block(0, 3, ())

    assert cached == [time_slice, time_slice, None]
    assert [cache.slice(number) for number in (7, 8)] == [None, time_slice]

import itertools
import math

import pytest

from rk_exporter.model.failure import Failure, Reason
from rk_exporter.ratelimit.circuit_breaker import CircuitBreaker
from rk_exporter.runtime.backoff import Backoff


def new_breaker() -> CircuitBreaker:
    return CircuitBreaker(Backoff(first_seconds=10.0, longest_seconds=60.0))


def open_breaker(*, now: float = 100.0) -> CircuitBreaker:
    """Return a breaker that a first refusal has opened for 10 s."""
    breaker = new_breaker()
    breaker.open(now)
    return breaker


def test_closed_at_first() -> None:
    """A new breaker lets all calls pass, and none of them is a trial call."""
    breaker = new_breaker()
    assert breaker.is_closed
    assert (0, None) == (breaker.wait_seconds(5.0), breaker.open_until)
    assert [False, False] == [breaker.start_call(), breaker.start_call()]


def test_open_for_a_time() -> None:
    """An open breaker says how long it blocks calls."""
    breaker = open_breaker(now=100.0)
    assert not breaker.is_closed
    assert 110 == breaker.open_until
    assert [10, 4, 0, 0] == [breaker.wait_seconds(now) for now in (100.0, 106.0, 110.0, 500.0)]


def test_one_trial_call() -> None:
    """A half-open breaker lets one call pass, and no other call while that one runs."""
    breaker = open_breaker()
    assert breaker.start_call()
    assert math.isinf(breaker.wait_seconds(111.0))
    breaker.end_trial()
    assert 0 == breaker.wait_seconds(111.0)
    assert breaker.start_call()


def test_success_closes() -> None:
    """After a successful trial all calls pass, and the next block is as short as the first."""
    breaker = open_breaker()
    breaker.start_call()
    breaker.open(110.0)
    breaker.end_trial()
    breaker.start_call()
    breaker.close()
    breaker.end_trial()
    assert (0, None) == (breaker.wait_seconds(111.0), breaker.open_until)
    assert not breaker.start_call()
    breaker.open(200.0)
    assert 10 == breaker.wait_seconds(200.0)


def test_each_failed_trial_doubles() -> None:
    """Each failed trial opens the breaker for twice as long, up to the longest delay."""
    breaker = open_breaker(now=0.0)
    waits = []
    for _ in range(100):
        now = breaker.open_until or 0.0
        breaker.start_call()
        breaker.open(now)
        breaker.end_trial()
        waits.append(breaker.wait_seconds(now))
    assert [20, 40, 60, 60] == waits[:4]
    assert {60} == set(waits[3:])


def test_simultaneous_refusals_count_once() -> None:
    """Refused calls that ran when the breaker opened do not double the block."""
    breaker = open_breaker(now=100.0)
    breaker.open(101.0)
    breaker.open(102.0)
    assert 112 == breaker.open_until


@pytest.mark.parametrize(("seconds", "expected"), [(3.0, 110), (30.0, 131)])
def test_a_block_is_never_shortened(seconds: float, expected: float) -> None:
    """A given time counts unless the block already lasts longer."""
    breaker = open_breaker(now=100.0)
    breaker.open(101.0, seconds=seconds)
    assert expected == breaker.open_until


def test_given_time() -> None:
    """A given time may be longer than the longest delay, and it counts as a failure."""
    breaker = new_breaker()
    breaker.open(0.0, seconds=500.0)
    assert 500 == breaker.open_until
    breaker.start_call()
    breaker.open(500.0)
    assert 520 == breaker.open_until


def test_opened_at_is_the_begin_of_the_block() -> None:
    """A breaker knows since when and why it blocks, until a call succeeds."""
    breaker = CircuitBreaker(Backoff(first_seconds=10.0, longest_seconds=60.0))
    first, second = (Failure(Reason.AUTH, text) for text in ("first", "second"))
    breaker.open(100.0, cause=first)
    breaker.start_call()
    breaker.open(110.0, cause=second)
    breaker.end_trial()
    assert (100.0, second) == (breaker.opened_at, breaker.cause)
    breaker.close()
    assert (None, None) == (breaker.opened_at, breaker.cause)


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_take_over(order: tuple[int, ...]) -> None:
    """A breaker goes on like the one of several others that blocks calls for longest."""
    cause = Failure(Reason.AUTH, "refused")
    closed, short, long = new_breaker(), open_breaker(now=100.0), open_breaker(now=100.0)
    long.start_call()
    long.open(110.0, cause=cause)
    breaker = new_breaker()
    breaker.take_over([closed, short, long][number] for number in order)
    assert (130.0, 100.0, cause) == (breaker.open_until, breaker.opened_at, breaker.cause)
    breaker.start_call()
    breaker.open(130.0)
    assert 130.0 + 40.0 == breaker.open_until

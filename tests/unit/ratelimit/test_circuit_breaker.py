import math

import pytest

from rk_exporter.ratelimit.circuit_breaker import CircuitBreaker


def closed_gate(*, now: float = 100.0) -> CircuitBreaker:
    """Return a gate that a first refusal has closed for 10 s."""
    gate = CircuitBreaker(first_seconds=10.0, longest_seconds=60.0)
    gate.close(now)
    return gate


def test_open_at_first() -> None:
    """Through a gate that was never closed all calls pass, none of which tries it."""
    gate = CircuitBreaker(first_seconds=10.0, longest_seconds=60.0)
    assert (0, None) == (gate.wait_seconds(5.0), gate.closed_until)
    assert [False, False] == [gate.enter(), gate.enter()]


def test_closed_for_a_time() -> None:
    """A closed gate tells how long it stays shut."""
    gate = closed_gate(now=100.0)
    assert 110 == gate.closed_until
    assert [10, 4, 0, 0] == [gate.wait_seconds(now) for now in (100.0, 106.0, 110.0, 500.0)]


def test_one_call_tries() -> None:
    """When the time has come one call is let through; while it is under way no other is."""
    gate = closed_gate()
    assert gate.enter()
    assert math.isinf(gate.wait_seconds(111.0))
    gate.leave()
    assert 0 == gate.wait_seconds(111.0)
    assert gate.enter()


def test_success_opens() -> None:
    """After a good try all pass, and the next closing is as short as the first."""
    gate = closed_gate()
    gate.enter()
    gate.close(110.0)
    gate.leave()
    gate.enter()
    gate.open()
    gate.leave()
    assert (0, None, False) == (gate.wait_seconds(111.0), gate.closed_until, gate.enter())
    gate.close(200.0)
    assert 10 == gate.wait_seconds(200.0)


def test_each_bad_try_doubles() -> None:
    """Each try that fails closes the gate for twice as long, up to the longest."""
    gate = closed_gate(now=0.0)
    waits = []
    for _ in range(100):
        now = gate.closed_until or 0.0
        gate.enter()
        gate.close(now)
        gate.leave()
        waits.append(gate.wait_seconds(now))
    assert [20, 40, 60, 60] == waits[:4]
    assert {60} == set(waits[3:])


def test_what_is_refused_together_counts_once() -> None:
    """Calls that were under way when the gate was closed, and are refused too, double nothing."""
    gate = closed_gate(now=100.0)
    gate.close(101.0)
    gate.close(102.0)
    assert 112 == gate.closed_until


@pytest.mark.parametrize(("seconds", "expected"), [(3.0, 110), (30.0, 131)])
def test_never_closed_for_less(seconds: float, expected: float) -> None:
    """A time that is given counts, as far as it is no less than what is left already."""
    gate = closed_gate(now=100.0)
    gate.close(101.0, seconds=seconds)
    assert expected == gate.closed_until


def test_given_time() -> None:
    """A time that is given may be longer than the longest, and counts as a closing."""
    gate = CircuitBreaker(first_seconds=10.0, longest_seconds=60.0)
    gate.close(0.0, seconds=500.0)
    assert 500 == gate.closed_until
    gate.enter()
    gate.close(500.0)
    assert 520 == gate.closed_until

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.runtime.backoff import Backoff


def test_no_delay_before_a_failure() -> None:
    """Nothing waits before the first failure."""
    assert 0 == Backoff(15, 300).delay_seconds


def test_doubles_up_to_the_longest() -> None:
    """Each failure doubles the delay until it reaches the limit."""
    backoff, delays = Backoff(15, 100), []
    for _ in range(5):
        backoff = backoff.after_failure()
        delays.append(backoff.delay_seconds)
    assert [15, 30, 60, 100, 100] == delays


def test_success_resets() -> None:
    """After a success the next failure waits the first delay again."""
    backoff = Backoff(15, 300, failures=7)
    assert 15 == backoff.after_success().after_failure().delay_seconds


@given(st.integers(min_value=0, max_value=10**6))
def test_any_number_of_failures(failures: int) -> None:
    """However often it fails, the delay stays a number within its bounds."""
    assert 0 <= Backoff(10, 600, failures).delay_seconds <= 600

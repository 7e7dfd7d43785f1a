"""The time limits of a pass."""

from dataclasses import replace

import pytest

from tests.support.building import pass_context


@pytest.mark.parametrize(("now", "expected"), [(100.0, 105.0), (115.0, 120.0), (118.0, 120.0)])
def test_call_deadline(now: float, expected: float) -> None:
    """A call times out after its own limit, but not after the end of the pass."""
    assert expected == pass_context(deadline=120.0, call_timeout_seconds=5.0).call_deadline(now)


@pytest.mark.parametrize(("wait_until", "expected"), [(100.5, 100.5), (101.5, 101.0)])
def test_hurried(wait_until: float, expected: float) -> None:
    """A hurried call waits for at most a second, and for nothing else less than others."""
    context = pass_context(deadline=120.0, wait_until=wait_until)
    assert replace(context, wait_until=expected) == context.hurried(100.0)

"""The time limits of a pass."""

import pytest

from tests.support.building import pass_context


@pytest.mark.parametrize(("now", "expected"), [(100.0, 105.0), (115.0, 120.0), (118.0, 120.0)])
def test_call_deadline(now: float, expected: float) -> None:
    """A call times out after its own limit, but not after the end of the pass."""
    assert expected == pass_context(deadline=120.0, call_timeout_seconds=5.0).call_deadline(now)

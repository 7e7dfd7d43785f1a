"""What a rate limiter says about calls that fail: why, and since when."""

from typing import Any

import pytest

from rk_exporter.model.errors import (
    ApiError,
    ApiTimeout,
    ClientError,
    ConnectFailed,
    Intercepted,
    RateLimited,
    ServerError,
    Unauthorized,
)
from rk_exporter.model.failure import Failure
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import SlidingWindowBudget
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.ratelimit.status import Outage
from tests.support.building import NOW, pass_context, run


class Machine:
    """A monotonic clock that is 5 s at NOW, and a limiter that follows it."""

    def __init__(self) -> None:
        self.seconds = 5.0
        budget = SlidingWindowBudget(600, now=-400.0, reserve_ratio=0.0)
        self.group = BudgetGroup(budget, monotonic=lambda: self.seconds)
        self.limiter = self.new_limiter()

    def new_limiter(self) -> RateLimiter:
        return RateLimiter(self.group, token=Secret("token"))

    @property
    def unix_seconds(self) -> float:
        return NOW + self.seconds - 5.0

    def call(self, error: ApiError | None = None, *, after: float = 0.0) -> None:
        """Make a call *after* some seconds, which ends in *error*."""
        self.seconds += after

        async def calling() -> None:
            async with self.limiter.acquire(pass_context(token=Secret("token"))):
                if error:
                    raise error

        if error is None:
            run(calling())
            return
        with pytest.raises(type(error)):
            run(calling())

    def outage(self) -> Outage | None:
        return self.limiter.outage(self.unix_seconds)

    def block(self) -> Outage | None:
        return self.limiter.budget_status(self.unix_seconds).block


def outage(failure: Failure, *, since: float) -> Outage:
    return Outage(failure=failure, since_timestamp_seconds=NOW + since)


@pytest.mark.parametrize(
    "error", [ApiTimeout("a"), ConnectFailed("a"), ClientError("a"), ServerError("a")]
)
def test_since_the_first_failure(error: ApiError) -> None:
    """An outage begins with the first failure, has the last cause, and ends with a success."""
    machine = Machine()
    assert machine.outage() is None
    machine.call(error, after=10)
    machine.call(ApiTimeout("b"), after=10)
    assert machine.outage() == outage(ApiTimeout("b").failure, since=10)
    machine.call(after=10)
    assert machine.outage() is None
    machine.call(error, after=10)
    assert machine.outage() == outage(error.failure, since=40)


def retry_after(error: Any, seconds: float) -> Any:
    error.retry_after_seconds = seconds
    return error


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("a"),
        retry_after(RateLimited("a"), 7.0),
        Unauthorized("a"),
        Intercepted("a"),
        retry_after(ServerError("a"), 7.0),
    ],
)
def test_why_calls_are_blocked(error: ApiError) -> None:
    """Each refusal that blocks calls is given as the reason, since the first one."""
    machine = Machine()
    machine.call(error)
    assert machine.block() == outage(error.failure, since=0)
    machine.call(error, after=400)
    assert machine.block() == outage(error.failure, since=0)
    machine.call(after=2000)
    assert machine.block() is None


def test_failures_that_block_nothing() -> None:
    """Calls go on after a failure that says nothing about other calls."""
    machine = Machine()
    machine.call(ClientError("a"))
    assert machine.block() is None


def test_a_block_of_the_group() -> None:
    """An app whose calls are blocked because of another app's 429 has the reason, too."""
    machine = Machine()
    other = machine.new_limiter()
    machine.call(RateLimited("a"))
    assert other.outage(NOW) is None
    assert other.budget_status(NOW).block == outage(RateLimited("a").failure, since=0)


def test_a_block_without_a_cause() -> None:
    """Calls can be blocked by a group that does not know why, e.g. one from before a reload."""
    machine = Machine()
    machine.group.breaker.open(machine.seconds, seconds=30.0)
    status = machine.limiter.budget_status(NOW)
    assert (NOW + 30.0, None) == (status.blocked_until_timestamp_seconds, status.block)

"""Calls that cannot succeed, because no connection to the API can be opened, are not made."""

import asyncio

from dataclasses import dataclass, field

import pytest

from rk_exporter.model.errors import (
    ApiError,
    ApiTimeout,
    ClientError,
    ConnectFailed,
    ConnectionStale,
    InvalidResponse,
    RateLimited,
    ServerError,
    TlsFailed,
    Unauthorized,
    Unreachable,
)
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import SlidingWindowBudget
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.limiter import CallCounts, RateLimiter, RateLimitWait
from rk_exporter.ratelimit.reachability import FAILURES_UNTIL_OPEN, PAUSE_SECONDS, Reachability
from tests.support import virtual_time
from tests.support.building import NOW, pass_context


TOKEN = Secret("token")
MADE = "made"


def opened(error: ApiError, connection: bool | None) -> ApiError:  # noqa: FBT001 # a fact to state
    """Return *error* of a call that could open a connection, could not, or did not try."""
    error.opened_connection = connection
    return error


def refused(error: type[ApiError] = ConnectFailed) -> ApiError:
    return opened(error("no connection"), connection=False)


@dataclass
class Apps:
    """Apps that share a budget group."""

    count: int = 1
    group: BudgetGroup = field(init=False)
    limiters: list[RateLimiter] = field(init=False)

    def __post_init__(self) -> None:
        clock = asyncio.get_running_loop().time
        budget = SlidingWindowBudget(100_000, now=clock() - 400, reserve_ratio=0.0)
        self.group = BudgetGroup(budget, monotonic=clock)
        self.limiters = [RateLimiter(self.group, token=TOKEN) for _ in range(self.count)]

    async def call(
        self, error: ApiError | None = None, *, app: int = 0, lasts: float = 0.0
    ) -> str | Failure | None:
        """Make a call; return that it was made, the failure that it got instead, or None."""
        wait_until = asyncio.get_running_loop().time() + 1.0
        made = False
        try:
            async with self.limiters[app].acquire(pass_context(token=TOKEN, wait_until=wait_until)):
                made = True
                await asyncio.sleep(lasts)
                if error:
                    raise error
        except RateLimitWait:
            return None
        except ApiError as raised:
            return MADE if made else raised.failure
        return MADE

    async def lose(self) -> None:
        """Make as many calls that find no connection as it takes."""
        for _ in range(FAILURES_UNTIL_OPEN):
            assert await self.call(refused()) == MADE


def test_calls_fail_at_once() -> None:
    """After enough failures no call is made for a while; each gets the failure of the last one."""

    async def test() -> None:
        apps = Apps()
        await apps.lose()
        counts = apps.limiters[0].counts
        cause = Failure(Reason.CONNECT, "no connection")
        for _ in range(100):
            assert await apps.call() == cause
        await asyncio.sleep(PAUSE_SECONDS - 0.001)
        assert await apps.call() == cause
        assert apps.limiters[0].counts == counts == CallCounts(made=FAILURES_UNTIL_OPEN)
        assert apps.limiters[0].is_unreachable
        assert not apps.limiters[0].is_blocked

    virtual_time.run(test())


def test_one_call_tries() -> None:
    """After each pause one call tries; its success lets all pass."""

    async def test() -> None:
        apps = Apps()
        await apps.lose()
        for _ in range(5):
            await asyncio.sleep(PAUSE_SECONDS)
            assert await apps.call(refused(TlsFailed)) == MADE
            assert await apps.call() == Failure(Reason.TLS, "no connection")
        await asyncio.sleep(PAUSE_SECONDS)
        assert await apps.call() == MADE
        assert not apps.limiters[0].is_unreachable
        # From the beginning.
        await apps.lose()
        await asyncio.sleep(PAUSE_SECONDS)
        assert await apps.call() == MADE

    virtual_time.run(test())


@pytest.mark.parametrize("finds", [True, False])
def test_other_calls_wait_for_the_one_that_tries(finds: bool) -> None:  # noqa: FBT001 # a parameter
    """While one call tries, the others wait for its result, which is theirs, too."""

    async def test() -> None:
        apps = Apps(count=3)
        await apps.lose()
        await asyncio.sleep(PAUSE_SECONDS)
        trial = apps.call(None if finds else refused(), lasts=0.5)
        others = (apps.call(app=number % 3) for number in range(20))
        results = await asyncio.gather(trial, *others)
        rest = MADE if finds else Failure(Reason.CONNECT, "no connection")
        assert results == [MADE, *[rest] * 20]

    virtual_time.run(test())


def test_other_calls_do_not_wait_for_longer_than_a_pass_allows() -> None:
    """If the call that tries hangs, the others fail like the calls before it."""

    async def test() -> None:
        apps = Apps()
        await apps.lose()
        await asyncio.sleep(PAUSE_SECONDS)
        trial = asyncio.ensure_future(apps.call(refused(ApiTimeout), lasts=4.0))
        others = await asyncio.gather(*(apps.call() for _ in range(20)))
        assert others == [Failure(Reason.CONNECT, "no connection")] * 20
        assert not trial.done()
        await trial
        assert await apps.call() == Failure(Reason.TIMEOUT, "no connection")

    virtual_time.run(test())


def test_a_cancelled_call_decides_nothing() -> None:
    """If the call that tries is cancelled, the next one tries."""

    async def test() -> None:
        apps = Apps()
        await apps.lose()
        await asyncio.sleep(PAUSE_SECONDS)
        trial = asyncio.ensure_future(apps.call(lasts=1.0))
        await asyncio.sleep(0.1)
        trial.cancel()
        await asyncio.wait([trial])
        assert apps.limiters[0].is_unreachable
        assert await apps.call() == MADE
        assert not apps.limiters[0].is_unreachable

    virtual_time.run(test())


ANSWERS: list[ApiError | None] = [
    None,
    ServerError("500"),
    ClientError("400"),
    InvalidResponse("odd"),
    opened(ConnectFailed("closed before the answer"), connection=True),
    opened(ApiTimeout("silence"), connection=True),
]
PROVES_NOTHING: list[ApiError] = [
    opened(ApiTimeout("no time to try"), connection=None),
    opened(ConnectionStale("closed meanwhile"), connection=None),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=repr)
def test_an_open_connection_counts_from_the_beginning(answer: ApiError | None) -> None:
    """Any answer, and any connection that opens, shows that the API can be reached."""

    async def test() -> None:
        apps = Apps()
        for _ in range(10):
            for _ in range(FAILURES_UNTIL_OPEN - 1):
                assert await apps.call(refused()) == MADE
            assert await apps.call(answer) == MADE
        assert not apps.limiters[0].is_unreachable
        await apps.lose()
        await asyncio.sleep(PAUSE_SECONDS)
        await apps.call(answer)
        assert not apps.limiters[0].is_unreachable

    virtual_time.run(test())


@pytest.mark.parametrize("error", PROVES_NOTHING, ids=repr)
def test_silence_on_an_old_connection_proves_nothing(error: ApiError) -> None:
    """Such calls neither count as failures nor as answers."""

    async def test() -> None:
        apps = Apps()
        for _ in range(10 * FAILURES_UNTIL_OPEN):
            assert await apps.call(error) == MADE
        assert not apps.limiters[0].is_unreachable
        for _ in range(FAILURES_UNTIL_OPEN - 1):
            assert await apps.call(refused()) == MADE
        assert await apps.call(error) == MADE
        assert await apps.call(refused()) == MADE
        assert apps.limiters[0].is_unreachable

    virtual_time.run(test())


@pytest.mark.parametrize(
    "error",
    [opened(error, connection=True) for error in (ConnectFailed("reset"), ApiTimeout("silence"))],
    ids=repr,
)
def test_failures_of_single_meetings_stop_no_others(error: ApiError) -> None:
    """However many calls break or hang on open connections, all others are made."""

    async def test() -> None:
        apps = Apps()
        for _ in range(50):
            assert await apps.call(error) == MADE
        assert await apps.call() == MADE

    virtual_time.run(test())


def test_a_refusal_comes_first() -> None:
    """While calls are blocked, none tries to connect, and an answer that blocks is an answer."""

    async def test() -> None:
        apps = Apps()
        await apps.call(Unauthorized("401"))
        assert await apps.call() is None
        await asyncio.sleep(1000)
        await apps.lose()
        await asyncio.sleep(PAUSE_SECONDS)
        limited = RateLimited("429")
        limited.retry_after_seconds = 60.0
        assert await apps.call(limited) == MADE
        assert not apps.limiters[0].is_unreachable
        assert await apps.call() is None

    virtual_time.run(test())


def test_since_when_and_why() -> None:
    """An app that made no call of its own knows why its calls fail, and since when."""

    async def test() -> None:
        apps = Apps(count=2)
        await apps.lose()
        assert apps.limiters[1].outage(NOW) is None
        await apps.call(app=1)
        outage = apps.limiters[1].outage(NOW + asyncio.get_running_loop().time())
        assert outage is not None
        assert outage.failure.reason is Reason.CONNECT
        assert outage.since_timestamp_seconds == pytest.approx(
            NOW + asyncio.get_running_loop().time()
        )

    virtual_time.run(test())


def test_text_of_a_call_that_was_not_made() -> None:
    """It is that of the failure before it, with its reason."""
    error = Unreachable(Failure(Reason.TLS, "no trusted connection", api_message=None))
    assert (error.reason, str(error)) == (Reason.TLS, "no trusted connection")
    assert error.failure == Failure(Reason.TLS, "no trusted connection")
    assert not error.was_sent


def test_until_when_calls_fail_at_once() -> None:
    """Calls fail at once until the next try is due, not longer."""
    reachability = Reachability()
    reachability.check(0.0)
    for _ in range(FAILURES_UNTIL_OPEN):
        reachability.take_failure(refused(), 0.0)
    with pytest.raises(Unreachable):
        reachability.check(PAUSE_SECONDS - 0.1)
    reachability.check(PAUSE_SECONDS)
    assert reachability.is_lost

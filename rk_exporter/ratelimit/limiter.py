"""
The rate limiter: each call waits for its token's budget, and for the end of a block.

Apps that use the same token share its budget and its block after a 429. A rejected token blocks
one app only, because a token may be valid for one account and not for another. So does an API that
is unavailable or hidden by something else: the 503 with Retry-After or the web page may be about
that app.
"""

import asyncio
import contextlib
import math

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace

from rk_exporter.model.errors import (
    ApiError,
    Intercepted,
    RateLimited,
    ServerError,
    Unauthorized,
)
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import SlidingWindowBudget
from rk_exporter.ratelimit.circuit_breaker import CircuitBreaker
from rk_exporter.ratelimit.headers import BLOCK_SECONDS
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.ratelimit.status import BudgetStatus, RateLimitPolicy
from rk_exporter.runtime.backoff import Backoff


_REJECTED = Backoff(first_seconds=15.0, longest_seconds=300.0)
_REJECTIONS_OF_A_VALID_TOKEN = 2
# For a 429 without Retry-After.
_RATE_LIMITED = Backoff(first_seconds=BLOCK_SECONDS, longest_seconds=900.0)


class RateLimitWait(Exception):
    """The call was not made, because it would have to wait for longer than the pass allows."""


class TokenLimits:
    """What all calls with one token share."""

    def __init__(self, budget: SlidingWindowBudget) -> None:
        self.budget = budget
        self.breaker = CircuitBreaker(_RATE_LIMITED)
        self.policies: tuple[RateLimitPolicy, ...] = ()
        self.users: set[RateLimiter] = set()
        # Calls wait in the order in which they came, whichever app they are for.
        self.turn = asyncio.Lock()
        self._call_ended = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait for *seconds*, or until a call ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                await self._call_ended.wait()

    def is_idle(self, now: float) -> bool:
        """Return whether no app uses the token, and no earlier call limits a new one."""
        is_blocked = self.breaker.wait_seconds(now) > 0
        return not self.users and not is_blocked and self.budget.remaining(now) == self.budget.limit

    def wake_waiting(self) -> None:
        """Wake the calls that wait for the end of a trial call."""
        self._call_ended.set()
        self._call_ended = asyncio.Event()


class LimitsByToken:
    """The limits of all tokens in use; *monotonic* is the clock of all of them."""

    def __init__(self, *, reserve_ratio: float, monotonic: Callable[[], float]) -> None:
        self._reserve_ratio = reserve_ratio
        self.monotonic = monotonic
        self._limits: dict[Secret, TokenLimits] = {}

    def of(self, token: Secret, *, budget: int) -> TokenLimits:
        """Return the limits of *token*; a new token starts with a used up *budget*."""
        limits = self._limits.get(token)
        if limits is None:
            now = self.monotonic()
            limits = TokenLimits(
                SlidingWindowBudget(budget, now=now, reserve_ratio=self._reserve_ratio)
            )
            # Otherwise each rotated token would stay in memory forever.
            in_use = {key: value for key, value in self._limits.items() if not value.is_idle(now)}
            self._limits = {**in_use, token: limits}
        return limits


@dataclass(frozen=True, slots=True)
class CallCounts:
    """The calls of one app since the start: *made*, and of these *succeeded*."""

    made: int = 0
    succeeded: int = 0


class RateLimiter:
    """The rate limiter of one app, whose token may make *budget* calls in 300 s."""

    def __init__(self, limits: LimitsByToken, *, token: Secret, budget: int) -> None:
        self._limits_by_token = limits
        self._budget = budget
        self._monotonic = limits.monotonic
        self.counts = CallCounts()
        self._token = token
        self._limits = limits.of(token, budget=budget)
        self._access_breaker = CircuitBreaker(_REJECTED)
        self._trust_token()

    @property
    def fair_share(self) -> float:
        """Return this app's part of the 300 s budget, shared evenly among the token's apps."""
        return self._limits.budget.limit / max(1, len(self._limits.users))

    @property
    def is_blocked(self) -> bool:
        """Return whether calls were refused and no call has succeeded since."""
        return not all(breaker.is_closed for breaker in self._breakers)

    def affordable(self, context: PassContext) -> int:
        """Return how many calls could be made in the time that calls of this pass may wait."""
        self._use_token(context.token)
        now = self._monotonic()
        if any(breaker.wait_seconds(now) > 0 for breaker in self._breakers):
            return 0
        return self._limits.budget.affordable(
            now + _max_wait_seconds(context), interval_seconds=context.interval_seconds
        )

    def budget_status(self, unix_seconds: float) -> BudgetStatus:
        """Return what is left now, at *unix_seconds*, and until when calls are blocked."""
        now = self._monotonic()
        open_until = [
            breaker.open_until for breaker in self._breakers if breaker.open_until is not None
        ]
        return BudgetStatus(
            limit=self._limits.budget.limit,
            remaining=self._limits.budget.remaining(now),
            blocked_until_timestamp_seconds=(
                unix_seconds + max(open_until) - now if open_until else None
            ),
            policies=self._limits.policies,
        )

    @contextlib.asynccontextmanager
    async def acquire(self, context: PassContext) -> AsyncIterator[None]:
        """
        Wait until a call may be made, and count the call that is made in this context.

        An ApiError that leaves the context decides about later calls. Raises RateLimitWait
        without a call if the wait would be longer than the pass allows.
        """
        self._use_token(context.token)
        limits, auth_breaker = self._limits, self._auth_breaker
        app_breakers = (auth_breaker, self._access_breaker)
        await self._wait_turn(context, limits, app_breakers)
        self.counts = replace(self.counts, made=self.counts.made + 1)
        breakers = (limits.breaker, *app_breakers)
        trials = [breaker for breaker in breakers if breaker.start_call()]
        try:
            yield
        except RateLimited as error:
            limits.breaker.open(self._monotonic(), seconds=error.retry_after_seconds)
            raise
        except Unauthorized:
            self._reject(auth_breaker)
            raise
        except Intercepted:
            self._reject(self._access_breaker)
            raise
        except ServerError as error:
            seconds = error.retry_after_seconds
            if seconds is not None:
                self._access_breaker.open(self._monotonic(), seconds=seconds)
            _close(t for t in trials if seconds is None or t is not self._access_breaker)
            raise
        except ApiError:
            # The API neither rejected the token nor limited the rate.
            _close(trials)
            raise
        else:
            self.counts = replace(self.counts, succeeded=self.counts.succeeded + 1)
            self._rejections_until_open = _REJECTIONS_OF_A_VALID_TOKEN
            _close(trials)
        finally:
            limits.budget.release()
            for breaker in trials:
                breaker.end_trial()
            limits.wake_waiting()

    def observe(self, context: PassContext, policies: tuple[RateLimitPolicy, ...]) -> None:
        """Take in the *policies* that an answer reports, before its call leaves `acquire`."""
        if policies:
            limits = self._limits_by_token.of(context.token, budget=self._budget)
            limits.policies = policies
            limits.budget.observe(self._monotonic(), policies)

    @property
    def _breakers(self) -> tuple[CircuitBreaker, ...]:
        return self._limits.breaker, self._auth_breaker, self._access_breaker

    def _use_token(self, token: Secret) -> None:
        """Count this app among the users of *token*; a new token is tried immediately."""
        if token == self._token and self in self._limits.users:
            return
        if token != self._token:
            self._token = token
            self._trust_token()
        self._limits.users.discard(self)
        self._limits = self._limits_by_token.of(token, budget=self._budget)
        self._limits.users.add(self)

    def _trust_token(self) -> None:
        self._auth_breaker = CircuitBreaker(_REJECTED)
        self._rejections_until_open = 1

    async def _wait_turn(
        self, context: PassContext, limits: TokenLimits, app_breakers: Iterable[CircuitBreaker]
    ) -> None:
        """Wait until a call may be made, and count it."""
        breakers = (*app_breakers, limits.breaker)
        try:
            async with asyncio.timeout(_max_wait_seconds(context)):
                while True:
                    # Outside the queue, because other apps must not wait for this trial.
                    for breaker in app_breakers:
                        await self._wait_for_trial(breaker, limits)
                    async with limits.turn:
                        await self._wait_for_trial(limits.breaker, limits)
                        await self._wait_for_budget(context, limits)
                        now = self._monotonic()
                        if all(breaker.wait_seconds(now) == 0 for breaker in breakers):
                            limits.budget.acquire(now, interval_seconds=context.interval_seconds)
                            return
        except TimeoutError:
            raise RateLimitWait from None

    async def _wait_for_trial(self, breaker: CircuitBreaker, limits: TokenLimits) -> None:
        """Wait for the end of a running trial call; if none can run yet, raise RateLimitWait."""
        while (seconds := breaker.wait_seconds(self._monotonic())) > 0:
            if math.isfinite(seconds):
                raise RateLimitWait
            await limits.wait(seconds)

    async def _wait_for_budget(self, context: PassContext, limits: TokenLimits) -> None:
        while True:
            seconds = limits.budget.wait_seconds(
                self._monotonic(), interval_seconds=context.interval_seconds
            )
            if seconds == 0:
                return
            if seconds > _max_wait_seconds(context):
                raise RateLimitWait
            await limits.wait(seconds)

    def _reject(self, app_breaker: CircuitBreaker) -> None:
        """
        Open one of this app's breakers.

        After a success the token counts as valid until it is rejected twice in a row: one meeting
        that it may not read must not block all others.
        """
        self._rejections_until_open -= 1
        if self._rejections_until_open <= 0:
            app_breaker.open(self._monotonic())


def _max_wait_seconds(context: PassContext) -> float:
    """Return for how long a call may still wait for the rate limiter."""
    return max(0.0, context.wait_until - asyncio.get_running_loop().time())


def _close(breakers: Iterable[CircuitBreaker]) -> None:
    for breaker in breakers:
        breaker.close()

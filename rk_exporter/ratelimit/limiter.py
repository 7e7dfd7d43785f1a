"""
The rate limiter: each call waits for its group's budget, and for the end of a block.

Cloudflare counts and blocks the calls of a user, over all tokens. So the apps of a group share its
budget and its block after a 429, whatever their tokens are.
"""

import asyncio
import contextlib
import math

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from rk_exporter.model.errors import ApiError, Unreachable
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.app_breakers import AppBreakers, CallBreakers, strictest
from rk_exporter.ratelimit.budget import LONGEST_PACED_SECONDS
from rk_exporter.ratelimit.budget_group import BudgetGroup, PolicyReport
from rk_exporter.ratelimit.circuit_breaker import CircuitBreaker
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.ratelimit.status import BudgetStatus, Outage, RateLimitPolicy, outage_of


# Calls that an app did not get are reserved for its next pass, but not if it makes no more passes.
_RESERVED_INTERVALS = 2.5


class RateLimitWait(Exception):
    """The call was not made, because it would have to wait for longer than the pass allows."""


@dataclass(frozen=True, slots=True)
class CallCounts:
    """The calls of one app since the start: *made*, and of these *succeeded*."""

    made: int = 0
    succeeded: int = 0


class RateLimiter:
    """
    The rate limiter of one app, whose *token* belongs to the user of a *group*.

    One that *has_share* gets an equal part of the budget. A list of apps, which takes a call every
    few minutes, has none.
    """

    def __init__(self, group: BudgetGroup, *, token: Secret, has_share: bool = True) -> None:
        self._has_share = has_share
        self._refused = 0
        self._app = AppBreakers(token)
        self.counts = CallCounts()
        self.join(group, token)

    def join(self, group: BudgetGroup, token: Secret) -> None:
        """Make all further calls as part of *group*, beginning with *token*."""
        self._group = group
        group.app_count += self._has_share
        group.tokens[token] = group.monotonic()

    @property
    def fair_share(self) -> float:
        """Return this app's part of the 300 s budget, shared evenly among the group's apps."""
        return self._group.budget.limit / self._group.app_count

    @property
    def limit(self) -> int:
        """Return the calls of the 300 s budget, of all apps of the group together."""
        return self._group.budget.limit

    @property
    def is_blocked(self) -> bool:
        """Return whether calls were refused and no call has succeeded since."""
        return strictest(self._breakers) is not None

    @property
    def is_unreachable(self) -> bool:
        """Return whether no connection to the API could be opened the last times."""
        return self._group.reachability.is_lost

    def affordable(self, context: PassContext) -> int:
        """Return how many calls could be made in the time that calls of this pass may wait."""
        self._app.use_token(context.token)
        is_waiting = self._breakers.must_wait(self._group.monotonic())
        return 0 if is_waiting else self._own_calls(context)

    def can_afford(self, calls: int, context: PassContext) -> bool:
        """
        Return whether *calls* could be made in the time that calls of this pass may wait.

        They are reserved for this app: now, or for its next pass.
        """
        self._app.use_token(context.token)
        if self._breakers.must_wait(self._group.monotonic()):
            return False
        if calls > self.limit:
            # It will never be their turn, and the other apps must not wait for it.
            return False
        is_affordable = self._own_calls(context) >= calls
        self._reserve(calls, context, together=calls > 1)
        if is_affordable:
            self._group.order.grant(self)
        self._refused += not is_affordable
        return is_affordable

    def end_pass(self) -> None:
        """End a pass over the app: calls are reserved only if it did not get all that it needed."""
        if self._refused:
            self._group.order.end_turn(self)
        else:
            self._group.order.satisfy(self)
        self._refused = 0

    def _own_calls(self, context: PassContext) -> int:
        """Return how many calls are left for this app, after those reserved for others."""
        group, now = self._group, self._group.monotonic()
        calls = group.budget.affordable(
            now + _max_wait_seconds(context), interval_seconds=context.interval_seconds
        )
        return max(0, calls - group.order.reserved(self, now))

    def _refuse(self, context: PassContext) -> None:
        self._refused += 1
        self._reserve(self._refused, context)

    def _reserve(self, calls: int, context: PassContext, *, together: bool = False) -> None:
        interval_seconds = min(context.interval_seconds, LONGEST_PACED_SECONDS)
        until = self._group.monotonic() + _RESERVED_INTERVALS * interval_seconds
        self._group.order.reserve(self, calls=calls, until=until, together=together)

    def budget_status(self, unix_seconds: float) -> BudgetStatus:
        """Return what is left now, at *unix_seconds*, and until when calls are blocked."""
        now = self._group.monotonic()
        status = BudgetStatus(
            limit=self._group.budget.limit,
            remaining=self._group.budget.remaining(now),
            policies=self._group.policies(now),
        )
        breaker = strictest(self._breakers)
        if breaker is None or breaker.open_until is None:
            return status
        ahead_seconds = now - unix_seconds
        return replace(
            status,
            blocked_until_timestamp_seconds=breaker.open_until - ahead_seconds,
            block=outage_of(breaker.cause, breaker.opened_at, ahead_seconds=ahead_seconds),
        )

    def outage(self, unix_seconds: float) -> Outage | None:
        """Return the failures since the last success, now at *unix_seconds*; None if none."""
        return self._app.outage(ahead_seconds=self._group.monotonic() - unix_seconds)

    @contextlib.asynccontextmanager
    async def acquire(self, context: PassContext) -> AsyncIterator[None]:
        """
        Wait until a call may be made, and count the call that is made in this context.

        An ApiError that leaves the context decides about later calls. Raises without a call:
        RateLimitWait if the wait would be longer than the pass allows; Unreachable if there is no
        connection to the API.
        """
        self._app.use_token(context.token)
        group, breakers = self._group, self._breakers
        try:
            await self._wait_turn(context, breakers)
        except Unreachable as error:
            self._app.remember(error, group.monotonic())
            raise
        self.counts = replace(self.counts, made=self.counts.made + 1)
        breakers.start_call()
        is_trial = group.reachability.start_call()
        try:
            yield
        except ApiError as error:
            self._app.take_failure(error, breakers, group.monotonic())
            group.reachability.take_failure(error, group.monotonic())
            raise
        else:
            self.counts = replace(self.counts, succeeded=self.counts.succeeded + 1)
            self._app.take_success(breakers)
            if group.budget.end_probe():
                group.report = PolicyReport()
            group.reachability.take_answer()
        finally:
            ended_at = group.tokens[context.token] = group.monotonic()
            group.budget.release(ended_at)
            breakers.end_call()
            if is_trial:
                group.reachability.end_trial()
            group.wake_waiting()

    def observe(self, policies: tuple[RateLimitPolicy, ...]) -> None:
        """Take in the *policies* that an answer reports, before its call leaves `acquire`."""
        if policies:
            now = self._group.monotonic()
            self._group.report = PolicyReport(policies, now)
            self._group.budget.observe(now, policies)

    @property
    def _breakers(self) -> CallBreakers:
        return self._app.of_call(self._group.breaker)

    async def _wait_turn(self, context: PassContext, breakers: CallBreakers) -> None:
        """Wait until a call may be made, and count it."""
        group = self._group
        try:
            async with asyncio.timeout(_max_wait_seconds(context)):
                while True:
                    # Outside the queue, because other apps must not wait for this trial.
                    for breaker in breakers.of_app:
                        await self._wait_for_trial(breaker)
                    async with group.turn:
                        await self._wait_for_trial(group.breaker)
                        await self._wait_for_connection()
                        if group.order.reserved(self, group.monotonic()):
                            self._leave_to_others(context)
                        await self._wait_for_budget(context)
                        now = group.monotonic()
                        if not breakers.must_wait(now) and not group.reachability.wait_seconds(now):
                            group.budget.acquire(now, interval_seconds=context.interval_seconds)
                            group.order.serve(self)
                            return
        except TimeoutError:
            group.reachability.check(group.monotonic())
            self._refuse(context)
            raise RateLimitWait from None

    def _leave_to_others(self, context: PassContext) -> None:
        """Raise RateLimitWait if all calls are reserved for apps that wait for longer."""
        if self._own_calls(context) < 1:
            self._refuse(context)
            raise RateLimitWait

    async def _wait_for_trial(self, breaker: CircuitBreaker) -> None:
        """Wait for the end of a running trial call; if none can run yet, raise RateLimitWait."""
        while (seconds := breaker.wait_seconds(self._group.monotonic())) > 0:
            if math.isfinite(seconds):
                raise RateLimitWait
            await self._group.wait(seconds)

    async def _wait_for_connection(self) -> None:
        """Wait for the end of a call that tries to connect; if none can run, raise Unreachable."""
        group = self._group
        while (seconds := group.reachability.wait_seconds(group.monotonic())) > 0:
            if math.isfinite(seconds):
                group.reachability.check(group.monotonic())
            await group.wait(seconds)

    async def _wait_for_budget(self, context: PassContext) -> None:
        group = self._group
        while True:
            seconds = group.budget.wait_seconds(
                group.monotonic(), interval_seconds=context.interval_seconds
            )
            if seconds == 0:
                return
            if seconds > _max_wait_seconds(context):
                self._refuse(context)
                raise RateLimitWait
            await group.wait(seconds)


def _max_wait_seconds(context: PassContext) -> float:
    """Return for how long a call may still wait for the rate limiter."""
    return max(0.0, context.wait_until - asyncio.get_running_loop().time())

"""
Calls held back until they may be made: by the token's budget, after a 429, after a refusal.

Apps that use the same token share what holds for the token; a refusal holds for one app alone,
since a token may be good for one account and not for another.
"""

import asyncio
import contextlib
import math

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from rk_exporter.model.errors import ApiError, RateLimited, Unauthorized
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import Budget
from rk_exporter.ratelimit.circuit_breaker import CircuitBreaker
from rk_exporter.ratelimit.headers import BLOCK_SECONDS
from rk_exporter.ratelimit.status import BudgetStatus, RateLimitPolicy


# A refused token is tried again after this, then after twice as long, up to five minutes.
_FIRST_BACK_OFF_SECONDS = 15.0
_LONGEST_BACK_OFF_SECONDS = 300.0
_REFUSALS_OF_A_GOOD_TOKEN = 2
# Where a second 429 does not say how long, the block is doubled, up to this.
_LONGEST_BLOCK_SECONDS = 900.0


class RateLimitWait(Exception):
    """A call that was not made, since there was no time to wait until it may be."""


class TokenLimits:
    """What holds for all calls of one token."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.gate = CircuitBreaker(
            first_seconds=BLOCK_SECONDS, longest_seconds=_LONGEST_BLOCK_SECONDS
        )
        self.policies: tuple[RateLimitPolicy, ...] = ()
        self.users: set[RateLimiter] = set()
        # Calls wait in the order in which they came, whichever app they are for.
        self.turn = asyncio.Lock()
        self._try_over = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until a call that tried a gate has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                await self._try_over.wait()

    def is_idle(self, now: float) -> bool:
        """Tell whether nobody uses the token, and nothing is left that would hold a call back."""
        is_shut = self.gate.wait_seconds(now) > 0
        return not self.users and not is_shut and self.budget.remaining(now) == self.budget.limit

    def announce(self) -> None:
        """Wake who waits for a call that tried a gate."""
        self._try_over.set()
        self._try_over = asyncio.Event()


class LimitsByToken:
    """The limits of all tokens in use."""

    def __init__(self, *, reserve_ratio: float, monotonic: Callable[[], float]) -> None:
        self._reserve_ratio = reserve_ratio
        self._monotonic = monotonic
        self._limits: dict[Secret, TokenLimits] = {}

    def of(self, token: Secret, *, budget: int) -> TokenLimits:
        """Return what holds for *token*; one that is new begins with *budget*, spent."""
        limits = self._limits.get(token)
        if limits is None:
            now = self._monotonic()
            limits = TokenLimits(Budget(budget, now=now, reserve_ratio=self._reserve_ratio))
            # What a token that was rolled has spent, and who holds it back, is forgotten in time.
            in_use = {each: its for each, its in self._limits.items() if not its.is_idle(now)}
            self._limits = {**in_use, token: limits}
        return limits


@dataclass(slots=True)
class Admission:
    """A call that may be made now; it is told what came back of the rate limit."""

    policies: tuple[RateLimitPolicy, ...] = ()
    retry_after_seconds: float | None = None


class RateLimiter:
    """
    Lets the calls of one app through.

    *budget* is the number of calls in 300 s; *clock* gives unix seconds and *monotonic* seconds
    that nobody sets.
    """

    def __init__(
        self,
        limits: LimitsByToken,
        *,
        token: Secret,
        budget: int,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._limits_by_token = limits
        self._budget = budget
        self._clock = clock
        self._monotonic = monotonic
        self._token = token
        self._limits = limits.of(token, budget=budget)
        self._trust_anew()
        self._interval_seconds = 0.0
        self._wait_until = 0.0
        self.has_called = False
        """Whether a call was made in this pass."""
        self.has_succeeded = False
        """Whether a call of this pass was let in and answered."""

    def begin_pass(
        self, token: Secret, *, interval_seconds: float, max_wait_seconds: float
    ) -> None:
        """
        Set what counts for the calls of a pass: its *token*, and for how long of it they may wait.

        Passes come each *interval_seconds*. A new token is tried at once, even if the one before
        it was refused.
        """
        if token != self._token:
            self._token = token
            self._trust_anew()
        self._limits.users.discard(self)
        self._limits = self._limits_by_token.of(token, budget=self._budget)
        self._limits.users.add(self)
        self._interval_seconds = interval_seconds
        self._wait_until = self._monotonic() + max_wait_seconds
        self.has_called = self.has_succeeded = False

    @property
    def fair_share(self) -> float:
        """Return how many calls in 300 s are this app's, if all that share the token want them."""
        return self._limits.budget.limit / max(1, len(self._limits.users))

    @property
    def is_held_back(self) -> bool:
        """Tell whether calls were refused, so that the next one tries whether they still are."""
        return any(gate.closed_until is not None for gate in self._gates)

    def affordable(self) -> int:
        """Return how many calls could be made in the time that they may wait."""
        now = self._monotonic()
        if any(gate.wait_seconds(now) > 0 for gate in self._gates):
            return 0
        until = max(now, self._wait_until)
        return self._limits.budget.affordable(until, interval_seconds=self._interval_seconds)

    def budget_status(self) -> BudgetStatus:
        """Return what is left, and until when calls are held back."""
        now = self._monotonic()
        closings = [gate.closed_until for gate in self._gates if gate.closed_until is not None]
        return BudgetStatus(
            limit=self._limits.budget.limit,
            remaining=self._limits.budget.remaining(now),
            blocked_until_timestamp_seconds=(
                self._clock() + max(closings) - now if closings else None
            ),
            policies=self._limits.policies,
        )

    @contextlib.asynccontextmanager
    async def admitted(self) -> AsyncIterator[Admission]:
        """
        Make the call in this context, when it may be made.

        Raises RateLimitWait, without a call, where that would be later than the pass allows.
        """
        limits, refusals = self._limits, self._refusals
        await self._wait_turn(limits, refusals)
        self.has_called = True
        tried = [gate for gate in (limits.gate, refusals) if gate.enter()]
        admission = Admission()
        try:
            yield admission
        except RateLimited:
            limits.gate.close(self._monotonic(), seconds=admission.retry_after_seconds)
            raise
        except Unauthorized:
            self._refused()
            raise
        except ApiError:
            # Whatever it is, it is neither a refusal nor the rate limit.
            _open(tried)
            raise
        else:
            self.has_succeeded = True
            self._refusals_to_close = _REFUSALS_OF_A_GOOD_TOKEN
            _open(tried)
        finally:
            self._end(limits, tried, admission)

    @property
    def _gates(self) -> tuple[CircuitBreaker, CircuitBreaker]:
        return self._limits.gate, self._refusals

    def _trust_anew(self) -> None:
        self._refusals = CircuitBreaker(
            first_seconds=_FIRST_BACK_OFF_SECONDS, longest_seconds=_LONGEST_BACK_OFF_SECONDS
        )
        self._refusals_to_close = 1

    async def _wait_turn(self, limits: TokenLimits, refusals: CircuitBreaker) -> None:
        """Wait until a call may be made, and count it."""
        patience = max(0.0, self._wait_until - self._monotonic())
        try:
            async with asyncio.timeout(patience):
                while True:
                    # Not in the queue, where it would hold up other apps.
                    await self._wait_for_try(refusals, limits)
                    async with limits.turn:
                        await self._wait_for_try(limits.gate, limits)
                        await self._wait_for_budget(limits)
                        now = self._monotonic()
                        if all(gate.wait_seconds(now) == 0 for gate in (refusals, limits.gate)):
                            limits.budget.spend(now, interval_seconds=self._interval_seconds)
                            return
        except TimeoutError:
            raise RateLimitWait from None

    async def _wait_for_try(self, gate: CircuitBreaker, limits: TokenLimits) -> None:
        """Wait while another call tries *gate*, but not until there is a call to try it."""
        while (seconds := gate.wait_seconds(self._monotonic())) > 0:
            if math.isfinite(seconds):
                raise RateLimitWait
            await limits.wait(seconds)

    async def _wait_for_budget(self, limits: TokenLimits) -> None:
        while True:
            now = self._monotonic()
            seconds = limits.budget.wait_seconds(now, interval_seconds=self._interval_seconds)
            if seconds == 0:
                return
            if now + seconds > self._wait_until:
                raise RateLimitWait
            await limits.wait(seconds)

    def _refused(self) -> None:
        """
        Close the gate of this app.

        A token that has been accepted is believed to be good until it is refused twice in a row:
        one meeting that it may not read must not hide all others.
        """
        self._refusals_to_close -= 1
        if self._refusals_to_close <= 0:
            self._refusals.close(self._monotonic())

    def _end(
        self, limits: TokenLimits, tried: Iterable[CircuitBreaker], admission: Admission
    ) -> None:
        if admission.policies:
            limits.policies = admission.policies
        limits.budget.settle(self._monotonic(), admission.policies)
        for gate in tried:
            gate.leave()
        limits.announce()


def _open(gates: Iterable[CircuitBreaker]) -> None:
    for gate in gates:
        gate.open()

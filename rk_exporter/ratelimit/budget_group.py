"""What the calls of one Cloudflare user share: the budget, and the block after a 429."""

import asyncio
import contextlib
import math

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial

from rk_exporter.model.saved_calls import SavedCalls
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import WINDOW_SECONDS, SlidingWindowBudget
from rk_exporter.ratelimit.circuit_breaker import CircuitBreaker
from rk_exporter.ratelimit.fair_order import FairOrder
from rk_exporter.ratelimit.headers import BLOCK_SECONDS
from rk_exporter.ratelimit.reachability import Reachability
from rk_exporter.ratelimit.status import RateLimitPolicy
from rk_exporter.runtime.backoff import Backoff


# For a 429 without Retry-After.
_RATE_LIMITED = Backoff(first_seconds=BLOCK_SECONDS, longest_seconds=900.0)
_SAVED_PER_SECOND = 1000


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """The last report of the API about its policies, and when it came (monotonic seconds)."""

    policies: tuple[RateLimitPolicy, ...] = ()
    came_at: float = -math.inf


@dataclass(eq=False, repr=False)
class BudgetGroup:
    """What all calls of one Cloudflare user share; *monotonic* is the clock of its *budget*."""

    budget: SlidingWindowBudget
    _: KW_ONLY
    monotonic: Callable[[], float]
    breaker: CircuitBreaker = field(
        default_factory=partial(CircuitBreaker, _RATE_LIMITED), init=False
    )
    reachability: Reachability = field(default_factory=Reachability, init=False)
    report: PolicyReport = field(default_factory=PolicyReport, init=False)
    app_count: int = field(default=0, init=False)
    tokens: dict[Secret, float] = field(default_factory=dict, init=False)
    """When each token was last used for a call, in monotonic seconds."""
    order: FairOrder = field(default_factory=FairOrder, init=False)
    # Calls wait in the order in which they came, whichever app they are for.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _call_ended: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def take_over(self, others: Iterable["BudgetGroup"]) -> None:
        """Begin with the calls and the block of *others*, none of which has running calls."""
        others = list(others)
        self.budget.take_over(other.budget for other in others)
        self.breaker.take_over(other.breaker for other in others)
        self.report = max((other.report for other in others), key=lambda report: report.came_at)

    def policies(self, now: float) -> tuple[RateLimitPolicy, ...]:
        """Return the last reported policies that are not old, or that still limit the calls."""
        is_recent = now < self.report.came_at + WINDOW_SECONDS
        limiting = self.budget.limiting_policies(now)
        return tuple(
            policy for policy in self.report.policies if is_recent or policy.policy in limiting
        )

    async def wait(self, seconds: float) -> None:
        """Wait for *seconds*, or until a call ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                await self._call_ended.wait()

    def wake_waiting(self) -> None:
        """Wake the calls that wait for the end of a trial call."""
        self._call_ended.set()
        self._call_ended = asyncio.Event()

    def recent_calls(self, name: str | None, unix_seconds: float) -> SavedCalls:
        """Return the calls that still count now, at *unix_seconds*, and the block's end."""
        now = self.monotonic()
        # Rounded up, because no call may seem to be older than it is.
        ends = tuple(
            math.ceil((unix_seconds - now + end) * _SAVED_PER_SECOND) / _SAVED_PER_SECOND
            for end in self.budget.recent(now)
        )
        left_seconds = (self.breaker.open_until or now) - now
        blocked_until = unix_seconds + left_seconds if left_seconds > 0 else None
        return SavedCalls(group=name, until=unix_seconds, ends=ends, blocked_until=blocked_until)

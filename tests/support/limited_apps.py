"""Apps whose rate limiters share budgets, in virtual time."""

import asyncio
import functools

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, ParamSpec

from rk_exporter.model.errors import ApiError, Intercepted, RateLimited, ServerError, Unauthorized
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import SlidingWindowBudget
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.limiter import RateLimiter, RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.ratelimit.status import BudgetStatus, RateLimitPolicy
from tests.support import virtual_time
from tests.support.building import NOW, pass_context


P = ParamSpec("P")


def now() -> float:
    return asyncio.get_running_loop().time()


def unix_seconds() -> float:
    return NOW + now()


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an asynchronous test in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        virtual_time.run(test(*args, **kwargs))

    return run


@dataclass
class Client:
    """An app that makes calls and records when they start."""

    limiter: RateLimiter
    token: str
    begun: list[float]
    context: PassContext = field(init=False)

    def begin_pass(self, *, token: str | None = None, max_wait: float = 0.0) -> None:
        self.token = token or self.token
        self.context = pass_context(
            token=Secret(self.token), wait_until=now() + max_wait, interval_seconds=15.0
        )
        # Each pass asks for this first, which makes the limiter use the token.
        assert self.affordable >= 0

    @property
    def affordable(self) -> int:
        return self.limiter.affordable(self.context)

    @property
    def status(self) -> BudgetStatus:
        return self.limiter.budget_status(unix_seconds())

    async def call(
        self,
        error: ApiError | None = None,
        *,
        lasts: float = 0.0,
        left: int | None = None,
        reset_seconds: float | None = None,
    ) -> float | None:
        """Make a call that ends in *error*; return how long it waited, or None without a call."""
        wanted = now()
        begun = None
        try:
            async with self.limiter.acquire(self.context):
                begun = now()
                self.begun.append(begun)
                await asyncio.sleep(lasts)
                if left is not None:
                    policy = RateLimitPolicy(
                        policy="default", remaining=left, reset_seconds=reset_seconds
                    )
                    self.limiter.observe((policy,))
                if error:
                    raise error
        except (ApiError, RateLimitWait) as raised:
            assert begun is None or raised is error
        return None if begun is None else round(begun - wanted, 3)

    async def rejected(self, *, lasts: float = 0.0) -> float | None:
        return await self.call(Unauthorized("rejected"), lasts=lasts)

    async def limited(self, retry_after: float | None = None) -> float | None:
        error = RateLimited("too many")
        error.retry_after_seconds = retry_after
        return await self.call(error)

    async def unavailable(
        self, retry_after: float | None = None, *, lasts: float = 0.0
    ) -> float | None:
        error = ServerError("unavailable")
        error.retry_after_seconds = retry_after
        return await self.call(error, lasts=lasts)

    async def intercepted(self) -> float | None:
        return await self.call(Intercepted("in front of the API"))

    @property
    def blocked_seconds(self) -> float:
        """For how many seconds calls are blocked."""
        until = self.status.blocked_until_timestamp_seconds
        return 0.0 if until is None else max(0.0, round(until - unix_seconds(), 3))


@dataclass
class World:
    """Apps whose rate limiters share the budgets of their groups."""

    groups: dict[str, BudgetGroup] = field(default_factory=dict)
    begun: list[float] = field(default_factory=list)

    def group(self, name: str, *, budget: int = 600) -> BudgetGroup:
        if name not in self.groups:
            window = SlidingWindowBudget(budget, now=now(), reserve_ratio=0.0)
            self.groups[name] = BudgetGroup(window, monotonic=now)
        return self.groups[name]

    def app(
        self,
        group: str = "default",
        *,
        token: str = "token",  # noqa: S107 # made up
        budget: int = 600,
        max_wait: float = 0.0,
    ) -> Client:
        """Return an app of the *group*; its first app decides about the *budget*."""
        limiter = RateLimiter(self.group(group, budget=budget), token=Secret(token))
        client = Client(limiter, token, self.begun)
        client.begin_pass(max_wait=max_wait)
        return client

    async def rest(self) -> None:
        """Wait until the new budgets of two groups are full."""
        for name in ("default", "other"):
            self.group(name)
        await asyncio.sleep(400)

    async def rested_app(self) -> Client:
        await self.rest()
        return self.app()

    @property
    def most_in_a_window(self) -> int:
        return max(sum(1 for at in self.begun if 0 <= at - first < 300) for first in self.begun)


async def together(*calls: Awaitable[float | None]) -> list[float | None]:
    return await asyncio.gather(*calls)

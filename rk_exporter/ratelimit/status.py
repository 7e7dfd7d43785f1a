"""What is left of the budget, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitPolicy:
    """What one policy allows: *remaining* calls until *reset_seconds* from now; None: not said."""

    policy: str
    remaining: int
    limit: int | None = None
    reset_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """What an app's token may spend: calls in 300 s, and what the API itself says of its limit."""

    limit: int
    remaining: int
    blocked_until_timestamp_seconds: float | None = None
    """Until when calls are held back, after a 429 or a refused token."""
    policies: tuple[RateLimitPolicy, ...] = ()

"""The state of the rate limit, as frozen values."""

from dataclasses import dataclass

from rk_exporter.model.failure import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitPolicy:
    """One reported policy: *remaining* calls for the next *reset_seconds*; None is unknown."""

    policy: str
    remaining: int
    limit: int | None = None
    reset_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Calls that fail since a time (unix seconds), without a success; *failure* is the last one."""

    failure: Failure
    since_timestamp_seconds: float


def outage_of(
    failure: Failure | None, since: float | None, *, ahead_seconds: float
) -> Outage | None:
    """Return an outage; the clock of *since* is ahead of unix seconds."""
    if failure is None or since is None:
        return None
    return Outage(failure=failure, since_timestamp_seconds=since - ahead_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """The budget of an app's group in calls per 300 s, and the policies that the API reports."""

    limit: int
    remaining: int
    blocked_until_timestamp_seconds: float | None = None
    """The time until which calls are blocked, after the API refused one."""
    block: Outage | None = None
    """Why and since when calls are blocked."""
    policies: tuple[RateLimitPolicy, ...] = ()

"""
How many calls a token may make: a hard limit in any window of time, used evenly.

Three rules apply, and the strictest one counts. All times are seconds of one monotonic clock.

    the window   The budget remembers the last *limit* calls. It allows one more call when the
                 oldest of them is 300 s old. A token bucket would allow twice the limit in a
                 window.
    the pace     A call costs 300 s / limit of waiting. Unused time is saved for about one
                 interval between passes, so that a window's calls are not all made at its start.
    the report   The calls that Cloudflare reports as remaining, less a reserve for other clients.

A new budget is used up, as if another process had just used all of it evenly. The number of calls
before the start is unknown, and a process in a restart loop must not use the budget again after
each restart.
"""

import math

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from rk_exporter.ratelimit.headers import LONGEST_WAIT_SECONDS
from rk_exporter.ratelimit.status import RateLimitPolicy


WINDOW_SECONDS = 300.0
# Rounding must not let a call through early: it would be one too many.
_ROUNDING_SECONDS = 0.00001
# How late a pass may start without losing calls, and how early without missing any, as parts of the
# interval between passes.
_LATE = 1.25
_EARLY = 0.1
# After a report of no remaining calls: a short reset time must not lead to a loop of calls.
_SHORTEST_QUOTA_SECONDS = 10.0


@dataclass(slots=True)
class _ReportedQuota:
    """The calls that the last report of one policy still allows."""

    remaining: int
    until: float
    is_probed: bool = False
    """A running call finds out whether more calls are allowed now."""


class SlidingWindowBudget:
    """
    The calls of one token: at most *limit* in any 300 s.

    *reserve_ratio* is the part of Cloudflare's reported limit that is reserved for other clients.
    """

    def __init__(self, limit: int, *, now: float, reserve_ratio: float) -> None:
        self.limit = limit
        self._reserve_ratio = reserve_ratio
        self._seconds_per_call = WINDOW_SECONDS / limit
        window_start = now - WINDOW_SECONDS
        self._calls = deque(
            (window_start + (number + 1) * self._seconds_per_call for number in range(limit)),
            limit,
        )
        self._paid_until = now
        self._quotas: dict[str, _ReportedQuota] = {}
        self._reported_limits: dict[str, int] = {}
        self._in_flight = 0

    def wait_seconds(self, now: float, *, interval_seconds: float) -> float:
        """Return how long a call must wait; passes start every *interval_seconds*."""
        early = _EARLY * interval_seconds
        waits = (
            self._calls[0] + WINDOW_SECONDS + _ROUNDING_SECONDS - now,
            self._paid_from(now, interval_seconds) + self._seconds_per_call - early - now,
            *(quota.until - now for quota in self._quotas.values() if quota.remaining < 1),
        )
        return max(0.0, *waits)

    def affordable(self, now: float, *, interval_seconds: float) -> int:
        """Return how many calls could be made *now* without waiting."""
        early = _EARLY * interval_seconds
        paid = now + early - self._paid_from(now, interval_seconds)
        # The last call needs its own time only, each call before it needs its whole price.
        by_pace = 1 + math.floor((paid - self._seconds_per_call) / self._price(now))
        by_report = [quota.remaining for quota in self._quotas.values() if now < quota.until]
        return max(0, min(self.remaining(now), by_pace, *by_report))

    def acquire(self, now: float, *, interval_seconds: float) -> None:
        """Count a call that begins; `release` must follow."""
        self._paid_until = self._paid_from(now, interval_seconds) + self._price(now)
        for policy, quota in list(self._quotas.items()):
            if now < quota.until:
                quota.remaining -= 1
            elif quota.remaining < 1:
                # This call finds out whether more are allowed now; the others wait for its answer.
                until = now + _SHORTEST_QUOTA_SECONDS
                self._quotas[policy] = _ReportedQuota(0, until, is_probed=True)
            else:
                del self._quotas[policy]
        self._calls.append(now)
        self._in_flight += 1

    def release(self) -> None:
        """Count the end of a call."""
        self._in_flight -= 1

    def observe(self, now: float, policies: Iterable[RateLimitPolicy]) -> None:
        """Take in the *policies* that the answer to a call reports, before its `release`."""
        reported = {policy.policy: policy for policy in policies}
        if not reported:
            return
        # An unreported limit is at least the largest number of remaining calls so far.
        self._reported_limits = {
            name: policy.limit or max(self._reported_limits.get(name, 0), policy.remaining)
            for name, policy in reported.items()
        }
        # A policy that was probed and is not reported any more has ended.
        kept = {name: quota for name, quota in self._quotas.items() if not quota.is_probed}
        self._quotas = kept | {
            name: self._quota(policy, self._reported_limits[name], now)
            for name, policy in reported.items()
        }

    def remaining(self, now: float) -> int:
        """Return how many calls the window has left."""
        oldest = now - WINDOW_SECONDS - _ROUNDING_SECONDS
        return bisect_right(self._calls, oldest)

    def _quota(self, policy: RateLimitPolicy, limit: int, now: float) -> _ReportedQuota:
        # The report includes the call that brings it, but maybe not the others in flight.
        others_in_flight = self._in_flight - 1
        reserve = math.ceil(limit * self._reserve_ratio)
        remaining = policy.remaining - reserve - others_in_flight
        seconds = WINDOW_SECONDS if policy.reset_seconds is None else policy.reset_seconds
        seconds = max(seconds, _SHORTEST_QUOTA_SECONDS if remaining < 1 else 0.0)
        return _ReportedQuota(remaining, now + min(seconds, LONGEST_WAIT_SECONDS))

    def _price(self, now: float) -> float:
        """Return how many seconds of waiting a call costs."""
        # The last remaining calls are spread over the time until the reset.
        spread = [
            (quota.until - now) / max(1, quota.remaining)
            for quota in self._quotas.values()
            if now < quota.until
        ]
        return max([self._seconds_per_call, *spread])

    def _paid_from(self, now: float, interval_seconds: float) -> float:
        # At least an interval and one call, or each pass would lose a fraction of a call.
        saved = max(_LATE * interval_seconds, interval_seconds + self._seconds_per_call)
        return max(self._paid_until, now - saved)

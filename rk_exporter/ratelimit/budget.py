"""
How many calls a token may make: a hard limit in any window of time, spent evenly.

Three rules, of which the strictest counts; all times are seconds of one monotonic clock.

    the window   the last *limit* calls are remembered: one more is made only when the oldest of
                 them is 300 s old. A token bucket would let through twice the limit in a window.
    the pace     a call is paid for by 300 s / limit of waiting, and what was not spent is kept
                 only for as long as a pass takes to come round: so a window's calls are not all
                 made at its start.
    the report   what Cloudflare says to be left, less a reserve for the customer's other tools.

A budget begins spent, as if another process had just used all of it evenly: what was spent
before the start is not known, and a process that is restarted over and over must not spend it
anew each time.
"""

import math

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from rk_exporter.ratelimit.headers import LONGEST_WAIT_SECONDS
from rk_exporter.ratelimit.status import RateLimitPolicy


WINDOW_SECONDS = 300.0
# Clocks are compared to each other after rounding; a call early by that would be one too many.
_ROUNDING_SECONDS = 0.00001
# How far a pass may come late without losing calls, and early without missing any, as parts of
# the interval between passes.
_LATE = 1.25
_EARLY = 0.1
# After a report that leaves nothing: a short reset time is not to become a loop of calls.
_SHORTEST_HOLD_SECONDS = 10.0


@dataclass(slots=True)
class _ReportedQuota:
    """What one policy's last report still allows."""

    spendable: int
    until: float
    is_asked: bool = False
    """A call is on its way that asks whether there is more."""


class Budget:
    """
    The calls of one token: at most *limit* in any 300 s.

    *reserve_ratio* is the part of the limit that Cloudflare reports which is left to others.
    """

    def __init__(self, limit: int, *, now: float, reserve_ratio: float = 0.0) -> None:
        self.limit = limit
        self._reserve_ratio = reserve_ratio
        self._seconds_per_call = WINDOW_SECONDS / limit
        begun = now - WINDOW_SECONDS
        self._calls = deque(
            (begun + (number + 1) * self._seconds_per_call for number in range(limit)), limit
        )
        self._paid_until = now
        self._allowances: dict[str, _ReportedQuota] = {}
        self._limits: dict[str, int] = {}
        self._in_flight = 0

    def wait_seconds(self, now: float, *, interval_seconds: float) -> float:
        """Return how long to wait for a call, 0 for none; passes come each *interval_seconds*."""
        early = _EARLY * interval_seconds
        waits = (
            self._calls[0] + WINDOW_SECONDS + _ROUNDING_SECONDS - now,
            self._paid_from(now, interval_seconds) + self._seconds_per_call - early - now,
            *(each.until - now for each in self._allowances.values() if each.spendable < 1),
        )
        return max(0.0, *waits)

    def affordable(self, now: float, *, interval_seconds: float) -> int:
        """Return how many calls could be made at once."""
        early = _EARLY * interval_seconds
        paid = now + early - self._paid_from(now, interval_seconds)
        allowances = [each for each in self._allowances.values() if now < each.until]
        # Of the last call only its own time has to be over, of those before it what they cost.
        by_pace = 1 + math.floor((paid - self._seconds_per_call) / self._price(now))
        return max(0, min(self.remaining(now), by_pace, *(each.spendable for each in allowances)))

    def spend(self, now: float, *, interval_seconds: float) -> None:
        """Note a call that begins; `settle` has to follow."""
        self._paid_until = self._paid_from(now, interval_seconds) + self._price(now)
        for policy, allowance in list(self._allowances.items()):
            if now < allowance.until:
                allowance.spendable -= 1
            elif allowance.spendable < 1:
                # Whether there is more now, this call asks; the others wait for its answer.
                until = now + _SHORTEST_HOLD_SECONDS
                self._allowances[policy] = _ReportedQuota(0, until, is_asked=True)
            else:
                del self._allowances[policy]
        self._calls.append(now)
        self._in_flight += 1

    def settle(self, now: float, policies: Iterable[RateLimitPolicy] = ()) -> None:
        """Note the end of a call, and what was reported with it."""
        self._in_flight -= 1
        reported = {policy.policy: policy for policy in policies}
        if not reported:
            return
        # Where no limit is told it is no less than the most that was ever left.
        self._limits = {
            name: policy.limit or max(self._limits.get(name, 0), policy.remaining)
            for name, policy in reported.items()
        }
        # A policy that was asked about and is not told of any more is over.
        kept = {name: each for name, each in self._allowances.items() if not each.is_asked}
        self._allowances = kept | {
            name: self._allowance(policy, self._limits[name], now)
            for name, policy in reported.items()
        }

    def remaining(self, now: float) -> int:
        """Return how many calls the window has left."""
        oldest = now - WINDOW_SECONDS - _ROUNDING_SECONDS
        return bisect_right(self._calls, oldest)

    def _allowance(self, policy: RateLimitPolicy, limit: int, now: float) -> _ReportedQuota:
        # What is on its way may not have been counted yet.
        reserve = math.ceil(limit * self._reserve_ratio)
        spendable = policy.remaining - reserve - self._in_flight
        reset_seconds = WINDOW_SECONDS if policy.reset_seconds is None else policy.reset_seconds
        hold_seconds = max(reset_seconds, _SHORTEST_HOLD_SECONDS if spendable < 1 else 0.0)
        return _ReportedQuota(spendable, now + min(hold_seconds, LONGEST_WAIT_SECONDS))

    def _price(self, now: float) -> float:
        """Return by how many seconds of waiting a call is paid for."""
        # The last calls that are left are spread over the time that they have to last.
        spread = [
            (allowance.until - now) / max(1, allowance.spendable)
            for allowance in self._allowances.values()
            if now < allowance.until
        ]
        return max([self._seconds_per_call, *spread])

    def _paid_from(self, now: float, interval_seconds: float) -> float:
        # At least an interval and one call, or fractions of calls would be lost each time.
        kept = max(_LATE * interval_seconds, interval_seconds + self._seconds_per_call)
        return max(self._paid_until, now - kept)

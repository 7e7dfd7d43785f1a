"""
How many calls a user's tokens may make: a hard limit in any window of time, used evenly.

Three rules apply, and the strictest one counts. All times are seconds of one monotonic clock.

    the window   A call occupies a place from its start until 300 s after its end, because it may
                 arrive at the API at any time in between. There are *limit* places. A token bucket
                 would allow twice the limit in a window.
    the pace     A call costs 300 s / limit of waiting. Unused time is saved for about one
                 interval between passes, so that a window's calls are not all made at its start.
    the report   The calls that Cloudflare reports as remaining, less a reserve for other clients.

A new process does not know the calls before its start. It assumes that another process has just
used the whole budget evenly, but borrows the calls of its first 20 s: B = limit / 15 of them, or
one. It makes them without waiting. Then it waits until the pace has caught up.

How many calls can arrive in 300 s? Let L be the limit, r = L / 300 s the pace, and b the largest
burst that the pace allows: B, or the calls of 1.35 intervals between passes if that is more (see
`largest_burst`).

    One process  L. Take the call of a window that begins last. All other calls of the window occupy
                 places at this moment, because none of them has ended more than 300 s ago.
    One restart  L + b. In its first d seconds a new process makes at most max(B, d r) calls: the
                 assumed calls keep all other places, and free one per 1 / r, the first after B / r.
                 If d r < B, the process before it makes at most L in the window, so the sum is at
                 most L + B. Otherwise the pace allows it at most (300 s - d) r + b, and the sum is
                 at most L + b. If calls take up to D seconds to arrive, D r are added.
    n restarts   L + b + n B, in the same way.
    A crash loop L, if each process is alike and is killed after B / r, or 20 s: it makes at most
                 B calls, and a window contains at most 300 s / (B / r) of the processes.

If the times of the calls before the start are known, the process borrows nothing, and L holds. If
they are known until some seconds ago, it assumes and borrows what these seconds allow.

If a reload puts apps into other groups, each new budget takes over the calls of all budgets that
may have counted for its user. It borrows nothing, so L holds for each user. The calls before the
start that these budgets assume are at most L together, so they are taken over from one of them.
"""

import math

from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import islice, repeat

from rk_exporter.ratelimit.call_ends import AssumedEnd, CallEnd, merged
from rk_exporter.ratelimit.headers import LONGEST_WAIT_SECONDS
from rk_exporter.ratelimit.past_calls import PastCalls
from rk_exporter.ratelimit.status import RateLimitPolicy


WINDOW_SECONDS = 300.0
# Rounding must not let a call through early: it would be one too many.
_ROUNDING_SECONDS = 0.00001
# How late a pass may start without losing calls, and how early without missing any, as parts of the
# interval between passes.
_LATE = 1.25
_EARLY = 0.1
# A process that makes one pass only, e.g. `rk-exporter check`, takes a tenth of the budget. A list
# of recordings and one of sessions need five calls.
_ONE_PASS_PART = 10
_SMALLEST_ONE_PASS_LIMIT = 5
# A new process borrows this part of the limit: the calls of 20 s.
_BORROWED_PART = 15
# A pass after a longer interval could make more than half of a window's calls without waiting. If a
# restart followed, the window would have almost twice the limit.
LONGEST_PACED_SECONDS = WINDOW_SECONDS / 2 / (_LATE + _EARLY)
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
    The calls of one user's tokens: at most *limit* in any 300 s.

    *reserve_ratio* is the part of Cloudflare's reported limit that is reserved for other clients.
    A new process makes *borrowed* calls without waiting, although it does not know those before it.
    """

    def __init__(
        self,
        limit: int,
        *,
        now: float,
        reserve_ratio: float,
        past: PastCalls | None = None,
        borrowed: int | None = None,
    ) -> None:
        self.limit = limit
        self._reserve_ratio = reserve_ratio
        self._seconds_per_call = WINDOW_SECONDS / limit
        self._borrowed = borrowed or calls_at_start(limit)
        self._ends: deque[CallEnd] = deque(self._ends_before(now, past or PastCalls()))
        self._in_flight = 0
        self._paid_until = now - self._borrowed * self._seconds_per_call - _ROUNDING_SECONDS
        # The same at the pace of the limit alone, without the higher prices after a report.
        self._paced_until = self._paid_until
        self._quotas: dict[str, _ReportedQuota] = {}
        self._reported_limits: dict[str, int] = {}

    def take_over(self, others: Iterable["SlidingWindowBudget"]) -> None:
        """
        Begin with the calls, the pace and the reports of *others*, instead of unknown calls.

        A call that several of them count has one place. The others must have no running calls.
        """
        others = list(others)
        self._ends = deque(merged(other._ends for other in others))  # noqa: SLF001 # same class
        self._paid_until = max(other._paid_until for other in others)  # noqa: SLF001 # same class
        self._paced_until = max(other._paced_until for other in others)  # noqa: SLF001 # same class
        for other in others:
            self._reported_limits |= other._reported_limits  # noqa: SLF001 # same class
            for policy, quota in other._quotas.items():  # noqa: SLF001 # same class
                known = self._quotas.get(policy, quota)
                self._quotas[policy] = replace(
                    quota,
                    remaining=min(quota.remaining, known.remaining),
                    until=max(quota.until, known.until),
                )

    def wait_seconds(self, now: float, *, interval_seconds: float) -> float:
        """Return how long a call must wait; passes start every *interval_seconds*."""
        early = _EARLY * interval_seconds
        waits = (
            self._wait_for_place(now),
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
        saved_from = now - self._saved_seconds(interval_seconds)
        self._paid_until = max(self._paid_until, saved_from) + self._price(now)
        self._paced_until = max(self._paced_until, saved_from) + self._seconds_per_call
        for policy, quota in list(self._quotas.items()):
            if now < quota.until:
                quota.remaining -= 1
            elif quota.remaining < 1:
                # This call finds out whether more are allowed now; the others wait for its answer.
                until = now + _SHORTEST_QUOTA_SECONDS
                self._quotas[policy] = _ReportedQuota(0, until, is_probed=True)
            else:
                del self._quotas[policy]
        for _ in range(self._free(now)):
            self._ends.popleft()
        self._in_flight += 1

    def release(self, now: float) -> None:
        """Count the end of a call."""
        self._in_flight -= 1
        self._ends.append(CallEnd(now))

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
        # If there are more calls now, none waits for the price that the last one had.
        price_until = min(self._paid_until, now + self._price(now))
        self._paid_until = max(self._paced_until, price_until)

    def end_probe(self) -> bool:
        """
        Forget policies without remaining calls after a call that probed them has succeeded.

        Its answer brought no report, and the API may never send another one. Return whether there
        was such a policy.
        """
        kept = {name: quota for name, quota in self._quotas.items() if not quota.is_probed}
        has_ended = len(kept) < len(self._quotas)
        self._quotas = kept
        return has_ended

    def limiting_policies(self, now: float) -> Collection[str]:
        """Return the names of the reported policies that calls must still obey."""
        return {
            policy
            for policy, quota in self._quotas.items()
            if now < quota.until or quota.remaining < 1
        }

    def remaining(self, now: float) -> int:
        """Return how many places the window has left."""
        return max(0, self.limit - self._in_flight - len(self._ends) + self._free(now))

    def recent(self, now: float) -> tuple[float, ...]:
        """Return when the calls ended that still occupy places; a running one ends *now*."""
        return (*islice(self._ends, self._free(now), None), *repeat(now, self._in_flight))

    def _ends_before(self, now: float, past: PastCalls) -> list[CallEnd]:
        """Return the ends of known calls before the start, and of those to assume."""
        known = sorted(min(end, now) for end in past.ends if end > now - WINDOW_SECONDS)
        known = known[past.others :][-self.limit :]
        unknown_ratio = min(1.0, past.unknown_seconds / WINDOW_SECONDS)
        possible = math.floor(unknown_ratio * self.limit)
        borrowed = math.floor(unknown_ratio * self._borrowed)
        assumed = max(0, min(possible, self.limit - len(known) - borrowed))
        ends = (AssumedEnd(now - number * self._seconds_per_call) for number in range(assumed))
        return sorted([*map(CallEnd, known), *ends])

    def _free(self, now: float) -> int:
        """Return how many of the calls that have ended no longer occupy a place."""
        return bisect_right(self._ends, now - WINDOW_SECONDS - _ROUNDING_SECONDS)

    def _wait_for_place(self, now: float) -> float:
        # The call needs a place, so this many calls and one more must no longer occupy theirs.
        excess = self._in_flight + len(self._ends) - self.limit
        if excess < 0:
            return 0.0
        if excess >= len(self._ends):
            # A running call occupies the place, for at least this time.
            return WINDOW_SECONDS
        return self._ends[excess] + WINDOW_SECONDS + _ROUNDING_SECONDS - now

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
        return max(self._paid_until, now - self._saved_seconds(interval_seconds))

    def _saved_seconds(self, interval_seconds: float) -> float:
        return _saved_seconds(self._seconds_per_call, self._borrowed, interval_seconds)


def calls_at_start(limit: int) -> int:
    """Return how many calls a new process may borrow: those of its first 20 s."""
    return max(1, limit // _BORROWED_PART)


def one_pass_limit(limit: int) -> int:
    """Return how many calls of the *limit* a process may make that makes one pass only."""
    return min(limit, max(_SMALLEST_ONE_PASS_LIMIT, limit // _ONE_PASS_PART))


def largest_burst(limit: int, interval_seconds: float) -> int:
    """Return how many calls need not wait for the pace after idle time."""
    seconds_per_call = WINDOW_SECONDS / limit
    borrowed = calls_at_start(limit)
    saved = _saved_seconds(seconds_per_call, borrowed, interval_seconds) + _EARLY * interval_seconds
    return min(limit, math.floor(saved / seconds_per_call + _ROUNDING_SECONDS))


def _saved_seconds(seconds_per_call: float, borrowed: int, interval_seconds: float) -> float:
    """Return for how long unused time is saved."""
    return max(
        # At least an interval and one call, or each pass would lose a fraction of a call.
        _LATE * interval_seconds,
        interval_seconds + seconds_per_call,
        # A burst may be as large as that of a new process.
        borrowed * seconds_per_call - _EARLY * interval_seconds + _ROUNDING_SECONDS,
    )

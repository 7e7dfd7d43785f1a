"""The budget groups of all apps, and what remains of them when a reload makes other groups."""

import math

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.saved_calls import SavedCalls
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import WINDOW_SECONDS, SlidingWindowBudget, one_pass_limit
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.past_calls import past_calls, rest_of_block
from rk_exporter.runtime.clock import Clock


_ROUNDING_SECONDS = 1.0
_BEFORE_THE_START = Failure(Reason.RATE_LIMITED, "too many calls before the start (429)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTerms:
    """The *limit* of a group in calls per 300 s, and the tokens of its apps."""

    limit: int
    tokens: frozenset[Secret]


class BudgetGroups:
    """
    The groups of the configuration in use, and earlier ones whose calls may still count.

    *saved* returns the calls and the block of a group that an earlier process saved. An exporter
    that makes *one_pass* only takes a small part of each limit, and no time to spend it.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        saved: Callable[[str | None], SavedCalls | None] = lambda _: None,
        one_pass: bool = False,
    ) -> None:
        self._clock = clock
        self._saved = saved
        self._one_pass = one_pass
        self._groups: dict[str | None, BudgetGroup] = {}
        self._earlier: list[BudgetGroup] = []

    def __getitem__(self, name: str | None) -> BudgetGroup:
        """Return a group, whose name is None for the apps that are in no other."""
        return self._groups[name]

    def replace(self, groups: Mapping[str | None, GroupTerms], *, reserve_ratio: float) -> None:
        """
        Replace the groups while no call is running; the apps must join the new ones.

        Cloudflare counts the calls of a user, and only the configuration says which apps belong to
        one. A new group takes over the calls of each group that may have had its user: one with the
        same token, and if it has a new token, also one with a token that has vanished.
        """
        now = self._clock.monotonic()
        earlier = [group for group in self._earlier if _counting_tokens(group, now)]
        before = [*self._groups.values(), *earlier]
        in_use = frozenset().union(*(terms.tokens for terms in groups.values()))
        # Not those of earlier groups: since then, another group may have had their user.
        known = frozenset().union(*(group.tokens for group in self._groups.values()))
        self._groups = {}
        for name, terms in groups.items():
            new = self._groups[name] = self._new(name, terms.limit, reserve_ratio)
            is_known = terms.tokens <= known
            sources = [
                group
                for group in before
                if terms.tokens & group.tokens.keys()
                or not (is_known or _counting_tokens(group, now) <= in_use)
            ]
            if sources:
                new.take_over(sources)
        # The calls of the others are all in new groups.
        self._earlier = [group for group in before if not _counting_tokens(group, now) <= in_use]

    def recent_calls(self) -> list[SavedCalls]:
        """Return the calls and the blocks that count now, by group."""
        now = self._clock.wall()
        return [group.recent_calls(name, now) for name, group in self._groups.items()]

    def _new(self, name: str | None, limit: int, reserve_ratio: float) -> BudgetGroup:
        clock = self._clock
        now = clock.monotonic()
        own_limit = one_pass_limit(limit) if self._one_pass else limit
        saved, unix_seconds = self._saved(name), clock.wall()
        past = past_calls(saved, now=now, unix_seconds=unix_seconds, others=limit - own_limit)
        budget = SlidingWindowBudget(
            own_limit,
            now=now,
            reserve_ratio=reserve_ratio,
            past=past,
            borrowed=own_limit if self._one_pass else None,
        )
        group = BudgetGroup(budget, monotonic=clock.monotonic)
        if (seconds := rest_of_block(saved, unix_seconds=unix_seconds)) > 0:
            group.breaker.open(now, seconds=seconds, cause=_BEFORE_THE_START)
        return group


def _counting_tokens(group: BudgetGroup, now: float) -> frozenset[Secret]:
    """Return the tokens of the calls that may still count, or that may have caused a block."""
    is_blocked = (group.breaker.open_until or now) > now
    oldest = -math.inf if is_blocked else now - WINDOW_SECONDS - _ROUNDING_SECONDS
    return frozenset(token for token, used_at in group.tokens.items() if used_at > oldest)

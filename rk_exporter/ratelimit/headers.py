"""
What Cloudflare says of its rate limit in the headers of an answer.

    Ratelimit: "default";r=50;t=30           r calls are left, for t seconds
    Ratelimit-Policy: "default";q=100;w=60   q calls are allowed in w seconds
    Retry-After: 30                          with a 429 only

The first two are lists of structured-field items (RFC 9651), as the draft "RateLimit header fields
for HTTP" has them; Cloudflare's page "API limits" shows one item each. Absent means unknown.
"""

import re

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeGuard, cast

import http_sf

from rk_exporter.ratelimit.status import RateLimitPolicy
from rk_exporter.runtime.server_clock import http_date


# Calls in 5 minutes for a user, over all tokens and the dashboard ("API limits" page).
CLOUDFLARE_LIMIT = 1200
# As long as Cloudflare blocks a user who went over the limit ("API limits" page).
BLOCK_SECONDS = 300.0
# Longer ones are cut: a slip at the other end must not silence an exporter for a week.
LONGEST_WAIT_SECONDS = 3600.0
_SHORTEST_WAIT_SECONDS = 1.0
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST_NAME = 64
# The values of a label are to be few, whatever a header holds.
_MOST_POLICIES = 8


@dataclass(frozen=True, slots=True)
class RateLimitHeaders:
    """The headers of one answer as they came."""

    ratelimit: str | None = None
    ratelimit_policy: str | None = None
    retry_after: str | None = None
    date: str | None = None


class MalformedHeader(Exception):
    """A header that is no list of structured-field items; it tells nothing."""


def parse_policies(headers: RateLimitHeaders) -> tuple[RateLimitPolicy, ...]:
    """
    Return what is left by each policy, the tightest first, at most eight.

    Where one policy stands in each header they belong together, whatever they are called: the
    two examples on Cloudflare's page have different names. Raises MalformedHeader.
    """
    standings = _items(headers.ratelimit)
    quotas = _items(headers.ratelimit_policy)
    if len(standings) == len(quotas) == 1:
        quotas = [(standings[0][0], quotas[0][1])]
    quota_of = dict(quotas)
    policies = [
        RateLimitPolicy(
            policy=name,
            remaining=max(0, int(standing["r"])),
            limit=_whole(quota_of.get(name, {}).get("q")),
            reset_seconds=standing.get("t", quota_of.get(name, {}).get("w")),
        )
        for name, standing in standings
        if "r" in standing
    ]
    tightest_first = sorted(policies, key=lambda each: each.remaining)
    # Of one name in several partitions the tightest counts.
    distinct = {each.policy: each for each in reversed(tightest_first)}
    return tuple(sorted(distinct.values(), key=lambda each: each.remaining)[:_MOST_POLICIES])


def retry_after_seconds(headers: RateLimitHeaders, *, now: datetime) -> float | None:
    """
    Return how long to wait after a 429, from a second to an hour; None where it is not said.

    Retry-After is a number of seconds or a date (RFC 9110, 10.2.3). A date is held against the
    answer's own Date, so that this machine's clock may be wrong; without one against *now*.
    """
    text = (headers.retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        return _within_bounds(float(text))
    until = http_date(text)
    if until is None:
        return None
    answered_at = http_date((headers.date or "").strip()) or now
    return _within_bounds((until - answered_at).total_seconds())


def _items(header: str | None) -> list[tuple[str, dict[str, float]]]:
    """Return each item of a list: its name, and those of its parameters that are numbers."""
    if header is None:
        return []
    try:
        parsed = http_sf.parse(header.encode(), tltype="list")
    except ValueError as error:
        raise MalformedHeader(str(error)) from None
    # The library's types leave open what it does return for a list.
    items = cast("list[tuple[object, dict[str, object]]]", parsed)
    return [
        (
            _NOT_IN_A_NAME.sub("_", str(value))[:_LONGEST_NAME],
            {key: float(each) for key, each in parameters.items() if _is_number(each)},
        )
        for value, parameters in items
        if isinstance(value, str | http_sf.Token)
    ]


def _is_number(value: object) -> TypeGuard[int | Decimal]:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _whole(number: float | None) -> int | None:
    return None if number is None or number < 1 else int(number)


def _within_bounds(seconds: float) -> float:
    return min(max(seconds, _SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)

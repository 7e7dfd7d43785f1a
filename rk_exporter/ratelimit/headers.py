"""
The rate limit in the headers of Cloudflare's answers.

    Ratelimit: "default";r=50;t=30           r calls remain for t seconds
    Ratelimit-Policy: "default";q=100;w=60   q calls are allowed in w seconds
    Retry-After: 30                          with a 429 only

The first two are lists of structured-field items (RFC 9651), as in the draft "RateLimit header
fields for HTTP". Cloudflare's page "API limits" shows one item in each. Absent means unknown.
"""

import re

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TypeGuard, cast

import http_sf

from rk_exporter.ratelimit.status import RateLimitPolicy
from rk_exporter.runtime.redaction import without_signatures
from rk_exporter.runtime.server_clock import age_seconds, http_date


# Calls per user in 5 minutes, over all tokens and the dashboard ("API limits" page).
CLOUDFLARE_LIMIT = 1200
# Cloudflare blocks a user who exceeds the limit for this time ("API limits" page).
BLOCK_SECONDS = 300.0
# Longer times are cut: an error of the API must not silence an exporter for a week.
LONGEST_WAIT_SECONDS = 3600.0
_SHORTEST_WAIT_SECONDS = 1.0
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST_NAME = 64
# A header must not create an unlimited number of label values.
_MOST_POLICIES = 8


class MalformedHeader(Exception):
    """A header that is not a list of structured-field items."""


def parse_policies(headers: Mapping[str, str]) -> tuple[RateLimitPolicy, ...]:
    """
    Return up to eight policies, the one with the fewest remaining calls first.

    If each header has one item, the two belong together, whatever their names: the examples on
    Cloudflare's page have different names. Raises MalformedHeader.
    """
    remainders = _items(headers.get("Ratelimit", ""))
    quotas = _items(headers.get("Ratelimit-Policy", ""))
    windows = {name: quota["w"] for name, quota in quotas if quota.get("w", 0.0) > 0}
    if len(remainders) == len(quotas) == 1:
        quotas = [(remainders[0][0], quotas[0][1])]
    quota_of = dict(quotas)
    policies = [
        RateLimitPolicy(
            policy=name,
            remaining=max(0, int(remainder["r"])),
            limit=_whole(quota_of.get(name, {}).get("q")),
            reset_seconds=_reset_seconds(remainder, quota_of.get(name, {}), windows.get(name)),
        )
        for name, remainder in remainders
        if "r" in remainder
    ]
    tightest_first = sorted(policies, key=lambda policy: policy.remaining)
    # A name may appear for several partitions: the tightest one counts.
    distinct = {policy.policy: policy for policy in reversed(tightest_first)}
    return tuple(sorted(distinct.values(), key=lambda policy: policy.remaining)[:_MOST_POLICIES])


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """
    Return how long to wait after a 429, from a second to an hour; None if unknown.

    Retry-After is a number of seconds or a date (RFC 9110, 10.2.3). A date is compared with the
    answer's Date header, because this machine's clock may be wrong; without that, with *now*.
    """
    text = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return _within_bounds(float(text))
    until = http_date(text)
    if until is None:
        return None
    date = http_date(headers.get("Date", "").strip())
    stored_seconds = age_seconds(headers.get("Age")) if date else 0.0
    return _within_bounds((until - (date or now)).total_seconds() - stored_seconds)


def _items(header: str) -> list[tuple[str, dict[str, float]]]:
    """Return the name and the numeric parameters of each item of a list."""
    try:
        parsed = http_sf.parse(header.encode(), tltype="list")
    except ValueError:
        raise MalformedHeader from None
    # The library's type annotations do not say what it returns for a list.
    items = cast("list[tuple[object, dict[str, object]]]", parsed)
    return [
        (
            _NOT_IN_A_NAME.sub("_", without_signatures(str(name)))[:_LONGEST_NAME],
            {key: float(value) for key, value in parameters.items() if _is_number(value)},
        )
        for name, parameters in items
        if isinstance(name, str | http_sf.Token)
    ]


def _reset_seconds(
    remainder: Mapping[str, float], quota: Mapping[str, float], window: float | None
) -> float | None:
    """Return the time to the reset; not more of a *window*, under the same name, can be left."""
    seconds = remainder.get("t", quota.get("w"))
    return seconds if seconds is None or window is None else min(seconds, window)


def _is_number(value: object) -> TypeGuard[int | Decimal]:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _whole(number: float | None) -> int | None:
    return None if number is None or number < 1 else int(number)


def _within_bounds(seconds: float) -> float:
    return min(max(seconds, _SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)

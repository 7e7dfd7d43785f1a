"""Verdicts of `check --probe` on headers: the rate limit and the clocks."""

import math
import re

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from rk_exporter.api.probe_findings import Judgement, confirmed, differs, unknown
from rk_exporter.api.replies import Reply
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.headers import MalformedHeader, parse_policies
from rk_exporter.ratelimit.status import RateLimitPolicy
from rk_exporter.runtime.server_clock import age_seconds, http_date


_RATE_LIMIT_HEADERS = ("Ratelimit", "Ratelimit-Policy", "Retry-After")
_QUOTA = re.compile(r";\s*q=([0-9]{1,9})", re.ASCII)
_WINDOW = re.compile(r";\s*w=([1-9][0-9]{0,8})", re.ASCII)
# A Date is cut to whole seconds.
_HALF_A_SECOND = 0.5
_AGREEING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far the API's clock is ahead of this machine's, and how old its cached answers were."""

    seconds: float
    largest_age_seconds: float


def rate_limit_judgement(replies: Sequence[Reply]) -> Judgement:
    """Return whether the answers of all endpoints have rate limit headers that can be read."""
    with_answers = [reply for reply in replies if reply.problem is None]
    if not with_answers:
        return unknown(next((reply.problem for reply in replies if reply.problem), "no call made"))
    read: dict[str, bool | None] = {}
    for reply in with_answers:
        policies = _policies(reply)
        # One unreadable or missing header is enough to doubt an endpoint.
        state = None if policies is None else bool(policies)
        if read.get(reply.endpoint, True):
            read[reply.endpoint] = state
    malformed = [endpoint for endpoint, state in read.items() if state is None]
    missing = [endpoint for endpoint, state in read.items() if state is False]
    if malformed:
        return differs(f"the headers cannot be read: {', '.join(malformed)}")
    if missing:
        return differs(f"there are none: {', '.join(missing)}")
    return confirmed(f"all {len(read)} asked endpoints report it")


def rate_limit_evidence(replies: Iterable[Reply]) -> Iterable[str]:
    """Return the headers of the first answer of each endpoint, and each Retry-After."""
    seen: set[str] = set()
    for reply in replies:
        is_news = reply.endpoint not in seen or reply.header("Retry-After") is not None
        if reply.status is None or not is_news:
            continue
        seen.add(reply.endpoint)
        values = [
            f"{name}: {value}"
            for name in _RATE_LIMIT_HEADERS
            if (value := reply.header(name)) is not None
        ]
        yield f"{reply.endpoint}: {'; '.join(values) or 'no rate limit headers'}"


def reported_limit(replies: Iterable[Reply]) -> int | None:
    """Return how many calls in 5 minutes the strictest reported policy allows; None: unknown."""
    limits = [
        math.floor(int(quota[1]) * WINDOW_SECONDS / int(window[1]))
        for reply in replies
        for item in (reply.header("Ratelimit-Policy") or "").split(",")
        if (quota := _QUOTA.search(item)) and (window := _WINDOW.search(item))
    ]
    return min(limits, default=None)


def clock_offset(replies: Iterable[Reply]) -> ClockOffset | None:
    """Return the offset of the API's clock, from the answers that have a Date."""
    offsets, ages = [], [0.0]
    for reply in replies:
        moment = http_date((reply.headers.get("Date") or "").strip())
        if moment is None:
            continue
        # A cache keeps the Date and adds the time since then (RFC 9111, 5.1).
        ages.append(age := age_seconds(reply.headers.get("Age")))
        offsets.append(moment.timestamp() + _HALF_A_SECOND + age - reply.answered_at)
    return ClockOffset(median(offsets), max(ages)) if offsets else None


def clock_judgement(offset: ClockOffset | None) -> Judgement:
    """Return whether this machine's clock agrees with the API's."""
    if offset is None:
        return unknown("no answer has a Date header")
    if offset.largest_age_seconds:
        return differs(f"answers come from a cache, up to {offset.largest_age_seconds:.0f} s old")
    if abs(offset.seconds) <= _AGREEING_SECONDS:
        return confirmed("the clocks agree to within 2 s")
    direction = "behind" if offset.seconds > 0 else "ahead of"
    return differs(f"this machine's clock is {abs(offset.seconds):.0f} s {direction} the API's")


def _policies(reply: Reply) -> tuple[RateLimitPolicy, ...] | None:
    """Return the reported policies; None if the headers cannot be read."""
    try:
        return parse_policies(reply.headers)
    except MalformedHeader:
        return None

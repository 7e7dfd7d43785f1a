"""
The headers in which the gateway reports its rate limits, and variants of them.

They follow Cloudflare's documentation, because no header of the real API has been captured yet.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from rk_exporter.simulator.api.rate_limit import RateLimitDecision
from rk_exporter.simulator.api.responses import Headers


HeaderWriter: TypeAlias = Callable[[Sequence[RateLimitDecision]], Headers]
"""Writes the headers for one call from the decisions of all limits."""


def documented_headers(decisions: Sequence[RateLimitDecision]) -> Headers:
    """Write both headers as described on Cloudflare's rate limit page."""
    policies = [_policy(decision, decision.policy) for decision in decisions]
    return _headers(_limits(decisions), ", ".join(policies), decisions)


def misnamed_headers(decisions: Sequence[RateLimitDecision]) -> Headers:
    """Name the limits differently in the two headers, like the examples on that page."""
    policies = [_policy(decision, f"{decision.policy}-policy") for decision in decisions]
    return _headers(_limits(decisions), ", ".join(policies), decisions)


def malformed_headers(decisions: Sequence[RateLimitDecision]) -> Headers:
    """Write headers that cannot be parsed; Retry-After is neither a number nor a date."""
    headers = _headers("default; r=lots;t", 'default;;q="many", w=5m', decisions)
    return tuple((name, b"soon" if name == b"retry-after" else value) for name, value in headers)


def no_headers(_decisions: Sequence[RateLimitDecision]) -> Headers:
    """Write no headers, not even Retry-After, as other hosts of the API may do."""
    return ()


def late_headers(decisions: Sequence[RateLimitDecision]) -> Headers:
    """Write headers only while less than a tenth of a limit is left, as a warning."""
    is_late = any(10 * decision.remaining < decision.quota for decision in decisions)
    return documented_headers(decisions) if is_late else ()


def _limits(decisions: Sequence[RateLimitDecision]) -> str:
    return ", ".join(
        f'"{decision.policy}";r={decision.remaining};t={decision.reset_seconds}'
        for decision in decisions
    )


def _policy(decision: RateLimitDecision, name: str) -> str:
    return f'"{name}";q={decision.quota};w={decision.window_seconds}'


def _headers(limits: str, policies: str, decisions: Sequence[RateLimitDecision]) -> Headers:
    headers = ((b"ratelimit", limits.encode()), (b"ratelimit-policy", policies.encode()))
    waits = [decision.reset_seconds for decision in decisions if not decision.allowed]
    return (*headers, (b"retry-after", str(max(waits)).encode())) if waits else headers

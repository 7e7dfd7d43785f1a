"""
How the gateway tells clients where they stand with its rate limits, and how else it might.

No header of the real API has been captured: only its documentation says what they look like.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from rk_exporter.simulator.answers import Headers
from rk_exporter.simulator.ratelimit import Verdict


HeaderWriter: TypeAlias = Callable[[Sequence[Verdict]], Headers]
"""Writes headers about one call from the verdicts of all limits on it."""


def documented_headers(verdicts: Sequence[Verdict]) -> Headers:
    """Write both headers as Cloudflare's rate limit page explains them; limits make a list."""
    standing = ", ".join(_standing(verdict) for verdict in verdicts)
    policies = ", ".join(_policy(verdict, verdict.policy) for verdict in verdicts)
    return _headers(standing, policies, verdicts)


def misnamed_headers(verdicts: Sequence[Verdict]) -> Headers:
    """Give limits other names in one header than in the other, as that page's examples do."""
    standing = ", ".join(_standing(verdict) for verdict in verdicts)
    policies = ", ".join(_policy(each, f"{each.policy}-policy") for each in verdicts)
    return _headers(standing, policies, verdicts)


def malformed_headers(verdicts: Sequence[Verdict]) -> Headers:
    """Write what cannot be read; Retry-After is neither a number nor a date."""
    headers = _headers("default; r=lots;t", 'default;;q="many", w=5m', verdicts)
    return tuple((name, b"soon" if name == b"retry-after" else value) for name, value in headers)


def no_headers(verdicts: Sequence[Verdict]) -> Headers:
    """Say nothing, as the API's other entrances might; not even when to come again."""
    del verdicts
    return ()


def _standing(verdict: Verdict) -> str:
    return f'"{verdict.policy}";r={verdict.remaining};t={verdict.reset_seconds}'


def _policy(verdict: Verdict, name: str) -> str:
    return f'"{name}";q={verdict.quota};w={verdict.window_seconds}'


def _headers(standing: str, policies: str, verdicts: Sequence[Verdict]) -> Headers:
    headers = ((b"ratelimit", standing.encode()), (b"ratelimit-policy", policies.encode()))
    waits = [verdict.reset_seconds for verdict in verdicts if not verdict.allowed]
    return (*headers, (b"retry-after", str(max(waits)).encode())) if waits else headers

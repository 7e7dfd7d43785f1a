"""Cloudflare's gateway in front of the API: who may come in, and how often."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from rk_exporter.simulator.answers import (
    AUTHENTICATION_ERROR,
    RATE_LIMITED,
    Headers,
    Reply,
    gateway_error,
)
from rk_exporter.simulator.limit_headers import HeaderWriter
from rk_exporter.simulator.ratelimit import RateLimit


@dataclass(frozen=True, slots=True)
class Passage:
    """The gateway's decision on a call: a *refusal* to answer with, or None; and headers."""

    refusal: Reply | None = None
    headers: Headers = ()
    rate_limited: bool = False


@dataclass(frozen=True, slots=True)
class Gateway:
    """Checks tokens and counts calls; without *rate_limits* nobody counts."""

    tokens: frozenset[str]
    forbidden_tokens: frozenset[str]
    rate_limits: Sequence[RateLimit]
    limit_headers: HeaderWriter

    def admit(self, authorization: str | None, now: float) -> Passage:
        """Decide on a call with this Authorization header."""
        if authorization is None:
            message = "Missing X-Auth-Key, X-Auth-Email or Authorization headers"
            return Passage(gateway_error(HTTPStatus.BAD_REQUEST, 9106, message))
        token = bearer_token(authorization)
        if token is None:
            return Passage(_malformed())
        forbidden = token in self.forbidden_tokens
        if not forbidden and token not in self.tokens:
            return Passage(gateway_error(HTTPStatus.UNAUTHORIZED, *AUTHENTICATION_ERROR))
        passage = self._count(token, now)
        if forbidden and passage.refusal is None:
            refusal = gateway_error(HTTPStatus.FORBIDDEN, *AUTHENTICATION_ERROR)
            return Passage(refusal, passage.headers)
        return passage

    def spend(self, count: int, token: str, now: float) -> None:
        """Count calls that somebody else makes."""
        for limit in self.rate_limits:
            for _ in range(count):
                limit.ask(token, now)

    def _count(self, token: str, now: float) -> Passage:
        """Hold a known token to all rate limits, of which each counts for itself."""
        if not self.rate_limits:
            return Passage()
        verdicts = [limit.ask(token, now) for limit in self.rate_limits]
        headers = self.limit_headers(verdicts)
        if all(verdict.allowed for verdict in verdicts):
            return Passage(headers=headers)
        refusal = gateway_error(HTTPStatus.TOO_MANY_REQUESTS, *RATE_LIMITED)
        return Passage(refusal, headers, rate_limited=True)


def bearer_token(authorization: str | None) -> str | None:
    """Return the token that an Authorization header holds."""
    scheme, _, token = (authorization or "").partition(" ")
    return None if scheme.lower() != "bearer" or not token or " " in token else token


def _malformed() -> Reply:
    """Answer to an Authorization header that holds no bearer token."""
    chain = [{"code": 6111, "message": "Invalid format for Authorization header"}]
    return gateway_error(HTTPStatus.BAD_REQUEST, 6003, "Invalid request headers", error_chain=chain)

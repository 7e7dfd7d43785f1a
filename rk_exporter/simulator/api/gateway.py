"""Cloudflare's gateway in front of the API: it checks tokens and rate limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from rk_exporter.simulator.api.rate_limit import RateLimit
from rk_exporter.simulator.api.rate_limit_headers import HeaderWriter
from rk_exporter.simulator.api.responses import (
    AUTHENTICATION_ERROR,
    RATE_LIMITED,
    Headers,
    JsonResponse,
    gateway_error,
)


DEFAULT_USER = "simulated-user"
"""The user of all tokens that the settings give to no other."""


@dataclass(frozen=True, slots=True)
class GatewayDecision:
    """The gateway's decision about a call: an *error*, unless it is let through, and headers."""

    error: JsonResponse | None = None
    headers: Headers = ()
    rate_limited: bool = False


@dataclass(frozen=True, slots=True)
class Gateway:
    """Check tokens and count the calls of known ones."""

    tokens: frozenset[str]
    forbidden_tokens: frozenset[str]
    users: Mapping[str, str]
    rate_limits: Sequence[RateLimit]
    limit_headers: HeaderWriter

    def decide(self, authorization: str | None, now: float) -> GatewayDecision:
        """Decide about a call with this Authorization header."""
        if authorization is None:
            message = "Missing X-Auth-Key, X-Auth-Email or Authorization headers"
            return GatewayDecision(gateway_error(HTTPStatus.BAD_REQUEST, 9106, message))
        token = bearer_token(authorization)
        if token is None:
            return GatewayDecision(_malformed())
        forbidden = token in self.forbidden_tokens
        if not forbidden and token not in self.tokens:
            return GatewayDecision(gateway_error(HTTPStatus.UNAUTHORIZED, *AUTHENTICATION_ERROR))
        decision = self._apply_limits(token, now)
        if forbidden and decision.error is None:
            error = gateway_error(HTTPStatus.FORBIDDEN, *AUTHENTICATION_ERROR)
            return GatewayDecision(error, decision.headers)
        return decision

    def consume_quota(self, count: int, token: str, now: float) -> None:
        """Count *count* calls of another client."""
        for limit in self.rate_limits:
            for _ in range(count):
                limit.acquire(self._user_of(token), now)

    def user(self, authorization: str | None) -> str | None:
        """Return the user of an Authorization header, or None without a known token."""
        token = bearer_token(authorization)
        known = token in self.tokens or token in self.forbidden_tokens
        return self._user_of(token) if token is not None and known else None

    def _user_of(self, token: str) -> str:
        return self.users.get(token, DEFAULT_USER)

    def _apply_limits(self, token: str, now: float) -> GatewayDecision:
        """Apply all rate limits, which count independently, to a call with a known token."""
        if not self.rate_limits:
            return GatewayDecision()
        decisions = [limit.acquire(self._user_of(token), now) for limit in self.rate_limits]
        headers = self.limit_headers(decisions)
        if all(decision.allowed for decision in decisions):
            return GatewayDecision(headers=headers)
        error = gateway_error(HTTPStatus.TOO_MANY_REQUESTS, *RATE_LIMITED)
        return GatewayDecision(error, headers, rate_limited=True)


def bearer_token(authorization: str | None) -> str | None:
    """Return the token in an Authorization header."""
    scheme, _, token = (authorization or "").partition(" ")
    return None if scheme.lower() != "bearer" or not token or " " in token else token


def _malformed() -> JsonResponse:
    """Return the error for an Authorization header without a bearer token."""
    chain = [{"code": 6111, "message": "Invalid format for Authorization header"}]
    return gateway_error(HTTPStatus.BAD_REQUEST, 6003, "Invalid request headers", error_chain=chain)

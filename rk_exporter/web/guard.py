"""What every request passes first: the rate limit and the password of the web configuration."""

import math
import time

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Protocol

from rk_exporter.config.web_config import WebConfig
from rk_exporter.runtime.daemon_executor import TooManyCalls
from rk_exporter.web.application import or_internal_error
from rk_exporter.web.http import (
    AsgiApplication,
    Receive,
    Response,
    Scope,
    Send,
    line,
    send_response,
)
from rk_exporter.web.passwords import Credentials, PasswordChecker, parse_authorization
from rk_exporter.web.token_bucket import TokenBucket


class ConfigInUse(Protocol):
    """The owner of the web configuration."""

    @property
    def is_usable(self) -> bool:
        """Return whether the configuration in the file can be used now."""
        ...

    @property
    def config(self) -> WebConfig:
        """Return the last configuration that could be used."""
        ...


class Guard:
    """
    An ASGI application that lets only some requests through to another one.

    All paths need a password, also those of health checks, as in exporter-toolkit. The configured
    headers are in every response, also in those of the application.
    """

    def __init__(
        self,
        application: AsgiApplication,
        in_use: ConfigInUse,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._application = application
        self._in_use = in_use
        self._monotonic = monotonic
        self._passwords = PasswordChecker()
        self._bucket: TokenBucket | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; an ASGI server calls this."""
        send = _with_headers(send, self._in_use.config.headers)
        # Nobody gets in because of a bug.
        refusal = await or_internal_error(self._refusal(scope))
        if refusal is None:
            await self._application(scope, receive, send)
        else:
            await send_response(refusal, send, with_body=scope["method"] != "HEAD")

    async def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that must not get through; None if it may."""
        config = self._in_use.config
        if not self._in_use.is_usable:
            return line(500, "the web configuration cannot be used; see the exporter's log")
        interval_seconds = config.rate_limit_interval_seconds
        if interval_seconds and not self._limit(interval_seconds, config.rate_limit_burst).allow():
            headers = {"Retry-After": str(math.ceil(interval_seconds))}
            return line(429, "too many requests; see rate_limit in the web configuration", headers)
        if not config.users:
            return None
        given = _credentials(scope)
        try:
            if given is not None and await self._passwords.is_right(given, config.users):
                return None
        except TooManyCalls:
            return line(503, "too many passwords are being checked", {"Retry-After": "1"})
        headers = {"WWW-Authenticate": "Basic"}
        return line(401, "unauthorized; send the name and password of a user", headers)

    def _limit(self, interval_seconds: float, burst: int) -> TokenBucket:
        if self._bucket is None or self._bucket.rule != (interval_seconds, burst):
            self._bucket = TokenBucket(interval_seconds, burst, monotonic=self._monotonic)
        return self._bucket


def _credentials(scope: Scope) -> Credentials | None:
    headers = (value for name, value in scope["headers"] if name == b"authorization")
    return parse_authorization(next(headers, b""))


def _with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    """Return *send* with the configured *headers* in place of those of the same name."""
    if not headers:
        return send
    configured = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    names = {name for name, _ in configured}

    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = [pair for pair in message["headers"] if pair[0] not in names]
            message = {**message, "headers": own + configured}
        await send(message)

    return send_with_headers

"""How far a request over a connection has come, as httpx reports it."""

import asyncio
import contextlib
import math

from collections.abc import Mapping
from typing import Any

import httpx

from rk_exporter.model.errors import ApiError, ApiTimeout


_API = "the API"
_PROXY = "the proxy"
TIME_TO_CONNECT_SECONDS = 1.0
"""A call that had less time may have given up on a connection that would have opened."""


class CallProgress:
    """Observes how far a request has come."""

    def __init__(self, url: str) -> None:
        self._host = httpx.URL(url).raw_host.decode()
        self.peer = _API
        """With whom the connection is being set up: the API or the proxy."""
        self._connecting_since = math.inf
        self._has_opened: bool | None = None
        """Whether a connection was opened for the request; None if that was not tried."""
        self.opened = contextlib.AsyncExitStack()
        """Closes the TCP connection if this request opened it."""

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take in a step of the request."""
        if event == "connection.connect_tcp.started":
            self._has_opened, self._connecting_since = False, _now()
            self.peer = _API if info["host"] == self._host else _PROXY
        elif event == "connection.connect_tcp.complete":
            # If a deadline cancels a TLS handshake, httpx leaves the TCP connection open.
            self.opened.push_async_callback(info["return_value"].aclose)
        elif event == "proxy.start_tls.started":
            self.peer = _API
        elif event == "http11.send_request_headers.started" and self._has_opened is False:
            # The first request to a proxy may only ask for a connection to the API.
            self._has_opened = info["request"].method != b"CONNECT"

    @property
    def has_tried_to_connect(self) -> bool:
        """Return whether the request needed a new connection."""
        return self._has_opened is not None

    def opened_connection(self, error: ApiError) -> bool | None:
        """Return whether the request, which ended in *error*, opened a connection, if known."""
        had_time = _now() - self._connecting_since >= TIME_TO_CONNECT_SECONDS
        is_unknown = not self._has_opened and isinstance(error, ApiTimeout) and not had_time
        return None if is_unknown else self._has_opened


def _now() -> float:
    return asyncio.get_running_loop().time()

"""The simulated API as an ASGI application."""

import asyncio
import time

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from rk_exporter.simulator.api.backend import Backend
from rk_exporter.simulator.api.control import Control
from rk_exporter.simulator.api.endpoints import API_PREFIX, ApiCall, Endpoint
from rk_exporter.simulator.api.fault_responses import apply_fault, unavailable
from rk_exporter.simulator.api.faults import Fault, FaultRegistry
from rk_exporter.simulator.api.files import FILES_PREFIX
from rk_exporter.simulator.api.gateway import Gateway, GatewayDecision
from rk_exporter.simulator.api.listing import Query
from rk_exporter.simulator.api.not_found import not_found_response
from rk_exporter.simulator.api.rate_limit import RateLimit
from rk_exporter.simulator.api.request_log import RequestLog
from rk_exporter.simulator.api.responses import (
    HTML_HEADERS,
    METHOD_NOT_ALLOWED,
    NO_ROUTE,
    JsonResponse,
    Response,
    gateway_error,
)
from rk_exporter.simulator.api.settings import SimulatorSettings
from rk_exporter.simulator.scenarios.scenario import Scenario


Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

WINDOW_SECONDS = 300.0
"""The window of Cloudflare's global rate limit."""
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})
BURST_WINDOW_SECONDS = 60.0
"""The window of the other limit in Cloudflare's examples."""


class Simulator:
    """
    A simulated RealtimeKit REST API: an ASGI application that answers from a *scenario*.

    It accepts any account and app id. The Date header of a response has the time of *clock*, so
    the server must not add its own. *switches* are single fields of the settings.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        settings: SimulatorSettings | None = None,
        **switches: Any,  # noqa: ANN401 - the fields of the settings have several types
    ) -> None:
        settings = replace(settings or SimulatorSettings(), **switches)
        self.requests = RequestLog(window_seconds=WINDOW_SECONDS)
        self._clock = clock
        self._sleep = sleep
        self._faults = FaultRegistry()
        self._control = Control(self._faults, self.requests, self)
        token = settings.token
        self._gateway = Gateway(
            tokens=frozenset({token} if isinstance(token, str) else token),
            forbidden_tokens=frozenset({settings.forbidden_token}),
            users=settings.users,
            rate_limits=_rate_limits(settings.rate_limit, settings.burst_limit),
            limit_headers=settings.limit_headers,
        )
        self._backend = Backend(scenario, settings)

    @property
    def settings(self) -> SimulatorSettings:
        """The current settings."""
        return self._backend.settings

    @settings.setter
    def settings(self, settings: SimulatorSettings) -> None:
        self._backend = replace(self._backend, settings=settings)

    @property
    def latency_seconds(self) -> float:
        """The delay before each response."""
        return self.settings.latency_seconds

    @latency_seconds.setter
    def latency_seconds(self, seconds: float) -> None:
        self.settings = replace(self.settings, latency_seconds=seconds)

    @property
    def scenario(self) -> Scenario:
        """The scenario that the simulator answers from."""
        return self._backend.scenario

    def inject(self, meeting_id: str, fault: Fault, times: int | None = None) -> None:
        """Make all calls, or the next *times* calls, about a meeting ("*": any) fail."""
        self._faults.inject(meeting_id, fault, times)

    def clear(self, meeting_id: str | None = None) -> None:
        """Remove the fault of a meeting, or all faults."""
        self._faults.clear(meeting_id)

    def consume_quota(self, count: int, token: str = "simulated") -> None:  # noqa: S107 - made up
        """
        Simulate *count* calls of another client with the same token.

        They count against the rate limit but do not appear in `requests`.
        """
        self._gateway.consume_quota(count, token, self._clock())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await _complete_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            raise RuntimeError(f"the simulator does not support {scope['type']}")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        path = _raw_path(scope)
        query: Query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if path.startswith(FILES_PREFIX):
            await self._serve_file(scope, receive, send, path)
            return
        if not path.startswith(API_PREFIX):
            shown = self._control.respond(scope["method"], path, query)
            await _send(send, shown, self._clock())
            return
        call, query = self._backend.understand(path, query)
        # A call counts even if the client disconnects before the response.
        decision = self._decide(scope, call, query)
        if self.latency_seconds > 0:
            await self._sleep(self.latency_seconds)
        response = self._respond(scope["method"], call, query, decision)
        if response is None:
            await _hang(receive)
        else:
            date = self._clock() + self.settings.date_ahead_seconds
            await _send(send, response, date, self.settings.cached_seconds)

    async def _serve_file(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """Answer a request for a file, as the storage does; it has no token."""
        self.requests.files += 1
        now, url = self._clock(), f"{path}?{scope['query_string'].decode('latin-1')}"
        response = self._backend.file(url, _header(scope, b"range") or "", now)
        if response is None:
            await _hang(receive)
        else:
            await _send(send, response, now)

    def _decide(self, scope: Scope, call: ApiCall, query: Query) -> GatewayDecision:
        """Log an API call and let the gateway decide about it."""
        now = self._clock()
        authorization = _header(scope, b"authorization")
        meeting_id = self._backend.meeting_of(call, query, now)
        self.requests.count(call.endpoint, meeting_id, now, call.app_id)
        self.requests.arrive(self._gateway.user(authorization), now)
        decision = self._gateway.decide(authorization, now)
        if decision.rate_limited:
            self.requests.refused += 1
        return decision

    def _respond(
        self, method: str, call: ApiCall, query: Query, decision: GatewayDecision
    ) -> Response | None:
        """Answer an API call; None means that the call hangs."""
        if decision.error is not None:
            response = decision.error.encode()
        elif (blocked := self._blocked(call.app_id)) is not None:
            response = blocked
        else:
            now = self._clock()
            correct = self._correct_response(method, call, query, now)
            fault = self._faults.take(self._backend.meeting_of(call, query, now))
            if fault == Fault.HANG:
                return None
            response = self._encode(call, correct) if fault is None else apply_fault(fault, correct)
        encoding = self.settings.content_encoding
        packing = () if encoding is None else ((b"content-encoding", encoding.encode()),)
        headers = (*response.headers, *decision.headers, *packing)
        return Response(response.status, response.body, headers)

    def _blocked(self, app_id: str) -> Response | None:
        """Return the response to all calls for an app that is unavailable or blocked."""
        if app_id and app_id == self.settings.unavailable_app:
            return unavailable()
        if app_id and app_id == self.settings.blocked_app:
            return Response(HTTPStatus.FORBIDDEN, b"<html>Blocked</html>", HTML_HEADERS)
        return None

    def _encode(self, call: ApiCall, response: JsonResponse) -> Response:
        """Encode a response of RealtimeKit, whose 404 can have another body."""
        not_found = response.status == HTTPStatus.NOT_FOUND
        if not_found and call.endpoint != Endpoint.UNKNOWN:
            return not_found_response(self.settings.not_found_body, response)
        return response.encode()

    def _correct_response(
        self, method: str, call: ApiCall, query: Query, now: float
    ) -> JsonResponse:
        """Return the response without faults."""
        if call.endpoint == Endpoint.UNKNOWN:
            return gateway_error(HTTPStatus.NOT_FOUND, *NO_ROUTE)
        if method != "GET":
            return gateway_error(HTTPStatus.METHOD_NOT_ALLOWED, *METHOD_NOT_ALLOWED)
        return self._backend.respond(call, query, now)


def _rate_limits(per_window: int, per_burst: int) -> list[RateLimit]:
    """Return the limits that are switched on."""
    burst = [RateLimit(per_burst, BURST_WINDOW_SECONDS, "burst")] if per_burst else []
    return [*burst, RateLimit(per_window, WINDOW_SECONDS)] if per_window else burst


def _raw_path(scope: Scope) -> str:
    """Return the percent-encoded path, or the decoded one if the server provides no other."""
    raw_path: bytes | None = scope.get("raw_path")
    return str(scope["path"]) if raw_path is None else raw_path.decode("latin-1")


def _header(scope: Scope, wanted: bytes) -> str | None:
    """Return a header of a request."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for name, value in headers:
        if name == wanted:
            return value.decode("latin-1").strip()
    return None


async def _send(send: Send, response: Response, date: float, age: int = 0) -> None:
    """Send a response; a fault may have set a wrong content-length on purpose."""
    # Cloudflare's edge adds a Date to all responses, including errors.
    headers = [*response.headers, (b"date", formatdate(date - age, usegmt=True).encode())]
    if age:
        headers.append((b"age", str(age).encode()))
    # HTTP allows these no body, and servers refuse to send one.
    has_body = response.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
    body = response.body if has_body else b""
    if has_body and not any(name in _LENGTHS for name, _ in headers):
        headers.append((b"content-length", str(len(body)).encode()))
    start = {"type": "http.response.start", "status": int(response.status), "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def _hang(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _complete_lifespan(receive: Receive, send: Send) -> None:
    """Acknowledge the lifespan events; the simulator has nothing to set up or clean up."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

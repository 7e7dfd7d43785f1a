"""The simulated API as an ASGI application."""

import asyncio
import time

from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from rk_exporter.simulator.api.backend import Backend
from rk_exporter.simulator.api.control import Control
from rk_exporter.simulator.api.endpoints import API_PREFIX, ApiCall, Endpoint, parse_path
from rk_exporter.simulator.api.fault_responses import apply_fault
from rk_exporter.simulator.api.faults import Fault, FaultRegistry
from rk_exporter.simulator.api.gateway import Gateway, GatewayDecision, bearer_token
from rk_exporter.simulator.api.listing import ALL_STATUSES, LATER_STATUSES, Query
from rk_exporter.simulator.api.payloads import MeetingInList
from rk_exporter.simulator.api.rate_limit import RateLimit
from rk_exporter.simulator.api.rate_limit_headers import HeaderWriter, documented_headers
from rk_exporter.simulator.api.request_log import RequestLog
from rk_exporter.simulator.api.responses import (
    METHOD_NOT_ALLOWED,
    NO_ROUTE,
    JsonResponse,
    Response,
    gateway_error,
)
from rk_exporter.simulator.scenarios.scenario import Scenario


Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

WINDOW_SECONDS = 300.0
"""The window of Cloudflare's global rate limit."""
BURST_WINDOW_SECONDS = 60.0
"""The window of the other limit in Cloudflare's examples."""


class Simulator:
    """
    A simulated RealtimeKit REST API: an ASGI application that answers from a *scenario*.

    It accepts any account and app id. The Date header of a response has the time of *clock*, so
    the server must not add its own. The switches are keyword arguments. Some of them choose
    between behaviours that the documentation of the real API leaves open.

    - *token*: accepted token, or several of them.
    - *forbidden_token*: known token without the permission.
    - *rate_limit*: calls per token in 300 s of simulated time; 0 switches the limit off.
    - *burst_limit*: calls per token in 60 s of simulated time; 0 switches the limit off.
    - *limit_headers*: function that writes the rate limit headers.
    - *latency_seconds*: delay before each response.
    - *linger_seconds*: time during which an ended recording still counts as active.
    - *uploading_is_active*: whether a recording counts as active while it is UPLOADING.
    - *active_as_list*: whether a meeting's active recordings come as a list.
    - *refuse_later_statuses*: whether the list rejects ERRORED and PAUSED as status filters.
    - *refuse_status_filter*: whether the list rejects all status filters.
    - *meeting_in_list*: how an item in the list of recordings names its meeting.
    """

    def __init__(  # noqa: PLR0913 - the switches are independent and keyword-only
        self,
        scenario: Scenario,
        *,
        clock: Callable[[], float] = time.time,
        token: str | Collection[str] = "simulated",  # noqa: S107 - made up and documented
        forbidden_token: str = "forbidden",  # noqa: S107 - made up and documented
        rate_limit: int = 1200,
        burst_limit: int = 0,
        limit_headers: HeaderWriter = documented_headers,
        latency_seconds: float = 0.0,
        linger_seconds: float = 0.0,
        uploading_is_active: bool = True,
        active_as_list: bool = False,
        refuse_later_statuses: bool = False,
        refuse_status_filter: bool = False,
        meeting_in_list: MeetingInList = MeetingInList.MEETING,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.latency_seconds = latency_seconds
        self.requests = RequestLog(window_seconds=WINDOW_SECONDS)
        self._clock = clock
        self._sleep = sleep
        self._faults = FaultRegistry()
        self._control = Control(self._faults, self.requests)
        self._gateway = Gateway(
            tokens=frozenset({token} if isinstance(token, str) else token),
            forbidden_tokens=frozenset({forbidden_token}),
            rate_limits=_rate_limits(rate_limit, burst_limit),
            limit_headers=limit_headers,
        )
        refused = LATER_STATUSES if refuse_later_statuses else frozenset()
        status_filters = frozenset() if refuse_status_filter else ALL_STATUSES - refused
        self._backend = Backend(
            scenario,
            linger_seconds,
            uploading_is_active,
            active_as_list,
            status_filters,
            meeting_in_list,
        )

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
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if not path.startswith(API_PREFIX):
            shown = self._control.respond(scope["method"], path, query)
            await _send(send, shown, self._clock())
            return
        call = parse_path(path)
        # A call counts even if the client disconnects before the response.
        decision = self._decide(scope, call, query)
        if self.latency_seconds > 0:
            await self._sleep(self.latency_seconds)
        response = self._respond(scope["method"], call, query, decision)
        if response is None:
            await _hang(receive)
        else:
            await _send(send, response, self._clock())

    def _decide(self, scope: Scope, call: ApiCall, query: Query) -> GatewayDecision:
        """Log an API call and let the gateway decide about it."""
        now = self._clock()
        authorization = _authorization(scope)
        meeting_id = self._backend.meeting_of(call, query, now)
        self.requests.count(call.endpoint, meeting_id, now, bearer_token(authorization))
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
        else:
            now = self._clock()
            correct = self._correct_response(method, call, query, now)
            fault = self._faults.take(self._backend.meeting_of(call, query, now))
            if fault == Fault.HANG:
                return None
            response = correct.encode() if fault is None else apply_fault(fault, correct)
        return Response(response.status, response.body, (*response.headers, *decision.headers))

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


def _authorization(scope: Scope) -> str | None:
    """Return the Authorization header."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for name, value in headers:
        if name == b"authorization":
            return value.decode("latin-1").strip()
    return None


async def _send(send: Send, response: Response, now: float) -> None:
    """Send a response; a fault may have set a wrong content-length on purpose."""
    # Cloudflare's edge adds a Date to all responses, including errors.
    headers = [*response.headers, (b"date", formatdate(now, usegmt=True).encode())]
    has_length = any(name == b"content-length" for name, _ in headers)
    if not has_length and response.status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", str(len(response.body)).encode()))
    start = {"type": "http.response.start", "status": int(response.status), "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": response.body})


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

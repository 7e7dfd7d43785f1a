"""The simulated API as an ASGI application."""

import asyncio
import time

from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from rk_exporter.simulator.answers import METHOD_NOT_ALLOWED, NO_ROUTE, Answer, Reply, gateway_error
from rk_exporter.simulator.control import Control
from rk_exporter.simulator.endpoints import Backend, Call, Endpoint, understand
from rk_exporter.simulator.faults import Fault, FaultBoard, apply
from rk_exporter.simulator.gateway import Gateway, Passage, bearer_token
from rk_exporter.simulator.journal import RequestLog
from rk_exporter.simulator.limit_headers import HeaderWriter, documented_headers
from rk_exporter.simulator.listing import Query
from rk_exporter.simulator.payloads import MeetingInList
from rk_exporter.simulator.ratelimit import RateLimit
from rk_exporter.simulator.story import Story


Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

API_PREFIX = "/client/v4/"
WINDOW_SECONDS = 300.0
"""The window of Cloudflare's global rate limit."""
BURST_WINDOW_SECONDS = 60.0
"""The window of the other limit in Cloudflare's examples."""


class Simulator:
    """
    A simulated RealtimeKit REST API: an ASGI 3 application that answers from a *story*.

    Any account and app id will do. *token* is what it accepts, one or several; *forbidden_token*
    is known but lacks the permission. *rate_limit* counts calls per token in 300 s of *clock*'s
    time and *burst_limit* in 60 s, 0 switches either off; *limit_headers* tells clients of both.
    *latency_seconds* is waited by *sleep* before each answer. The Date of an answer is *clock*'s:
    a server should not add one of its own.

    What the real API leaves open can be chosen: whether a recording still counts as active while
    it is UPLOADING (*uploading_is_active*; "ongoing" is all that the endpoint's page says), and
    for how long after its end (*linger_seconds*), whether several active ones come as a list
    (*active_as_list*), whether the list refuses ERRORED and PAUSED as filters
    (*refuse_later_statuses*) or every status (*refuse_status_filter*), and how its items tell
    their meeting (*meeting_in_list*).
    """

    def __init__(  # noqa: PLR0913 - each is a switch of its own, and keyword-only
        self,
        story: Story,
        *,
        clock: Callable[[], float] = time.time,
        token: str | Collection[str] = "simulated",  # noqa: S107 - made up, and meant to be known
        forbidden_token: str = "forbidden",  # noqa: S107 - likewise
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
        self._faults = FaultBoard()
        self._control = Control(self._faults, self.requests)
        self._gateway = Gateway(
            tokens=frozenset({token} if isinstance(token, str) else token),
            forbidden_tokens=frozenset({forbidden_token}),
            rate_limits=_rate_limits(rate_limit, burst_limit),
            limit_headers=limit_headers,
        )
        self._backend = Backend(
            story,
            linger_seconds,
            active_as_list,
            refuse_later_statuses=refuse_later_statuses,
            refuse_status_filter=refuse_status_filter,
            meeting_in_list=meeting_in_list,
            uploading_is_active=uploading_is_active,
        )

    @property
    def story(self) -> Story:
        """What the simulator answers from."""
        return self._backend.story

    def inject(self, meeting_id: str, fault: Fault, times: int | None = None) -> None:
        """Let calls about a meeting ("*": all calls) fail, for ever or the next *times*."""
        self._faults.inject(meeting_id, fault, times)

    def clear(self, meeting_id: str | None = None) -> None:
        """Let calls about a meeting succeed again, or all calls."""
        self._faults.clear(meeting_id)

    def spend(self, count: int, token: str = "simulated") -> None:  # noqa: S107 - made up
        """
        Let somebody else make *count* calls with the rights of *token*, such as the dashboard.

        They count against the rate limit, and are not in `requests`.
        """
        self._gateway.spend(count, token, self._clock())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection as ASGI has it."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            raise RuntimeError(f"the simulator does not speak {scope['type']}")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        path = _raw_path(scope)
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if not path.startswith(API_PREFIX):
            shown = self._control.answer(scope["method"], path, query)
            await _respond(send, shown, self._clock())
            return
        call = understand(path)
        # Who does not wait for the answer has still made a call.
        passage = self._admit(scope, call, query)
        if self.latency_seconds > 0:
            await self._sleep(self.latency_seconds)
        answer = self._answer(scope["method"], call, query, passage)
        if answer is None:
            await _hang(receive)
        else:
            await _respond(send, answer, self._clock())

    def _admit(self, scope: Scope, call: Call, query: Query) -> Passage:
        """Count an API call, and let the gateway decide on it."""
        now = self._clock()
        authorization = _authorization(scope)
        meeting_id = self._backend.meeting_of(call, query, now)
        self.requests.count(call.endpoint, meeting_id, now, bearer_token(authorization))
        passage = self._gateway.admit(authorization, now)
        if passage.rate_limited:
            self.requests.refused += 1
        return passage

    def _answer(self, method: str, call: Call, query: Query, passage: Passage) -> Answer | None:
        """Answer an API call; None is to leave the client hanging."""
        if passage.refusal is not None:
            answer = passage.refusal.encode()
        else:
            now = self._clock()
            reply = self._reply(method, call, query, now)
            fault = self._faults.take(self._backend.meeting_of(call, query, now))
            if fault == Fault.HANG:
                return None
            answer = reply.encode() if fault is None else apply(fault, reply)
        return Answer(answer.status, answer.body, (*answer.headers, *passage.headers))

    def _reply(self, method: str, call: Call, query: Query, now: float) -> Reply:
        """Answer a call that was let in."""
        if call.endpoint == Endpoint.UNKNOWN:
            return gateway_error(HTTPStatus.NOT_FOUND, *NO_ROUTE)
        if method != "GET":
            return gateway_error(HTTPStatus.METHOD_NOT_ALLOWED, *METHOD_NOT_ALLOWED)
        return self._backend.reply(call, query, now)


def _rate_limits(per_window: int, per_burst: int) -> list[RateLimit]:
    """Return the limits that are not switched off."""
    burst = [RateLimit(per_burst, BURST_WINDOW_SECONDS, "burst")] if per_burst else []
    return [*burst, RateLimit(per_window, WINDOW_SECONDS)] if per_window else burst


def _raw_path(scope: Scope) -> str:
    """Return the path as it was sent, percent-encoded, where the server tells it."""
    raw_path: bytes | None = scope.get("raw_path")
    return str(scope["path"]) if raw_path is None else raw_path.decode("latin-1")


def _authorization(scope: Scope) -> str | None:
    """Return the Authorization header."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for name, value in headers:
        if name == b"authorization":
            return value.decode("latin-1").strip()
    return None


async def _respond(send: Send, answer: Answer, now: float) -> None:
    """Send an answer of *now*; its content-length may already be there, and wrong on purpose."""
    # Cloudflare's edge dates whatever passes it, errors and refusals too.
    headers = [*answer.headers, (b"date", formatdate(now, usegmt=True).encode())]
    told = any(name == b"content-length" for name, _ in headers)
    if not told and answer.status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    start = {"type": "http.response.start", "status": int(answer.status), "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})


async def _hang(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _live(receive: Receive, send: Send) -> None:
    """Take part in the server's lifespan; there is nothing to prepare or to clean up."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

"""Calls to the API about one app or account: rate limited, counted, and with its clock observed."""

import asyncio
import logging
import math

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol, TypeVar

from rk_exporter.api.call_log import CallLog, CallTrace
from rk_exporter.api.connection import LARGEST_BODY_BYTES, Answer, Connection, ConnectionPool
from rk_exporter.api.endpoints import LISTS, NO_STATUS, RATELIMIT_FIELD, segment
from rk_exporter.api.envelope import api_message
from rk_exporter.api.malformed_fields import MalformedFieldLog
from rk_exporter.api.results import Parsed
from rk_exporter.api.unknown_statuses import UnknownStatusLog
from rk_exporter.model.account import Account
from rk_exporter.model.errors import (
    ApiError,
    ConnectionStale,
    RateLimited,
    ServerError,
    Unreachable,
)
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.headers import MalformedHeader, parse_policies, retry_after_seconds
from rk_exporter.ratelimit.limiter import RateLimiter, RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.server_clock import ServerClock


logger = logging.getLogger(__name__)
T = TypeVar("T")
# A recording of tracks has a URL of about 830 characters for each of up to 100 participants.
_LARGEST_PAGE_BYTES = 4 << 20


class CallObserver(Protocol):
    """Counts the calls and their results."""

    def called(self, endpoint: str, code: str, duration_seconds: float) -> None:
        """Count a call; *code* is the HTTP status or `none`."""

    def failed(self, endpoint: str, reason: Reason) -> None:
        """Count a failed call."""

    def malformed(self, fields: Iterable[str]) -> None:
        """Count the malformed *fields* of an answer that is otherwise valid."""


@dataclass(frozen=True, slots=True)
class CallHooks:
    """What to do when a call is made, after all waiting, and with each complete answer."""

    on_call: Callable[[], object] = lambda: None
    on_answer: Callable[[Answer], object] = lambda _: None


NO_HOOKS = CallHooks()


class ApiCaller:
    """Makes the calls about one app or account; up to `max_concurrency` at a time."""

    def __init__(
        self,
        subject: App | Account,
        *,
        base_url: str,
        pool: ConnectionPool,
        limiter: RateLimiter,
        observer: CallObserver,
        server_clock: ServerClock,
    ) -> None:
        self._pool = pool
        self.max_concurrency = pool.size
        """How many calls can run at a time; more of them wait."""
        self._limiter = limiter
        self._server_clock = server_clock
        self.change(subject, base_url=base_url, observer=observer)

    def change(self, subject: App | Account, *, base_url: str, observer: CallObserver) -> None:
        """Make all further calls at another *base_url*, and count them for another *observer*."""
        account_id, name = segment(subject.account_id), subject.name
        self._root = f"{base_url.rstrip('/')}/accounts/{account_id}/realtime/kit"
        if isinstance(subject, App):
            self._root += f"/{segment(subject.app_id)}"
        self._fields = {"app" if isinstance(subject, App) else "account": name}
        self._log = CallLog(self._fields)
        self._unknown_statuses = UnknownStatusLog(name)
        self._malformed_fields = MalformedFieldLog(self._fields)
        self.observer = observer

    async def call(
        self,
        endpoint: str,
        path: str,
        parse: Callable[[int, bytes], Parsed[T]],
        context: PassContext,
        *,
        hooks: CallHooks = NO_HOOKS,
        counts_failure: bool = True,
    ) -> T:
        """
        Return what *parse* makes of the status and the body of the answer.

        A call whose kept connection was closed by the server is made again, once, with the same
        *hooks*. Raises ApiError, and counts it if *counts_failure*; RateLimitWait. A call that is
        not made is not counted.
        """
        connection = await self._pool.acquire()
        deadline, trace = math.inf, CallTrace(endpoint, path)

        async def attempt() -> Parsed[T]:
            nonlocal deadline
            async with self._limiter.acquire(context):
                # The time that the call waited for the rate limiter is not the API's fault.
                deadline = min(deadline, context.call_deadline(_now()))
                hooks.on_call()
                answer = await self._get(connection, trace, context.token, deadline)
                self._take_policies(answer, trace)
                hooks.on_answer(answer)
                return self._understood(answer, parse, context.token, trace)

        with self._failures_reported(trace, are_counted=counts_failure):
            try:
                parsed = await _again_if_stale(attempt)
            finally:
                self._pool.release(connection)
        self._log.succeeded(trace, parsed.value)
        self._report(parsed, path)
        return parsed.value

    @contextmanager
    def _failures_reported(self, trace: CallTrace, *, are_counted: bool) -> Iterator[None]:
        """Log a call that fails or is not made, and count its failure if they *are_counted*."""
        try:
            yield
        except RateLimitWait:
            self._log.postponed(trace)
            raise
        except ApiError as error:
            self._log.failed(trace, error)
            if are_counted:
                self.count_failure(trace.endpoint, error)
            raise

    def count_failure(self, endpoint: str, error: ApiError) -> None:
        """Count a call that failed, unless it was not made."""
        if not isinstance(error, Unreachable):
            self.observer.failed(endpoint, error.reason)

    async def _get(
        self, connection: Connection, trace: CallTrace, token: Secret, deadline: float
    ) -> Answer:
        endpoint, begun, code = trace.endpoint, _now(), NO_STATUS
        trace.attempts += 1
        try:
            answer = await connection.get(
                self._root + trace.path,
                token=token,
                deadline=deadline,
                largest_body_bytes=(
                    _LARGEST_PAGE_BYTES if endpoint in LISTS else LARGEST_BODY_BYTES
                ),
            )
            code = str(answer.status)
        finally:
            trace.code, trace.duration_seconds = code, (took_seconds := _now() - begun)
            self.observer.called(endpoint, code, took_seconds)
        return answer

    def _understood(
        self,
        answer: Answer,
        parse: Callable[[int, bytes], Parsed[T]],
        token: Secret,
        trace: CallTrace,
    ) -> Parsed[T]:
        """Return what *parse* makes of an answer, and learn the API's time from it."""
        parsed = _parsed(answer, parse, token)
        # A page of something in front of the API, which cannot be parsed, has another clock.
        date, age = answer.headers.get("Date"), answer.headers.get("Age")
        self._server_clock.observe(date, age=age, took_seconds=trace.duration_seconds)
        return parsed

    def _report(self, parsed: Parsed[T], path: str) -> None:
        """Count and log differences between an answer and the documentation."""
        if not parsed.malformed_fields and not parsed.unknown_statuses:
            return
        self.observer.malformed(parsed.malformed_fields)
        self._malformed_fields.log(parsed.malformed_fields)
        self._unknown_statuses.log(parsed.unknown_statuses)
        fields = {
            **self._fields,
            "path": path,
            "malformed": ",".join(parsed.malformed_fields),
            "unknown_status": ",".join(parsed.unknown_statuses),
        }
        logger.debug("API answer differs from its documentation", extra=fields)

    def _take_policies(self, answer: Answer, trace: CallTrace) -> None:
        """Let the limiter and the log know what the answer says about the rate limit."""
        try:
            policies = parse_policies(answer.headers)
        except MalformedHeader:
            self.observer.malformed((RATELIMIT_FIELD,))
            self._malformed_fields.log((RATELIMIT_FIELD,))
            return
        trace.observe(policies)
        self._limiter.observe(policies)

    def leave(self) -> None:
        """Make no more calls; the connections are for other apps."""
        self._pool.leave()

    async def close(self) -> None:
        """Close all connections; no call may be running."""
        await self._pool.close()


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _again_if_stale(attempt: Callable[[], Awaitable[T]]) -> T:
    """Return the result of *attempt*, made again if the server had closed the connection."""
    try:
        return await attempt()
    except ConnectionStale as stale:
        try:
            return await attempt()
        except (RateLimitWait, Unreachable):
            raise stale from None


def _parsed(answer: Answer, parse: Callable[[int, bytes], T], token: Secret) -> T:
    try:
        return parse(answer.status, answer.body)
    except ApiError as error:
        error.api_message = api_message(answer.body, token)
        is_unavailable = answer.status == HTTPStatus.SERVICE_UNAVAILABLE
        if isinstance(error, RateLimited) or (isinstance(error, ServerError) and is_unavailable):
            error.retry_after_seconds = retry_after_seconds(answer.headers, now=datetime.now(UTC))
        raise

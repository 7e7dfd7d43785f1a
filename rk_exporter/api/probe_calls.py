"""The calls of `check --probe`, which are few and stop after a refusal of all calls."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from rk_exporter.api.connection import Answer
from rk_exporter.api.probe_findings import is_size_refused
from rk_exporter.api.replies import Asked, NotAsked, Reply
from rk_exporter.model.errors import ApiError
from rk_exporter.ratelimit.limiter import RateLimiter, RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext


MOST_CALLS = 15
# A call is repeated if the API has closed a kept connection.
_MOST_CALLS_PER_QUESTION = 2


class ProbeClient(Protocol):
    """The part of the API client that makes the calls."""

    async def exchange(self, endpoint: str, path: str, context: PassContext) -> Answer:
        """Return the answer to a call, whatever it is."""
        ...


class ProbeCalls:
    """Makes the calls of one app, at most `MOST_CALLS`, and stops after a refusal of all."""

    def __init__(
        self,
        client: ProbeClient,
        limiter: RateLimiter,
        context: PassContext,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._limiter = limiter
        self._context = context
        self._clock = clock
        self._made_before = limiter.counts.made
        self.replies: list[Reply] = []
        """All answers and failures, in the order of the calls."""
        self.stopped: str | None = None
        """Why no further call is made."""

    @property
    def made(self) -> int:
        """Return how many calls were made, repeated ones included."""
        return self._limiter.counts.made - self._made_before

    async def ask(self, endpoint: str, path: str) -> Asked:
        """Return the answer to a GET of *path*, or why there was no call."""
        if self.made + _MOST_CALLS_PER_QUESTION > MOST_CALLS:
            return NotAsked(f"the probe makes at most {MOST_CALLS} calls")
        if self.stopped:
            return NotAsked(self.stopped)
        try:
            answer = await self._client.exchange(endpoint, path, self._context)
        except RateLimitWait:
            self.stopped = "the budget or the time allows no further call"
            return NotAsked(self.stopped)
        except ApiError as error:
            reply = Reply.failed(endpoint, error.failure, self._clock())
        else:
            reply = Reply.of(endpoint, answer, self._clock())
        self._stop_after(reply)
        self.replies.append(reply)
        return reply

    def _stop_after(self, reply: Reply) -> None:
        """Make no further call if it would certainly fail in the same way."""
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            self.stopped = reply.problem
        elif not any(earlier.status is not None for earlier in self.replies):
            if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                self.stopped = f"the API rejects the token ({reply.status})"
            elif reply.status is None and not is_size_refused(reply):
                self.stopped = reply.problem

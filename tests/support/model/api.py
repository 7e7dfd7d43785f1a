"""The simulated API of several apps, each with a story and troubles of its own."""

import asyncio
import math

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from rk_exporter.simulator import Simulator
from rk_exporter.simulator.api.responses import AUTHENTICATION_ERROR, gateway_error
from tests.support.model.journal import FINE, Called, Journal
from tests.support.model.stories import Story
from tests.support.model.troubles import Trouble, Troubled


LATENCY_SECONDS = 0.05
# Until calls are made again after the end of a quota.
_QUOTA_SECONDS = 5.0
QUOTA_LIMIT = 1200
_TOKEN = "simulated"
_WITH_ID = {"recordings": "recording", "meetings": "meeting"}


@dataclass(eq=False)
class Quota:
    """How many calls other clients of an app's user leave it *until* then (unix seconds)."""

    remaining: int
    until: float
    refused: int = 0
    said: set[int] = field(default_factory=set)
    """How many calls answers said are left."""

    def take(self, now: float) -> httpx.Response | None:
        """Count a call; return the refusal if none is left."""
        if self.remaining:
            self.remaining -= 1
            return None
        self.refused += 1
        headers = {"Retry-After": str(math.ceil(self.until - now)), **self.headers(now)}
        return httpx.Response(httpx.codes.TOO_MANY_REQUESTS, headers=headers, content=b"{}")

    def headers(self, now: float) -> dict[str, str]:
        """Return what answers say of it."""
        seconds = math.ceil(self.until - now)
        self.said.add(self.remaining)
        return {
            "Ratelimit": f'"default";r={self.remaining};t={seconds}',
            "Ratelimit-Policy": f'"default";q={QUOTA_LIMIT};w=300',
        }


@dataclass(eq=False)
class AppApi:
    """The API of one app: its *simulator*, and what it was asked."""

    story: Story
    simulator: Simulator
    token: str
    """The token that the API accepts; those of two apps belong to two users."""
    journal: Journal = field(default_factory=Journal)
    troubled: Troubled | None = None
    clear_since: float = 0.0
    """When the last trouble ended."""
    quota: Quota | None = None
    exact_from: float = 0.0
    """From when on nothing excuses an exposition that is wrong."""

    def is_in_doubt(self, status: int | None) -> bool:
        """Return whether the exporter may say that a call with this *status* has failed."""
        return self.troubled is not None or status not in FINE

    def begin(self, troubled: Troubled, now: float) -> None:
        """Let calls go wrong."""
        self.end(now)
        self.troubled = troubled
        if troubled.trouble is Trouble.GARBAGE_FIELDS:
            self.journal.has_malformed = True
        if troubled.fault:
            self.simulator.inject(troubled.meeting_id or "*", troubled.fault)

    def end(self, now: float) -> None:
        """Let all calls go well again."""
        self.simulator.clear()
        if self.troubled:
            self.exact_from = max(self.exact_from, now + self.troubled.recovery_seconds)
            self.troubled, self.clear_since = None, now

    def share(self, quota: Quota) -> None:
        """Let other clients leave few calls for a while."""
        # An exposition may show what an earlier answer has said.
        quota.said |= self.quota.said if self.quota else set()
        self.quota, self.clear_since = quota, quota.until
        self.exact_from = max(self.exact_from, quota.until + _QUOTA_SECONDS)


class Api:
    """The API of all apps; *now* returns unix seconds."""

    def __init__(self, stories: Mapping[str, Story], now: Callable[[], float]) -> None:
        self.now = now
        self.apps = {
            app_id: AppApi(story, self._simulator(story), app_id)
            for app_id, story in stories.items()
        }

    def _simulator(self, story: Story) -> Simulator:
        return Simulator(
            story.scenario,
            clock=self.now,
            token=_TOKEN,
            rate_limit=0,
            latency_seconds=LATENCY_SECONDS,
        )

    def client(self) -> httpx.AsyncClient:
        """Return a client whose requests this API answers."""
        return httpx.AsyncClient(transport=_Transport(self))

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a call, and write it into the journal of its app."""
        _, _, below = request.url.path.partition("/realtime/kit/")
        app_id, _, path = below.partition("/")
        app, asked_at, status, body = self.apps[app_id], self.now(), None, b""
        is_in_doubt = app.is_in_doubt(status=httpx.codes.OK)
        try:
            response = await self._answer(app, request, path)
            status, body = response.status_code, await response.aread()
        finally:
            is_in_doubt = is_in_doubt or app.is_in_doubt(status)
            called = Called(asked_at, _endpoint(path), status, is_in_doubt)
            app.journal.take(called, path, body, self.now())
        return httpx.Response(status, headers=response.headers.raw, stream=httpx.ByteStream(body))

    async def _answer(self, app: AppApi, request: httpx.Request, path: str) -> httpx.Response:
        """Return the answer to a call, completely read."""
        if request.headers["authorization"] != f"Bearer {app.token}":
            rejection = gateway_error(401, *AUTHENTICATION_ERROR).encode()
            return httpx.Response(rejection.status, content=rejection.body)
        request.headers["authorization"] = f"Bearer {_TOKEN}"
        now = self.now()
        quota = app.quota if app.quota and now < app.quota.until else None
        if quota and (refusal := quota.take(now)):
            return refusal
        answer = await self._answer_allowed(app, request, path)
        answer.headers.update(quota.headers(now) if quota else {})
        return answer

    async def _answer_allowed(
        self, app: AppApi, request: httpx.Request, path: str
    ) -> httpx.Response:
        troubled = self._trouble(app, path)
        if troubled and (replaced := troubled.before()):
            return replaced
        transport = httpx.ASGITransport(app=app.simulator)
        right = await transport.handle_async_request(request)
        body = await right.aread()
        if not troubled:
            return _copy(right, body)
        await asyncio.sleep(troubled.delay_seconds)
        return _copy(right, troubled.after(body))

    @staticmethod
    def _trouble(app: AppApi, path: str) -> Troubled | None:
        """Return the trouble with a call, unless the simulator makes it."""
        troubled = app.troubled
        if troubled is None or troubled.fault:
            return None
        is_concerned = troubled.meeting_id is None or path.endswith(f"/{troubled.meeting_id}")
        return troubled if is_concerned else None


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self, api: Api) -> None:
        self._api = api

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._api.answer(request)


def _copy(response: httpx.Response, body: bytes) -> httpx.Response:
    headers: Any = [(k, v) for k, v in response.headers.raw if k.lower() != b"content-length"]
    return httpx.Response(response.status_code, headers=headers, content=body)


def _endpoint(path: str) -> str:
    """Return the label `api_endpoint` of a call."""
    first, _, rest = path.partition("/")
    if rest.startswith("active-recording/"):
        return "active-recording"
    return _WITH_ID[first] if rest else first

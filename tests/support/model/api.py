"""The simulated API of several apps and an account, each with troubles of its own."""

import asyncio
import math

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from rk_exporter.simulator import Simulator
from rk_exporter.simulator.api.responses import AUTHENTICATION_ERROR, gateway_error
from tests.support.model.journal import FINE, Called, Journal
from tests.support.model.stories import Story
from tests.support.model.troubles import SHARED, Trouble, Troubled


# No bound of a histogram, because durations are rounded.
LATENCY_SECONDS = 0.04
# Until calls are made again after the end of a quota.
_QUOTA_SECONDS = 5.0
# After that, one call finds out whether there are more. If it fails, the next one comes later.
_PROBED_SECONDS = 10.0
# By then, others have had their turn.
_FAIR_SECONDS = 60.0
QUOTA_LIMIT = 1200
_TOKEN = "simulated"
ACCOUNT = "acme"
"""The account whose apps are found, and the first token of its user."""
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
class User:
    """A user, whose *token* the API accepts, and whose calls count together."""

    token: str
    calls: list[Called] = field(default_factory=list)
    quota: Quota | None = None
    members: list["AppApi"] = field(default_factory=list)
    """Those that are read with the token: an app, or an account and its apps."""

    @property
    def is_troubled(self) -> bool:
        """Return whether one of the members has a trouble that concerns all of them."""
        return any(x.troubled is not None and x.troubled.trouble in SHARED for x in self.members)

    def share(self, quota: Quota) -> None:
        """Let other clients leave few calls for a while."""
        # An exposition may show what an earlier answer has said.
        quota.said |= self.quota.said if self.quota else set()
        self.quota = quota
        for member in self.members:
            member.clear_since = quota.until
            member.excuse_until(quota.until + _QUOTA_SECONDS)

    def excuse_probe(self, now: float) -> None:
        """Excuse that a call has failed which was to find out whether more calls are left."""
        for member in self.members if self.quota else ():
            member.excuse_until(now + _PROBED_SECONDS + _QUOTA_SECONDS)

    def may_probe(self, now: float) -> bool:
        """Return whether all wait for a call of a troubled member, which fails."""
        is_recent = self.quota is not None and now < self.quota.until + _FAIR_SECONDS
        return is_recent and any(member.troubled for member in self.members)


@dataclass(eq=False)
class AppApi:
    """The API of one app, or of an account: its *simulator*, and what it was asked."""

    story: Story
    simulator: Simulator
    user: User
    journal: Journal = field(default_factory=Journal)
    troubled: Troubled | None = None
    clear_since: float = 0.0
    """When the last trouble ended."""
    exact_from: float = 0.0
    """From when on nothing excuses an exposition that is wrong."""

    def __post_init__(self) -> None:
        self.user.members.append(self)

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
            is_shared = self.troubled.trouble in SHARED
            for member in self.user.members if is_shared else (self,):
                member.excuse_until(now + self.troubled.recovery_seconds)
                member.clear_since = now
            self.troubled = None
            self.user.excuse_probe(now)

    def excuse_until(self, at: float) -> None:
        """Let expositions be wrong until then."""
        self.exact_from = max(self.exact_from, at)


class Api:
    """
    The API of all apps, and of an account; *now* returns unix seconds.

    Each app belongs to a user of its own, except those *in_account*, which belong to the account's.
    """

    def __init__(
        self,
        stories: Mapping[str, Story],
        now: Callable[[], float],
        *,
        in_account: Collection[str] = (),
    ) -> None:
        self.now = now
        user, nothing = User(ACCOUNT), Story((), (), ())
        self.account = AppApi(nothing, self._simulator(nothing), user)
        self.apps = {
            app_id: AppApi(
                story, self._simulator(story), user if app_id in in_account else User(app_id)
            )
            for app_id, story in stories.items()
        }
        self.list_apps(in_account)

    def list_apps(self, app_ids: Iterable[str]) -> None:
        """Let the account have these apps from now on."""
        simulator = self.account.simulator
        simulator.settings = replace(simulator.settings, apps=",".join(sorted(app_ids)))

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
        app, path = self._asked(below)
        asked_at, status, body = self.now(), None, b""
        is_in_doubt = app.is_in_doubt(status=httpx.codes.OK)
        try:
            response = await self._answer(app, request, path)
            status, body = response.status_code, await response.aread()
        finally:
            is_in_doubt = is_in_doubt or app.is_in_doubt(status)
            seconds = self.now() - asked_at
            called = Called(asked_at, _endpoint(path), status, is_in_doubt, seconds)
            app.user.calls.append(called)
            app.journal.take(called, path, body, self.now())
        return httpx.Response(status, headers=response.headers.raw, stream=httpx.ByteStream(body))

    def _asked(self, below: str) -> tuple[AppApi, str]:
        """Return what a call is about, and the rest of its path."""
        app_id, _, path = below.partition("/")
        return (self.apps[app_id], path) if path else (self.account, app_id)

    async def _answer(self, app: AppApi, request: httpx.Request, path: str) -> httpx.Response:
        """Return the answer to a call, completely read."""
        if request.headers["authorization"] != f"Bearer {app.user.token}":
            rejection = gateway_error(401, *AUTHENTICATION_ERROR).encode()
            return httpx.Response(rejection.status, content=rejection.body)
        request.headers["authorization"] = f"Bearer {_TOKEN}"
        now = self.now()
        quota = app.user.quota
        quota = quota if quota and now < quota.until else None
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

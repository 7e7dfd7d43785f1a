"""Parts put together for tests: an exporter that reads a simulator in this process."""

import asyncio
import math
import re
import time

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl, urlencode

import httpx

from rk_exporter.config.apps import TOKEN_VARIABLE
from rk_exporter.config.config import Config, load
from rk_exporter.config.sources import Setting
from rk_exporter.exporter import Exporter
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.limiter import LimitsByToken, RateLimiter
from rk_exporter.simulator import (
    Fault,
    Meeting,
    Recording,
    Scenario,
    ScriptedScenario,
    Session,
    Simulator,
)
from rk_exporter.snapshot import Snapshot
from tests.support import virtual_time


T = TypeVar("T")
P = ParamSpec("P")

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
APP = "2a95132c-1573-2412-d22c-16fd0a01e000"
NOW = 1_795_000_000.0
BASE_URL = "https://api.cloudflare.test/client/v4"

# Refusals and the rate limit hold all calls back; a shortened body is for the wire.
HOLDING_BACK = frozenset(
    {
        Fault.UNAUTHORIZED,
        Fault.FORBIDDEN,
        Fault.RATE_LIMITED,
        Fault.RATE_LIMITED_971_AS_500,
        Fault.TRUNCATED,
    }
)

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

SETTINGS: Mapping[str, str | list[str]] = {
    "account_id": ACCOUNT,
    "app_id": APP,
    "meeting_ids": ["meeting-1"],
    "api.base_url": BASE_URL,
    # Most tests are not about the budget: calls are plenty, and every scrape reads.
    "api.budget": "100000",
    "api.read": "active-recording",
    "scrape.min_interval": "0s",
}


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* in a loop of its own."""
    return asyncio.run(coroutine)


def settings(**changes: str | list[str]) -> dict[str, Setting]:
    """Return settings for a config, with *changes*; two underscores stand for a dot."""
    values = {**SETTINGS, **{key.replace("__", "."): value for key, value in changes.items()}}
    return {place: Setting(value, f"--{place}") for place, value in values.items()}


def config(**changes: str | list[str]) -> Config:
    """Return a config whose token is the simulator's."""
    return load(None, settings(**changes), {TOKEN_VARIABLE: "simulated"})


def in_process(application: Any) -> Callable[[], httpx.AsyncClient]:
    """Return a maker of clients that call *application* without a socket."""
    return lambda: httpx.AsyncClient(transport=httpx.ASGITransport(app=application))


def free_throttle() -> RateLimiter:
    """Return a throttle for tests that are not about the budget: it lets everything through."""
    return throttle_of(100_000, max_wait_seconds=math.inf)


def throttle_of(calls: int, *, max_wait_seconds: float = 0.0) -> RateLimiter:
    """Return a throttle that lets so many *calls* through at once."""
    token, lapse = Secret("simulated"), Lapse()
    limiter = RateLimiter(
        LimitsByToken(reserve_ratio=0.0, monotonic=lapse),
        token=token,
        budget=calls,
        clock=time.time,
        monotonic=lapse,
    )
    # A budget begins spent.
    lapse.seconds += 301
    limiter.begin_pass(token, interval_seconds=300.0, max_wait_seconds=max_wait_seconds)
    return limiter


def life(meeting_id: str = "meeting-1", **changes: Any) -> Recording:
    """Return a recording that was invoked at NOW and is uploaded 100 seconds later."""
    moments: dict[str, Any] = {
        "invoked_at": NOW,
        "started_at": NOW + 2,
        "paused": [(NOW + 30, NOW + 40)],
        "stopped_at": NOW + 60,
        "uploaded_at": NOW + 100,
        **changes,
    }
    return Recording.scripted(meeting_id, **moments)


class Time:
    """A clock that stands still until it is set."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return unix seconds."""
        return self.now


class Lapse:
    """A monotonic clock on which time has passed between scrapes, so that the budget is full."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return seconds."""
        return time.monotonic() + self.seconds


@dataclass(frozen=True, slots=True)
class Call:
    """A call as the API sees it: its *path* below the app's, and its *query*."""

    app_id: str
    path: str
    query: Mapping[str, str]


class Front:
    """
    An application before a simulator that notes all calls.

    *before* is told of each before it is answered, and *after* with the body of the answer, which
    then is *delayed* by so many seconds; of a call's query what is *ignored* is dropped.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.calls: list[Call] = []
        self.before: Callable[[Call], object] = lambda _: None
        self.after: Callable[[Call, bytes], object] = lambda *_: None
        self.delayed: Callable[[Call], float] = lambda _: 0.0
        self.ignored: frozenset[str] = frozenset()
        self._simulator = simulator

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let the simulator answer."""
        app_id, _, path = scope["path"].partition("/realtime/kit/")[2].partition("/")
        query = dict(parse_qsl(scope["query_string"].decode()))
        call = Call(app_id, path, query)
        self.calls.append(call)
        self.before(call)
        kept = {key: each for key, each in query.items() if key not in self.ignored}

        async def pass_on(message: Any) -> None:
            if message["type"] == "http.response.body":
                self.after(call, message["body"])
                await asyncio.sleep(self.delayed(call))
            await send(message)

        await self._simulator({**scope, "query_string": urlencode(kept).encode()}, receive, pass_on)

    def take(self) -> list[Call]:
        """Return the calls since the last time."""
        calls, self.calls = self.calls, []
        return calls


@dataclass
class Setup:
    """A simulator, an exporter that reads it, and the clock of both."""

    simulator: Simulator
    exporter: Exporter
    time: Time
    lapse: Lapse
    front: Front

    async def get(
        self, path: str = "/metrics", headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> httpx.Response:
        """Send a request to the exporter."""
        self.lapse.seconds += 300
        transport = httpx.ASGITransport(app=self.exporter.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            client.headers.pop("accept-encoding")
            return await client.request(method, path, headers=dict(headers or {}))


def setup(
    *recordings: Recording,
    meetings: Sequence[str | Meeting] = (),
    sessions: Iterable[Session] = (),
    linger_seconds: float = 1e9,
    configuration: Config | None = None,
    workers_per_app: int = 8,
    **simulator_options: Any,
) -> Setup:
    """Return a setup whose story is *recordings*, all of whose *meetings* are listed."""
    listed = meetings or sorted({each.meeting_id for each in recordings}) or ["meeting-1"]
    time = Time()
    lapse = Lapse()
    simulator = Simulator(
        ScriptedScenario(meetings=listed, recordings=recordings, sessions=sessions),
        clock=time,
        linger_seconds=linger_seconds,
        **{"rate_limit": 0, **simulator_options},
    )
    front = Front(simulator)
    ids = [each.id if isinstance(each, Meeting) else each for each in listed]
    exporter = Exporter(
        configuration or config(meeting_ids=ids),
        make_client=in_process(front),
        clock=time,
        monotonic=lapse,
        workers_per_app=workers_per_app,
    )
    return Setup(simulator, exporter, time, lapse, front)


class AtOnce(ThreadPoolExecutor):
    """Does at once what is submitted: no thread can tell a loop in virtual time that it is done."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call *fn*."""
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Stage:
    """A simulator, and an exporter that reads it, in virtual time that begins at NOW."""

    def __init__(
        self,
        story: Scenario,
        *,
        configuration: Config,
        workers_per_app: int = 8,
        **simulator_options: Any,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(AtOnce())
        self._begun_at: float | None = None
        self.ahead_seconds = 0.0
        """By how much the exporter's clock is wrong."""
        self.simulator = Simulator(
            story, clock=self.now, **{"rate_limit": 0, "linger_seconds": 600, **simulator_options}
        )
        self.front = Front(self.simulator)
        self._configuration = configuration
        self._workers_per_app = workers_per_app
        self.exporter = self._make_exporter()

    def _make_exporter(self) -> Exporter:
        return Exporter(
            self._configuration,
            make_client=in_process(self.front),
            clock=lambda: self.now() + self.ahead_seconds,
            monotonic=self._loop.time,
            workers_per_app=self._workers_per_app,
        )

    async def restart(self, *, is_killed: bool = False) -> None:
        """
        Put a new exporter in the place of the one that runs.

        One that *is_killed* has no time to write down what it has read since its last scrape.
        """
        file = self._configuration.state_file
        kept = file.read_bytes() if is_killed and file and file.exists() else None
        await self.exporter.close()
        if kept is not None and file:
            file.write_bytes(kept)
        self.exporter = self._make_exporter()

    def now(self) -> float:
        """Return unix seconds."""
        return NOW + self._loop.time()

    @property
    def scraped_at(self) -> float:
        """Return when the last scrape began, in unix seconds."""
        return NOW + (self._begun_at or 0.0)

    async def scrape(self, after: float = 15.0, *, timeout_seconds: float = 9.5) -> str:
        """Scrape *after* so many seconds since the last scrape began, at first at once."""
        snapshot = await self.look(after, timeout_seconds=timeout_seconds)
        return encode(self.exporter.families(snapshot), Format.TEXT).decode()

    async def look(self, after: float = 15.0, *, timeout_seconds: float = 9.5) -> Snapshot:
        """Do the same, but return what a scrape is answered from."""
        if self._begun_at is not None:
            await asyncio.sleep(self._begun_at + after - self._loop.time())
        self._begun_at = self._loop.time()
        return await self.exporter.scraper.scrape(timeout_seconds)

    async def scrapes(self, count: int, after: float = 15.0) -> list[str]:
        """Scrape so often, each *after* so many seconds."""
        return [await self.scrape(after) for _ in range(count)]


def play(
    scenario: Callable[[Stage], Awaitable[T]],
    *recordings: Recording,
    meetings: Iterable[str | Meeting] = (),
    sessions: Iterable[Session] = (),
    **options: Any,
) -> T:
    """Return what comes of a *scenario* with a story of *recordings*, in virtual time."""
    story = ScriptedScenario(meetings=meetings, recordings=recordings, sessions=sessions)
    return play_story(scenario, story, **options)


def play_story(scenario: Callable[[Stage], Awaitable[T]], story: Scenario, **options: Any) -> T:
    """Return what comes of a *scenario* with a *story*, in virtual time."""

    async def act() -> T:
        stage = Stage(story, **options)
        try:
            return await scenario(stage)
        finally:
            await stage.exporter.close()

    return virtual_time.run(act())


def samples(text: str, name: str) -> dict[str, float]:
    """Return the samples of the metric *name* in an exposition, by their labels as text."""
    found = {}
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        if series == name or series.startswith(f"{name}{{"):
            found[series.removeprefix(name)] = float(value)
    return found


def labelled(text: str, name: str) -> list[tuple[dict[str, str], float]]:
    """Return the samples of the metric *name* in an exposition, each with its labels."""
    found = samples(text, name).items()
    return [(dict(_LABEL.findall(series)), number) for series, number in found]


def by_meeting(text: str, name: str) -> dict[str, float]:
    """Return the samples of a metric that has one for each meeting, by its id."""
    return {labels["meeting_id"]: number for labels, number in labelled(text, name)}


def value(text: str, name: str, **labels: str) -> float | None:
    """Return the value of the one sample of *name* that has *labels*; None if there is none."""
    wanted = [f'{key}="{each}"' for key, each in labels.items()]
    matching = [
        number
        for series, number in samples(text, name).items()
        if all(pair in series for pair in wanted)
    ]
    assert len(matching) <= 1, f"{len(matching)} samples of {name} have {labels}"
    return matching[0] if matching else None

"""Builders for tests: an exporter that reads a simulator in this process."""

import asyncio
import math
import re
import time

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl, urlencode

import httpx

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.sources import Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.downloads.verifier import Fetch
from rk_exporter.exporter import Exporter
from rk_exporter.exporter.archives import ReaderFactory, bucket_reader
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import SlidingWindowBudget
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.clock import Clock
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
TOKEN = Secret("simulated")
BASE_URL = "https://api.cloudflare.test/client/v4"

# The first faults suspend all calls. TRUNCATED needs a real connection.
BLOCKING_FAULTS = frozenset(
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
    # Most tests are not about the budget: calls are plenty, and every scrape reads. A larger
    # budget would take up to 30 ms, because it remembers its calls one by one.
    "api.budget": "20000",
    "api.read": "active-recording",
    "scrape.min_interval": "0s",
}


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* in a loop of its own."""
    return asyncio.run(coroutine)


def settings(**changes: str | list[str]) -> dict[str, Setting]:
    """Return settings for a config, with *changes*; two underscores stand for a dot."""
    values = {**SETTINGS, **{key.replace("__", "."): value for key, value in changes.items()}}
    return {path: Setting(value, f"--{path}") for path, value in values.items()}


def config(**changes: str | list[str]) -> Config:
    """Return a config whose token is the simulator's."""
    return load(None, settings(**changes), {TOKEN_VARIABLE: "simulated"})


def in_process(application: Any) -> Callable[[], httpx.AsyncClient]:
    """Return a maker of clients that call *application* without a socket."""
    return lambda: httpx.AsyncClient(transport=httpx.ASGITransport(app=application))


def free_limiter(token: Secret = TOKEN) -> RateLimiter:
    """Return a rate limiter for tests that are not about the budget: all calls pass."""
    # A budget of 100,000 would take 30 ms, because it remembers its calls one by one.
    return limiter_of(10_000, token)


def limiter_of(calls: int, token: Secret = TOKEN) -> RateLimiter:
    """Return a rate limiter that lets this number of *calls* pass without waiting."""
    clock = Time()
    budget = SlidingWindowBudget(calls, now=clock.monotonic(), reserve_ratio=0.0)
    clock.fill_budget()
    return RateLimiter(BudgetGroup(budget, monotonic=clock.monotonic), token=token)


def pass_context(
    *,
    token: Secret = TOKEN,
    deadline: float = math.inf,
    call_timeout_seconds: float = 5.0,
    wait_until: float = math.inf,
    interval_seconds: float = 300.0,
) -> PassContext:
    """Return the context of a pass that has time for everything."""
    return PassContext(
        token=token,
        deadline=deadline,
        call_timeout_seconds=call_timeout_seconds,
        wait_until=wait_until,
        interval_seconds=interval_seconds,
    )


def scripted(meeting_id: str = "meeting-1", **changes: Any) -> Recording:
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


class Time(Clock):
    """A clock whose wall time stops until it is set; its monotonic time can be advanced."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self._advanced_seconds = 0.0

    def __call__(self) -> float:
        """Return unix seconds."""
        return self.now

    def wall(self) -> float:
        """Return unix seconds."""
        return self.now

    def monotonic(self) -> float:
        """Return the machine's seconds, and those by which this clock was advanced."""
        return time.monotonic() + self._advanced_seconds

    def advance(self, seconds: float) -> None:
        """Let time pass, by both clocks."""
        self.now += seconds
        self._advanced_seconds += seconds

    def fill_budget(self) -> None:
        """Let monotonic time pass until a new budget, of which most is used up, is full."""
        self._advanced_seconds += 301.0


class VirtualClock(Clock):
    """The clock of a loop in virtual time that begins at *starts_at* unix seconds."""

    def __init__(self, starts_at: float = NOW) -> None:
        self._loop = asyncio.get_running_loop()
        self._starts_at = starts_at
        self.ahead_seconds = 0.0
        """By how much the wall time is wrong."""

    def true_time(self) -> float:
        """Return the right unix seconds."""
        return self._starts_at + self._loop.time()

    def wall(self) -> float:
        """Return unix seconds."""
        return self.true_time() + self.ahead_seconds

    def monotonic(self) -> float:
        """Return the loop's seconds."""
        return self._loop.time()


@dataclass(frozen=True, slots=True)
class Call:
    """A call as the API sees it: its *path* below the app's, and its *query*."""

    app_id: str
    path: str
    query: Mapping[str, str]


class ApiProxy:
    """
    A proxy in front of a simulator that records all calls.

    It calls *before* with each call, and *after* with the call and the body of its answer. Then it
    waits for *delayed* seconds before it sends the answer. It drops *ignored* query parameters, and
    replaces those in *changed*. Calls for *hidden* paths are for something that does not exist. It
    answers itself with what *instead* returns for a call: a status and a body. While the network
    *is_unplugged*, no connection opens, and it counts the *attempts*.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.calls: list[Call] = []
        self.before: Callable[[Call], object] = lambda _: None
        self.after: Callable[[Call, bytes], object] = lambda *_: None
        self.delayed: Callable[[Call], float] = lambda _: 0.0
        self.ignored: frozenset[str] = frozenset()
        self.changed: Mapping[str, str] = {}
        self.hidden: frozenset[str] = frozenset()
        self.instead: Callable[[Call], tuple[int, bytes] | None] = lambda _: None
        self.is_unplugged = False
        self.attempts = 0
        self._simulator = simulator

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let the simulator answer."""
        app_id, _, path = scope["path"].partition("/realtime/kit/")[2].partition("/")
        query = dict(parse_qsl(scope["query_string"].decode()))
        call = Call(app_id, path, query)
        self.calls.append(call)
        self.before(call)
        if answer := self.instead(call):
            status, body = answer
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": body})
            return
        kept = {key: text for key, text in query.items() if key not in self.ignored}
        kept |= {key: text for key, text in self.changed.items() if key in kept}

        async def pass_on(message: Any) -> None:
            if message["type"] == "http.response.body":
                self.after(call, message["body"])
                await asyncio.sleep(self.delayed(call))
            await send(message)

        sent = {**scope, "query_string": urlencode(kept).encode()}
        if path in self.hidden:
            sent["raw_path"] = scope["raw_path"].partition(b"?")[0] + b"-hidden"
        await self._simulator(sent, receive, pass_on)

    def new_calls(self) -> list[Call]:
        """Return the calls since the last time, or since the start."""
        calls, self.calls = self.calls, []
        return calls


class _Network(httpx.ASGITransport):
    """The network between an exporter and a proxy in this process."""

    def __init__(self, proxy: ApiProxy) -> None:
        super().__init__(proxy)
        self._proxy = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, unless the network is unplugged."""
        if self._proxy.is_unplugged:
            self._proxy.attempts += 1
            trace = request.extensions["trace"]
            await trace("connection.connect_tcp.started", {"host": request.url.host})
            raise httpx.ConnectError("unplugged")
        return await super().handle_async_request(request)


def _client_of(proxy: ApiProxy) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=_Network(proxy))


@dataclass
class Setup:
    """A simulator, an exporter that reads it, and the clock of both."""

    simulator: Simulator
    exporter: Exporter
    time: Time
    proxy: ApiProxy

    async def get(
        self, path: str = "/metrics", headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> httpx.Response:
        """Send a request to the exporter."""
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
    make_reader: ReaderFactory = bucket_reader,
    fetch: Fetch | None = None,
    **simulator_options: Any,
) -> Setup:
    """Return a setup that reads *recordings*, with all their *meetings* in its configuration."""
    listed = meetings or sorted({recording.meeting_id for recording in recordings}) or ["meeting-1"]
    clock = Time()
    simulator = Simulator(
        ScriptedScenario(meetings=listed, recordings=recordings, sessions=sessions),
        clock=clock.wall,
        linger_seconds=linger_seconds,
        **{"rate_limit": 0, **simulator_options},
    )
    proxy = ApiProxy(simulator)
    ids = [meeting.id if isinstance(meeting, Meeting) else meeting for meeting in listed]
    exporter = Exporter(
        configuration or config(meeting_ids=ids),
        make_client=partial(_client_of, proxy),
        fetch=fetch,
        clock=clock,
        workers_per_app=workers_per_app,
        make_reader=make_reader,
    )
    clock.fill_budget()
    return Setup(simulator, exporter, clock, proxy)


class ImmediateExecutor(ThreadPoolExecutor):
    """Runs functions immediately: a thread could not wake a loop in virtual time."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call *fn*."""
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Simulation:
    """A simulator, and an exporter that reads it, in virtual time that begins at NOW."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        configuration: Config,
        workers_per_app: int = 8,
        fetch: Fetch | None = None,
        **simulator_options: Any,
    ) -> None:
        self._fetch = fetch
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ImmediateExecutor())
        self._begun_at: float | None = None
        self.clock = VirtualClock()
        self.simulator = Simulator(
            scenario,
            clock=self.now,
            **{"rate_limit": 0, "linger_seconds": 600, **simulator_options},
        )
        self.proxy = ApiProxy(self.simulator)
        self._configuration = configuration
        self._workers_per_app = workers_per_app
        self.exporter = self._make_exporter()

    def _make_exporter(self) -> Exporter:
        return Exporter(
            self._configuration,
            make_client=partial(_client_of, self.proxy),
            fetch=self._fetch,
            clock=self.clock,
            workers_per_app=self._workers_per_app,
        )

    async def restart(
        self, configuration: Config | None = None, *, is_killed: bool = False
    ) -> None:
        """
        Replace the running exporter by a new one, perhaps with another *configuration*.

        An exporter that *is_killed* does not save what it has read since its last scrape.
        """
        file = self._configuration.state_file
        kept = file.read_bytes() if is_killed and file and file.exists() else None
        await self.exporter.close()
        if kept is not None and file:
            file.write_bytes(kept)
        self._configuration = configuration or self._configuration
        self.exporter = self._make_exporter()

    async def reload(self, configuration: Config) -> None:
        """Let the running exporter take another configuration."""
        self._configuration = configuration
        await self.exporter.change(self.exporter.prepare(configuration))

    def now(self) -> float:
        """Return unix seconds."""
        return self.clock.true_time()

    @property
    def scraped_at(self) -> float:
        """Return when the last scrape began, in unix seconds."""
        return NOW + (self._begun_at or 0.0)

    async def scrape(self, after: float = 15.0, *, timeout_seconds: float = 9.5) -> str:
        """Scrape *after* seconds from the start of the last scrape, or immediately."""
        snapshot = await self.scrape_snapshot(after, timeout_seconds=timeout_seconds)
        return encode(self.exporter.families(snapshot), Format.TEXT).decode()

    async def scrape_snapshot(
        self, after: float = 15.0, *, timeout_seconds: float = 9.5
    ) -> Snapshot:
        """Scrape as `scrape` does, but return the snapshot that answers the scrape."""
        if self._begun_at is not None:
            await asyncio.sleep(self._begun_at + after - self._loop.time())
        self._begun_at = self._loop.time()
        return await self.exporter.collector.scrape(timeout_seconds)

    async def scrapes(self, count: int, after: float = 15.0) -> list[str]:
        """Scrape *count* times, *after* seconds each; return all expositions."""
        return [await self.scrape(after) for _ in range(count)]

    async def last_scrape(self, count: int, after: float = 15.0) -> str:
        """
        Scrape *count* times, *after* seconds each; return the last exposition.

        To write an exposition costs more than all the rest, so the others are not written.
        """
        for _ in range(count - 1):
            await self.scrape_snapshot(after)
        return await self.scrape(after)


def simulate(
    steps: Callable[[Simulation], Awaitable[T]],
    *recordings: Recording,
    meetings: Iterable[str | Meeting] = (),
    sessions: Iterable[Session] = (),
    **options: Any,
) -> T:
    """Run *steps* in virtual time, on a simulation with *recordings*; return their result."""
    scenario = ScriptedScenario(meetings=meetings, recordings=recordings, sessions=sessions)
    return simulate_scenario(steps, scenario, **options)


def simulate_scenario(
    steps: Callable[[Simulation], Awaitable[T]], scenario: Scenario, **options: Any
) -> T:
    """Run *steps* in virtual time, on a simulation with a *scenario*; return their result."""

    async def run_steps() -> T:
        simulation = Simulation(scenario, **options)
        try:
            return await steps(simulation)
        finally:
            await simulation.exporter.close()

    return virtual_time.run(run_steps())


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
    wanted = [f'{key}="{label}"' for key, label in labels.items()]
    matching = [
        number
        for series, number in samples(text, name).items()
        if all(pair in series for pair in wanted)
    ]
    assert len(matching) <= 1, f"{len(matching)} samples of {name} have {labels}"
    return matching[0] if matching else None

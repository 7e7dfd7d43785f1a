"""Parts put together for tests: an exporter that reads a simulator in this process."""

import asyncio

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from rk_exporter.config import TOKEN_VARIABLE, Config, Setting, load
from rk_exporter.exporter import Exporter
from rk_exporter.simulator import Recording, ScriptedStory, Simulator


T = TypeVar("T")

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
APP = "2a95132c-1573-2412-d22c-16fd0a01e000"
NOW = 1_795_000_000.0
BASE_URL = "https://api.cloudflare.test/client/v4"

SETTINGS: Mapping[str, str | list[str]] = {
    "account_id": ACCOUNT,
    "app_id": APP,
    "meeting_ids": ["meeting-1"],
    "api.base_url": BASE_URL,
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


@dataclass
class Setup:
    """A simulator, an exporter that reads it, and the clock of both."""

    simulator: Simulator
    exporter: Exporter
    time: Time

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
    meetings: list[str] | None = None,
    linger_seconds: float = 1e9,
    configuration: Config | None = None,
    workers_per_app: int = 8,
    **simulator_options: Any,
) -> Setup:
    """Return a setup whose story is *recordings*, all of whose *meetings* are listed."""
    listed = meetings or sorted({each.meeting_id for each in recordings}) or ["meeting-1"]
    time = Time()
    simulator = Simulator(
        ScriptedStory(meetings=listed, recordings=recordings),
        clock=time,
        linger_seconds=linger_seconds,
        **simulator_options,
    )
    exporter = Exporter(
        configuration or config(meeting_ids=listed),
        make_client=in_process(simulator),
        clock=time,
        workers_per_app=workers_per_app,
    )
    return Setup(simulator, exporter, time)


def samples(text: str, name: str) -> dict[str, float]:
    """Return the samples of the metric *name* in an exposition, by their labels as text."""
    found = {}
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        if series == name or series.startswith(f"{name}{{"):
            found[series.removeprefix(name)] = float(value)
    return found


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

"""The demo: the exporter on an embedded simulated API, with what happens told as it happens."""

import asyncio
import time

from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rk_exporter import assets
from rk_exporter.config.apps import TOKEN_VARIABLE
from rk_exporter.config.config import Config, load
from rk_exporter.config.parsers import Address
from rk_exporter.config.sources import Setting
from rk_exporter.demo import stack as demo_stack
from rk_exporter.demo.stack import RunningStack, Stack
from rk_exporter.exporter import Exporter
from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Recording
from rk_exporter.simulator import DEMO_PACE, GeneratedScenario, Simulator
from rk_exporter.snapshot import Snapshot
from rk_exporter.web.server import Listener, bind, serve


MEETING_COUNT = 12
# As many finished recordings as a page can show without being long.
_MAX_RECORDINGS = "50"
_LOOK_EVERY_SECONDS = 3.0
# A budget begins spent; a newcomer should not wait for it.
_BUDGET = "30000"
# Cloudflare's own is 1,200: a newcomer who scrapes in a loop should not end up blocked.
_RATE_LIMIT = 60_000
_NO_RECORDING = "no recording"


@dataclass(frozen=True, slots=True)
class StackAddresses:
    """Where Prometheus and Alertmanager are to listen."""

    prometheus: Address
    alertmanager: Address


async def run(
    *,
    seed: int,
    exporter_address: Address,
    simulator_address: Address,
    stack_addresses: StackAddresses | None,
    say: Callable[[str], None],
) -> None:
    """
    Run simulator and exporter until a signal comes; *say* shows a line to the user.

    With *stack_addresses* Prometheus and Alertmanager run beside them. Raises AddressError and
    StackError.
    """
    story = GeneratedScenario(seed, MEETING_COUNT, time.time(), DEMO_PACE)
    simulator = Simulator(story, rate_limit=_RATE_LIMIT)
    meetings = tuple(Meeting(each.id, each.title) for each in story.meetings())
    with bind(simulator_address) as simulator_socket, bind(exporter_address) as exporter_socket:
        stack = _prepared(stack_addresses)
        simulated = Listener(simulator, simulator_socket, date_header=False)
        exporter = Exporter(_config(f"{simulated.url}/client/v4", meetings))
        exporting = Listener(exporter.application, exporter_socket)
        told = partial(welcome, exporter_url=exporting.url, simulator_url=simulated.url, seed=seed)
        try:
            # The servers first: they listen to signals from then on.
            await _until_one_ends(
                serve([simulated, exporting]),
                _show(exporter, say, told=told, stack=stack, target=_target(exporting.url)),
            )
        except BrokenPipeError:
            pass  # nobody looks at it any more
        finally:
            await exporter.close()


def _prepared(addresses: StackAddresses | None) -> Stack | None:
    if addresses is None:
        return None
    return demo_stack.prepare(
        prometheus_address=addresses.prometheus, alertmanager_address=addresses.alertmanager
    )


def _target(exporter_url: str) -> str:
    return exporter_url.removeprefix("http://")


async def _until_one_ends(*programs: Coroutine[Any, Any, None]) -> None:
    """Run all until the first has ended, then end the others; raise what one raised."""
    tasks = [asyncio.create_task(each) for each in programs]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.wait(tasks)
    for each in (*ended, *tasks):
        if not each.cancelled():
            each.result()


async def _show(
    exporter: Exporter,
    say: Callable[[str], None],
    *,
    told: Callable[[RunningStack | None], str],
    stack: Stack | None,
    target: str,
) -> None:
    """Tell what there is to see, and what happens; with a *stack* once that is ready."""
    async with AsyncExitStack() as running:
        its_stack: RunningStack | None = None
        if stack is not None:
            started = demo_stack.started(stack, target=target)
            its_stack = await running.enter_async_context(started)
        say(told(its_stack))
        failures = its_stack.failures() if its_stack else ()
        await _until_one_ends(_tell(exporter, say), *failures)


def welcome(stack: RunningStack | None, *, exporter_url: str, simulator_url: str, seed: int) -> str:
    """Return what a newcomer needs to know."""
    return f"""\
rk-exporter   {exporter_url}/metrics
simulated API {simulator_url}  ({MEETING_COUNT} meetings, seed {seed}, token `simulated`)
{_with_prometheus(_target(exporter_url)) if stack is None else _with_stack(stack)}
Or try:  curl -s {exporter_url}/metrics | grep 'rk_recording_status.* 1.0'

What the exporter sees (Ctrl-C ends it):
"""


def _with_prometheus(target: str) -> str:
    return f"""\

To see it in Prometheus, put this into prometheus.yml (or let --stack start one):

scrape_configs:
  - job_name: {assets.DEFAULT_JOB}
    scrape_interval: {demo_stack.SCRAPE_INTERVAL}
    static_configs:
      - targets: ["{target}"]
"""


def _with_stack(stack: RunningStack) -> str:
    return f"""\
Prometheus    {stack.alerts_url}  (the first fire after about two minutes)
Alertmanager  {stack.alertmanager_url}  (it sends nothing)
"""


def changes(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """Return a line for each meeting whose recording is in another state than before."""
    old = _states(before)
    for name, state in _states(after).items():
        was = old.get(name)
        if was != state:
            yield f"{name:32} {state if was is None else f'{was} -> {state}'}"


def _states(snapshot: Snapshot) -> dict[str, str]:
    states: dict[str, str] = {
        reading.meeting.name: _NO_RECORDING
        for app in snapshot.apps
        for reading in app.readings
        if reading.recordings is not None
    }
    for app in snapshot.apps:
        for known in sorted(app.recordings, key=lambda each: _invoked_at(each.recording)):
            states[known.meeting.name] = known.recording.status
    return states


def _invoked_at(recording: Recording) -> float:
    return recording.invoked_timestamp_seconds or 0.0


async def _tell(exporter: Exporter, say: Callable[[str], None]) -> None:
    before = exporter.scraper.snapshot
    while True:
        after = await exporter.scraper.scrape(_LOOK_EVERY_SECONDS)
        for line in changes(before, after):
            say(f"{time.strftime('%H:%M:%S')}  {line}")
        before = after
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


def _config(base_url: str, meetings: tuple[Meeting, ...]) -> Config:
    given: dict[str, str | list[str]] = {
        "account_id": "demo-account",
        "app_id": "demo",
        "meeting_ids": [meeting.meeting_id for meeting in meetings],
        # Who is in them shows only so.
        "meetings.discover": "true",
        "api.base_url": base_url,
        "api.budget": _BUDGET,
        "scrape.min_interval": "1s",
        "follow.max_recordings": _MAX_RECORDINGS,
    }
    settings = {place: Setting(value, "the demo") for place, value in given.items()}
    config = load(None, settings, {TOKEN_VARIABLE: "simulated"})
    named = tuple(replace(app, meetings=meetings) for app in config.apps)
    return replace(config, apps=named)

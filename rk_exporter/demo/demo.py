"""The demo: the exporter on an embedded simulated API, and lines about what it sees."""

import asyncio
import time

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from rk_exporter.assets.job import DEFAULT_JOB
from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.parsers import Address
from rk_exporter.config.sources import Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.demo import stack as demo_stack
from rk_exporter.demo.stack import RunningStack
from rk_exporter.demo.webhooks import demo_webhooks
from rk_exporter.exporter import Exporter
from rk_exporter.model.meeting import Meeting
from rk_exporter.simulator import DEMO_PACE, GeneratedScenario, Simulator
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.web.server import Listener, serve
from rk_exporter.web.sockets import bind


_StackContext = AbstractAsyncContextManager[RunningStack]
MEETING_COUNT = 12
_POLL_INTERVAL_SECONDS = 3.0
# Cloudflare's own limit is 1,200. Newcomers who scrape in a loop must not get blocked.
_RATE_LIMIT = 60_000
QUERIES = {
    "rk_recording_status == 1": "current state of each recording",
    "count by (status) (rk_recording_status == 1)": "number of recordings in each state",
    "sort(rk_recording_download_url_expires_in_seconds / 86400)": "days until each file expires",
}


class Addresses(NamedTuple):
    """The addresses that the demo listens on; the last two only with a stack."""

    web: tuple[Address, ...]
    simulator: Address
    webhook: Address | None
    """For webhooks; None switches them off."""
    prometheus: Address
    alertmanager: Address


async def run(
    seed: int, addresses: Addresses, *, has_stack: bool, show: Callable[[str], None]
) -> None:
    """
    Run simulator and exporter until SIGTERM or SIGINT; *show* prints a line for the user.

    With a stack, also run Prometheus and Alertmanager. Raises AddressError and StackError.
    """
    scenario = GeneratedScenario(seed, MEETING_COUNT, time.time(), DEMO_PACE)
    simulator = Simulator(scenario, rate_limit=_RATE_LIMIT)
    meetings = tuple(Meeting(meeting.id, meeting.title) for meeting in scenario.meetings())
    async with AsyncExitStack() as bound:
        api_socket = bound.enter_context(bind(addresses.simulator))
        sockets = [bound.enter_context(bind(address)) for address in addresses.web]
        api = Listener(simulator, api_socket, date_header=False)
        exporter = Exporter(_config(api.url, meetings, addresses.webhook))
        bound.push_async_callback(exporter.close)
        webhooks = await bound.enter_async_context(
            demo_webhooks(exporter, simulator, addresses.webhook)
        )
        listeners = [Listener(exporter.application, socket) for socket in sockets]
        # A server that stops closes its socket, which then has no address any more.
        target, urls = str(listeners[0].address.reachable), webhooks.urls
        text = partial(welcome, target=target, simulator_url=api.url, seed=seed, webhook_urls=urls)
        stack: _StackContext = nullcontext(RunningStack(_without_stack(target)))
        if has_stack:
            programs = demo_stack.prepare(addresses.prometheus, addresses.alertmanager)
            stack = demo_stack.started(programs, target=target)
        # The servers start first, because they handle signals.
        servers = serve([api, *listeners, *webhooks.listeners])
        shown = _show_all(exporter, show, text, stack)
        # Nobody may read the output any more.
        with suppress(BrokenPipeError):
            await until_one_ends(servers, shown, *map(webhooks.send, urls))


async def until_one_ends(*programs: Coroutine[Any, Any, None]) -> None:
    """Run all programs until one ends, then cancel the others; raise the error of any."""
    tasks = [asyncio.create_task(program) for program in programs]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in (*ended, *tasks):
        if not task.cancelled():
            task.result()


async def _show_all(
    exporter: Exporter,
    show: Callable[[str], None],
    text: Callable[[str], str],
    context: _StackContext,
) -> None:
    """Show the welcome and each change while the stack runs."""
    async with context as stack:
        show(text(stack.text))
        failures = [process.fail_when_it_ends() for process in stack.processes]
        await until_one_ends(_show_changes(exporter, show), *failures)


def welcome(
    about_prometheus: str,
    *,
    target: str,
    simulator_url: str,
    seed: int,
    webhook_urls: Sequence[str] = (),
) -> str:
    """Return what a newcomer needs to know."""
    webhooks = "".join(
        f"webhooks      {url}  (the simulated API signs and sends events)\n" for url in webhook_urls
    )
    count = (
        f"How many events arrived:  curl -s http://{target}/metrics | grep '^rk_webhook_'\n"
        if webhook_urls
        else ""
    )
    width = max(map(len, QUERIES))
    queries = "\n".join(f"  {query:{width}}  # {text}" for query, text in QUERIES.items())
    return f"""\
rk-exporter   http://{target}/metrics
status page   http://{target}/
simulated API {simulator_url}  ({MEETING_COUNT} meetings, seed {seed}, token `simulated`)
{webhooks}{about_prometheus}
Three queries to try in Prometheus:

{queries}

Or without Prometheus:  curl -s http://{target}/metrics | grep '^rk_recordings{{'
{count}
What the exporter sees (stop with Ctrl-C):
"""


def _without_stack(target: str) -> str:
    return f"""\

To scrape it, add this to prometheus.yml (--stack starts a Prometheus for you):

scrape_configs:
  - job_name: {DEFAULT_JOB}
    scrape_interval: {demo_stack.SCRAPE_INTERVAL}
    static_configs:
      - targets: ["{target}"]
"""


def changes(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """Return a line for each meeting whose recording has changed its state."""
    old = _states(before)
    for name, state in _states(after).items():
        old_state = old.get(name)
        if state != old_state:
            yield f"{name:32} {state if old_state is None else f'{old_state} -> {state}'}"


def _states(snapshot: Snapshot) -> dict[str, str]:
    """Return the state of the newest recording of each meeting, by the meeting's name."""
    states: dict[str, str] = {
        reading.meeting.name: "no recording"
        for app in snapshot.apps
        for reading in app.readings
        if reading.recordings is not None
    }
    for app in snapshot.apps:
        for known in sorted(app.recordings, key=_invoked_at):
            states[known.meeting.name] = known.recording.status
    return states


def _invoked_at(known: KnownRecording) -> float:
    return known.recording.invoked_timestamp_seconds or 0.0


async def _show_changes(exporter: Exporter, show: Callable[[str], None]) -> None:
    before = exporter.collector.snapshot
    while True:
        after = await exporter.collector.scrape(_POLL_INTERVAL_SECONDS)
        for line in changes(before, after):
            show(f"{time.strftime('%H:%M:%S')}  {line}")
        before = after
        await asyncio.sleep(_POLL_INTERVAL_SECONDS)


def _config(api_url: str, meetings: tuple[Meeting, ...], webhook: Address | None) -> Config:
    values: dict[str, str | list[str]] = {
        "account_id": "demo-account",
        "app_id": "demo",
        "meeting_ids": [meeting.meeting_id for meeting in meetings],
        # Adds the metrics of participants.
        "meetings.discover": "true",
        "api.base_url": f"{api_url}/client/v4",
        # A new exporter may make a small part of its budget's calls; newcomers must not wait.
        "api.budget": "30000",
        "scrape.min_interval": "1s",
    }
    settings = {path: Setting(value, "the demo") for path, value in values.items()}
    config = load(None, settings, {TOKEN_VARIABLE: "simulated"})
    named_apps = tuple(replace(app, meetings=meetings) for app in config.apps)
    return replace(
        config,
        apps=named_apps,
        webhook_address=webhook,
        webhook_key_url=f"{api_url}/.well-known/webhooks.json",
    )

"""A simulated fleet: an exporter of a simulated account; simulated hours take seconds."""

import asyncio
import contextlib
import itertools
import math
import time

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.sources import Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.exporter import Exporter
from rk_exporter.simulator import Scenario, Session, Simulator
from tests.support import virtual_time
from tests.support.building import VirtualClock
from tests.support.changes import VisibilityRecorder, recordings_between
from tests.support.observer import Observer, Outcome
from tests.support.truth import Truth
from tests.support.webhooks import KEY_URL, WebhookSimulation


STARTS_AT = 1_795_000_000.0
LATENCY_SECONDS = 0.05
SCRAPE_TIMEOUT_SECONDS = 9.5
"""Prometheus's default of 10 s, minus the offset of the exporter."""

Event: TypeAlias = tuple[float, Callable[[Simulator], None]]
"""A change of the simulated API, and its time in seconds after the start."""

_SETTINGS: Mapping[str, str | list[str]] = {
    "account_id": "023e105f4ecef8ad9ca31a8372d0c353",
    "app_id": "2a95132c-1573-2412-d22c-16fd0a01e000",
    "api.base_url": "https://api.cloudflare.test/client/v4",
}


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A server that scrapes each *interval_seconds*, starting after *phase_seconds*."""

    interval_seconds: float = 15.0
    phase_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """
    The events of a fleet.

    Changes count for *seconds*, after *warm_up_seconds* in which the exporter reads all of its
    meetings; in the *cool_down_seconds* at the end the last changes may still be seen.
    """

    settings: Mapping[str, str | list[str]] = field(default_factory=dict)
    """Options by their path in a configuration file, e.g. `api.budget`."""
    scrapers: tuple[Prometheus, ...] = (Prometheus(),)
    seconds: float = 3600.0
    warm_up_seconds: float = 300.0
    cool_down_seconds: float = 30.0
    killed_each_seconds: float = math.inf
    """How long an exporter runs; the next one starts without its state."""
    lists_meetings: bool = True
    """Whether the configuration lists all meetings of the scenario."""
    simulator: Mapping[str, Any] = field(default_factory=dict)
    """More arguments for the `Simulator`."""
    events: Sequence[Event] = ()
    sends_webhooks: bool = False
    """Whether the simulated API sends webhooks to the exporter."""

    @property
    def total_seconds(self) -> float:
        """The length of the course."""
        return self.warm_up_seconds + self.seconds + self.cool_down_seconds


def run_fleet(scenario: Scenario, course: Course) -> Outcome:
    """Run an exporter of an account like *scenario* through *course*, in virtual time."""
    begun = time.perf_counter()

    async def drive() -> _Run:
        run = _Run(scenario, course)
        await run.drive()
        return run

    run = virtual_time.run(drive())
    return run.outcome(took_seconds=time.perf_counter() - begun)


def fleet_config(scenario: Scenario, course: Course) -> Config:
    """Return the configuration of a fleet's exporter."""
    values = {**_SETTINGS, **course.settings}
    if course.sends_webhooks:
        values |= {"webhook.listen_address": ":0", "webhook.public_key_url": KEY_URL}
    if course.lists_meetings:
        values["meeting_ids"] = [meeting.id for meeting in scenario.meetings()]
    settings = {path: Setting(value, f"--{path}") for path, value in values.items()}
    return load(None, settings, {TOKEN_VARIABLE: "simulated"})


def _observer(scenario: Scenario, course: Course) -> Observer:
    ends_at = STARTS_AT + course.total_seconds
    recordings = recordings_between(scenario, STARTS_AT, ends_at)
    watched = recordings
    if not course.lists_meetings:
        # Discovery does not find recordings that go on after their session has ended.
        sessions = {session.id: session for session in scenario.sessions(ends_at)}
        watched = [
            recording
            for recording in recordings
            if _ends_after(sessions.get(recording.session_id or ""), STARTS_AT)
        ]
    counted_from = STARTS_AT + course.warm_up_seconds
    recorder = VisibilityRecorder(
        watched, counted_from=counted_from, counted_until=counted_from + course.seconds
    )
    truth = Truth(recordings, before=scenario.recordings(STARTS_AT))
    most_recordings = fleet_config(scenario, course).follow_max_recordings
    return Observer(recorder, truth, most_recordings=most_recordings)


def _ends_after(session: Session | None, at: float) -> bool:
    return session is not None and (session.ended_at is None or session.ended_at > at)


class _Run:
    """One fleet on its course."""

    def __init__(self, scenario: Scenario, course: Course) -> None:
        self._loop = asyncio.get_running_loop()
        self._course = course
        self._config = fleet_config(scenario, course)
        options: dict[str, Any] = {"latency_seconds": LATENCY_SECONDS, **course.simulator}
        self._simulator = Simulator(scenario, clock=self._clock, **options)
        self._exporter = self._start()
        self._observer = _observer(scenario, course)
        self._own_tasks: set[asyncio.Task[Any] | None] = {asyncio.current_task()}
        self._lost_scrapes = 0

    async def drive(self) -> None:
        """Run the course."""
        for after_seconds, happen in self._course.events:
            self._loop.call_later(after_seconds, happen, self._simulator)
        workers = [self._scrape_on(scraper) for scraper in self._course.scrapers]
        workers.append(self._kill_on(self._course.killed_each_seconds))
        async with contextlib.AsyncExitStack() as stack:
            if self._course.sends_webhooks:
                webhooks = WebhookSimulation(self._exporter, self._simulator, self._clock)
                await stack.enter_async_context(webhooks.sending())
            group = await stack.enter_async_context(asyncio.TaskGroup())
            self._own_tasks |= {group.create_task(worker) for worker in workers}
        await self._exporter.close()

    def outcome(self, *, took_seconds: float) -> Outcome:
        """Return the result."""
        return self._observer.outcome(
            self._simulator.requests, lost_scrapes=self._lost_scrapes, took_seconds=took_seconds
        )

    def _clock(self) -> float:
        return STARTS_AT + self._loop.time()

    def _start(self) -> Exporter:
        transport = httpx.ASGITransport(app=self._simulator)
        return Exporter(
            self._config,
            make_client=lambda: httpx.AsyncClient(transport=transport),
            clock=VirtualClock(STARTS_AT),
        )

    async def _scrape_on(self, scraper: Prometheus) -> None:
        due = scraper.phase_seconds
        while due < self._course.total_seconds:
            await asyncio.sleep(due - self._loop.time())
            await self._scrape()
            # Scrapes that became due during this one are skipped.
            passed = self._loop.time() - scraper.phase_seconds
            rounds = math.floor(passed / scraper.interval_seconds) + 1
            due = scraper.phase_seconds + rounds * scraper.interval_seconds

    async def _scrape(self) -> None:
        begun_at = self._clock()
        # This task belongs to the exporter, and must die with it.
        scrape = self._loop.create_task(self._exporter.collector.scrape(SCRAPE_TIMEOUT_SECONDS))
        await asyncio.wait([scrape])
        if scrape.cancelled():
            self._lost_scrapes += 1
        else:
            self._observer.observe(scrape.result(), begun_at, self._clock())

    async def _kill_on(self, each_seconds: float) -> None:
        for number in itertools.count(1):
            if number * each_seconds >= self._course.total_seconds:
                return
            await asyncio.sleep(number * each_seconds - self._loop.time())
            for task in asyncio.all_tasks() - self._own_tasks:
                task.cancel()
            self._exporter = self._start()
            self._observer.restart()

"""Exporters in known states, and what they expose."""

import asyncio

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

from rk_exporter.archive.reader import BucketReader
from rk_exporter.collector.app_webhook import Notice
from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.downloads.hosts import DownloadRules
from rk_exporter.downloads.verdict import Answer
from rk_exporter.metrics.config_reload import ConfigReloadMetrics
from rk_exporter.metrics.event_loop import EventLoopMetrics
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.web_config import WebConfigMetrics
from rk_exporter.metrics.webhooks import WebhookEvents
from rk_exporter.model.recording import Status
from rk_exporter.model.secret import Secret
from rk_exporter.model.shard import Shard
from rk_exporter.runtime.event_loop_lag import EventLoopLag
from rk_exporter.simulator import Fault, Recording, Session
from rk_exporter.webhooks.events import EventName
from rk_exporter.webhooks.receiver import Result
from tests.support.building import (
    BLOCKING_FAULTS,
    NOW,
    ImmediateExecutor,
    Setup,
    config,
    run,
    scripted,
    setup,
)


T = TypeVar("T")
PLENTY = 100_000
TWO_APPS = """\
account_id: 023e105f4ecef8ad9ca31a8372d0c353
api: {budget: 100000, read: active-recording}
scrape: {min_interval: 0s}
state: {file: state.json}
apps:
  - name: telehealth
    app_id: 2a95132c-1573-2412-d22c-16fd0a01e000
    api_token_env: TOKEN
    meetings:
      ids:
        - {id: invoked, name: "Ward round \\"3\\""}
        - recording
        - paused
        - uploading
        - uploaded
        - errored
        - idle
        - idle
      files: [meetings.txt]
      discover: true
  - app_id: 7f0c5d2e-0000-4000-8000-000000000001
    api_token_env: TOKEN
    meetings: {ids: [no-bucket, several, track]}
"""
# Seconds before NOW at which each recording below is seen in another state than before.
LOOKS = (80, 69, 68.5, 45, 22, 12, 0)


def every_state(now: float = NOW) -> list[Recording]:
    """Return one recording for each state at *now*."""
    return [
        scripted(
            "invoked",
            invoked_at=now,
            started_at=None,
            paused=(),
            stopped_at=None,
            uploaded_at=None,
        ),
        scripted("recording", invoked_at=now - 10, started_at=now - 8.5, paused=()),
        scripted("paused", invoked_at=now - 31, started_at=now - 29, paused=[(now - 1, None)]),
        scripted(
            "uploading", invoked_at=now - 70, started_at=now - 68, paused=(), stopped_at=now - 10
        ),
        scripted(
            "uploaded",
            invoked_at=now - 70,
            started_at=now - 68,
            paused=[(now - 50, now - 40)],
            stopped_at=now - 20,
            uploaded_at=now - 5,
            audio=True,
        ),
        scripted(
            "track",
            invoked_at=now - 70,
            started_at=now - 66,
            paused=(),
            stopped_at=now - 41,
            uploaded_at=now - 6,
            track=True,
            stop_reason="API_CALL",
        ),
        scripted(
            "errored",
            invoked_at=now - 70,
            started_at=None,
            paused=(),
            stopped_at=None,
            uploaded_at=None,
            errored_at=now - 60,
        ),
        scripted(
            "no-bucket",
            invoked_at=now - 70,
            started_at=now - 68,
            paused=(),
            stopped_at=now - 20,
            uploaded_at=now - 5,
            bucket_enabled=False,
            zero_duration=True,
            stop_reason="INTERNAL_ERROR",
        ),
        scripted("several", invoked_at=now - 70, started_at=now - 68, stopped_at=None, paused=()),
        scripted("several", invoked_at=now - 5, started_at=now - 3, stopped_at=None, paused=()),
    ]


def two_apps(folder: Path) -> Config:
    file = folder / "rk.yml"
    file.write_text(TWO_APPS)
    (folder / "meetings.txt").write_text("from-file\n")
    return load(file, {}, {"TOKEN": "simulated"})


def full(folder: Path) -> Setup:
    vanishing = scripted("idle", invoked_at=NOW - 79, started_at=NOW - 77, vanishes_at=NOW - 68.7)
    return setup(
        *every_state(),
        vanishing,
        sessions=[Session("session", "live", NOW - 90)],
        configuration=two_apps(folder),
        linger_seconds=0,
        active_as_list=True,
        rate_limit=PLENTY,
    )


def sharded(folder: Path) -> Setup:
    return setup(configuration=replace(two_apps(folder), shard=Shard(0, 2)))


def of_account(folder: Path) -> Setup:
    file = folder / "account.yml"
    file.write_text("accounts: [{account_id: acme, api_token_env: TOKEN}]\n")
    return setup(configuration=load(file, {}, {"TOKEN": "simulated"}))


def failing(folder: Path) -> Setup:
    system = full(folder)
    every_fault = [fault for fault in Fault if fault not in {*BLOCKING_FAULTS, Fault.HANG}]
    ids = [meeting.id for meeting in system.simulator.scenario.meetings()]
    for meeting_id, fault in zip(ids, every_fault, strict=False):
        system.simulator.inject(meeting_id, fault)
    return system


def rate_limited(folder: Path) -> Setup:
    system = full(folder)
    system.simulator.inject("*", Fault.RATE_LIMITED)
    return system


def archived() -> str:
    """Return what the second scrape shows if the copies of the recordings are looked for."""
    system = setup(
        *every_state(),
        configuration=config(
            meeting_ids=[recording.meeting_id for recording in every_state()],
            downloads__archive__bucket="our-recordings",
        ),
        make_reader=lambda bucket, clock: BucketReader(
            bucket, clock=clock, lister=lambda _: iter([[("a", 1)]]), start=lambda work: work()
        ),
    )

    async def twice() -> str:
        await system.get()
        return (await system.get()).text

    return finish(system, twice)


def verifying() -> str:
    """Return what an exporter shows that has found a file that is too short."""

    async def fetch(_url: Secret, _rules: DownloadRules) -> Answer:
        return Answer(206, 1000, b"ID3")

    async def until_checked() -> str:
        text = ""
        while "rk_recording_download_verified{" not in text:
            text = (await system.get()).text
        return text

    recording = every_state()[4]
    configuration = config(meeting_ids=["uploaded"], downloads__verify="true")
    system = setup(recording, configuration=configuration, fetch=fetch)
    return finish(system, until_checked)


def finish(system: Setup, steps: Callable[[], Awaitable[T]]) -> T:
    """Run *steps* with a disk that is never slow, close the exporter and return their result."""

    async def run_steps() -> T:
        asyncio.get_running_loop().set_default_executor(ImmediateExecutor())
        try:
            return await steps()
        finally:
            await system.exporter.close()

    return run(run_steps())


def scrape(system: Setup, form: Format = Format.TEXT) -> str:
    """Return what the first scrape shows."""

    async def once() -> str:
        return (await system.get(headers={"Accept": form.value})).text

    return finish(system, once)


def current(system: Setup) -> str:
    """Return all current values, also those of counters that scrapers see later."""
    exporter = system.exporter
    return encode(exporter.families(exporter.collector.snapshot), Format.TEXT).decode()


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A configuration that was reloaded at NOW."""

    last_reload_successful: bool = True
    last_success_timestamp_seconds: float = NOW


def serving_metrics() -> str:
    """Return the metrics that only a process shows that serves."""
    reloaded = Reloaded()
    sources = (
        ConfigReloadMetrics(reloaded),
        WebConfigMetrics(reloaded),
        EventLoopMetrics(EventLoopLag()),
    )
    families = chain.from_iterable(source.collect() for source in sources)
    return encode(families, Format.TEXT).decode()


def announced() -> str:
    """Return the exposition of an exporter after a webhook has announced a change."""
    recording = scripted()
    system = setup(recording, configuration=config(webhook__listen_address=":0"))
    notice = Notice((recording.meeting_id,), recording.id, Status.RECORDING)

    async def steps() -> str:
        system.time.now += 5
        (parts,) = system.exporter.parts.values()
        assert parts.webhook
        assert parts.webhook.take(notice, finds_meetings=False)
        return (await system.get()).text

    events = WebhookEvents(events=EventName, results=Result)
    return finish(system, steps) + encode(events.collect(), Format.TEXT).decode()


def watched(system: Setup, form: Format = Format.TEXT) -> str:
    """Return the exposition at NOW, after earlier scrapes that observed each change."""

    async def steps() -> str:
        text = ""
        for seconds in LOOKS:
            system.time.now = NOW - seconds
            text = (await system.get(headers={"Accept": form.value})).text
        return text

    return finish(system, steps)

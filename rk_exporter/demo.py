"""The demo: the exporter on an embedded simulated API, with what happens told as it happens."""

import asyncio
import time

from collections.abc import Callable, Iterator
from dataclasses import replace

from rk_exporter.config import TOKEN_VARIABLE, Config, Setting, load
from rk_exporter.exporter import Exporter
from rk_exporter.option_values import Address
from rk_exporter.recordings import Meeting, Recording
from rk_exporter.server import Listener, bind, serve
from rk_exporter.simulator import DEMO_PACE, Simulator, improvise
from rk_exporter.snapshot import Snapshot


MEETING_COUNT = 12
# As many finished recordings as a page can show without being long.
_MAX_RECORDINGS = "50"
_LOOK_EVERY_SECONDS = 3.0

# A budget begins spent; a newcomer should not wait for it.
_BUDGET = "30000"

_NO_RECORDING = "no recording"


async def run(
    *, seed: int, exporter_address: Address, simulator_address: Address, say: Callable[[str], None]
) -> None:
    """
    Run simulator and exporter until a signal comes; *say* shows a line to the user.

    Raises AddressError.
    """
    story = improvise(seed, MEETING_COUNT, time.time(), DEMO_PACE)
    # Without the API's limit: a newcomer who scrapes in a loop should not end up blocked.
    simulator = Simulator(story, rate_limit=0)
    meetings = tuple(Meeting(each.id, each.title) for each in story.meetings())
    with bind(simulator_address) as simulator_socket, bind(exporter_address) as exporter_socket:
        simulated = Listener(simulator, simulator_socket, date_header=False)
        exporter = Exporter(_config(f"{simulated.url}/client/v4", meetings))
        exporting = Listener(exporter.application, exporter_socket)
        say(welcome(exporter_url=exporting.url, simulator_url=simulated.url, seed=seed))
        try:
            async with asyncio.TaskGroup() as together:
                telling = together.create_task(_tell(exporter, say))
                await serve([simulated, exporting])
                telling.cancel()
        except* BrokenPipeError:
            pass  # nobody looks at it any more
        finally:
            await exporter.close()


def welcome(*, exporter_url: str, simulator_url: str, seed: int) -> str:
    """Return what a newcomer needs to know, a prometheus.yml among it."""
    target = exporter_url.removeprefix("http://")
    return f"""\
rk-exporter   {exporter_url}/metrics
simulated API {simulator_url}  ({MEETING_COUNT} meetings, seed {seed}, token `simulated`)

To see it in Prometheus, put this into prometheus.yml:

scrape_configs:
  - job_name: rk-exporter
    scrape_interval: 5s
    static_configs:
      - targets: ["{target}"]

Or try:  curl -s {exporter_url}/metrics | grep 'rk_recording_status.* 1.0'

What the exporter sees (Ctrl-C ends it):
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
        "api.base_url": base_url,
        "api.budget": _BUDGET,
        "scrape.min_interval": "1s",
        "follow.max_recordings": _MAX_RECORDINGS,
    }
    settings = {place: Setting(value, "the demo") for place, value in given.items()}
    config = load(None, settings, {TOKEN_VARIABLE: "simulated"})
    named = tuple(replace(app, meetings=meetings) for app in config.apps)
    return replace(config, apps=named)

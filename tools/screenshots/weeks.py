"""What the exporter shows of three apps through weeks, in simulated time; always the same."""

import logging

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bench.history import stamped, with_labels
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.model.meeting import Meeting
from rk_exporter.simulator import REAL_PACE, GeneratedScenario, Pace
from tests.support.building import NOW, Simulation, config, simulate_scenario


HOUR = 3600
# Other shares of recordings fail in each app, so that one misses its objective.
APPS: Mapping[str, Pace] = {
    "production": replace(REAL_PACE, errored_share=0.001, short_share=0.001),
    "telehealth": replace(REAL_PACE, errored_share=0.012, short_share=0.004),
    "exams": replace(REAL_PACE, errored_share=0.004, short_share=0.0, stuck_uploading_share=0.015),
}
_MEETINGS = 40
# Twice in an hour. No upload of this pace that is not stuck takes an hour. The delays of the last
# day are in a table, so they are more exact.
_PASS_SECONDS, _LAST_PASS_SECONDS = 1800, 600
_EXACT_HOURS = 25
# What the totals of the rules need. The rest would be a thousand times as much.
_COUNTED = (
    "rk_recordings_finished",
    "rk_recording_start_delay_seconds",
    "rk_recording_upload_delay_seconds",
    "rk_recorded_seconds",
    "rk_recorded_bytes",
)
BEGIN = (int(NOW) // HOUR + 1) * HOUR


def pages(app: str, lasting: timedelta) -> Iterator[bytes]:
    """Yield the counters of each hour with timestamps, and everything at the end."""
    seed = list(APPS).index(app)
    scenario = GeneratedScenario(seed, _MEETINGS, NOW, APPS[app])
    hours = lasting // timedelta(hours=1)

    async def steps(simulation: Simulation) -> list[bytes]:
        # The first pass is at a full hour.
        await simulation.scrape_snapshot()
        await simulation.scrape_snapshot(BEGIN - NOW)
        found = [_counters(simulation)]
        for left in range(hours, 0, -1):
            seconds = _LAST_PASS_SECONDS if left <= _EXACT_HOURS else _PASS_SECONDS
            for _ in range(HOUR // seconds):
                await simulation.scrape_snapshot(seconds)
            found.append(_counters(simulation))
        found[-1] = await _everything(simulation)
        return found

    configuration = config(
        app_id=app,
        meeting_ids=[meeting.id for meeting in scenario.meetings()],
        meetings__discover="true",
        api__read="list",
        follow__max_recordings="100",
    )
    meetings = tuple(Meeting(meeting.id, meeting.title) for meeting in scenario.meetings())
    apps = tuple(replace(app, meetings=meetings) for app in configuration.apps)
    named = replace(configuration, apps=apps)
    texts = simulate_scenario(steps, scenario, configuration=named)
    labels = {"job": "rk-exporter", "instance": f"{app}:10058"}
    for number, text in enumerate(texts):
        yield with_labels(stamped(text, str(BEGIN + number * HOUR)), labels)


def write_pages(app: str, lasting: timedelta, file: Path) -> None:
    """Write all pages into a file that promtool reads."""
    # The messages of an exporter in simulated time would look like those of the demo.
    logging.disable()
    with file.open("wb") as output:
        output.writelines(pages(app, lasting))
        output.write(b"# EOF\n")


def _counters(simulation: Simulation) -> bytes:
    exporter = simulation.exporter
    families = exporter.families(exporter.collector.snapshot)
    return encode((family for family in families if family.name in _COUNTED), Format.TEXT)


async def _everything(simulation: Simulation) -> bytes:
    exporter = simulation.exporter
    text = encode(exporter.families(exporter.collector.snapshot), Format.TEXT)
    # What Prometheus and the process itself would add.
    return text + f"up 1\nprocess_start_time_seconds {NOW}\n".encode()

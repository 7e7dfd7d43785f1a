"""Helpers for tests of the state file: configurations, the file's content, and series."""

import json

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rk_exporter.config.config import Config
from rk_exporter.exporter import Exporter
from rk_exporter.simulator import Recording, Simulator
from tests.support.building import NOW, ApiProxy, Simulation, config, in_process, samples, scripted


HISTOGRAMS = ("rk_recording_start_delay_seconds", "rk_recording_upload_delay_seconds")
STARTED = "rk_recordings_started_total"
FINISHED = "rk_recordings_finished_total"
COUNTERS = (
    STARTED,
    FINISHED,
    "rk_recording_transitions_total",
    "rk_recordings_dropped_total",
    *(f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "count", "sum")),
)
WRITTEN = "rk_state_file_last_write_successful"
WRITTEN_AT = "rk_state_file_last_write_success_timestamp_seconds"

# One recording for each way to end, and for each state without an end.
RECORDINGS = [
    Recording.scripted(
        "before",
        invoked_at=NOW - 300,
        started_at=NOW - 298,
        stopped_at=NOW - 200,
        uploaded_at=NOW - 150,
    ),
    scripted("uploaded"),
    scripted("errored", uploaded_at=None, stopped_at=None, errored_at=NOW + 50),
    scripted("running", stopped_at=None, uploaded_at=None),
    scripted("paused", paused=[(NOW + 50, None)], stopped_at=None, uploaded_at=None),
    Recording.scripted("invoked", invoked_at=NOW + 110),
]
MEETINGS = ["idle", *(recording.meeting_id for recording in RECORDINGS)]


def series(text: str, names: Iterable[str] = COUNTERS) -> dict[str, float]:
    """Return the samples of the metrics *names* in an exposition, by series."""
    return {
        f"{name}{labels}": number
        for name in names
        for labels, number in samples(text, name).items()
    }


def counts(text: str) -> tuple[float, float]:
    """Return how many recordings have started and finished, according to an exposition."""
    return sum(samples(text, STARTED).values()), sum(samples(text, FINISHED).values())


def with_state_file(path: Path, **changes: str | list[str]) -> Config:
    """Return a config with a state file at *path*, which may be of a subclass of Path."""
    return replace(config(**{"api__budget": "5000", **changes}), state_file=path)


def read_state(path: Path) -> Any:
    """Return the JSON document in a state file."""
    return json.loads(path.read_bytes())


def saved_counts(path: Path) -> tuple[float, float]:
    """Return how many recordings have started and finished, according to one app's state file."""
    (app,) = read_state(path)["apps"]
    counters = app["past"]["tally"]
    return counters["started"], sum(counters["finished"].values())


def rewrite(path: Path, change: Callable[[Any], object]) -> None:
    """Apply a *change* to the JSON document in a state file."""
    document = read_state(path)
    change(document)
    path.write_text(json.dumps(document))


def file_version(path: Path) -> tuple[int, int]:
    """Return a value that changes when the file is replaced."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def wait_for_change(path: Path, before: tuple[int, int]) -> None:
    """Wait until the file's version is no longer *before*."""
    while file_version(path) == before:
        pass


async def restart(
    simulation: Simulation,
    configuration: Config,
    *,
    simulator: Simulator | None = None,
    between: Callable[[], object] = lambda: None,
) -> None:
    """Replace the exporter of *simulation* by a new one; call *between* while none is running."""
    await simulation.exporter.close()
    between()
    simulation.exporter = Exporter(
        configuration,
        make_client=in_process(ApiProxy(simulator) if simulator else simulation.proxy),
        clock=simulation.clock,
    )

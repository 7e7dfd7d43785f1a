"""A scenario with everything that the dashboards show, and an exporter's configuration for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dashboards.expressions import CHECK, EMPTY, EXPIRES, FAILED, STUCK
from rk_exporter.simulator import (
    Fault,
    Meeting,
    Recording,
    Scenario,
    ScriptedScenario,
    Session,
    Simulator,
)
from tests.support.building import Time, scripted


APPS = ("telehealth", "proctoring")
"""The token of the second app is rejected."""
ENVIRONMENT = {"TELEHEALTH_TOKEN": "simulated", "PROCTORING_TOKEN": "forbidden"}
WHOLE_LIFE = "whole-life"
"""The meeting whose recording, the latest one, goes through all states in the scenario."""
BREAKS = "breaks"
"""The meeting that can be read until a test injects a fault. "broken" can never be read."""
WAITING = "waiting"
"""The meeting whose recording was INVOKED shortly before the end of the scenario."""
STEP_SECONDS = 10.0
STEPS = ("INVOKED", "RECORDING", "PAUSED", "UPLOADING", "UPLOADED")
"""The states of that recording, one per step."""
TROUBLES = {
    "stuck": STUCK,
    "stuck-uploading": STUCK,
    "errored": FAILED,
    "fails": FAILED,
    "empty": EMPTY,
    "paused": CHECK,
    "odd": CHECK,
    "expiring": EXPIRES,
}
"""The trouble levels of the meetings' recordings at the end of the scenario, if they are not 0."""

_PLENTY = 100_000
_HOUR, _DAY = 3600.0, 86_400.0
_NOTHING: dict[str, Any] = {
    "started_at": None,
    "paused": (),
    "stopped_at": None,
    "uploaded_at": None,
}


def simulator(clock: Time) -> Simulator:
    """Return a simulated API that reports rate limits and runs on this clock."""
    begin = clock.now
    scenario = ScriptedScenario(
        meetings=["idle", "broken", BREAKS, Meeting("unrecorded", record_on_start=True)],
        recordings=[*_that_stay(begin), *_that_change(begin)],
        sessions=[
            Session("live", "unrecorded", begin - 300, live_participants=3),
            Session("also-live", WHOLE_LIFE, begin - 300),
        ],
    )
    simulator = Simulator(scenario, clock=clock, rate_limit=_PLENTY, burst_limit=_PLENTY)
    simulator.inject("broken", Fault.SERVER_ERROR)
    simulator.inject("odd", Fault.UNKNOWN_STATUS)
    simulator.inject("garbled", Fault.GARBAGE_FIELDS)
    return simulator


def write_configuration(
    folder: Path, scenario: Scenario, api: str, *, files: str | None = None
) -> Path:
    """
    Write an exporter's configuration and a meeting file into a folder.

    It verifies downloads if there is a URL of *files* on this machine.
    """
    (folder / "meetings.yml").write_text("- {id: from-file, name: weekly review}\n")
    # The exporter discovers the live meeting. The others are configured.
    listed = [meeting.id for meeting in scenario.meetings() if meeting.id != "unrecorded"]
    of_app = {
        "telehealth": {"ids": listed, "files": ["meetings.yml"], "discover": True},
        "proctoring": {"ids": ["exam"]},
    }
    configuration: dict[str, Any] = {
        "account_id": "account",
        "apps": [
            {
                "name": app,
                "app_id": app,
                "api_token_env": f"{app.upper()}_TOKEN",
                "meetings": meetings,
            }
            for app, meetings in of_app.items()
        ],
        "api": {"base_url": f"{api}/client/v4", "budget": _PLENTY},
        "scrape": {"min_interval": "0s"},
        "state": {"file": "state.json"},
    }
    if files:
        hosts = {"allowed_hosts": [files.removeprefix("https://")]}
        configuration["downloads"] = {"verify": True, "allow_private_addresses": True, **hosts}
    file = folder / "rk.yml"
    file.write_text(yaml.safe_dump(configuration))
    return file


def _that_stay(begin: float) -> Sequence[Recording]:
    """Return recordings that keep their initial state."""

    def began(meeting_id: str, ago: float, **later: Any) -> Recording:
        moments = {**_NOTHING, "started_at": begin - ago + 2, **later}
        return scripted(meeting_id, invoked_at=begin - ago, **moments)

    ended = {"stopped_at": begin - _HOUR, "uploaded_at": begin - _HOUR + 60}
    return [
        began("stuck", 600, started_at=None),
        began(WAITING, 1, started_at=None),
        began("recording", 0.5 * _HOUR),
        began("endless", 23 * _HOUR),
        began("paused", 0.5 * _HOUR, paused=[(begin - 60, None)]),
        began("uploading", 0.5 * _HOUR, stopped_at=begin - 30),
        began("stuck-uploading", 3 * _HOUR, stopped_at=begin - 2 * _HOUR),
        began("uploaded", 2 * _HOUR, **ended, audio=True),
        began("own-bucket", 2 * _HOUR, **ended, bucket_enabled=False, storage_type="aws"),
        began("track", 2 * _HOUR, **ended, track=True),
        began("empty", 2 * _HOUR, **ended, file_size_bytes=0),
        began(
            "expiring",
            6.6 * _DAY,
            stopped_at=begin - 6.5 * _DAY,
            uploaded_at=begin - 6.5 * _DAY + 60,
        ),
        began("errored", 2 * _HOUR, started_at=None, errored_at=begin - 2 * _HOUR + 60),
        began("odd", 0.5 * _HOUR),
        began("garbled", 0.5 * _HOUR),
    ]


def _that_change(begin: float) -> Sequence[Recording]:
    """Return recordings that start during the scenario and end in every possible way."""
    whole = scripted(
        WHOLE_LIFE,
        invoked_at=begin + 1,
        started_at=begin + STEP_SECONDS + 1,
        paused=[(begin + 2 * STEP_SECONDS + 1, None)],
        stopped_at=begin + 3 * STEP_SECONDS + 1,
        uploaded_at=begin + 4 * STEP_SECONDS + 1,
    )
    fails = {**_NOTHING, "errored_at": begin + 3 * STEP_SECONDS}
    vanishes = {
        **_NOTHING,
        "started_at": begin + STEP_SECONDS,
        "vanishes_at": begin + 2 * STEP_SECONDS,
    }
    return [
        whole,
        scripted("fails", invoked_at=begin + 0.5, **fails),
        scripted("vanishes", invoked_at=begin + 0.5, **vanishes),
    ]

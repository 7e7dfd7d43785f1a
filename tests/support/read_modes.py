"""Configurations and recordings for tests of the two read modes."""

import logging
import os

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.config.config import Config
from rk_exporter.simulator import Fault, Recording
from tests.support.building import (
    NOW,
    Call,
    Simulation,
    config,
    labelled,
)


def ids(count: int) -> list[str]:
    return [f"meeting-{number:03}" for number in range(count)]


def list_config(*meeting_ids: str, **changes: Any) -> Config:
    """Return a config that reads the list."""
    return config(**{"meeting_ids": list(meeting_ids), "api__read": "list", **changes})


def running(meeting_id: str, **changes: Any) -> Recording:
    """Return a recording that never ends, unless *changes* set an end."""
    moments = {"invoked_at": NOW - 60, "started_at": NOW - 58, **changes}
    return Recording.scripted(meeting_id, **moments)


def states(text: str) -> dict[str, str]:
    """Return the state of each recording, by its meeting's id."""
    shown = labelled(text, "rk_recording_status")
    return {labels["meeting_id"]: labels["status"] for labels, number in shown if number}


def paths(calls: Sequence[Call]) -> list[str]:
    """Return the status filter of calls that have one, and the path of the other calls."""
    return [call.query.get("status", call.path) for call in calls]


def failing(simulation: Simulation, status: str) -> Callable[[Call], None]:
    """Return a hook that lets the calls for one status fail."""

    def fail(call: Call) -> None:
        if call.query.get("status") == status:
            simulation.simulator.inject("*", Fault.SERVER_ERROR, times=1)

    return fail


def read_mode(text: str) -> str:
    ((labels, _),) = labelled(text, "rk_app_info")
    return labels["read"]


def messages(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in records(log)]


def records(log: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the log records about the read mode."""
    return [record for record in log.records if record.name == "rk_exporter.collector.read_mode"]


def written(path: Path, meeting_ids: Sequence[str]) -> str:
    """Write a file of meetings with an old timestamp, and return its name."""
    path.write_text("\n".join(meeting_ids) or "[]")
    os.utime(path, (NOW - 1e8, NOW - 1e8))
    return str(path)

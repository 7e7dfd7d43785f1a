import asyncio

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from rk_exporter.collector.reads import CallReader, MeetingRead, RecordingRead
from rk_exporter.model.errors import ApiError, ApiTimeout, ServerError
from rk_exporter.model.failure import Failure
from rk_exporter.model.meeting import Meeting
from rk_exporter.simulator import Fault
from rk_exporter.simulator import Recording as SimulatedRecording
from tests.support.building import (
    NOW,
    Call,
    Simulation,
    VirtualClock,
    config,
    pass_context,
    simulate,
    value,
)
from tests.support.virtual_time import run


T = TypeVar("T")
MEETING = Meeting("weekly", "weekly")


class FailingClient:
    """An API client whose calls all fail after some seconds."""

    max_concurrency = 1

    def __init__(self, error: ApiError, seconds: float) -> None:
        self._error = error
        self._seconds = seconds

    async def _fail(self, *_: Any, **__: Any) -> Any:
        await asyncio.sleep(self._seconds)
        raise self._error

    active_recordings = recording = recordings_page = _fail
    live_sessions_page = record_on_start = _fail

    async def close(self) -> None:
        pass


def read(call: Callable[[CallReader], Awaitable[T]], error: ApiError, *, seconds: float = 1.0) -> T:
    """Return the result of a call that fails after *seconds*, in a pass of 5 s."""

    async def run_steps() -> T:
        client = FailingClient(error, seconds)
        return await call(CallReader("app", client, pass_context(deadline=5.0), VirtualClock()))

    return run(run_steps())


@pytest.mark.parametrize(
    ("error", "seconds", "deadline_exceeded"),
    [
        (ServerError("no"), 1.0, False),
        (ApiTimeout("no"), 1.0, False),
        (ApiTimeout("no"), 5.0, True),
        (ServerError("no"), 5.0, False),
    ],
)
def test_failed_meeting(error: ApiError, seconds: float, *, deadline_exceeded: bool) -> None:
    """A failure has its time; only a timeout at the end of the pass exceeded the deadline."""
    found = read(lambda reader: reader.meeting(MEETING), error, seconds=seconds)
    assert isinstance(found, MeetingRead)
    assert found.meeting == MEETING
    assert found.result.made_at == NOW + seconds
    assert found.result.outcome == error.failure
    assert found.result.deadline_exceeded == deadline_exceeded


def test_failed_recording() -> None:
    """A recording that cannot be read has a failure as its outcome."""
    error = ServerError("no")
    found = read(lambda reader: reader.recording("recording-1"), error)
    assert found == RecordingRead("recording-1", Failure(error.reason, "no"))


def test_recording_that_fails_for_a_while() -> None:
    """A recording whose endpoint fails is read again, after 15 s, until that succeeds."""
    ending = SimulatedRecording.scripted(
        "meeting-1",
        invoked_at=NOW - 60,
        started_at=NOW - 58,
        stopped_at=NOW + 10,
        uploaded_at=NOW + 12,
    )

    async def steps(simulation: Simulation) -> list[float | None]:
        def fail(call: Call) -> None:
            if call.path == f"recordings/{ending.id}" and simulation.now() < NOW + 40:
                simulation.simulator.inject("*", Fault.SERVER_ERROR, times=1)

        simulation.proxy.before = fail
        texts = await simulation.scrapes(6)
        return [value(text, "rk_recording_status", status="UPLOADED") for text in texts]

    shown = simulate(steps, ending, configuration=config(), linger_seconds=0)
    assert shown == [0, 0, 0, 0, 1, 1]

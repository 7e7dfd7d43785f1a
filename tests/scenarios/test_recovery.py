"""After an outage of the whole API, the next pass shows the truth: nothing is still put off."""

import pytest

from rk_exporter.simulator import Fault, Recording
from tests.support.building import (
    NOW,
    Simulation,
    config,
    labelled,
    scripted,
    simulate,
    value,
)


MINUTE = 60.0
MEETINGS = ["meeting-1", "meeting-2"]


def ends_in_outage() -> Recording:
    """Return a recording that the exporter sees ending, at NOW + 40, but not its last state."""
    return scripted(paused=[], stopped_at=NOW + 32, uploaded_at=NOW + 40)


def comes_and_goes(later_seconds: float) -> Recording:
    """Return a recording that starts and fails within seconds."""
    begun_at = NOW + later_seconds
    return Recording.scripted(
        "meeting-2", invoked_at=begun_at, started_at=begun_at + 1, errored_at=begun_at + 4
    )


async def outage(simulation: Simulation, minutes: float) -> None:
    """Let all calls fail for some minutes, after the exporter has read everything."""
    await simulation.scrapes(3)
    # The meeting no longer shows the recording, and its own endpoint already fails.
    simulation.simulator.inject("*", Fault.SERVER_ERROR)
    await simulation.last_scrape(int(minutes * MINUTE / 15.0))
    simulation.simulator.clear()


@pytest.mark.parametrize("minutes", [2.0, 30.0])
def test_recording_that_was_put_off(minutes: float) -> None:
    """A recording that could not be read by its id for long is read in the first pass."""

    async def steps(simulation: Simulation) -> str:
        await simulation.scrapes(3)
        recording = ends_in_outage()
        simulation.proxy.instead = lambda call: (
            (500, b"{}") if call.path == f"recordings/{recording.id}" else None
        )
        await simulation.scrape()
        simulation.proxy.instead = lambda _: (500, b"{}")
        await simulation.last_scrape(int(minutes * MINUTE / 15.0))
        simulation.proxy.instead = lambda _: None
        return await simulation.scrape()

    text = simulate(
        steps,
        ends_in_outage(),
        configuration=config(meeting_ids=MEETINGS),
        linger_seconds=0,
    )
    assert 1 == value(text, "rk_recording_status", status="UPLOADED")
    assert 1 == value(text, "rk_recordings_finished_total", outcome="uploaded")


@pytest.mark.parametrize("minutes", [2.0, 30.0])
def test_list_that_was_put_off(minutes: float) -> None:
    """The list of recordings is read in the first pass, and shows what came and went."""

    async def steps(simulation: Simulation) -> str:
        await outage(simulation, minutes)
        return await simulation.scrape()

    text = simulate(
        steps,
        comes_and_goes((minutes - 1) * MINUTE),
        configuration=config(meeting_ids=MEETINGS),
        linger_seconds=0,
    )
    assert 1 == value(text, "rk_recording_status", status="ERRORED")


def test_list_for_many_meetings() -> None:
    """A fleet that needs the list reads it again as soon as calls succeed, not after minutes."""
    meetings = [f"meeting-{number}" for number in range(150)]

    async def steps(simulation: Simulation) -> list[str]:
        await outage(simulation, 10.0)
        # While all calls fail, it tries in turn to read the list and single meetings.
        texts = await simulation.scrapes(2)
        return [labels["read"] for text in texts for labels, _ in labelled(text, "rk_app_info")]

    running = [scripted(name, stopped_at=None, uploaded_at=None) for name in meetings[:3]]
    configuration = config(meeting_ids=meetings, api__read="auto", api__budget="600")
    modes = simulate(steps, *running, meetings=meetings, configuration=configuration)
    assert "list" == modes[-1]


def test_list_that_fails_alone() -> None:
    """If only the list fails, single calls that succeed do not bring it back."""
    meetings = [f"meeting-{number}" for number in range(150)]

    async def steps(simulation: Simulation) -> list[str]:
        await simulation.scrapes(3)
        simulation.proxy.instead = lambda call: (500, b"{}") if call.path == "recordings" else None
        texts = await simulation.scrapes(20)
        return [labels["read"] for text in texts for labels, _ in labelled(text, "rk_app_info")]

    configuration = config(meeting_ids=meetings, api__read="auto", api__budget="600")
    modes = simulate(steps, meetings=meetings, configuration=configuration)
    assert ["active-recording"] * 15 == modes[-15:]

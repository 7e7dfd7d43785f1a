"""A wrong date, of an answer or of this machine, costs no recording and ends when it ends."""

from dataclasses import replace
from pathlib import Path

import pytest

from rk_exporter.simulator import Fault
from tests.support.building import NOW, Simulation, config, labelled, scripted, simulate
from tests.support.state_files import restart, with_state_file


DAY = 86_400
MEETING = "meeting-1"
# More than one page of the list, of which only the first is read at each scrape.
COUNT = 150
FINISHED = [
    scripted(
        MEETING,
        invoked_at=NOW - 3600 - 10 * number,
        started_at=NOW - 3598 - 10 * number,
        paused=[],
        stopped_at=NOW - 3000 - 10 * number,
        uploaded_at=NOW - 2990 - 10 * number,
    )
    for number in range(COUNT)
]


def uploaded(text: str) -> int:
    """Return how many recordings are shown as uploaded."""
    return sum(
        labels["status"] == "UPLOADED" and value == 1
        for labels, value in labelled(text, "rk_recording_status")
    )


@pytest.mark.parametrize("before", [1, 4])
def test_clock_of_this_machine(before: int) -> None:
    """A clock that is nine days ahead for one scrape, and then right again, loses nothing."""

    async def steps(simulation: Simulation) -> list[int]:
        await simulation.scrapes(before)
        simulation.clock.ahead_seconds = 9 * DAY
        wrong = await simulation.scrape()
        simulation.clock.ahead_seconds = 0
        return [uploaded(wrong), uploaded(await simulation.scrape())]

    assert [COUNT, COUNT] == simulate(steps, *FINISHED, configuration=config(meeting_ids=[MEETING]))


def test_clock_of_this_machine_that_stays_wrong() -> None:
    """A clock that stays nine days ahead loses nothing either."""

    async def steps(simulation: Simulation) -> list[int]:
        await simulation.scrapes(4)
        simulation.clock.ahead_seconds = 9 * DAY
        return [uploaded(text) for text in await simulation.scrapes(10)]

    configuration = config(meeting_ids=[MEETING])
    assert [COUNT] * 10 == simulate(steps, *FINISHED, configuration=configuration)


@pytest.mark.parametrize("ahead", [9 * DAY, -9 * DAY])
def test_clock_of_this_machine_at_the_start(ahead: int) -> None:
    """A process whose machine's clock is days wrong shows the same recordings."""

    async def steps(simulation: Simulation) -> int:
        simulation.clock.ahead_seconds = ahead
        await simulation.restart()
        return uploaded(await simulation.last_scrape(10))

    assert COUNT == simulate(steps, *FINISHED, configuration=config(meeting_ids=[MEETING]))


def test_gateway_with_a_wrong_clock() -> None:
    """Pages of a gateway whose clock is nine days ahead say nothing about the API's clock."""

    async def steps(simulation: Simulation) -> list[int]:
        await simulation.scrapes(4)
        set_dates(simulation, 9 * DAY)
        simulation.simulator.inject("*", Fault.SERVER_ERROR)
        during = await simulation.scrapes(10)
        simulation.simulator.clear()
        set_dates(simulation, 0)
        return [uploaded(text) for text in [*during, *await simulation.scrapes(4)]]

    configuration = config(meeting_ids=[MEETING])
    assert [COUNT] * 14 == simulate(steps, *FINISHED, configuration=configuration)


@pytest.mark.parametrize("with_state", [False, True])
def test_first_answers_of_a_process(tmp_path: Path, *, with_state: bool) -> None:
    """A process whose first answers have a date nine days ahead forgets and misses nothing."""
    configuration = (
        with_state_file(tmp_path / "state", meeting_ids=[MEETING])
        if with_state
        else config(meeting_ids=[MEETING])
    )

    async def steps(simulation: Simulation) -> int:
        await simulation.scrapes(4)
        set_dates(simulation, 9 * DAY)
        await restart(simulation, configuration)
        await simulation.scrape()
        set_dates(simulation, 0)
        return uploaded(await simulation.last_scrape(5))

    assert COUNT == simulate(steps, *FINISHED, configuration=configuration)


def set_dates(simulation: Simulation, ahead_seconds: int) -> None:
    """Let the Date of all answers be ahead of the API's times."""
    settings = simulation.simulator.settings
    simulation.simulator.settings = replace(settings, date_ahead_seconds=ahead_seconds)

"""A meeting that always fails, while others can be read, is read less often."""

from collections import Counter
from pathlib import Path

import pytest

from rk_exporter.simulator import Fault
from tests.support.building import Simulation, by_meeting, config, simulate
from tests.support.webhooks import KEY_URL, WebhookSimulation, event_body, signed


MEETINGS = [f"meeting-{number}" for number in range(10)]
CONFIG = config(meeting_ids=MEETINGS)
FAILING = MEETINGS[3]
HOUR = 240  # passes


def reads(simulation: Simulation) -> Counter[str]:
    """Return how often each meeting was read since the last time."""
    paths = (call.path for call in simulation.proxy.new_calls())
    return Counter(path.rpartition("/")[2] for path in paths if "active-recording" in path)


async def until_it_waits(simulation: Simulation) -> None:
    """Let the meeting fail for an hour, and repair it just after a read: the next one is far."""
    simulation.simulator.inject(FAILING, Fault.SERVER_ERROR)
    await simulation.last_scrape(HOUR)
    reads(simulation)
    while not reads(simulation)[FAILING]:
        await simulation.scrape()
    simulation.simulator.clear()
    await simulation.scrape()
    assert reads(simulation)[FAILING] == 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault.GATEWAY_NOT_FOUND,
        Fault.BAD_REQUEST,
        Fault.SERVER_ERROR,
        Fault.BAD_GATEWAY,
        Fault.NOT_JSON,
        Fault.OVERSIZED,
        Fault.REDIRECT,
        Fault.HANG,
        Fault.FORBIDDEN,
    ],
)
def test_calls_of_an_hour(fault: Fault) -> None:
    """It is read at each of the first scrapes, then every two minutes; others always are."""

    async def steps(simulation: Simulation) -> None:
        simulation.simulator.inject(FAILING, fault)
        ups = [by_meeting(text, "rk_meeting_up") for text in await simulation.scrapes(4)]
        assert reads(simulation)[FAILING] == 4
        ups.append(by_meeting(await simulation.last_scrape(HOUR), "rk_meeting_up"))
        counts = reads(simulation)
        # A call that hangs delays the next one.
        assert 3600 / 140 < counts.pop(FAILING) <= 3600 / 120 + 3
        assert set(counts.values()) == {HOUR}
        for up in ups:
            assert up == {meeting_id: meeting_id != FAILING for meeting_id in MEETINGS}

    simulate(steps, meetings=MEETINGS, configuration=CONFIG)


def test_it_recovers() -> None:
    """It is shown again two minutes after the fault at the latest, and then at each scrape."""

    async def steps(simulation: Simulation) -> None:
        simulation.simulator.inject(FAILING, Fault.SERVER_ERROR)
        await simulation.last_scrape(HOUR)
        simulation.simulator.clear()
        texts = await simulation.scrapes(8)
        assert by_meeting(texts[-1], "rk_meeting_up")[FAILING] == 1
        reads(simulation)
        simulation.simulator.inject(FAILING, Fault.SERVER_ERROR)
        await simulation.scrapes(4)
        assert reads(simulation)[FAILING] == 4

    simulate(steps, meetings=MEETINGS, configuration=CONFIG)


def test_a_fault_of_many_meetings_that_ends() -> None:
    """As soon as one of several meetings can be read again, all the others are tried."""
    failing = MEETINGS[2:8]

    async def steps(simulation: Simulation) -> None:
        for number, meeting_id in enumerate(failing):
            # So that they wait for different times.
            await simulation.scrapes(number)
            simulation.simulator.inject(meeting_id, Fault.SERVER_ERROR)
        await simulation.last_scrape(HOUR)
        simulation.simulator.clear()
        for _ in range(8):
            text = await simulation.scrape()
            if any(by_meeting(text, "rk_meeting_up")[meeting_id] for meeting_id in failing):
                break
        text = await simulation.scrape()
        assert set(by_meeting(text, "rk_meeting_up").values()) == {1}

    simulate(steps, meetings=MEETINGS, configuration=CONFIG)


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.HTML, Fault.BAD_REQUEST])
def test_a_fault_of_the_api_puts_nothing_off(fault: Fault) -> None:
    """If nothing can be read, all meetings are tried at each scrape, and shown at the first."""

    async def steps(simulation: Simulation) -> None:
        simulation.simulator.inject("*", fault)
        await simulation.last_scrape(40)
        assert set(reads(simulation).values()) == {40}
        simulation.simulator.clear()
        text = await simulation.scrape()
        assert by_meeting(text, "rk_meeting_up") == dict.fromkeys(MEETINGS, 1)

    simulate(steps, meetings=MEETINGS, configuration=CONFIG)


def test_a_reload_tries_it() -> None:
    """After a reload, by which somebody may have repaired it, it is read at the next scrape."""

    async def steps(simulation: Simulation) -> None:
        await until_it_waits(simulation)
        await simulation.reload(CONFIG)
        text = await simulation.scrape()
        assert by_meeting(text, "rk_meeting_up")[FAILING] == 1

    simulate(steps, meetings=MEETINGS, configuration=CONFIG)


def test_a_new_token_tries_it(tmp_path: Path) -> None:
    """With another token, which may read more, it is read at the next scrape."""
    token = tmp_path / "token"
    token.write_text("simulated")
    settings = config(meeting_ids=MEETINGS, api__token_file=str(token))

    async def steps(simulation: Simulation) -> None:
        await until_it_waits(simulation)
        token.write_text("simulated-again")
        text = await simulation.scrape()
        assert by_meeting(text, "rk_meeting_up")[FAILING] == 1

    tokens = ("simulated", "simulated-again")
    simulate(steps, meetings=MEETINGS, configuration=settings, token=tokens)


def test_an_event_tries_it() -> None:
    """A webhook about the meeting makes it due at the next scrape."""
    settings = config(
        meeting_ids=MEETINGS,
        webhook__listen_address=":0",
        webhook__public_key_url=KEY_URL,
    )

    async def steps(simulation: Simulation) -> None:
        webhooks = WebhookSimulation(simulation.exporter, simulation.simulator, simulation.now)
        await until_it_waits(simulation)
        body = event_body(FAILING)
        assert await webhooks.post(signed(body), body) == 200
        text = await simulation.scrape()
        assert by_meeting(text, "rk_meeting_up")[FAILING] == 1

    simulate(steps, meetings=MEETINGS, configuration=settings)

"""While no connection to the API opens, few calls try, and the first pass after it shows all."""

from pathlib import Path

import pytest

from rk_exporter.config.loader import load
from rk_exporter.simulator import Session
from tests.support.building import (
    ACCOUNT,
    APP,
    BASE_URL,
    NOW,
    Call,
    Simulation,
    by_meeting,
    config,
    samples,
    simulate,
    value,
)
from tests.support.read_modes import ids, read_mode, running, states


MEETINGS = ids(100)
PASSES = 40


def failures(text: str) -> float:
    return sum(samples(text, "rk_api_request_failures_total").values())


def test_few_calls_try() -> None:
    """Once the breaker is open, one call per pass tries; the budget is kept for the time after."""

    async def steps(simulation: Simulation) -> None:
        proxy, meetings = simulation.proxy, len(MEETINGS)
        before = await simulation.scrape()
        assert sum(by_meeting(before, "rk_meeting_up").values()) == meetings
        proxy.is_unplugged = True
        first = await simulation.scrape()
        # Those that run at the same time, and a second attempt for each broken connection.
        assert proxy.attempts <= 4 * 8
        attempts = proxy.attempts
        texts = [first, *await simulation.scrapes(PASSES)]
        assert proxy.attempts - attempts == PASSES
        for text in texts:
            assert value(text, "rk_up") == 0
            assert set(by_meeting(text, "rk_meeting_up").values()) == {0}
        # Calls that were not made are neither counted nor do they fail.
        assert failures(texts[-1]) - failures(first) == PASSES
        proxy.is_unplugged = False
        after = await simulation.scrape()
        assert value(after, "rk_up") == 1
        assert sum(by_meeting(after, "rk_meeting_up").values()) == meetings
        assert failures(after) == failures(texts[-1])

    simulate(steps, meetings=MEETINGS, configuration=config(meeting_ids=MEETINGS))


@pytest.mark.parametrize("interval_seconds", [5.0, 15.0, 60.0])
@pytest.mark.parametrize("lost_passes", [1, 4, 30])
def test_the_first_pass_after_it_shows_all(interval_seconds: float, lost_passes: int) -> None:
    """The list, the sessions and the details of what ended meanwhile are read at once."""
    begins = NOW + 5 * interval_seconds
    ended = running(
        MEETINGS[0],
        started_at=NOW - 100,
        stopped_at=begins + 0.3 * interval_seconds,
        uploaded_at=begins + 0.4 * interval_seconds,
    )
    others = [running(meeting_id) for meeting_id in MEETINGS[1:]]
    session = Session("session", "meeting-new", started_at=begins + 0.5 * interval_seconds)

    async def steps(simulation: Simulation) -> None:
        texts = await simulation.scrapes(5, interval_seconds)
        assert read_mode(texts[-1]) == "list"
        simulation.proxy.is_unplugged = True
        await simulation.scrapes(lost_passes, interval_seconds)
        simulation.proxy.is_unplugged = False
        text = await simulation.scrape(interval_seconds)
        assert read_mode(text) == "list"
        assert value(text, "rk_up") == 1
        assert value(text, "rk_discovery_up") == 1
        assert set(by_meeting(text, "rk_meeting_up").values()) == {1}
        assert "meeting-new" in by_meeting(text, "rk_meeting_live")
        assert sum(by_meeting(text, "rk_meeting_active_recordings").values()) == len(others)
        assert states(text)[MEETINGS[0]] == "UPLOADED"

    simulate(
        steps,
        ended,
        *others,
        meetings=[*MEETINGS, "meeting-new"],
        sessions=[session],
        configuration=config(
            meeting_ids=MEETINGS, meetings__discover="true", api__read="auto", api__budget="450"
        ),
    )


def test_recordings_that_ended_before_and_meanwhile() -> None:
    """Neither a recording that is read by its id nor one that nobody saw waits after an outage."""
    begins, lost_passes = NOW + 60, 60
    uploading = running("before", stopped_at=begins - 5, uploaded_at=begins + 300)
    unseen = running(
        "meanwhile",
        invoked_at=begins + 30,
        started_at=begins + 32,
        stopped_at=begins + 60,
        uploaded_at=begins + 90,
    )

    async def steps(simulation: Simulation) -> None:
        texts = await simulation.scrapes(5)
        assert states(texts[-1]) == {"before": "UPLOADING"}
        simulation.proxy.is_unplugged = True
        await simulation.scrapes(lost_passes)
        simulation.proxy.is_unplugged = False
        assert states(await simulation.scrape()) == {"before": "UPLOADED", "meanwhile": "UPLOADED"}

    listed = ["before", "meanwhile"]
    simulate(steps, uploading, unseen, meetings=listed, configuration=config(meeting_ids=listed))


def test_recording_that_is_read_by_its_id() -> None:
    """Reads that were not possible do not put off the next one."""
    uploading = running("meeting", stopped_at=NOW + 50, uploaded_at=NOW + 55)

    async def steps(simulation: Simulation) -> None:
        def fail(call: Call) -> tuple[int, bytes] | None:
            return None if "active-recording" in call.path else (500, b"")

        simulation.proxy.instead = fail
        texts = await simulation.scrapes(5)
        assert states(texts[-1]) == {"meeting": "RECORDING"}
        # Now only the list fails, which would show it, too.
        simulation.proxy.instead = lambda call: (500, b"") if call.path == "recordings" else None
        simulation.proxy.is_unplugged = True
        await simulation.scrapes(PASSES)
        simulation.proxy.is_unplugged = False
        assert states(await simulation.scrape()) == {"meeting": "UPLOADED"}

    # Its meeting does not show it either.
    settings = config(meeting_ids=["meeting"])
    simulate(steps, uploading, meetings=["meeting"], configuration=settings, linger_seconds=0)


def test_a_404_that_the_list_explains() -> None:
    """A list that could not be asked for is asked for at once when a 404 needs it."""

    async def steps(simulation: Simulation) -> None:
        simulation.proxy.instead = lambda call: (
            (404, b"") if "active-recording" in call.path else None
        )
        simulation.proxy.is_unplugged = True
        await simulation.scrapes(2)
        simulation.proxy.is_unplugged = False
        text = await simulation.scrape()
        assert by_meeting(text, "rk_meeting_up") == dict.fromkeys(MEETINGS, 1)

    simulate(steps, meetings=MEETINGS, configuration=config(meeting_ids=MEETINGS))


def test_settings_of_a_live_meeting() -> None:
    """Settings that could not be asked for are read in the first pass with a connection."""

    async def steps(simulation: Simulation) -> None:
        def unplug(call: Call, _body: bytes) -> None:
            simulation.proxy.is_unplugged = call.path == "sessions"

        simulation.proxy.after = unplug
        assert by_meeting(await simulation.scrape(), "rk_meeting_live") == {"meeting": 1}
        simulation.proxy.after = lambda *_: None
        simulation.proxy.is_unplugged = False
        text = await simulation.scrape()
        assert by_meeting(text, "rk_meeting_record_on_start") == {"meeting": 0}

    settings = config(meeting_ids=["meeting"], meetings__discover="true")
    session = Session("session", "meeting", started_at=NOW - 60)
    simulate(steps, meetings=["meeting"], sessions=[session], configuration=settings)


def test_other_apps_of_the_user(tmp_path: Path) -> None:
    """Apps that share a budget share what is known about connections; each fails and recovers."""
    path = tmp_path / "rk.yml"
    path.write_text(
        f"account_id: {ACCOUNT}\n"
        f"api: {{base_url: {BASE_URL}, budget: 100000, read: active-recording}}\n"
        "scrape: {min_interval: 0s}\n"
        "apps:\n"
        f"  - {{name: one, app_id: {APP}, meetings: {{ids: [a, b]}}}}\n"
        "  - {name: two, app_id: app-2, meetings: {ids: [c, d]}}\n"
        "  - {name: three, app_id: app-3, meetings: {ids: [e, f]}}\n"
    )

    async def steps(simulation: Simulation) -> None:
        assert set(samples(await simulation.scrape(), "rk_up").values()) == {1}
        simulation.proxy.is_unplugged = True
        await simulation.scrapes(4)
        attempts = simulation.proxy.attempts
        for text in await simulation.scrapes(10):
            assert list(samples(text, "rk_up").values()) == [0, 0, 0]
            assert set(by_meeting(text, "rk_meeting_up").values()) == {0}
        assert simulation.proxy.attempts - attempts == 10
        simulation.proxy.is_unplugged = False
        text = await simulation.scrape()
        assert list(samples(text, "rk_up").values()) == [1, 1, 1]
        assert set(by_meeting(text, "rk_meeting_up").values()) == {1}

    configuration = load(path, {}, {"CLOUDFLARE_API_TOKEN": "simulated"})
    simulate(steps, meetings=list("abcdef"), configuration=configuration)

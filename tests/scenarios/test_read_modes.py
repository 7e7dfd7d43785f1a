"""The read mode of an app, as users see it."""

import logging

from itertools import groupby
from pathlib import Path

import pytest

from rk_exporter.config.config import Config
from rk_exporter.simulator import Fault
from tests.support.building import (
    NOW,
    Call,
    Simulation,
    config,
    samples,
    simulate,
    value,
)
from tests.support.read_modes import (
    ids,
    messages,
    read_mode,
    records,
    running,
    states,
    written,
)


class TestAuto:
    """The read mode that the budget allows."""

    def auto(self, count: int, budget: str = "600") -> Config:
        return config(meeting_ids=ids(count), api__read="auto", api__budget=budget)

    def test_few_meetings(self, caplog: pytest.LogCaptureFixture) -> None:
        """While the budget allows one call per meeting and scrape, the exporter makes them."""
        caplog.set_level(logging.INFO, logger="rk_exporter")

        async def steps(simulation: Simulation) -> list[str]:
            texts = await simulation.scrapes(10)
            assert {call.query.get("status") for call in simulation.proxy.calls} == {None}
            return texts

        texts = simulate(steps, configuration=self.auto(26))
        assert {read_mode(text) for text in texts} == {"active-recording"}
        # The second and the third scrape lack the calls that the first has borrowed.
        assert [value(text, "rk_meetings_deferred") for text in texts[3:]] == [0] * 7
        assert messages(caplog) == []

    def test_many_meetings(self, caplog: pytest.LogCaptureFixture) -> None:
        """Beyond that, the list is read from the first scrape; the log gives the reason."""
        caplog.set_level(logging.INFO, logger="rk_exporter")

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(10)

        texts = simulate(steps, configuration=self.auto(1000))
        assert {read_mode(text) for text in texts} == {"list"}
        assert {value(text, "rk_meetings_deferred") for text in texts} == {0}
        (message,) = messages(caplog)
        assert message == (
            "1,000 meetings at a 15 s scrape interval need 20,000 calls per 5 minutes, "
            "the budget is 600: recordings in progress are read through the list"
        )
        assert [record.levelname for record in records(caplog)] == ["INFO"]

    def test_interval(self) -> None:
        """The scrape interval counts: 100 meetings per minute are 25 per 15 s."""

        async def steps(simulation: Simulation) -> list[str]:
            return [read_mode(text) for text in await simulation.scrapes(6, 60.0)]

        modes = simulate(steps, configuration=self.auto(100))
        assert modes == ["list", *["active-recording"] * 5]

    def test_list_that_fails(self) -> None:
        """If the list fails repeatedly, meetings are read one by one; the list is tried later."""

        async def steps(simulation: Simulation) -> list[str]:
            def fail_lists(call: Call) -> None:
                simulation.simulator.clear()
                if call.path == "recordings":
                    simulation.simulator.inject("*", Fault.SERVER_ERROR)

            simulation.proxy.before = fail_lists
            return await simulation.scrapes(100)

        texts = simulate(steps, configuration=self.auto(100))
        runs = [(mode, len(list(run))) for mode, run in groupby(read_mode(text) for text in texts)]
        # When single calls succeed, the list is tried once more.
        tried = [("list", 3), ("active-recording", 1), ("list", 1), ("active-recording", 39)]
        assert runs[:4] == tried
        assert runs[4:6] == [("list", 3), ("active-recording", 39)]
        ups = [sum(samples(text, "rk_meeting_up").values()) for text in texts]
        assert (0, 100) == (ups[2], ups[20])

    def test_api_that_fails(self) -> None:
        """If everything fails, the list is tried again soon; the first pass after it uses it."""

        async def steps(simulation: Simulation) -> list[str]:
            modes = set()
            for passes in range(20, 24):
                await simulation.scrape()
                simulation.simulator.inject("*", Fault.SERVER_ERROR)
                await simulation.last_scrape(passes)
                simulation.simulator.clear()
                modes.add(read_mode(await simulation.last_scrape(5)))
            return sorted(modes)

        assert simulate(steps, configuration=self.auto(100)) == ["list"]

    def test_list_of_meetings_that_changes(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The mode changes to the list when meetings are added, and back when they leave."""
        caplog.set_level(logging.INFO, logger="rk_exporter")
        path = tmp_path / "meetings"
        file = written(path, ids(20))
        choice = config(meeting_ids=[], meetings__files=[file], api__read="auto", api__budget="600")

        async def steps(simulation: Simulation) -> list[tuple[str, int]]:
            seen = []
            for count in (20, 32, 36, 32, 20, 32):
                written(path, ids(count))
                texts = await simulation.scrapes(5)
                seen.append((read_mode(texts[0]), count))
                assert len({read_mode(text) for text in texts}) == 1
            return seen

        assert simulate(steps, running(ids(1)[0]), configuration=choice) == [
            ("active-recording", 20),
            # Near the threshold, the mode stays.
            ("active-recording", 32),
            ("list", 36),
            ("list", 32),
            ("active-recording", 20),
            ("active-recording", 32),
        ]
        there, back = messages(caplog)
        assert there.startswith("36 meetings at a 15 s scrape interval need 720 calls per 5 min")
        assert there.endswith(": recordings in progress are read through the list")
        assert back == "each meeting can be read at every scrape"

    @pytest.mark.parametrize("phase", [5.0, 6.0])
    @pytest.mark.parametrize("count", [15, 20])
    def test_two_scrapers(self, phase: float, count: int, caplog: pytest.LogCaptureFixture) -> None:
        """Two Prometheus servers with alternating intervals have one usual interval."""
        caplog.set_level(logging.INFO, logger="rk_exporter")

        async def steps(simulation: Simulation) -> list[str]:
            modes = []
            for _ in range(15):
                modes += [
                    read_mode(await simulation.scrape(interval))
                    for interval in (15.0 - phase, phase)
                ]
            return modes

        modes = simulate(steps, configuration=self.auto(count))
        # The first passes are not enough to measure it.
        assert len(set(modes[8:])) == 1
        assert len(messages(caplog)) <= 2

    @pytest.mark.parametrize(("count", "mode"), [(30, "active-recording"), (34, "list")])
    def test_unsteady_interval(
        self, count: int, mode: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A scrape that is early or late does not change how recordings are read."""
        caplog.set_level(logging.INFO, logger="rk_exporter")

        async def steps(simulation: Simulation) -> set[str]:
            modes = set()
            for number in range(32):
                modes.add(read_mode(await simulation.scrape(14.0 if number // 5 % 2 else 16.0)))
            return modes

        assert simulate(steps, configuration=self.auto(count)) == {mode}
        assert len(messages(caplog)) == (mode == "list")


class TestOneByOne:
    """One call per meeting, as configured, whatever the budget allows."""

    def test_log(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The log explains a small budget, again after a change, and reports its end."""
        caplog.set_level(logging.INFO, logger="rk_exporter")
        path = tmp_path / "meetings"
        file = written(path, ids(12))
        choice = config(meeting_ids=[], meetings__files=[file], api__budget="60")

        async def steps(simulation: Simulation) -> None:
            for count in (12, 14, 30, 30, 2, 2):
                written(path, ids(count))
                await simulation.last_scrape(3)

        simulate(steps, configuration=choice)
        first, second, over = messages(caplog)
        assert first == (
            "12 meetings at a 15 s scrape interval need 240 calls per 5 minutes, "
            "the budget is 60: idle meetings will be read every 1m to 2m"
        )
        assert second.startswith("30 meetings at a 15 s scrape interval need 600 calls")
        assert second.endswith(": idle meetings will be read every 2m 30s to 5m")
        assert over == "each meeting can be read at every scrape"
        assert [record.levelname for record in records(caplog)] == ["WARNING", "WARNING", "INFO"]

    def test_unsteady_interval(self, caplog: pytest.LogCaptureFixture) -> None:
        """A scrape that is early or late is not logged."""
        caplog.set_level(logging.INFO, logger="rk_exporter")

        async def steps(simulation: Simulation) -> None:
            for number in range(32):
                await simulation.scrape(14.9 if number // 6 % 2 else 15.1)

        simulate(steps, configuration=config(meeting_ids=ids(33), api__budget="600"))
        assert len(messages(caplog)) <= 1

    def test_deferred(self) -> None:
        """Each scrape reads as many meetings as it has calls for; the others are deferred."""

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(12)

        texts = simulate(steps, configuration=config(meeting_ids=ids(12), api__budget="60"))
        assert [value(text, "rk_meetings_deferred") for text in texts[3:]] == [9] * 9
        # Three meetings per scrape, so all of them in four scrapes.
        assert all(len(samples(text, "rk_meeting_up")) == 12 for text in texts[5:])

    def test_readings_do_not_flap(self) -> None:
        """A meeting that waits for longer than `stale_after` keeps its reading."""

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(120)

        texts = simulate(steps, configuration=config(meeting_ids=ids(12), api__budget="10"))
        shown = [len(samples(text, "rk_meeting_active_recordings")) for text in texts]
        assert shown == sorted(shown)
        assert shown[-1] == 12

    @pytest.mark.parametrize("budget", ["10", "20", "21"])
    @pytest.mark.parametrize("count", [1, 3])
    def test_one_call_in_a_pass(self, count: int, budget: str) -> None:
        """If each scrape has one call, the list and ended recordings have their turn too."""
        names = ids(count)
        ending = running(names[0], stopped_at=NOW + 1000, uploaded_at=NOW + 1030)

        async def steps(simulation: Simulation) -> str:
            text = await simulation.last_scrape(200)
            assert simulation.exporter.why_not_ready() is None
            return text

        few = config(meeting_ids=names, api__budget=budget, scrape__stale_after="1h")
        text = simulate(steps, ending, configuration=few, linger_seconds=0)
        assert states(text) == {names[0]: "UPLOADED"}
        assert value(text, "rk_recording_stop_reason", reason="ALL_PEERS_LEFT") == 1

    def test_beginning_that_the_list_shows(self) -> None:
        """After the list shows a recording, its meeting is read often."""
        names = ids(40)
        # The list is polled every 4 minutes, and an idle meeting is read every 3 to 7.
        found = running(names[0], invoked_at=NOW + 500, started_at=NOW + 545)

        async def steps(simulation: Simulation) -> dict[str, float]:
            first_shown: dict[str, float] = {}
            for _ in range(50):
                for state in states(await simulation.scrape()).values():
                    first_shown.setdefault(state, simulation.now() - NOW)
            return first_shown

        few = config(meeting_ids=names, api__budget="60")
        first_shown = simulate(steps, found, configuration=few)
        assert first_shown["INVOKED"] < 545
        assert first_shown["RECORDING"] - 545 <= 30

    def test_end_that_the_list_shows(self) -> None:
        """The reason of an end is read within minutes, whatever else is due."""
        names = ids(21)
        short = running(
            names[-1],
            invoked_at=NOW + 310,
            started_at=NOW + 312,
            stopped_at=NOW + 320,
            uploaded_at=NOW + 330,
        )

        async def steps(simulation: Simulation) -> list[float]:
            texts = [(simulation.now() - NOW, await simulation.scrape()) for _ in range(100)]
            assert states(texts[-1][1])[short.meeting_id] == "UPLOADED"
            return [at for at, text in texts if samples(text, "rk_recording_stop_reason")]

        # One or two of three calls per scrape are for recordings that need twelve.
        seconds_shown = simulate(
            steps,
            *map(running, names[:-1]),
            short,
            configuration=config(meeting_ids=names, api__budget="60"),
            linger_seconds=0,
        )
        assert seconds_shown
        # The list showed it 525 s after the start.
        assert seconds_shown[0] <= 525 + 300

    @pytest.mark.parametrize("uploading_is_active", [True, False])
    def test_ends(self, *, uploading_is_active: bool) -> None:
        """Ends are followed quickly, however many meetings wait for their turn."""
        names = ids(40)
        max_delay = 40 if uploading_is_active else 100
        recordings = [
            running(name, stopped_at=NOW + at, uploaded_at=NOW + at + 40)
            for name, at in zip(names, (400, 460), strict=False)
        ]

        async def steps(simulation: Simulation) -> list[str]:
            seen = []
            for _ in range(40):
                text = await simulation.scrape()
                over = [
                    recording
                    for recording in recordings
                    if recording.phases[-1].at < simulation.now() - max_delay
                ]
                seen += [states(text)[recording.meeting_id] for recording in over]
            return seen

        shown = simulate(
            steps,
            *recordings,
            configuration=config(meeting_ids=names, api__budget="60"),
            linger_seconds=0,
            uploading_is_active=uploading_is_active,
        )
        assert set(shown) == {"UPLOADED"}

    @pytest.mark.parametrize(("budget", "seconds"), [("600", 300), ("40", 300 + 75)])
    def test_when_readings_end(self, budget: str, seconds: float) -> None:
        """Unreadable meetings end after `stale_after`, plus the time that a turn takes."""

        async def steps(simulation: Simulation) -> float:
            await simulation.last_scrape(12)
            begun = simulation.now()
            simulation.simulator.inject("*", Fault.SERVER_ERROR)
            while samples(await simulation.scrape(5.0), "rk_meeting_active_recordings"):
                pass
            return simulation.now() - begun

        gone = simulate(steps, configuration=config(meeting_ids=ids(4), api__budget=budget))
        assert seconds - 20 <= gone <= seconds + 20

import logging
import math
import os

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.config.config import Config
from rk_exporter.model.failure import Reason
from rk_exporter.model.remedies import REMEDIES
from rk_exporter.simulator import Fault, Meeting, Recording, Session
from tests.support.building import (
    APP,
    NOW,
    Call,
    Simulation,
    by_meeting,
    config,
    labelled,
    samples,
    simulate,
    value,
)
from tests.support.log_lines import lines
from tests.support.read_modes import states


MODES = pytest.mark.parametrize("read", ["active-recording", "list"])
SETTLED = NOW - 1e8


def discovering(**changes: Any) -> Config:
    """Return a configuration that discovers all meetings."""
    return config(**{"meeting_ids": [], "meetings__discover": "true", **changes})


def live(meeting_id: str, begin: int = -60, end: int | None = None, people: int = 2) -> Session:
    """Return a session from *begin* to *end*, in seconds after NOW."""
    ended_at = None if end is None else NOW + end
    return Session(f"{meeting_id}_{begin}", meeting_id, NOW + begin, ended_at, people)


def recorded(
    meeting_id: str, stop: float | None = None, uploaded: float | None = None
) -> Recording:
    """Return a recording that stops at *stop* and is *uploaded* then, in seconds after NOW."""
    return Recording.scripted(
        meeting_id,
        invoked_at=NOW - 60,
        started_at=NOW - 58,
        stopped_at=None if stop is None else NOW + stop,
        uploaded_at=None if uploaded is None else NOW + uploaded,
    )


def failing(
    simulation: Simulation, path: str, fault: Fault = Fault.SERVER_ERROR
) -> Callable[[Call], None]:
    """Return a hook that lets the calls fail whose path starts with *path*."""

    def fail(call: Call) -> None:
        if call.path.startswith(path):
            simulation.simulator.inject("*", fault, times=1)

    return fail


def names(text: str) -> dict[str, str]:
    """Return the names of the meetings in the list, by their ids."""
    infos = labelled(text, "rk_meeting_info")
    return {labels["meeting_id"]: labels["meeting_name"] for labels, _ in infos}


def read_ids(text: str) -> list[str]:
    """Return the ids of the meetings that are read."""
    return list(by_meeting(text, "rk_meeting_up"))


def calls(simulation: Simulation, endpoint: str) -> int:
    """Return how often an endpoint was called."""
    return simulation.simulator.requests.by_endpoint[endpoint]


class TestLiveMeetings:
    """Meetings that people are in."""

    @MODES
    def test_names(self, read: str) -> None:
        """Meetings with a live session are shown with their titles; other meetings are not."""

        async def steps(simulation: Simulation) -> str:
            return await simulation.scrape()

        text = simulate(
            steps,
            recorded("a"),
            meetings=[Meeting("a", "Cardiology, B"), Meeting("b", ""), Meeting("idle")],
            sessions=[live("a"), live("b"), live("over", -500, -10), live("soon", 100)],
            configuration=discovering(api__read=read),
        )
        assert names(text) == {"a": "Cardiology, B", "b": "b"}
        assert by_meeting(text, "rk_meeting_active_recordings") == {"a": 1, "b": 0}
        assert value(text, "rk_meetings") == 2

    def test_one_list(self, tmp_path: Path) -> None:
        """Meetings from options, files and sessions are one list; configured names win."""
        file = tmp_path / "meetings.yml"
        file.write_text("- {id: named, name: mine}\n- both\n- only-in-file\n")
        os.utime(file, (SETTLED, SETTLED))

        async def steps(simulation: Simulation) -> str:
            text = await simulation.scrape()
            assert calls(simulation, "active_recording") == 5
            return text

        titled = [Meeting(name, f"title of {name}") for name in ("named", "both", "live", "id")]
        text = simulate(
            steps,
            meetings=titled,
            sessions=[live(meeting.id) for meeting in titled],
            configuration=discovering(meeting_ids=["id", "both"], meetings__files=[str(file)]),
        )
        assert list(names(text).items()) == [
            ("id", "title of id"),
            ("both", "title of both"),
            ("named", "mine"),
            ("only-in-file", "only-in-file"),
            ("live", "title of live"),
        ]

    def test_pages(self) -> None:
        """250 live sessions are read from three pages."""

        async def steps(simulation: Simulation) -> str:
            text = await simulation.scrape()
            pages = [call.query for call in simulation.proxy.calls if call.path == "sessions"]
            assert [page["page_no"] for page in pages] == ["1", "2", "3"]
            assert {(page["status"], page["per_page"]) for page in pages} == {("LIVE", "100")}
            return text

        sessions = [live(f"meeting-{number:03}") for number in range(250)]
        text = simulate(steps, sessions=sessions, configuration=discovering(api__read="list"))
        assert len(names(text)) == len(samples(text, "rk_meeting_up")) == 250

    def test_page_that_shifts(self) -> None:
        """A live meeting that moves to a page that was already read stays."""
        # Whichever end the list starts with, its first session ends between two pages.
        sessions = [
            live(f"meeting-{number:03}", number - 1000, 30 if number in {0, 149} else None)
            for number in range(150)
        ]

        async def steps(simulation: Simulation) -> list[dict[str, str]]:
            texts = await simulation.scrapes(2)
            return [
                names(text)
                for text in [*texts, await simulation.scrape(14.85), *await simulation.scrapes(5)]
            ]

        shown = simulate(
            steps,
            sessions=sessions,
            configuration=discovering(api__read="list"),
            latency_seconds=0.1,
        )
        assert [len(names_shown) for names_shown in shown[:2]] == [150, 150]
        assert [
            len(names_shown.keys() - {"meeting-000", "meeting-149"}) for names_shown in shown
        ] == [148] * 8
        assert len(shown[-1]) == 148

    @pytest.mark.parametrize(
        ("interval", "seconds"), [(15.0, 30.0), (14.8, 29.6), (5.0, 30.0), (60.0, 60.0)]
    )
    def test_interval(self, interval: float, seconds: float) -> None:
        """Sessions are listed every half minute, or at each scrape if scrapes are rarer."""

        async def steps(simulation: Simulation) -> int:
            await simulation.last_scrape(1 + round(10 * seconds / interval), interval)
            return calls(simulation, "sessions")

        assert simulate(steps, sessions=[live("a")], configuration=discovering()) == 11

    @MODES
    def test_failure(self, read: str, caplog: pytest.LogCaptureFixture) -> None:
        """While sessions cannot be listed, the last list stays; this and its end are logged."""
        caplog.set_level(logging.INFO, logger="rk_exporter")

        async def steps(simulation: Simulation) -> list[str]:
            texts = [await simulation.scrape()]
            simulation.proxy.before = failing(simulation, "sessions")
            texts += await simulation.scrapes(20)
            simulation.proxy.before = lambda _: None
            await simulation.last_scrape(5)
            return texts

        texts = simulate(
            steps,
            recorded("a"),
            sessions=[live("a"), live("later", 60)],
            configuration=discovering(api__read=read),
        )
        assert [list(names(text)) for text in texts] == [["a"]] * 21
        assert {value(text, "rk_meeting_up") for text in texts} == {1}
        failures = "rk_api_request_failures_total"
        assert value(texts[-1], failures, endpoint="sessions", reason="server_error") == 10
        message = "live sessions cannot be listed, so new live meetings are not found"
        why = {"reason": "server_error", "remedy": REMEDIES[Reason.SERVER_ERROR]}
        app = {"app": APP}
        assert lines(caplog, "collector.discovery") == [
            ("WARNING", f"{message}: the API answered 500", {**app, **why}),
            ("INFO", "live sessions can be listed again", app),
        ]

    @MODES
    @pytest.mark.parametrize("interval", [15.0, 60.0])
    def test_token_that_may_not_list_sessions(self, interval: float, read: str) -> None:
        """If the token may not list sessions, configured meetings are still read."""

        async def steps(simulation: Simulation) -> list[str]:
            simulation.proxy.before = failing(simulation, "sessions", Fault.FORBIDDEN)
            return await simulation.scrapes(12, interval)

        texts = simulate(
            steps, recorded("a"), configuration=discovering(meeting_ids=["a"], api__read=read)
        )
        # A rejected token blocks all calls at first, and is tried again after a while.
        assert [value(text, "rk_up") for text in texts[4:]] == [1] * 8
        assert value(texts[-1], "rk_meeting_active_recordings") == 1


class TestEnd:
    """When discovered meetings end."""

    @MODES
    def test_recording_that_is_not_finished(self, read: str) -> None:
        """A meeting whose session is over is read until its recording has ended."""

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(12)

        texts = simulate(
            steps,
            recorded("a", stop=80, uploaded=110),
            sessions=[live("a", end=40), live("b", end=40), live("c")],
            configuration=discovering(api__read=read),
        )
        # At 60 s, discovery finds that a and b are over; at 120 s, the recording is uploaded.
        meetings = [" ".join(sorted(read_ids(text))) for text in texts]
        assert meetings == [*["a b c"] * 5, *["a c"] * 4, *["c"] * 3]
        is_live = [by_meeting(text, "rk_meeting_live").get("a") for text in texts]
        assert is_live == [*[1] * 4, *[0] * 5, *[None] * 3]
        assert [states(text)["a"] for text in texts[5:]] == [
            "RECORDING",
            *["UPLOADING"] * 2,
            *["UPLOADED"] * 4,
        ]
        metrics = {
            line.split("{")[0] for line in texts[-1].splitlines() if 'meeting_id="a"' in line
        }
        assert {name for name in metrics if not name.startswith("rk_recording_")} == {
            "rk_meeting_info"
        }
        assert not [line for line in texts[-1].splitlines() if 'meeting_id="b"' in line]

    def test_meeting_that_cannot_be_read(self) -> None:
        """An ended meeting that cannot be read leaves after `stale_after`; its recording stays."""

        async def steps(simulation: Simulation) -> list[str]:
            texts = await simulation.scrapes(2)
            simulation.proxy.before = failing(simulation, "recordings/active-recording/")
            return [*texts, *await simulation.scrapes(10)]

        texts = simulate(
            steps,
            recorded("a"),
            sessions=[live("a", end=40)],
            configuration=discovering(scrape__stale_after="1m"),
        )
        # Discovery finds at 60 s that it is over.
        assert [read_ids(text) for text in texts] == [*[["a"]] * 9, *[[]] * 3]
        assert [states(text) for text in texts] == [{"a": "RECORDING"}] * 12
        read_at = by_meeting(texts[-1], "rk_recording_last_success_timestamp_seconds")
        assert read_at["a"] > NOW + 120

    @MODES
    def test_live_again(self, read: str) -> None:
        """A meeting that people return to is shown again, also if it has an older recording."""

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(14)

        texts = simulate(
            steps,
            recorded("recorded"),
            sessions=[
                *(live(name, end=20) for name in ("idle", "recorded")),
                *(live(name, 110, people=5) for name in ("idle", "recorded")),
            ],
            configuration=discovering(api__read=read),
        )
        is_live = [by_meeting(text, "rk_meeting_live") for text in texts]
        assert [live.get("idle") for live in is_live] == [1, 1, 0, *[None] * 5, *[1] * 6]
        assert [live.get("recorded") for live in is_live] == [1, 1, *[0] * 6, *[1] * 6]
        assert by_meeting(texts[-1], "rk_meeting_live_participants")["recorded"] == 5

    def test_recordings_without_a_session(self) -> None:
        """Meetings with a recording in the list are read until it has ended, live or not."""

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(6)

        texts = simulate(
            steps,
            recorded("a", stop=20, uploaded=40),
            recorded("b"),
            configuration=discovering(api__read="list"),
        )
        assert [read_ids(text) for text in texts] == [*[["a", "b"]] * 4, *[["b"]] * 2]
        assert {tuple(sorted(names(text))) for text in texts} == {("a", "b")}
        assert [states(text)["a"] for text in texts] == [
            *["RECORDING"] * 2,
            "UPLOADING",
            *["UPLOADED"] * 3,
        ]
        assert by_meeting(texts[0], "rk_meeting_live") == {"a": 0, "b": 0}
        assert by_meeting(texts[0], "rk_meeting_live_participants") == {}

    def test_recordings_without_a_session_one_by_one(self) -> None:
        """If meetings are read one by one, such recordings are read by their ids."""

        async def steps(simulation: Simulation) -> list[str]:
            texts = await simulation.scrapes(6)
            assert calls(simulation, "active_recording") == 0
            return texts

        texts = simulate(steps, recorded("a", stop=20, uploaded=40), configuration=discovering())
        assert {tuple(read_ids(text)) for text in texts} == {()}
        # It is read after 10 s, and then the list shows it each minute.
        assert [states(text)["a"] for text in texts] == [
            *["RECORDING"] * 4,
            *["UPLOADED"] * 2,
        ]
        assert value(texts[-1], "rk_recordings_finished_total", outcome="uploaded") == 1

    def test_configured_meeting(self) -> None:
        """A meeting in the configuration stays, live or not."""

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(8)

        texts = simulate(
            steps,
            sessions=[live("a", end=20)],
            configuration=discovering(meeting_ids=["a", "never"]),
        )
        assert {tuple(names(text)) for text in texts} == {("a", "never")}
        assert [by_meeting(text, "rk_meeting_live")["a"] for text in texts] == [1, 1, *[0] * 6]
        assert by_meeting(texts[0], "rk_meeting_live")["never"] == 0


class TestRooms:
    """The metrics of rooms."""

    MEETINGS = (
        Meeting("to-be-recorded", record_on_start=True),
        Meeting("recorded", record_on_start=True),
        Meeting("private"),
    )

    @MODES
    def test_alert(self, read: str) -> None:
        """The metrics distinguish a live meeting that should be recorded and is not from others."""

        async def steps(simulation: Simulation) -> str:
            return await simulation.last_scrape(2)

        text = simulate(
            steps,
            recorded("recorded"),
            meetings=self.MEETINGS,
            sessions=[live(meeting.id, people=3) for meeting in self.MEETINGS],
            configuration=discovering(api__read=read),
        )
        is_live, wanted, active = (
            by_meeting(text, f"rk_meeting_{name}")
            for name in ("live", "record_on_start", "active_recordings")
        )
        assert wanted == {"to-be-recorded": 1, "recorded": 1, "private": 0}
        assert set(by_meeting(text, "rk_meeting_live_participants").values()) == {3}
        assert [
            live for live in is_live if is_live[live] and wanted[live] and not active[live]
        ] == ["to-be-recorded"]

    def test_without_discovery(self) -> None:
        """Without discovery, there are no metrics of rooms."""

        async def steps(simulation: Simulation) -> str:
            return await simulation.scrape()

        ids = [meeting.id for meeting in self.MEETINGS]
        text = simulate(
            steps,
            meetings=self.MEETINGS,
            sessions=map(live, ids),
            configuration=config(meeting_ids=ids),
        )
        for name in (
            "rk_meeting_live",
            "rk_meeting_live_participants",
            "rk_meeting_record_on_start",
        ):
            assert samples(text, name) == {}

    def test_sessions_that_cannot_be_listed(self) -> None:
        """Metrics of rooms end after `stale_after`; the meetings are still read."""

        async def steps(simulation: Simulation) -> list[str]:
            texts = [await simulation.scrape()]
            simulation.proxy.before = failing(simulation, "sessions")
            return [*texts, *await simulation.scrapes(7)]

        texts = simulate(
            steps, sessions=[live("a")], configuration=discovering(scrape__stale_after="1m")
        )
        assert [len(samples(text, "rk_meeting_live")) for text in texts] == [*[1] * 5, *[0] * 3]
        assert [value(text, "rk_meeting_up") for text in texts] == [1] * 8

    def test_list_that_is_none(self) -> None:
        """An answer without a list does not end a live meeting, and is a failure."""

        async def steps(simulation: Simulation) -> list[str]:
            texts = [await simulation.scrape()]
            simulation.proxy.before = failing(simulation, "sessions", Fault.DATA_NULL)
            return [*texts, *await simulation.scrapes(2)]

        texts = simulate(steps, sessions=[live("a", people=5)], configuration=discovering())
        assert [value(text, "rk_meeting_live_participants") for text in texts] == [5] * 3
        assert [value(text, "rk_discovery_up") for text in texts] == [1, 1, 0]

    @pytest.mark.parametrize("begins", [(-60, -3600), (-3600, -60)])
    def test_two_sessions(self, begins: tuple[int, int]) -> None:
        """A session that people have left does not hide those in the meeting's other session."""

        async def steps(simulation: Simulation) -> str:
            return await simulation.last_scrape(2)

        full, left = begins
        text = simulate(
            steps,
            sessions=[live("a", full, people=5), live("a", left, people=0)],
            configuration=discovering(),
        )
        assert by_meeting(text, "rk_meeting_live_participants") == {"a": 5}

    @MODES
    @pytest.mark.parametrize("fault", [None, Fault.GATEWAY_NOT_FOUND])
    def test_settings_once(self, read: str, fault: Fault | None) -> None:
        """Settings are read once per meeting, even if the API has none."""

        async def steps(simulation: Simulation) -> str:
            if fault:
                simulation.proxy.before = failing(simulation, "meetings/", fault)
            texts = await simulation.scrapes(60)
            assert calls(simulation, "meeting") == 3
            return texts[-1]

        text = simulate(
            steps,
            meetings=self.MEETINGS,
            sessions=[live(meeting.id) for meeting in self.MEETINGS],
            configuration=discovering(meeting_ids=["not-live"], api__read=read),
        )
        assert len(samples(text, "rk_meeting_record_on_start")) == (0 if fault else 3)

    def test_settings_that_cannot_be_read(self, caplog: pytest.LogCaptureFixture) -> None:
        """Settings that could not be read are read again after ten minutes."""
        caplog.set_level(logging.DEBUG, logger="rk_exporter")

        async def steps(simulation: Simulation) -> list[str]:
            simulation.proxy.before = failing(simulation, "meetings/")
            texts = await simulation.scrapes(40)
            assert calls(simulation, "meeting") == 1
            simulation.proxy.before = lambda _: None
            return [*texts, *await simulation.scrapes(3)]

        texts = simulate(steps, sessions=[live("a")], configuration=discovering())
        seen = [value(text, "rk_meeting_record_on_start") for text in texts]
        assert seen == [*[None] * 41, 0, 0]
        message = "meeting's settings could not be read: the API answered 500"
        assert lines(caplog, "collector.discovery", least=logging.DEBUG) == [
            ("DEBUG", message, {"app": APP, "meeting_id": "a"})
        ]


class TestBudget:
    """Discovery uses the same budget."""

    @MODES
    def test_settings(self, read: str) -> None:
        """Settings and recordings are read even if the budget is small."""

        async def steps(simulation: Simulation) -> str:
            return await simulation.last_scrape(40)

        sessions = [live(f"meeting-{number:02}") for number in range(12)]
        tight = discovering(api__budget="60", api__read=read)
        text = simulate(steps, sessions=sessions, configuration=tight)
        assert len(samples(text, "rk_meeting_record_on_start")) == 12
        assert len(samples(text, "rk_meeting_active_recordings")) == 12

    @pytest.mark.parametrize(
        ("read", "others"), [("active-recording", 0), ("active-recording", 3), ("list", 0)]
    )
    def test_recordings(self, others: int, read: str) -> None:
        """Listing sessions leaves calls for recordings even if the budget is small."""

        async def steps(simulation: Simulation) -> str:
            return await simulation.last_scrape(120)

        tight = discovering(api__budget="10", api__read=read)
        sessions = [live("a"), *(live(f"other-{number}") for number in range(others))]
        text = simulate(steps, recorded("a"), sessions=sessions, configuration=tight)
        assert by_meeting(text, "rk_meeting_active_recordings")["a"] == 1

    @pytest.mark.parametrize(("count", "budget"), [(450, "60"), (1000, "30")])
    def test_many_sessions(self, count: int, budget: str) -> None:
        """Sessions on more pages than a pass has calls for are listed once, over several passes."""

        async def steps(simulation: Simulation) -> list[str]:
            texts = [await simulation.scrape()]
            while value(texts[-1], "rk_discovery_up") != 1 and len(texts) < 30:
                texts.append(await simulation.scrape(15.0))
                found.append(simulation.exporter.why_not_ready())
            assert calls(simulation, "sessions") == math.ceil(count / 100)
            return texts

        found: list[str | None] = []
        sessions = [live(f"meeting-{number:03}") for number in range(count)]
        tight = discovering(api__budget=budget, api__read="auto")
        texts = simulate(steps, sessions=sessions, configuration=tight)
        shown = [len(names(text)) for text in texts]
        assert shown == sorted(shown)
        assert 0 < shown[0] < shown[-1] == count
        listed_at = "rk_discovery_last_success_timestamp_seconds"
        assert [value(text, listed_at) for text in texts[:-1]] == [None] * (len(texts) - 1)
        assert all(text and "live meetings not listed yet" in text for text in found[:-1])
        assert found[-1] != found[-2]


@MODES
def test_up_without_live_meetings(read: str) -> None:
    """Without live meetings, rk_up still shows whether the API can be reached."""

    async def steps(simulation: Simulation) -> list[float | None]:
        first = await simulation.scrape()
        simulation.simulator.inject("*", Fault.UNAVAILABLE)
        return [value(text, "rk_up") for text in (first, await simulation.scrape(60.0))]

    assert simulate(steps, configuration=discovering(api__read=read)) == [1, 0]

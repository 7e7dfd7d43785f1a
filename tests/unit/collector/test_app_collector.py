import logging
import os

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.config.config import Config, load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.simulator import Fault, Recording
from tests.support.building import (
    NOW,
    Call,
    Setup,
    Stage,
    by_meeting,
    config,
    labelled,
    life,
    play,
    run,
    samples,
    settings,
    setup,
    value,
)


def ids(count: int) -> list[str]:
    return [f"meeting-{number:03}" for number in range(count)]


def list_config(*meeting_ids: str, **changes: Any) -> Config:
    """Return a config that reads the list."""
    return config(**{"meeting_ids": list(meeting_ids), "api__read": "list", **changes})


def running(meeting_id: str, **changes: Any) -> Recording:
    """Return a recording that never ends, unless *changes* say so."""
    moments = {"invoked_at": NOW - 60, "started_at": NOW - 58, **changes}
    return Recording.scripted(meeting_id, **moments)


def states(text: str) -> dict[str, str]:
    """Return the state of each recording, by its meeting's id."""
    shown = labelled(text, "rk_recording_status")
    return {labels["meeting_id"]: labels["status"] for labels, number in shown if number}


def paths(calls: Sequence[Call]) -> list[str]:
    """Return the status filter of calls that have one, and the path of the other calls."""
    return [call.query.get("status", call.path) for call in calls]


def failing(stage: Stage, status: str) -> Callable[[Call], None]:
    """Return a hook that lets the calls for one status fail."""

    def fail(call: Call) -> None:
        if call.query.get("status") == status:
            stage.simulator.inject("*", Fault.SERVER_ERROR, times=1)

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


class TestList:
    """Recordings in progress, read through the list."""

    def test_same_as_one_by_one(self) -> None:
        """In every phase of a recording, the list shows the same as one call per meeting."""
        story = [
            life(
                name,
                invoked_at=NOW + 10 * number,
                started_at=NOW + 10 * number + 2,
                stopped_at=NOW + 60 + 11 * number,
                uploaded_at=NOW + 100 + 11 * number,
            )
            for number, name in enumerate(ids(6))
        ]
        moments: list[list[str]] = []

        async def scenario(stage: Stage) -> list[str]:
            return await stage.scrapes(17, 11.0)

        for mode in ("active-recording", "list"):
            texts = play(
                scenario,
                *story,
                configuration=config(meeting_ids=[*ids(6), "idle"], api__read=mode),
                linger_seconds=0,
            )
            assert {mode} == {read_mode(text) for text in texts}
            moments.append([self.recording_lines(text) for text in texts])
        assert moments[0] == moments[1]
        assert len(set(moments[0])) > 12

    def recording_lines(self, text: str) -> str:
        """Return the lines of recordings, except read times and values that come later."""
        prefixes = ("rk_recording", "rk_meeting_active_recordings")
        # The reason is read by the recording's id, one scrape after the list shows the end.
        others = ("rk_recording_last_success_timestamp_seconds", "rk_recording_stop_reason")
        lines = [line for line in text.splitlines() if line.startswith(prefixes)]
        return "\n".join(sorted(line for line in lines if not line.startswith(others)))

    def test_others(self) -> None:
        """Meetings that are not in the configuration are neither shown nor counted."""

        async def scenario(stage: Stage) -> str:
            return await stage.scrape()

        text = play(
            scenario, *map(running, [*ids(5), "mine"]), configuration=list_config("mine", "idle")
        )
        assert states(text) == {"mine": "RECORDING"}
        assert not [line for line in text.splitlines() if "meeting-00" in line]
        assert (value(text, "rk_meetings"), value(text, "rk_meetings_deferred")) == (2, 0)

    def test_end(self) -> None:
        """A recording that has left the list is read once by its id, and shown as finished."""

        async def scenario(stage: Stage) -> list[tuple[list[str], dict[str, str]]]:
            seen = []
            for _ in range(4):
                text = await stage.scrape()
                seen.append((sorted(paths(stage.front.take())), states(text)))
            return seen

        ending = running("a", stopped_at=NOW + 10, uploaded_at=NOW + 20)
        before, uploading, after, later = play(
            scenario, ending, running("b"), configuration=list_config("a", "b", "c")
        )
        whole = ["INVOKED", "PAUSED", "RECORDING", "UPLOADING"]
        assert before == ([*whole, "recordings"], {"a": "RECORDING", "b": "RECORDING"})
        assert uploading == (whole, {"a": "UPLOADING", "b": "RECORDING"})
        asked = [*whole, f"recordings/{ending.id}"]
        assert after == (asked, {"a": "UPLOADED", "b": "RECORDING"})
        assert later == (whole, {"a": "UPLOADED", "b": "RECORDING"})

    def test_recording_that_vanishes(self) -> None:
        """A recording that has left the list and no longer exists is counted and dropped."""

        async def scenario(stage: Stage) -> list[str]:
            return await stage.scrapes(2)

        vanishing = running("a", vanishes_at=NOW + 10)
        first, second = play(scenario, vanishing, running("b"), configuration=list_config("a", "b"))
        assert states(first) == {"a": "RECORDING", "b": "RECORDING"}
        assert states(second) == {"b": "RECORDING"}
        assert value(second, "rk_recordings_finished_total", outcome="vanished") == 1

    def test_state_that_changes_between_two_calls(self) -> None:
        """A recording that changes its state between two calls is not lost."""
        # It resumes after the answer for RECORDING, and before the answer for PAUSED.
        resumed = running("a", paused=[(NOW + 5, NOW + 15.75)])

        async def scenario(stage: Stage) -> list[dict[str, str]]:
            first = await stage.scrape()
            stage.front.take()
            second = await stage.scrape()
            whole = ["INVOKED", "RECORDING", "PAUSED", "UPLOADING"]
            assert paths(stage.front.calls) == [*whole, f"recordings/{resumed.id}"]
            return [states(first), states(second)]

        first, second = play(
            scenario,
            resumed,
            configuration=list_config("a"),
            workers_per_app=1,
            latency_seconds=0.3,
        )
        assert (first, second) == ({"a": "RECORDING"}, {"a": "RECORDING"})

    def test_page_that_shifts(self) -> None:
        """A recording that moves to a page that was already read does not count as ended."""
        names = ids(150)
        # Whichever end the list starts with, its first recording ends between two pages.
        ends = {names[0]: NOW + 15.75, names[-1]: NOW + 15.75}
        story = [
            running(name, invoked_at=NOW - 200 + number, started_at=NOW, stopped_at=ends.get(name))
            for number, name in enumerate(names)
        ]

        async def scenario(stage: Stage) -> tuple[dict[str, str], list[str]]:
            await stage.scrape()
            stage.front.take()
            return states(await stage.scrape()), paths(stage.front.calls)

        shown, called = play(
            scenario,
            *story,
            configuration=list_config(*names),
            workers_per_app=1,
            latency_seconds=0.3,
        )
        assert sorted(shown) == names
        assert {shown[name] for name in names[1:-1]} == {"RECORDING"}
        # This is the recording that moved.
        assert 1 == sum(path.startswith("recordings/") for path in called)

    def test_one_state_fails(self) -> None:
        """If one status cannot be read, the recordings found are shown, the others are kept."""

        async def scenario(stage: Stage) -> tuple[str, list[str]]:
            await stage.scrape()
            stage.front.before = failing(stage, "UPLOADING")
            stage.front.take()
            return await stage.scrape(30.0), paths(stage.front.calls)

        text, called = play(
            scenario,
            running("a", paused=[(NOW + 20, None)]),
            running("b", stopped_at=NOW - 1),
            configuration=list_config("a", "b", "idle"),
        )
        assert states(text) == {"a": "PAUSED", "b": "UPLOADING"}
        assert by_meeting(text, "rk_meeting_up") == {"a": 1, "b": 0, "idle": 0}
        read_at = by_meeting(text, "rk_meeting_last_success_timestamp_seconds")
        assert [round(at - NOW) for at in read_at.values()] == [30, 0, 0]
        assert (value(text, "rk_up"), value(text, "rk_meetings_deferred")) == (1, 0)
        # Reading b by its id would not help.
        assert sorted(called) == ["INVOKED", "PAUSED", "RECORDING", "UPLOADING"]

    def test_one_state_of_a_meeting_fails(self) -> None:
        """If a meeting has two recordings, the one whose status cannot be read stays."""

        async def scenario(stage: Stage) -> list[str]:
            first = await stage.scrape()
            stage.front.before = failing(stage, "UPLOADING")
            return [first, await stage.scrape()]

        old = running("a", invoked_at=NOW - 500, started_at=NOW - 498, stopped_at=NOW - 70)
        texts = play(scenario, old, running("a"), configuration=list_config("a"))
        assert [value(text, "rk_meeting_active_recordings") for text in texts] == [2, 2]


class TestSmallBudgetForTheList:
    """A budget that is too small for the whole list at each scrape."""

    def test_saved_up(self) -> None:
        """Calls are saved until the whole list can be read, because half of it is of little use."""

        async def scenario(stage: Stage) -> list[int]:
            await stage.scrapes(4)
            counts = []
            for _ in range(20):
                stage.front.take()
                await stage.scrape()
                counts.append(sum("status" in call.query for call in stage.front.calls))
            return counts

        counts = play(scenario, running("a"), configuration=list_config("a", "b", api__budget="40"))
        assert set(counts) == {0, 4}
        # Four calls take 30 s of the budget: about every other scrape.
        assert counts.count(4) >= 8

    def test_half_of_the_list(self) -> None:
        """If the calls end midway, the recordings found are shown; nothing else is known."""

        async def scenario(stage: Stage) -> str:
            return await stage.scrape()

        text = play(
            scenario,
            running("invoked", started_at=None),
            running("recording"),
            configuration=list_config("invoked", "recording", "idle", api__budget="40"),
        )
        assert by_meeting(text, "rk_meeting_active_recordings") == {"invoked": 1}
        assert by_meeting(text, "rk_meeting_up") == {"invoked": 1}
        assert value(text, "rk_meetings_deferred") == 2

    @pytest.mark.parametrize("read", ["list", "auto"])
    def test_from_the_start(self, read: str) -> None:
        """However small the budget is, the first list is read when there are calls for it."""

        async def scenario(stage: Stage) -> str:
            return (await stage.scrapes(20))[-1]

        few = config(meeting_ids=["a", "b", "c"], api__read=read, api__budget="16")
        assert states(play(scenario, running("a"), configuration=few)) == {"a": "RECORDING"}

    def test_long_list(self) -> None:
        """Calls are also saved for a list that is longer than a full budget."""
        names = ids(400)

        async def scenario(stage: Stage) -> str:
            return (await stage.scrapes(16))[-1]

        ending = [running(name, stopped_at=NOW + 60) for name in names]
        text = play(scenario, *ending, configuration=list_config(*names, api__budget="60"))
        assert set(states(text).values()) == {"UPLOADING"}

    def test_ends_are_confirmed(self) -> None:
        """There are calls for recordings that have ended, even if one ends at each scrape."""
        names = ids(20)
        story = [
            running(name, stopped_at=NOW + 95 + 15 * number, uploaded_at=NOW + 98 + 15 * number)
            for number, name in enumerate(names)
        ]

        async def scenario(stage: Stage) -> int:
            texts = await stage.scrapes(25)
            over = {
                recording.meeting_id
                for recording in story
                if recording.phases[-1].at < stage.now() - 60
            }
            return len(
                [recording for recording in over if states(texts[-1]).get(recording) == "RECORDING"]
            )

        # The list takes each scrape's share of these calls.
        assert play(scenario, *story, configuration=list_config(*names, api__budget="80")) == 0

    def test_deferred(self) -> None:
        """Recordings of other meetings in the list do not count as read meetings."""

        async def scenario(stage: Stage) -> str:
            return await stage.scrape()

        story = [running(name, started_at=None) for name in ids(20)]
        text = play(scenario, *story, configuration=list_config("a", "b", api__budget="40"))
        assert samples(text, "rk_meeting_up") == {}
        assert value(text, "rk_meetings_deferred") == 2

    def test_readings_do_not_flap(self) -> None:
        """Readings are shown until the next list, however rarely the budget allows one."""

        async def scenario(stage: Stage) -> list[str]:
            return await stage.scrapes(30)

        seldom = list_config("a", "b", api__budget="30", scrape__stale_after="30s")
        texts = play(scenario, running("a"), configuration=seldom)
        assert [states(text) for text in texts[4:]] == [{"a": "RECORDING"}] * 26


class TestAuto:
    """The read mode that the budget allows."""

    def auto(self, count: int, budget: str = "600") -> Config:
        return config(meeting_ids=ids(count), api__read="auto", api__budget=budget)

    def test_few_meetings(self, caplog: pytest.LogCaptureFixture) -> None:
        """While the budget allows one call per meeting and scrape, the exporter makes them."""
        caplog.set_level(logging.INFO, logger="rk_exporter")

        async def scenario(stage: Stage) -> list[str]:
            texts = await stage.scrapes(10)
            assert {call.query.get("status") for call in stage.front.calls} == {None}
            return texts

        texts = play(scenario, configuration=self.auto(26))
        assert {read_mode(text) for text in texts} == {"active-recording"}
        assert [value(text, "rk_meetings_deferred") for text in texts[2:]] == [0] * 8
        assert messages(caplog) == []

    def test_many_meetings(self, caplog: pytest.LogCaptureFixture) -> None:
        """Beyond that, the list is read from the first scrape; the log gives the reason."""
        caplog.set_level(logging.INFO, logger="rk_exporter")

        async def scenario(stage: Stage) -> list[str]:
            return await stage.scrapes(10)

        texts = play(scenario, configuration=self.auto(1000))
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

        async def scenario(stage: Stage) -> list[str]:
            return [read_mode(text) for text in await stage.scrapes(6, 60.0)]

        modes = play(scenario, configuration=self.auto(100))
        assert modes == ["list", *["active-recording"] * 5]

    def test_list_that_fails(self) -> None:
        """If the list fails repeatedly, meetings are read one by one; the list is tried later."""

        async def scenario(stage: Stage) -> list[str]:
            def fail_lists(call: Call) -> None:
                stage.simulator.clear()
                if call.path == "recordings":
                    stage.simulator.inject("*", Fault.SERVER_ERROR)

            stage.front.before = fail_lists
            return await stage.scrapes(60)

        texts = play(scenario, configuration=self.auto(100))
        modes = [read_mode(text) for text in texts]
        tried = ["list"] * 3
        assert modes == [*tried, *["active-recording"] * 39, *tried, *["active-recording"] * 15]
        ups = [sum(samples(text, "rk_meeting_up").values()) for text in texts]
        assert (0, 100) == (ups[2], ups[20])

    def test_list_of_meetings_that_changes(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The mode changes to the list when meetings are added, and back when they leave."""
        caplog.set_level(logging.INFO, logger="rk_exporter")
        path = tmp_path / "meetings"
        file = written(path, ids(20))
        choice = config(meeting_ids=[], meetings__files=[file], api__read="auto", api__budget="600")

        async def scenario(stage: Stage) -> list[tuple[str, int]]:
            seen = []
            for count in (20, 32, 36, 32, 20, 32):
                written(path, ids(count))
                texts = await stage.scrapes(5)
                seen.append((read_mode(texts[0]), count))
                assert len({read_mode(text) for text in texts}) == 1
            return seen

        assert play(scenario, running(ids(1)[0]), configuration=choice) == [
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

        async def scenario(stage: Stage) -> list[str]:
            modes = []
            for _ in range(15):
                modes += [
                    read_mode(await stage.scrape(interval)) for interval in (15.0 - phase, phase)
                ]
            return modes

        modes = play(scenario, configuration=self.auto(count))
        # The first passes are not enough to measure it.
        assert len(set(modes[8:])) == 1
        assert len(messages(caplog)) <= 2

    @pytest.mark.parametrize(("count", "mode"), [(30, "active-recording"), (34, "list")])
    def test_unsteady_interval(
        self, count: int, mode: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A scrape that is early or late does not change how recordings are read."""
        caplog.set_level(logging.INFO, logger="rk_exporter")

        async def scenario(stage: Stage) -> set[str]:
            modes = set()
            for number in range(32):
                modes.add(read_mode(await stage.scrape(14.0 if number // 5 % 2 else 16.0)))
            return modes

        assert play(scenario, configuration=self.auto(count)) == {mode}
        assert len(messages(caplog)) == (mode == "list")


class TestOneByOne:
    """One call per meeting, as configured, whatever the budget allows."""

    def test_log(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The log explains a small budget, again after a change, and reports its end."""
        caplog.set_level(logging.INFO, logger="rk_exporter")
        path = tmp_path / "meetings"
        file = written(path, ids(12))
        choice = config(meeting_ids=[], meetings__files=[file], api__budget="60")

        async def scenario(stage: Stage) -> None:
            for count in (12, 14, 30, 30, 2, 2):
                written(path, ids(count))
                await stage.scrapes(3)

        play(scenario, configuration=choice)
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

        async def scenario(stage: Stage) -> None:
            for number in range(32):
                await stage.scrape(14.9 if number // 6 % 2 else 15.1)

        play(scenario, configuration=config(meeting_ids=ids(33), api__budget="600"))
        assert len(messages(caplog)) <= 1

    def test_deferred(self) -> None:
        """Each scrape reads as many meetings as it has calls for; the others are deferred."""

        async def scenario(stage: Stage) -> list[str]:
            return await stage.scrapes(12)

        texts = play(scenario, configuration=config(meeting_ids=ids(12), api__budget="60"))
        assert [value(text, "rk_meetings_deferred") for text in texts[2:]] == [9] * 10
        # Three meetings per scrape, so all of them in four scrapes.
        assert all(len(samples(text, "rk_meeting_up")) == 12 for text in texts[5:])

    def test_readings_do_not_flap(self) -> None:
        """A meeting that waits for longer than `stale_after` keeps its reading."""

        async def scenario(stage: Stage) -> list[str]:
            return await stage.scrapes(120)

        texts = play(scenario, configuration=config(meeting_ids=ids(12), api__budget="10"))
        shown = [len(samples(text, "rk_meeting_active_recordings")) for text in texts]
        assert shown == sorted(shown)
        assert shown[-1] == 12

    @pytest.mark.parametrize("budget", ["10", "20", "21"])
    @pytest.mark.parametrize("count", [1, 3])
    def test_one_call_in_a_pass(self, count: int, budget: str) -> None:
        """If each scrape has one call, the list and ended recordings have their turn too."""
        names = ids(count)
        ending = running(names[0], stopped_at=NOW + 1000, uploaded_at=NOW + 1030)

        async def scenario(stage: Stage) -> str:
            text = (await stage.scrapes(200))[-1]
            assert stage.exporter.collector.why_not_ready() is None
            return text

        few = config(meeting_ids=names, api__budget=budget, scrape__stale_after="1h")
        text = play(scenario, ending, configuration=few, linger_seconds=0)
        assert states(text) == {names[0]: "UPLOADED"}
        assert value(text, "rk_recording_stop_reason", reason="ALL_PEERS_LEFT") == 1

    def test_beginning_that_the_list_shows(self) -> None:
        """After the list shows a recording, its meeting is read often."""
        names = ids(40)
        # The list is polled every 4 minutes, and an idle meeting is read every 3 to 7.
        found = running(names[0], invoked_at=NOW + 500, started_at=NOW + 545)

        async def scenario(stage: Stage) -> dict[str, float]:
            first_shown: dict[str, float] = {}
            for _ in range(50):
                for state in states(await stage.scrape()).values():
                    first_shown.setdefault(state, stage.now() - NOW)
            return first_shown

        few = config(meeting_ids=names, api__budget="60")
        first_shown = play(scenario, found, configuration=few)
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

        async def scenario(stage: Stage) -> list[float]:
            texts = [(stage.now() - NOW, await stage.scrape()) for _ in range(100)]
            assert states(texts[-1][1])[short.meeting_id] == "UPLOADED"
            return [at for at, text in texts if samples(text, "rk_recording_stop_reason")]

        # One or two of three calls per scrape are for recordings that need twelve.
        seconds_shown = play(
            scenario,
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
        patience = 40 if uploading_is_active else 100
        story = [
            running(name, stopped_at=NOW + at, uploaded_at=NOW + at + 40)
            for name, at in zip(names, (400, 460), strict=False)
        ]

        async def scenario(stage: Stage) -> list[str]:
            seen = []
            for _ in range(40):
                text = await stage.scrape()
                over = [
                    recording
                    for recording in story
                    if recording.phases[-1].at < stage.now() - patience
                ]
                seen += [states(text)[recording.meeting_id] for recording in over]
            return seen

        shown = play(
            scenario,
            *story,
            configuration=config(meeting_ids=names, api__budget="60"),
            linger_seconds=0,
            uploading_is_active=uploading_is_active,
        )
        assert set(shown) == {"UPLOADED"}

    @pytest.mark.parametrize(("budget", "seconds"), [("600", 300), ("40", 300 + 75)])
    def test_when_readings_go(self, budget: str, seconds: float) -> None:
        """Unreadable meetings end after `stale_after`, plus the time that a turn takes."""

        async def scenario(stage: Stage) -> float:
            await stage.scrapes(12)
            begun = stage.now()
            stage.simulator.inject("*", Fault.SERVER_ERROR)
            while samples(await stage.scrape(5.0), "rk_meeting_active_recordings"):
                pass
            return stage.now() - begun

        gone = play(scenario, configuration=config(meeting_ids=ids(4), api__budget=budget))
        assert seconds - 20 <= gone <= seconds + 20


class TestMinInterval:
    """A fresh reading also answers the next scrape."""

    MEETING = "recordings/active-recording/meeting-1"

    def scrape_at(self, given: Setup, *moments: float) -> list[tuple[list[str], str]]:
        """Return the calls and the exposition of a scrape at each of these *moments*."""

        async def scrapes() -> list[tuple[list[str], str]]:
            seen = []
            for moment in moments:
                given.time.now = NOW + moment
                text = (await given.get()).text
                seen.append((paths(given.front.take()), text))
            return seen

        return run(scrapes())

    def test_two_scrapers(self) -> None:
        """The second of two scrapers costs no call, and gets the same bytes."""
        configuration = config(scrape__min_interval="5s")
        given = setup(life(), configuration=configuration, workers_per_app=1)
        # A scraper with an interval of 5 s is sometimes early.
        first, second, third = self.scrape_at(given, 0, 4.4, 4.6)
        assert (first[0], second[0]) == ([self.MEETING, "recordings"], [])
        assert third[0] == [self.MEETING]
        assert first[1] == second[1] != third[1]
        assert states(third[1]) == {"meeting-1": "RECORDING"}

    @pytest.mark.parametrize("phase", [3.0, 7.0])
    def test_one_bill(self, phase: float) -> None:
        """Two scrapers that are close in time cost as much as one."""

        async def scenario(stage: Stage) -> int:
            for _ in range(10):
                await stage.scrape(15.0 - phase)
                text = await stage.scrape(phase)
                age = stage.now() - min(
                    samples(text, "rk_meeting_last_success_timestamp_seconds").values()
                )
                assert age < 5
            return stage.simulator.requests.by_endpoint["active_recording"]

        each_second = config(meeting_ids=ids(3), scrape__min_interval="5s")
        assert play(scenario, configuration=each_second) == 3 * 10 * (1 if phase < 5 else 2)

    @pytest.mark.parametrize("mode", ["active-recording", "list"])
    def test_failure(self, mode: str) -> None:
        """A failure is not retried within the interval."""
        given = setup(life(), configuration=config(scrape__min_interval="5s", api__read=mode))
        given.simulator.inject("*", Fault.SERVER_ERROR)
        (first, text), (second, _), (third, _) = self.scrape_at(given, 0, 4, 5)
        assert (bool(first), second, bool(third)) == (True, [], True)
        assert value(text, "rk_up") == 0

    def test_apps(self, tmp_path: Path) -> None:
        """A new meeting of one app costs the other app nothing."""
        path = tmp_path / "meetings"
        file = tmp_path / "rk.yml"
        file.write_text(
            "account_id: account\napps:\n"
            f"  - {{app_id: one, meetings: {{ids: [a], files: [{written(path, ['b'])}]}}}}\n"
            "  - {app_id: two, meetings: {ids: [c, d]}}\n"
        )
        options = settings(scrape__min_interval="5s")
        for single in ("account_id", "app_id", "meeting_ids"):
            del options[single]
        two_apps = load(file, options, {TOKEN_VARIABLE: "simulated"})
        given = setup(life("e"), configuration=two_apps)
        assert self.scrape_at(given, 0, 2)[1][0] == []
        written(path, ["b", "e"])

        async def scrape() -> str:
            return (await given.get()).text

        text = run(scrape())
        assert [(call.app_id, call.path[-2:]) for call in given.front.calls] == [("one", "/e")]
        assert states(text) == {"e": "RECORDING"}
        assert samples(text, "rk_meetings_deferred") == {'{app="one"}': 0, '{app="two"}': 0}

    def test_new_token(self, tmp_path: Path) -> None:
        """A token that replaces a rejected one is tried immediately."""
        file = tmp_path / "token"
        file.write_text("refused")
        choice = config(scrape__min_interval="5s", api__token_file=str(file))
        given = setup(life(), configuration=choice, workers_per_app=1)
        refused, kept = self.scrape_at(given, 0, 1)
        file.write_text("simulated")
        (accepted,) = self.scrape_at(given, 2)
        # With a rejected token, no other call is made.
        assert [calls for calls, _ in (refused, kept)] == [[self.MEETING], []]
        assert sorted(accepted[0]) == ["recordings", self.MEETING]
        assert [value(text, "rk_up") for _, text in (refused, kept, accepted)] == [0, 0, 1]

    @pytest.mark.parametrize("mode", ["active-recording", "list"])
    def test_clock_that_is_set_back(self, mode: str) -> None:
        """Readings from the future are not fresh; after the next pass the interval counts."""
        given = setup(life(), configuration=config(scrape__min_interval="5s", api__read=mode))
        is_read = [bool(calls) for calls, _ in self.scrape_at(given, 7200, 10, 12, 3610)]
        assert is_read == [True, True, False, True]

import asyncio
import logging

from dataclasses import replace

import pytest

from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.collector.pass_hints import PassHints
from rk_exporter.collector.pass_reads import PassReads
from rk_exporter.collector.readings import ReadResult
from rk_exporter.model.errors import ApiError, ApiTimeout, ServerError
from rk_exporter.model.meeting import ReadMode
from rk_exporter.model.recording import Recording
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.simulator import Fault
from rk_exporter.simulator import Recording as SimulatedRecording
from tests.support.app_parts import app_parts
from tests.support.building import (
    NOW,
    Call,
    Simulation,
    VirtualClock,
    by_meeting,
    config,
    pass_context,
    samples,
    scripted,
    simulate,
    value,
)
from tests.support.log_lines import lines
from tests.support.read_modes import (
    failing,
    ids,
    list_config,
    paths,
    read_mode,
    running,
    states,
)
from tests.support.virtual_time import run


class TestList:
    """Recordings in progress, read through the list."""

    def test_same_as_one_by_one(self) -> None:
        """In every phase of a recording, the list shows the same as one call per meeting."""
        recordings = [
            scripted(
                name,
                invoked_at=NOW + 10 * number,
                started_at=NOW + 10 * number + 2,
                stopped_at=NOW + 60 + 11 * number,
                uploaded_at=NOW + 100 + 11 * number,
            )
            for number, name in enumerate(ids(6))
        ]
        moments: list[list[str]] = []

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(17, 11.0)

        for mode in ("active-recording", "list"):
            texts = simulate(
                steps,
                *recordings,
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

        async def steps(simulation: Simulation) -> str:
            return await simulation.scrape()

        text = simulate(
            steps, *map(running, [*ids(5), "mine"]), configuration=list_config("mine", "idle")
        )
        assert states(text) == {"mine": "RECORDING"}
        assert not [line for line in text.splitlines() if "meeting-00" in line]
        assert (value(text, "rk_meetings"), value(text, "rk_meetings_deferred")) == (2, 0)

    def test_end(self) -> None:
        """A recording that has left the list is read once by its id, and shown as finished."""

        async def steps(simulation: Simulation) -> list[tuple[list[str], dict[str, str]]]:
            seen = []
            for _ in range(4):
                text = await simulation.scrape()
                seen.append((sorted(paths(simulation.proxy.new_calls())), states(text)))
            return seen

        ending = running("a", stopped_at=NOW + 10, uploaded_at=NOW + 20)
        before, uploading, after, later = simulate(
            steps, ending, running("b"), configuration=list_config("a", "b", "c")
        )
        whole = ["INVOKED", "PAUSED", "RECORDING", "UPLOADING"]
        assert before == ([*whole, "recordings"], {"a": "RECORDING", "b": "RECORDING"})
        assert uploading == (whole, {"a": "UPLOADING", "b": "RECORDING"})
        asked = [*whole, f"recordings/{ending.id}"]
        assert after == (asked, {"a": "UPLOADED", "b": "RECORDING"})
        assert later == (whole, {"a": "UPLOADED", "b": "RECORDING"})

    def test_recording_that_vanishes(self) -> None:
        """A recording that has left the list and no longer exists is counted and dropped."""

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(6)

        vanishing = running("a", vanishes_at=NOW + 10)
        *before, last = simulate(
            steps, vanishing, running("b"), configuration=list_config("a", "b")
        )
        # The API must deny the recording twice, with a minute between.
        assert [states(text) for text in before] == [{"a": "RECORDING", "b": "RECORDING"}] * 5
        assert states(last) == {"b": "RECORDING"}
        assert value(last, "rk_recordings_finished_total", outcome="vanished") == 1

    def test_state_that_changes_between_two_calls(self) -> None:
        """A recording that changes its state between two calls is not lost."""
        # It resumes after the answer for RECORDING, and before the answer for PAUSED.
        resumed = running("a", paused=[(NOW + 5, NOW + 15.75)])

        async def steps(simulation: Simulation) -> list[dict[str, str]]:
            first = await simulation.scrape()
            simulation.proxy.new_calls()
            second = await simulation.scrape()
            whole = ["INVOKED", "RECORDING", "PAUSED", "UPLOADING"]
            assert paths(simulation.proxy.calls) == [*whole, f"recordings/{resumed.id}"]
            return [states(first), states(second)]

        first, second = simulate(
            steps,
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
        recordings = [
            running(name, invoked_at=NOW - 200 + number, started_at=NOW, stopped_at=ends.get(name))
            for number, name in enumerate(names)
        ]

        async def steps(simulation: Simulation) -> tuple[dict[str, str], list[str]]:
            await simulation.scrape()
            simulation.proxy.new_calls()
            return states(await simulation.scrape()), paths(simulation.proxy.calls)

        shown, called = simulate(
            steps,
            *recordings,
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

        async def steps(simulation: Simulation) -> tuple[str, list[str]]:
            await simulation.scrape()
            simulation.proxy.before = failing(simulation, "UPLOADING")
            simulation.proxy.new_calls()
            return await simulation.scrape(30.0), paths(simulation.proxy.calls)

        text, called = simulate(
            steps,
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

        async def steps(simulation: Simulation) -> list[str]:
            first = await simulation.scrape()
            simulation.proxy.before = failing(simulation, "UPLOADING")
            return [first, await simulation.scrape()]

        old = running("a", invoked_at=NOW - 500, started_at=NOW - 498, stopped_at=NOW - 70)
        texts = simulate(steps, old, running("a"), configuration=list_config("a"))
        assert [value(text, "rk_meeting_active_recordings") for text in texts] == [2, 2]


class TestSmallBudgetForTheList:
    """A budget that is too small for the whole list at each scrape."""

    def test_saved_up(self) -> None:
        """Calls are saved until the whole list can be read, because half of it is of little use."""

        async def steps(simulation: Simulation) -> list[int]:
            await simulation.last_scrape(4)
            counts = []
            for _ in range(20):
                simulation.proxy.new_calls()
                await simulation.scrape()
                counts.append(sum("status" in call.query for call in simulation.proxy.calls))
            return counts

        counts = simulate(
            steps, running("a"), configuration=list_config("a", "b", api__budget="40")
        )
        assert set(counts) == {0, 4}
        # Four calls take 30 s of the budget: about every other scrape.
        assert counts.count(4) >= 8

    def test_half_of_the_list(self) -> None:
        """If the calls end midway, the recordings found are shown; nothing else is known."""

        async def steps(simulation: Simulation) -> str:
            return await simulation.scrape()

        text = simulate(
            steps,
            running("invoked", started_at=None),
            running("recording"),
            configuration=list_config("invoked", "recording", "idle", api__budget="20"),
        )
        assert by_meeting(text, "rk_meeting_active_recordings") == {"invoked": 1}
        assert by_meeting(text, "rk_meeting_up") == {"invoked": 1}
        assert value(text, "rk_meetings_deferred") == 2

    @pytest.mark.parametrize("read", ["list", "auto"])
    def test_from_the_start(self, read: str) -> None:
        """However small the budget is, the first list is read when there are calls for it."""

        async def steps(simulation: Simulation) -> str:
            return await simulation.last_scrape(20)

        few = config(meeting_ids=["a", "b", "c"], api__read=read, api__budget="16")
        assert states(simulate(steps, running("a"), configuration=few)) == {"a": "RECORDING"}

    def test_long_list(self) -> None:
        """Calls are also saved for a list that is longer than a full budget."""
        names = ids(400)

        async def steps(simulation: Simulation) -> str:
            return await simulation.last_scrape(16)

        ending = [running(name, stopped_at=NOW + 60) for name in names]
        text = simulate(steps, *ending, configuration=list_config(*names, api__budget="60"))
        assert set(states(text).values()) == {"UPLOADING"}

    def test_ends_are_confirmed(self) -> None:
        """There are calls for recordings that have ended, even if one ends at each scrape."""
        names = ids(20)
        recordings = [
            running(name, stopped_at=NOW + 95 + 15 * number, uploaded_at=NOW + 98 + 15 * number)
            for number, name in enumerate(names)
        ]

        async def steps(simulation: Simulation) -> int:
            texts = await simulation.scrapes(25)
            over = {
                recording.meeting_id
                for recording in recordings
                if recording.phases[-1].at < simulation.now() - 60
            }
            return len(
                [recording for recording in over if states(texts[-1]).get(recording) == "RECORDING"]
            )

        # The list takes each scrape's share of these calls.
        assert (
            simulate(steps, *recordings, configuration=list_config(*names, api__budget="80")) == 0
        )

    def test_deferred(self) -> None:
        """Recordings of other meetings in the list do not count as read meetings."""

        async def steps(simulation: Simulation) -> str:
            return await simulation.scrape()

        recordings = [running(name, started_at=None) for name in ids(20)]
        text = simulate(steps, *recordings, configuration=list_config("a", "b", api__budget="40"))
        assert samples(text, "rk_meeting_up") == {}
        assert value(text, "rk_meetings_deferred") == 2

    def test_readings_do_not_flap(self) -> None:
        """Readings are shown until the next list, however rarely the budget allows one."""

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(30)

        seldom = list_config("a", "b", api__budget="30", scrape__stale_after="30s")
        texts = simulate(steps, running("a"), configuration=seldom)
        assert [states(text) for text in texts[4:]] == [{"a": "RECORDING"}] * 26


class FailingClient(RealtimeKitClient):
    """An API client whose calls for meetings fail after some seconds."""

    max_concurrency = 1

    def __init__(self, error: ApiError, seconds: float) -> None:
        self._error = error
        self._seconds = seconds

    async def active_recordings(
        self, meeting_id: str, context: PassContext
    ) -> tuple[Recording, ...]:
        del meeting_id, context
        await asyncio.sleep(self._seconds)
        raise self._error


class TestFailedCalls:
    """Calls for single meetings and recordings that fail."""

    @pytest.mark.parametrize(
        ("error", "seconds", "deadline_exceeded"),
        [
            (ServerError("no"), 1.0, False),
            (ApiTimeout("no"), 1.0, False),
            (ApiTimeout("no"), 5.0, True),
            (ServerError("no"), 5.0, False),
        ],
    )
    def test_meeting(self, error: ApiError, seconds: float, *, deadline_exceeded: bool) -> None:
        """A failure has its time; only a timeout at the end of the pass exceeded the deadline."""

        async def run_pass() -> dict[str, ReadResult]:
            parts = app_parts("app", VirtualClock(), ReadMode.ACTIVE_RECORDING)
            client = FailingClient(error, seconds)
            parts = replace(parts, client=client)
            hints = PassHints(None, parts.tracker)
            reads = PassReads(parts, pass_context(deadline=5.0), hints)
            (reading,) = parts.sync_meetings(())
            await reads.read_meeting(reading.meeting)
            return reads.results

        expected = ReadResult(NOW + seconds, error.failure, deadline_exceeded=deadline_exceeded)
        assert run(run_pass()) == {"b": expected}

    def test_recording_that_fails_for_a_while(self) -> None:
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

    def test_recordings_that_are_not_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        """One that fails is named once, even if it is beyond the limit of those that are shown."""
        recordings = [
            SimulatedRecording.scripted(
                "meeting-1",
                invoked_at=NOW + begin,
                started_at=NOW + begin + 2,
                stopped_at=NOW + begin + 30,
                uploaded_at=NOW + begin + 35,
            )
            for begin in (10, 70, 130)
        ]

        async def steps(simulation: Simulation) -> None:
            def fail(call: Call) -> None:
                if call.path in {f"recordings/{recording.id}" for recording in recordings}:
                    simulation.simulator.inject("*", Fault.SERVER_ERROR, times=1)

            simulation.proxy.before = fail
            await simulation.last_scrape(120)

        one = config(follow__max_recordings="1")
        simulate(steps, *recordings, configuration=one, linger_seconds=0)
        found = lines(caplog, "collector.pass_log", least=logging.WARNING)
        assert [(fields["recording_ids"], fields["failed"]) for _, _, fields in found] == [
            (recording.id, number) for number, recording in enumerate(recordings, start=1)
        ]
        assert {fields["meeting_ids"] for _, _, fields in found} == {"meeting-1"}

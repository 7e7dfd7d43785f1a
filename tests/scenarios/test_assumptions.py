"""What users see if the API differs from an assumption that nobody could verify."""

import uuid

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rk_exporter.cli import check_report
from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.exporter import Exporter
from rk_exporter.simulator import Fault, Meeting, NotFoundBody, Recording, Session
from tests.support.building import (
    NOW,
    Call,
    Setup,
    Simulation,
    by_meeting,
    config,
    in_process,
    labelled,
    run,
    samples,
    setup,
    simulate,
    value,
)
from tests.support.read_modes import ids, list_config, running, states


DAY = 86_400.0
HOUR = 3600.0
SHOWN = "rk_meeting_active_recordings"
ANY_NONE = [body for body in NotFoundBody if body is not NotFoundBody.HTML]


def failures(text: str) -> dict[str, float]:
    """Return the failed calls by reason."""
    found: dict[str, float] = {}
    for labels, number in labelled(text, "rk_api_request_failures_total"):
        if number:
            found[labels["reason"]] = found.get(labels["reason"], 0) + number
    return found


def ended(meeting_id: str, **changes: Any) -> Recording:
    """Return a recording that was uploaded some minutes ago."""
    moments = {
        "invoked_at": NOW - HOUR,
        "started_at": NOW - HOUR + 2,
        "paused": [],
        "stopped_at": NOW - 600,
        "uploaded_at": NOW - 300,
    }
    return Recording.scripted(meeting_id, **{**moments, **changes})


def list_calls(simulation: Simulation | Setup) -> int:
    return simulation.simulator.requests.by_endpoint["recordings"]


async def first_scrapes(simulation: Simulation) -> list[str]:
    """Return the first four scrapes."""
    return await simulation.scrapes(4)


class TestNoActiveRecording:
    """The answer for a meeting that nobody records is some 404."""

    @pytest.mark.parametrize("body", ANY_NONE)
    def test_any_body(self, body: NotFoundBody) -> None:
        """Whatever the body, idle meetings have no recording, and no call has failed."""
        texts = simulate(
            first_scrapes,
            running("b"),
            configuration=config(meeting_ids=[*"abc"]),
            not_found_body=body,
        )
        for text in texts:
            assert by_meeting(text, SHOWN) == {"a": 0, "b": 1, "c": 0}
            assert set(by_meeting(text, "rk_meeting_up").values()) == {1}
            assert (value(text, "rk_up"), failures(text)) == (1, {})

    @pytest.mark.parametrize("body", [NotFoundBody.ERRORS, NotFoundBody.EMPTY])
    def test_small_budget(self, body: NotFoundBody) -> None:
        """Also if the budget has one call for each scrape, all meetings are read."""

        async def steps(simulation: Simulation) -> str:
            return await simulation.last_scrape(100)

        text = simulate(
            steps, configuration=config(meeting_ids=[*"ab"], api__budget="20"), not_found_body=body
        )
        assert (by_meeting(text, SHOWN), failures(text)) == ({"a": 0, "b": 0}, {})

    @pytest.mark.parametrize(
        "options", [{"not_found_body": NotFoundBody.HTML}, {"fault": Fault.GATEWAY_NOT_FOUND}]
    )
    def test_something_else(self, options: dict[str, Any]) -> None:
        """A web page, or the gateway's code for an unknown path, is a failure."""
        fault = options.pop("fault", None)

        async def steps(simulation: Simulation) -> list[str]:
            if fault:
                simulation.simulator.inject("a", fault)
            return await simulation.scrapes(3)

        for text in simulate(steps, configuration=config(meeting_ids=["a"]), **options):
            assert (by_meeting(text, SHOWN), by_meeting(text, "rk_meeting_up")) == ({}, {"a": 0})
            assert failures(text).keys() == {"not_found"}

    def test_wrong_account(self) -> None:
        """If the list cannot be read either, nothing is known about the meetings."""

        async def steps(simulation: Simulation) -> list[str]:
            def refuse(call: Call) -> None:
                if call.path == "recordings":
                    simulation.simulator.inject("*", Fault.GATEWAY_NOT_FOUND, times=1)

            simulation.proxy.before = refuse
            return await simulation.scrapes(3)

        texts = simulate(
            steps,
            configuration=config(meeting_ids=ids(5)),
            not_found_body=NotFoundBody.EMPTY,
            workers_per_app=1,
        )
        assert {value(text, "rk_up") for text in texts} == {0}
        assert set(by_meeting(texts[-1], "rk_meeting_up").values()) == {0}
        assert by_meeting(texts[-1], SHOWN) == {}

    @pytest.mark.parametrize("minutes", [1, 30])
    def test_calls(self, minutes: int) -> None:
        """One more list at the start is enough, because the list is polled each minute anyway."""

        async def calls(simulation: Simulation) -> int:
            await simulation.last_scrape(4 * minutes)
            return list_calls(simulation)

        counts = [
            simulate(calls, configuration=config(meeting_ids=ids(20)), not_found_body=body)
            for body in (NotFoundBody.ERROR, NotFoundBody.TEXT)
        ]
        assert 0 <= counts[1] - counts[0] <= 1

    def test_list_that_fails(self) -> None:
        """A list that cannot be read is asked once a minute for all meetings, and not for each."""

        async def steps(simulation: Simulation) -> int:
            def refuse(call: Call) -> None:
                if call.path == "recordings":
                    simulation.simulator.inject("*", Fault.GATEWAY_NOT_FOUND, times=1)

            simulation.proxy.before = refuse
            await simulation.last_scrape(40)
            return list_calls(simulation)

        calls = simulate(
            steps, configuration=config(meeting_ids=ids(10)), not_found_body=NotFoundBody.EMPTY
        )
        assert calls <= 2 * 11


class TestCheck:
    """The report of `check`."""

    def lines(self, given: Setup, configuration: Config) -> list[str]:
        """Return the report of a check."""
        exporter = Exporter(
            configuration, make_client=in_process(given.proxy), clock=given.time, persistent=False
        )
        given.time.fill_budget()

        async def check() -> list[str]:
            try:
                snapshot = await exporter.collector.scrape(9.0)
            finally:
                await exporter.close()
            return [*check_report.lines(snapshot)]

        return run(check())

    @pytest.mark.parametrize("body", ANY_NONE)
    def test_idle_meetings(self, body: NotFoundBody) -> None:
        """One list for all meetings makes `check` sure that they are idle."""
        configuration = config(meeting_ids=ids(12))
        given = setup(configuration=configuration, not_found_body=body)
        first, *meetings = self.lines(given, configuration)
        assert "ok, 12 of 12 meetings read" in first
        assert {line.split("  ")[-1] for line in meetings} == {"no active recording"}
        assert list_calls(given) == (0 if body is NotFoundBody.ERROR else 1)

    def test_code_and_message(self) -> None:
        """A failure has the code and the message of the body."""
        configuration = config(meeting_ids=["a"])
        given = setup(configuration=configuration)
        given.simulator.inject("a", Fault.GATEWAY_NOT_FOUND)
        _, line = self.lines(given, configuration)
        assert "the API answered 404 with the error code 7003; " in line
        assert "; the API says " in line


class TestGone:
    """A recording that its own endpoint denies."""

    @pytest.mark.parametrize("body", ANY_NONE)
    def test_denied_twice(self, body: NotFoundBody) -> None:
        """Whatever the body of the 404, a second one after a minute ends the recording."""

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(8)

        texts = simulate(
            steps,
            running("a", vanishes_at=NOW + 10),
            configuration=config(meeting_ids=["a"]),
            not_found_body=body,
            linger_seconds=0,
        )
        shown = [states(text) for text in texts]
        assert shown == [{"a": "RECORDING"}] * 5 + [{}] * 3
        assert value(texts[-1], "rk_recordings_finished_total", outcome="vanished") == 1

    @pytest.mark.parametrize("body", ANY_NONE)
    def test_denied_once(self, body: NotFoundBody) -> None:
        """A recording that the API denies for a moment is followed to its end."""

        async def steps(simulation: Simulation) -> list[str]:
            simulation.proxy.hidden = frozenset({f"recordings/{recording.id}"})
            texts = await simulation.scrapes(5)
            assert [call.path for call in simulation.proxy.calls].count(*simulation.proxy.hidden)
            simulation.proxy.hidden = frozenset()
            return texts + await simulation.scrapes(20)

        recording = running("a", stopped_at=NOW + 20, uploaded_at=NOW + 30)
        text = simulate(
            steps,
            recording,
            configuration=config(meeting_ids=["a"]),
            not_found_body=body,
            linger_seconds=0,
        )[-1]
        assert states(text) == {"a": "UPLOADED"}
        finished = samples(text, "rk_recordings_finished_total")
        assert sum(finished.values()) == 1


class TestStartTime:
    """The list's `start_time` may be about the creation of the meeting."""

    ROOM = Meeting("room", created_at=NOW - 90 * DAY)
    OPTIONS: ClassVar[dict[str, Any]] = {"meetings": [ROOM], "filter_by_creation": True}

    def test_recording_between_two_scrapes(self) -> None:
        """A recording of a permanent room that came and went between two scrapes is seen."""

        async def steps(simulation: Simulation) -> str:
            text = await simulation.last_scrape(3, 60.0)
            assert not any("start_time" in call.query for call in simulation.proxy.calls)
            return text

        quick = Recording.scripted("room", invoked_at=NOW + 70, errored_at=NOW + 80)
        text = simulate(
            steps,
            quick,
            configuration=config(meeting_ids=["room"]),
            linger_seconds=0,
            **self.OPTIONS,
        )
        assert states(text) == {"room": "ERRORED"}

    def test_restored(self) -> None:
        """Finished recordings of a permanent room are shown again after a restart."""

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(1)

        old = ended("room")
        (text,) = simulate(
            steps, old, configuration=config(meeting_ids=["room"]), linger_seconds=0, **self.OPTIONS
        )
        assert states(text) == {"room": "UPLOADED"}

    def test_unfiltered_list(self) -> None:
        """If the list has no status filter, recordings of permanent rooms are found."""
        texts = simulate(
            first_scrapes,
            running("room"),
            configuration=list_config("room", "idle"),
            refuse_status_filter=True,
            **self.OPTIONS,
        )
        assert {str(by_meeting(text, SHOWN)) for text in texts} == {str({"room": 1.0, "idle": 0.0})}


class TestPages:
    """Large pages may be refused, or be larger than what the exporter reads."""

    @staticmethod
    def sizes(simulation: Simulation, path: str = "recordings") -> list[str]:
        """Return the requested sizes, without repetitions."""
        asked = [call.query["per_page"] for call in simulation.proxy.calls if call.path == path]
        return [size for size, before in zip(asked, [None, *asked], strict=False) if size != before]

    @pytest.mark.parametrize("status", [400, 422])
    @pytest.mark.parametrize(("most", "last"), [(99, 50), (25, 25), (24, 12), (10, 10)])
    def test_refused_sizes(self, status: int, most: int, last: int) -> None:
        """The size is halved until the API accepts it, and everything is restored."""
        recordings = [
            ended(name, invoked_at=NOW - HOUR - number) for number, name in enumerate(ids(120))
        ]

        async def steps(simulation: Simulation) -> str:
            text = await simulation.last_scrape(8)
            assert simulation.exporter.why_not_ready() is None
            expected = [size for size in (100, 50, 25, 12, 10) if size >= last]
            assert self.sizes(simulation) == [str(size) for size in expected]
            return text

        text = simulate(
            steps,
            *recordings,
            configuration=config(meeting_ids=ids(120), api__budget="6000"),
            most_recordings=most,
            page_refusal=status,
            linger_seconds=0,
        )
        assert states(text) == dict.fromkeys(ids(120), "UPLOADED")
        assert failures(text) == {"client_error": [100, 50, 25, 12, 10].index(last)}

    def test_larger_pages_after_a_day(self) -> None:
        """After a day the largest size is tried again."""

        async def steps(simulation: Simulation) -> list[str]:
            await simulation.scrape()
            simulation.simulator.settings = simulation.simulator.settings.changed(
                "most_recordings", "100"
            )
            await simulation.last_scrape(20, HOUR)
            before = self.sizes(simulation)
            await simulation.last_scrape(6, HOUR)
            return [*before, "a day", *self.sizes(simulation)[len(before) :]]

        sizes = simulate(steps, configuration=config(), most_recordings=50)
        assert sizes == ["100", "50", "a day", "100"]

    def test_status_filter_stays(self, caplog: pytest.LogCaptureFixture) -> None:
        """If the API refuses the size, the status filter is not blamed for it."""

        async def steps(simulation: Simulation) -> list[str]:
            texts = await simulation.scrapes(3)
            last = {call.query.get("status") for call in simulation.proxy.calls[-7:]}
            assert {"INVOKED", "RECORDING", "PAUSED", "UPLOADING"} <= last
            return texts

        texts = simulate(
            steps,
            *[running(name) for name in ids(60)],
            configuration=list_config(*ids(61)),
            most_recordings=25,
        )
        for text in texts:
            assert by_meeting(text, SHOWN) == {**dict.fromkeys(ids(60), 1), ids(61)[-1]: 0}
        assert "listed by status" not in caplog.text

    @pytest.mark.parametrize("files", [13, 100])
    def test_large_pages(self, files: int) -> None:
        """A hundred track recordings with many URLs each are restored."""
        recordings = [ended(name, track=True) for name in ids(100)]

        async def steps(simulation: Simulation) -> str:
            text = await simulation.last_scrape(3)
            assert simulation.exporter.why_not_ready() is None
            return text

        text = simulate(
            steps,
            *recordings,
            configuration=config(meeting_ids=ids(100), api__budget="6000"),
            track_files=files,
            linger_seconds=0,
        )
        assert states(text) == dict.fromkeys(ids(100), "UPLOADED")

    def test_sessions(self) -> None:
        """Discovery finds all live meetings, too, and does not change the size of other lists."""

        async def steps(simulation: Simulation) -> list[str]:
            texts = await simulation.scrapes(3)
            assert self.sizes(simulation, "sessions") == ["100", "50", "25"]
            assert self.sizes(simulation) == ["100"]
            return texts

        live = [Session(f"session-{name}", name, NOW - 10) for name in ids(60)]
        texts = simulate(
            steps,
            sessions=live,
            meetings=ids(60),
            configuration=config(meeting_ids=[], meetings__discover="true", api__budget="6000"),
            most_sessions=25,
        )
        assert set(by_meeting(texts[-1], "rk_meeting_live")) == set(ids(60))


class TestCapitals:
    """Ids in capitals, in the configuration or in the API's lists."""

    UUIDS: Sequence[str] = [str(uuid.UUID(int=number << 96 | 0xABCDEF)) for number in (10, 11, 12)]

    @pytest.mark.parametrize("read", ["active-recording", "list"])
    @pytest.mark.parametrize("capital_ids", [False, True])
    @pytest.mark.parametrize("configured", [str.lower, str.upper])
    def test_uuids(self, read: str, configured: Any, capital_ids: bool) -> None:  # noqa: FBT001 # a parameter
        """UUIDs are the same in capitals and lower case; labels are as in the configuration."""
        recorded, ended, idle = self.UUIDS

        async def steps(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(8)

        texts = simulate(
            steps,
            running(recorded),
            running(ended, stopped_at=NOW + 20, uploaded_at=NOW + 50),
            configuration=config(meeting_ids=[configured(x) for x in self.UUIDS], api__read=read),
            capital_ids=capital_ids,
            linger_seconds=0,
        )
        first, last = texts[0], texts[-1]
        names = [configured(name) for name in (recorded, ended, idle)]
        assert by_meeting(first, SHOWN) == dict(zip(names, [1, 1, 0], strict=True))
        assert states(last) == {names[0]: "RECORDING", names[1]: "UPLOADED"}
        assert len(labelled(last, "rk_recording_info")) == 2
        assert failures(last) == {}

    @pytest.mark.parametrize("capital_ids", [False, True])
    def test_discovery(self, capital_ids: bool) -> None:  # noqa: FBT001 # a parameter
        """A live meeting that is configured in capitals is one meeting."""
        name = self.UUIDS[0]
        text = simulate(
            first_scrapes,
            running(name),
            meetings=[Meeting(name, title="Weekly", record_on_start=True)],
            sessions=[Session("session", name, NOW - 10)],
            configuration=config(meeting_ids=[name.upper()], meetings__discover="true"),
            capital_ids=capital_ids,
        )[-1]
        for metric in ("rk_meeting_live", SHOWN, "rk_meeting_record_on_start"):
            assert by_meeting(text, metric) == {name.upper(): 1}, metric
        ((labels, _),) = labelled(text, "rk_meeting_info")
        assert "Weekly" in labels.values()

    @pytest.mark.parametrize("read", ["active-recording", "list"])
    def test_room_names(self, read: str) -> None:
        """Names of rooms that differ in case are different rooms."""
        text = simulate(
            first_scrapes,
            running("daily"),
            configuration=config(meeting_ids=["daily", "Daily"], api__read=read),
        )[-1]
        assert by_meeting(text, SHOWN) == {"daily": 1, "Daily": 0}


class TestAnswers:
    """Answers that are valid HTTP, but not as usual."""

    def test_cached_answers(self) -> None:
        """The age of cached answers does not shift the clock by which URLs expire."""

        async def steps(simulation: Simulation) -> set[float]:
            snapshots = [await simulation.scrape_snapshot() for _ in range(9)]
            return {snapshot.apps[0].clock_offset_seconds for snapshot in snapshots}

        offsets = simulate(
            steps, running("a"), configuration=config(meeting_ids=["a"]), cached_seconds=600
        )
        assert offsets == {0}

    @pytest.mark.parametrize("coding", ["", "none", "identity", "Identity", "identity, none"])
    def test_content_encoding(self, coding: str) -> None:
        """An encoding that packs nothing is no reason to refuse an answer."""
        text = simulate(
            first_scrapes,
            running("a"),
            configuration=config(meeting_ids=["a"]),
            content_encoding=coding,
        )[-1]
        assert (by_meeting(text, SHOWN), failures(text)) == ({"a": 1}, {})

    def test_created(self) -> None:
        """A list that is answered with 201 is a list."""
        text = simulate(
            first_scrapes, running("a"), configuration=list_config("a", "b"), list_status=201
        )[-1]
        assert (by_meeting(text, SHOWN), failures(text)) == ({"a": 1, "b": 0}, {})


class TestRefusals:
    """An app whose calls something else than the token refuses, beside another app."""

    @staticmethod
    def texts(path: Path, scrapes: int, **switches: Any) -> tuple[list[str], list[float]]:
        """Return scrapes of two apps, and when the calls for the first app were made."""
        path.write_text(
            "account_id: account\n"
            "apps:\n"
            "  - {app_id: one, meetings: {ids: [a, b, c]}}\n"
            "  - {app_id: two, meetings: {ids: [a, b, c]}}\n"
        )

        async def steps(simulation: Simulation) -> tuple[list[str], list[float]]:
            called_at: list[float] = []

            def record(call: Call) -> None:
                if call.app_id == "one":
                    called_at.append(simulation.now() - NOW)

            simulation.proxy.before = record
            return await simulation.scrapes(scrapes), called_at

        configuration = load(path, {}, {TOKEN_VARIABLE: "simulated"})
        return simulate(steps, running("a"), configuration=configuration, **switches)

    def test_unavailable(self, tmp_path: Path) -> None:
        """A 503 with Retry-After is obeyed for that app, and only for that app."""
        texts, called_at = self.texts(tmp_path / "rk.yml", 9, unavailable_app="one")
        up = [
            {labels["rk_app"]: is_up for labels, is_up in labelled(text, "rk_up")} for text in texts
        ]
        assert up == [{"one": 0, "two": 1}] * 9
        pauses = [later - earlier for earlier, later in pairwise(called_at) if later - earlier > 5]
        assert 3 <= len(pauses) <= 4
        assert all(30 <= pause <= 45 for pause in pauses)
        (reason,) = failures(texts[-1])
        assert reason == "server_error"
        blocked = labelled(texts[-1], "rk_api_blocked_until_timestamp_seconds")
        assert [labels["rk_app"] for labels, _ in blocked] == ["one"]

    def test_web_page(self, tmp_path: Path) -> None:
        """A 403 with a web page is not about the token; the calls are made less and less often."""
        texts, called_at = self.texts(tmp_path / "rk.yml", 41, blocked_app="one")
        up = [
            {labels["rk_app"]: is_up for labels, is_up in labelled(text, "rk_up")} for text in texts
        ]
        assert up == [{"one": 0, "two": 1}] * 41
        assert failures(texts[-1]).keys() == {"intercepted"}
        assert len(called_at) < 20

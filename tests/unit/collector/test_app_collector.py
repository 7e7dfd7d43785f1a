import logging

from dataclasses import replace
from pathlib import Path

import pytest

from rk_exporter.collector.app_collector import AppCollector
from rk_exporter.collector.app_webhook import AppWebhook
from rk_exporter.collector.meeting_list import MeetingList
from rk_exporter.collector.readings import StalenessGrace
from rk_exporter.config.loader import load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.model.errors import ApiTimeout, ServerError
from rk_exporter.model.meeting import App, Meeting, Reading, ReadMode
from rk_exporter.model.recording import Status
from rk_exporter.model.remedies import Wait
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.limiter import RateLimitWait
from rk_exporter.ratelimit.status import Outage
from rk_exporter.simulator import Fault
from rk_exporter.tracking.state_records import SavedApp
from rk_exporter.tracking.tracker_state import TrackerState
from tests.support.app_parts import app_parts
from tests.support.building import (
    NOW,
    TOKEN,
    Setup,
    Simulation,
    config,
    limiter_of,
    run,
    samples,
    scripted,
    settings,
    setup,
    simulate,
    value,
)
from tests.support.log_lines import lines
from tests.support.one_app import OneApp, block, with_app
from tests.support.read_modes import (
    ids,
    paths,
    states,
    written,
)


class TestMinInterval:
    """A fresh reading also answers the next scrape."""

    MEETING = "recordings/active-recording/meeting-1"

    def scrape_at(self, system: Setup, *moments: float) -> list[tuple[list[str], str]]:
        """Return the calls and the exposition of a scrape at each of these *moments*."""

        async def scrapes() -> list[tuple[list[str], str]]:
            seen = []
            for moment in moments:
                system.time.now = NOW + moment
                text = (await system.get()).text
                seen.append((paths(system.proxy.new_calls()), text))
            return seen

        return run(scrapes())

    def test_two_scrapers(self) -> None:
        """The second of two scrapers costs no call, and gets the same bytes."""
        configuration = config(scrape__min_interval="5s")
        system = setup(scripted(), configuration=configuration, workers_per_app=1)
        # A scraper with an interval of 5 s is sometimes early.
        first, *fresh, second, third = self.scrape_at(system, 0, 0, 0.5, 4.4, 4.6)
        assert (first[0], second[0]) == ([self.MEETING, "recordings"], [])
        assert fresh == [second] * 2
        assert third[0] == [self.MEETING]
        assert first[1] == second[1] != third[1]
        assert states(third[1]) == {"meeting-1": "RECORDING"}

    @pytest.mark.parametrize("phase", [3.0, 7.0])
    def test_scrapers_close_in_time(self, phase: float) -> None:
        """Two scrapers that are close in time cost as much as one."""

        async def steps(simulation: Simulation) -> int:
            for _ in range(10):
                await simulation.scrape(15.0 - phase)
                text = await simulation.scrape(phase)
                age = simulation.now() - min(
                    samples(text, "rk_meeting_last_success_timestamp_seconds").values()
                )
                assert age < 5
            return simulation.simulator.requests.by_endpoint["active_recording"]

        each_second = config(meeting_ids=ids(3), scrape__min_interval="5s")
        assert simulate(steps, configuration=each_second) == 3 * 10 * (1 if phase < 5 else 2)

    @pytest.mark.parametrize("mode", ["active-recording", "list"])
    def test_failure(self, mode: str) -> None:
        """A failure is not retried within the interval."""
        system = setup(scripted(), configuration=config(scrape__min_interval="5s", api__read=mode))
        system.simulator.inject("*", Fault.SERVER_ERROR)
        (first, text), (second, _), (third, _) = self.scrape_at(system, 0, 4, 5)
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
        system = setup(scripted("e"), configuration=two_apps)
        assert self.scrape_at(system, 0, 2)[1][0] == []
        written(path, ["b", "e"])

        async def scrape() -> str:
            return (await system.get()).text

        text = run(scrape())
        assert [(call.app_id, call.path[-2:]) for call in system.proxy.calls] == [("one", "/e")]
        assert states(text) == {"e": "RECORDING"}
        assert samples(text, "rk_meetings_deferred") == {'{rk_app="one"}': 0, '{rk_app="two"}': 0}

    def test_new_token(self, tmp_path: Path) -> None:
        """A token that replaces a rejected one is tried immediately."""
        file = tmp_path / "token"
        file.write_text("refused")
        choice = config(scrape__min_interval="5s", api__token_file=str(file))
        system = setup(scripted(), configuration=choice, workers_per_app=1)
        refused, kept = self.scrape_at(system, 0, 1)
        file.write_text("simulated")
        (accepted,) = self.scrape_at(system, 2)
        # With a rejected token, no other call is made.
        assert [calls for calls, _ in (refused, kept)] == [[self.MEETING], []]
        assert sorted(accepted[0]) == ["recordings", self.MEETING]
        assert [value(text, "rk_up") for _, text in (refused, kept, accepted)] == [0, 0, 1]

    @pytest.mark.parametrize("mode", ["active-recording", "list"])
    def test_clock_that_is_set_back(self, mode: str) -> None:
        """Readings from the future are not fresh; after the next pass the interval counts."""
        system = setup(scripted(), configuration=config(scrape__min_interval="5s", api__read=mode))
        is_read = [bool(calls) for calls, _ in self.scrape_at(system, 7200, 10, 12, 3610)]
        assert is_read == [True, True, False, True]


class TestContext:
    """The limits of the calls of a pass."""

    @pytest.mark.parametrize(
        ("number", "seconds", "timeout", "waits"),
        [
            (1, 9.5, 4.75, 8.55),
            (1, 60.0, 5.0, 54.0),
            (2, 9.5, 4.75, 1.0),
            (2, 60.0, 5.0, 1.0),
            (2, 0.5, 0.25, 0.5),
        ],
    )
    def test_times(self, number: int, seconds: float, timeout: float, waits: float) -> None:
        """The first pass waits for the budget for most of its time, the others for a second."""

        async def steps(app: OneApp) -> None:
            for _ in range(number):
                await app.run_pass(seconds=seconds)
            begun_at, context = 15.0 * number, app.client.contexts[-1]
            assert (context.token, context.deadline) == (TOKEN, begun_at + seconds)
            assert context.call_timeout_seconds == pytest.approx(timeout)
            assert context.wait_until == pytest.approx(begun_at + waits)
            assert context.interval_seconds == 15.0

        with_app(steps)

    @pytest.mark.parametrize(("interval", "paced"), [(60.0, 60.0), (200.0, 111.1)])
    def test_interval(self, interval: float, paced: float) -> None:
        """The interval is that of the passes, up to a limit."""

        async def steps(app: OneApp) -> None:
            for _ in range(12):
                await app.run_pass(interval)
            assert app.client.contexts[-1].interval_seconds == pytest.approx(paced, abs=0.1)

        with_app(steps)

    def test_saved_calls(self) -> None:
        """If the budget has no call for a list in this time, calls are saved for it."""

        async def steps(app: OneApp) -> None:
            # It lists the sessions, which takes a call, and the budget has two in five minutes.
            app.parts = replace(
                app.parts,
                discovery=app_parts("app-1", app.parts.clock, app.parts.selector.mode).discovery,
                limiter=limiter_of(2),
            )
            app.collector = AppCollector(app.parts, min_interval_seconds=0.0)
            await app.run_pass()
            assert app.client.contexts[-1].interval_seconds == 150.0

        with_app(steps)


class TestState:
    """The state that a collector keeps."""

    def test_restored(self) -> None:
        """It begins with the readings of an earlier process."""

        async def steps(app: OneApp) -> None:
            reading = Reading(meeting=Meeting("b", "b"), last_attempt_timestamp_seconds=NOW - 60)
            restored = SavedApp(app=app.parts.app, tracker=TrackerState(), readings=(reading,))
            collector = AppCollector(app.parts, min_interval_seconds=0.0, restored=restored)
            assert collector.state.snapshot.readings == (reading,)

        with_app(steps)

    def test_fresh(self) -> None:
        """Fresh readings answer the next scrape; what is known of files and the token is new."""

        async def steps(app: OneApp) -> None:
            parts = replace(app.parts, webhook=AppWebhook(app.parts.clock))
            app.collector.change(parts, min_interval_seconds=10.0)
            assert await app.run_pass() == 1
            assert await app.run_pass(0.0) == 0
            before = app.collector.state
            app.token.problem, app.file.problem = "is empty", "is gone"
            assert await app.run_pass(8.9) == 0
            (file,) = app.collector.state.snapshot.files
            assert (file.path, file.problem) == ("meetings", "is gone")
            assert app.collector.state == replace(
                before, snapshot=replace(before.snapshot, files=(file,), token_problem="is empty")
            )
            # A little early, but not fresh any more.
            assert await app.run_pass(0.1) == 1

        with_app(steps, 10.0)

    def test_new_token(self) -> None:
        """Fresh readings are read again with another token."""

        async def steps(app: OneApp) -> None:
            await app.run_pass()
            assert await app.run_pass(0.5) == 0
            app.token.secret = Secret("another")
            assert await app.run_pass(0.0) == 1
            assert app.client.contexts[-1].token == Secret("another")
            assert await app.run_pass(0.5) == 0

        with_app(steps, 10.0)

    def test_new_token_tries_it(self) -> None:
        """A meeting that always fails is tried with another token, and with the same one later."""

        async def steps(app: OneApp) -> None:
            meetings = MeetingList([Meeting(name, name) for name in "bc"])
            app.collector.change(replace(app.parts, meetings=meetings), min_interval_seconds=0.0)
            app.client.problem_of = lambda key: ServerError("no") if key == "c" else None
            called = []
            for number in range(8):
                if number == 6:
                    app.token.secret = Secret("another")
                called.append(await app.run_pass())
            assert called == [2, 2, 2, 2, 1, 2, 2, 2]

        with_app(steps)

    def test_no_meetings(self) -> None:
        """Without meetings, a pass is made as often as with some."""

        async def steps(app: OneApp) -> None:
            parts = replace(app.parts, meetings=MeetingList([]))
            app.collector.change(parts, min_interval_seconds=10.0)
            ended = []
            for _ in range(4):
                await app.run_pass(5.0)
                ended.append(app.collector.state.snapshot.last_pass_timestamp_seconds)
            assert ended == [NOW + 5, NOW + 5, NOW + 15, NOW + 15]

        with_app(steps)

    def test_change(self, caplog: pytest.LogCaptureFixture) -> None:
        """Another configuration counts from the next pass on: the name, and the interval."""

        async def steps(app: OneApp) -> None:
            await app.run_pass()
            for name, seconds in (("app-1", 10.0), ("renamed", 0.0)):
                parts = replace(app.parts, app=App(name, "account", "id"))
                app.collector.change(parts, min_interval_seconds=seconds)
                assert app.collector.state.snapshot.app == parts.app
                assert await app.run_pass() == 1
                assert await app.run_pass(1.0) == (0 if seconds else 1)

        caplog.set_level("INFO")
        with_app(steps)
        # The idle meeting is named once for each name of the app.
        named = [fields["app"] for _, _, fields in lines(caplog, "collector.pass_log")]
        assert named == ["app-1", "renamed"]

    def test_duplicates(self, caplog: pytest.LogCaptureFixture) -> None:
        """The log names the meetings that more than one list has."""

        async def steps(app: OneApp) -> None:
            app.file.meetings = (Meeting("b", "b"), Meeting("c", "c"))
            meetings = MeetingList([Meeting("b", "b")], [app.file])
            app.collector.change(replace(app.parts, meetings=meetings), min_interval_seconds=0.0)
            await app.run_pass()

        caplog.set_level("INFO")
        with_app(steps)
        (_, message, fields), *_ = lines(caplog, "collector.pass_log")
        assert message == "meetings are listed more than once; each is read once"
        assert fields["meeting_ids"] == "b"

    def test_end(self) -> None:
        """A collector that leaves makes no more calls; one that closes has no more connections."""

        async def steps(app: OneApp) -> None:
            app.collector.leave()
            assert (app.client.has_left, app.client.is_closed) == (True, False)
            await app.collector.close()
            assert app.client.is_closed

        with_app(steps)


class TestAfterAPass:
    """The state after a pass."""

    def test_success(self) -> None:
        """It has the readings, when the pass began and ended, and what the next one compares."""

        async def steps(app: OneApp) -> None:
            app.client.seconds, app.token.problem = 2.0, "is empty"
            before = app.collector.state
            await app.run_pass()
            state, now = app.collector.state, NOW + 17
            reading = Reading(
                meeting=Meeting("b", "b"),
                recordings=(),
                last_attempt_timestamp_seconds=now,
                last_success_timestamp_seconds=now,
            )
            status = state.snapshot.budget_status
            assert status
            assert (status.limit, status.block) == (10_000, None)
            assert state == replace(
                before,
                snapshot=replace(
                    before.snapshot,
                    readings=(reading,),
                    up=True,
                    deferred=0,
                    last_pass_timestamp_seconds=now,
                    duration_seconds=2.0,
                    files=app.parts.meetings.files,
                    token_problem="is empty",
                    budget_status=status,
                ),
                saved=replace(before.saved, readings=(reading,)),
                interval=before.interval.observe(15.0),
                configured=app.parts.meetings.meetings,
                token=TOKEN,
                last_pass_at=NOW + 15,
                has_read=True,
                urgent_first=True,
            )
            await app.run_pass()
            assert app.collector.state.urgent_first is False

        with_app(steps)

    def test_failure(self) -> None:
        """If all calls fail, the app is down for a reason, since the first failure."""

        async def steps(app: OneApp) -> None:
            app.client.problem_of = lambda _: ServerError("the API answered 500")
            await app.run_pass()
            await app.run_pass()
            snapshot = app.collector.state.snapshot
            failure = ServerError("the API answered 500").failure
            assert (snapshot.up, snapshot.deferred) == (False, 0)
            assert isinstance(snapshot.outage, Outage)
            assert snapshot.outage.failure == failure
            (reading,) = snapshot.readings
            assert (reading.failure, reading.failures_alone) == (failure, 0)
            app.client.problem_of = lambda _: None
            await app.run_pass()
            snapshot = app.collector.state.snapshot
            assert (snapshot.up, snapshot.outage) == (True, None)

        with_app(steps)

    @pytest.mark.parametrize("read", ReadMode)
    def test_one_fails(self, read: ReadMode) -> None:
        """A meeting fails alone if another could be read, but never because of half a list."""

        async def steps(app: OneApp) -> None:
            meetings = MeetingList([Meeting(name, name) for name in "bc"])
            app.collector.change(replace(app.parts, meetings=meetings), min_interval_seconds=0.0)
            failing = {"c", Status.UPLOADING.value}
            app.client.problem_of = lambda key: ServerError("no") if key in failing else None
            await app.run_pass()
            snapshot = app.collector.state.snapshot
            assert (snapshot.up, snapshot.outage) == (True, None)
            alone = [reading.failures_alone for reading in snapshot.readings]
            assert alone == ([0, 0] if read is ReadMode.LIST else [0, 1])

        with_app(steps, read=read)

    def test_no_call(self) -> None:
        """A pass without a call shows nothing new of the API, and the turn is kept."""

        async def steps(app: OneApp) -> None:
            for number, up in enumerate((None, True)):
                app.client.problem_of = lambda _: RateLimitWait()
                await app.run_pass()
                state = app.collector.state
                assert (state.snapshot.up, state.snapshot.deferred) == (up, 1)
                assert (state.has_read, state.urgent_first) == (bool(number), bool(number))
                assert state.grace == StalenessGrace(300.0)
                app.client.problem_of = lambda _: None
                await app.run_pass()

        with_app(steps)

    def test_blocked(self) -> None:
        """While calls are suspended, the app is down, and the grace grows."""

        async def steps(app: OneApp) -> None:
            await app.run_pass()
            await block(app)
            grace = StalenessGrace(300.0)
            for number in (2, 3):
                await app.run_pass()
                state, now = app.collector.state, NOW + 15 * number
                grace = grace.record_block(now, 15.0)
                assert (state.snapshot.up, state.grace) == (False, grace)
            assert state.snapshot.readings[0].recordings == ()
            assert state.snapshot.budget_status
            assert state.snapshot.budget_status.block

        with_app(steps)


class TestWaiting:
    """Why the log says that meetings have to wait."""

    @pytest.mark.parametrize("cause", Wait)
    def test_cause(self, cause: Wait, caplog: pytest.LogCaptureFixture) -> None:
        """Calls are suspended, or the time is over, or the budget has no call."""

        async def steps(app: OneApp) -> None:
            seconds = 9.5
            if cause is Wait.BLOCKED:
                await block(app)
            elif cause is Wait.BUDGET:
                app.client.problem_of = lambda _: RateLimitWait()
            else:
                seconds = 0.0
            await app.run_pass(seconds=seconds)

        with_app(steps)
        ((_, _, fields),) = lines(caplog, "collector.waiting_log")
        assert (fields["reason"], fields["meeting_ids"]) == (cause.value, "b")

    def test_answer_that_is_too_late(self, caplog: pytest.LogCaptureFixture) -> None:
        """A call that the end of the pass has cut off leaves its meeting waiting."""

        async def steps(app: OneApp) -> None:
            app.client.seconds = 9.5
            app.client.problem_of = lambda _: ApiTimeout("too late")
            await app.run_pass()
            assert app.collector.state.snapshot.deferred == 1

        with_app(steps)
        ((_, _, fields),) = lines(caplog, "collector.waiting_log")
        assert (fields["reason"], fields["meeting_ids"]) == ("time", "b")

    def test_nothing_waits(self, caplog: pytest.LogCaptureFixture) -> None:
        """A meeting that could be read, or that failed, does not wait."""

        async def steps(app: OneApp) -> None:
            await app.run_pass()
            app.client.problem_of = lambda _: ServerError("no")
            await app.run_pass()

        with_app(steps)
        assert lines(caplog, "collector.waiting_log") == []
        ((_, message, _),) = lines(caplog, "collector.pass_log", least=logging.WARNING)
        assert message == "meetings cannot be read: no"

import asyncio
import math
import time

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bench import cases
from rk_exporter.model.meeting import App, Meeting, Reading
from rk_exporter.model.recording import Recording as Shown
from rk_exporter.model.recording import Status
from rk_exporter.simulator import (
    REAL_PACE,
    Fault,
    GeneratedScenario,
    Recording,
    ScriptedScenario,
    Session,
    Simulator,
)
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.changes import (
    Delays,
    VisibilityRecorder,
    changes_of,
    ends_at,
    recordings_between,
)
from tests.support.fleet import STARTS_AT, Course, Prometheus, run_fleet
from tests.support.observer import IdleGaps, Observer, Outcome
from tests.support.truth import Truth
from tests.support.virtual_time import NothingToWaitFor, run


def scripted(meeting_id: str = "meeting-1", *, after: float = 100.0, **changes: Any) -> Recording:
    """Return a recording that is invoked *after* seconds, and uploaded 150 s later."""
    begun = STARTS_AT + after
    moments = {"started_at": 2.0, "stopped_at": 133.0, "uploaded_at": 150.0, **changes}
    return Recording.scripted(
        meeting_id, invoked_at=begun, **{name: begun + at for name, at in moments.items()}
    )


RECORDING = scripted()
BEGUN = RECORDING.invoked_at
SCENARIO = ScriptedScenario(
    meetings=["meeting-1", "meeting-2", "meeting-3"], recordings=[RECORDING]
)
COURSE = Course(
    # Far more calls than three meetings need, so the budget plays no role.
    settings={"api.budget": "100000", "api.read": "active-recording"},
    seconds=300.0,
    warm_up_seconds=60.0,
)


class TestVirtualTime:
    """Time that passes only while all tasks wait."""

    def test_an_hour(self) -> None:
        """A sleep of an hour takes no real time; other tasks wake before its end."""
        woken = []

        async def sleep(seconds: float) -> None:
            await asyncio.sleep(seconds)
            woken.append((seconds, asyncio.get_running_loop().time()))

        async def sleep_all() -> None:
            await asyncio.gather(sleep(3600), sleep(0), sleep(1800.5))

        begun = time.monotonic()
        run(sleep_all())

        assert woken == [(0, 0), (1800.5, 1800.5), (3600, 3600)]
        assert time.monotonic() - begun < 5

    def test_deadlines(self) -> None:
        """A deadline passes like any other time."""

        async def wait() -> float:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10):
                    await asyncio.Event().wait()
            return asyncio.get_running_loop().time()

        assert run(wait()) == 10

    def test_nothing_to_wait_for(self) -> None:
        """A program that would hang forever fails instead."""
        with pytest.raises(NothingToWaitFor):
            run(asyncio.Event().wait())


class TestChanges:
    """The changes of a scenario, and their times."""

    def test_of_a_recording(self) -> None:
        """A recording changes whenever it enters a state, and when it vanishes."""
        vanishing = replace(RECORDING, vanishes_at=BEGUN + 50)

        assert [change.at - BEGUN for change in changes_of([RECORDING])] == [0, 2, 133, 150]
        assert [change.at - BEGUN for change in changes_of([vanishing])] == [0, 2, 50]
        assert (ends_at(RECORDING), ends_at(vanishing)) == (BEGUN + 150, BEGUN + 50)
        assert ends_at(Recording.scripted("m", invoked_at=0)) == math.inf

    def test_between(self) -> None:
        """All recordings in a period are found, including those that have vanished since."""
        before, after = scripted(after=-500), scripted(after=400)
        long, short = scripted("m2", after=-90), replace(scripted("m3"), vanishes_at=BEGUN + 8)
        scenario = ScriptedScenario(recordings=[before, after, long, short, RECORDING])

        found = recordings_between(scenario, STARTS_AT, STARTS_AT + 300)

        assert {recording.id for recording in found} == {long.id, short.id, RECORDING.id}

    def test_between_generated(self) -> None:
        """Every recording that a scenario ever shows is found."""
        scenario = GeneratedScenario(3, 400, STARTS_AT, REAL_PACE)
        found = {
            recording.id for recording in recordings_between(scenario, STARTS_AT, STARTS_AT + 900)
        }

        for seconds in range(0, 900, 30):
            now = STARTS_AT + seconds
            expected = {
                recording.id
                for m in scenario.meetings()
                for recording in scenario.active(m.id, now)
            }
            assert expected
            assert expected <= found

    def test_delays(self) -> None:
        """A change that was never seen has an infinite delay."""
        delays = Delays((1.0, 2.0, 3.0), unseen=1)

        assert (delays.count, delays.median, delays.p99) == (4, 2.0, math.inf)
        assert Delays((5.0,)).p99 == 5.0
        assert math.isnan(Delays(()).median)


class TestLookout:
    """The time from a change to the scrape that shows it."""

    def recorder(self, *recordings: Recording, counted_from: float = 0.0) -> VisibilityRecorder:
        return VisibilityRecorder(recordings, counted_from=counted_from, counted_until=BEGUN + 1000)

    def read(
        self, recorder: VisibilityRecorder, *moments: float, recording: Recording = RECORDING
    ) -> None:
        """Let a recording be read at these moments, each in a scrape that ends 2 s later."""
        for at in moments:
            now = BEGUN + at
            recorder.observe({recording.id: now}, now + 2)

    def test_start_and_progress(self) -> None:
        """Delays end with the scrape; the first scrape of a recording shows earlier changes."""
        recorder = self.recorder(RECORDING)
        recorder.observe({}, BEGUN - 3)
        self.read(recorder, 10, 132, 141, 160)

        seen = recorder.result()

        assert list(seen.start.seconds) == [10, 12]
        assert list(seen.progress.seconds) == [10, 12]
        assert list(seen.all.seconds) == [10, 10, 12, 12]
        assert (seen.recordings, seen.missed, seen.all.unseen) == (1, 0, 0)

    def test_old_readings(self) -> None:
        """A scrape that shows another recording, or this one as it was, shows nothing new."""
        recorder = self.recorder(RECORDING)
        self.read(recorder, 10)
        recorder.observe({RECORDING.id: BEGUN + 10}, BEGUN + 141)
        self.read(recorder, 160, recording=scripted("other"))

        seen = recorder.result()

        assert list(seen.start.seconds) == [10, 12]
        assert (seen.progress.count, seen.progress.unseen) == (2, 2)

    def test_end_alone(self) -> None:
        """A recording that is first shown after its end was not missed."""
        recorder = self.recorder(RECORDING)
        self.read(recorder, 200)

        seen = recorder.result()

        assert list(seen.start.seconds) == [52, 69, 200, 202]
        assert (seen.recordings, seen.missed_share) == (1, 0.0)

    def test_missed(self) -> None:
        """A recording that no scrape showed was missed, and so was its end."""
        vanishing = replace(RECORDING, vanishes_at=BEGUN + 50)
        recorder = self.recorder(vanishing)
        for at in (-5, 60, 200):
            recorder.observe({}, BEGUN + at + 1)

        seen = recorder.result()

        assert (seen.start.count, seen.start.unseen) == (3, 3)
        assert seen.missed_share == 1.0

    def test_counted(self) -> None:
        """Only changes in the counted period count; recordings shown earlier are known."""
        recorder = self.recorder(RECORDING, counted_from=BEGUN + 100)
        self.read(recorder, 10, 145)

        seen = recorder.result()

        assert seen.progress == Delays((14,), unseen=1)
        assert (seen.start.count, seen.recordings) == (0, 0)

    def test_vanished(self) -> None:
        """The end of a vanished recording is seen when it is no longer shown."""
        vanishing = replace(RECORDING, vanishes_at=BEGUN + 50)
        recorder = self.recorder(vanishing)
        self.read(recorder, 10, recording=vanishing)
        for at in (45, 60, 75):
            recorder.observe({}, BEGUN + at + 1)

        seen = recorder.result()

        assert list(seen.progress.seconds) == [11]
        assert seen.all.unseen == 0

    def test_gone(self) -> None:
        """A recording that is no longer shown, and goes on, has not ended."""
        recorder = self.recorder(RECORDING)
        self.read(recorder, 10)
        recorder.observe({}, BEGUN + 161)

        seen = recorder.result()

        assert (seen.progress.count, seen.progress.unseen) == (2, 2)


def shown(
    status: Status | None = None, *, recording: Recording = RECORDING, at: float = 0.0
) -> KnownRecording:
    """Return a recording as an exposition shows it, read *at* seconds after BEGUN."""
    return KnownRecording(
        meeting=Meeting(recording.meeting_id, recording.meeting_id),
        recording=Shown(recording_id=recording.id, status=status or Status.RECORDING),
        read_at=BEGUN + at,
    )


class TestTruth:
    """Expositions compared with the scenario."""

    @pytest.mark.parametrize(
        ("begun", "ended", "status"),
        [
            (-1, 1, Status.INVOKED),
            (1, 3, Status.INVOKED),
            (1, 3, Status.RECORDING),
            (50, 50, Status.RECORDING),
            (149, 151, Status.UPLOADING),
            (149, 151, Status.UPLOADED),
            (151, 160, Status.UPLOADED),
            (9e5, 9e5, Status.UPLOADED),
        ],
    )
    def test_true(self, begun: float, ended: float, status: Status) -> None:
        """A recording may be shown in any state that it had since the request."""
        assert self.difference(begun, ended, status) is None

    @pytest.mark.parametrize(
        ("begun", "ended", "status", "was"),
        [
            (-10, -5, Status.INVOKED, "not there"),
            (1, 3, Status.UPLOADING, "INVOKED or RECORDING"),
            (50, 50, Status.PAUSED, "RECORDING"),
            (50, 50, Status.UPLOADED, "RECORDING"),
            (151, 160, Status.UPLOADING, "UPLOADED"),
            (151, 160, Status.ERRORED, "UPLOADED"),
        ],
    )
    def test_false(self, begun: float, ended: float, status: Status, was: str) -> None:
        """Earlier and later states must not be shown."""
        text = f"{RECORDING.id} is shown as {status}, but was {was}"
        assert self.difference(begun, ended, status) == text

    def test_vanished(self) -> None:
        """A recording that has vanished must not be shown."""
        truth = Truth([replace(RECORDING, vanishes_at=BEGUN + 50)])
        assert truth.difference(shown(), BEGUN + 40, BEGUN + 51) is None
        assert truth.difference(shown(), BEGUN + 50, BEGUN + 51)

    def test_unknown_recording(self) -> None:
        """A recording that is not in the scenario must not be shown."""
        assert Truth([]).difference(shown(), BEGUN, BEGUN + 1)
        assert Truth([], before=[RECORDING]).difference(shown(), BEGUN + 9, BEGUN + 9) is None

    def difference(self, begun: float, ended: float, status: Status) -> str | None:
        return Truth([RECORDING]).difference(shown(status), BEGUN + begun, BEGUN + ended)

    @pytest.mark.parametrize(
        ("begun", "ended", "is_lacking"),
        [
            (-10, -5, False),
            (-1, 1, False),
            (1, 3, True),
            (149, 149.5, True),
            (149, 151, False),
            (151, 160, False),
        ],
    )
    def test_lacking(self, begun: float, ended: float, *, is_lacking: bool) -> None:
        """A recording that goes on all the time must be shown."""
        truth = Truth([RECORDING])
        begun, ended = BEGUN + begun, BEGUN + ended

        assert bool(truth.lacking("meeting-1", (), begun, ended)) == is_lacking
        assert truth.lacking("meeting-1", {RECORDING.id}, begun, ended) is None
        assert truth.lacking("meeting-2", (), begun, ended) is None

    def test_ended(self) -> None:
        """The truth knows which recordings have ended by a moment, and when they stopped."""
        before, running = scripted("before", after=-500), Recording.scripted("r", invoked_at=BEGUN)
        failed = Recording.scripted("failed", invoked_at=BEGUN, errored_at=BEGUN + 9)
        gone = replace(scripted("gone", after=-400), vanishes_at=BEGUN)
        truth = Truth([RECORDING, running, gone, failed], before=[before])

        assert truth.ended_by(BEGUN - 1) == {before.id, gone.id}
        assert truth.ended_by(BEGUN + 149) == {before.id, failed.id}
        assert truth.ended_by(BEGUN + 150) == {before.id, failed.id, RECORDING.id}
        ends = [truth.ended_at(recording.id) - BEGUN for recording in (RECORDING, failed, before)]
        assert ends == [133, 0, 133 - 600]

    def test_kept(self) -> None:
        """A file exists for a week, until its URL expires, or until it vanishes."""
        gone = replace(scripted("gone"), vanishes_at=BEGUN + 1000)
        again = replace(scripted("again"), url_refreshed_at=BEGUN + 86_400)
        truth = Truth([RECORDING, gone, again])
        ids = {recording.id: recording.meeting_id for recording in (RECORDING, gone, again)}

        kept = [
            {ids[recording] for recording in truth.kept(ids.keys(), BEGUN + at)}
            for at in (999, 1000, 7 * 86_400 + 132, 7 * 86_400 + 133, 8 * 86_400)
        ]

        left = {"meeting-1", "again"}
        assert kept == [{*left, "gone"}, left, left, {"again"}, set()]


class TestObserver:
    """The checks of each scrape."""

    def observer(self, *recordings: Recording, most: int = 1000, **truth: Any) -> Observer:
        expected = recordings or [RECORDING]
        recorder = VisibilityRecorder(expected, counted_from=0.0, counted_until=math.inf)
        return Observer(recorder, Truth(expected, **truth), most_recordings=most)

    def snapshot(
        self,
        *known: KnownRecording,
        read_at: Mapping[str, float] | None = None,
        restored: bool = True,
        at: float = 0.0,
    ) -> Snapshot:
        """Return a snapshot of recordings, and of meetings with their read times."""
        readings = [
            Reading(
                meeting=Meeting(meeting_id, meeting_id), last_success_timestamp_seconds=BEGUN + at
            )
            for meeting_id, at in (read_at or {}).items()
        ]
        only = AppSnapshot(
            app=App("app", "account", "app"),
            readings=tuple(readings),
            deferred=2,
            recordings=known,
            is_restored=restored,
        )
        return Snapshot((only,), BEGUN + at)

    def outcome(self, observer: Observer) -> Outcome:
        return observer.outcome(Simulator(SCENARIO).requests, lost_scrapes=0, took_seconds=0)

    def differences(self, observer: Observer) -> list[str]:
        return [text.partition(": ")[2] for text in self.outcome(observer).differences]

    def test_gaps(self) -> None:
        """Only the time between two readings without a recording is a gap of an idle meeting."""
        observer = self.observer()
        for at, known in ((-60, ()), (-30, ()), (-30, ()), (5, [shown(at=5)])):
            observer.observe(
                self.snapshot(*known, read_at={"meeting-1": at}), BEGUN + at - 1, BEGUN + at + 1
            )

        outcome = self.outcome(observer)

        assert outcome.idle_gaps == IdleGaps({30.0: 1})
        assert (outcome.idle_gaps.median, outcome.idle_gaps.longest) == (30.0, 30.0)
        assert outcome.differences == []
        assert outcome.median_deferred == 2

    def test_complete(self) -> None:
        """A scrape is complete if all meetings were read after it began."""
        observer = self.observer()
        for others_at in (-50, -40, -50, -40):
            observer.observe(
                self.snapshot(read_at={"a": -40, "b": others_at}), BEGUN - 45, BEGUN - 30
            )

        outcome = self.outcome(observer)

        assert [scrape.is_complete for scrape in outcome.scrapes] == [False, True, False, True]
        assert outcome.complete_share == 0.5
        assert outcome.read_share == 0.75
        assert outcome.longest_scrape_seconds == 15.0

    def test_differences(self) -> None:
        """A wrong recording is reported, and so is a missing one."""
        observer = self.observer()
        for at, status in ((50, Status.RECORDING), (70, Status.PAUSED), (70, Status.PAUSED)):
            known = shown(status, at=at)
            observer.observe(
                self.snapshot(known, read_at={"meeting-1": at}), BEGUN + at - 1, BEGUN + at + 1
            )
        observer.observe(self.snapshot(read_at={"meeting-1": 80}), BEGUN + 79, BEGUN + 81)

        assert self.differences(observer) == [
            f"{RECORDING.id} is shown as PAUSED, but was RECORDING",
            f"{RECORDING.id} is not shown, but was RECORDING",
        ]

    def test_meeting_that_goes(self) -> None:
        """A recorded meeting that is no longer shown is reported, except after a restart."""
        observer = self.observer()
        for at in (50, 90):
            known = shown(at=at)
            observer.observe(
                self.snapshot(known, read_at={"meeting-1": at}), BEGUN + at - 1, BEGUN + at + 1
            )
            if at == 90:
                observer.restart()
            observer.observe(self.snapshot(known), BEGUN + at + 10, BEGUN + at + 11)

        assert self.differences(observer) == [f"{RECORDING.id} is not shown, but was RECORDING"]

    def test_pass_of_another(self) -> None:
        """A reading from before a scrape was requested after the start of the previous one."""
        observer = self.observer()
        observer.observe(self.snapshot(), BEGUN - 20, BEGUN - 19)
        observer.observe(self.snapshot(), BEGUN - 1, BEGUN + 1)
        observer.observe(self.snapshot(shown(Status.INVOKED, at=3)), BEGUN + 4, BEGUN + 5)
        assert self.differences(observer) == []
        observer.observe(self.snapshot(shown(Status.INVOKED, at=6)), BEGUN + 7, BEGUN + 8)
        assert len(self.differences(observer)) == 1

    def test_finished_recording_that_leaves(self) -> None:
        """A finished recording must be shown until it expires; a missing one is reported once."""
        observer = self.observer()
        known = shown(Status.UPLOADED, at=160)
        observer.observe(self.snapshot(known, at=161), BEGUN + 159, BEGUN + 161)
        for at in (170, 180):
            observer.observe(self.snapshot(at=at), BEGUN + at, BEGUN + at)
        assert self.differences(observer) == [f"{RECORDING.id} is not shown, but has ended"]

    @pytest.mark.parametrize("after", [7 * 86_400, 8 * 86_400])
    def test_finished_recording_that_expires(self, after: float) -> None:
        """An expired recording may go."""
        observer = self.observer()
        known = shown(Status.UPLOADED, at=160)
        observer.observe(self.snapshot(known, at=161), BEGUN + 159, BEGUN + 161)
        observer.observe(self.snapshot(at=160 + after), BEGUN + after, BEGUN + after)
        assert self.differences(observer) == []

    @pytest.mark.parametrize(("gone", "is_wrong"), [("old", True), ("last", False)])
    def test_too_many(self, gone: str, *, is_wrong: bool) -> None:
        """If there are too many recordings, the next to expire must stay, and the newest may go."""
        lives = {
            "old": scripted("old", after=-600),
            "new": scripted("new", after=-400),
            "last": RECORDING,
        }
        observer = self.observer(*lives.values(), most=2)
        ended = {name: shown(Status.UPLOADED, recording=at, at=160) for name, at in lives.items()}
        before = [ended["old"], ended["new"]]
        observer.observe(self.snapshot(*before, at=161), BEGUN + 159, BEGUN + 161)
        after = [at for name, at in ended.items() if name != gone]
        observer.observe(self.snapshot(*after, at=171), BEGUN + 169, BEGUN + 171)
        assert bool(self.differences(observer)) == is_wrong

    @pytest.mark.parametrize(("restored", "is_wrong"), [(False, False), (True, True)])
    def test_ended_before_the_start(self, *, restored: bool, is_wrong: bool) -> None:
        """Recordings that ended before the start must be shown once they are restored."""
        before = scripted("before", after=-600)
        observer = self.observer(before=[before])
        for at in (0, 15):
            snapshot = self.snapshot(restored=restored and at == 15)
            observer.observe(snapshot, BEGUN + at, BEGUN + at)
        text = f"{before.id} is not shown, but has ended"
        assert self.differences(observer) == [text] * is_wrong


class TestCases:
    """The table of the benchmark."""

    def test_row(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """A case is run, and its row shows whether it reaches its goals."""
        small = replace(cases.CASES[0], course=replace(COURSE, seconds=30.0))
        impossible = replace(small, name="impossible", holds=lambda _outcome, _first: False)
        monkeypatch.setattr(cases, "CASES", (small, impossible))

        cases.print_fleets()

        rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) == 1
        assert [row.split(" | ")[-2] for row in rows[2:]] == ["yes", "NO"]

    def test_names(self) -> None:
        """All cases have different names."""
        assert len({case.name for case in cases.CASES}) == len(cases.CASES)


class TestFleet:
    """An exporter of a simulated account."""

    def test_delays(self) -> None:
        """Each change is seen at the end of the next scrape, every 15 s."""
        outcome = run_fleet(SCENARIO, COURSE)

        seen = outcome.visibility
        assert seen.start.seconds == pytest.approx((3, 5), abs=0.5)
        assert seen.progress.seconds == pytest.approx((5, 7), abs=0.5)
        assert outcome.differences == []
        assert len(outcome.scrapes) == 26
        assert outcome.complete_share == 1.0
        assert outcome.requests.by_endpoint == {
            "active_recording": 3 * 26,
            # One poll of the list per minute, and one read of the finished recording.
            "recordings": 7,
            "recording": 1,
        }
        assert (outcome.idle_gaps.median, outcome.lost_scrapes) == (15.0, 0)

    def test_recordings_that_have_ended(self) -> None:
        """Recordings that ended before the start, or during the run, are shown to the end."""
        before = scripted("meeting-2", after=-5000)
        scenario = ScriptedScenario(meetings=["meeting-3"], recordings=[before, RECORDING])

        outcome = run_fleet(scenario, COURSE)

        assert outcome.last_snapshot
        (app,) = outcome.last_snapshot.apps
        assert {known.recording_id for known in app.recordings} == {before.id, RECORDING.id}
        assert outcome.differences == []
        assert outcome.visibility.recordings == 1

    def test_between_two_scrapes(self) -> None:
        """A recording that starts and ends between two scrapes is seen within a minute."""
        short = Recording.scripted("meeting-1", invoked_at=BEGUN + 6, errored_at=BEGUN + 16)

        seen = run_fleet(ScriptedScenario(recordings=[short]), COURSE).visibility

        assert seen.start.seconds == pytest.approx((120 - 116, 120 - 106), abs=0.5)
        assert (seen.all.count, seen.missed) == (2, 0)

    def test_scrapers(self) -> None:
        """Several servers scrape at their own intervals."""
        scrapers = (Prometheus(30.0), Prometheus(60.0, phase_seconds=7.0))

        outcome = run_fleet(SCENARIO, replace(COURSE, scrapers=scrapers))

        begun = [round(scrape.begun_at - STARTS_AT) for scrape in outcome.scrapes]
        assert begun[:5] == [0, 7, 30, 60, 67]

    def test_events(self) -> None:
        """Events of the API happen at their times."""
        course = replace(
            COURSE,
            events=(
                (99.0, lambda simulator: simulator.inject("*", Fault.SERVER_ERROR)),
                (199.0, lambda simulator: simulator.clear()),
            ),
        )

        seen = run_fleet(SCENARIO, course).visibility

        assert seen.start.seconds == pytest.approx((108, 110), abs=0.5)

    def test_killed_exporters(self) -> None:
        """A scrape of a killed exporter is lost, and the next exporter starts without state."""
        hang = (99.0, lambda simulator: simulator.inject("*", Fault.HANG))
        course = replace(COURSE, killed_each_seconds=107.0, events=(hang,))

        outcome = run_fleet(SCENARIO, course)

        # Two of the hanging scrapes run when the exporter is killed, after 107 and 214 s.
        assert (len(outcome.scrapes), outcome.lost_scrapes) == (24, 2)

    def test_discovery_looks_at_sessions(self) -> None:
        """Without listed meetings, recordings that discovery cannot find do not count."""
        found, lost = scripted("found"), scripted("lost")
        sessions = [
            Session(str(found.session_id), "found", STARTS_AT - 60, BEGUN + 140),
            Session(str(lost.session_id), "lost", STARTS_AT - 60, STARTS_AT - 5),
        ]
        scenario = ScriptedScenario(recordings=[found, lost], sessions=sessions)
        settings = {**COURSE.settings, "meetings.discover": "true"}

        outcome = run_fleet(scenario, replace(COURSE, settings=settings, lists_meetings=False))

        assert outcome.visibility.recordings == 1
        assert outcome.visibility.all.count == 4

    def test_options_of_the_simulator(self) -> None:
        """The simulated API takes any option."""
        outcome = run_fleet(SCENARIO, replace(COURSE, simulator={"latency_seconds": 1.0}))

        assert outcome.longest_scrape_seconds >= 1.0

import asyncio
import math
import time

from dataclasses import replace
from typing import Any

import pytest

from bench import cases
from bench.changes import Delays, Lookout, changes_of, ends_at, recordings_between
from bench.fleet import STARTS_AT, Course, Prometheus, run_fleet
from bench.observer import IdleGaps, Observer
from bench.truth import Truth
from bench.virtual_time import NothingToWaitFor, run
from rk_exporter.recordings import App, Meeting, Reading, Status
from rk_exporter.recordings import Recording as Shown
from rk_exporter.simulator import (
    REAL_PACE,
    Fault,
    Recording,
    ScriptedStory,
    Session,
    Simulator,
    improvise,
)
from rk_exporter.snapshot import AppSnapshot, Snapshot


def life(meeting_id: str = "meeting-1", *, after: float = 100.0, **changes: Any) -> Recording:
    """Return a recording that is invoked *after* so many seconds, and uploaded 150 s later."""
    begun = STARTS_AT + after
    moments = {"started_at": 2.0, "stopped_at": 133.0, "uploaded_at": 150.0, **changes}
    return Recording.scripted(
        meeting_id, invoked_at=begun, **{name: begun + at for name, at in moments.items()}
    )


LIFE = life()
BEGUN = LIFE.invoked_at
STORY = ScriptedStory(meetings=["meeting-1", "meeting-2", "meeting-3"], recordings=[LIFE])
COURSE = Course(
    # Far more than three meetings need: how calls are rationed is not looked at here.
    settings={"api.budget": "100000", "api.read": "active-recording"},
    seconds=300.0,
    warm_up_seconds=60.0,
)


class TestVirtualTime:
    """Time that passes only while everybody waits."""

    def test_an_hour(self) -> None:
        """An hour's sleep returns at once, an hour later; others wake meanwhile."""
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
        """What would hang for ever fails instead."""
        with pytest.raises(NothingToWaitFor):
            run(asyncio.Event().wait())


class TestChanges:
    """What changes, and when."""

    def test_of_a_recording(self) -> None:
        """A recording changes whenever it enters a state, and when it vanishes."""
        vanishing = replace(LIFE, vanishes_at=BEGUN + 50)

        assert [change.at - BEGUN for change in changes_of([LIFE])] == [0, 2, 133, 150]
        assert [change.at - BEGUN for change in changes_of([vanishing])] == [0, 2, 50]
        assert (ends_at(LIFE), ends_at(vanishing)) == (BEGUN + 150, BEGUN + 50)
        assert ends_at(Recording.scripted("m", invoked_at=0)) == math.inf

    def test_between(self) -> None:
        """All that was under way in a stretch of time is found, also what has vanished since."""
        before, after = life(after=-500), life(after=400)
        long, short = life("m2", after=-90), replace(life("m3"), vanishes_at=BEGUN + 8)
        story = ScriptedStory(recordings=[before, after, long, short, LIFE])

        found = recordings_between(story, STARTS_AT, STARTS_AT + 300)

        assert {each.id for each in found} == {long.id, short.id, LIFE.id}

    def test_between_improvised(self) -> None:
        """Whatever a story ever tells as under way is found."""
        story = improvise(3, 400, STARTS_AT, REAL_PACE)
        found = {each.id for each in recordings_between(story, STARTS_AT, STARTS_AT + 900)}

        for seconds in range(0, 900, 30):
            now = STARTS_AT + seconds
            told = {each.id for m in story.meetings() for each in story.active(m.id, now)}
            assert told
            assert told <= found

    def test_delays(self) -> None:
        """What was never seen counts as infinitely late."""
        delays = Delays((1.0, 2.0, 3.0), unseen=1)

        assert (delays.count, delays.median, delays.p99) == (4, 2.0, math.inf)
        assert Delays((5.0,)).p99 == 5.0
        assert math.isnan(Delays(()).median)


class TestLookout:
    """From a change to the scrape that shows it."""

    def lookout(self, *recordings: Recording, counted_from: float = 0.0) -> Lookout:
        return Lookout(recordings, counted_from=counted_from, counted_until=BEGUN + 1000)

    def read(self, lookout: Lookout, *moments: float, meeting_id: str = "meeting-1") -> None:
        """Let a meeting be read at moments, each in a scrape from 1 s before to 2 s after."""
        for at in moments:
            now = BEGUN + at
            lookout.observe({meeting_id: now}, (), now - 1, now + 2)

    def test_start_and_progress(self) -> None:
        """Delays end with the scrape; what came before the first sight is found with it."""
        lookout = self.lookout(LIFE)
        self.read(lookout, -5, 10, 132, 141, 160)

        seen = lookout.result()

        assert list(seen.start.seconds) == [10, 12]
        assert list(seen.progress.seconds) == [10, 12]
        assert list(seen.all.seconds) == [10, 10, 12, 12]
        assert (seen.recordings, seen.missed, seen.all.unseen) == (1, 0, 0)

    def test_old_readings(self) -> None:
        """A scrape with an older reading of the meeting shows nothing new."""
        lookout = self.lookout(LIFE)
        lookout.observe({"meeting-1": BEGUN - 1}, (), BEGUN, BEGUN + 60)
        lookout.observe({"meeting-2": BEGUN + 70}, (), BEGUN, BEGUN + 71)

        seen = lookout.result()

        assert (seen.start.count, seen.start.unseen) == (4, 4)
        assert (seen.recordings, seen.missed) == (1, 1)

    def test_missed(self) -> None:
        """A recording that is over when its meeting is read was never seen."""
        lookout = self.lookout(LIFE)
        self.read(lookout, 200)

        seen = lookout.result()

        assert list(seen.start.seconds) == [52, 69, 200, 202]
        assert seen.missed_share == 1.0

    def test_counted(self) -> None:
        """Only the changes of the time that counts do; who was seen before is remembered."""
        lookout = self.lookout(LIFE, counted_from=BEGUN + 100)
        self.read(lookout, 10, 145)

        seen = lookout.result()

        assert seen.progress == Delays((14,), unseen=1)
        assert (seen.start.count, seen.recordings) == (0, 0)

    def test_gone(self) -> None:
        """Where a meeting is no longer shown, its recording has ended; a new one is not seen."""
        again = life(after=400)
        lookout = self.lookout(LIFE, again)
        self.read(lookout, 141)
        for at in (149, 155, 400):
            lookout.observe({}, {"meeting-1"}, BEGUN + at, BEGUN + at + 1)

        seen = lookout.result()

        assert list(seen.progress.seconds) == [6]
        assert (seen.start.count, seen.start.unseen) == (7, 4)


class TestTruth:
    """What is shown against what the story says."""

    @pytest.mark.parametrize(
        ("begun", "ended", "status"),
        [
            (-10, -5, None),
            (-1, 1, None),
            (-1, 1, Status.INVOKED),
            (1, 3, Status.INVOKED),
            (1, 3, Status.RECORDING),
            (50, 50, Status.RECORDING),
            (149, 151, Status.UPLOADING),
            (149, 151, None),
            (149, 151, Status.UPLOADED),
            (151, 160, Status.UPLOADED),
            (151, 160, None),
        ],
    )
    def test_true(self, begun: float, ended: float, status: Status | None) -> None:
        """A recording may be shown in any state that it had since the pass began."""
        assert self.difference(begun, ended, status) is None

    @pytest.mark.parametrize(
        ("begun", "ended", "status"),
        [
            (-10, -5, Status.INVOKED),
            (1, 3, None),
            (1, 3, Status.UPLOADING),
            (50, 50, Status.PAUSED),
            (50, 50, Status.UPLOADED),
            (151, 160, Status.UPLOADING),
        ],
    )
    def test_false(self, begun: float, ended: float, status: Status | None) -> None:
        """What was over or is yet to come is not to be shown, what goes on has to be."""
        assert self.difference(begun, ended, status)

    def test_unheard_of(self) -> None:
        """A recording that no story tells of is not true."""
        shown = Shown(recording_id="r", status=Status.RECORDING)

        assert Truth([]).difference("meeting-1", [shown], BEGUN, BEGUN + 1)
        assert Truth([]).difference("meeting-1", [], BEGUN, BEGUN + 1) is None

    def difference(self, begun: float, ended: float, status: Status | None) -> str | None:
        shown = [Shown(recording_id=LIFE.id, status=status)] if status else []
        return Truth([LIFE]).difference("meeting-1", shown, BEGUN + begun, BEGUN + ended)


class TestObserver:
    """What is noted of each scrape."""

    def observer(self) -> Observer:
        lookout = Lookout([LIFE], counted_from=0.0, counted_until=math.inf)
        return Observer(lookout, Truth([LIFE]))

    def snapshot(self, **recordings: tuple[float, Status | None]) -> Snapshot:
        """Return what shows meetings read at a moment, with a recording in a state or none."""
        readings = [
            Reading(
                meeting=Meeting(meeting_id, meeting_id),
                recordings=(Shown(recording_id=LIFE.id, status=status),) if status else (),
                last_success_timestamp_seconds=BEGUN + at,
            )
            for meeting_id, (at, status) in recordings.items()
        ]
        only = AppSnapshot(app=App("app", "account", "app"), readings=tuple(readings), deferred=2)
        return Snapshot((only,), BEGUN)

    def test_gaps(self) -> None:
        """Only what lies between two readings without recording is the rhythm of idle meetings."""
        observer = self.observer()
        for at, status in ((-60, None), (-30, None), (-30, None), (5, Status.RECORDING)):
            observer.observe(
                self.snapshot(**{"meeting-1": (at, status)}), BEGUN + at - 1, BEGUN + at + 1
            )

        outcome = observer.outcome(Simulator(STORY).requests, lost_scrapes=0, took_seconds=0)

        assert outcome.idle_gaps == IdleGaps({30.0: 1})
        assert (outcome.idle_gaps.median, outcome.idle_gaps.longest) == (30.0, 30.0)
        assert outcome.differences == []
        assert outcome.median_deferred == 2

    def test_complete(self) -> None:
        """A scrape is complete if all meetings were read since it began."""
        observer = self.observer()
        for others_at in (-50, -40, -50, -40):
            snapshot = self.snapshot(a=(-40, None), b=(others_at, None))
            observer.observe(snapshot, BEGUN - 45, BEGUN - 30)

        outcome = observer.outcome(Simulator(STORY).requests, lost_scrapes=0, took_seconds=0)

        assert [scrape.is_complete for scrape in outcome.scrapes] == [False, True, False, True]
        assert outcome.complete_share == 0.5
        assert outcome.longest_scrape_seconds == 15.0

    def test_differences(self) -> None:
        """What is shown wrongly is told, also a meeting that goes while it is recorded."""
        observer = self.observer()
        shown, paused = (
            {"meeting-1": (at, status)}
            for at, status in ((50, Status.RECORDING), (70, Status.PAUSED))
        )
        observer.observe(self.snapshot(**shown), BEGUN + 49, BEGUN + 51)
        observer.observe(self.snapshot(**paused), BEGUN + 69, BEGUN + 71)
        observer.observe(self.snapshot(), BEGUN + 80, BEGUN + 81)
        observer.restart()
        observer.observe(self.snapshot(), BEGUN + 90, BEGUN + 91)

        outcome = observer.outcome(Simulator(STORY).requests, lost_scrapes=0, took_seconds=0)

        assert [text.partition(": ")[2] for text in outcome.differences] == [
            f"{LIFE.id} is shown as PAUSED, but was RECORDING",
            f"{LIFE.id} is not shown, but was RECORDING",
        ]


class TestCases:
    """The table of the benchmark."""

    def test_row(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """A case is run and printed, with whether all is as it must be."""
        small = replace(cases.CASES[0], course=replace(COURSE, seconds=30.0))
        impossible = replace(small, name="impossible", holds=lambda _outcome, _first: False)
        monkeypatch.setattr(cases, "CASES", (small, impossible))

        cases.print_fleets()

        rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) == 1
        assert [row.split(" | ")[-2] for row in rows[2:]] == ["yes", "NO"]

    def test_names(self) -> None:
        """No two cases have one name."""
        assert len({case.name for case in cases.CASES}) == len(cases.CASES)


class TestFleet:
    """An exporter on a simulated account."""

    def test_delays(self) -> None:
        """Each change is seen at the end of the next scrape, every 15 s."""
        outcome = run_fleet(STORY, COURSE)

        seen = outcome.visibility
        assert seen.start.seconds == pytest.approx((3, 5), abs=0.5)
        assert seen.progress.seconds == pytest.approx((5, 7), abs=0.5)
        assert outcome.differences == []
        assert len(outcome.scrapes) == 26
        assert outcome.complete_share == 1.0
        assert outcome.requests.total == 3 * 26
        assert (outcome.idle_gaps.median, outcome.lost_scrapes) == (15.0, 0)

    def test_scrapers(self) -> None:
        """Several scrapers have rhythms of their own."""
        scrapers = (Prometheus(30.0), Prometheus(60.0, phase_seconds=7.0))

        outcome = run_fleet(STORY, replace(COURSE, scrapers=scrapers))

        begun = [round(scrape.begun_at - STARTS_AT) for scrape in outcome.scrapes]
        assert begun[:5] == [0, 7, 30, 60, 67]

    def test_events(self) -> None:
        """What happens to the API happens at its time."""
        course = replace(
            COURSE,
            events=(
                (99.0, lambda simulator: simulator.inject("*", Fault.SERVER_ERROR)),
                (199.0, lambda simulator: simulator.clear()),
            ),
        )

        seen = run_fleet(STORY, course).visibility

        assert seen.start.seconds == pytest.approx((108, 110), abs=0.5)

    def test_deaths(self) -> None:
        """What an exporter was about to tell dies with it, the next one begins anew."""
        hang = (99.0, lambda simulator: simulator.inject("*", Fault.HANG))
        course = replace(COURSE, killed_each_seconds=107.0, events=(hang,))

        outcome = run_fleet(STORY, course)

        # Of the hanging ones two are under way when it is time to die, after 107 and 214 s.
        assert (len(outcome.scrapes), outcome.lost_scrapes) == (24, 2)

    def test_discovery_looks_at_sessions(self) -> None:
        """Where no meetings are listed, what cannot be found by a live session is not counted."""
        found, lost = life("found"), life("lost")
        sessions = [
            Session(str(found.session_id), "found", STARTS_AT - 60, BEGUN + 140),
            Session(str(lost.session_id), "lost", STARTS_AT - 60, STARTS_AT - 5),
        ]
        story = ScriptedStory(recordings=[found, lost], sessions=sessions)
        settings = {**COURSE.settings, "meetings.discover": "true"}

        outcome = run_fleet(story, replace(COURSE, settings=settings, lists_meetings=False))

        assert outcome.visibility.recordings == 1
        assert outcome.visibility.all.count == 4

    def test_options_of_the_simulator(self) -> None:
        """The simulated API can be told anything."""
        outcome = run_fleet(STORY, replace(COURSE, simulator={"latency_seconds": 1.0}))

        assert outcome.longest_scrape_seconds >= 1.0

import math

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.collector.hints import Hints
from rk_exporter.collector.planner import Hinted, due, plan, without_idle
from rk_exporter.collector.read_mode import Load
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import Meeting, Reading, Room
from rk_exporter.model.recording import Recording, Status
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.building import NOW
from tests.support.known import known


LIVE = Room(is_live=True)
STATUSES = st.lists(st.none() | st.sampled_from(Status), min_size=1, max_size=7)
OVERDUE = st.lists(st.floats(1.0, 1e9), max_size=30)


def reading(
    name: str, waited: float | None = None, *statuses: Status, room: Room | None = None
) -> Reading:
    """Return a reading tried *waited* seconds before NOW; None: never."""
    return Reading(
        meeting=Meeting(name, name),
        recordings=tuple(Recording(recording_id=name, status=status) for status in statuses),
        last_attempt_timestamp_seconds=None if waited is None else NOW - waited,
        room=room,
    )


def overdue_recording(name: str, overdue: float = 1.0) -> tuple[float, KnownRecording]:
    """Return a recording that must be read by its id, and how overdue it is."""
    return overdue, known(name, status=Status.UPLOADING)


def finished_recording(recording_id: str) -> KnownRecording:
    return known(recording_id, status=Status.UPLOADED)


def id_of(target: Meeting | KnownRecording) -> str:
    return target.meeting_id if isinstance(target, Meeting) else target.recording_id


def order(*readings: Reading, now: float = NOW, **options: Any) -> str:
    """Return the plan as a string; meetings and recordings have single letters as names."""
    return "".join(id_of(target) for target in plan(readings, now=now, **options))


class Passes:
    """
    Passes, 15 s apart, that make the first few calls of their plans.

    The recordings with these *overdue* times stay overdue although they are read. After a pass with
    a call, the other queue starts.
    """

    def __init__(
        self,
        waits: list[float | None],
        statuses: list[Status | None],
        overdue: Iterable[float] = (),
    ) -> None:
        self._follows = [
            overdue_recording(f"f{number}", times) for number, times in enumerate(overdue)
        ]
        self.readings = {
            str(number): reading(str(number), wait) for number, wait in enumerate(waits)
        }
        self.longest_wait = 0
        self._statuses = statuses
        self._number = 0
        self._urgent_first = False
        self._read_in = dict.fromkeys(self.readings, 0)

    def run(self, calls: int) -> None:
        """Make a pass with this number of *calls*."""
        self._number += 1
        now = NOW + 15.0 * self._number
        planned = plan(
            self.readings.values(),
            now=now,
            overdue=self._follows,
            urgent_first=self._urgent_first,
        )
        if calls:
            self._urgent_first = not self._urgent_first
        ids = [id_of(target) for target in planned]
        assert sorted(ids) == sorted([*self.readings, *(id_of(pair) for _, pair in self._follows)])
        for meeting_id in ids[:calls]:
            if meeting_id not in self.readings:
                continue
            self._note_wait(meeting_id)
            status = self._statuses[(self._number + int(meeting_id)) % len(self._statuses)]
            self.readings[meeting_id] = replace(
                reading(meeting_id, None, *([status] if status else [])),
                last_attempt_timestamp_seconds=now,
            )

    def end(self) -> None:
        """Count the meetings that are still waiting."""
        for meeting_id in self.readings:
            self._note_wait(meeting_id)

    def _note_wait(self, meeting_id: str) -> None:
        waited = self._number - self._read_in[meeting_id]
        self.longest_wait = max(self.longest_wait, waited)
        self._read_in[meeting_id] = self._number


class TestPlan:
    """The order of the calls of a pass."""

    def test_longest_wait_first(self) -> None:
        """Idle meetings are read in the order of their last attempts, then as listed."""
        waits = {"a": 10, "b": 30, "c": 20, "d": 30, "e": 20}
        assert "bdcea" == order(*(reading(name, wait) for name, wait in waits.items()))

    def test_never_tried_first(self) -> None:
        """New meetings come first, as listed, whatever else is due."""
        tried = [reading("a", 500, Status.INVOKED), reading("c", 1e6)]
        assert "bdca" == order(tried[0], reading("b"), tried[1], reading("d"))
        # Once only, although people are in it.
        assert "ba" == order(tried[0], reading("b", room=LIVE))

    def test_failure_is_an_attempt(self) -> None:
        """A meeting whose reads have all failed waits for its turn like the others."""
        failed = replace(reading("a", 10), recordings=None)
        assert "cba" == order(failed, reading("b", 20), reading("c"))

    def test_in_turn(self) -> None:
        """The longest wait and the most urgent target are read in turn, none twice."""
        idle = [reading(name, wait) for name, wait in zip("ABCD", (90, 80, 70, 60), strict=True)]
        busy = [reading(name, 50, Status.RECORDING) for name in "xy"]
        assert "AxByCD" == order(*idle, *busy)
        busy = [reading(name, 95, Status.RECORDING) for name in "xyz"]
        assert "xyzABCD" == order(*idle, *busy)

    def test_most_overdue_first(self) -> None:
        """Of the urgent meetings, the one comes first whose time has passed most often."""
        idle = [reading(name, 90) for name in "ABCD"]
        recording = reading("r", 50, Status.RECORDING)
        invoked = reading("i", 30, Status.INVOKED)
        uploading = reading("u", 40, Status.UPLOADING)
        assert "AuBiCrD" == order(recording, invoked, uploading, *idle)

    @pytest.mark.parametrize(
        ("statuses", "room", "wanted"),
        [
            ([Status.INVOKED], None, 10),
            ([Status.UPLOADING], LIVE, 10),
            ([Status.RECORDING], None, 25),
            # A recorded room is always live, so the recording counts.
            ([Status.RECORDING], LIVE, 25),
            ([Status.PAUSED], None, 25),
            ([Status.UNKNOWN], None, 25),
            ([Status.RECORDING, Status.UPLOADING], None, 10),
            ([Status.UPLOADED, Status.PAUSED], None, 25),
            ([], LIVE, 10),
            ([], Room(is_live=False), None),
            ([], None, None),
            ([Status.UPLOADED], None, None),
            ([Status.ERRORED], Room(is_live=False), None),
        ],
    )
    def test_urgent_meetings(
        self, statuses: list[Status], room: Room | None, wanted: float | None
    ) -> None:
        """Short states are soon urgent, long ones later; others wait for the round robin."""
        idle = [reading("A", 90), reading("B", 80)]
        seconds = wanted or 79.0
        assert ("AxB" if wanted else "ABx") == order(
            *idle, reading("x", seconds, *statuses, room=room)
        )
        assert "ABx" == order(*idle, reading("x", seconds - 0.1, *statuses, room=room))

    def test_clock_set_back(self) -> None:
        """A meeting with an attempt in the future is read now, and then waits for its turn."""
        readings = [reading("a", 10), reading("b", -3600), reading("c", 30)]
        assert "bca" == order(*readings)
        assert "cab" == order(readings[0], reading("b", 0), readings[2])

    @pytest.mark.parametrize("shift", [-3600.0, 3600.0])
    def test_clock_set_for_all(self, shift: float) -> None:
        """After the clock was set, each meeting is read once before any is read again."""
        passes = Passes([10.0 + shift] * 5, [None])
        for _ in range(5):
            passes.run(1)
        passes.end()
        assert passes.longest_wait <= 5

    def test_nothing_to_read(self) -> None:
        """Without meetings, the plan is empty."""
        assert [] == plan([], now=NOW)

    def test_overdue_recordings_before_idle_meetings(self) -> None:
        """An overdue recording comes second, before the next idle meeting."""
        idle = [reading(name, wait) for name, wait in zip("ABCD", (90, 80, 70, 60), strict=True)]
        assert "AxByCD" == order(*idle, overdue=[overdue_recording("x", 2), overdue_recording("y")])

    def test_urgent_first(self) -> None:
        """If the urgent queue starts, a single call is for an overdue target."""
        idle = [reading(name, wait) for name, wait in zip("ABCD", (90, 80, 70, 60), strict=True)]
        busy = reading("r", 50, Status.RECORDING)
        planned = order(*idle, busy, overdue=[overdue_recording("x", 3)], urgent_first=True)
        assert planned == "xArBCD"
        assert order(*idle, urgent_first=True) == "ABCD"

    def test_known_from_other_answers(self) -> None:
        """Recordings in progress count even if the meeting itself has not shown them."""
        idle = [reading(name, wait) for name, wait in zip("ABC", (90, 80, 20), strict=True)]
        known = {"C": [Status.INVOKED], "B": [Status.UPLOADED], "other": [Status.INVOKED]}
        assert order(*idle, in_progress=known) == "ACB"
        assert order(*idle, in_progress={"C": [Status.RECORDING]}) == "ABC"

    def test_overdue_recordings_after_new_meetings(self) -> None:
        """A new meeting comes first, because nothing is known of it."""
        readings = [reading("A", 90), reading("n")]
        assert "nAx" == order(*readings, overdue=[overdue_recording("x", 100)])
        assert "nxA" == order(*readings, overdue=[overdue_recording("x", 100)], urgent_first=True)

    def test_most_overdue_of_all(self) -> None:
        """Urgent recordings and meetings are read by how overdue they are."""
        idle = [reading(name, 90) for name in "ABCD"]
        running = reading("r", 50, Status.RECORDING)
        invoked = reading("i", 30, Status.INVOKED)
        overdue = [
            overdue_recording("x", 1),
            overdue_recording("y", 2.5),
            overdue_recording("z", 9),
        ]
        assert "AzBiCyDrx" == order(*idle, running, invoked, overdue=overdue)

    def test_ended_recordings_take_turns(self) -> None:
        """A thousand files that expire soon do not delay a recording in progress."""
        ended = [(1e6 + number, finished_recording(str(number))) for number in range(1000)]
        stuck = [overdue_recording("x", 1), overdue_recording("y", 1.5)]
        planned = [id_of(target) for target in plan([], now=NOW, overdue=[*ended, *stuck])]
        assert ["y", "999", "x", "998", "997"] == planned[:5]

    @pytest.mark.parametrize(
        ("running", "ended", "planned"),
        [
            ([5, 4], [9, 1], "R5 E9 R4 E1"),
            ([5, 4], [3, 1], "R5 R4 E3 E1"),
            # Of equals, what is in progress comes first.
            ([5, 4], [4], "R5 R4 E4"),
            ([5, 4, 3], [9, 8], "R5 E9 R4 E8 R3"),
            ([], [1, 3], "E3 E1"),
        ],
    )
    def test_turns_of_ended_recordings(
        self, running: list[int], ended: list[int], planned: str
    ) -> None:
        """After each recording in progress comes one that has ended, if it is more overdue."""
        overdue = [(float(times), finished_recording(f"E{times}")) for times in ended]
        overdue += [overdue_recording(f"R{times}", times) for times in running]
        found = plan([], now=NOW, overdue=overdue)
        assert " ".join(id_of(target) for target in found) == planned

    @pytest.mark.parametrize("status", [Status.UPLOADING, Status.UPLOADED])
    def test_began_first(self, status: Status) -> None:
        """Of recordings that are equally overdue, the one that began longest ago comes first."""
        overdue = []
        for name, began in (("late", 9.0), ("early", 1.0), ("middle", 5.0)):
            times, known = overdue_recording(name, 2)
            recording = replace(known.recording, invoked_timestamp_seconds=began, status=status)
            overdue.append((times, replace(known, recording=recording)))
        planned = [id_of(target) for target in plan([], now=NOW, overdue=overdue)]
        assert ["early", "middle", "late"] == planned

    def test_recordings_before_equally_overdue_meetings(self) -> None:
        """A recording comes before a meeting that is overdue by as much."""
        idle = [reading(name, 90) for name in "AB"]
        running = reading("r", 50, Status.RECORDING)
        assert "AxBr" == order(*idle, running, overdue=[overdue_recording("x", 2)])

    def test_overdue_recordings_alone(self) -> None:
        """Without meetings, recordings are read, the most overdue first."""
        assert "yxz" == order(
            overdue=[overdue_recording("x", 2), overdue_recording("y", 3), overdue_recording("z")]
        )

    def test_recording_with_the_id_of_a_meeting(self) -> None:
        """A recording and a meeting may have the same id."""
        assert "AAB" == order(reading("A", 90), reading("B", 80), overdue=[overdue_recording("A")])

    @given(
        st.lists(st.floats(0.0, 1e4), min_size=1, max_size=14),
        STATUSES,
        st.integers(1, 9),
        OVERDUE,
    )
    @example([5.0] * 12, [Status.INVOKED], 1, [])
    @example([5.0] * 12, [None, Status.UPLOADING], 3, [])
    @example([5.0] * 12, [None, Status.UPLOADING], 3, [1e6] * 12)
    @example([5.0] * 12, [None], 2, [math.inf] * 30)
    def test_none_starves(
        self, waits: list[float], statuses: list[Status | None], calls: int, overdue: list[float]
    ) -> None:
        """With n calls per pass, each of m meetings is read within 2 m / n passes."""
        bound = math.ceil(2 * len(waits) / calls)
        passes = Passes([*waits], statuses, overdue)
        for _ in range(3 * bound):
            passes.run(calls)
        passes.end()
        assert passes.longest_wait <= bound

    @given(
        st.lists(st.none() | st.floats(-1e4, 1e4), min_size=1, max_size=14),
        STATUSES,
        st.integers(1, 9),
        OVERDUE,
    )
    def test_new_meetings_do_not_wait(
        self,
        waits: list[float | None],
        statuses: list[Status | None],
        calls: int,
        overdue: list[float],
    ) -> None:
        """All new meetings are read in as few passes as their number allows."""
        passes = Passes(waits, statuses, overdue)
        # A meeting with an attempt in the future counts as new.
        fresh = sum(1 for wait in waits if wait is None or wait < -15)
        for _ in range(math.ceil(fresh / calls)):
            passes.run(calls)
        assert all(reading.last_attempt_timestamp_seconds for reading in passes.readings.values())

    @given(
        st.lists(st.floats(0.0, 1e4), max_size=14),
        st.integers(2, 9),
        st.lists(st.floats(1.0, 1e9), min_size=1, max_size=30),
    )
    def test_no_recording_waits_for_idle_meetings(
        self, waits: list[float], calls: int, overdue: list[float]
    ) -> None:
        """Every other call of a pass is for an overdue recording, if there are enough."""
        readings = [reading(str(number), wait) for number, wait in enumerate(waits)]
        due = [overdue_recording(f"f{number}", times) for number, times in enumerate(overdue)]
        planned = plan(readings, now=NOW, overdue=due)[:calls]
        followed = [target for target in planned if isinstance(target, KnownRecording)]
        assert len(followed) >= min(calls // 2, len(overdue))
        by_urgency = sorted(due, key=lambda pair: pair[0], reverse=True)
        assert followed == [pair for _, pair in by_urgency[: len(followed)]]

    @given(
        st.integers(1, 40),
        st.integers(1, 80),
        st.sampled_from([7.0, 15.0, 30.0, 60.0]),
        st.integers(0, 7),
        STATUSES,
        OVERDUE,
    )
    # Passes of two and three calls: the urgent queue starts in each pass of three.
    @example(10, 20, 15.0, 0, [None], [1.0, 1.0])
    @example(10, 20, 15.0, 4, [None], [1.0, 1.0])
    # Almost two calls per pass: passes of one call are rare.
    @example(10, 15, 60.0, 0, [None], [1.0] * 3)
    def test_the_round_robin_keeps_its_promise(
        self,
        meetings: int,
        eighths: int,
        interval: float,
        first_eighth: int,
        statuses: list[Status | None],
        overdue: list[float],
    ) -> None:
        """Passes with any number of eighths of calls keep to `round_robin_seconds`."""
        promised = Load(meetings, interval, eighths / 8 * 300 / interval).round_robin_seconds
        passes = Passes([0.0] * meetings, statuses, overdue)
        affordable = first_eighth
        for _ in range(2 * round(promised / interval)):
            calls, affordable = divmod(affordable + eighths, 8)
            passes.run(calls)
        passes.end()
        assert passes.longest_wait * interval <= promised + 1e-6


class TestDue:
    """Meetings that are fresh are left out."""

    def test_fresh_ones_are_left_out(self) -> None:
        """Meetings tried less than the given time ago are not due; the others are, as listed."""
        readings = [reading("a", 5), reading("b", 4.9), reading("c", 0), reading("d", 60)]
        found = due(readings, now=NOW, fresh_seconds=5.0)
        assert [readings[0], readings[3]] == found

    def test_new_ones_are_due(self) -> None:
        """New meetings, and those with an attempt in the future, are always due."""
        readings = [reading("a"), reading("b", -1)]
        assert readings == due(readings, now=NOW, fresh_seconds=1e9)

    def test_failures_alone(self) -> None:
        """A meeting that always fails waits for half a minute and more; not if it was fresh."""
        failure = Failure(Reason.TIMEOUT, "slow")
        readings = [
            replace(reading(name, waited), failure=failure, failures_alone=failures)
            for name, waited, failures in (
                ("a", 29.9, 4),
                ("b", 30.0, 4),
                ("c", 30.0, 5),
                ("d", 60.0, 5),
                ("e", 5.0, 3),
                ("f", 4.9, 3),
            )
        ]
        found = due(readings, now=NOW, fresh_seconds=5.0)
        assert "bde" == "".join(item.meeting.meeting_id for item in found)
        found = due(readings, now=NOW, fresh_seconds=40.0)
        assert "d" == "".join(item.meeting.meeting_id for item in found)

    def test_without_a_time_all_are_due(self) -> None:
        """With a time of 0, all meetings are due."""
        readings = [reading("a", 0)]
        assert readings == due(readings, now=NOW, fresh_seconds=0.0)


class TestHints:
    A, B, C, D = (reading(name, 100.0 - number) for number, name in enumerate("ABCD"))

    def test_turns(self) -> None:
        """Hints take turns with what is overdue, and both with the round robin."""
        overdue = [overdue_recording("x", 9.0), overdue_recording("y", 8.0)]
        hinted = [self.C.meeting, self.D.meeting]
        readings = (self.A, self.B, self.C, self.D)
        assert order(*readings, overdue=overdue, hinted=Hinted(hinted)) == "ACBxDy"
        later = Hinted(hinted, is_first=False)
        assert order(*readings, overdue=overdue, hinted=later) == "AxBCDy"

    def test_one_call(self) -> None:
        """With one call in each pass, each of the three gets its turn, whatever is hinted."""
        hints, firsts = Hints(), []
        for number in range(8):
            hints.add_meeting("D")
            firsts.append(
                order(
                    *(self.A, self.B, self.C, self.D),
                    overdue=[overdue_recording("x")],
                    hinted=Hinted([self.D.meeting], hints.pending.is_first),
                    urgent_first=number % 2 == 1,
                )[0]
            )
            hints.settle(hints.pending, meetings={"D"}, recordings=(), has_discovered=False)
        assert "".join(firsts) == "ADAxADAx"

    def test_new(self) -> None:
        """Of the meetings that were never read, those that are hinted come first."""
        new = [reading(name) for name in "ABC"]
        assert order(*new, hinted=Hinted([new[2].meeting])) == "CAB"


class TestWithoutIdle:
    def rest(self, *readings: Reading, **in_progress: set[Status]) -> str:
        left = without_idle(readings, now=NOW, idle_seconds=570.0, in_progress=in_progress)
        return "".join(item.meeting.meeting_id for item in left)

    def test_idle(self) -> None:
        """A meeting without a recording waits for its time, and no longer."""
        assert self.rest(reading("A", 569.0), reading("B", 570.0), reading("C")) == "BC"

    def test_not_idle(self) -> None:
        """A meeting that is recorded, that is live, or that could not be read does not wait."""
        failed = replace(reading("C", 20.0), failure=Failure(Reason.TIMEOUT, "slow"))
        assert (
            self.rest(
                reading("A", 20.0, Status.RECORDING),
                reading("B", 20.0, room=LIVE),
                failed,
                replace(reading("D", 20.0), recordings=None),
                reading("E", 20.0),
                reading("F", 20.0, Status.UPLOADED),
                reading("G", 20.0),
                G={Status.RECORDING},
            )
            == "ABCDFG"
        )

import math

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.collector.planner import due, plan
from rk_exporter.collector.read_mode import Load
from rk_exporter.model.meeting import Meeting, Reading, Room
from rk_exporter.model.recording import Recording, Status
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.building import NOW


LIVE = Room(is_live=True)
STATUSES = st.lists(st.none() | st.sampled_from(Status), min_size=1, max_size=7)
FOLLOWS = st.lists(st.floats(1.0, 1e9), max_size=30)


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


def follow(name: str, overdue: float = 1.0) -> tuple[float, KnownRecording]:
    """Return a recording that is to be read by its id, and by how much that is overdue."""
    recording = Recording(recording_id=name, status=Status.UPLOADING)
    return overdue, KnownRecording(meeting=Meeting("m", "m"), recording=recording, read_at=NOW)


def id_of(target: Meeting | KnownRecording) -> str:
    return target.meeting_id if isinstance(target, Meeting) else target.recording_id


def order(*readings: Reading, now: float = NOW, **options: Any) -> str:
    """Return what is planned: meetings and recordings, whose names are single letters."""
    return "".join(id_of(target) for target in plan(readings, now=now, **options))


class Passes:
    """
    Passes, 15 s apart, each of which makes the first few calls of its plan.

    To each pass *follows* are due, which stay due although they are read. After a pass that made
    a call the other lane leads.
    """

    def __init__(
        self,
        waits: list[float | None],
        statuses: list[Status | None],
        follows: Iterable[float] = (),
    ) -> None:
        self._follows = [follow(f"f{each}", times) for each, times in enumerate(follows)]
        self.readings = {str(each): reading(str(each), wait) for each, wait in enumerate(waits)}
        self.longest_wait = 0
        self._statuses = statuses
        self._number = 0
        self._urgent_first = False
        self._read_in = dict.fromkeys(self.readings, 0)

    def run(self, calls: int) -> None:
        """Make a pass that finds meetings in any state."""
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
        ids = [id_of(each) for each in planned]
        assert sorted(ids) == sorted([*self.readings, *(id_of(each) for _, each in self._follows)])
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
        """Count the meetings that are still waiting as well."""
        for meeting_id in self.readings:
            self._note_wait(meeting_id)

    def _note_wait(self, meeting_id: str) -> None:
        waited = self._number - self._read_in[meeting_id]
        self.longest_wait = max(self.longest_wait, waited)
        self._read_in[meeting_id] = self._number


class TestPlan:
    """Which meetings a pass reads, and in which order."""

    def test_longest_wait_first(self) -> None:
        """Idle meetings are read in the order in which they were tried, then as listed."""
        waits = {"a": 10, "b": 30, "c": 20, "d": 30, "e": 20}
        assert "bdcea" == order(*(reading(name, wait) for name, wait in waits.items()))

    def test_never_tried_first(self) -> None:
        """Those never tried come first, as listed, whatever else is due."""
        tried = [reading("a", 500, Status.INVOKED), reading("c", 1e6)]
        assert "bdca" == order(tried[0], reading("b"), tried[1], reading("d"))

    def test_failure_is_an_attempt(self) -> None:
        """A meeting that was tried and has never been read waits its turn like the others."""
        failed = replace(reading("a", 10), recordings=None)
        assert "cba" == order(failed, reading("b", 20), reading("c"))

    def test_in_turn(self) -> None:
        """One that waits longest and one whose news is due are read in turn, none twice."""
        idle = [reading(name, wait) for name, wait in zip("ABCD", (90, 80, 70, 60), strict=True)]
        busy = [reading(name, 50, Status.RECORDING) for name in "xy"]
        assert "AxByCD" == order(*idle, *busy)
        busy = [reading(name, 95, Status.RECORDING) for name in "xyz"]
        assert "xyzABCD" == order(*idle, *busy)

    def test_most_overdue_first(self) -> None:
        """Of what is due that comes first which waits longest by what is wanted for its state."""
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
            # A room is live while it is recorded: the recording tells how often.
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
    def test_when_news_is_due(
        self, statuses: list[Status], room: Room | None, wanted: float | None
    ) -> None:
        """What passes quickly is wanted soon, what runs less often, the rest in the sweep."""
        idle = [reading("A", 90), reading("B", 80)]
        seconds = wanted or 79.0
        assert ("AxB" if wanted else "ABx") == order(
            *idle, reading("x", seconds, *statuses, room=room)
        )
        assert "ABx" == order(*idle, reading("x", seconds - 0.1, *statuses, room=room))

    def test_clock_set_back(self) -> None:
        """What seems to have been tried in the future is tried now, and then waits its turn."""
        readings = [reading("a", 10), reading("b", -3600), reading("c", 30)]
        assert "bca" == order(*readings)
        assert "cab" == order(readings[0], reading("b", 0), readings[2])

    @pytest.mark.parametrize("shift", [-3600.0, 3600.0])
    def test_clock_set_for_all(self, shift: float) -> None:
        """After the clock was set all meetings are read, each once before any is read again."""
        passes = Passes([10.0 + shift] * 5, [None])
        for _ in range(5):
            passes.run(1)
        passes.end()
        assert passes.longest_wait <= 5

    def test_nothing_to_read(self) -> None:
        """Without meetings there is no plan."""
        assert [] == plan([], now=NOW)

    def test_follows_before_idle_meetings(self) -> None:
        """A recording that is to be read by its id comes second, before the next idle meeting."""
        idle = [reading(name, wait) for name, wait in zip("ABCD", (90, 80, 70, 60), strict=True)]
        assert "AxByCD" == order(*idle, overdue=[follow("x", 2), follow("y")])

    def test_express_first(self) -> None:
        """Where the express leads, even a single call is for what is overdue."""
        idle = [reading(name, wait) for name, wait in zip("ABCD", (90, 80, 70, 60), strict=True)]
        busy = reading("r", 50, Status.RECORDING)
        planned = order(*idle, busy, overdue=[follow("x", 3)], urgent_first=True)
        assert planned == "xArBCD"
        assert order(*idle, urgent_first=True) == "ABCD"

    def test_what_is_known_otherwise(self) -> None:
        """What is under way in a meeting counts, though it did not show that itself."""
        idle = [reading(name, wait) for name, wait in zip("ABC", (90, 80, 20), strict=True)]
        known = {"C": [Status.INVOKED], "B": [Status.UPLOADED], "other": [Status.INVOKED]}
        assert order(*idle, in_progress=known) == "ACB"
        assert order(*idle, in_progress={"C": [Status.RECORDING]}) == "ABC"

    def test_follows_after_new_meetings(self) -> None:
        """Of a meeting never tried nothing is known at all: it comes first."""
        readings = [reading("A", 90), reading("n")]
        assert "nAx" == order(*readings, overdue=[follow("x", 100)])
        assert "nxA" == order(*readings, overdue=[follow("x", 100)], urgent_first=True)

    def test_most_overdue_of_all(self) -> None:
        """Recordings and meetings whose news is due are read by how overdue they are."""
        idle = [reading(name, 90) for name in "ABCD"]
        running = reading("r", 50, Status.RECORDING)
        invoked = reading("i", 30, Status.INVOKED)
        follows = [follow("x", 1), follow("y", 2.5), follow("z", 9)]
        assert "AzBiCyDrx" == order(*idle, running, invoked, overdue=follows)

    def test_follows_alone(self) -> None:
        """Where no meeting is to be read, recordings are, the most overdue first."""
        assert "yxz" == order(overdue=[follow("x", 2), follow("y", 3), follow("z")])

    def test_recording_with_the_id_of_a_meeting(self) -> None:
        """What has the same id is not taken for the same."""
        assert "AAB" == order(reading("A", 90), reading("B", 80), overdue=[follow("A")])

    @given(
        st.lists(st.floats(0.0, 1e4), min_size=1, max_size=14),
        STATUSES,
        st.integers(1, 9),
        FOLLOWS,
    )
    @example([5.0] * 12, [Status.INVOKED], 1, [])
    @example([5.0] * 12, [None, Status.UPLOADING], 3, [])
    @example([5.0] * 12, [None, Status.UPLOADING], 3, [1e6] * 12)
    @example([5.0] * 12, [None], 2, [math.inf] * 30)
    def test_none_starves(
        self, waits: list[float], statuses: list[Status | None], calls: int, follows: list[float]
    ) -> None:
        """With n calls in a pass each of m meetings is read within 2 m / n passes."""
        bound = math.ceil(2 * len(waits) / calls)
        passes = Passes([*waits], statuses, follows)
        for _ in range(3 * bound):
            passes.run(calls)
        passes.end()
        assert passes.longest_wait <= bound

    @given(
        st.lists(st.none() | st.floats(-1e4, 1e4), min_size=1, max_size=14),
        STATUSES,
        st.integers(1, 9),
        FOLLOWS,
    )
    def test_new_meetings_do_not_wait(
        self,
        waits: list[float | None],
        statuses: list[Status | None],
        calls: int,
        follows: list[float],
    ) -> None:
        """As many passes as the new meetings need read them all."""
        passes = Passes(waits, statuses, follows)
        # One that was tried in the future, once the clock is set back, counts as new.
        fresh = sum(1 for wait in waits if wait is None or wait < -15)
        for _ in range(math.ceil(fresh / calls)):
            passes.run(calls)
        assert all(each.last_attempt_timestamp_seconds for each in passes.readings.values())

    @given(
        st.lists(st.floats(0.0, 1e4), max_size=14),
        st.integers(2, 9),
        st.lists(st.floats(1.0, 1e9), min_size=1, max_size=30),
    )
    def test_no_follow_waits_for_idle_meetings(
        self, waits: list[float], calls: int, follows: list[float]
    ) -> None:
        """Every other call of a pass is for a recording, however many meetings are idle."""
        readings = [reading(str(each), wait) for each, wait in enumerate(waits)]
        due = [follow(f"f{each}", times) for each, times in enumerate(follows)]
        planned = plan(readings, now=NOW, overdue=due)[:calls]
        followed = [each for each in planned if isinstance(each, KnownRecording)]
        assert len(followed) >= min(calls // 2, len(follows))
        by_urgency = sorted(due, key=lambda each: each[0], reverse=True)
        assert followed == [each for _, each in by_urgency[: len(followed)]]

    @given(
        st.integers(1, 40),
        st.integers(1, 80),
        st.sampled_from([7.0, 15.0, 30.0, 60.0]),
        st.integers(0, 7),
        STATUSES,
        FOLLOWS,
    )
    # Passes of two and three calls: each of three is the one in which the express leads.
    @example(10, 20, 15.0, 0, [None], [1.0, 1.0])
    @example(10, 20, 15.0, 4, [None], [1.0, 1.0])
    # Almost two calls a pass: the short passes are rare.
    @example(10, 15, 60.0, 0, [None], [1.0] * 3)
    def test_the_sweep_takes_no_longer_than_told(
        self,
        meetings: int,
        eighths: int,
        interval: float,
        first_eighth: int,
        statuses: list[Status | None],
        follows: list[float],
    ) -> None:
        """Passes with any number of eighths of calls keep to `round_robin_seconds`."""
        promised = Load(meetings, interval, eighths / 8 * 300 / interval).round_robin_seconds
        passes = Passes([0.0] * meetings, statuses, follows)
        affordable = first_eighth
        for _ in range(2 * round(promised / interval)):
            calls, affordable = divmod(affordable + eighths, 8)
            passes.run(calls)
        passes.end()
        assert passes.longest_wait * interval <= promised + 1e-6


class TestDue:
    """Which meetings are left out, because they were tried just now."""

    def test_fresh_ones_are_left_out(self) -> None:
        """What was tried less than the given time ago is not due; the rest is, as listed."""
        readings = [reading("a", 5), reading("b", 4.9), reading("c", 0), reading("d", 60)]
        found = due(readings, now=NOW, fresh_seconds=5.0)
        assert [readings[0], readings[3]] == found

    def test_new_ones_are_due(self) -> None:
        """What was never tried, or in the future, is due however long the time."""
        readings = [reading("a"), reading("b", -1)]
        assert readings == due(readings, now=NOW, fresh_seconds=1e9)

    def test_without_a_time_all_are_due(self) -> None:
        """Where no time is given all are due, even what was tried in this moment."""
        readings = [reading("a", 0)]
        assert readings == due(readings, now=NOW, fresh_seconds=0.0)

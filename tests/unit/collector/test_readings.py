from dataclasses import replace

import pytest

from rk_exporter.collector.readings import ReadResult, merge, sync_meetings
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import App, Meeting, Reading, Room
from rk_exporter.model.recording import Recording, Status
from rk_exporter.snapshot import AppSnapshot
from tests.support.building import NOW


RECORDING = Recording(recording_id="recording-1", status=Status.RECORDING)
FAILURE = Failure(Reason.TIMEOUT, "too late")


def before(**last_attempts: float | None) -> AppSnapshot:
    readings = tuple(
        Reading(meeting=Meeting(name, name), last_attempt_timestamp_seconds=at)
        for name, at in last_attempts.items()
    )
    return AppSnapshot(app=App("app", "account", "id"), readings=readings)


def after_pass(
    previous: AppSnapshot, *attempts: ReadResult, ended_at: float = NOW, stale_after: float = 300
) -> AppSnapshot:
    return merge(
        previous, attempts, ended_at=ended_at, duration_seconds=1, stale_after_seconds=stale_after
    )


def test_success() -> None:
    """A success replaces the recordings and is remembered with its time."""
    snapshot = after_pass(before(a=None), ReadResult("a", NOW - 1, (RECORDING,)))
    (reading,) = snapshot.readings
    assert ((RECORDING,), NOW - 1, True) == (
        reading.recordings,
        reading.last_success_timestamp_seconds,
        reading.up,
    )
    assert (0, 1) == (snapshot.deferred, snapshot.duration_seconds)


def test_failure_keeps_the_last_reading() -> None:
    """A failure is shown as such, beside what was read last."""
    known = after_pass(before(a=None), ReadResult("a", NOW - 60, (RECORDING,)))
    snapshot = after_pass(known, ReadResult("a", NOW, FAILURE))
    (reading,) = snapshot.readings
    assert ((RECORDING,), NOW - 60) == (
        reading.recordings,
        reading.last_success_timestamp_seconds,
    )
    assert (False, 0) == (reading.up, snapshot.deferred)


def test_success_after_a_failure() -> None:
    """The next success forgets the failure."""
    failed = after_pass(before(a=None), ReadResult("a", NOW - 60, FAILURE))
    assert after_pass(failed, ReadResult("a", NOW, ())).readings[0].up


def test_unread_meeting_keeps_its_reading() -> None:
    """A meeting that the pass did not come to keeps its reading, and is counted as deferred."""
    known = after_pass(before(a=None, b=None), ReadResult("a", NOW - 60, (RECORDING,)))
    snapshot = after_pass(known, ReadResult("b", NOW, ()))
    assert known.readings[0] == snapshot.readings[0]
    assert 1 == snapshot.deferred


def test_meeting_cut_off_by_the_deadline() -> None:
    """A call that the deadline ends failed, and its meeting was not read for want of time."""
    snapshot = after_pass(before(a=None), ReadResult("a", NOW, FAILURE, deadline_exceeded=True))
    assert (False, 1) == (snapshot.readings[0].up, snapshot.deferred)


def test_stale_reading_is_dropped() -> None:
    """A reading older than the limit is shown no more, but when it was is."""
    known = after_pass(before(a=None), ReadResult("a", NOW - 300, (RECORDING,)))
    assert (RECORDING,) == after_pass(known, ended_at=NOW).readings[0].recordings
    (reading,) = after_pass(known, ended_at=NOW + 0.1).readings
    assert (None, NOW - 300) == (reading.recordings, reading.last_success_timestamp_seconds)


@pytest.mark.parametrize(
    ("fresh_count", "attempted", "deferred"),
    [
        (0, "b", 2),
        (1, "b", 1),
        (2, "b", 0),
        # A fresh one was read all the same.
        (2, "ab", 0),
        # What is in the API's list of recordings need not be in ours of meetings.
        (1, "bxyz", 1),
    ],
)
def test_deferred(fresh_count: int, attempted: str, deferred: int) -> None:
    """Those are counted that the pass did not come to, without those that needed no reading."""
    snapshot = merge(
        before(a=NOW - 1, b=NOW - 60, c=NOW - 60),
        [ReadResult(name, NOW, ()) for name in attempted],
        ended_at=NOW,
        duration_seconds=1,
        stale_after_seconds=300,
        fresh_count=fresh_count,
    )
    assert deferred == snapshot.deferred


ROOMS = {"a": Room(is_live=True, participants=2), "b": Room(is_live=False)}


def listed(*readings: Reading, names: str, titles: str = "") -> tuple[Reading, ...]:
    """Return the readings after a list of meetings with single letters as ids."""
    meetings = [Meeting(*each) for each in zip(names, titles or names, strict=True)]
    return sync_meetings(readings, meetings, room=ROOMS.get)


def known(name: str) -> Reading:
    """Return what a pass found out about a meeting that is listed."""
    return Reading(
        meeting=Meeting(name, name),
        recordings=(RECORDING,),
        last_attempt_timestamp_seconds=NOW,
        last_success_timestamp_seconds=NOW,
        room=ROOMS.get(name),
    )


class TestRelist:
    """The readings after the list of meetings has changed."""

    def test_order_is_that_of_the_list(self) -> None:
        """Readings come in the order of the list, and are kept as they are."""
        readings = [known("a"), known("b"), known("c")]
        found = listed(*readings, names="cab")
        assert ["c", "a", "b"] == [each.meeting.meeting_id for each in found]
        assert found[0] is readings[2]
        assert found[1] is readings[0]
        assert found[2] is readings[1]

    def test_new_meeting(self) -> None:
        """A meeting that is new has never been tried."""
        old, new = listed(known("c"), names="cd")
        assert known("c") == old
        assert Reading(meeting=Meeting("d", "d")) == new
        assert new.up is None

    def test_removed_meeting(self) -> None:
        """What is not listed is forgotten, and new when it is listed again."""
        readings = listed(known("c"), known("d"), names="d")
        assert (known("d"),) == readings
        assert Reading(meeting=Meeting("c", "c")) == listed(*readings, names="dc")[1]
        assert () == listed(known("c"), names="")

    def test_renamed_meeting(self) -> None:
        """A meeting whose name changes keeps what is known of it."""
        (reading,) = listed(known("c"), names="c", titles="x")
        assert replace(known("c"), meeting=Meeting("c", "x")) == reading

    def test_swapped_names(self) -> None:
        """It is the id that tells which meeting it is."""
        first, second = listed(known("c"), known("d"), names="cd", titles="dc")
        assert ("c", "d") == (first.meeting.meeting_id, second.meeting.meeting_id)
        assert ("d", "c") == (first.meeting.name, second.meeting.name)

    def test_rooms(self) -> None:
        """Each reading has what is known of its room now, new ones as well, or nothing."""
        stale = replace(known("b"), room=Room(is_live=True, participants=9))
        gone = replace(known("c"), room=Room(is_live=True))
        new, changed, lost = listed(stale, gone, names="abc")
        assert [ROOMS["a"], ROOMS["b"], None] == [new.room, changed.room, lost.room]
        assert (known("b"), known("c")) == (changed, lost)

from dataclasses import replace

import pytest

from rk_exporter.collector.readings import (
    ReadResult,
    count_deferred,
    merge,
    retried,
    retry_seconds,
    sync_meetings,
)
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import Meeting, Reading, Room
from rk_exporter.model.recording import Recording, Status
from tests.support.building import NOW


RECORDING = Recording(recording_id="recording-1", status=Status.RECORDING)
FAILURE = Failure(Reason.TIMEOUT, "too late")


def before(**last_attempts: float | None) -> tuple[Reading, ...]:
    return tuple(
        Reading(meeting=Meeting(name, name), last_attempt_timestamp_seconds=at)
        for name, at in last_attempts.items()
    )


def after_pass(
    previous: tuple[Reading, ...],
    *,
    ended_at: float = NOW,
    idle_age: float = 0.0,
    has_succeeded: bool = False,
    **results: ReadResult,
) -> tuple[Reading, ...]:
    """Return the readings after a pass whose results are old after 300 s."""
    return merge(
        previous,
        results,
        oldest=ended_at - 300,
        idle_age_seconds=idle_age,
        has_succeeded=has_succeeded,
    )


def test_success() -> None:
    """A success replaces the recordings, and its time is stored."""
    (previous,) = before(a=None)
    previous = replace(previous, room=ROOMS["a"], failure=FAILURE)
    (reading,) = after_pass((previous,), a=ReadResult(NOW - 1, (RECORDING,)))
    assert reading == Reading(
        meeting=previous.meeting,
        recordings=(RECORDING,),
        last_attempt_timestamp_seconds=NOW - 1,
        last_success_timestamp_seconds=NOW - 1,
        room=ROOMS["a"],
    )
    assert reading.up


def test_failure_keeps_the_last_reading() -> None:
    """A failure is shown, and so is the last successful reading."""
    known = after_pass(before(a=None), a=ReadResult(NOW - 60, (RECORDING,)))
    (reading,) = after_pass(known, a=ReadResult(NOW, FAILURE))
    assert reading == replace(known[0], failure=FAILURE, last_attempt_timestamp_seconds=NOW)
    assert not reading.up


def test_success_after_a_failure() -> None:
    """The next success removes the failure."""
    failed = after_pass(before(a=None), a=ReadResult(NOW - 60, FAILURE))
    assert after_pass(failed, a=ReadResult(NOW, ()))[0].up


def test_unread_meeting_keeps_its_reading() -> None:
    """A meeting that the pass did not get to keeps its reading."""
    known = after_pass(before(a=None, b=None), a=ReadResult(NOW - 60, (RECORDING,)))
    assert known[0] == after_pass(known, b=ReadResult(NOW, ()))[0]


def test_read_that_exceeds_the_deadline() -> None:
    """A call that exceeds the deadline has failed, and its meeting counts as deferred."""
    result = ReadResult(NOW, FAILURE, deadline_exceeded=True)
    assert not after_pass(before(a=None), a=result)[0].up
    assert 1 == count_deferred(before(a=None), {"a": result}, fresh_count=0)


def test_stale_reading_is_dropped() -> None:
    """A reading that is too old is no longer shown, but its time is."""
    known = after_pass(before(a=None), a=ReadResult(NOW - 300, (RECORDING,)))
    assert (RECORDING,) == after_pass(known, ended_at=NOW)[0].recordings
    (reading,) = after_pass(known, ended_at=NOW + 0.1)
    assert (None, NOW - 300) == (reading.recordings, reading.last_success_timestamp_seconds)


def test_stale_reading_of_an_idle_meeting() -> None:
    """Without a recording, a reading may be older."""
    known = after_pass(
        before(a=None, b=None), a=ReadResult(NOW - 900, ()), b=ReadResult(NOW - 300, (RECORDING,))
    )
    idle, recorded = after_pass(known, ended_at=NOW, idle_age=600)
    assert ((), (RECORDING,)) == (idle.recordings, recorded.recordings)
    idle, recorded = after_pass(known, ended_at=NOW + 0.1, idle_age=600)
    assert (None, None) == (idle.recordings, recorded.recordings)


class TestFailuresAlone:
    """Meetings that fail while others can be read."""

    @pytest.mark.parametrize(
        ("failures", "seconds"),
        [(0, 0), (3, 0), (4, 30), (5, 60), (6, 120), (7, 120), (1000, 120)],
    )
    def test_pause(self, failures: int, seconds: float) -> None:
        """After three failures, the pauses double, up to two minutes."""
        (reading,) = before(a=NOW)
        assert retry_seconds(replace(reading, failures_alone=failures)) == seconds

    def test_count(self) -> None:
        """A failure counts if another call succeeded, unless the API asks for fewer calls."""
        readings, counts = before(a=None), []
        limited = Failure(Reason.RATE_LIMITED, "wait")
        for failure, has_succeeded in (
            (FAILURE, True),
            (FAILURE, False),
            (limited, True),
            (FAILURE, True),
        ):
            readings = after_pass(readings, a=ReadResult(NOW, failure), has_succeeded=has_succeeded)
            counts.append(readings[0].failures_alone)
        assert counts == [1, 1, 1, 2]
        assert after_pass(readings, has_succeeded=True)[0].failures_alone == 2
        success = after_pass(readings, a=ReadResult(NOW, ()), has_succeeded=True)
        assert success[0].failures_alone == 0

    @pytest.mark.parametrize(("failures", "others"), [(3, 9), (4, 0)])
    def test_one_that_recovers(self, failures: int, others: int) -> None:
        """If one that had to wait can be read again, none of the others waits any longer."""
        waiting, other, third = (
            replace(reading, failures_alone=count, failure=FAILURE)
            for reading, count in zip(before(a=NOW, b=NOW, c=NOW), (failures, 9, 0), strict=True)
        )
        readings = after_pass((waiting, other, third), a=ReadResult(NOW, ()), has_succeeded=True)
        assert [reading.failures_alone for reading in readings] == [0, others, 0]
        assert [reading.up for reading in readings] == [True, False, False]

    def test_one_that_fails_again(self) -> None:
        """While those that wait only fail again, each of them waits on."""
        readings = tuple(
            replace(reading, failures_alone=5, failure=FAILURE) for reading in before(a=0, b=0)
        )
        readings = after_pass(readings, a=ReadResult(NOW, FAILURE), has_succeeded=True)
        assert [reading.failures_alone for reading in readings] == [6, 5]

    def test_retried(self) -> None:
        """What is tried again keeps its values; a reading without failures stays the same."""
        first, second = before(a=NOW, b=NOW)
        waiting = replace(first, failures_alone=5, failure=FAILURE)
        found = retried([waiting, second])
        assert found == (replace(waiting, failures_alone=0), second)
        assert found[1] is second


@pytest.mark.parametrize(
    ("fresh_count", "attempted", "expected"),
    [
        (0, "b", 2),
        (1, "b", 1),
        (2, "b", 0),
        # A fresh meeting was read all the same.
        (2, "ab", 0),
        # The API's list has recordings of meetings that are not in ours.
        (1, "bxyz", 1),
        (0, "abc", 0),
    ],
)
def test_deferred(fresh_count: int, attempted: str, expected: int) -> None:
    """Meetings that the pass did not get to are counted, without those that are fresh."""
    readings = before(a=NOW - 1, b=NOW - 60, c=NOW - 60)
    results = {name: ReadResult(NOW, ()) for name in attempted}
    assert expected == count_deferred(readings, results, fresh_count=fresh_count)


ROOMS = {"a": Room(is_live=True, participants=2), "b": Room(is_live=False)}


def listed(*readings: Reading, names: str, titles: str = "") -> tuple[Reading, ...]:
    """Return *readings* after they are reconciled with meetings whose ids are single letters."""
    meetings = [Meeting(*fields) for fields in zip(names, titles or names, strict=True)]
    return sync_meetings(readings, meetings, room=ROOMS.get)


def known(name: str) -> Reading:
    """Return the reading of a listed meeting."""
    return Reading(
        meeting=Meeting(name, name),
        recordings=(RECORDING,),
        last_attempt_timestamp_seconds=NOW,
        last_success_timestamp_seconds=NOW,
        room=ROOMS.get(name),
    )


class TestSyncMeetings:
    """The readings after the list of meetings has changed."""

    def test_order_is_that_of_the_list(self) -> None:
        """Readings are in the order of the list, and are the same objects."""
        readings = [known("a"), known("b"), known("c")]
        found = listed(*readings, names="cab")
        assert ["c", "a", "b"] == [reading.meeting.meeting_id for reading in found]
        assert found[0] is readings[2]
        assert found[1] is readings[0]
        assert found[2] is readings[1]

    def test_new_meeting(self) -> None:
        """A new meeting has an empty reading."""
        old, new = listed(known("c"), names="cd")
        assert known("c") == old
        assert Reading(meeting=Meeting("d", "d")) == new
        assert new.up is None

    def test_removed_meeting(self) -> None:
        """A removed meeting is forgotten; if it comes back, it is new."""
        readings = listed(known("c"), known("d"), names="d")
        assert (known("d"),) == readings
        assert Reading(meeting=Meeting("c", "c")) == listed(*readings, names="dc")[1]
        assert () == listed(known("c"), names="")

    def test_renamed_meeting(self) -> None:
        """A renamed meeting keeps its reading."""
        (reading,) = listed(known("c"), names="c", titles="x")
        assert replace(known("c"), meeting=Meeting("c", "x")) == reading

    def test_swapped_names(self) -> None:
        """The id identifies a meeting."""
        first, second = listed(known("c"), known("d"), names="cd", titles="dc")
        assert ("c", "d") == (first.meeting.meeting_id, second.meeting.meeting_id)
        assert ("d", "c") == (first.meeting.name, second.meeting.name)

    def test_rooms(self) -> None:
        """Each reading has the present state of its room, or none."""
        stale = replace(known("b"), room=Room(is_live=True, participants=9))
        gone = replace(known("c"), room=Room(is_live=True))
        new, changed, lost = listed(stale, gone, names="abc")
        assert [ROOMS["a"], ROOMS["b"], None] == [new.room, changed.room, lost.room]
        assert (known("b"), known("c")) == (changed, lost)

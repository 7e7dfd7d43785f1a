"""What follows from each kind of reading of a recording."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from rk_exporter.model.meeting import ListedRecording
from rk_exporter.model.recording import Outcome, Status
from rk_exporter.tracking.store import Tombstone
from tests.support.building import NOW
from tests.support.log_lines import lines
from tests.support.tracker import HOUR, ID, MEETING, OTHER, READINGS, Harness, recording


FIELDS = {"app": "app-1", "meeting_id": "meeting-1", "recording_id": ID}


class TestReadings:
    """What follows from readings."""

    def test_missing(self) -> None:
        """A recording that its meeting stops showing is returned once, and due immediately."""
        harness = Harness()
        assert [] == harness.read_meeting(recording())
        assert [ID] == harness.read_meeting(after=15)
        assert [ID] == harness.due
        assert [] == harness.read_meeting(after=1)

    def test_shown_again(self) -> None:
        """A recording that its meeting shows again is no longer due."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.read_meeting(after=15)
        harness.read_meeting(recording(), after=15)
        assert [] == harness.due
        assert harness.tracker.due_one(ID, now=harness.time.now, is_hinted=False) is None
        assert [ID] == harness.read_meeting(after=15)
        known = harness.tracker.due_one(ID, now=harness.time.now, is_hinted=False)
        assert ID == getattr(known, "recording_id", None)

    def test_hints(self) -> None:
        """
        An event makes a recording due that its meeting has stopped showing, and no other.

        It does not shorten the back-off after a failure.
        """
        harness = Harness()
        harness.read_meeting(recording())

        def is_due(*, is_hinted: bool) -> bool:
            now = harness.time.now
            return harness.tracker.due_one(ID, now=now, is_hinted=is_hinted) is not None

        assert [False, False] == [is_due(is_hinted=False), is_due(is_hinted=True)]
        harness.read_meeting(after=15)
        harness.tracker.observe_details(recording(Status.UPLOADING))
        assert [False, True] == [is_due(is_hinted=False), is_due(is_hinted=True)]
        harness.tracker.observe_failure(ID)
        assert not is_due(is_hinted=True)
        harness.time.now += 15
        assert is_due(is_hinted=True)
        harness.tracker.set_meetings([])
        assert not is_due(is_hinted=True)

    def test_another_meeting(self) -> None:
        """A meeting says nothing about the recordings of other meetings."""
        harness = Harness(MEETING, OTHER)
        harness.read_list(recording(recording_id="other"), meeting=OTHER)
        assert [] == harness.read_meeting()

    def test_list_in_progress(self) -> None:
        """A recording that a complete list lacks is missing; an incomplete list says nothing."""
        harness = Harness(MEETING, OTHER)
        both = [
            ListedRecording(MEETING, recording()),
            ListedRecording(OTHER, recording(recording_id="other")),
        ]
        assert [] == harness.tracker.observe_in_progress(both, is_complete=True)
        harness.time.now += 15
        assert [] == harness.tracker.observe_in_progress(both[:1], is_complete=False)
        assert ["other"] == harness.tracker.observe_in_progress(both[:1], is_complete=True)
        assert ["other"] == harness.due

    def test_missing_but_listed(self) -> None:
        """A recording that its meeting lost is followed, even if the list has it in progress."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.read_meeting(after=15)
        harness.read_list(recording())
        harness.time.now += 10
        assert [ID] == harness.due

    @pytest.mark.parametrize(
        ("shown_after", "expected"),
        [
            (4.0, Status.UPLOADED),
            (6.0, Status.RECORDING),
            (10.0, Status.RECORDING),
            (HOUR, Status.UPLOADED),
        ],
    )
    def test_slow_list(self, shown_after: float, expected: Status) -> None:
        """
        A reading that was made after the request of the list wins.

        A reading from the future, before the clock was set back, does not.
        """
        harness = Harness()
        harness.read_meeting(recording(), after=shown_after)
        harness.time.now = NOW + 10
        harness.read_list(recording(Status.UPLOADED), takes=5)
        assert [expected] == [known.recording.status for known in harness.shown]

    def test_in_progress(self) -> None:
        """The result has the states that each meeting should show, whatever the source."""
        harness = Harness(MEETING, OTHER)
        harness.read_meeting(
            recording(), recording(Status.ERRORED, "ended"), recording(recording_id="gone")
        )
        harness.read_meeting(recording(), after=15)
        harness.read_list(recording(Status.PAUSED, "b"), recording(recording_id="c"))
        harness.read_list(recording(Status.ERRORED, "d"), meeting=OTHER)
        assert {"meeting-1": {Status.RECORDING, Status.PAUSED}} == harness.tracker.in_progress()

    def test_nothing_in_progress(self) -> None:
        """A recording that its meeting no longer shows is not expected there."""
        harness = Harness()
        harness.read_meeting(recording())
        assert {"meeting-1": {Status.RECORDING}} == harness.tracker.in_progress()
        harness.read_meeting(after=15)
        assert {} == harness.tracker.in_progress()

    def test_finished(self) -> None:
        """A finished recording does not become missing."""
        harness = Harness()
        harness.read_meeting(recording(Status.UPLOADED))
        assert [] == harness.read_meeting(after=15)

    def test_details_of_an_evicted_recording(self) -> None:
        """An answer about a recording that was evicted in the meantime is ignored."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.tracker.set_meetings([])
        harness.tracker.observe_details(recording(Status.UPLOADED))
        harness.tracker.observe_missing(ID)
        assert [] == harness.ids
        assert not any(harness.counters.finished.values())

    def test_vanished(self, caplog: pytest.LogCaptureFixture) -> None:
        """A running recording that the API no longer knows is logged and counts as vanished."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.observe_missing_twice()
        assert [] == harness.ids
        assert 1 == harness.counters.finished[Outcome.VANISHED]
        message = "recording no longer exists in the API (404)"
        assert [("WARNING", message, FIELDS)] == lines(caplog, "tracking.tracker")

    def test_missing_once(self) -> None:
        """One answer that a recording does not exist changes nothing for a minute."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.read_meeting(after=15)
        assert [ID] == harness.due
        harness.tracker.observe_missing(ID)
        for _ in range(59):
            harness.time.now += 1
            assert ([ID], []) == (harness.ids, harness.due)
        harness.tracker.observe_missing("another")
        harness.time.now += 1
        assert [ID] == harness.due
        assert 0 == harness.counters.finished[Outcome.VANISHED]
        harness.tracker.observe_missing(ID)
        assert 1 == harness.counters.finished[Outcome.VANISHED]

    @pytest.mark.parametrize("reading", READINGS)
    def test_missing_and_seen_again(self, reading: str) -> None:
        """If any answer shows the recording in between, it does not end."""
        harness = Harness()
        harness.read_meeting(recording())
        for _ in range(5):
            harness.tracker.observe_missing(ID)
            harness.time.now += 59
            READINGS[reading](harness, recording())
            harness.time.now += 59
        assert [ID] == harness.ids
        assert 0 == harness.counters.finished[Outcome.VANISHED]

    def test_missing_in_a_list_that_is_kept(self) -> None:
        """If the list still shows a recording that the API denies, it is read less and less."""
        harness = Harness()
        harness.read_meeting(recording(Status.UPLOADED))
        denied = 0
        for _ in range(24 * 60):
            harness.time.now += 60
            if harness.due:
                harness.tracker.observe_missing(ID)
                denied += 1
            harness.read_list(recording(Status.UPLOADED))
        assert [ID] == harness.ids
        assert denied < 35

    def test_clock_is_set_back_between(self) -> None:
        """If this machine's clock was set back, the minute begins again."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.tracker.observe_missing(ID)
        harness.time.now -= 3600
        harness.tracker.observe_missing(ID)
        harness.time.now += 59
        harness.tracker.observe_missing(ID)
        assert [ID] == harness.ids
        harness.time.now += 1
        harness.tracker.observe_missing(ID)
        assert [] == harness.ids

    def test_deleted(self) -> None:
        """A finished recording that the API no longer knows is evicted, and keeps its outcome."""
        harness = Harness()
        harness.read_meeting(recording(Status.UPLOADED))
        harness.observe_missing_twice()
        assert [] == harness.ids
        assert (1, 0) == (
            harness.counters.finished[Outcome.UPLOADED],
            harness.counters.finished[Outcome.VANISHED],
        )

    @pytest.mark.parametrize(
        ("statuses", "warnings"),
        [
            ([Status.UPLOADED, Status.RECORDING], 1),
            ([Status.RECORDING, Status.INVOKED, Status.RECORDING], 1),
            ([Status.INVOKED, Status.UPLOADED], 0),
            ([Status.UPLOADED, Status.UNKNOWN, Status.UPLOADED], 0),
        ],
    )
    def test_impossible(
        self, statuses: Sequence[Status], warnings: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An impossible status change is logged."""
        harness = Harness()
        for status in statuses:
            harness.read_meeting(recording(status), after=15)
        message = "impossible status change of a recording"
        changes = [
            ("WARNING", message, {**FIELDS, "before": before, "after": after})
            for before, after in pairwise(statuses)
        ]
        logged = lines(caplog, "tracking.tracker")
        assert warnings == len(logged)
        assert all(line in changes for line in logged)

    def test_state(self) -> None:
        """The next process restores the whole state; later events do not change it."""
        harness = Harness()
        harness.read_meeting(recording(), recording(recording_id="gone"))
        harness.read_meeting(recording(), after=15)
        harness.observe_missing_twice("gone")
        state = harness.tracker.state
        assert [ID] == [known.recording_id for known in state.recordings]
        assert {"gone": Tombstone(Outcome.VANISHED)} == state.tombstones
        assert (1, NOW) == (state.counters.finished[Outcome.VANISHED], state.listed_until)
        harness.observe_missing_twice()
        assert ["gone"] == list(state.tombstones)
        harness.restart(state)
        assert state == harness.tracker.state

    def test_revision(self) -> None:
        """A new status increments the revision; a reading without news does not."""
        harness = Harness()
        harness.read_meeting(recording())
        before = harness.tracker.revision
        harness.read_meeting(recording(), after=15)
        assert before == harness.tracker.revision
        harness.read_meeting(recording(Status.PAUSED), after=15)
        assert before < harness.tracker.revision

    def test_shown(self) -> None:
        """Recordings in progress are shown until their reading is too old, finished ones longer."""
        harness = Harness()
        harness.read_meeting(recording(), recording(Status.UPLOADED, "ended"))
        fresh = harness.tracker.shown(oldest=NOW).recordings
        assert [ID, "ended"] == [known.recording_id for known in fresh]
        stale = harness.tracker.shown(oldest=NOW + 1).recordings
        assert ["ended"] == [known.recording_id for known in stale]

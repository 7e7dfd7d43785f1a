"""Which recordings stay when the list of meetings changes, and which are shown."""

import logging

from dataclasses import replace
from typing import Any

import pytest

from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Outcome, Status
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.tracker_state import TrackerState
from tests.support.building import NOW
from tests.support.log_lines import lines
from tests.support.tracker import (
    DAY,
    HOUR,
    ID,
    MEETING,
    OTHER,
    STARTED,
    Harness,
    elapse,
    recording,
    uploaded,
)


class TestKept:
    """Which recordings stay when the list of meetings changes."""

    def test_more_is_followed(self) -> None:
        """The list of recordings has more to follow if meetings are added, and only then."""
        harness = Harness(MEETING)
        assert not harness.tracker.set_meetings([MEETING])
        assert harness.tracker.set_meetings([MEETING, OTHER])
        assert not harness.tracker.set_meetings([MEETING, OTHER])
        assert not harness.tracker.set_meetings([OTHER])
        assert harness.tracker.set_meetings([MEETING])

    def test_more_is_followed_of_any_meeting(self) -> None:
        """If the recordings of all meetings are followed anyway, another meeting adds none."""
        harness = Harness(MEETING, any_meeting=True)
        assert not harness.tracker.set_meetings([MEETING, OTHER])
        harness.tracker.change("app", replace(harness.rules, max_recordings=5))
        assert not harness.tracker.set_meetings([MEETING])

    @pytest.mark.parametrize(
        ("changes", "is_more"),
        [
            ({"any_meeting": True}, True),
            ({"retain_seconds": 2 * DAY}, True),
            ({"retain_seconds": HOUR}, False),
            ({"max_recordings": 5000, "keep_removed": True}, False),
        ],
    )
    def test_more_is_followed_by_other_rules(
        self, changes: dict[str, Any], *, is_more: bool
    ) -> None:
        """The list has more to follow if the rules become wider; that is said once."""
        harness = Harness(MEETING)
        harness.tracker.change("app", replace(harness.rules, **changes))
        harness.tracker.change("renamed", replace(harness.rules, **changes))
        assert [is_more, False] == [harness.tracker.set_meetings([MEETING]) for _ in range(2)]
        harness.tracker.change("app", harness.rules)
        assert harness.tracker.set_meetings([MEETING]) is (changes == {"retain_seconds": HOUR})

    def test_a_meeting_is_removed(self) -> None:
        """Removing a meeting evicts its recordings, and no others."""
        harness = Harness(MEETING, OTHER)
        harness.read_list(
            recording(), recording(Status.UPLOADED, "ended"), recording(Status.ERRORED, "x")
        )
        harness.read_list(recording(recording_id="other"), meeting=OTHER)
        harness.tracker.set_meetings([OTHER])
        assert ["other"] == harness.ids

    def test_removed_but_kept(self) -> None:
        """With follow.keep_removed finished recordings stay, and are still updated."""
        harness = Harness(MEETING, OTHER, keep_removed=True)
        ended = recording(Status.UPLOADED, "ended")
        harness.read_list(recording(), ended)
        harness.tracker.set_meetings([OTHER])
        assert ["ended"] == harness.ids
        harness.read_list(replace(ended, file_size_bytes=5.0), recording(Status.UPLOADED, "new"))
        assert [5.0] == [known.recording.file_size_bytes for known in harness.shown]

    def test_listed_again(self) -> None:
        """Recordings that come back with their meeting are shown again, and count once."""
        harness = Harness()
        harness.read_meeting(STARTED, replace(STARTED, recording_id="ended", status=Status.ERRORED))
        before = harness.counters
        harness.tracker.set_meetings([])
        harness.tracker.set_meetings([MEETING])
        harness.read_meeting(STARTED, after=15)
        harness.read_list(replace(STARTED, recording_id="ended", status=Status.ERRORED))
        assert {ID, "ended"} == set(harness.ids)
        assert before == harness.counters
        harness.read_meeting(replace(STARTED, status=Status.ERRORED), after=15)
        assert 2 == harness.counters.finished[Outcome.ERRORED]
        assert before.started == harness.counters.started

    def test_ended_while_removed(self) -> None:
        """A recording that ended while its meeting was removed ends once."""
        harness = Harness()
        harness.read_meeting(STARTED)
        harness.tracker.set_meetings([])
        harness.tracker.set_meetings([MEETING])
        for _ in range(2):
            harness.read_list(replace(STARTED, status=Status.ERRORED))
        assert (1, 1) == (harness.counters.started, harness.counters.finished[Outcome.ERRORED])

    def test_reappears_after_it_vanished(self) -> None:
        """A vanished recording that reappears is followed again, and does not end twice."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.observe_missing_twice()
        harness.read_meeting(recording(), after=15)
        harness.read_meeting(recording(Status.UPLOADED), after=15)
        assert [ID] == harness.ids == harness.due
        assert {**dict.fromkeys(Outcome, 0), Outcome.VANISHED: 1} == harness.counters.finished

    def test_not_in_the_list(self) -> None:
        """Recordings of meetings that are not in the list are ignored."""
        harness = Harness()
        harness.read_list(recording(Status.UPLOADED), recording(recording_id="b"), meeting=OTHER)
        assert [] == harness.ids

    def test_any_meeting(self) -> None:
        """With discovery recordings of all meetings count; those in no list are followed."""
        harness = Harness(any_meeting=True)
        harness.read_list(recording(Status.UPLOADED, "ended"), recording(), meeting=OTHER)
        assert [ID, "ended"] == harness.ids
        harness.tracker.observe_details(recording(Status.UPLOADED, "ended"))
        assert [] == harness.due
        elapse(harness, 10)
        assert [ID] == harness.due

    def test_discovered_meeting_ends(self) -> None:
        """A recording is followed by its id after its meeting has ended."""
        harness = Harness(any_meeting=True)
        harness.read_meeting(recording())
        harness.time.now += 15
        harness.tracker.set_meetings([])
        assert [ID] == harness.ids == harness.due

    def test_discovered_meeting_shows_it(self) -> None:
        """A recording that its meeting shows is not missing, even if the list lacks the meeting."""
        harness = Harness(any_meeting=True)
        listed = [ListedRecording(OTHER, recording())]
        harness.tracker.observe_in_progress(listed, is_complete=True)
        harness.tracker.set_meetings([MEETING, OTHER])
        harness.time.now += HOUR
        assert [] == harness.due

    def test_found_meeting_does_not_show_it(self) -> None:
        """A recording is read immediately if its meeting, once it is found, does not show it."""
        harness = Harness(OTHER, any_meeting=True)
        harness.read_list(recording(), meeting=MEETING)
        harness.meetings = (MEETING, OTHER)
        harness.time.now += 5
        harness.tracker.set_meetings(harness.meetings)
        assert [] == harness.due
        assert [ID] == harness.read_meeting() == harness.due

    def test_other_meeting_is_found(self) -> None:
        """A recording that its meeting has stopped showing waits, even if another one is found."""
        harness = Harness(any_meeting=True)
        harness.read_meeting(recording())
        assert [ID] == harness.read_meeting(after=15)
        harness.tracker.observe_details(recording(Status.UPLOADING))
        harness.tracker.set_meetings([MEETING, OTHER])
        assert [] == harness.read_meeting(after=5) == harness.due

    @pytest.mark.parametrize("expected", [[], [ID]])
    def test_listed_without_its_meeting(self, expected: list[str]) -> None:
        """A recording in a list that is kept is followed by its id if its meeting is unknown."""
        harness = Harness(MEETING if not expected else OTHER, any_meeting=True)
        harness.read_list(recording(), meeting=MEETING)
        harness.time.now += 15
        assert expected == harness.due

    def test_spelling_of_a_meeting(self) -> None:
        """The meeting of a recording has the spelling of the list, as soon as that changes."""
        meeting_id = "2a95132c-1573-2412-a221-6fd0a01e0000"
        harness = Harness(Meeting(meeting_id, "Daily"))
        harness.read_meeting(recording())
        listed = Meeting(meeting_id.upper(), "Standup")
        harness.tracker.set_meetings([listed])
        assert [listed] == [known.meeting for known in harness.shown]

    def test_meeting_name(self) -> None:
        """The meeting's name comes from the list, even after the list has changed."""
        harness = Harness()
        harness.read_list(recording(), meeting=Meeting("meeting-1", "Title"))
        assert ["Daily"] == [known.meeting.name for known in harness.shown]
        harness.tracker.set_meetings([Meeting("meeting-1", "Standup")])
        harness.read_meeting(recording(), after=15)
        assert ["Standup"] == [known.meeting.name for known in harness.shown]

    def test_many_in_progress(self) -> None:
        """All recordings in progress are shown, the one that began longest ago first."""
        harness = Harness(max_recordings=2)
        in_progress = [
            recording(recording_id=str(number), invoked_timestamp_seconds=NOW + number)
            for number in range(1, 9)
        ]
        harness.read_meeting(*reversed(in_progress), after=15)
        harness.tracker.set_meetings([MEETING])
        assert list("12345678") == harness.ids
        assert 0 == harness.tracker.shown(oldest=NOW).totals.hidden
        assert 0 == harness.counters.dropped

    def test_expiring_before_new(self) -> None:
        """Of too many finished recordings, those that expire next are shown, and all count."""
        harness = Harness(max_recordings=3)
        for hours in range(1, 169):
            harness.read_list(uploaded(str(hours), expires_at=NOW + hours * HOUR))
        harness.tracker.set_meetings([MEETING])
        assert ["1", "2", "3"] == harness.ids
        totals = harness.tracker.shown(oldest=NOW).totals
        assert (165, 168) == (totals.hidden, totals.by_status[Status.UPLOADED])
        assert {"1h": 1, "24h": 24, "72h": 72} == totals.expiring
        assert NOW + HOUR == totals.earliest_expiry_timestamp_seconds
        assert 0 == harness.counters.dropped

    def test_returned_is_not_hidden(self) -> None:
        """A recording that its meeting shows has series of its own, whatever its rank."""
        harness = Harness(max_recordings=2)
        harness.read_list(recording(Status.ERRORED, "failed"))
        harness.read_meeting(uploaded("shown", expires_at=NOW + DAY))
        harness.read_list(uploaded("hidden", expires_at=NOW + HOUR))
        assert ["shown", "failed"] == harness.ids
        assert 1 == harness.tracker.shown(oldest=NOW).totals.hidden

    def test_limit_of_memory(self, caplog: pytest.LogCaptureFixture) -> None:
        """Above 100,000 recordings those that ended longest ago are dropped, with one warning."""
        ended = [
            KnownRecording(
                meeting=MEETING,
                recording=uploaded(str(number), expires_at=NOW + 3 * DAY - number),
                read_at=NOW,
                outcome=Outcome.UPLOADED,
                has_details=True,
            )
            for number in range(99_999)
        ]
        harness = Harness(max_recordings=200_000, state=TrackerState(recordings=tuple(ended)))
        harness.read_meeting(recording(recording_id="a"), recording(recording_id="b"))
        for _ in range(2):
            harness.tracker.set_meetings(harness.meetings)
            shown = harness.ids
            assert (["a", "b"], 100_000) == (shown[:2], len(shown))
            assert 1 == harness.counters.dropped
        assert "99998" not in shown
        harness.read_list(uploaded("too-old", expires_at=NOW + HOUR))
        assert "too-old" not in harness.ids
        (record,) = caplog.records
        assert "too many recordings for one app" in record.getMessage()

    def test_log_of_hidden_recordings(self, caplog: pytest.LogCaptureFixture) -> None:
        """One warning says that recordings are hidden, and one message that they no longer are."""
        caplog.set_level(logging.INFO, logger="rk_exporter")
        harness = Harness(max_recordings=1)
        for number in range(3):
            harness.read_list(uploaded(str(number), expires_at=NOW + DAY * (number + 1)))
            assert 1 == len(harness.ids)
        ((level, _, fields),) = lines(caplog, "tracking.shown")
        assert ("WARNING", {"app": "app-1", "hidden": 1, "max_recordings": 1}) == (level, fields)
        elapse(harness, 20 * DAY)
        assert [] == harness.ids
        assert [logging.WARNING, logging.INFO] == [record.levelno for record in caplog.records]

"""The list of meetings, and what the API returned for them."""

from dataclasses import replace

from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Outcome, Recording, Status
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.meetings import TrackedMeetings
from tests.support.building import NOW
from tests.support.tracker import RULES


LOWER, UPPER = "2a95132c-1573-2412-d22c-16fd0a01e000", "2A95132C-1573-2412-D22C-16FD0A01E000"

ENDED = Recording(recording_id="r", status=Status.UPLOADED)


def meetings(*ids: str) -> list[Meeting]:
    return [Meeting(meeting_id, f"name of {meeting_id}") for meeting_id in ids]


def running(meeting: Meeting, *, missing_since: float | None = None) -> KnownRecording:
    recording = Recording(recording_id="r", status=Status.RECORDING)
    return KnownRecording(
        meeting=meeting, recording=recording, read_at=NOW, missing_since=missing_since
    )


def ended(meeting: Meeting) -> KnownRecording:
    return replace(running(meeting), outcome=Outcome.UPLOADED)


def test_before_the_first_list() -> None:
    """Before the first list no meeting is in it, and the first one adds none."""
    tracked = TrackedMeetings()
    (meeting,) = meetings("a")
    assert tracked.listed(meeting) is None
    assert not tracked.is_added(meeting)
    assert tracked.replace([meeting], now=NOW)
    assert meeting is tracked.listed(Meeting("a", "another name"))
    assert not tracked.is_added(meeting)


def test_other_lists() -> None:
    """A list with other meetings is new; only those that it adds count as added."""
    tracked = TrackedMeetings()
    a, b, c = meetings("a", "b", "c")
    answers = [tracked.replace(listed, now=NOW) for listed in ([a, b], [b, a], [b, c], [b, c], [b])]
    assert [True, False, True, False, True] == answers
    assert tracked.listed(a) is None
    assert tracked.replace([a, b], now=NOW)
    assert [True, False] == [tracked.is_added(meeting) for meeting in (a, b)]
    # Added since the last list, not since an earlier one.
    tracked.replace([b, a], now=NOW)
    assert not tracked.is_added(a)


def test_recordings_from_before() -> None:
    """A recording that stopped an hour before its meeting was added is from before."""
    tracked = TrackedMeetings()
    a, b, c = meetings("a", "b", "c")
    for number, listed in enumerate(([a], [a, b], [a, b, c], [a, b, c])):
        tracked.replace(listed, now=NOW + number * 60)
    times = (NOW - 3541, NOW - 3539, None)
    old, new, unknown = (replace(ENDED, stopped_timestamp_seconds=time) for time in times)
    assert tracked.is_from_before(b, old)
    assert not tracked.is_from_before(b, new)
    assert tracked.is_from_before(c, new)
    assert not tracked.is_from_before(a, old)
    assert not tracked.is_from_before(b, unknown)
    tracked.replace([a], now=NOW + 300)
    assert not tracked.is_from_before(b, old)


def test_spellings() -> None:
    """Another spelling of an id is the same meeting, but the list is new; it shows its spelling."""
    tracked = TrackedMeetings()
    lower, upper = meetings(LOWER, UPPER)
    tracked.replace([lower], now=NOW)
    tracked.observe_meeting(UPPER, ["r"])
    assert lower is tracked.listed(upper)
    assert tracked.replace([upper], now=NOW)
    assert upper is tracked.listed(lower)
    assert not tracked.is_added(lower)
    assert {"r"} == tracked.returned
    for unread in (LOWER, UPPER):
        tracked.observe_meeting(unread, [])
        assert set() == tracked.returned
        tracked.observe_meeting(LOWER, ["r"])


def test_recordings_without_their_meeting() -> None:
    """They stay if any meeting is followed; those in progress are missing since then or before."""
    tracked = TrackedMeetings()
    a, b = meetings("a", "b")
    tracked.replace([b], now=NOW)
    rules = replace(RULES, any_meeting=True)
    fresh, missing = running(a), running(a, missing_since=NOW - 60)
    assert replace(fresh, missing_since=NOW) == tracked.followed(fresh, rules, now=NOW)
    for same in (missing, ended(a)):
        assert same is tracked.followed(same, rules, now=NOW)
        assert tracked.followed(same, RULES, now=NOW) is None
    rules = replace(RULES, keep_removed=True)
    assert tracked.followed(missing, rules, now=NOW) is None
    assert (same := ended(a)) is tracked.followed(same, rules, now=NOW)


def test_recordings_of_listed_meetings() -> None:
    """A missing recording is missing no longer if its meeting was added; others stay the same."""
    tracked = TrackedMeetings()
    a, b = meetings("a", "b")
    tracked.replace([b], now=NOW)
    tracked.replace([a, b], now=NOW)
    elsewhere = Meeting("a", "a name from elsewhere")
    missing = running(elsewhere, missing_since=NOW)
    assert running(a) == tracked.followed(missing, RULES, now=NOW)
    for same in (running(elsewhere), ended(elsewhere), running(b, missing_since=NOW)):
        assert same is tracked.followed(same, RULES, now=NOW)
    tracked.replace([b, a], now=NOW)
    assert missing is tracked.followed(missing, RULES, now=NOW)


def test_recordings_of_a_meeting_of_another_spelling() -> None:
    """They get the spelling of the list, and are as missing as before."""
    tracked = TrackedMeetings()
    lower, upper = meetings(LOWER, UPPER)
    tracked.replace([lower], now=NOW)
    tracked.replace([upper], now=NOW)
    for missing_since in (None, NOW - 60):
        known = running(lower, missing_since=missing_since)
        expected = running(upper, missing_since=missing_since)
        assert expected == tracked.followed(known, RULES, now=NOW)


def test_what_was_returned() -> None:
    """The last reading of each meeting counts, until the meeting leaves the list."""
    tracked = TrackedMeetings()
    a, b = meetings("a", "b")
    tracked.replace([a, b], now=NOW)
    tracked.observe_meeting("a", ["1", "2"])
    tracked.observe_meeting("b", ["3"])
    tracked.observe_meeting("a", ["2", "4"])
    assert {"2", "3", "4"} == tracked.returned
    tracked.replace([b], now=NOW)
    assert {"3"} == tracked.returned
    tracked.observe_all()
    assert set() == tracked.returned

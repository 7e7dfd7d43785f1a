import logging
import math

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeAlias

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import (
    FAILURES,
    TERMINAL,
    Outcome,
    Recording,
    Status,
    StopReason,
)
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.tracking.counters import Histogram, RecordingCounters
from rk_exporter.tracking.lifecycle import FollowRules, KnownRecording
from rk_exporter.tracking.store import Tombstone
from rk_exporter.tracking.tracker import RecordingTracker
from rk_exporter.tracking.tracker_state import TrackerState
from tests.support.building import NOW, Time


MEETING = Meeting("meeting-1", "Daily")
OTHER = Meeting("meeting-2", "Weekly")
ID = "recording-1"
HOUR = 3600.0
DAY = 24 * HOUR
RULES = FollowRules(
    retain_seconds=DAY,
    max_recordings=1000,
    reread_seconds=6 * HOUR,
    keep_removed=False,
    longest_pause_seconds=225.0,
)


def recording(
    status: Status = Status.RECORDING, recording_id: str = ID, **fields: Any
) -> Recording:
    return Recording(recording_id=recording_id, status=status, **fields)


class Harness:
    """A tracker of one app, with the clocks and meetings that it uses."""

    def __init__(
        self,
        *meetings: Meeting,
        state: TrackerState | None = None,
        ahead: float = 0.0,
        is_listed: bool = True,
        **rules: Any,
    ) -> None:
        self.time = Time()
        self.server_clock = ServerClock(self.time)
        self.server_clock.offset_seconds = ahead
        self.rules = replace(RULES, **rules)
        self.meetings = meetings or (MEETING,)
        self.restart(state)
        if is_listed:
            self.tracker.is_listed_up_to(NOW)

    def restart(self, state: TrackerState | None) -> None:
        """Replace the tracker by one with the state of an earlier process."""
        self.tracker = RecordingTracker(
            "app-1",
            self.rules,
            clock=self.time,
            server_clock=self.server_clock,
            state=state,
        )
        self.tracker.set_meetings(self.meetings)

    @property
    def counters(self) -> RecordingCounters:
        return self.tracker.counters

    @property
    def shown(self) -> list[KnownRecording]:
        return list(self.tracker.shown(oldest=-math.inf).recordings)

    @property
    def ids(self) -> list[str]:
        return [known.recording_id for known in self.shown]

    @property
    def due(self) -> list[str]:
        return [known.recording_id for _, known in self.tracker.due(now=self.time.now)]

    def read_meeting(self, *recordings: Recording, after: float = 0.0) -> list[str]:
        """Read the first meeting after some seconds; return the missing ids."""
        self.time.now += after
        return self.tracker.observe_meeting(self.meetings[0], recordings)

    def observe_missing_twice(self, recording_id: str = ID) -> None:
        """Let two answers, a minute apart, say that a recording does not exist."""
        self.tracker.observe_missing(recording_id)
        self.time.now += 60
        self.tracker.observe_missing(recording_id)

    def read_list(
        self, *recordings: Recording, meeting: Meeting = MEETING, takes: float = 0.0
    ) -> None:
        """Read the app's list, in an answer that took some seconds."""
        for recording in recordings:
            self.tracker.observe_listed(meeting, recording, asked_at=self.time.now - takes)


Event: TypeAlias = Callable[[Harness, Recording], object]

READINGS: dict[str, Event] = {
    "meeting": lambda harness, read: harness.read_meeting(read),
    "list": lambda harness, read: harness.read_list(read),
    "list in progress": lambda harness, read: harness.tracker.observe_in_progress(
        [ListedRecording(MEETING, read)], is_complete=False
    ),
    "details": lambda harness, read: harness.tracker.observe_details(read),
}
OTHER_EVENTS: dict[str, Event] = {
    "not in its meeting": lambda harness, _: harness.read_meeting(),
    "not in progress": lambda harness, _: harness.tracker.observe_in_progress([], is_complete=True),
    "failure": lambda harness, _: harness.tracker.observe_failure(ID),
    "scrape": lambda harness, _: harness.tracker.set_meetings(harness.meetings),
}
EVICTIONS: dict[str, Event] = {
    "vanished": lambda harness, _: harness.observe_missing_twice(),
    "meeting removed": lambda harness, _: harness.tracker.set_meetings([]),
    "nine days of downtime": lambda harness, _: elapse(harness, 9 * DAY),
    "restart": lambda harness, _: harness.restart(harness.tracker.state),
}


def uploaded(recording_id: str, *, expires_at: float) -> Recording:
    return recording(
        Status.UPLOADED,
        recording_id,
        has_download_url=True,
        stopped_timestamp_seconds=expires_at - 7 * DAY,
        download_url_expiry_timestamp_seconds=expires_at,
    )


def elapse(harness: Harness, seconds: float) -> None:
    harness.time.now += seconds
    harness.tracker.set_meetings(harness.meetings)


MOMENTS = st.none() | st.integers(1, 100).map(lambda seconds: NOW + seconds)
RECORDINGS = st.builds(
    recording,
    st.sampled_from(Status),
    session_id=st.none() | st.sampled_from(["session-1", "session-2"]),
    invoked_timestamp_seconds=MOMENTS,
    started_timestamp_seconds=MOMENTS,
    stopped_timestamp_seconds=MOMENTS,
    file_size_bytes=st.none() | st.integers(0, 9).map(float),
    download_url_expiry_timestamp_seconds=st.none() | st.just(NOW + 7 * DAY),
    stop_reason=st.none() | st.sampled_from(StopReason),
)
Events: TypeAlias = list[tuple[str, Recording]]
STARTED = recording(started_timestamp_seconds=NOW + 1)


def events(names: Iterable[str]) -> st.SearchStrategy[Events]:
    return st.lists(st.tuples(st.sampled_from(sorted(names)), RECORDINGS), max_size=10)


def flat(counters: RecordingCounters) -> dict[str, float]:
    return {
        "started": counters.started,
        "dropped": counters.dropped,
        "start delays": sum(counters.start_delay.counts),
        "upload delays": sum(counters.upload_delay.counts),
        **{outcome.value: count for outcome, count in counters.finished.items()},
        **{f"{kind} seconds": seconds for kind, seconds in counters.recorded_seconds.items()},
        **{f"{kind} bytes": size for kind, size in counters.recorded_bytes.items()},
        **{
            f"{before} to {after}": count
            for before, onwards in counters.transitions.items()
            for after, count in onwards.items()
        },
    }


class TestCounts:
    """A recording counts once, whatever the readings are."""

    @pytest.mark.parametrize("is_listed", [False, True])
    @given(sequence=events([*READINGS, *OTHER_EVENTS]))
    def test_any_readings(self, sequence: Events, *, is_listed: bool) -> None:
        """
        A recording starts once, ends once, and counts each change between two readings.

        For an inherited recording the first reading counts nothing.
        """
        harness = Harness(is_listed=is_listed)
        read: list[Recording] = []
        for name, item in sequence:
            harness.time.now += 1
            if name in READINGS and (read or name != "details"):
                read.append(item)
            (READINGS | OTHER_EVENTS)[name](harness, item)
        uncounted = 0 if is_listed else 1
        starts = [item.started_timestamp_seconds for item in read]
        has_started = any(starts) and not any(starts[:uncounted])
        assert int(has_started) == harness.counters.started
        ends = [item.status for item in read if item.status in TERMINAL][:1]
        counted = [] if read[:uncounted] and read[0].status in TERMINAL else ends
        finished = harness.counters.finished
        assert counted.count(Status.UPLOADED) == finished[Outcome.UPLOADED]
        assert counted.count(Status.ERRORED) == sum(finished[outcome] for outcome in FAILURES)
        assert finished[Outcome.VANISHED] == 0
        steps = [(one.status, other.status) for one, other in pairwise(read)]
        moved = {
            (before, after): count
            for before, onwards in harness.counters.transitions.items()
            for after, count in onwards.items()
        }
        assert Counter(step for step in steps if step[0] is not step[1]) == Counter(moved)

    @given(events([*READINGS, *OTHER_EVENTS, *EVICTIONS]))
    # It vanished, or its meeting was removed for a while; one reading lacks its start.
    @example([("meeting", STARTED), ("vanished", STARTED), ("meeting", recording()),
              ("meeting", STARTED)])  # fmt: skip
    @example([("meeting", STARTED), ("meeting removed", STARTED), ("scrape", STARTED),
              ("list", recording()), ("details", STARTED)])  # fmt: skip
    def test_evictions(self, sequence: Events) -> None:
        """A recording counts once, even if it is evicted, comes back, or the process restarts."""
        harness = Harness()
        before = flat(harness.counters)
        for name, item in sequence:
            harness.time.now += 1
            (READINGS | OTHER_EVENTS | EVICTIONS)[name](harness, item)
            after = flat(harness.counters)
            assert all(after[key] >= count for key, count in before.items())
            before = after
        assert harness.counters.started <= 1
        assert sum(harness.counters.finished.values()) <= 1
        assert sum(harness.counters.start_delay.counts) <= 1
        assert sum(harness.counters.upload_delay.counts) <= 1
        # Each reading has another size, so a size that counts twice exceeds all of them.
        sizes = [item.file_size_bytes or 0.0 for _, item in sequence]
        assert sum(harness.counters.recorded_bytes.values()) in {0.0, *sizes}

    @pytest.mark.parametrize(
        ("first", "started", "finished"),
        [
            pytest.param(recording(Status.INVOKED), 1, 1, id="invoked"),
            pytest.param(STARTED, 0, 1, id="started"),
            pytest.param(replace(STARTED, status=Status.ERRORED), 0, 0, id="ended"),
        ],
    )
    @pytest.mark.parametrize("is_listed", [False, True])
    def test_inherited(
        self, first: Recording, started: int, finished: int, *, is_listed: bool
    ) -> None:
        """Only later events of an inherited recording count."""
        harness = Harness(is_listed=is_listed)
        first = replace(first, invoked_timestamp_seconds=NOW)
        harness.read_list(first)
        harness.tracker.is_listed_up_to(NOW)
        ended = replace(STARTED, status=Status.ERRORED, invoked_timestamp_seconds=NOW)
        harness.read_meeting(ended, after=15)
        assert started == harness.counters.started
        assert finished == harness.counters.finished[Outcome.ERRORED]

    @pytest.mark.parametrize("invoked_at", [None, NOW + 0.5])
    def test_not_inherited(self, invoked_at: float | None) -> None:
        """A recording counts if it started after the list was first read, even if it has ended."""
        harness = Harness()
        harness.time.now += 90
        harness.tracker.is_listed_up_to(NOW + 60)
        harness.read_list(
            recording(
                Status.UPLOADED,
                invoked_timestamp_seconds=invoked_at,
                started_timestamp_seconds=NOW + 2,
                stopped_timestamp_seconds=NOW + 80,
            )
        )
        assert 1 == harness.counters.started == harness.counters.finished[Outcome.UPLOADED]
        assert (invoked_at and 1.5) == (harness.counters.start_delay.total or None)
        assert 10 == harness.counters.upload_delay.total

    @pytest.mark.parametrize(("invoked_at", "expected"), [(NOW + 59, 0), (NOW + 61, 1)])
    def test_without_a_list(self, invoked_at: float, expected: int) -> None:
        """Without a list, recordings invoked until now by the API's clock are inherited."""
        harness = Harness(is_listed=False, ahead=60)
        harness.tracker.begin_unlisted()
        harness.read_meeting(
            recording(Status.ERRORED, invoked_timestamp_seconds=invoked_at), after=15
        )
        assert expected == harness.counters.finished[Outcome.ERRORED]

    @pytest.mark.parametrize(("invoked_at", "expected"), [(NOW - 1, 0), (NOW + 1, 1)])
    def test_between_two_processes(self, invoked_at: float, expected: int) -> None:
        """After a restart, recordings invoked after the last reading of the list count."""
        harness = Harness()
        harness.restart(harness.tracker.state)
        harness.time.now += HOUR
        harness.read_list(recording(Status.ERRORED, invoked_timestamp_seconds=invoked_at))
        assert expected == harness.counters.finished[Outcome.ERRORED]

    def test_delays_use_the_api_clock(self) -> None:
        """The API's clock measures an upload, because it wrote the stop time."""
        harness = Harness(ahead=-300.0)
        harness.read_meeting(recording(Status.UPLOADING))
        harness.read_meeting(
            recording(Status.UPLOADED, stopped_timestamp_seconds=NOW - 300), after=20
        )
        assert 20 == harness.counters.upload_delay.total

    def test_listed_until_never_decreases(self) -> None:
        """Deleting the newest recordings does not set the list back."""
        harness = Harness()
        harness.tracker.is_listed_up_to(NOW - HOUR)
        assert NOW == harness.tracker.state.listed_until

    def test_a_recording_from_the_future(self) -> None:
        """An invocation time in the far future does not make later recordings inherited."""
        harness = Harness(is_listed=False)
        harness.tracker.is_listed_up_to(NOW + 3650 * DAY)
        harness.restart(harness.tracker.state)
        harness.read_meeting(
            recording(Status.ERRORED, invoked_timestamp_seconds=NOW + 20), after=30
        )
        assert 1 == harness.counters.finished[Outcome.ERRORED]

    def test_other_buckets(self) -> None:
        """A histogram with the buckets of another version starts at 0."""
        odd = RecordingCounters(started=3, start_delay=Histogram((1.0,), (2, 1), 5.0))
        harness = Harness(state=TrackerState(counters=odd))
        assert RecordingCounters(started=3) == harness.counters


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
        assert harness.tracker.due_one(ID, now=harness.time.now) is None
        assert [ID] == harness.read_meeting(after=15)
        assert ID == getattr(
            harness.tracker.due_one(ID, now=harness.time.now), "recording_id", None
        )

    def test_hints(self) -> None:
        """An event makes a recording due that its meeting has stopped showing, and no other."""
        harness = Harness()
        harness.read_meeting(recording())

        def is_due(*, is_hinted: bool) -> bool:
            now = harness.time.now
            return harness.tracker.due_one(ID, now=now, is_hinted=is_hinted) is not None

        assert [False, False] == [is_due(is_hinted=False), is_due(is_hinted=True)]
        harness.read_meeting(after=15)
        harness.tracker.observe_details(recording(Status.UPLOADING))
        assert [False, True] == [is_due(is_hinted=False), is_due(is_hinted=True)]

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
        [(4.0, Status.UPLOADED), (6.0, Status.RECORDING), (HOUR, Status.UPLOADED)],
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
        records = [record for record in caplog.records if "no longer exists" in record.message]
        assert [("app-1", "meeting-1", ID)] == [
            (vars(record)["app"], vars(record)["meeting_id"], vars(record)["recording_id"])
            for record in records
        ]

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
        messages = [record.message for record in caplog.records]
        assert ["impossible status change of a recording"] * warnings == messages
        for record in caplog.records:
            before, after = (record.__dict__[name] for name in ("before", "after"))
            assert (before, after) in pairwise(statuses)
            assert (ID, "meeting-1", "app-1") == tuple(
                record.__dict__[name] for name in ("recording_id", "meeting_id", "app")
            )

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


class TestFollowing:
    """Recordings that are read by their ids until their final state is known."""

    @pytest.mark.parametrize("ahead", [-1.5 * HOUR, -60.0, 0.0, 60.0, 1.5 * HOUR])
    @pytest.mark.parametrize("is_refreshed", [False, True])
    def test_finished(self, ahead: float, *, is_refreshed: bool) -> None:
        """
        A finished recording is read for its details, and again a day before its URL expires.

        It is evicted a day after the URL expires by the API's clock, not by this machine's.
        """
        harness = Harness(ahead=ahead)
        expires_at = NOW + 3 * DAY
        read_at: list[float] = []
        harness.read_meeting(recording(Status.UPLOADING))
        harness.read_meeting(
            recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=expires_at), after=600
        )
        while harness.ids and len(read_at) < 9:
            for _ in harness.due:
                if is_refreshed and len(read_at) == 1:
                    expires_at += 4 * DAY
                read_at.append(harness.time.now)
                harness.tracker.observe_details(
                    recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=expires_at)
                )
            elapse(harness, 600)
        days = [2, 6] if is_refreshed else [2]
        assert [NOW + 600, *(NOW + day * DAY for day in days)] == pytest.approx(
            read_at, abs=abs(ahead) + 600
        )
        assert 0 <= harness.server_clock() - expires_at - DAY <= 600

    def test_expiry_in_the_list(self) -> None:
        """An item of the list less than a day before the expiry saves that reading."""
        harness = Harness()
        uploaded = recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=NOW + 3 * DAY)
        harness.read_meeting(uploaded)
        harness.tracker.observe_details(uploaded)
        harness.time.now = NOW + 2 * DAY - 1
        harness.read_list(uploaded)
        assert [] == harness.due
        harness.time.now += 1
        assert [ID] == harness.due
        harness.read_list(uploaded)
        assert [] == harness.due

    def test_without_a_url(self) -> None:
        """A recording without a URL is read once, and evicted after the retention time."""
        harness = Harness()
        failed = recording(Status.ERRORED, stopped_timestamp_seconds=NOW - HOUR)
        harness.read_list(failed)
        assert [ID] == harness.due
        harness.tracker.observe_details(failed)
        elapse(harness, 23 * HOUR - 1)
        assert ([ID], []) == (harness.ids, harness.due)
        elapse(harness, 1)
        assert [] == harness.ids

    def test_expired_at_first(self) -> None:
        """A recording of the list that expired more than a day ago is not tracked."""
        harness = Harness()
        for days in (1, 2555):
            harness.read_list(uploaded(str(days), expires_at=NOW - days * DAY))
        assert [] == harness.ids
        assert not any(harness.counters.finished.values())

    def test_expired_but_returned(self) -> None:
        """A recording that the API returns is shown, even if its URL expired years ago."""
        harness = Harness()
        sample = recording(
            Status.UPLOADED,
            invoked_timestamp_seconds=NOW - 2562 * DAY,
            download_url_expiry_timestamp_seconds=NOW - 2555 * DAY,
        )
        for _ in range(3):
            harness.read_meeting(sample, after=15)
            harness.tracker.set_meetings(harness.meetings)
            assert [ID] == harness.ids
        harness.read_meeting(after=15)
        harness.tracker.set_meetings(harness.meetings)
        assert [] == harness.ids
        assert not any(harness.counters.finished.values())

    def test_returned_but_not_read_again(self) -> None:
        """A meeting that cannot be read for a day does not keep expired recordings."""
        harness = Harness()
        harness.read_meeting(uploaded(ID, expires_at=NOW - 10 * DAY))
        elapse(harness, DAY - 1)
        assert [ID] == harness.ids
        elapse(harness, 1)
        assert [] == harness.ids

    def test_expired(self) -> None:
        """An expired recording is shown for a day, and it is not read in that day."""
        harness = Harness()
        ended = uploaded(ID, expires_at=NOW + 60)
        harness.read_list(ended)
        harness.tracker.observe_details(ended)
        totals = harness.tracker.shown(oldest=NOW).totals
        assert ({"1h": 1, "24h": 1, "72h": 1}, NOW + 60) == (
            totals.expiring,
            totals.earliest_expiry_timestamp_seconds,
        )
        for after in (60, DAY - 1):
            elapse(harness, after)
            assert ([ID], []) == (harness.ids, harness.due)
            totals = harness.tracker.shown(oldest=NOW).totals
            assert (0, None) == (totals.expiring["72h"], totals.earliest_expiry_timestamp_seconds)
            assert 1 == totals.by_status[Status.UPLOADED]
        elapse(harness, 1)
        assert [] == harness.ids

    def test_failures(self) -> None:
        """Failed readings are repeated after 15 s, then twice as long, up to an hour."""
        harness = Harness()
        harness.read_meeting(recording(Status.UPLOADED))
        for pause in [15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]:
            assert [ID] == harness.due
            harness.tracker.observe_failure(ID)
            harness.time.now += pause - 0.01
            assert [] == harness.due
            assert harness.tracker.due_one(ID, now=harness.time.now) is None
            harness.time.now += 0.01

    def test_failures_of_a_listed_recording(self) -> None:
        """The list does not shorten the back-off of a recording's own endpoint."""
        harness = Harness()
        harness.read_meeting(recording(Status.UPLOADED))
        calls = 0
        for scrape in range(240):
            if harness.due:
                calls += 1
                harness.tracker.observe_failure(ID)
            if scrape % 4 == 0:
                harness.read_list(recording(Status.UPLOADED))
            elapse(harness, 15)
        # After 0, 15, 45, 105, 225, 465, 945 and 1905 s.
        assert 8 == calls

    def test_success_after_failures(self) -> None:
        """A success ends the back-off."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.read_meeting(after=15)
        for _ in range(9):
            harness.tracker.observe_failure(ID)
        harness.tracker.observe_details(recording())
        harness.time.now += 10
        assert [ID] == harness.due

    @pytest.mark.parametrize("again", ["details", "meeting", "meeting listed again"])
    def test_failures_end(self, again: str) -> None:
        """After any success a recording that is missing again is due immediately."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.read_meeting(after=15)
        for _ in range(9):
            harness.tracker.observe_failure(ID)
        match again:
            case "details":
                harness.tracker.observe_details(recording())
            case "meeting listed again":
                harness.tracker.set_meetings([])
                harness.tracker.set_meetings(harness.meetings)
        harness.read_meeting(recording(), after=15)
        assert [ID] == harness.read_meeting(after=15)
        assert [ID] == harness.due

    @pytest.mark.parametrize("is_failing", [False, True])
    def test_a_clock_that_is_set_back(self, *, is_failing: bool) -> None:
        """After the clock was set back by an hour, readings do not wait for an hour."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.read_meeting(after=15)
        if is_failing:
            harness.tracker.observe_failure(ID)
        harness.time.now -= HOUR
        read_at = []
        for _ in range(20):
            if harness.due:
                read_at.append(harness.time.now)
                harness.tracker.observe_details(recording())
            harness.time.now += 15
        assert len(read_at) >= 3


class TestKept:
    """Which recordings stay when the list of meetings changes."""

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
            assert ["a", "b"] == harness.ids[:2]
            assert 1 == harness.counters.dropped
        assert "99998" not in harness.ids
        assert 100_000 == len(harness.ids)
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
        assert [logging.WARNING] == [record.levelno for record in caplog.records]
        assert (1, 1) == (caplog.records[0].hidden, caplog.records[0].max_recordings)  # type: ignore[attr-defined] # fields
        elapse(harness, 20 * DAY)
        assert [] == harness.ids
        assert [logging.WARNING, logging.INFO] == [record.levelno for record in caplog.records]


class TestChange:
    """The tracker goes on with other rules after a reload."""

    def change(self, harness: Harness, app: str = "app-1", **rules: Any) -> None:
        """Give other rules, and then the meetings as before."""
        harness.tracker.change(app, replace(harness.rules, **rules))
        harness.tracker.set_meetings(harness.meetings)

    @pytest.mark.parametrize(("before", "after", "expected"), [(1, 30, [ID]), (30, 9, [])])
    def test_retention(self, before: int, after: int, expected: list[str]) -> None:
        """A recording that was known before is shown for as long as the new rules say."""
        harness = Harness(retain_seconds=before * DAY)
        harness.read_list(uploaded(ID, expires_at=NOW + 6 * DAY))
        assert [ID] == harness.ids
        self.change(harness, retain_seconds=after * DAY)
        elapse(harness, 10 * DAY)
        assert expected == harness.ids

    @pytest.mark.parametrize("keeps", [True, False])
    def test_removed_meeting(self, keeps: bool) -> None:  # noqa: FBT001 # a parameter
        """Recordings of a meeting that is not listed follow the new rule immediately."""
        harness = Harness(keep_removed=not keeps)
        harness.read_list(uploaded(ID, expires_at=NOW + HOUR))
        harness.tracker.change("app-1", replace(harness.rules, keep_removed=keeps))
        harness.tracker.set_meetings([OTHER])
        assert ([ID] if keeps else []) == harness.ids

    def test_rules_alone(self) -> None:
        """New rules evict at the next list of meetings, even if that is the same."""
        harness = Harness(MEETING, keep_removed=True)
        harness.read_list(uploaded(ID, expires_at=NOW + HOUR))
        harness.meetings = (OTHER,)
        harness.tracker.set_meetings(harness.meetings)
        assert [ID] == harness.ids
        self.change(harness, keep_removed=False)
        assert [] == harness.ids

    def test_most_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        """The new limit is shown and logged, under the new name of the app."""
        harness = Harness(max_recordings=5)
        for number in range(3):
            harness.read_list(uploaded(str(number), expires_at=NOW + DAY * (number + 1)))
        assert 3 == len(harness.ids)
        self.change(harness, "renamed", max_recordings=1)
        assert 1 == len(harness.ids)
        (record,) = caplog.records
        assert ("renamed", 2, 1) == (record.app, record.hidden, record.max_recordings)  # type: ignore[attr-defined] # fields
        assert 1 == harness.tracker.rules.max_recordings

    def test_new_name_alone(self, caplog: pytest.LogCaptureFixture) -> None:
        """Messages name the app as it is called now."""
        harness = Harness()
        harness.read_meeting(recording())
        self.change(harness, "renamed")
        harness.observe_missing_twice()
        (record,) = caplog.records
        assert "renamed" == record.__dict__["app"]

    def test_no_change(self, caplog: pytest.LogCaptureFixture) -> None:
        """The same rules do not repeat the warning about hidden recordings."""
        harness = Harness(max_recordings=1)
        for number in range(2):
            harness.read_list(uploaded(str(number), expires_at=NOW + DAY * (number + 1)))
        for _ in range(2):
            assert 1 == len(harness.ids)
            self.change(harness)
        assert 1 == len(caplog.records)

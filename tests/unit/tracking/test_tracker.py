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
from rk_exporter.model.recording import OUTCOME_OF, Outcome, Recording, Status, StopReason
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.tracking.counters import Histogram, RecordingCounters
from rk_exporter.tracking.lifecycle import FollowRules, KnownRecording
from rk_exporter.tracking.store import Tombstone
from rk_exporter.tracking.tracker import RecordingTracker, TrackerState
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


class Watch:
    """A history of an app, and the clocks that it goes by."""

    def __init__(
        self,
        *meetings: Meeting,
        past: TrackerState | None = None,
        ahead: float = 0.0,
        is_listed: bool = True,
        **rules: Any,
    ) -> None:
        self.time = Time()
        self.server_clock = ServerClock(self.time)
        self.server_clock.offset_seconds = ahead
        self.rules = replace(RULES, **rules)
        self.meetings = meetings or (MEETING,)
        self.restart(past)
        if is_listed:
            self.tracker.is_listed_up_to(NOW)

    def restart(self, past: TrackerState | None) -> None:
        """Begin with what a process before this one knew."""
        self.tracker = RecordingTracker(
            "app-1",
            self.rules,
            clock=self.time,
            server_clock=self.server_clock,
            state=past,
        )
        self.tracker.keep(self.meetings)

    @property
    def counters(self) -> RecordingCounters:
        return self.tracker.counters

    @property
    def shown(self) -> list[KnownRecording]:
        return list(self.tracker.shown(oldest=-math.inf))

    @property
    def ids(self) -> list[str]:
        return [each.recording_id for each in self.shown]

    @property
    def due(self) -> list[str]:
        return [each.recording_id for _, each in self.tracker.due(now=self.time.now)]

    def see(self, *recordings: Recording, after: float = 0.0) -> list[str]:
        """Read what the first meeting shows, after so many seconds."""
        self.time.now += after
        return self.tracker.observe_meeting(self.meetings[0], recordings)

    def list(self, *recordings: Recording, meeting: Meeting = MEETING, takes: float = 0.0) -> None:
        """Look at the app's list, which was asked for so long ago."""
        for each in recordings:
            self.tracker.observe_listed(meeting, each, asked_at=self.time.now - takes)


# What of a recording is seen, and how.
Sighting: TypeAlias = Callable[[Watch, Recording], object]

SIGHTINGS: dict[str, Sighting] = {
    "its meeting": lambda watch, each: watch.see(each),
    "the list": lambda watch, each: watch.list(each),
    "those in progress": lambda watch, each: watch.tracker.observe_in_progress(
        [ListedRecording(MEETING, each)], is_complete=False
    ),
    "itself": lambda watch, each: watch.tracker.observe_details(each),
}
ELSEWHERE: dict[str, Sighting] = {
    "its meeting, without it": lambda watch, _: watch.see(),
    "all in progress, without it": lambda watch, _: watch.tracker.observe_in_progress(
        [], is_complete=True
    ),
    "nowhere": lambda watch, _: watch.tracker.observe_failure(ID),
    "a scrape": lambda watch, _: watch.tracker.keep(watch.meetings),
}
LEAVING: dict[str, Sighting] = {
    "vanished": lambda watch, _: watch.tracker.observe_missing(ID),
    "its meeting removed": lambda watch, _: watch.tracker.keep([]),
    "a week of downtime": lambda watch, _: elapse(watch, 7 * DAY),
    "a restart": lambda watch, _: watch.restart(watch.tracker.state),
}


def elapse(watch: Watch, seconds: float) -> None:
    watch.time.now += seconds
    watch.tracker.keep(watch.meetings)


MOMENTS = st.none() | st.integers(1, 100).map(lambda seconds: NOW + seconds)
RECORDINGS = st.builds(
    recording,
    st.sampled_from(Status),
    session_id=st.none() | st.sampled_from(["session-1", "session-2"]),
    invoked_timestamp_seconds=MOMENTS,
    started_timestamp_seconds=MOMENTS,
    stopped_timestamp_seconds=MOMENTS,
    download_url_expiry_timestamp_seconds=st.none() | st.just(NOW + 7 * DAY),
    stop_reason=st.none() | st.sampled_from(StopReason),
)
Seen: TypeAlias = list[tuple[str, Recording]]
STARTED = recording(started_timestamp_seconds=NOW + 1)


def seen_at(places: Iterable[str]) -> st.SearchStrategy[Seen]:
    return st.lists(st.tuples(st.sampled_from(sorted(places)), RECORDINGS), max_size=10)


def counters(counters: RecordingCounters) -> dict[str, float]:
    return {
        "started": counters.started,
        "dropped": counters.dropped,
        "start delays": sum(counters.start_delay.counts),
        "upload delays": sum(counters.upload_delay.counts),
        **{outcome.value: count for outcome, count in counters.finished.items()},
        **{
            f"{before} to {after}": count
            for before, onwards in counters.transitions.items()
            for after, count in onwards.items()
        },
    }


class TestCounts:
    """Whatever is read of a recording, it is counted once."""

    @pytest.mark.parametrize("is_listed", [False, True])
    @given(sightings=seen_at([*SIGHTINGS, *ELSEWHERE]))
    def test_of_one_that_is_followed(self, sightings: Seen, *, is_listed: bool) -> None:
        """
        A recording starts once and ends once, and moves from each state it was read in to the next.

        What was so at the first sight does not count for one that was there before.
        """
        watch = Watch(is_listed=is_listed)
        read: list[Recording] = []
        for place, each in sightings:
            watch.time.now += 1
            if place in SIGHTINGS and (read or place != "itself"):
                read.append(each)
            (SIGHTINGS | ELSEWHERE)[place](watch, each)
        from_before = 0 if is_listed else 1
        starts = [each.started_timestamp_seconds for each in read]
        has_started = any(starts) and not any(starts[:from_before])
        assert int(has_started) == watch.counters.started
        ends = [OUTCOME_OF.get(each.status) for each in read]
        counted = [] if any(ends[:from_before]) else [each for each in ends if each][:1]
        assert Counter(counted) == Counter(watch.counters.finished)
        steps = [(one.status, other.status) for one, other in pairwise(read)]
        moved = {
            (before, after): count
            for before, onwards in watch.counters.transitions.items()
            for after, count in onwards.items()
        }
        assert Counter(each for each in steps if each[0] is not each[1]) == Counter(moved)

    @given(seen_at([*SIGHTINGS, *ELSEWHERE, *LEAVING]))
    # It vanished, or its meeting was gone for a while; a reading leaves out its start.
    @example([("its meeting", STARTED), ("vanished", STARTED), ("its meeting", recording()),
              ("its meeting", STARTED)])  # fmt: skip
    @example([("its meeting", STARTED), ("its meeting removed", STARTED), ("a scrape", STARTED),
              ("the list", recording()), ("itself", STARTED)])  # fmt: skip
    def test_of_one_that_leaves(self, sightings: Seen) -> None:
        """It may leave, come back, and be seen by another process: it is counted once at most."""
        watch = Watch()
        before = counters(watch.counters)
        for place, each in sightings:
            watch.time.now += 1
            (SIGHTINGS | ELSEWHERE | LEAVING)[place](watch, each)
            after = counters(watch.counters)
            assert all(after[key] >= count for key, count in before.items())
            before = after
        assert watch.counters.started <= 1
        assert sum(watch.counters.finished.values()) <= 1
        assert sum(watch.counters.start_delay.counts) <= 1
        assert sum(watch.counters.upload_delay.counts) <= 1

    @pytest.mark.parametrize(
        ("first", "started", "finished"),
        [
            pytest.param(recording(Status.INVOKED), 1, 1, id="invoked"),
            pytest.param(STARTED, 0, 1, id="started"),
            pytest.param(replace(STARTED, status=Status.ERRORED), 0, 0, id="ended"),
        ],
    )
    @pytest.mark.parametrize("is_listed", [False, True])
    def test_from_before_the_start(
        self, first: Recording, started: int, finished: int, *, is_listed: bool
    ) -> None:
        """What had happened to a recording of before is not counted, what happens later is."""
        watch = Watch(is_listed=is_listed)
        first = replace(first, invoked_timestamp_seconds=NOW)
        watch.list(first)
        watch.tracker.is_listed_up_to(NOW)
        ended = replace(STARTED, status=Status.ERRORED, invoked_timestamp_seconds=NOW)
        watch.see(ended, after=15)
        assert started == watch.counters.started
        assert finished == watch.counters.finished[Outcome.ERRORED]

    @pytest.mark.parametrize("invoked_at", [None, NOW + 0.5])
    def test_from_after_the_start(self, invoked_at: float | None) -> None:
        """What was not there when the list was read first is counted, though it came and went."""
        watch = Watch()
        watch.time.now += 90
        watch.tracker.is_listed_up_to(NOW + 60)
        watch.list(
            recording(
                Status.UPLOADED,
                invoked_timestamp_seconds=invoked_at,
                started_timestamp_seconds=NOW + 2,
                stopped_timestamp_seconds=NOW + 80,
            )
        )
        assert 1 == watch.counters.started == watch.counters.finished[Outcome.UPLOADED]
        assert (invoked_at and 1.5) == (watch.counters.start_delay.total or None)
        assert 10 == watch.counters.upload_delay.total

    @pytest.mark.parametrize(("invoked_at", "expected"), [(NOW + 59, 0), (NOW + 61, 1)])
    def test_without_a_list(self, invoked_at: float, expected: int) -> None:
        """Where the list cannot be read, what was asked for until now by the API's clock is old."""
        watch = Watch(is_listed=False, ahead=60)
        watch.tracker.begin_unlisted()
        watch.see(recording(Status.ERRORED, invoked_timestamp_seconds=invoked_at), after=15)
        assert expected == watch.counters.finished[Outcome.ERRORED]

    @pytest.mark.parametrize(("invoked_at", "expected"), [(NOW - 1, 0), (NOW + 1, 1)])
    def test_between_two_processes(self, invoked_at: float, expected: int) -> None:
        """With what a process before knew, what happened after it had looked is counted."""
        watch = Watch()
        watch.restart(watch.tracker.state)
        watch.time.now += HOUR
        watch.list(recording(Status.ERRORED, invoked_timestamp_seconds=invoked_at))
        assert expected == watch.counters.finished[Outcome.ERRORED]

    def test_delays_go_by_the_clock_of_the_api(self) -> None:
        """How long an upload took is told by the clock that wrote when the recording stopped."""
        watch = Watch(ahead=-300.0)
        watch.see(recording(Status.UPLOADING))
        watch.see(recording(Status.UPLOADED, stopped_timestamp_seconds=NOW - 300), after=20)
        assert 20 == watch.counters.upload_delay.total

    def test_the_list_is_read_to_where_it_was(self) -> None:
        """A list whose newest recordings were deleted takes nothing back."""
        watch = Watch()
        watch.tracker.is_listed_up_to(NOW - HOUR)
        assert NOW == watch.tracker.listed_until

    def test_a_recording_from_the_future(self) -> None:
        """A time that lies years ahead does not have all later recordings taken for old ones."""
        watch = Watch(is_listed=False)
        watch.tracker.is_listed_up_to(NOW + 3650 * DAY)
        watch.restart(watch.tracker.state)
        watch.see(recording(Status.ERRORED, invoked_timestamp_seconds=NOW + 20), after=30)
        assert 1 == watch.counters.finished[Outcome.ERRORED]

    def test_other_bounds(self) -> None:
        """A histogram of a version with other bounds begins anew."""
        odd = RecordingCounters(started=3, start_delay=Histogram((1.0,), (2, 1), 5.0))
        watch = Watch(past=TrackerState(counters=odd))
        assert RecordingCounters(started=3) == watch.counters


class TestReadings:
    """What readings tell."""

    def test_gone(self) -> None:
        """What its meeting no longer shows is told once, and is due at once."""
        watch = Watch()
        assert [] == watch.see(recording())
        assert [ID] == watch.see(after=15)
        assert [ID] == watch.due
        assert [] == watch.see(after=1)

    def test_shown_again(self) -> None:
        """What its meeting shows again is no longer to be read by its id."""
        watch = Watch()
        watch.see(recording())
        watch.see(after=15)
        watch.see(recording(), after=15)
        assert [] == watch.due
        assert watch.tracker.due_one(ID, now=watch.time.now) is None
        assert [ID] == watch.see(after=15)
        assert ID == getattr(watch.tracker.due_one(ID, now=watch.time.now), "recording_id", None)

    def test_of_another_meeting(self) -> None:
        """A meeting tells nothing of the recordings of others."""
        watch = Watch(MEETING, OTHER)
        watch.list(recording(recording_id="other"), meeting=OTHER)
        assert [] == watch.see()

    def test_a_list_of_those_in_progress(self) -> None:
        """What is not in a list of all in progress is gone; half of a list tells nothing."""
        watch = Watch(MEETING, OTHER)
        both = [
            ListedRecording(MEETING, recording()),
            ListedRecording(OTHER, recording(recording_id="other")),
        ]
        assert [] == watch.tracker.observe_in_progress(both, is_complete=True)
        watch.time.now += 15
        assert [] == watch.tracker.observe_in_progress(both[:1], is_complete=False)
        assert ["other"] == watch.tracker.observe_in_progress(both[:1], is_complete=True)
        assert ["other"] == watch.due

    def test_the_list_does_not_show_what_goes_on(self) -> None:
        """A recording that its meeting has lost is followed, though the list has it in progress."""
        watch = Watch()
        watch.see(recording())
        watch.see(after=15)
        watch.list(recording())
        watch.time.now += 10
        assert [ID] == watch.due

    @pytest.mark.parametrize(
        ("shown_after", "expected"),
        [(4.0, Status.UPLOADED), (6.0, Status.RECORDING), (HOUR, Status.UPLOADED)],
    )
    def test_a_list_that_takes_long(self, shown_after: float, expected: Status) -> None:
        """
        What the list shows is older than a reading that was made since that was asked for.

        Not so, where the clock was set back since that reading.
        """
        watch = Watch()
        watch.see(recording(), after=shown_after)
        watch.time.now = NOW + 10
        watch.list(recording(Status.UPLOADED), takes=5)
        assert [expected] == [each.recording.status for each in watch.shown]

    def test_under_way(self) -> None:
        """It is told in which states a meeting shows recordings, though others have told that."""
        watch = Watch(MEETING, OTHER)
        watch.see(recording(), recording(Status.ERRORED, "ended"), recording(recording_id="gone"))
        watch.see(recording(), after=15)
        watch.list(recording(Status.PAUSED, "b"), recording(recording_id="c"))
        watch.list(recording(Status.ERRORED, "d"), meeting=OTHER)
        assert {"meeting-1": {Status.RECORDING, Status.PAUSED}} == watch.tracker.in_progress()

    def test_finished(self) -> None:
        """A recording that its meeting shows to have ended is not missed when that stops."""
        watch = Watch()
        watch.see(recording(Status.UPLOADED))
        assert [] == watch.see(after=15)

    def test_details_of_what_is_not_known(self) -> None:
        """An answer about a recording that has left meanwhile tells nothing."""
        watch = Watch()
        watch.see(recording())
        watch.tracker.keep([])
        watch.tracker.observe_details(recording(Status.UPLOADED))
        watch.tracker.observe_missing(ID)
        assert [] == watch.ids
        assert not any(watch.counters.finished.values())

    def test_vanished(self, caplog: pytest.LogCaptureFixture) -> None:
        """What had not ended, and is not known to the API, has vanished: counted, and told."""
        watch = Watch()
        watch.see(recording())
        watch.tracker.observe_missing(ID)
        assert [] == watch.ids
        assert 1 == watch.counters.finished[Outcome.VANISHED]
        told = [each for each in caplog.records if "no longer exists" in each.message]
        assert [("app-1", "meeting-1", ID)] == [
            (vars(each)["app"], vars(each)["meeting_id"], vars(each)["recording_id"])
            for each in told
        ]

    def test_deleted(self) -> None:
        """A finished one that is not known to the API any more leaves, and counts as it ended."""
        watch = Watch()
        watch.see(recording(Status.UPLOADED))
        watch.tracker.observe_missing(ID)
        assert [] == watch.ids
        assert (1, 0) == (
            watch.counters.finished[Outcome.UPLOADED],
            watch.counters.finished[Outcome.VANISHED],
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
        """A state that cannot follow the one before it is logged."""
        watch = Watch()
        for status in statuses:
            watch.see(recording(status), after=15)
        told = [each.message for each in caplog.records if each.levelno == logging.WARNING]
        assert warnings == len(told)
        assert all("impossible status change of a recording" == each for each in told)

    def test_what_is_kept_for_the_next_process(self) -> None:
        """The next process knows all of it, and what is told does not change with what follows."""
        watch = Watch()
        watch.see(recording(), recording(recording_id="gone"))
        watch.see(recording(), after=15)
        watch.tracker.observe_missing("gone")
        past = watch.tracker.state
        assert [ID] == [each.recording_id for each in past.recordings]
        assert {"gone": Tombstone(Outcome.VANISHED)} == past.tombstones
        assert (1, NOW) == (past.counters.finished[Outcome.VANISHED], past.listed_until)
        watch.tracker.observe_missing(ID)
        assert ["gone"] == list(past.tombstones)
        watch.restart(past)
        assert past == watch.tracker.state

    def test_what_is_worth_to_be_kept(self) -> None:
        """A recording that is only read again is nothing new; a state that changed is."""
        watch = Watch()
        watch.see(recording())
        before = watch.tracker.revision
        watch.see(recording(), after=15)
        assert before == watch.tracker.revision
        watch.see(recording(Status.PAUSED), after=15)
        assert before < watch.tracker.revision

    def test_shown(self) -> None:
        """What goes on is shown while its last reading is young enough, what has ended longer."""
        watch = Watch()
        watch.see(recording(), recording(Status.UPLOADED, "ended"))
        assert {ID, "ended"} == {each.recording_id for each in watch.tracker.shown(oldest=NOW)}
        assert ["ended"] == [each.recording_id for each in watch.tracker.shown(oldest=NOW + 1)]


class TestFollowing:
    """Recordings that are read by their ids until nothing more will come of it."""

    @pytest.mark.parametrize("ahead", [-1.5 * HOUR, -60.0, 0.0, 60.0, 1.5 * HOUR])
    @pytest.mark.parametrize("is_refreshed", [False, True])
    def test_finished(self, ahead: float, *, is_refreshed: bool) -> None:
        """
        A finished one is read for its details, and again a day before its URL expires.

        It leaves when that has expired by the API's clock, whatever this machine's says.
        """
        watch = Watch(ahead=ahead)
        expires_at = NOW + 3 * DAY
        read_at: list[float] = []
        watch.see(recording(Status.UPLOADING))
        watch.see(
            recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=expires_at), after=600
        )
        while watch.ids and len(read_at) < 9:
            for _ in watch.due:
                if is_refreshed and len(read_at) == 1:
                    expires_at += 4 * DAY
                read_at.append(watch.time.now)
                watch.tracker.observe_details(
                    recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=expires_at)
                )
            elapse(watch, 600)
        days = [2, 6] if is_refreshed else [2]
        assert [NOW + 600, *(NOW + each * DAY for each in days)] == pytest.approx(
            read_at, abs=abs(ahead) + 600
        )
        assert expires_at <= watch.server_clock() <= expires_at + 600

    def test_the_list_tells_of_its_url(self) -> None:
        """What the list shows when a day of the URL is left is not asked for, as it was before."""
        watch = Watch()
        uploaded = recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=NOW + 3 * DAY)
        watch.see(uploaded)
        watch.tracker.observe_details(uploaded)
        watch.time.now = NOW + 2 * DAY - 1
        watch.list(uploaded)
        assert [] == watch.due
        watch.time.now += 1
        assert [ID] == watch.due
        watch.list(uploaded)
        assert [] == watch.due

    def test_without_a_url(self) -> None:
        """One without a URL is read once, and leaves when it was retained for long enough."""
        watch = Watch()
        failed = recording(Status.ERRORED, stopped_timestamp_seconds=NOW - HOUR)
        watch.see(failed)
        assert [ID] == watch.due
        watch.tracker.observe_details(failed)
        elapse(watch, 23 * HOUR - 1)
        assert ([ID], []) == (watch.ids, watch.due)
        elapse(watch, 1)
        assert [] == watch.ids

    def test_expired_at_the_first_sight(self) -> None:
        """What would have to leave at once is not taken in."""
        watch = Watch()
        watch.list(recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=NOW - 1))
        assert [] == watch.ids
        assert not any(watch.counters.finished.values())

    def test_failures(self) -> None:
        """What cannot be read is tried again after 15 s, then twice as long, up to an hour."""
        watch = Watch()
        watch.see(recording(Status.UPLOADED))
        for pause in [15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]:
            assert [ID] == watch.due
            watch.tracker.observe_failure(ID)
            watch.time.now += pause - 0.01
            assert [] == watch.due
            assert watch.tracker.due_one(ID, now=watch.time.now) is None
            watch.time.now += 0.01

    def test_failures_go_on(self) -> None:
        """That the list shows it does not have its own endpoint, which fails, asked more often."""
        watch = Watch()
        watch.see(recording(Status.UPLOADED))
        asked = 0
        for scrape in range(240):
            if watch.due:
                asked += 1
                watch.tracker.observe_failure(ID)
            if scrape % 4 == 0:
                watch.list(recording(Status.UPLOADED))
            elapse(watch, 15)
        # After 0, 15, 45, 105, 225, 465, 945 and 1905 s.
        assert 8 == asked

    def test_failures_are_over(self) -> None:
        """What could be read by its id after all is read as often as if that had never failed."""
        watch = Watch()
        watch.see(recording())
        watch.see(after=15)
        for _ in range(9):
            watch.tracker.observe_failure(ID)
        watch.tracker.observe_details(recording())
        watch.time.now += 10
        assert [ID] == watch.due

    @pytest.mark.parametrize("again", ["details", "its meeting", "its meeting listed again"])
    def test_failures_end(self, again: str) -> None:
        """What could be read after all is due as ever when it is gone the next time."""
        watch = Watch()
        watch.see(recording())
        watch.see(after=15)
        for _ in range(9):
            watch.tracker.observe_failure(ID)
        match again:
            case "details":
                watch.tracker.observe_details(recording())
            case "its meeting listed again":
                watch.tracker.keep([])
                watch.tracker.keep(watch.meetings)
        watch.see(recording(), after=15)
        assert [ID] == watch.see(after=15)
        assert [ID] == watch.due

    @pytest.mark.parametrize("is_failing", [False, True])
    def test_a_clock_that_is_set_back(self, *, is_failing: bool) -> None:
        """A clock that was an hour ahead puts off no reading by that hour."""
        watch = Watch()
        watch.see(recording())
        watch.see(after=15)
        if is_failing:
            watch.tracker.observe_failure(ID)
        watch.time.now -= HOUR
        read_at = []
        for _ in range(20):
            if watch.due:
                read_at.append(watch.time.now)
                watch.tracker.observe_details(recording())
            watch.time.now += 15
        assert len(read_at) >= 3


class TestKept:
    """What stays while meetings come and go."""

    def test_a_meeting_is_removed(self) -> None:
        """A meeting that is removed takes all of its recordings along, and no other's."""
        watch = Watch(MEETING, OTHER)
        watch.list(recording(), recording(Status.UPLOADED, "ended"), recording(Status.ERRORED, "x"))
        watch.list(recording(recording_id="other"), meeting=OTHER)
        watch.tracker.keep([OTHER])
        assert ["other"] == watch.ids

    def test_removed_but_kept(self) -> None:
        """With follow.keep_removed those that have ended stay, and are still brought up to date."""
        watch = Watch(MEETING, OTHER, keep_removed=True)
        ended = recording(Status.UPLOADED, "ended")
        watch.list(recording(), ended)
        watch.tracker.keep([OTHER])
        assert ["ended"] == watch.ids
        watch.list(replace(ended, file_size_bytes=5.0), recording(Status.UPLOADED, "new"))
        assert [5.0] == [each.recording.file_size_bytes for each in watch.shown]

    def test_listed_again(self) -> None:
        """What comes back with its meeting is shown again, and not counted anew."""
        watch = Watch()
        watch.see(STARTED, replace(STARTED, recording_id="ended", status=Status.ERRORED))
        before = watch.counters
        watch.tracker.keep([])
        watch.tracker.keep([MEETING])
        watch.see(STARTED, after=15)
        watch.list(replace(STARTED, recording_id="ended", status=Status.ERRORED))
        assert {ID, "ended"} == set(watch.ids)
        assert before == watch.counters
        watch.see(replace(STARTED, status=Status.ERRORED), after=15)
        assert 2 == watch.counters.finished[Outcome.ERRORED]
        assert before.started == watch.counters.started

    def test_ended_while_it_was_not_listed(self) -> None:
        """What went on when its meeting was removed, and has ended since, ends once."""
        watch = Watch()
        watch.see(STARTED)
        watch.tracker.keep([])
        watch.tracker.keep([MEETING])
        for _ in range(2):
            watch.list(replace(STARTED, status=Status.ERRORED))
        assert (1, 1) == (watch.counters.started, watch.counters.finished[Outcome.ERRORED])

    def test_seen_again_after_it_vanished(self) -> None:
        """What the API denied, and shows again, is followed again, and ends no second time."""
        watch = Watch()
        watch.see(recording())
        watch.tracker.observe_missing(ID)
        watch.see(recording(), after=15)
        watch.see(recording(Status.UPLOADED), after=15)
        assert [ID] == watch.ids == watch.due
        assert {
            Outcome.VANISHED: 1,
            Outcome.UPLOADED: 0,
            Outcome.ERRORED: 0,
        } == watch.counters.finished

    def test_not_in_the_list(self) -> None:
        """Recordings of meetings that are not in the list are passed over."""
        watch = Watch()
        watch.list(recording(Status.UPLOADED), recording(recording_id="b"), meeting=OTHER)
        assert [] == watch.ids

    def test_any_meeting(self) -> None:
        """Where meetings are found, those of all count; what nobody else reads is followed."""
        watch = Watch(any_meeting=True)
        watch.list(recording(Status.UPLOADED, "ended"), recording(), meeting=OTHER)
        assert ["ended", ID] == watch.ids
        watch.tracker.observe_details(recording(Status.UPLOADED, "ended"))
        assert [] == watch.due
        elapse(watch, 10)
        assert [ID] == watch.due

    def test_a_found_meeting_is_over(self) -> None:
        """The recording of a meeting that is no longer read is followed by its id."""
        watch = Watch(any_meeting=True)
        watch.see(recording())
        watch.time.now += 15
        watch.tracker.keep([])
        assert [ID] == watch.ids == watch.due

    def test_a_found_meeting_shows_it(self) -> None:
        """What a meeting that is not in the list yet shows itself is not taken for missing."""
        watch = Watch(any_meeting=True)
        listed = [ListedRecording(OTHER, recording())]
        watch.tracker.observe_in_progress(listed, is_complete=True)
        watch.tracker.keep([MEETING, OTHER])
        watch.time.now += HOUR
        assert [] == watch.due

    def test_a_name_of_its_own(self) -> None:
        """A meeting is called as it is in the list, also after that has changed."""
        watch = Watch()
        watch.list(recording(), meeting=Meeting("meeting-1", "Title"))
        assert ["Daily"] == [each.meeting.name for each in watch.shown]
        watch.tracker.keep([Meeting("meeting-1", "Standup")])
        watch.see(recording(), after=15)
        assert ["Standup"] == [each.meeting.name for each in watch.shown]

    def test_too_many(self) -> None:
        """What is more than there may be is dropped, and counted once."""
        watch = Watch(max_recordings=2)
        ended = [
            recording(Status.ERRORED, str(each), stopped_timestamp_seconds=NOW + each)
            for each in range(5)
        ]
        for _ in range(3):
            watch.list(*ended)
            watch.tracker.keep([MEETING])
            assert ["3", "4"] == watch.ids
            assert 3 == watch.counters.dropped
            assert 5 == watch.counters.finished[Outcome.ERRORED]

    def test_too_many_at_once(self) -> None:
        """What goes on and is more than there may be is dropped, and counted once."""
        watch = Watch(max_recordings=2)
        going_on = [
            recording(recording_id=str(each), started_timestamp_seconds=NOW + each)
            for each in range(1, 6)
        ]
        for _ in range(3):
            watch.see(*going_on, after=15)
            watch.tracker.keep([MEETING])
            assert ["4", "5"] == watch.ids
            assert 3 == watch.counters.dropped
            assert 5 == watch.counters.started

"""What the tracker of an app's recordings counts, whatever it reads."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise
from typing import TypeAlias

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import FAILURES, TERMINAL, Outcome, Recording, Status, StopReason
from rk_exporter.tracking.counters import Histogram, RecordingCounters
from rk_exporter.tracking.tracker_state import TrackerState
from tests.support.building import NOW
from tests.support.tracker import (
    DAY,
    HOUR,
    ID,
    READINGS,
    STARTED,
    Event,
    Harness,
    elapse,
    recording,
    uploaded,
)


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

    def test_size_of_a_recording_that_comes_back(self) -> None:
        """Length and size count once, although the first reading after the eviction lacks them."""
        harness = Harness()
        bare = recording(Status.UPLOADED)
        whole = replace(bare, file_size_bytes=5.0, reported_duration_seconds=9.0)
        harness.read_meeting(whole)
        harness.tracker.set_meetings([])
        harness.tracker.set_meetings(harness.meetings)
        for reading in (bare, whole):
            harness.read_meeting(reading, after=15)
        counters = harness.counters
        assert 9.0 == sum(counters.recorded_seconds.values())
        assert 5.0 == sum(counters.recorded_bytes.values())

    def test_counters_begin_again(self) -> None:
        """Counters that begin at 0 again count what happens from then on, and nothing twice."""
        harness = Harness()
        harness.read_meeting(STARTED)
        harness.tracker.restart_counters()
        harness.read_meeting(STARTED, after=15)
        assert RecordingCounters() == harness.counters
        harness.read_meeting(replace(STARTED, status=Status.ERRORED), after=15)
        assert (0, 1) == (harness.counters.started, harness.counters.finished[Outcome.ERRORED])

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
        harness.list_up_to(NOW)
        ended = replace(STARTED, status=Status.ERRORED, invoked_timestamp_seconds=NOW)
        harness.read_meeting(ended, after=15)
        assert started == harness.counters.started
        assert finished == harness.counters.finished[Outcome.ERRORED]

    @pytest.mark.parametrize("invoked_at", [None, NOW + 0.5])
    def test_not_inherited(self, invoked_at: float | None) -> None:
        """A recording counts if it started after the list was first read, even if it has ended."""
        harness = Harness()
        harness.time.now += 90
        harness.list_up_to(NOW + 60)
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

    @pytest.mark.parametrize("ahead", [60.0, 0.0, -60.0])
    @pytest.mark.parametrize(("seconds", "expected"), [(-5.1, 0), (-4.9, 1), (1.0, 1)])
    def test_without_a_list(self, seconds: float, expected: int, ahead: float) -> None:
        """Without a list, recordings invoked until now by the API's clock are inherited."""
        harness = Harness(is_listed=False, ahead=ahead)
        harness.tracker.begin_unlisted(moment=harness.time.monotonic())
        invoked_at = NOW + min(ahead, 0.0) + seconds
        harness.read_meeting(
            recording(Status.ERRORED, invoked_timestamp_seconds=invoked_at), after=15
        )
        assert expected == harness.counters.finished[Outcome.ERRORED]

    @pytest.mark.parametrize(
        ("invoked_at", "expected"), [(NOW - 5.1, 0), (NOW - 4.9, 1), (None, 0)]
    )
    def test_list_of_many_pages(self, invoked_at: float | None, expected: int) -> None:
        """What was invoked since the first page of the first list was requested is new."""
        harness = Harness(is_listed=False)
        harness.tracker.begin_counting(NOW - HOUR, moment=harness.time.monotonic())
        harness.time.now += 30
        harness.read_list(recording(Status.ERRORED, invoked_timestamp_seconds=invoked_at))
        assert expected == harness.counters.finished[Outcome.ERRORED]

    def test_clock_that_was_ahead(self) -> None:
        """If this machine's clock was ahead at the start, the begin of counting is corrected."""
        assert 1 == self.counted_with_a_clock(ahead=HOUR)

    def test_clock_that_was_behind(self) -> None:
        """If this machine's clock was behind, what was invoked in the difference counts."""
        assert 2 == self.counted_with_a_clock(ahead=-HOUR)

    @staticmethod
    def counted_with_a_clock(ahead: float) -> int:
        """Return how many recordings count: one is from before the start, one from after it."""
        harness = Harness(is_listed=False)
        harness.time.now += ahead
        harness.tracker.begin_unlisted(moment=harness.time.monotonic())
        for _ in range(4):
            harness.time.now += 10
            date = formatdate(harness.time.now - ahead, usegmt=True)
            harness.server_clock.observe(date, took_seconds=0.1)
        for number, invoked_at in enumerate([NOW - 60, NOW + 60]):
            item = recording(Status.ERRORED, f"{number}", invoked_timestamp_seconds=invoked_at)
            harness.read_list(item)
        return harness.counters.finished[Outcome.ERRORED]

    def test_counting_has_begun(self) -> None:
        """A list without recordings does not move the end of the time that was listed."""
        harness = Harness()
        harness.time.now += HOUR
        harness.tracker.begin_unlisted(moment=harness.time.monotonic())
        assert NOW == harness.tracker.state.listed_until

    @pytest.mark.parametrize(("invoked_at", "expected"), [(NOW - 1, 0), (NOW + 1, 1)])
    def test_between_two_processes(self, invoked_at: float, expected: int) -> None:
        """After a restart, recordings invoked after the last reading of the list count."""
        harness = Harness()
        harness.restart(harness.tracker.state)
        harness.time.now += HOUR
        harness.read_list(recording(Status.ERRORED, invoked_timestamp_seconds=invoked_at))
        assert expected == harness.counters.finished[Outcome.ERRORED]

    @pytest.mark.parametrize(("hours", "expected"), [(0.9, 1), (1.0, 1), (1.1, 0)])
    def test_upload_before_the_meeting_was_added(self, hours: float, expected: int) -> None:
        """An upload counts, but its delay is unknown if it was long before its meeting came."""
        harness = Harness(is_listed=False)
        harness.list_up_to(NOW - DAY)
        harness.read_list(old := uploaded("old", expires_at=NOW + 7 * DAY - hours * HOUR))
        added = Meeting("added", "added")
        harness.tracker.set_meetings([*harness.meetings, added])
        again = replace(old, recording_id="again")
        harness.tracker.observe_listed(added, again, asked_at=harness.time.now)
        assert 2 == harness.counters.finished[Outcome.UPLOADED]
        assert 1 + expected == sum(harness.counters.upload_delay.counts)

    def test_start_that_is_known_late(self) -> None:
        """A start counts when its time becomes known, also if it was before counting began."""
        harness = Harness(is_listed=False)
        ended = recording(Status.ERRORED, invoked_timestamp_seconds=NOW - HOUR)
        harness.read_list(ended)
        harness.list_up_to(NOW - HOUR)
        assert 0 == harness.counters.started
        harness.read_list(replace(ended, started_timestamp_seconds=NOW - HOUR + 2))
        assert 1 == harness.counters.started

    @pytest.mark.parametrize(("hours", "expected"), [(0.9, 1), (1.1, 0)])
    def test_end_that_is_seen_after_the_retention(self, hours: float, expected: int) -> None:
        """A recording that ended too long ago to be shown does not count."""
        harness = Harness(retain_seconds=HOUR)
        harness.time.now += 2 * HOUR
        stopped_at = harness.time.now - hours * HOUR
        harness.read_list(
            recording(
                Status.ERRORED,
                invoked_timestamp_seconds=stopped_at - 60,
                stopped_timestamp_seconds=stopped_at,
            )
        )
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
        harness.time.now += HOUR
        for newest_at in (NOW - HOUR, NOW + 60, NOW + 30):
            harness.list_up_to(newest_at)
        assert NOW + 60 == harness.tracker.state.listed_until

    def test_a_recording_from_the_future(self) -> None:
        """An invocation time in the far future does not make later recordings inherited."""
        harness = Harness(is_listed=False)
        harness.list_up_to(NOW + 3650 * DAY)
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

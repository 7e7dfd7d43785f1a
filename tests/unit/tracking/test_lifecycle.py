from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from hypothesis import assume, example, given
from hypothesis import strategies as st

from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import (
    IN_PROGRESS,
    TERMINAL,
    Kind,
    Outcome,
    Recording,
    Status,
    StopReason,
)
from rk_exporter.tracking.counters import RecordingCounters
from rk_exporter.tracking.known_fields import has_labels
from rk_exporter.tracking.lifecycle import (
    FollowRules,
    KnownRecording,
    apply_reading,
    count_transition,
    due_at,
    ended_at,
    overdue,
    revive,
    track,
    with_details,
)
from rk_exporter.tracking.retention import has_expired, listed_age_seconds, shown_until
from tests.support.building import NOW


MEETING = Meeting("meeting-1", "meeting-1")
DAY = 86_400.0
EXPIRES_AT = NOW + 7 * DAY
RULES = FollowRules(
    retain_seconds=3600.0,
    max_recordings=1000,
    reread_seconds=21_600.0,
    keep_removed=False,
    longest_pause_seconds=225.0,
)

TIMES = st.none() | st.integers(-100, 100).map(lambda seconds: NOW + seconds)
RECORDINGS = st.builds(
    Recording,
    recording_id=st.just("recording-1"),
    status=st.sampled_from(Status),
    session_id=st.none() | st.sampled_from(["session-1", "session-2"]),
    output_file_name=st.none() | st.sampled_from(["a.mp4", "b.mp4"]),
    is_track=st.booleans(),
    invoked_timestamp_seconds=TIMES,
    started_timestamp_seconds=TIMES,
    stopped_timestamp_seconds=TIMES,
    download_url_expiry_timestamp_seconds=TIMES,
    stop_reason=st.none() | st.sampled_from(StopReason),
)


def recording(status: Status = Status.RECORDING, **fields: Any) -> Recording:
    return Recording(recording_id="recording-1", status=status, **fields)


def seen(*recordings: Recording, is_inherited: bool = False) -> KnownRecording:
    """Return a recording after one reading per second, the last one at NOW."""
    first, *others = recordings
    read_at = NOW - len(others)
    known = track(MEETING, first, read_at=read_at, is_inherited=is_inherited)
    for number, other in enumerate(others, start=1):
        known = apply_reading(known, other, read_at=read_at + number)
    return known


def count(*recordings: Recording, now: float = NOW) -> RecordingCounters:
    """Return the counters after these readings of one recording."""
    counters, before = RecordingCounters(), None
    for reading in recordings:
        after = apply_reading(before, reading, read_at=NOW) if before else seen(reading)
        counters, before = count_transition(counters, before, after, now=now), after
    return counters


def recorded(counters: RecordingCounters) -> tuple[float, float]:
    """Return the counted length and size."""
    return sum(counters.recorded_seconds.values()), sum(counters.recorded_bytes.values())


def first_end(readings: Sequence[Recording]) -> Outcome | None:
    """Return how the first of the readings that shows the end says that a recording ended."""
    has_stopped = False
    for before, reading in pairwise([None, *readings]):
        assert reading is not None
        if reading.status is Status.UPLOADED:
            return Outcome.UPLOADED
        if reading.status is Status.ERRORED:
            is_upload = has_stopped or (before and before.status is Status.UPLOADING)
            return Outcome.UPLOAD_FAILED if is_upload else Outcome.ERRORED
        has_stopped = has_stopped or reading.stopped_timestamp_seconds is not None
    return None


def labels(known: KnownRecording) -> tuple[object, ...] | None:
    """Return the labels of rk_recording_info, or None before they are final."""
    if not has_labels(known.recording):
        return None
    shown = known.recording
    return (shown.session_id or "", shown.output_file_name or "", shown.is_track)


class TestApplyReading:
    """A recording after another reading."""

    def test_last_reading(self) -> None:
        """Status, size and URL come from the last reading."""
        known = seen(
            recording(Status.UPLOADING, file_size_bytes=5.0),
            recording(Status.UPLOADED, file_size_bytes=7.0, has_download_url=True),
        )
        assert Status.UPLOADED is known.recording.status
        assert 7 == known.recording.file_size_bytes
        assert known.recording.has_download_url
        assert NOW == known.read_at

    @pytest.mark.parametrize(
        ("status", "expected"),
        [(Status.RECORDING, False), (Status.ERRORED, False), (Status.UPLOADED, True)],
    )
    def test_values_after_the_upload(self, status: Status, expected: bool) -> None:  # noqa: FBT001 # a parameter
        """Only an upload that was seen waits for its duration and size."""
        known = apply_reading(seen(recording()), recording(status), read_at=NOW)
        assert (expected, expected) == (known.awaits_duration, known.awaits_size)

    @given(st.lists(RECORDINGS, min_size=2, max_size=6))
    def test_known_times_stay(self, recordings: Sequence[Recording]) -> None:
        """Start and end keep their last known values if a reading lacks them."""
        known = seen(*recordings)
        for field in (
            "invoked_timestamp_seconds",
            "started_timestamp_seconds",
            "stopped_timestamp_seconds",
            "stop_reason",
        ):
            known_values = [
                value for reading in recordings if (value := getattr(reading, field)) is not None
            ]
            assert (known_values[-1] if known_values else None) == getattr(known.recording, field)

    @given(st.lists(RECORDINGS, min_size=1, max_size=6))
    # The first status is unknown; or an answer from before the start arrives late.
    @example([recording(Status.UNKNOWN), recording(Status.INVOKED), recording(session_id="s")])
    @example([recording(), recording(Status.INVOKED), recording(session_id="s")])
    def test_labels_never_change(self, recordings: Sequence[Recording]) -> None:
        """Shown labels stay, whatever later readings contain."""
        first, *others = recordings
        known = seen(first)
        shown = [labels(known)]
        for other in others:
            known = apply_reading(known, other, read_at=NOW)
            shown.append(labels(known))
        settled = [values for values in shown if values is not None]
        assert settled == settled[:1] * len(settled)
        assert shown == [None] * (len(shown) - len(settled)) + settled

    @pytest.mark.parametrize(
        ("expiry", "later", "expected"),
        [
            (NOW - 1, None, NOW - 1),
            (NOW, None, NOW),
            (NOW + 1, None, None),
            (NOW - 1, NOW + 9, NOW + 9),
        ],
    )
    def test_expired_url(self, expiry: float, later: float | None, expected: float | None) -> None:
        """An expiry that has passed stays known although the API no longer returns it."""
        uploaded = recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=expiry)
        deleted = recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=later)
        known = seen(uploaded, deleted)
        assert expected == known.recording.download_url_expiry_timestamp_seconds

    def test_session_appears_at_the_start(self) -> None:
        """An invoked recording may have no session yet; until then no label is final."""
        invoked = recording(Status.INVOKED, output_file_name="early.mp4")
        assert labels(seen(invoked)) is None
        started = recording(session_id="session-1", output_file_name="a.mp4", is_track=True)
        assert ("session-1", "a.mp4", True) == labels(seen(invoked, started))

    @given(st.lists(RECORDINGS, min_size=1, max_size=6))
    def test_first_outcome(self, recordings: Sequence[Recording]) -> None:
        """The first outcome counts."""
        assert first_end(recordings) == seen(*recordings).outcome

    @pytest.mark.parametrize(
        ("before", "expected"),
        [
            (recording(Status.RECORDING), Outcome.ERRORED),
            (recording(Status.UPLOADING), Outcome.UPLOAD_FAILED),
            # The API may add a state between the two.
            (recording(Status.UNKNOWN, stopped_timestamp_seconds=NOW), Outcome.UPLOAD_FAILED),
        ],
    )
    def test_upload_failed(self, before: Recording, expected: Outcome) -> None:
        """An upload has failed if the recording was UPLOADING or had stopped at a reading."""
        failed = recording(Status.ERRORED, stopped_timestamp_seconds=NOW)
        assert Outcome.ERRORED == seen(failed).outcome
        assert expected == seen(before, failed).outcome
        assert expected == seen(before, failed, failed).outcome
        assert {expected: 1} == {
            outcome: found for outcome, found in count(before, failed).finished.items() if found
        }


class TestCountTransition:
    """The counts of one recording, from one reading to the next."""

    def test_whole_lifecycle(self) -> None:
        """Start, end and status changes count when they become known."""
        moments = {"invoked_timestamp_seconds": NOW - 70, "started_timestamp_seconds": NOW - 68.5}
        counters = count(
            recording(Status.INVOKED, invoked_timestamp_seconds=NOW - 70),
            recording(Status.RECORDING, **moments),
            recording(Status.RECORDING, **moments),
            recording(Status.UPLOADED, stopped_timestamp_seconds=NOW - 40, **moments),
            recording(Status.UPLOADED, stopped_timestamp_seconds=NOW - 40, **moments),
        )
        assert 1 == counters.started
        assert 1.5 == counters.start_delay.total
        assert {**dict.fromkeys(Outcome, 0), Outcome.UPLOADED: 1} == counters.finished
        assert 40 == counters.upload_delay.total
        assert 1 == counters.transitions[Status.INVOKED][Status.RECORDING]
        assert 1 == counters.transitions[Status.RECORDING][Status.UPLOADED]
        assert 2 == sum(sum(onwards.values()) for onwards in counters.transitions.values())

    def test_whole_lifecycle_in_one_reading(self) -> None:
        """A recording that started and ended between two readings counts completely."""
        counters = count(
            recording(
                Status.UPLOADED,
                invoked_timestamp_seconds=NOW - 30,
                started_timestamp_seconds=NOW - 28,
                stopped_timestamp_seconds=NOW - 20,
            )
        )
        assert 1 == counters.started == counters.finished[Outcome.UPLOADED]
        assert (2.0, 20.0) == (counters.start_delay.total, counters.upload_delay.total)

    def test_no_change(self) -> None:
        """A reading without changes counts nothing."""
        before = seen(recording(Status.RECORDING, started_timestamp_seconds=NOW))
        after = apply_reading(before, before.recording, read_at=NOW + 15)
        assert RecordingCounters() == count_transition(
            RecordingCounters(), before, after, now=NOW + 15
        )

    def test_start_without_a_time(self) -> None:
        """A start without a time does not count, even if the status implies it."""
        assert 0 == count(recording(Status.INVOKED), recording(Status.RECORDING)).started

    def test_start_without_an_invocation(self) -> None:
        """Without an invocation time a start has no delay."""
        counters = count(recording(started_timestamp_seconds=NOW))
        assert 1 == counters.started
        assert 0 == sum(counters.start_delay.counts)

    @pytest.mark.parametrize("status", [Status.UPLOADED, Status.ERRORED])
    def test_end_without_a_time(self, status: Status) -> None:
        """Without a stop time an upload has no delay."""
        counters = count(recording(status))
        assert 1 == sum(counters.finished.values())
        assert 0 == sum(counters.upload_delay.counts)

    def test_recorded(self) -> None:
        """The length and the size of an uploaded recording count when they are first known."""
        stopped = {"started_timestamp_seconds": NOW, "stopped_timestamp_seconds": NOW + 60}
        uploading = recording(Status.UPLOADING, file_size_bytes=5.0, **stopped)
        uploaded = replace(uploading, status=Status.UPLOADED)
        assert (0, 0) == recorded(count(uploading))
        assert (60, 5) == recorded(count(uploading, uploaded, uploaded))
        larger = replace(uploaded, file_size_bytes=7.0, reported_duration_seconds=61.0)
        assert (60, 5) == recorded(count(uploaded, larger))
        failed = replace(uploading, status=Status.ERRORED)
        assert (0, 0) == recorded(count(uploading, failed, uploaded))

    @pytest.mark.parametrize("unknown", [None, 0.0])
    def test_recorded_late(self, unknown: float | None) -> None:
        """Values that are missing or 0 at the end count once when they arrive."""
        early = recording(
            Status.UPLOADED, file_size_bytes=unknown, reported_duration_seconds=unknown
        )
        sized = replace(early, file_size_bytes=5.0)
        whole = replace(sized, reported_duration_seconds=9.0)
        assert (0, 0) == recorded(count(early, early))
        assert (0, 5) == recorded(count(early, sized, early, sized))
        assert (9, 5) == recorded(count(early, sized, early, whole, whole))

    def test_recorded_by_kind(self) -> None:
        """Recordings with a file per participant count separately."""
        counters = count(recording(Status.UPLOADED, is_track=True, reported_duration_seconds=9.0))
        assert {Kind.COMPOSITE: 0.0, Kind.TRACK: 9.0} == counters.recorded_seconds

    def test_failure_is_no_upload(self) -> None:
        """A failed recording counts no upload."""
        counters = count(recording(Status.ERRORED, stopped_timestamp_seconds=NOW - 9))
        assert 0 == sum(counters.upload_delay.counts)

    def test_continues_after_its_end(self) -> None:
        """A recording that seems to go on after its end does not end twice."""
        counters = count(*map(recording, [Status.ERRORED, Status.UPLOADING, Status.UPLOADED]))
        assert {**dict.fromkeys(Outcome, 0), Outcome.ERRORED: 1} == counters.finished


class TestInProgress:
    """When a recording in progress is read by its id."""

    @pytest.mark.parametrize("status", sorted({*IN_PROGRESS, Status.UNKNOWN}))
    def test_shown_by_its_meeting(self, status: Status) -> None:
        """Never, while its meeting shows it."""
        assert due_at(seen(recording(status)), RULES) is None
        assert overdue(seen(recording(status)), RULES, now=NOW + DAY) is None

    @given(st.floats(0.001, 1e5))
    def test_missing(self, gone_after: float) -> None:
        """Immediately, when its meeting stops showing it."""
        known = replace(seen(recording()), missing_since=NOW + gone_after)
        assert overdue(known, RULES, now=NOW + gone_after) == 1

    @given(st.floats(0.0, 3000.0), st.lists(st.floats(0.0, 60.0), min_size=20, max_size=60))
    @example(225.0, [0.0] * 20)
    @example(5.0, [0.0] * 20)
    @example(225.0, [10.0] * 20)
    def test_pauses_grow(self, longest: float, delays: list[float]) -> None:
        """
        Then after 10 s, and after longer and longer pauses up to a limit; scrapes may be late.

        From the second pause on, the list, which is read every minute, comes first.
        """
        rules = replace(RULES, longest_pause_seconds=longest)
        known = replace(seen(recording()), missing_since=NOW + 1)
        pauses = []
        for delay in delays:
            due = due_at(known, rules)
            assert due is not None
            assert overdue(known, rules, now=due - 0.001) is None
            assert overdue(known, rules, now=due) is not None
            pauses.append(due - known.read_at)
            known = apply_reading(known, recording(), read_at=due + delay)
        longest = max(10.0, longest)
        immediate, first, *_ = pauses
        assert 1 == immediate
        assert first == pytest.approx(10.0 if delays[0] < 10 else min(max(delays[0], 90), longest))
        assert all(later >= earlier - 0.001 for earlier, later in pairwise(pauses[1:]))
        assert pauses[-1] <= longest + 0.001
        if longest <= 225:
            assert longest == pytest.approx(pauses[-1])

    @given(st.floats(0.0, 1e4), st.floats(0.0, 1e4))
    def test_how_overdue(self, earlier: float, later: float) -> None:
        """A reading becomes more urgent the longer it waits; 1 means in time."""
        assume(earlier <= later)
        known = replace(seen(recording()), missing_since=NOW - 100)
        times = [overdue(known, RULES, now=NOW + 100 + wait) for wait in (0, earlier, later)]
        assert 1 == times[0]
        assert None not in times
        assert times == sorted(times, key=float)  # type: ignore[arg-type] # none of them is None
        assert 3 == pytest.approx(overdue(known, RULES, now=NOW + 300))

    @pytest.mark.parametrize(("ahead", "expected"), [(0.0, 10), (60.0, 11), (-60.0, 9)])
    def test_how_overdue_after_its_end(self, ahead: float, expected: float) -> None:
        """A finished recording waits since its end, by this machine's clock."""
        ended = recording(Status.UPLOADED, stopped_timestamp_seconds=NOW - 600)
        known = apply_reading(seen(recording()), ended, read_at=NOW)
        assert expected == overdue(known, RULES, now=NOW, api_ahead_seconds=ahead)

    def test_how_overdue_soon_after_a_reading(self) -> None:
        """One that disappears just after it was read is not more urgent than all others."""
        known = replace(seen(recording()), missing_since=NOW + 0.001)
        assert 1 == overdue(known, RULES, now=NOW + 1)
        assert 2 == overdue(known, RULES, now=NOW + 20)

    def test_shown_while_in_progress(self) -> None:
        """A recording in progress is always shown."""
        assert (
            shown_until(seen(recording(download_url_expiry_timestamp_seconds=NOW)), RULES) is None
        )

    def test_details_before_the_end(self) -> None:
        """Details that were read before the end are read again after it."""
        known = with_details(seen(recording()), now=NOW)
        ended = apply_reading(known, recording(Status.UPLOADED), read_at=NOW)
        assert NOW == due_at(ended, RULES)

    def test_details_of_a_recording_that_goes_on(self) -> None:
        """Details are read again if a recording seems to go on, but not for the same reading."""
        stopped = recording(Status.UNKNOWN, stopped_timestamp_seconds=NOW - 30 * DAY)
        known = with_details(seen(stopped), now=NOW)
        assert known.has_details
        assert apply_reading(known, stopped, read_at=NOW).has_details
        assert not apply_reading(known, recording(Status.UPLOADING), read_at=NOW).has_details
        assert apply_reading(known, recording(Status.UPLOADED), read_at=NOW).has_details


class TestFinished:
    """When a finished recording is read by its id, and until when it is shown."""

    @pytest.mark.parametrize("status", sorted(TERMINAL))
    def test_details(self, status: Status) -> None:
        """The details are read once after the end."""
        known = seen(recording(status))
        assert NOW == due_at(known, RULES)
        assert 1 == overdue(known, RULES, now=NOW)
        assert 10 == overdue(known, RULES, now=NOW + 600)
        assert due_at(with_details(known, now=NOW), RULES) is None

    def test_inherited(self) -> None:
        """Details of an inherited recording are read only if it ends later."""
        assert due_at(seen(recording(Status.UPLOADED), is_inherited=True), RULES) is None
        known = seen(recording(), recording(Status.UPLOADED), is_inherited=True)
        assert NOW == due_at(known, RULES)

    def test_url_expires_soon(self) -> None:
        """It is read once 24 hours before its URL expires, because the URL may be refreshed."""
        uploaded = recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=EXPIRES_AT)
        known = with_details(seen(uploaded), now=NOW)
        check_at = EXPIRES_AT - DAY
        assert check_at == due_at(known, RULES)
        assert overdue(known, RULES, now=check_at - 1) is None
        assert 1 == overdue(known, RULES, now=check_at)
        assert check_at - 60 == due_at(known, RULES, api_ahead_seconds=60)
        assert overdue(known, RULES, now=check_at, api_ahead_seconds=-60) is None
        checked = with_details(apply_reading(known, uploaded, read_at=check_at), now=check_at)
        assert due_at(checked, RULES) is None

    def test_url_was_refreshed(self) -> None:
        """A refreshed URL is checked again 24 hours before it expires."""
        uploaded = recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=EXPIRES_AT)
        known = with_details(seen(uploaded), now=EXPIRES_AT - DAY)
        assert due_at(known, RULES) is None
        known = apply_reading(known, uploaded, read_at=EXPIRES_AT - DAY)
        assert due_at(known, RULES) is None
        refreshed = replace(uploaded, download_url_expiry_timestamp_seconds=EXPIRES_AT + 5 * DAY)
        known = apply_reading(known, refreshed, read_at=EXPIRES_AT - DAY / 2)
        assert EXPIRES_AT + 4 * DAY == due_at(known, RULES)

    @pytest.mark.parametrize("status", [Status.UPLOADING, Status.UNKNOWN])
    def test_unusual_reading_after_the_end(self, status: Status) -> None:
        """After an odd reading the details are read once more to correct it."""
        known = with_details(seen(recording(Status.UPLOADED)), now=NOW)
        odd = apply_reading(known, recording(status), read_at=NOW + 60)
        assert overdue(odd, RULES, now=NOW + 60) is not None
        assert due_at(with_details(odd, now=NOW + 60), RULES) is None

    @pytest.mark.parametrize(("retain", "days"), [(3600.0, 8), (7 * DAY, 8), (9 * DAY, 9)])
    def test_shown_after_the_url_has_expired(self, retain: float, days: float) -> None:
        """A recording is shown for a day after its URL has expired, or for the retention time."""
        uploaded = recording(
            Status.UPLOADED,
            stopped_timestamp_seconds=NOW,
            download_url_expiry_timestamp_seconds=EXPIRES_AT,
        )
        rules = replace(RULES, retain_seconds=retain)
        assert NOW + days * DAY == shown_until(seen(uploaded), rules)
        for after, expected in ((-1, False), (0, True)):
            now = NOW + days * DAY + after
            assert expected == has_expired(seen(uploaded), rules, now=now)
        # All that is shown is looked for, also what took the longest until its end.
        assert (days + 25 / 24) * DAY == pytest.approx(listed_age_seconds(rules))

    @pytest.mark.parametrize(
        ("moments", "expected"),
        [
            ({"stopped_timestamp_seconds": NOW - 1}, NOW - 1),
            ({"started_timestamp_seconds": NOW - 2}, NOW - 2),
            ({"invoked_timestamp_seconds": NOW - 3}, NOW - 3),
            ({}, NOW),
            (
                {
                    "stopped_timestamp_seconds": NOW - 1,
                    "started_timestamp_seconds": NOW - 2,
                    "invoked_timestamp_seconds": NOW - 3,
                },
                NOW - 1,
            ),
        ],
    )
    def test_end(self, moments: dict[str, float], expected: float) -> None:
        """Without a URL the retention time begins at the best known time of the end."""
        known = seen(recording(Status.ERRORED, **moments))
        assert expected == ended_at(known)
        assert expected + 3600 == shown_until(known, RULES)

    def test_unknown_final_state(self) -> None:
        """A recording that stopped a day ago, in an unknown state, is not read again and again."""
        fresh = recording(Status.UNKNOWN, stopped_timestamp_seconds=NOW - 24 * 3600)
        assert not seen(fresh).is_finished
        for seconds, expected in ((25 * 3600 - 1, False), (25 * 3600, True)):
            stopped = recording(Status.UNKNOWN, stopped_timestamp_seconds=NOW - seconds)
            assert expected == seen(stopped).is_finished
        old = seen(recording(Status.UNKNOWN, stopped_timestamp_seconds=NOW - 26 * 3600))
        assert old.is_finished
        assert old.outcome is None
        assert due_at(with_details(old, now=NOW), RULES) is None
        assert shown_until(old, RULES) is not None
        # The new state may come before the end.
        uploaded = apply_reading(old, recording(Status.UPLOADED), read_at=NOW + 60)
        assert Outcome.UPLOADED == uploaded.outcome

    def test_outcome_outlives_the_status(self) -> None:
        """A finished recording stays finished if its status is unknown later."""
        known = seen(recording(Status.ERRORED), recording(Status.UNKNOWN))
        assert known.is_finished
        assert shown_until(known, RULES) is not None

    @pytest.mark.parametrize(
        ("outcome", "expected"),
        [(Outcome.UPLOADED, None), (Outcome.VANISHED, NOW), (None, NOW)],
    )
    def test_revive(self, outcome: Outcome | None, expected: float | None) -> None:
        """Details of an evicted recording are read if it ended after the eviction."""
        ended = recording(Status.UPLOADED)
        known = revive(seen(ended), outcome, None)
        assert expected == due_at(apply_reading(known, ended, read_at=NOW), RULES)

    def test_reappears_after_it_vanished(self) -> None:
        """A vanished recording that reappears has not ended."""
        known = replace(seen(recording()), outcome=Outcome.VANISHED)
        assert not known.is_finished
        assert shown_until(known, RULES) is None

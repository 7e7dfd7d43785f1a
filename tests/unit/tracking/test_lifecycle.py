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
    Outcome,
    Recording,
    Status,
    StopReason,
)
from rk_exporter.tracking.counters import RecordingCounters
from rk_exporter.tracking.lifecycle import (
    FollowRules,
    KnownRecording,
    apply_reading,
    count_transition,
    due_at,
    ended_at,
    has_labels,
    overdue,
    revive,
    shown_until,
    track,
    with_details,
)
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
    """Return what is known after these readings, one a second, the last of them at NOW."""
    first, *others = recordings
    read_at = NOW - len(others)
    known = track(MEETING, first, read_at=read_at, is_inherited=is_inherited)
    for number, each in enumerate(others, start=1):
        known = apply_reading(known, each, read_at=read_at + number)
    return known


def count(*recordings: Recording, now: float = NOW) -> RecordingCounters:
    """Return what is counted of a recording that is read so, from the first sight of it on."""
    counters, before = RecordingCounters(), None
    for each in recordings:
        after = apply_reading(before, each, read_at=NOW) if before else seen(each)
        counters, before = count_transition(counters, before, after, now=now), after
    return counters


def labels(known: KnownRecording) -> tuple[object, ...] | None:
    """Return what rk_recording_info shows; None as long as it is not shown."""
    if not has_labels(known.recording):
        return None
    shown = known.recording
    return (shown.session_id or "", shown.output_file_name or "", shown.is_track)


class TestContinued:
    """What is known after another reading."""

    def test_the_last_reading_counts(self) -> None:
        """State, size and URL are what the last reading says."""
        known = seen(
            recording(Status.UPLOADING, file_size_bytes=5.0),
            recording(Status.UPLOADED, file_size_bytes=7.0, has_download_url=True),
        )
        assert Status.UPLOADED is known.recording.status
        assert 7 == known.recording.file_size_bytes
        assert known.recording.has_download_url
        assert NOW == known.read_at

    @given(st.lists(RECORDINGS, min_size=2, max_size=6))
    def test_what_was_said_once(self, recordings: Sequence[Recording]) -> None:
        """Beginning and end are as they were last told, though a reading may not tell them."""
        known = seen(*recordings)
        for field in (
            "invoked_timestamp_seconds",
            "started_timestamp_seconds",
            "stopped_timestamp_seconds",
            "stop_reason",
        ):
            told = [value for each in recordings if (value := getattr(each, field)) is not None]
            assert (told[-1] if told else None) == getattr(known.recording, field)

    @given(st.lists(RECORDINGS, min_size=1, max_size=6))
    # Its state could not be read at first; or an answer from before its start came late.
    @example([recording(Status.UNKNOWN), recording(Status.INVOKED), recording(session_id="s")])
    @example([recording(), recording(Status.INVOKED), recording(session_id="s")])
    def test_labels_never_change(self, recordings: Sequence[Recording]) -> None:
        """Once shown labels stay, whatever later readings say or leave out."""
        first, *others = recordings
        known = seen(first)
        shown = [labels(known)]
        for each in others:
            known = apply_reading(known, each, read_at=NOW)
            shown.append(labels(known))
        settled = [each for each in shown if each is not None]
        assert settled == settled[:1] * len(settled)
        assert shown == [None] * (len(shown) - len(settled)) + settled

    def test_a_session_comes_with_the_start(self) -> None:
        """What a recording has been asked for may have no session yet: no label is shown then."""
        asked_for = recording(Status.INVOKED, output_file_name="a.mp4")
        assert labels(seen(asked_for)) is None
        started = recording(session_id="session-1", output_file_name="a.mp4")
        assert ("session-1", "a.mp4", False) == labels(seen(asked_for, started))

    @given(st.lists(RECORDINGS, min_size=1, max_size=6))
    def test_the_first_outcome_counts(self, recordings: Sequence[Recording]) -> None:
        """A recording ends as it was first seen to end."""
        ends = [each.status for each in recordings if each.status in TERMINAL]
        assert (ends[0].lower() if ends else None) == seen(*recordings).outcome


class TestCounted:
    """What is counted of a recording, from one reading to the next."""

    def test_a_life(self) -> None:
        """A start, an end and the steps between are counted, each when it becomes known."""
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
        assert {Outcome.UPLOADED: 1, Outcome.ERRORED: 0, Outcome.VANISHED: 0} == counters.finished
        assert 40 == counters.upload_delay.total
        assert 1 == counters.transitions[Status.INVOKED][Status.RECORDING]
        assert 1 == counters.transitions[Status.RECORDING][Status.UPLOADED]
        assert 2 == sum(sum(onwards.values()) for onwards in counters.transitions.values())

    def test_all_at_the_first_sight(self) -> None:
        """A recording that came and went between two looks is counted as a whole."""
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

    def test_nothing_has_happened(self) -> None:
        """A reading that says the same as the one before counts nothing."""
        before = seen(recording(Status.RECORDING, started_timestamp_seconds=NOW))
        after = apply_reading(before, before.recording, read_at=NOW + 15)
        assert RecordingCounters() == count_transition(
            RecordingCounters(), before, after, now=NOW + 15
        )

    def test_a_start_without_a_time(self) -> None:
        """A state that only comes after the start is none that is counted: its time is missing."""
        assert 0 == count(recording(Status.INVOKED), recording(Status.RECORDING)).started

    def test_a_start_that_was_not_asked_for(self) -> None:
        """Where it is not told when a recording was asked for, its start has no delay."""
        counters = count(recording(started_timestamp_seconds=NOW))
        assert 1 == counters.started
        assert 0 == sum(counters.start_delay.counts)

    @pytest.mark.parametrize("status", [Status.UPLOADED, Status.ERRORED])
    def test_an_end_without_a_time(self, status: Status) -> None:
        """Where it is not told when a recording stopped, its upload has no delay."""
        counters = count(recording(status))
        assert 1 == sum(counters.finished.values())
        assert 0 == sum(counters.upload_delay.counts)

    def test_a_failure_is_no_upload(self) -> None:
        """A recording that failed was never uploaded, however it stopped."""
        counters = count(recording(Status.ERRORED, stopped_timestamp_seconds=NOW - 9))
        assert 0 == sum(counters.upload_delay.counts)

    def test_an_end_that_is_taken_back(self) -> None:
        """A recording that seems to go on after its end ends no second time."""
        counters = count(*map(recording, [Status.ERRORED, Status.UPLOADING, Status.UPLOADED]))
        assert {Outcome.ERRORED: 1, Outcome.UPLOADED: 0, Outcome.VANISHED: 0} == counters.finished


class TestUnderWay:
    """When a recording that has not ended is read by its id."""

    @pytest.mark.parametrize("status", sorted({*IN_PROGRESS, Status.UNKNOWN}))
    def test_its_meeting_shows_it(self, status: Status) -> None:
        """As long as its meeting shows it, never."""
        assert due_at(seen(recording(status)), RULES) is None
        assert overdue(seen(recording(status)), RULES, now=NOW + DAY) is None

    @given(st.floats(0.001, 1e5))
    def test_at_once(self, gone_after: float) -> None:
        """Where its meeting no longer shows it, at once."""
        known = replace(seen(recording()), missing_since=NOW + gone_after)
        assert overdue(known, RULES, now=NOW + gone_after) == 1

    @given(st.floats(0.0, 3000.0), st.lists(st.floats(0.0, 60.0), min_size=20, max_size=60))
    @example(225.0, [0.0] * 20)
    @example(5.0, [0.0] * 20)
    def test_ever_more_rarely(self, longest: float, delays: list[float]) -> None:
        """
        Then after 10 s, and after ever longer pauses, up to the longest; scrapes may be late.

        From the second on the list, each minute, is left to tell.
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
        at_once, first, *_ = pauses
        assert 1 == at_once
        assert first == pytest.approx(10.0 if delays[0] < 10 else min(max(delays[0], 90), longest))
        assert all(later >= earlier - 0.001 for earlier, later in pairwise(pauses[1:]))
        assert pauses[-1] <= longest + 0.001
        if longest <= 225:
            assert longest == pytest.approx(pauses[-1])

    @given(st.floats(0.0, 1e4), st.floats(0.0, 1e4))
    def test_how_overdue(self, earlier: float, later: float) -> None:
        """The longer it has waited the more urgent it is; 1 is in time."""
        assume(earlier <= later)
        known = replace(seen(recording()), missing_since=NOW - 100)
        times = [overdue(known, RULES, now=NOW + 100 + each) for each in (0, earlier, later)]
        assert 1 == times[0]
        assert None not in times
        assert times == sorted(times, key=float)  # type: ignore[arg-type] # none of them is None
        assert 3 == pytest.approx(overdue(known, RULES, now=NOW + 300))

    def test_it_has_no_end(self) -> None:
        """It is shown as long as it goes on."""
        assert (
            shown_until(seen(recording(download_url_expiry_timestamp_seconds=NOW)), RULES) is None
        )

    def test_details_of_what_goes_on(self) -> None:
        """Its own endpoint says that it goes on: it is to be asked again once that has ended."""
        known = with_details(seen(recording()), now=NOW)
        ended = apply_reading(known, recording(Status.UPLOADED), read_at=NOW)
        assert NOW == due_at(ended, RULES)


class TestFinished:
    """When a recording that has ended is read by its id, and when it leaves."""

    @pytest.mark.parametrize("status", sorted(TERMINAL))
    def test_its_details(self, status: Status) -> None:
        """Its end was seen: it is asked how that came, once."""
        known = seen(recording(status))
        assert NOW == due_at(known, RULES)
        assert 1 == overdue(known, RULES, now=NOW)
        assert 10 == overdue(known, RULES, now=NOW + 600)
        assert due_at(with_details(known, now=NOW), RULES) is None

    def test_inherited(self) -> None:
        """One that had ended before the start is not asked for, one that ends later is."""
        assert due_at(seen(recording(Status.UPLOADED), is_inherited=True), RULES) is None
        known = seen(recording(), recording(Status.UPLOADED), is_inherited=True)
        assert NOW == due_at(known, RULES)

    def test_its_url_is_to_expire(self) -> None:
        """When 24 hours of its URL are left it is asked whether that was refreshed, once."""
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

    def test_its_url_was_refreshed(self) -> None:
        """A URL that was refreshed is asked for again when 24 hours of that are left."""
        uploaded = recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=EXPIRES_AT)
        known = with_details(seen(uploaded), now=EXPIRES_AT - DAY)
        assert due_at(known, RULES) is None
        refreshed = replace(uploaded, download_url_expiry_timestamp_seconds=EXPIRES_AT + 5 * DAY)
        known = apply_reading(known, refreshed, read_at=EXPIRES_AT - DAY / 2)
        assert EXPIRES_AT + 4 * DAY == due_at(known, RULES)

    @pytest.mark.parametrize("status", [Status.UPLOADING, Status.UNKNOWN])
    def test_it_seems_to_go_on(self, status: Status) -> None:
        """An odd reading after its end is looked into once: nothing else would put it right."""
        known = with_details(seen(recording(Status.UPLOADED)), now=NOW)
        odd = apply_reading(known, recording(status), read_at=NOW + 60)
        assert overdue(odd, RULES, now=NOW + 60) is not None
        assert due_at(with_details(odd, now=NOW + 60), RULES) is None

    def test_it_leaves_when_its_url_expires(self) -> None:
        """With a URL it is shown until that expires, however long what has none is retained."""
        known = seen(recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=EXPIRES_AT))
        assert EXPIRES_AT == shown_until(known, RULES)

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
    def test_when_it_ended(self, moments: dict[str, float], expected: float) -> None:
        """Without a URL it is retained from its end on, or from what is known nearest to that."""
        known = seen(recording(Status.ERRORED, **moments))
        assert expected == ended_at(known)
        assert expected + 3600 == shown_until(known, RULES)

    def test_an_outcome_outlives_its_state(self) -> None:
        """One that has ended stays so while its state cannot be read."""
        known = seen(recording(Status.ERRORED), recording(Status.UNKNOWN))
        assert known.is_finished
        assert shown_until(known, RULES) is not None

    @pytest.mark.parametrize(
        ("outcome", "expected"),
        [(Outcome.UPLOADED, None), (Outcome.VANISHED, NOW), (None, NOW)],
    )
    def test_come_back(self, outcome: Outcome | None, expected: float | None) -> None:
        """One that had left is asked how it ended, unless that had happened before it left."""
        ended = recording(Status.UPLOADED)
        known = revive(seen(ended), outcome, None)
        assert expected == due_at(apply_reading(known, ended, read_at=NOW), RULES)

    def test_vanished_and_seen_again(self) -> None:
        """One that was taken to have vanished, and is seen again, has not ended."""
        known = replace(seen(recording()), outcome=Outcome.VANISHED)
        assert not known.is_finished
        assert shown_until(known, RULES) is None

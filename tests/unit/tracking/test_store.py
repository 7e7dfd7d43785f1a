from collections.abc import Sequence
from dataclasses import replace

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Outcome, Recording, Status
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.store import RecordingStore, Tombstone
from tests.support.building import NOW


ROOMY = 1000
REMEMBERED = 10_000

# A recording's id, its meeting, and whether it has ended; None: it is let go.
Step = tuple[str, str, bool | None]
STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("MN"), st.none() | st.booleans()),
    max_size=20,
)
# For recordings in the order in which they become known: when each began or ended, and whether it
# has ended.
STANDINGS = st.lists(
    st.tuples(st.integers(0, 50), st.booleans()),
    min_size=1,
    max_size=12,
    unique_by=lambda each: each[0],
)


def known(
    recording_id: str, *, at: float = 0.0, has_ended: bool = False, meeting_id: str = "meeting-1"
) -> KnownRecording:
    """Return a recording that began or *has_ended* so many seconds after NOW."""
    return KnownRecording(
        meeting=Meeting(meeting_id, meeting_id),
        recording=Recording(
            recording_id=recording_id,
            status=Status.UPLOADED if has_ended else Status.RECORDING,
            started_timestamp_seconds=NOW + (-1e6 if has_ended else at),
            stopped_timestamp_seconds=NOW + at if has_ended else None,
        ),
        read_at=NOW,
        outcome=Outcome.UPLOADED if has_ended else None,
    )


def holding(*recordings: KnownRecording, largest: int = ROOMY) -> RecordingStore:
    store = RecordingStore(largest, {})
    for each in recordings:
        store.upsert(each)
    return store


def ids(store: RecordingStore) -> list[str]:
    return [each.recording_id for each in store]


def numbered(standings: Sequence[tuple[int, bool]]) -> list[KnownRecording]:
    return [
        known(str(number), at=at, has_ended=has_ended)
        for number, (at, has_ended) in enumerate(standings)
    ]


class TestKnown:
    """Recordings that are known."""

    @given(STEPS)
    @example([("a", "M", True), ("b", "M", True), ("a", "M", None), ("b", "M", None)])
    def test_any_order(self, steps: list[Step]) -> None:
        """Each is found by its id while it is known, and by its meeting until it has ended."""
        store = holding()
        expected: dict[str, KnownRecording] = {}
        for recording_id, meeting_id, has_ended in steps:
            if has_ended is not None:
                before = expected.get(recording_id)
                its_meeting = before.meeting.meeting_id if before else meeting_id
                each = known(recording_id, has_ended=has_ended, meeting_id=its_meeting)
                expected[recording_id] = each
                store.upsert(each)
            elif recording_id in expected:
                store.evict(expected.pop(recording_id))
            assert list(expected.values()) == list(store)
            assert all(store.get(each) == expected.get(each) for each in "abcd")
            goes_on = {key for key, each in expected.items() if not each.is_finished}
            assert goes_on == store.all_in_progress()
            for meeting in "MN":
                here = {each for each in goes_on if expected[each].meeting.meeting_id == meeting}
                assert here == store.in_progress(meeting)

    def test_changed_while_it_is_looked_through(self) -> None:
        """Who looks through all of them may let them go."""
        store = holding(known("a"), known("b"))
        for each in store:
            store.evict(each)
        assert [] == ids(store)

    def test_revision(self) -> None:
        """Each change raises the revision; a recording that was only read again is none."""
        store = holding()
        revisions = [store.revision]
        store.upsert(known("a"))
        revisions.append(store.revision)
        store.upsert(known("a", has_ended=True))
        revisions.append(store.revision)
        store.upsert(replace(known("a", has_ended=True), read_at=NOW + 15))
        assert revisions[-1] == store.revision
        store.evict(known("a", has_ended=True))
        revisions.append(store.revision)
        assert sorted(set(revisions)) == revisions


class TestLargest:
    """No more recordings than so many."""

    @given(STANDINGS, st.integers(1, 12))
    def test_what_is_dropped(self, standings: list[tuple[int, bool]], largest: int) -> None:
        """What ended longest ago leaves first, then what began longest ago."""
        recordings = numbered(standings)
        store = holding(*recordings, largest=largest)
        dropped = store.evict_surplus()
        assert max(0, len(recordings) - largest) == dropped
        oldest_first = sorted(
            range(len(standings)), key=lambda each: (not standings[each][1], standings[each][0])
        )
        assert [str(each) for each in sorted(oldest_first[dropped:])] == ids(store)

    @given(STANDINGS, st.integers(1, 12), st.tuples(st.integers(0, 50), st.booleans()))
    @example([(1, True), (2, True)], 2, (0, False))
    @example([(1, False), (2, False)], 1, (0, False))
    def test_room(
        self, standings: list[tuple[int, bool]], largest: int, standing: tuple[int, bool]
    ) -> None:
        """There is room for a recording that would not be dropped at once."""
        store = holding(*numbered(standings), largest=largest)
        store.evict_surplus()
        at, has_ended = standing
        new = known("new", at=at + 0.5, has_ended=has_ended)
        has_room = store.has_room(new)
        store.upsert(new)
        store.evict_surplus()
        assert has_room == (store.get("new") is not None)

    @pytest.mark.parametrize("has_ended", [False, True])
    def test_no_room_for_its_equal(self, *, has_ended: bool) -> None:
        """Of two of the same time the one that is there stays: they do not take turns."""
        store = holding(known("a", has_ended=has_ended), largest=1)
        store.evict_surplus()
        assert not store.has_room(known("b", has_ended=has_ended))

    def test_full_again(self) -> None:
        """Once one has left there is room for what had to leave before."""
        store = holding(known("old", has_ended=True), known("new", at=1), largest=1)
        store.evict_surplus()
        assert not store.has_room(known("old", has_ended=True))
        store.evict(known("new", at=1))
        assert store.has_room(known("old", has_ended=True))


class TestDeparted:
    """Recordings that were known, and were let go."""

    @pytest.mark.parametrize(
        ("has_ended", "told", "outcome"),
        [
            (True, None, Outcome.UPLOADED),
            (True, Outcome.VANISHED, Outcome.UPLOADED),
            (False, Outcome.VANISHED, Outcome.VANISHED),
            (False, None, None),
        ],
    )
    def test_what_is_kept(
        self, told: Outcome | None, outcome: Outcome | None, *, has_ended: bool
    ) -> None:
        """Its end as it was known, else as it is told, and its start are kept until it is back."""
        each = known("a", has_ended=has_ended)
        store = holding(each)
        assert store.tombstone("a") is None
        store.evict(each, told)
        expected = Tombstone(outcome, each.recording.started_timestamp_seconds)
        assert expected == store.tombstone("a")
        assert {"a": expected} == store.tombstones
        store.upsert(each)
        assert store.tombstone("a") is None

    def test_dropped(self) -> None:
        """What was dropped is kept in mind as well."""
        store = holding(known("a", has_ended=True), known("b"), largest=1)
        store.evict_surplus()
        assert ["a"] == list(store.tombstones)

    def test_from_before_the_start(self) -> None:
        """What a process before this one has let go is kept in mind."""
        departed = {"a": Tombstone(Outcome.ERRORED, NOW), "b": Tombstone()}
        store = RecordingStore(ROOMY, departed)
        store.upsert(known("b"))
        assert Tombstone(Outcome.ERRORED, NOW) == store.tombstone("a")
        assert ["a"] == list(store.tombstones)
        assert 2 == len(departed)

    def test_only_the_last_ones(self) -> None:
        """Of a great many that have left the last ones are kept in mind."""
        store = holding()
        for number in range(REMEMBERED + 5):
            each = known(str(number), has_ended=True)
            store.upsert(each)
            store.evict(each)
        assert [str(number) for number in range(5, REMEMBERED + 5)] == list(store.tombstones)

    def test_a_snapshot_of_them(self) -> None:
        """What was told of them does not change with them."""
        store = holding(known("a"))
        before = store.tombstones
        store.evict(known("a"))
        assert {} == before

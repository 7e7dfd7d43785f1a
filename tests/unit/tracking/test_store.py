import tracemalloc

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Outcome, Recording, Status
from rk_exporter.tracking.lifecycle import FollowRules, KnownRecording
from rk_exporter.tracking.store import RecordingStore, Tombstone
from rk_exporter.tracking.totals import RecordingTotals
from tests.support.building import NOW


ROOMY = 1000
MOST_TOMBSTONES = 100_000
RULES = FollowRules(
    retain_seconds=3600.0,
    max_recordings=1000,
    reread_seconds=21_600.0,
    keep_removed=False,
    longest_pause_seconds=225.0,
)

# A recording's id, its meeting, and whether it has ended; None evicts it.
Step = tuple[str, str, bool | None]
STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("MN"), st.none() | st.booleans()),
    max_size=20,
)
# For recordings in the order of their first readings: when they started or ended, and whether they
# have ended.
MOMENTS = st.lists(
    st.tuples(st.integers(0, 50), st.booleans()),
    min_size=1,
    max_size=12,
    unique_by=lambda item: item[0],
)


def known(
    recording_id: str, *, at: float = 0.0, has_ended: bool = False, meeting_id: str = "meeting-1"
) -> KnownRecording:
    """Return a recording that started, or *has_ended*, *at* seconds after NOW."""
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
    store = RecordingStore(RULES, largest=largest)
    for recording in recordings:
        store.upsert(recording)
    return store


def ids(store: RecordingStore) -> list[str]:
    return [recording.recording_id for recording in store]


def _age(at: int, has_ended: bool) -> int:  # noqa: FBT001 # as drawn
    return at if has_ended else -at


def numbered(moments: Sequence[tuple[int, bool]]) -> list[KnownRecording]:
    return [
        known(str(number), at=at, has_ended=has_ended)
        for number, (at, has_ended) in enumerate(moments)
    ]


class TestKnown:
    """Known recordings."""

    @given(STEPS)
    @example([("a", "M", True), ("b", "M", True), ("a", "M", None), ("b", "M", None)])
    def test_any_order(self, steps: list[Step]) -> None:
        """A recording is found by id while it is known, and by meeting until it has ended."""
        store = holding()
        expected: dict[str, KnownRecording] = {}
        for recording_id, meeting_id, has_ended in steps:
            if has_ended is not None:
                before = expected.get(recording_id)
                first_meeting = before.meeting.meeting_id if before else meeting_id
                recording = known(recording_id, has_ended=has_ended, meeting_id=first_meeting)
                expected[recording_id] = recording
                store.upsert(recording)
            elif recording_id in expected:
                store.evict(expected.pop(recording_id))
            assert list(expected.values()) == list(store)
            assert all(store.get(key) == expected.get(key) for key in "abcd")
            in_progress = {key for key, recording in expected.items() if not recording.is_finished}
            assert in_progress == store.all_in_progress()
            for meeting in "MN":
                here = {key for key in in_progress if expected[key].meeting.meeting_id == meeting}
                assert here == store.in_progress(meeting)

    def test_evict_while_iterating(self) -> None:
        """Recordings can be evicted during an iteration over all of them."""
        store = holding(known("a"), known("b"))
        for recording in store:
            store.evict(recording)
        assert [] == ids(store)

    def test_revision(self) -> None:
        """Every change increments the revision, except a reading without news."""
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


class TestIndexes:
    """What a pass asks, without looking at all recordings."""

    def test_first_finished(self) -> None:
        """As many finished recordings as asked for, in the order of their ranks."""
        ended = [known(str(at), at=at, has_ended=True) for at in range(3)]
        store = holding(known("running"), *ended)
        assert ended[:0:-1] == store.first_finished(2)

    def test_perhaps_due(self) -> None:
        """Missing recordings, those without details, and those whose URL is to be checked, once."""

        def expiring(recording_id: str, hours: float, **fields: Any) -> KnownRecording:
            item = known(recording_id, has_ended=True)
            expires_at = NOW + hours * 3600
            read = replace(item.recording, download_url_expiry_timestamp_seconds=expires_at)
            return replace(item, recording=read, **fields)

        store = holding(
            known("shown"),
            replace(known("missing"), missing_since=NOW),
            expiring("ended", 1.0),
            expiring("known", 25.0, has_details=True),
            expiring("unchecked", 24.0, has_details=True),
            expiring("checked", 1.0, has_details=True, is_expiry_checked=True),
        )
        due = [item.recording_id for item in store.perhaps_due(now=NOW)]
        assert ["missing", "ended", "unchecked"] == due

    def test_memory(self) -> None:
        """Meetings whose recordings have ended take no memory."""
        store = holding()
        tracemalloc.start()
        try:
            for number in range(1000):
                recording = known("a", meeting_id=f"meeting-{number}")
                store.upsert(recording)
                store.evict(recording)
            used_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert used_bytes < 50_000


class TestLargest:
    """The limit on the number of recordings."""

    @given(MOMENTS, st.integers(1, 12))
    def test_order_of_eviction(self, moments: list[tuple[int, bool]], largest: int) -> None:
        """The recordings that ended longest ago are evicted first, then those that began last."""
        recordings = numbered(moments)
        store = holding(*recordings, largest=largest)
        evicted = store.evict_surplus()
        assert max(0, len(recordings) - largest) == evicted
        oldest_first = sorted(
            range(len(moments)),
            key=lambda index: (not moments[index][1], _age(*moments[index])),
        )
        assert [str(index) for index in sorted(oldest_first[evicted:])] == ids(store)

    @given(MOMENTS, st.integers(1, 12), st.tuples(st.integers(0, 50), st.booleans()))
    @example([(1, True), (2, True)], 2, (0, False))
    @example([(1, False), (2, False)], 1, (0, False))
    def test_room(
        self, moments: list[tuple[int, bool]], largest: int, moment: tuple[int, bool]
    ) -> None:
        """There is room for a recording if the store would not evict it immediately."""
        store = holding(*numbered(moments), largest=largest)
        store.evict_surplus()
        at, has_ended = moment
        new = known("new", at=at + 0.5, has_ended=has_ended)
        has_room = store.has_room(new)
        store.upsert(new)
        store.evict_surplus()
        assert has_room == (store.get("new") is not None)

    @pytest.mark.parametrize("has_ended", [False, True])
    def test_no_room_for_an_equal(self, *, has_ended: bool) -> None:
        """Of two recordings of the same time the first stays, so that they do not take turns."""
        store = holding(known("a", has_ended=has_ended), largest=1)
        store.evict_surplus()
        assert not store.has_room(known("b", has_ended=has_ended))

    @pytest.mark.parametrize("has_ended", [False, True])
    def test_room_for_what_is_in_progress(self, *, has_ended: bool) -> None:
        """A recording in progress takes the place of a finished one, but not of an older one."""
        store = holding(known("a", at=1, has_ended=has_ended), largest=1)
        assert has_ended == store.has_room(known("b", at=2))
        assert store.has_room(known("b", at=0.5))

    def test_full_again(self) -> None:
        """After an eviction there is room for a recording that had none before."""
        store = holding(known("old", has_ended=True), known("new", at=1), largest=1)
        store.evict_surplus()
        assert not store.has_room(known("old", has_ended=True))
        store.evict(known("new", at=1))
        assert store.has_room(known("old", has_ended=True))


class TestTotals:
    """Totals of all recordings, however many are shown."""

    @given(
        st.lists(
            st.tuples(
                st.sampled_from("abcdef"),
                st.sampled_from(Status),
                st.none() | st.integers(-3, 80).map(lambda hours: NOW + 3600.0 * hours),
                st.booleans(),
            ),
            max_size=20,
        )
    )
    def test_any_recordings(self, drawn: list[tuple[str, Status, float | None, bool]]) -> None:
        """The totals are those of the recordings as last read, also after a restart."""
        store, last = RecordingStore(RULES), {}
        for recording_id, status, expires_at, has_url in drawn:
            last[recording_id] = replace(
                known(recording_id),
                recording=Recording(
                    recording_id=recording_id,
                    status=status,
                    download_url_expiry_timestamp_seconds=expires_at,
                    has_download_url=has_url,
                ),
            )
            store.upsert(last[recording_id])
        left = [
            item.recording.download_url_expiry_timestamp_seconds - NOW
            for item in last.values()
            if item.recording.download_url_expiry_timestamp_seconds
            and item.recording.has_download_url
        ]
        ahead = [seconds for seconds in left if seconds > 0]
        finished = [item for item in last.values() if item.is_finished]
        expected = RecordingTotals(
            by_status={
                status: sum(item.recording.status is status for item in last.values())
                for status in Status
            },
            expiring={
                "1h": sum(seconds <= 3600 for seconds in ahead),
                "24h": sum(seconds <= 86_400 for seconds in ahead),
                "72h": sum(seconds <= 259_200 for seconds in ahead),
            },
            earliest_expiry_timestamp_seconds=NOW + min(ahead) if ahead else None,
            hidden=len(finished),
        )
        assert expected == store.totals(shown_finished=0, now=NOW)
        restored = RecordingStore(RULES, last.values())
        assert expected == restored.totals(shown_finished=0, now=NOW)

    def test_nothing_is_known(self) -> None:
        """The totals before the first reading are those of no recordings."""
        assert RecordingTotals() == RecordingStore(RULES).totals(shown_finished=0, now=NOW)


class TestTombstones:
    """What stays of evicted recordings."""

    @pytest.mark.parametrize(
        ("has_ended", "given_outcome", "outcome"),
        [
            (True, None, Outcome.UPLOADED),
            (True, Outcome.VANISHED, Outcome.UPLOADED),
            (False, Outcome.VANISHED, Outcome.VANISHED),
            (False, None, None),
        ],
    )
    def test_content(
        self, given_outcome: Outcome | None, outcome: Outcome | None, *, has_ended: bool
    ) -> None:
        """A tombstone has the known outcome, or else the given one, and the start."""
        recording = known("a", has_ended=has_ended)
        store = holding(recording)
        assert store.tombstone("a") is None
        store.evict(recording, given_outcome)
        expected = Tombstone(outcome, recording.recording.started_timestamp_seconds)
        assert expected == store.tombstone("a")
        assert {"a": expected} == store.tombstones
        store.upsert(recording)
        assert store.tombstone("a") is None

    def test_surplus(self) -> None:
        """A surplus recording leaves a tombstone as well."""
        store = holding(known("a", has_ended=True), known("b"), largest=1)
        store.evict_surplus()
        assert ["a"] == list(store.tombstones)

    def test_of_an_earlier_process(self) -> None:
        """Tombstones of an earlier process count as well."""
        tombstones = {"a": Tombstone(Outcome.ERRORED, NOW), "b": Tombstone()}
        store = RecordingStore(RULES, tombstones=tombstones)
        store.upsert(known("b"))
        assert Tombstone(Outcome.ERRORED, NOW) == store.tombstone("a")
        assert ["a"] == list(store.tombstones)
        assert 2 == len(tombstones)

    def test_limit(self) -> None:
        """The store keeps only the latest tombstones."""
        store = holding()
        for number in range(MOST_TOMBSTONES + 5):
            recording = known(str(number), has_ended=True)
            store.upsert(recording)
            store.evict(recording)
        assert [str(number) for number in range(5, MOST_TOMBSTONES + 5)] == list(store.tombstones)

    def test_snapshot(self) -> None:
        """Returned tombstones do not change later."""
        store = holding(known("a"))
        before = store.tombstones
        store.evict(known("a"))
        assert {} == before

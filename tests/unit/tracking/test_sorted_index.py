from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.model.recording import Status
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.sorted_index import SortedIndex
from tests.support.known import known


KEYS = st.none() | st.integers(0, 5).map(float)
STEPS = st.lists(st.tuples(st.sampled_from("abcde"), st.just("gone") | KEYS), max_size=30)


def sized(recording_id: str, key: float | None) -> KnownRecording:
    """Return a recording whose size is its key."""
    return known(recording_id, status=Status.UPLOADED, file_size_bytes=key)


def size(recording: KnownRecording) -> float | None:
    return recording.recording.file_size_bytes


@given(STEPS, st.integers(0, 6), st.integers(0, 5).map(float))
def test_any_changes(steps: list[tuple[str, float | str | None]], first: int, key: float) -> None:
    """After any changes the index equals one of the same recordings, in the order of their keys."""
    index = SortedIndex(size)
    recordings: dict[str, KnownRecording] = {}
    for recording_id, found in steps:
        before = recordings.pop(recording_id, None)
        if not isinstance(found, str):
            recordings[recording_id] = sized(recording_id, found)
        index.replace(before, recordings.get(recording_id))
    keys = sorted(
        (found, recording_id)
        for recording_id, recording in recordings.items()
        if (found := size(recording)) is not None
    )
    for built in (index, SortedIndex(size, recordings.values())):
        assert len(keys) == len(built)
        assert [recording_id for _, recording_id in keys[:first]] == built.first(first)
        assert [recording_id for found, recording_id in keys if found <= key] == built.up_to(key)
        assert len(built.up_to(key)) == built.count_up_to(key)
        assert min((found for found, _ in keys), default=None) == built.first_key()
        later = [found for found, _ in keys if found > key]
        assert min(later, default=None) == built.first_key(after=key)

from collections.abc import Sequence

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.results import Page
from rk_exporter.collector.list_age import is_past, is_sorted, not_older
from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Recording, Status


def page(times: Sequence[float | None]) -> Page[ListedRecording]:
    """Return a page of recordings that were invoked at these *times*."""
    recordings = [
        Recording(recording_id=str(n), status=Status.UPLOADED, invoked_timestamp_seconds=time)
        for n, time in enumerate(times)
    ]
    items = tuple(ListedRecording(Meeting("m", "m"), recording) for recording in recordings)
    return Page(items, tuple(recording.recording_id for recording in recordings), None)


@pytest.mark.parametrize(
    ("times", "sorted_", "past"),
    [
        ([9, 8, 7], True, False),
        ([9, 5, 4], True, True),
        ([9, 5, 5], True, False),
        ([4, 3], True, True),
        ([3, 4], False, False),
        ([9, None, 4], True, True),
        ([9, 4, None], True, True),
        ([None, None], False, False),
        ([], False, False),
        ([4], True, True),
    ],
)
def test_pages(times: list[float | None], *, sorted_: bool, past: bool) -> None:
    """A page that reaches the age ends the list if it is sorted; unknown times do not count."""
    shown = page(times)
    assert (is_sorted(shown), is_past(shown, 5)) == (sorted_, past)


@given(st.lists(st.none() | st.floats(0, 100), max_size=40), st.floats(0, 100))
def test_nothing_is_missed(times: list[float | None], oldest: float) -> None:
    """A list that is read until a page is past has all recordings that are young enough."""
    known = sorted((time for time in times if time is not None), reverse=True)
    found: list[float] = []
    for start in range(0, len(known), 5):
        shown = page(known[start : start + 5])
        found += [
            item.recording.invoked_timestamp_seconds or 0 for item in not_older(shown, oldest)
        ]
        if is_past(shown, oldest):
            break
    assert found == [time for time in known if time >= oldest]

"""
The age at which reading a list of recordings ends.

The list is sorted by the time of invocation, newest first. The API's own filter, `start_time`, is
not used: its documentation leaves open whether it is about the recording or about its meeting.
"""

from itertools import pairwise

from rk_exporter.api.results import Page
from rk_exporter.model.meeting import ListedRecording


def not_older(page: Page[ListedRecording], oldest: float) -> list[ListedRecording]:
    """Return the recordings on *page*, except those invoked before *oldest* (unix seconds)."""
    return [listed for listed in page.items if not _is_older(listed, oldest)]


def is_sorted(page: Page[ListedRecording]) -> bool:
    """Return whether the recordings on *page* are sorted as requested, as far as is known."""
    times = _known_times(page)
    return bool(times) and all(a >= b for a, b in pairwise(times))


def is_past(page: Page[ListedRecording], oldest: float) -> bool:
    """
    Return whether all later pages than *page* are older than *oldest* (unix seconds).

    That is unknown if the page is not sorted as requested.
    """
    return is_sorted(page) and _known_times(page)[-1] < oldest


def _known_times(page: Page[ListedRecording]) -> list[float]:
    times = (listed.recording.invoked_timestamp_seconds for listed in page.items)
    return [time for time in times if time is not None]


def _is_older(listed: ListedRecording, oldest: float) -> bool:
    invoked_at = listed.recording.invoked_timestamp_seconds
    return invoked_at is not None and invoked_at < oldest

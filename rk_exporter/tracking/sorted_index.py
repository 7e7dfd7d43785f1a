"""An index that keeps recordings in an order, so that no pass has to look at all of them."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Generic, TypeVar

from rk_exporter.tracking.lifecycle import KnownRecording


K = TypeVar("K", float, tuple[int, float])
# Comes after each id of a recording.
_AFTER_ALL_IDS = chr(0x10FFFF)


class SortedIndex(Generic[K]):
    """
    The ids of recordings in the order of their *key*; recordings whose key is None are left out.

    The key must depend on nothing but the recording.
    """

    def __init__(
        self, key: Callable[[KnownRecording], K | None], recordings: Iterable[KnownRecording] = ()
    ) -> None:
        self._key: Callable[[KnownRecording], K | None] = key
        self._entries: list[tuple[K, str]] = sorted(
            (found, known.recording_id) for known in recordings if (found := key(known)) is not None
        )

    def __len__(self) -> int:
        """Return how many recordings have a key."""
        return len(self._entries)

    def replace(self, before: KnownRecording | None, after: KnownRecording | None) -> None:
        """Replace a version of a recording by the next one; None if it is new or evicted."""
        old = None if before is None else self._key(before)
        new = None if after is None else self._key(after)
        if old == new:
            return
        if before is not None and old is not None:
            del self._entries[bisect_left(self._entries, (old, before.recording_id))]
        if after is not None and new is not None:
            insort(self._entries, (new, after.recording_id))

    def first(self, count: int) -> list[str]:
        """Return the ids of the first recordings."""
        return [recording_id for _, recording_id in islice(self._entries, count)]

    def first_key(self, *, after: K | None = None) -> K | None:
        """Return the first key, or the first one *after* another key."""
        position = 0 if after is None else self.count_up_to(after)
        return self._entries[position][0] if position < len(self._entries) else None

    def up_to(self, key: K) -> list[str]:
        """Return the ids of the recordings whose key is not after *key*."""
        return [recording_id for _, recording_id in islice(self._entries, self.count_up_to(key))]

    def count_up_to(self, key: K) -> int:
        """Return how many recordings have a key that is not after *key*."""
        return bisect_right(self._entries, (key, _AFTER_ALL_IDS))

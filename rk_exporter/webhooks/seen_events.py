"""The events that were taken, so that none counts twice."""

import hashlib

from collections import OrderedDict


_MOST = 20_000


class SeenEvents:
    """
    The ids and bodies of the last events.

    The id is not signed, so whoever repeats a body can give it another one.
    """

    def __init__(self, *, most: int = _MOST) -> None:
        self._most = most
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def has(self, event_id: str | None, body: bytes) -> bool:
        """Return whether an event with this id or this body was added."""
        return any(key in self._seen for key in _keys(event_id, body))

    def add(self, event_id: str | None, body: bytes) -> None:
        """Add an event whose signature is right."""
        for key in _keys(event_id, body):
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)


def _keys(event_id: str | None, body: bytes) -> list[bytes]:
    keys = [hashlib.sha256(b"body" + body).digest()]
    return [*keys, hashlib.sha256(b"id" + event_id.encode()).digest()] if event_id else keys

"""A target that shows a day of an account as fast as Prometheus asks, then the present."""

import asyncio
import time

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias


Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

DAY_SECONDS = 86_400.0
# The longest scrape interval that the rules support, and the windows that they look at closely.
COARSE_SECONDS, FINE_SECONDS = 300.0, 15.0
_FINE_FOR_SECONDS = 900.0


class Replay:
    """
    An ASGI application whose expositions have timestamps until it has caught up with the present.

    *exposition* renders the account at a time (unix seconds).
    """

    def __init__(self, exposition: Callable[[float], bytes], *, begin: float) -> None:
        self._exposition = exposition
        self._next: float | None = begin
        self.pages = 0

    @property
    def is_live(self) -> bool:
        """Return whether the past is over."""
        return self._next is None

    async def __call__(self, _scope: Message, _receive: Receive, send: Send) -> None:
        """Answer with the next exposition."""
        page = await asyncio.to_thread(self._page)
        content_type = (b"content-type", b"text/plain; version=0.0.4")
        await send({"type": "http.response.start", "status": 200, "headers": [content_type]})
        await send({"type": "http.response.body", "body": page})

    def _page(self) -> bytes:
        now, moment = time.time(), self._next
        self.pages += 1
        if moment is None or moment >= now:
            self._next = None
            return self._exposition(now)
        is_coarse = moment < now - _FINE_FOR_SECONDS
        self._next = moment + (COARSE_SECONDS if is_coarse else FINE_SECONDS)
        return _at(self._exposition(moment), moment)


def _at(page: bytes, moment: float) -> bytes:
    """Return a text exposition with a timestamp after each value."""
    stamp = f" {moment * 1000:.0f}\n".encode()
    stamped = page.replace(b"\n", stamp)
    # HELP lines are free text, but types are words.
    for kind in (b"gauge", b"counter", b"histogram"):
        stamped = stamped.replace(b" " + kind + stamp, b" " + kind + b"\n")
    return stamped

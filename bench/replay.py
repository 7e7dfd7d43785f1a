"""A target that shows the last minutes as fast as Prometheus asks, then the present."""

import asyncio
import time

from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from bench.history import stamped
from rk_exporter.model.thresholds import LONGEST_SCRAPE_INTERVAL_SECONDS


Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

FINE_SECONDS = 15.0
# The window of the rules that look at many series.
_FINE_FOR_SECONDS = 900.0


class Replay:
    """
    An ASGI application whose expositions have timestamps until it has caught up with the present.

    *exposition* renders the account at a time (unix seconds). The next one is rendered while
    Prometheus stores the one before.
    """

    def __init__(self, exposition: Callable[[float], bytes], *, begin: float) -> None:
        self._exposition = exposition
        self._moment: float | None = begin
        self._executor = ThreadPoolExecutor(max_workers=1)
        self._page = self._executor.submit(self._render)

    @property
    def is_live(self) -> bool:
        """Return whether the past is over."""
        return self._moment is None

    async def __call__(self, _scope: Message, _receive: Receive, send: Send) -> None:
        """Answer with the next exposition; with an error if it is not ready."""
        page = self._page
        if self.is_live:
            # It shows the present, not the time when it was rendered.
            page = self._executor.submit(self._render)
            await asyncio.wrap_future(page)
        elif page.done():
            self._page = self._executor.submit(self._render)
        headers = [(b"content-type", b"text/plain; version=0.0.4")]
        status = 200 if page.done() else 503
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": page.result() if page.done() else b""})

    def _render(self) -> bytes:
        now, moment = time.time(), self._moment
        if moment is None or moment >= now:
            self._moment = None
            return self._exposition(now)
        is_recent = moment >= now - _FINE_FOR_SECONDS
        self._moment = moment + (FINE_SECONDS if is_recent else LONGEST_SCRAPE_INTERVAL_SECONDS)
        return stamped(self._exposition(moment), f"{1000 * moment:.0f}")

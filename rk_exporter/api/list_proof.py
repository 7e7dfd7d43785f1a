"""Whether an app's list of recordings can be read, which decides what an undocumented 404 means."""

import asyncio
import contextlib
import math

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from rk_exporter.api.results import Parsed
from rk_exporter.model.errors import ApiError, NotFound


T = TypeVar("T")
_Parse: TypeAlias = Callable[[int, bytes], Parsed[T]]
_VALID_SECONDS = 600.0
# After a list that could not be read.
_PAUSE_SECONDS = 60.0


class ListProof:
    """
    The results of the calls for one app's list of recordings; times are by the loop's clock.

    A list proves for ten minutes that account, app and token are right. All calls that need the
    proof share one list.
    """

    def __init__(self) -> None:
        self._succeeded_at = self._failed_at = -math.inf
        self._turn = asyncio.Lock()

    def succeed(self, now: float) -> None:
        """Remember that the list was read *now*."""
        self._succeeded_at = now

    def fail(self, now: float) -> None:
        """Remember that the list could not be read *now*."""
        self._failed_at = now

    def is_valid(self, now: float) -> bool:
        """Return whether the list was read lately."""
        return now - self._succeeded_at < _VALID_SECONDS

    def apply(self, parse: _Parse[T], none: T) -> _Parse[T]:
        """Return *parse*, except that a 404 that may mean *none* does so if there is a proof."""

        def parse_with_proof(status: int, body: bytes) -> Parsed[T]:
            try:
                return parse(status, body)
            except NotFound as error:
                if error.may_mean_none and self.is_valid(asyncio.get_running_loop().time()):
                    return Parsed(none)
                raise

        return parse_with_proof

    async def obtain(self, read_list: Callable[[], Awaitable[None]]) -> bool:
        """
        Return whether there is a proof; try to make one, unless the list has failed lately.

        *read_list* reports its result to `succeed` or `fail`.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            if self.is_valid(loop.time()):
                return True
            if loop.time() - self._failed_at < _PAUSE_SECONDS:
                return False
            with contextlib.suppress(ApiError):
                await read_list()
            return self.is_valid(loop.time())

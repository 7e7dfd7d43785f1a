"""Lists that the API returns in pages."""

import asyncio
import math

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Generic, TypeVar

from rk_exporter.api.results import Page
from rk_exporter.model.errors import ApiError, BodyTooLarge, ClientError


# The most that clients in production are known to ask for. The API documents no maximum.
PER_PAGE = 100
_SMALLER = {100: 50, 50: 25, 25: 12, 12: 10}
_SMALLER_FOR_SECONDS = 86_400.0
# If no size helps, the size is not the problem.
_FUTILE_FOR_SECONDS = 3600.0
# A page without paging and with such a length is full, although it is shorter than requested: the
# API has a limit of its own.
_USUAL_LIMITS = frozenset({10, 20, 25, 30, 50})
T = TypeVar("T")


class PageSizeChanged(Exception):
    """The API refused a page, and the next one will be smaller, so all page numbers change."""


class PageSize:
    """
    How many items to request per page of one list; all times are seconds of one monotonic clock.

    The API may refuse large pages, or send more bytes than the exporter reads. Then smaller pages
    are requested for a day.
    """

    def __init__(self) -> None:
        self._size = PER_PAGE
        self._smaller_until = math.inf
        self._is_accepted = False
        self._futile_until = -math.inf

    def current(self, now: float) -> int:
        """Return the size of the next page."""
        if now >= self._smaller_until:
            self._reset()
        return self._size

    def accept(self, size: int) -> None:
        """Remember that the API accepts pages of *size*."""
        self._is_accepted = self._is_accepted or size == self._size

    def refuse(self, size: int, error: ApiError, now: float) -> bool:
        """Return whether a smaller page than one of *size*, which caused *error*, may help."""
        if size != self._size:
            # Another call has already found out.
            return size > self._size
        is_too_large = isinstance(error, BodyTooLarge)
        is_refused = (
            isinstance(error, ClientError) and error.rejects_query and not self._is_accepted
        )
        if not is_too_large and not (is_refused and now >= self._futile_until):
            return False
        if size in _SMALLER:
            self._size, self._is_accepted = _SMALLER[size], False
            self._smaller_until = now + _SMALLER_FOR_SECONDS
            return True
        if is_refused:
            self._reset()
            self._futile_until = now + _FUTILE_FOR_SECONDS
        return False

    async def request(
        self, ask: Callable[[int], Awaitable[Page[T]]], *, is_filtered: bool = False
    ) -> Page[T]:
        """
        Return the page that *ask* returns for the current size.

        If the list *is_filtered*, a refusal may be about the filter, and says nothing about the
        size. Raises PageSizeChanged if the page was refused and a smaller one may help.
        """
        clock = asyncio.get_running_loop().time
        size = self.current(clock())
        try:
            page = await ask(size)
        except ApiError as error:
            is_about_filter = is_filtered and isinstance(error, ClientError)
            if not is_about_filter and self.refuse(size, error, clock()):
                raise PageSizeChanged from error
            raise
        self.accept(size)
        return replace(page, requested=size)

    def _reset(self) -> None:
        self._size, self._smaller_until, self._is_accepted = PER_PAGE, math.inf, False


class PageWalk(Generic[T]):
    """
    A walk over the pages of one list, which keeps its place when it stops early or a call fails.

    The API has no cursor. If it gives the list's length, the last page is the one that reaches it;
    otherwise a short page is the last. An empty or repeated page ends the list, too. A page with
    items that cannot be read only looks short or empty. The numbers of pages depend on how many
    items are requested per page: if that changes, the walk restarts.
    """

    def __init__(self) -> None:
        self.page_count = 0
        """How many pages were read since the list began."""
        self._last: Page[T] | None = None

    @property
    def passed(self) -> int:
        """Return how many items may have been on the pages that were read."""
        return self.page_count * self._last.requested if self._last else 0

    async def go_on(
        self,
        fetch: Callable[[int], Awaitable[Page[T]]],
        *,
        is_enough: Callable[[Page[T]], bool] = lambda _: False,
    ) -> bool:
        """
        Read the next pages, as *fetch* returns them by number, until one *is_enough*.

        Return whether the list has ended. When *fetch* is called with 1, the list begins, perhaps
        again. The errors of *fetch* are raised.
        """
        while True:
            try:
                page = await fetch(self.page_count + 1)
            except PageSizeChanged:
                self.restart()
                continue
            if self._last and page.requested != self._last.requested:
                self.restart()
                continue
            self.page_count += 1
            before, self._last = self._last, page
            is_repeated = before and page.item_ids == before.item_ids
            is_empty = page.is_complete and not page.item_ids
            if is_empty or is_repeated or _is_last(page):
                return True
            if is_enough(page):
                return False

    def restart(self) -> None:
        """Begin again with the first page."""
        self.page_count, self._last = 0, None


def _is_last(page: Page[T]) -> bool:
    """Return whether the list ends with this page, as far as the API says it."""
    if page.paging is not None:
        return page.paging.end_offset >= page.paging.total_count
    length = len(page.item_ids)
    return page.is_complete and length < page.requested and length not in _USUAL_LIMITS

"""Lists that the API returns in pages."""

import itertools

from collections.abc import Awaitable, Callable
from typing import TypeVar

from rk_exporter.api.results import Page


# The most that clients in production are known to ask for. The API documents no maximum.
PER_PAGE = 100
T = TypeVar("T")


async def walk(
    fetch: Callable[[int], Awaitable[Page[T]]],
    *,
    first: int = 1,
    is_enough: Callable[[Page[T]], bool] = lambda _: False,
) -> list[Page[T]]:
    """
    Return the pages that *fetch* returns by number, from the *first* to the last one needed.

    The API has no cursor. If it gives the list's length, the last page is the one that reaches it;
    otherwise a short page is the last. An empty or repeated page ends the list, too.
    """
    pages: list[Page[T]] = []
    for number in itertools.count(first):
        page = await fetch(number)
        if not page.item_ids or (pages and page.item_ids == pages[-1].item_ids):
            break
        pages.append(page)
        if page.paging is None:
            is_last = len(page.item_ids) < PER_PAGE
        else:
            is_last = page.paging.end_offset >= page.paging.total_count
        if is_last or is_enough(page):
            break
    return pages

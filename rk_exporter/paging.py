"""Lists that come in pages."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Protocol, TypeVar

from rk_exporter.api import PER_PAGE, CallTerms
from rk_exporter.payloads import Paging, RecordingsPage
from rk_exporter.recordings import Status


class Page(Protocol):
    """A page of any list."""

    @property
    def item_ids(self) -> Sequence[str]:
        """Return the ids of what is on the page."""
        ...

    @property
    def paging(self) -> Paging | None:
        """Return where the page stands in the list, if the API says so."""
        ...


class RecordingsPageReader(Protocol):
    """One connection to the API, used by one worker at a time."""

    async def recordings_page(
        self,
        page_no: int,
        terms: CallTerms,
        *,
        status: Status | None,
        since: datetime | None = None,
    ) -> RecordingsPage:
        """Return a page of the recordings in one *status*, or invoked *since* a time."""
        ...


P = TypeVar("P", bound=Page)


def _never(page: Page) -> bool:
    del page
    return False


async def walk(
    fetch: Callable[[int], Awaitable[P]],
    *,
    first: int = 1,
    is_enough: Callable[[P], bool] = _never,
) -> list[P]:
    """
    Return the pages of a list that *fetch* gives by number, from the *first* until *is_enough*.

    There is no cursor: the last is the one whose end is the list's, else a short one; a page that
    is empty or repeats the one before it ends the walk too.
    """
    pages: list[P] = []
    for number in count(first):
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

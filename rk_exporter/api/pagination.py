"""Lists that come in pages."""

import itertools

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import msgspec

from rk_exporter.api import schema as shapes
from rk_exporter.api.fields import ParseIssues, count, identifier, present
from rk_exporter.api.results import Paging


# The most that clients in production are known to ask for; the API documents no maximum.
PER_PAGE = 100
ItemT = TypeVar("ItemT", bound=shapes.Item)


def _identified(
    raws: Iterable[msgspec.Raw], decoder: msgspec.json.Decoder[ItemT], issues: ParseIssues
) -> list[tuple[str, ItemT]]:
    """Return a list's items with their ids; what has no usable one is left out and counted."""

    def parse(raw: msgspec.Raw) -> tuple[str, ItemT]:
        item = decoder.decode(raw)
        return _present_identifier(item.id), item

    read = (issues.read("id", raw, parse) for raw in raws)
    return [each for each in read if each is not None]


def _present_identifier(raw: msgspec.Raw) -> str:
    return present(identifier(raw))


def _paging(raw: msgspec.Raw) -> Paging | None:
    item = shapes.paging.decode(raw)
    if item is None:
        return None
    return Paging(present(count(item.total_count)), present(count(item.end_offset)))


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

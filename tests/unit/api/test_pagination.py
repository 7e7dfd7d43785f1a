from collections.abc import Callable, Iterable

import pytest

from rk_exporter.api.pagination import walk
from rk_exporter.api.results import Page, Paging
from tests.support.building import run


def page(ids: Iterable[int], paging: tuple[int, int] | None = None) -> Page[str]:
    """Return a page; *paging* is where it ends, and how long the list is."""
    own = Paging(total_count=paging[1], end_offset=paging[0]) if paging else None
    return Page((), tuple(str(each) for each in ids), own)


def never(_: Page[str]) -> bool:
    return False


def numbers(
    *pages: Page[str], first: int = 1, is_enough: Callable[[Page[str]], bool] = never
) -> tuple[list[int], int]:
    """Return the numbers of the pages asked for, and how many of them were returned."""
    asked: list[int] = []

    async def fetch(number: int) -> Page[str]:
        asked.append(number)
        return pages[number - 1]

    return asked, len(run(walk(fetch, first=first, is_enough=is_enough)))


class TestEndOfTheList:
    """Where a list ends that has no cursor."""

    def test_end_of_the_list(self) -> None:
        """The page whose end is that of the list is the last, however full it is."""
        first, second = page(range(100), (100, 200)), page(range(100, 200), (200, 200))
        assert numbers(first, second) == ([1, 2], 2)

    def test_list_that_shrinks(self) -> None:
        """Where the list is shorter by now than where the page ends, there is no other."""
        first, second = page(range(100), (100, 150)), page(range(100, 150), (150, 120))
        assert numbers(first, second) == ([1, 2], 2)

    def test_small_pages(self) -> None:
        """An API that gives fewer a page than asked for is asked until the end of the list."""
        pages = [page(range(end - 25, end), (end, 75)) for end in (25, 50, 75)]
        assert numbers(*pages) == ([1, 2, 3], 3)

    def test_short_page(self) -> None:
        """Where nothing tells how long the list is, a page that is not full is the last."""
        assert numbers(page(range(100)), page(range(100, 199))) == ([1, 2], 2)

    def test_full_pages(self) -> None:
        """Where nothing tells, a full page may be the last: the one after it is empty."""
        assert numbers(page(range(100)), page(())) == ([1, 2], 1)

    @pytest.mark.parametrize("paging", [None, (100, 1000)])
    def test_page_that_repeats(self, paging: tuple[int, int] | None) -> None:
        """An API that does not know pages gives the same again: it counts once, and ends it."""
        assert numbers(*[page(range(100), paging)] * 3) == ([1, 2], 1)

    @pytest.mark.parametrize("paging", [None, (0, 0), (0, 1000)])
    def test_empty_list(self, paging: tuple[int, int] | None) -> None:
        """An empty page is the end, whatever the API says of how many there are."""
        assert numbers(*[page((), paging)] * 2) == ([1], 0)


PAGES = [page(range(end - 100, end), (end, 500)) for end in range(100, 600, 100)]


class TestFirst:
    """A walk that goes on where another ended."""

    def test_pages_before_it(self) -> None:
        """The pages before the first are not asked for."""
        assert numbers(*PAGES, first=4) == ([4, 5], 2)

    def test_list_that_has_become_shorter(self) -> None:
        """A list that has no such page any more ends there."""
        assert numbers(*PAGES[:3], page((), (0, 300)), first=4) == ([4], 0)


class TestEnough:
    """A walk that need not see all."""

    def test_enough(self) -> None:
        """The page that is enough is the last one, and is among those returned."""
        found = numbers(*PAGES, is_enough=lambda shown: "250" in shown.item_ids)
        assert found == ([1, 2, 3], 3)

    def test_first_page(self) -> None:
        """One page may be enough, wherever the walk begins."""
        assert numbers(*PAGES, is_enough=lambda _: True) == ([1], 1)
        assert numbers(*PAGES, is_enough=lambda _: True, first=3) == ([3], 1)

    def test_empty_page(self) -> None:
        """A page without items ends the walk; nobody is asked whether it is enough."""

        def is_enough(_: Page[str]) -> bool:
            pytest.fail("there is nothing on the page")

        assert numbers(page(()), is_enough=is_enough) == ([1], 0)

    @pytest.mark.parametrize("first", [1, 3])
    def test_failure(self, first: int) -> None:
        """What a page fails with is raised; whoever fetches knows which pages were read."""

        class Broken(Exception):
            pass

        fetched: list[int] = []

        async def fetch(number: int) -> Page[str]:
            if number == 4:
                raise Broken
            fetched.append(number)
            return PAGES[number - 1]

        with pytest.raises(Broken):
            run(walk(fetch, first=first))
        assert fetched == [*range(first, 4)]

from collections.abc import Callable, Iterable

import pytest

from rk_exporter.api.pagination import walk
from rk_exporter.api.results import Page, Paging
from tests.support.building import run


def page(ids: Iterable[int], paging: tuple[int, int] | None = None) -> Page[str]:
    """Return a page; *paging* has the end of the page and the length of the list."""
    given = Paging(total_count=paging[1], end_offset=paging[0]) if paging else None
    return Page((), tuple(map(str, ids)), given)


def never(_: Page[str]) -> bool:
    return False


def numbers(
    *pages: Page[str], first: int = 1, is_enough: Callable[[Page[str]], bool] = never
) -> tuple[list[int], int]:
    """Return the numbers of the requested pages, and how many pages were returned."""
    asked: list[int] = []

    async def fetch(number: int) -> Page[str]:
        asked.append(number)
        return pages[number - 1]

    return asked, len(run(walk(fetch, first=first, is_enough=is_enough)))


class TestEndOfTheList:
    """The end of a list without a cursor."""

    def test_end_of_the_list(self) -> None:
        """The last page reaches the end of the list, however full the page is."""
        first, second = page(range(100), (100, 200)), page(range(100, 200), (200, 200))
        assert numbers(first, second) == ([1, 2], 2)

    def test_list_that_shrinks(self) -> None:
        """If the list is shorter than the end of the page by now, the page is the last."""
        first, second = page(range(100), (100, 150)), page(range(100, 150), (150, 120))
        assert numbers(first, second) == ([1, 2], 2)

    def test_small_pages(self) -> None:
        """If the API returns fewer items per page than requested, all pages are requested."""
        pages = [page(range(end - 25, end), (end, 75)) for end in (25, 50, 75)]
        assert numbers(*pages) == ([1, 2, 3], 3)

    def test_short_page(self) -> None:
        """If the length of the list is unknown, a page that is not full is the last."""
        assert numbers(page(range(100)), page(range(100, 199))) == ([1, 2], 2)

    def test_full_pages(self) -> None:
        """If the length is unknown, a full page may be the last: the next one is empty."""
        assert numbers(page(range(100)), page(())) == ([1, 2], 1)

    @pytest.mark.parametrize("paging", [None, (100, 1000)])
    def test_repeated_page(self, paging: tuple[int, int] | None) -> None:
        """An API without pages returns the same items again: they count once and end the list."""
        assert numbers(*[page(range(100), paging)] * 3) == ([1, 2], 1)

    @pytest.mark.parametrize("paging", [None, (0, 0), (0, 1000)])
    def test_empty_list(self, paging: tuple[int, int] | None) -> None:
        """An empty page is the end, whatever length the API gives."""
        assert numbers(*[page((), paging)] * 2) == ([1], 0)


PAGES = [page(range(end - 100, end), (end, 500)) for end in range(100, 600, 100)]


class TestFirst:
    """A walk that continues an earlier walk."""

    def test_pages_before_it(self) -> None:
        """The pages before the first are not requested."""
        assert numbers(*PAGES, first=4) == ([4, 5], 2)

    def test_list_that_has_become_shorter(self) -> None:
        """A list without that page any more ends there."""
        assert numbers(*PAGES[:3], page((), (0, 300)), first=4) == ([4], 0)


class TestChangedSize:
    """Another walk has found out meanwhile that the API accepts only smaller pages."""

    SMALLER: tuple[Page[str], ...] = tuple(
        Page((), tuple(map(str, range(end - 50, end))), Paging(150, end), requested=50)
        for end in (50, 100, 150)
    )

    def test_during_a_walk(self) -> None:
        """The walk begins again if a later page has another size than those before it."""
        asked: list[int] = []

        async def fetch(number: int) -> Page[str]:
            asked.append(number)
            return PAGES[0] if asked == [1] else self.SMALLER[number - 1]

        assert [*self.SMALLER] == run(walk(fetch))
        assert [1, 2, 1, 2, 3] == asked

    @pytest.mark.parametrize(
        ("first", "requested", "expected"),
        [
            (1, 100, [1, 2, 3]),
            (2, 100, [2, 1, 2, 3]),
            (2, 50, [2, 3]),
            (2, None, [2, 3]),
        ],
    )
    def test_between_walks(self, first: int, requested: int | None, expected: list[int]) -> None:
        """A walk that goes on begins again if the pages before it had another size."""
        asked: list[int] = []

        async def fetch(number: int) -> Page[str]:
            asked.append(number)
            return self.SMALLER[number - 1]

        pages = run(walk(fetch, first=first, requested=requested))
        assert expected == asked
        assert self.SMALLER[-1] == pages[-1]


class TestEnough:
    """A walk that does not need all pages."""

    def test_enough(self) -> None:
        """The page that is enough is the last one, and it is returned."""
        found = numbers(*PAGES, is_enough=lambda shown: "250" in shown.item_ids)
        assert found == ([1, 2, 3], 3)

    def test_first_page(self) -> None:
        """One page may be enough, wherever the walk starts."""
        assert numbers(*PAGES, is_enough=lambda _: True) == ([1], 1)
        assert numbers(*PAGES, is_enough=lambda _: True, first=3) == ([3], 1)

    def test_empty_page(self) -> None:
        """A page without items ends the walk without a call of `is_enough`."""

        def is_enough(_: Page[str]) -> bool:
            pytest.fail("there is nothing on the page")

        assert numbers(page(()), is_enough=is_enough) == ([1], 0)

    @pytest.mark.parametrize("first", [1, 3])
    def test_failure(self, first: int) -> None:
        """The error of a page is raised; the caller's function knows which pages were read."""

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

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from rk_exporter.api.pagination import PageSizeChanged, PageWalk
from rk_exporter.api.results import Page, Paging
from tests.support.building import run


def page(ids: Iterable[int], paging: tuple[int, int] | None = None) -> Page[str]:
    """Return a page; *paging* has the end of the page and the length of the list."""
    given = Paging(total_count=paging[1], end_offset=paging[0]) if paging else None
    return Page((), tuple(map(str, ids)), given)


def never(_: Page[str]) -> bool:
    return False


class Walked:
    """A walk over *pages*, with the numbers of the pages that it has requested."""

    def __init__(self, pages: Iterable[Page[str]]) -> None:
        self._pages = [*pages]
        self._walk = PageWalk[str]()
        self.asked: list[int] = []

    def go_on(self, is_enough: Callable[[Page[str]], bool] = never) -> bool:
        """Go on, and return whether the list has ended."""
        return run(self._walk.go_on(self._fetch, is_enough=is_enough))

    async def _fetch(self, number: int) -> Page[str]:
        self.asked.append(number)
        return self._pages[number - 1]


def numbers(*pages: Page[str]) -> list[int]:
    """Return the numbers of the pages that are requested until the list ends."""
    walked = Walked(pages)
    assert walked.go_on()
    return walked.asked


class TestEndOfTheList:
    """The end of a list without a cursor."""

    def test_end_of_the_list(self) -> None:
        """The last page reaches the end of the list, however full the page is."""
        first, second = page(range(100), (100, 200)), page(range(100, 200), (200, 200))
        assert numbers(first, second) == [1, 2]

    def test_list_that_shrinks(self) -> None:
        """If the list is shorter than the end of the page by now, the page is the last."""
        first, second = page(range(100), (100, 150)), page(range(100, 150), (150, 120))
        assert numbers(first, second) == [1, 2]

    def test_small_pages(self) -> None:
        """If the API returns fewer items per page than requested, all pages are requested."""
        pages = [page(range(end - 25, end), (end, 75)) for end in (25, 50, 75)]
        assert numbers(*pages) == [1, 2, 3]

    def test_short_page(self) -> None:
        """If the length of the list is unknown, a page that is not full is the last."""
        assert numbers(page(range(100)), page(range(100, 199))) == [1, 2]

    def test_items_that_cannot_be_read(self) -> None:
        """A page with such items is not shorter or emptier than the API made it."""
        short, none = (replace(page(ids), is_complete=False) for ids in (range(99), ()))
        assert numbers(short, page(range(100, 105))) == [1, 2]
        assert numbers(none, page([])) == [1, 2]
        paged = replace(page([], (100, 246)), is_complete=False)
        assert numbers(paged, page(range(146), (246, 246))) == [1, 2]

    def test_full_pages(self) -> None:
        """If the length is unknown, a full page may be the last: the next one is empty."""
        assert numbers(page(range(100)), page(())) == [1, 2]

    @pytest.mark.parametrize("paging", [None, (100, 1000)])
    def test_repeated_page(self, paging: tuple[int, int] | None) -> None:
        """An API without pages returns the same items again, which ends the list."""
        assert numbers(*[page(range(100), paging)] * 3) == [1, 2]

    @pytest.mark.parametrize("paging", [None, (0, 0), (0, 1000)])
    def test_empty_list(self, paging: tuple[int, int] | None) -> None:
        """An empty page is the end, whatever length the API gives."""
        assert numbers(*[page((), paging)] * 2) == [1]


PAGES = [page(range(end - 100, end), (end, 500)) for end in range(100, 600, 100)]


class TestGoingOn:
    """A walk that has stopped, and goes on later."""

    def test_pages_before_it(self) -> None:
        """The pages that were read are not requested again, also after a stop at each page."""
        walked = Walked(PAGES)
        ended = [walked.go_on(lambda _: True) for _ in PAGES]
        assert [False, False, False, False, True] == ended
        assert [1, 2, 3, 4, 5] == walked.asked

    def test_list_that_has_become_shorter(self) -> None:
        """A list without the next page any more ends there."""
        walked = Walked([*PAGES[:2], page((), (0, 200))])
        assert not walked.go_on(lambda shown: "150" in shown.item_ids)
        assert walked.go_on()
        assert [1, 2, 3] == walked.asked

    def test_repeated_page(self) -> None:
        """The page at which it stopped is known, so a repetition of it ends the list."""
        walked = Walked([PAGES[0]] * 3)
        assert not walked.go_on(lambda _: True)
        assert walked.go_on()
        assert [1, 2] == walked.asked

    def test_restart(self) -> None:
        """After a restart, it begins with the first page, which is no repetition."""
        walk = PageWalk[str]()
        asked: list[int] = []

        async def fetch(number: int) -> Page[str]:
            asked.append(number)
            return PAGES[0]

        for _ in range(2):
            assert not run(walk.go_on(fetch, is_enough=lambda _: True))
            assert (1, 100) == (walk.page_count, walk.passed)
            walk.restart()
        assert (0, 0) == (walk.page_count, walk.passed)
        assert [1, 1] == asked


class TestChangedSize:
    """Another walk has found out meanwhile that the API accepts only smaller pages."""

    SMALLER: tuple[Page[str], ...] = tuple(
        Page((), tuple(map(str, range(end - 50, end))), Paging(150, end), requested=50)
        for end in (50, 100, 150)
    )

    @pytest.mark.parametrize("stops", [False, True])
    @pytest.mark.parametrize("is_refused", [False, True])
    def test_later_page(self, *, stops: bool, is_refused: bool) -> None:
        """The walk begins again if a later page has another size than those before, or must."""
        walk = PageWalk[str]()
        asked: list[int] = []

        async def fetch(number: int) -> Page[str]:
            asked.append(number)
            if asked == [1, 2] and is_refused:
                raise PageSizeChanged
            return PAGES[0] if asked == [1] else self.SMALLER[number - 1]

        if stops:
            assert not run(walk.go_on(fetch, is_enough=lambda _: True))
        assert run(walk.go_on(fetch))
        assert [1, 2, 1, 2, 3] == asked
        assert (3, 150) == (walk.page_count, walk.passed)


class TestEnough:
    """A walk that does not need all pages."""

    def test_enough(self) -> None:
        """The page that is enough is the last one."""
        walked = Walked(PAGES)
        assert not walked.go_on(lambda shown: "250" in shown.item_ids)
        assert [1, 2, 3] == walked.asked

    def test_last_page(self) -> None:
        """If the last page is enough, the list has ended all the same."""
        assert Walked([page(range(50), (50, 50))]).go_on(lambda _: True)

    def test_empty_page(self) -> None:
        """A page without items ends the walk without a call of `is_enough`."""

        def is_enough(_: Page[str]) -> bool:
            pytest.fail("there is nothing on the page")

        assert Walked([page(())]).go_on(is_enough)

    def test_failure(self) -> None:
        """The error of a page is raised, and the walk goes on with that page."""
        walk = PageWalk[str]()
        asked: list[int] = []

        class Broken(Exception):
            pass

        async def fetch(number: int) -> Page[str]:
            asked.append(number)
            if asked == [1, 2, 3]:
                raise Broken
            return PAGES[number - 1]

        with pytest.raises(Broken):
            run(walk.go_on(fetch))
        assert run(walk.go_on(fetch))
        assert [1, 2, 3, 3, 4, 5] == asked

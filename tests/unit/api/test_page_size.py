import asyncio
import math

from functools import partial

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.pagination import PageSize, PageSizeChanged, PageWalk
from rk_exporter.api.results import Page, Paging
from rk_exporter.model.errors import ApiError, BodyTooLarge, ClientError, ServerError
from tests.support import virtual_time
from tests.support.building import run


DAY = 86_400.0
PAGE: Page[str] = Page((), (), None)


def refusal() -> ClientError:
    error = ClientError("the API answered 400")
    error.rejects_query = True
    return error


def shrink(sizes: PageSize, error: ApiError, now: float = 0.0) -> list[int]:
    """Return the sizes that are tried while each is refused with *error*."""
    tried = [sizes.current(now)]
    while sizes.refuse(tried[-1], error, now):
        tried.append(sizes.current(now))
    return tried


class TestSizes:
    """The size of the pages of one list."""

    @pytest.mark.parametrize("error", [refusal(), BodyTooLarge("large")])
    def test_halved(self, error: ApiError) -> None:
        """The size is halved down to ten."""
        assert shrink(PageSize(), error) == [100, 50, 25, 12, 10]

    @pytest.mark.parametrize("error", [ClientError("409"), ServerError("500")])
    def test_other_errors(self, error: ApiError) -> None:
        """Other errors are not about the size."""
        assert shrink(PageSize(), error) == [100]

    def test_accepted_size(self) -> None:
        """A size that was accepted is not the reason of a refusal, but its page may be large."""
        sizes = PageSize()
        sizes.accept(100)
        assert shrink(sizes, refusal()) == [100]
        assert sizes.refuse(100, BodyTooLarge("large"), 0.0)
        assert sizes.current(0.0) == 50

    def test_a_day(self) -> None:
        """A smaller size is kept for a day; then the largest is tried again."""
        sizes = PageSize()
        assert sizes.refuse(100, refusal(), 0.0)
        sizes.accept(50)
        assert (sizes.current(DAY - 1), sizes.current(DAY)) == (50, 100)
        assert shrink(sizes, refusal(), DAY) == [100, 50, 25, 12, 10]

    def test_futile(self) -> None:
        """If the API refuses every size, the size is not at fault: it is kept for an hour."""
        sizes = PageSize()
        shrink(sizes, refusal())
        assert shrink(sizes, refusal(), 3599.0) == [100]
        assert shrink(sizes, refusal(), 3600.0) == [100, 50, 25, 12, 10]

    def test_large_items(self) -> None:
        """If even ten items are too large, the size stays at ten."""
        sizes = PageSize()
        shrink(sizes, BodyTooLarge("large"))
        assert sizes.current(1.0) == 10

    def test_simultaneous_refusals(self) -> None:
        """Calls that were refused with the same size halve it once."""
        sizes = PageSize()
        assert [sizes.refuse(100, refusal(), 0.0) for _ in range(4)] == [True] * 4
        assert sizes.current(0.0) == 50


class TestRequest:
    """Requests of pages, whose answers set the size."""

    @staticmethod
    def asked(
        *answers: Page[str] | ApiError, is_filtered: bool = False, wait_seconds: float = 0.0
    ) -> tuple[list[int], list[object]]:
        """Return the sizes that are asked for one after the other, and the results."""
        sizes, left = PageSize(), [*answers]
        asked: list[int] = []

        async def ask(size: int) -> Page[str]:
            asked.append(size)
            answer = left.pop(0)
            if isinstance(answer, ApiError):
                raise answer
            return answer

        async def steps() -> list[object]:
            results: list[object] = []
            for _ in answers:
                try:
                    page = await sizes.request(ask, is_filtered=is_filtered)
                    results.append(page.requested)
                except (ApiError, PageSizeChanged) as error:
                    results.append(error.__cause__ or error)
                await asyncio.sleep(wait_seconds)
            return results

        return asked, virtual_time.run(steps())

    def test_accepted(self) -> None:
        """A page knows how many items it could have; its size is not at fault later."""
        error = refusal()
        assert self.asked(PAGE, error, PAGE) == ([100, 100, 100], [100, error, 100])

    @pytest.mark.parametrize("error", [refusal(), BodyTooLarge("large")])
    def test_refused(self, error: ApiError) -> None:
        """After a refusal the walk begins again, with a smaller size for a day."""
        assert self.asked(error, PAGE, PAGE) == ([100, 50, 50], [error, 50, 50])
        waited = self.asked(error, PAGE, PAGE, wait_seconds=DAY / 2)
        assert waited == ([100, 50, 100], [error, 50, 100])

    def test_refused_filter(self) -> None:
        """A refusal of a filtered list may be about the filter; a page that is too large is not."""
        error, large = refusal(), BodyTooLarge("large")
        assert self.asked(error, error, is_filtered=True) == ([100, 100], [error, error])
        assert self.asked(large, PAGE, is_filtered=True) == ([100, 50], [large, 50])

    def test_other_failure(self) -> None:
        """Another failure is the caller's."""
        error = ServerError("500")
        assert self.asked(error, PAGE) == ([100, 100], [error, 100])


class ListServer:
    """A list of *count* items whose server accepts *largest* per page, and may change that."""

    def __init__(self, count: int, changes: dict[int, int], *, pages: bool) -> None:
        self._items = [str(number) for number in range(count)]
        self._changes = changes
        self._has_paging = pages
        self._largest = 100
        self.sizes = PageSize()
        self.calls = 0

    async def fetch(self, number: int) -> Page[str]:
        """Return a page as the client does."""
        self.calls += 1
        self._largest = self._changes.get(self.calls, self._largest)
        size = self.sizes.current(0.0)
        if size > self._largest:
            assert self.sizes.refuse(size, BodyTooLarge("large"), 0.0)
            raise PageSizeChanged
        end = number * size
        shown = tuple(self._items[end - size : end])
        paging = Paging(len(self._items), min(end, len(self._items))) if self._has_paging else None
        return Page(shown, shown, paging, size)


@given(
    st.integers(0, 700),
    st.dictionaries(st.integers(1, 12), st.sampled_from([10, 12, 25, 50, 100]), max_size=4),
    st.booleans(),
    st.integers(1, 8),
)
def test_no_item_is_skipped_or_repeated(
    count: int,
    changes: dict[int, int],
    pages: bool,  # noqa: FBT001 # a parameter
    stop_every: int,
) -> None:
    """Whenever the size of the pages changes, a walk reads each item once, in order."""
    server = ListServer(count, changes, pages=pages)
    walk, items = PageWalk[str](), list[str]()
    fetch = partial(read_items, server, items)
    while not run(walk.go_on(fetch, is_enough=lambda _: server.calls % stop_every == 0)):
        pass
    assert items == [str(number) for number in range(count)]
    assert server.calls <= math.ceil(count / 10) * 5 + 10


async def read_items(server: ListServer, items: list[str], number: int) -> Page[str]:
    """Fetch a page, and put its items into *items*, which the first page empties."""
    page = await server.fetch(number)
    if number == 1:
        items.clear()
    items.extend(page.items)
    return page


@pytest.mark.parametrize("limit", [10, 20, 25, 30, 50])
def test_limit_of_the_server(limit: int) -> None:
    """If the API returns fewer items than requested without paging, all pages are read."""
    items: list[str] = []

    async def fetch(number: int) -> Page[str]:
        ids = tuple(map(str, range(120)))[(number - 1) * limit : number * limit]
        items.extend(ids)
        return Page(ids, ids, None)

    assert run(PageWalk[str]().go_on(fetch))
    assert items == [*map(str, range(120))]

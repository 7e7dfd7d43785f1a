"""A walk over the pages of the list of live sessions, which may take several passes."""

from collections.abc import Awaitable, Callable, Mapping

from rk_exporter.api.pagination import PageWalk
from rk_exporter.api.results import LiveSession, Page
from rk_exporter.model.errors import ApiError, InvalidResponse
from rk_exporter.model.failure import Reason
from rk_exporter.ratelimit.limiter import RateLimitWait


# An API that has a new session on each page, without an end, must not keep the exporter busy.
MOST_SESSIONS = 10_000
# The page after such a failure may be another one, so the list begins again.
_OF_THE_PAGE = frozenset(
    {Reason.CLIENT_ERROR, Reason.NOT_FOUND, Reason.INVALID_RESPONSE, Reason.TOO_LARGE}
)


class EndlessList(InvalidResponse):
    """The list has far more pages than there can be sessions."""


class SessionWalk:
    """
    The pages of one list of live sessions, of which one pass may read only some.

    What it has found so far is the union of all pages, because a session may move to another page
    between two calls.
    """

    def __init__(self) -> None:
        self._walk = PageWalk[LiveSession]()
        self._found: dict[str, LiveSession] = {}
        self.calls = 0
        """How many calls `go_on` has made the last time."""

    @property
    def page_count(self) -> int:
        """Return how many pages were read since the list began."""
        return self._walk.page_count

    @property
    def found(self) -> Mapping[str, LiveSession]:
        """Return the sessions on the pages that were read, by the ids of their meetings."""
        return self._found

    async def go_on(
        self, fetch: Callable[[int], Awaitable[Page[LiveSession]]], *, most_calls: int
    ) -> bool:
        """
        Read the next pages, as *fetch* returns them by number, with *most_calls*.

        Return whether the list is complete. It may also stop because the rate limiter allows fewer
        calls.
        """
        self.calls = 0

        async def take(page_no: int) -> Page[LiveSession]:
            if page_no == 1:
                self._found = {}
            elif self._walk.passed >= MOST_SESSIONS:
                raise EndlessList("the list of live sessions does not end")
            self.calls += 1
            page = await fetch(page_no)
            self._found |= {session.meeting_id: session for session in page.items}
            return page

        try:
            return await self._walk.go_on(take, is_enough=lambda _: self.calls >= most_calls)
        except RateLimitWait:
            self.calls -= 1
            return False

    def take_failure(self, error: ApiError) -> None:
        """Keep the place after a call that failed, unless *error* may be about the page."""
        if error.reason in _OF_THE_PAGE:
            self.restart()

    def restart(self) -> None:
        """Begin again with the first page."""
        self._walk.restart()

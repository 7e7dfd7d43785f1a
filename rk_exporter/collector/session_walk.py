"""A walk over the pages of the list of live sessions, which may take several passes."""

from collections.abc import Awaitable, Callable, Mapping

from rk_exporter.api.pagination import PageWalk
from rk_exporter.api.results import LiveSession, Page
from rk_exporter.collector.live_sessions import MOST_SESSIONS, seen_again
from rk_exporter.model.errors import ApiError, InvalidResponse
from rk_exporter.model.failure import Reason
from rk_exporter.ratelimit.limiter import RateLimitWait


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
        self.is_readable = True
        """Whether all sessions on the pages so far could be read."""
        self.calls = 0
        """How many calls `go_on` has made the last time."""

    @property
    def page_count(self) -> int:
        """Return how many pages were read since the list began."""
        return self._walk.page_count

    @property
    def found(self) -> Mapping[str, LiveSession]:
        """Return the sessions on the pages that were read, by their ids."""
        return self._found

    async def go_on(
        self, fetch: Callable[[int], Awaitable[Page[LiveSession]]], *, most_calls: int
    ) -> bool:
        """
        Read the next pages, as *fetch* returns them by number, with *most_calls*.

        Return whether the list has ended. It may also stop because the rate limiter allows fewer
        calls. Raises InvalidResponse if it has ended and no session in it can be read: it must not
        look as if nobody were live.
        """
        self.calls = 0

        async def take(page_no: int) -> Page[LiveSession]:
            if page_no == 1:
                self._found, self.is_readable = {}, True
            elif self._walk.passed >= MOST_SESSIONS:
                raise EndlessList("the list of live sessions does not end")
            self.calls += 1
            page = await fetch(page_no)
            for session in page.items:
                before = self._found.get(session.session_id)
                self._found[session.session_id] = seen_again(before, session)
            self.is_readable = self.is_readable and page.is_complete
            return page

        try:
            has_ended = await self._walk.go_on(take, is_enough=lambda _: self.calls >= most_calls)
        except RateLimitWait:
            self.calls -= 1
            return False
        if has_ended and not self.is_readable and not self._found:
            raise InvalidResponse("no live session has a usable `id` and `associated_id`")
        return has_ended

    def take_failure(self, error: ApiError) -> None:
        """Keep the place after a call that failed, unless *error* may be about the page."""
        if error.reason in _OF_THE_PAGE:
            self.restart()

    def restart(self) -> None:
        """Begin again with the first page."""
        self._walk.restart()

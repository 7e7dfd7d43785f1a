"""A walk over the pages of the list of live sessions, which may take several passes."""

import math

from collections.abc import Awaitable, Callable, Mapping

from rk_exporter.api.pagination import walk
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
        self._found: dict[str, LiveSession] = {}
        self._last: Page[LiveSession] | None = None
        self.page_count = 0
        """How many pages were read since the list began."""
        self.calls = 0
        """How many calls `go_on` has made the last time."""

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
        self.calls, is_cut = 0, False

        async def take(page_no: int) -> Page[LiveSession]:
            if page_no == 1:
                self.restart()
            elif self._is_endless:
                raise EndlessList("the list of live sessions does not end")
            self.calls += 1
            page = await fetch(page_no)
            self.page_count, self._last = page_no, page
            self._found |= {session.meeting_id: session for session in page.items}
            return page

        def is_enough(_: Page[LiveSession]) -> bool:
            nonlocal is_cut
            is_cut = self.calls >= most_calls
            return is_cut

        last = self._last
        try:
            await walk(
                take,
                first=self.page_count + 1,
                requested=last.requested if last else None,
                ids_before=last.item_ids if last else (),
                is_enough=is_enough,
            )
        except RateLimitWait:
            self.calls -= 1
            return False
        return not is_cut

    def take_failure(self, error: ApiError) -> None:
        """Keep the place after a call that failed, unless *error* may be about the page."""
        if error.reason in _OF_THE_PAGE:
            self.restart()

    def restart(self) -> None:
        """Begin again with the first page."""
        self._found, self._last, self.page_count = {}, None, 0

    @property
    def _is_endless(self) -> bool:
        per_page = self._last.requested if self._last else 1
        return self.page_count >= math.ceil(MOST_SESSIONS / per_page)

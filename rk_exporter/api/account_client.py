"""The client of the part of the API that is about an account, not about one app."""

from urllib.parse import urlencode

from rk_exporter.api import parsers
from rk_exporter.api.calls import ApiCaller, CallObserver
from rk_exporter.api.endpoints import APPS
from rk_exporter.api.pagination import PageSize
from rk_exporter.api.results import Page
from rk_exporter.model.account import Account, ListedApp
from rk_exporter.ratelimit.pass_context import PassContext


class AccountClient:
    """
    The API of one account, with the *calls* of the account.

    Each method raises ApiError, or RateLimitWait if the rate limiter does not allow the call now.
    """

    def __init__(self, calls: ApiCaller) -> None:
        self._calls = calls
        self._page_size = PageSize()

    async def apps_page(self, page_no: int, context: PassContext) -> Page[ListedApp]:
        """
        Return a page of the account's apps ("Fetch all apps").

        Raises PageSizeChanged if the API refused the page, and smaller ones may help.
        """

        async def ask(per_page: int) -> Page[ListedApp]:
            query = {"page_no": str(page_no), "per_page": str(per_page)}
            path = f"/{APPS}?{urlencode(query)}"
            return await self._calls.call(APPS, path, parsers.parse_apps_page, context)

        return await self._page_size.request(ask)

    def change(self, account: Account, *, base_url: str, observer: CallObserver) -> None:
        """Make all further calls at another *base_url*, and count them for another *observer*."""
        self._calls.change(account, base_url=base_url, observer=observer)

    def leave(self) -> None:
        """Make no more calls; the connections are for other apps."""
        self._calls.leave()

    async def close(self) -> None:
        """Close all connections; no call may be running."""
        await self._calls.close()

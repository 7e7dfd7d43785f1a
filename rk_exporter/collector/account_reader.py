"""The apps of one account, which the API lists."""

import asyncio
import logging
import math

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rk_exporter.api.account_client import AccountClient
from rk_exporter.api.pagination import PageWalk
from rk_exporter.api.results import Page
from rk_exporter.collector.app_collector import CALL_TIMEOUT_SECONDS
from rk_exporter.collector.scrape_interval import ScrapeInterval
from rk_exporter.model.account import Account, AccountApps, ListedApp
from rk_exporter.model.errors import ApiError
from rk_exporter.model.failure import Failure
from rk_exporter.model.remedies import (
    ACCOUNT_REMEDIES,
    UNLISTED_APPS_REMEDY,
    UNWANTED_APPS_REMEDY,
)
from rk_exporter.model.secret import TokenSource
from rk_exporter.ratelimit.budget import LONGEST_PACED_SECONDS
from rk_exporter.ratelimit.limiter import RateLimiter, RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.last_logged import LastLogged
from rk_exporter.runtime.printable import names_text
from rk_exporter.snapshot import AccountSnapshot


logger = logging.getLogger(__name__)
# Ten minutes, minus the time that a scrape may be early.
LIST_INTERVAL_SECONDS = 590.0
# After a failure, and if apps are missing for the first time.
_RETRY_SECONDS = 59.0
# Until the first list there is nothing to show, so it waits for the budget for most of the pass.
_FIRST_MAX_WAIT_RATIO = 0.9
_MAX_WAIT_SECONDS = 1.0
# An API that has a new app on each page, without an end, must not keep the exporter busy.
_MOST_PAGES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountParts:
    """The parts of one account; its reader owns them."""

    account: Account
    clock: Clock
    token: TokenSource
    client: AccountClient
    limiter: RateLimiter
    wants: Callable[[ListedApp], bool]
    """Whether an app of the account is to be read."""


class AccountReader:
    """
    Lists the apps of one account every ten minutes, beginning with the *known* ones.

    When a list fails, the apps of the last one stay. An app is gone when two lists in a row do not
    have it: it may have moved to another page between two calls, or one answer may be wrong.
    """

    def __init__(
        self, parts: AccountParts, known: AccountApps | None, interval: ScrapeInterval
    ) -> None:
        self.parts = parts
        self.apps = known
        """The apps that are known, most often from the last list; None if there are none."""
        self.revision = 0
        """Incremented by every change of the apps."""
        self._interval = interval
        self._count_wanted()
        self._walk = PageWalk[ListedApp]()
        self._pages: list[Page[ListedApp]] = []
        """The pages of a list that has begun. One pass may have too few calls for all."""
        self._begun_at = -math.inf
        self._due_at = -math.inf
        self._used_token = parts.token.current()
        self._missing: frozenset[str] = frozenset()
        self._up: bool | None = None
        self._failure: Failure | None = None
        self._last_success_at: float | None = None
        self._is_cut: bool | None = None
        self._logged_failure = LastLogged[Failure | None](None)
        self._logged_cut = LastLogged(initial=False)
        self._logged_unwanted = LastLogged(initial=False)

    def change(self, parts: AccountParts, known: AccountApps | None) -> None:
        """
        Go on with other *parts* of the same account; no pass may be running.

        Before the first list, the *known* apps may be others.
        """
        self.parts, self.apps = parts, known
        self._count_wanted()
        self._walk.restart()
        self._due_at = -math.inf

    @property
    def has_list(self) -> bool:
        """Return whether the apps have ever been listed, by this process or an earlier one."""
        return self.apps is not None and self.apps.listed_at is not None

    @property
    def snapshot(self) -> AccountSnapshot:
        """Return the result of the last list."""
        return AccountSnapshot(
            account=self.parts.account,
            up=self._up,
            apps=self._wanted,
            listed=None if self._listed is None else len(self._listed),
            failure=self._failure,
            last_success_timestamp_seconds=self._last_success_at,
            is_cut=self._is_cut,
            token_problem=self.parts.token.problem,
        )

    async def refresh_token(self) -> None:
        """Read the token again before the passes over the apps, which use it, too."""
        await self.parts.token.refresh()

    async def refresh(self, deadline: float) -> None:
        """List the apps until *deadline* (loop time), if that is due."""
        parts, now = self.parts, self.parts.clock.monotonic()
        self._interval = self._interval.observe(now)
        before, self._used_token = self._used_token, parts.token.current()
        if now < self._due_at and self._used_token == before:
            return
        context = self._context(deadline)
        if self.has_list and not parts.limiter.can_afford(1, context):
            return
        try:
            is_cut = not await self._list(context, now)
        except RateLimitWait:
            self._up = False if parts.limiter.is_blocked else self._up
            return
        except ApiError as error:
            self._up, self._failure = False, error.failure
            if error.was_sent:
                self._due_at = now + _RETRY_SECONDS
        else:
            self._up, self._failure = True, None
            self._take_pages(is_cut=is_cut)
            self._due_at = now + (_RETRY_SECONDS if self._missing else LIST_INTERVAL_SECONDS)
        parts.limiter.end_pass()
        self._log()

    async def _list(self, context: PassContext, now: float) -> bool:
        """
        Read the pages that are missing. Pages that are too old are read again.

        Return whether the list has ended; if not, it is too long.
        """
        if now - self._begun_at > LIST_INTERVAL_SECONDS:
            self._walk.restart()

        async def page(number: int) -> Page[ListedApp]:
            found = await self.parts.client.apps_page(number, context)
            if number == 1:
                self._pages, self._begun_at = [], now
            self._pages.append(found)
            return found

        return await self._walk.go_on(
            page, is_enough=lambda _: self._walk.page_count >= _MOST_PAGES
        )

    def _context(self, deadline: float) -> PassContext:
        now = asyncio.get_running_loop().time()
        seconds = deadline - now
        max_wait = _MAX_WAIT_SECONDS if self.has_list else _FIRST_MAX_WAIT_RATIO * seconds
        return PassContext(
            token=self.parts.token.current(),
            deadline=deadline,
            call_timeout_seconds=min(CALL_TIMEOUT_SECONDS, seconds / 2),
            wait_until=now + min(max_wait, seconds),
            interval_seconds=min(self._interval.seconds, LONGEST_PACED_SECONDS),
        )

    def _take_pages(self, *, is_cut: bool) -> None:
        """Take over the pages of a list, whole or cut."""
        pages, self._pages = self._pages, []
        self._walk.restart()
        self._last_success_at = listed_at = self.parts.clock.wall()
        self._is_cut = is_cut
        listed = {app.app_id: app for page in pages for app in page.items}
        is_complete = all(page.is_complete for page in pages)
        self._take(listed, listed_at=listed_at, is_complete=is_complete)
        self._log_cut(len(listed), is_cut=is_cut)
        self._log_unwanted()

    def _take(
        self, listed: Mapping[str, ListedApp], *, listed_at: float, is_complete: bool
    ) -> None:
        """
        Take over the *listed* apps, and keep those that are missing for the first time.

        If the list is not complete, keep all: any of them may be in it, without its id.
        """
        known = {app.app_id: app for app in self.apps.apps} if self.apps else {}
        missing = known.keys() - listed.keys()
        missing -= self._missing if is_complete else set()
        kept = [listed.get(key, app) for key, app in known.items() if key in {*listed, *missing}]
        new = [app for key, app in listed.items() if key not in known]
        self._missing = frozenset(missing) if is_complete else frozenset()
        after = (*kept, *new)
        if self.apps is None or after != self.apps.apps:
            self.revision += 1
            self._log_change(new, [app for key, app in known.items() if app not in after])
        self.apps = AccountApps(self.parts.account.account_id, after, listed_at)
        self._count_wanted()

    def _count_wanted(self) -> None:
        listed = self._listed
        self._wanted = None if listed is None else sum(map(self.parts.wants, listed))

    @property
    def _listed(self) -> tuple[ListedApp, ...] | None:
        """Return the apps of the last list; None before the first one."""
        return self.apps.apps if self.apps and self.has_list else None

    def _log_change(self, added: list[ListedApp], removed: list[ListedApp]) -> None:
        fields = {
            "account": self.parts.account.name,
            "added": names_text([app.name for app in added]),
            "removed": names_text([app.name for app in removed]),
        }
        logger.info("apps of the account have changed", extra=fields)

    def _log(self) -> None:
        failure = self._failure
        if not self._logged_failure.changes_to(failure):
            return
        fields = {"account": self.parts.account.name}
        if failure is None:
            logger.info("apps of the account can be listed again", extra=fields)
        else:
            logger.warning(
                "apps of the account cannot be listed, so the known ones stay: %s",
                failure.explanation,
                extra=fields
                | {"reason": failure.reason.value, "remedy": ACCOUNT_REMEDIES[failure.reason]},
            )

    def _log_cut(self, listed: int, *, is_cut: bool) -> None:
        if not self._logged_cut.changes_to(is_cut):
            return
        fields = {"account": self.parts.account.name, "apps": listed}
        if is_cut:
            logger.warning(
                "account has more apps than the exporter lists, so the others are not read",
                extra=fields | {"remedy": UNLISTED_APPS_REMEDY},
            )
        else:
            logger.info("all apps of the account are listed again", extra=fields)

    def _log_unwanted(self) -> None:
        snapshot = self.snapshot
        if self._logged_unwanted.changes_to(snapshot.wants_none) and snapshot.wants_none:
            logger.warning(
                "account has apps, and none of them is to be read",
                extra={
                    "account": self.parts.account.name,
                    "apps": snapshot.listed,
                    "remedy": UNWANTED_APPS_REMEDY,
                },
            )

    def leave(self) -> None:
        """Make no more calls."""
        self.parts.client.leave()

    async def close(self) -> None:
        """Close all connections."""
        await self.parts.client.close()

import asyncio
import logging

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from rk_exporter.api.account_client import AccountClient
from rk_exporter.api.results import Page, Paging
from rk_exporter.collector.account_reader import AccountParts, AccountReader
from rk_exporter.collector.scrape_interval import ScrapeInterval
from rk_exporter.model.account import Account, AccountApps, ListedApp
from rk_exporter.model.errors import ApiError, ConnectFailed, RateLimited, ServerError
from rk_exporter.model.failure import Reason
from rk_exporter.model.remedies import (
    ACCOUNT_REMEDIES,
    UNLISTED_APPS_REMEDY,
    UNWANTED_APPS_REMEDY,
)
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import SlidingWindowBudget
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.limiter import RateLimiter, RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.snapshot import AccountSnapshot
from tests.support import virtual_time
from tests.support.building import NOW, TOKEN, VirtualClock, pass_context
from tests.support.log_lines import Line, lines


ACME = Account("acme", "account-1")
UNAVAILABLE = ServerError("the API answered 503")
# The start of a test, so that its budget is full.
BEGIN = 600.0


def app(name: str) -> ListedApp:
    return ListedApp(f"id-{name}", name)


def unconnected() -> ApiError:
    error = ConnectFailed("no connection")
    error.opened_connection = False
    return error


class Client(AccountClient):
    """A list of apps in pages, each of which takes a call of the budget."""

    def __init__(self, limiter: RateLimiter) -> None:
        self.limiter = limiter
        self.names: list[str] = []
        self.per_page = 100
        self.problems: list[ApiError | RateLimitWait | None] = []
        """What the next calls raise; later calls succeed."""
        self.asked: list[int] = []
        self.contexts: list[PassContext] = []
        self.is_complete = True
        self.has_left = self.is_closed = False

    async def apps_page(self, page_no: int, context: PassContext) -> Page[ListedApp]:
        problem = self.problems.pop(0) if self.problems else None
        if isinstance(problem, RateLimitWait):
            raise problem
        async with self.limiter.acquire(context):
            self.asked.append(page_no)
            self.contexts.append(context)
            if problem:
                raise problem
            end = page_no * self.per_page
            shown = [app(name) for name in self.names[end - self.per_page : end]]
            return Page(
                tuple(shown),
                tuple(listed.app_id for listed in shown),
                Paging(len(self.names), min(end, len(self.names))),
                self.per_page,
                self.is_complete,
            )

    def leave(self) -> None:
        self.has_left = True

    async def close(self) -> None:
        self.is_closed = True


class Token:
    """A token in a file that may change."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.in_file = self._read = TOKEN

    async def refresh(self) -> None:
        self._read = self.in_file

    def current(self) -> Secret:
        return self._read


class Listing:
    """The reader of one account, in virtual time."""

    def __init__(
        self, *names: str, known: AccountApps | None = None, calls: int = 6000, **changes: Any
    ) -> None:
        self._loop = asyncio.get_running_loop()
        budget = SlidingWindowBudget(calls, now=0.0, reserve_ratio=0.0)
        limiter = RateLimiter(
            BudgetGroup(budget, monotonic=self._loop.time), token=TOKEN, has_share=False
        )
        self.client, self.token = Client(limiter), Token()
        self.client.names = [*names]
        self.parts = AccountParts(
            account=ACME,
            clock=VirtualClock(),
            token=self.token,
            client=self.client,
            limiter=limiter,
            wants=lambda listed: not listed.name.startswith("test"),
        )
        self.parts = replace(self.parts, **changes)
        self.reader = AccountReader(self.parts, known, ScrapeInterval())

    async def refresh(self, after: float = 15.0, *, seconds: float = 9.5) -> list[int]:
        """Refresh *after* a pause; return the pages that were requested."""
        await asyncio.sleep(after)
        self.client.asked = []
        await self.reader.refresh_token()
        await self.reader.refresh(self._loop.time() + seconds)
        return self.client.asked

    @property
    def shown(self) -> list[str]:
        return [listed.name for listed in self.reader.apps.apps] if self.reader.apps else []


def with_listing(steps: Callable[[Listing], Awaitable[None]], *names: str, **options: Any) -> None:
    """Run *steps* with an account that has apps of these *names*."""

    async def run_steps() -> None:
        listing = Listing(*names, **options)
        await asyncio.sleep(BEGIN)
        await steps(listing)

    virtual_time.run(run_steps())


def known(*names: str) -> AccountApps:
    return AccountApps(ACME.account_id, tuple(map(app, names)), NOW - 60)


def changed(*, added: str = "", removed: str = "") -> Line:
    fields = {"account": "acme", "added": added, "removed": removed}
    return "INFO", "apps of the account have changed", fields


class TestSnapshot:
    """What metrics and status pages show of an account."""

    def test_list(self) -> None:
        """It has the result of the last list, of which a failure changes no more than it must."""

        async def steps(listing: Listing) -> None:
            nothing = AccountSnapshot(
                account=ACME,
                up=None,
                apps=None,
                listed=None,
                failure=None,
                last_success_timestamp_seconds=None,
            )
            assert listing.reader.snapshot == nothing
            await listing.refresh(0.0)
            found = replace(
                nothing,
                up=True,
                apps=2,
                listed=3,
                last_success_timestamp_seconds=NOW + BEGIN,
                is_cut=False,
            )
            assert listing.reader.snapshot == found
            assert listing.reader.apps == AccountApps(
                "account-1", (app("a"), app("test"), app("b")), NOW + BEGIN
            )
            listing.client.problems = [UNAVAILABLE]
            listing.token.problem = "is empty"
            await listing.refresh(600.0)
            assert listing.reader.snapshot == replace(
                found, up=False, failure=UNAVAILABLE.failure, token_problem="is empty"
            )
            listing.token.problem = None
            await listing.refresh(60.0)
            again = replace(found, last_success_timestamp_seconds=NOW + BEGIN + 660)
            assert listing.reader.snapshot == again

        with_listing(steps, "a", "test", "b")

    def test_known_from_before(self) -> None:
        """Apps that are known from an earlier process count, but nothing else is known."""

        async def steps(listing: Listing) -> None:
            snapshot = listing.reader.snapshot
            assert (snapshot.apps, snapshot.listed) == (1, 2)
            assert (snapshot.up, snapshot.last_success_timestamp_seconds) == (None, None)

        with_listing(steps, known=known("a", "test"))

    def test_known_from_elsewhere(self) -> None:
        """Apps that were never listed are read, but the account has no number of apps yet."""

        async def steps(listing: Listing) -> None:
            snapshot = listing.reader.snapshot
            assert (snapshot.apps, snapshot.listed) == (None, None)
            assert listing.shown == ["a"]

        with_listing(steps, known=replace(known("a"), listed_at=None))

    @pytest.mark.parametrize("is_blocked", [False, True])
    def test_no_call(self, *, is_blocked: bool) -> None:
        """While calls are suspended, an account is down; it is not if it waits for the budget."""

        async def steps(listing: Listing) -> None:
            if is_blocked:
                with pytest.raises(RateLimited):
                    async with listing.client.limiter.acquire(pass_context()):
                        raise RateLimited("wait")
            else:
                listing.client.problems = [RateLimitWait()]
            assert await listing.refresh() == []
            assert listing.reader.snapshot.up is (False if is_blocked else None)
            assert listing.reader.snapshot.failure is None

        with_listing(steps, "a")


class TestChanges:
    """Apps that come and go."""

    def test_new(self) -> None:
        """New apps come after the known ones, which stay in their order."""

        async def steps(listing: Listing) -> None:
            await listing.refresh()
            assert listing.shown == ["b", "c", "a", "d"]
            assert listing.reader.revision == 1

        with_listing(steps, "a", "b", "c", "d", known=known("b", "c"))

    def test_nothing_new(self) -> None:
        """A list with the same apps is no change; the first one is, even if it is empty."""

        async def steps(listing: Listing) -> None:
            await listing.refresh()
            assert listing.reader.revision == 1
            await listing.refresh(600.0)
            assert listing.reader.revision == 1
            listing.client.names = ["a"]
            await listing.refresh(600.0)
            assert listing.reader.revision == 2

        with_listing(steps)

    def test_gone(self, caplog: pytest.LogCaptureFixture) -> None:
        """An app is gone when two lists in a row lack it; the second one comes a minute later."""
        caplog.set_level(logging.INFO)

        async def steps(listing: Listing) -> None:
            await listing.refresh()
            listing.client.names = ["a"]
            assert await listing.refresh(590.0) == [1]
            assert listing.shown == ["a", "b", "c"]
            listing.client.names = ["a", "c"]
            assert await listing.refresh(58.9) == []
            assert await listing.refresh(0.1) == [1]
            assert listing.shown == ["a", "c"]
            # Missing again, for the first time.
            listing.client.names = ["a"]
            await listing.refresh(590.0)
            assert listing.shown == ["a", "c"]
            await listing.refresh(59.0)
            assert listing.shown == ["a"]

        with_listing(steps, "a", "b", "c", known=known("a", "b", "c"))
        assert lines(caplog, "collector.account_reader") == [
            changed(removed="b"),
            changed(removed="c"),
        ]

    def test_incomplete(self) -> None:
        """An app that a list lacks is not missing if another one on it has no id."""

        async def steps(listing: Listing) -> None:
            await listing.refresh()
            for is_complete in (True, False, False, True):
                listing.client.names, listing.client.is_complete = ["a"], is_complete
                await listing.refresh(600.0)
                assert listing.shown == ["a", "b"]
            await listing.refresh(60.0)
            assert listing.shown == ["a"]

        with_listing(steps, "a", "b")

    def test_renamed(self, caplog: pytest.LogCaptureFixture) -> None:
        """An app with another name keeps its place, and the log has its old name."""
        caplog.set_level(logging.INFO)

        async def steps(listing: Listing) -> None:
            before = AccountApps(ACME.account_id, (ListedApp("id-a", "old"), app("b")), NOW)
            reader = AccountReader(listing.parts, before, ScrapeInterval())
            listing.reader = reader
            await listing.refresh()
            assert listing.shown == ["a", "b"]
            assert reader.revision == 1

        with_listing(steps, "a", "b")
        assert lines(caplog, "collector.account_reader") == [changed(removed="old")]

    def test_other_configuration(self) -> None:
        """With another configuration, other apps are wanted, and all are listed immediately."""

        async def steps(listing: Listing) -> None:
            await listing.refresh()
            changed_account = Account("renamed", "account-1")
            listing.reader.change(
                replace(listing.parts, account=changed_account, wants=lambda _: True),
                listing.reader.apps,
            )
            snapshot = listing.reader.snapshot
            assert (snapshot.account, snapshot.apps, snapshot.up) == (changed_account, 2, True)
            assert await listing.refresh() == [1]

        with_listing(steps, "a", "test")

    def test_leave(self) -> None:
        """A reader that leaves makes no more calls; one that closes has no more connections."""

        async def steps(listing: Listing) -> None:
            listing.reader.leave()
            assert (listing.client.has_left, listing.client.is_closed) == (True, False)
            await listing.reader.close()
            assert listing.client.is_closed

        with_listing(steps)


class TestDue:
    """When the apps are listed."""

    @pytest.mark.parametrize("is_known", [False, True])
    def test_interval(self, *, is_known: bool) -> None:
        """They are listed in the first pass, and then when ten minutes are almost over."""

        async def steps(listing: Listing) -> None:
            assert await listing.refresh(0.0) == [1]
            for _ in range(3):
                assert await listing.refresh(589.9) == []
                assert await listing.refresh(0.1) == [1]

        with_listing(steps, "a", known=known("a") if is_known else None)

    @pytest.mark.parametrize(("error", "seconds"), [(UNAVAILABLE, 59.0), (unconnected(), 0.0)])
    def test_failure(self, error: ApiError, seconds: float) -> None:
        """A failure is repeated after a minute; one without a connection in the next pass."""

        async def steps(listing: Listing) -> None:
            listing.client.problems = [error] * 2
            assert await listing.refresh() == [1]
            if seconds:
                assert await listing.refresh(seconds - 0.1) == []
                seconds_left = 0.1
            else:
                seconds_left = 1.0
            assert await listing.refresh(seconds_left) == [1]
            assert await listing.refresh(seconds or 1.0) == [1]
            assert await listing.refresh(580.0) == []

        with_listing(steps, "a")

    def test_new_token(self) -> None:
        """With another token the apps are listed immediately, and with that token."""

        async def steps(listing: Listing) -> None:
            await listing.refresh()
            listing.token.in_file = Secret("another")
            assert await listing.refresh() == [1]
            assert await listing.refresh() == []
            assert [context.token for context in listing.client.contexts] == [
                TOKEN,
                Secret("another"),
            ]

        with_listing(steps, "a")

    def test_budget_that_is_used_up(self) -> None:
        """A list that is known is not read while the budget has no call for it."""

        async def steps(listing: Listing) -> None:
            assert await listing.refresh() == [1]
            await asyncio.sleep(589.0)
            async with listing.client.limiter.acquire(pass_context()):
                # Another app takes the only call in five minutes.
                pass
            assert await listing.refresh(1.0) == []
            assert await listing.refresh(298.0) == []
            assert await listing.refresh(1.0) == [1]

        with_listing(steps, "a", known=known("a"), calls=1)


class TestPages:
    """Lists that have several pages."""

    @pytest.mark.parametrize(("pause", "pages"), [(590.0, [2]), (590.1, [1, 2])])
    def test_part(self, pause: float, pages: list[int]) -> None:
        """A pass without calls for all pages leaves the rest to the next one, for ten minutes."""

        async def steps(listing: Listing) -> None:
            listing.client.per_page = 2
            listing.client.problems = [None, RateLimitWait()]
            assert await listing.refresh() == [1]
            assert listing.shown == []
            listing.client.problems = [RateLimitWait()]
            assert await listing.refresh() == []
            assert await listing.refresh(pause - 15) == pages
            assert listing.shown == ["a", "b", "c"]

        with_listing(steps, "a", "b", "c")

    def test_other_size(self) -> None:
        """If the pages have another size when the list goes on, it begins again."""

        async def steps(listing: Listing) -> None:
            listing.client.per_page = 2
            listing.client.problems = [None, UNAVAILABLE]
            assert await listing.refresh() == [1, 2]
            listing.client.per_page = 1
            assert await listing.refresh(60.0) == [2, 1, 2, 3, 4]
            assert listing.shown == ["a", "b", "c", "d"]

        with_listing(steps, "a", "b", "c", "d")

    def test_goes_on_after_a_failure(self) -> None:
        """Pages that were read before a failure are not read again."""

        async def steps(listing: Listing) -> None:
            listing.client.per_page = 2
            listing.client.problems = [None, UNAVAILABLE]
            assert await listing.refresh() == [1, 2]
            assert listing.shown == []
            assert await listing.refresh(60.0) == [2]
            assert listing.shown == ["a", "b", "c"]
            assert await listing.refresh(600.0) == [1, 2]

        with_listing(steps, "a", "b", "c")

    def test_change(self) -> None:
        """Another configuration begins the list again."""

        async def steps(listing: Listing) -> None:
            listing.client.per_page = 1
            listing.client.problems = [None, UNAVAILABLE]
            assert await listing.refresh() == [1, 2]
            listing.reader.change(listing.parts, listing.reader.apps)
            assert await listing.refresh() == [1, 2]

        with_listing(steps, "a", "b")

    @pytest.mark.parametrize(("count", "is_cut"), [(99, False), (100, False), (101, True)])
    def test_most_pages(
        self, *, count: int, is_cut: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A hundred pages are read; if there are more, the log says so, until all are read."""
        caplog.set_level(logging.INFO)
        names = [f"app-{number:03}" for number in range(count)]
        message = "account has more apps than the exporter lists, so the others are not read"
        cut = ("WARNING", message, {"account": "acme", "apps": 100, "remedy": UNLISTED_APPS_REMEDY})
        complete = "all apps of the account are listed again"

        async def steps(listing: Listing) -> None:
            listing.client.per_page = 1
            for _ in range(2):
                assert len(await listing.refresh(600.0)) == min(count, 100)
                assert listing.reader.snapshot.is_cut is is_cut
            found = lines(caplog, "collector.account_reader")
            assert found[1:] == ([cut] if is_cut else [])
            caplog.clear()
            listing.client.per_page = 100
            listing.client.names = names[:99]
            for _ in range(3):
                await listing.refresh(600.0)
            assert listing.reader.snapshot.is_cut is False
            again = [("INFO", complete, {"account": "acme", "apps": 99})] if is_cut else []
            assert again == [
                line for line in lines(caplog, "collector.account_reader") if "listed" in line[1]
            ]

        with_listing(steps, *names, calls=10_000)


class TestContext:
    """The limits of a list."""

    @pytest.mark.parametrize(
        ("is_known", "seconds", "timeout", "waits"),
        [
            (False, 9.5, 4.75, 8.55),
            (False, 60.0, 5.0, 54.0),
            (True, 9.5, 4.75, 1.0),
            (True, 60.0, 5.0, 1.0),
            (True, 0.5, 0.25, 0.5),
        ],
    )
    def test_times(self, *, is_known: bool, seconds: float, timeout: float, waits: float) -> None:
        """The first list waits for the budget for most of the pass, the others for a second."""

        async def steps(listing: Listing) -> None:
            await listing.refresh(0.0, seconds=seconds)
            (context,) = listing.client.contexts
            assert (context.token, context.deadline) == (TOKEN, BEGIN + seconds)
            assert context.call_timeout_seconds == pytest.approx(timeout)
            assert context.wait_until == pytest.approx(BEGIN + waits)
            assert context.interval_seconds == 15.0

        with_listing(steps, "a", known=known("a") if is_known else None)

    @pytest.mark.parametrize(("interval", "paced"), [(60.0, 60.0), (200.0, 111.1)])
    def test_interval(self, interval: float, paced: float) -> None:
        """The interval is that of the passes, whether they list anything or not, up to a limit."""

        async def steps(listing: Listing) -> None:
            for _ in range(12):
                await listing.refresh(interval)
            assert listing.client.contexts[-1].interval_seconds == pytest.approx(paced, abs=0.1)

        with_listing(steps, "a")


class TestLog:
    """The log about an account."""

    def test_failure(self, caplog: pytest.LogCaptureFixture) -> None:
        """A failure is logged once for each reason, with what to do, and so is its end."""
        caplog.set_level(logging.INFO)

        async def steps(listing: Listing) -> None:
            await listing.refresh()
            listing.client.problems = [UNAVAILABLE, UNAVAILABLE, unconnected()]
            for _ in range(5):
                await listing.refresh(600.0)

        with_listing(steps, "a", "b")
        failed = "apps of the account cannot be listed, so the known ones stay: "
        why = [
            {"account": "acme", "reason": reason.value, "remedy": ACCOUNT_REMEDIES[reason]}
            for reason in (Reason.SERVER_ERROR, Reason.CONNECT)
        ]
        assert lines(caplog, "collector.account_reader") == [
            changed(added="a, b"),
            ("WARNING", f"{failed}the API answered 503", why[0]),
            ("WARNING", f"{failed}no connection", why[1]),
            ("INFO", "apps of the account can be listed again", {"account": "acme"}),
        ]

    def test_unwanted_from_the_start(self, caplog: pytest.LogCaptureFixture) -> None:
        """The first list may already have no app that is wanted."""

        async def steps(listing: Listing) -> None:
            await listing.refresh()

        with_listing(steps, "test-1", "test-2")
        assert len(lines(caplog, "collector.account_reader", least=logging.WARNING)) == 1

    def test_unwanted(self, caplog: pytest.LogCaptureFixture) -> None:
        """The log says that no app is wanted, once; again if one was in the meantime."""
        message = "account has apps, and none of them is to be read"
        fields = {"account": "acme", "remedy": UNWANTED_APPS_REMEDY}

        async def steps(listing: Listing) -> None:
            await listing.refresh()
            for names, count in ((["test-1", "test-2"], 2), (["a"], 0), (["test-1"], 1)):
                listing.client.names = names
                caplog.clear()
                for _ in range(3):
                    await listing.refresh(600.0)
                expected = [("WARNING", message, {**fields, "apps": count})] if count else []
                assert expected == lines(caplog, "collector.account_reader", least=logging.WARNING)

        with_listing(steps)

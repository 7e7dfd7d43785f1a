"""The calls about an account, and what an owner of calls can change."""

import asyncio

from collections.abc import Iterable
from typing import Any

import httpx
import pytest
import respx

from rk_exporter.api.account_client import AccountClient
from rk_exporter.api.calls import ApiCaller
from rk_exporter.api.connection import ConnectionPool
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.api.connection_setup import client_factory
from rk_exporter.api.pagination import PageSizeChanged
from rk_exporter.model.account import Account, ListedApp
from rk_exporter.model.failure import Reason
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.server_clock import ServerClock
from tests.support import virtual_time
from tests.support.building import BASE_URL, free_limiter, pass_context, run


TOKEN = Secret("canary-token")
URL = f"{BASE_URL}/accounts/an%2Faccount/realtime/kit/apps"
APPS = {"success": True, "data": [{"id": "app-1", "name": "studio"}]}


class Log:
    """Records what is counted."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def called(self, endpoint: str, code: str, duration_seconds: float) -> None:
        assert duration_seconds >= 0
        self.seen.append((endpoint, code))

    def failed(self, endpoint: str, reason: Reason) -> None:
        self.seen.append((endpoint, reason))

    def malformed(self, fields: Iterable[str]) -> None:
        self.seen.extend(("malformed", name) for name in fields)


class Setup:
    """A client of an account, what it counts, and the context of its calls."""

    def __init__(self, clients: ClientPool | None = None) -> None:
        self.log = Log()
        self.api = AccountClient(
            ApiCaller(
                Account("hospital", "an/account"),
                base_url=BASE_URL,
                pool=ConnectionPool(clients or ClientPool(client_factory(BASE_URL)), size=1),
                limiter=free_limiter(TOKEN),
                observer=self.log,
                server_clock=ServerClock(Clock()),
            )
        )

    @property
    def context(self) -> PassContext:
        """Return a context of a pass that has five seconds left."""
        deadline = asyncio.get_running_loop().time() + 5
        return pass_context(token=TOKEN, deadline=deadline)


@respx.mock
def test_apps() -> None:
    """The list of apps is asked for by page, with the token, and counted."""
    route = respx.get(url__startswith=URL).respond(200, json=APPS)

    async def steps() -> None:
        setup = Setup()
        page = await setup.api.apps_page(3, setup.context)
        assert (ListedApp("app-1", "studio"),) == page.items
        assert [("apps", "200")] == setup.log.seen
        await setup.api.close()

    run(steps())
    request = route.calls[0].request
    assert {"page_no": "3", "per_page": "100"} == dict(request.url.params)
    assert f"{URL}?page_no=3&per_page=100" == str(request.url)
    assert f"Bearer {TOKEN.reveal()}" == request.headers["Authorization"]


@respx.mock
def test_smaller_pages() -> None:
    """A refused page is asked for again in a smaller size."""
    answers = [httpx.Response(400, json={"error": {}}), httpx.Response(200, json=APPS)]
    route = respx.get(url__startswith=URL).mock(side_effect=answers)

    async def steps() -> None:
        setup = Setup()
        with pytest.raises(PageSizeChanged):
            await setup.api.apps_page(1, setup.context)
        page = await setup.api.apps_page(1, setup.context)
        assert 50 == page.requested
        await setup.api.close()

    run(steps())
    assert ["100", "50"] == [call.request.url.params["per_page"] for call in route.calls]


@respx.mock
def test_malformed_fields(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be understood is counted, and logged with the name of the account."""
    data: list[Any] = [{"id": "app-1", "name": 7}]
    respx.get(url__startswith=URL).respond(200, json={"success": True, "data": data})

    async def steps() -> None:
        setup = Setup()
        await setup.api.apps_page(1, setup.context)
        assert [("apps", "200"), ("malformed", "name")] == setup.log.seen
        await setup.api.close()

    run(steps())
    (record,) = caplog.records
    assert ("hospital", "name") == (vars(record)["account"], vars(record)["field"])
    assert "app" not in vars(record)


@respx.mock
def test_change() -> None:
    """Later calls are about what the account is by then, and are counted there."""
    elsewhere = "https://elsewhere.test/v4"
    url = f"{elsewhere}/accounts/moved/realtime/kit/apps"
    respx.get(url__startswith=url).respond(200, json=APPS)

    async def steps() -> None:
        setup, log = Setup(), Log()
        account = Account("moved", "moved")
        setup.api.change(account, base_url=f"{elsewhere}/", observer=log)
        await setup.api.apps_page(1, setup.context)
        assert ([], [("apps", "200")]) == (setup.log.seen, log.seen)
        await setup.api.close()

    run(steps())


def test_leave() -> None:
    """No connection is reserved any more for an account that has left."""

    async def steps() -> None:
        clients = ClientPool(client_factory(BASE_URL), size=2)
        other, setup = clients.share(), Setup(clients)
        setup.api.leave()
        async with (
            asyncio.timeout(1.0),
            clients.lend(other, fresh=False),
            clients.lend(other, fresh=False),
        ):
            pass

    virtual_time.run(steps())

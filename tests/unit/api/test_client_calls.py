"""The client passes on what its callers give, and decides what a 404 means."""

import asyncio
import logging

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpx
import pytest
import respx

from rk_exporter.api.calls import ApiCaller
from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.connection import ConnectionPool
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.api.connection_setup import client_factory
from rk_exporter.api.pagination import PageSizeChanged
from rk_exporter.api.results import LiveSession
from rk_exporter.model.download import FileUrls
from rk_exporter.model.errors import ApiError, ClientError, NotFound, ServerError
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App
from rk_exporter.model.recording import Recording, Status
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import SlidingWindowBudget
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.server_clock import ServerClock
from tests.support import virtual_time
from tests.support.building import BASE_URL, pass_context


TOKEN = Secret("canary-token")
ROOT = f"{BASE_URL}/accounts/account/realtime/kit/app-1"
LIST = f"{ROOT}/recordings?"
ITEM = {
    "id": "r-1",
    "status": "UPLOADED",
    "meeting_id": "m-1",
    "download_url": "https://bucket.test/a",
}
Seen = tuple[str, str]


class Log:
    """Records what is counted."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.durations: list[float] = []

    def called(self, endpoint: str, code: str, duration_seconds: float) -> None:
        self.seen.append((endpoint, code))
        self.durations.append(duration_seconds)

    def failed(self, endpoint: str, reason: Reason) -> None:
        self.seen.append((endpoint, reason))

    def malformed(self, fields: Iterable[str]) -> None:
        self.seen.extend(("malformed", name) for name in fields)


class Files:
    """Takes all URLs."""

    def __init__(self) -> None:
        self.offered: list[str] = []

    def wants(self, recording: Recording) -> bool:
        return bool(recording.recording_id)

    def offer(self, recording: Recording, files: tuple[FileUrls, ...]) -> None:
        self.offered.append(recording.recording_id)
        assert files


class Setup:
    """A client, what it counts, and the context of its calls."""

    def __init__(self, clients: ClientPool | None = None) -> None:
        self.log, self.files = Log(), Files()
        self.context = pass_context(token=TOKEN)
        # In the loop's time, in which the tests wait.
        clock = asyncio.get_running_loop().time
        budget = SlidingWindowBudget(1000, now=clock(), reserve_ratio=0.0)
        self.api = RealtimeKitClient(
            ApiCaller(
                App("studio", "account", "app-1"),
                base_url=BASE_URL,
                pool=ConnectionPool(clients or ClientPool(client_factory(BASE_URL)), size=3),
                limiter=RateLimiter(BudgetGroup(budget, monotonic=clock), token=TOKEN),
                observer=self.log,
                server_clock=ServerClock(Clock()),
            ),
            files=self.files,
        )


Question = Callable[[RealtimeKitClient, PassContext], Awaitable[object]]


def ask(question: Question) -> tuple[object, Setup]:
    """Return the answer to a question, or its error, and the client."""

    async def steps() -> tuple[object, Setup]:
        setup = Setup()
        try:
            return await question(setup.api, setup.context), setup
        except ApiError as error:
            return error, setup
        finally:
            await setup.api.close()

    return virtual_time.run(steps())


def success(data: Any) -> httpx.Response:
    return httpx.Response(200, json={"success": True, "data": data})


QUESTIONS: list[tuple[Question, str, str, Any, object]] = [
    (
        lambda api, context: api.record_on_start("m/1", context),
        f"{ROOT}/meetings/m%2F1",
        "meeting",
        {"record_on_start": True},
        True,
    ),
    (
        lambda api, context: api.active_recordings("m/1", context),
        f"{ROOT}/recordings/active-recording/m%2F1",
        "active-recording",
        None,
        (),
    ),
]


@pytest.mark.parametrize(("question", "url", "endpoint", "data", "expected"), QUESTIONS)
@respx.mock
def test_call(question: Question, url: str, endpoint: str, data: Any, expected: object) -> None:
    """A call has its path and the token of its pass, and is counted for its endpoint."""
    route = respx.get(url).mock(return_value=success(data))
    found, setup = ask(question)
    assert (expected, [(endpoint, "200")]) == (found, setup.log.seen)
    assert f"Bearer {TOKEN.reveal()}" == route.calls[0].request.headers["Authorization"]


@respx.mock
def test_live_sessions() -> None:
    """The list of sessions is asked for those that are live, page by page."""
    data = {"sessions": [{"id": "s-1", "associated_id": "m-1", "live_participants": 3}]}
    route = respx.get(url__startswith=f"{ROOT}/sessions?").mock(return_value=success(data))

    async def question(api: RealtimeKitClient, context: PassContext) -> object:
        page = await api.live_sessions_page(3, context)
        return page.items

    found, setup = ask(question)
    assert (LiveSession("s-1", "m-1", None, 3),) == found
    assert [("sessions", "200")] == setup.log.seen
    request = route.calls[0].request
    assert {"status": "LIVE", "page_no": "3", "per_page": "100"} == dict(request.url.params)
    assert f"Bearer {TOKEN.reveal()}" == request.headers["Authorization"]


@pytest.mark.parametrize(
    ("question", "data"),
    [
        (lambda api, context: api.active_recordings("m-1", context), ITEM),
        (lambda api, context: api.recording("r-1", context), ITEM),
        (lambda api, context: api.recordings_page(1, context, status=None), [ITEM]),
    ],
)
@respx.mock
def test_urls(question: Question, data: Any) -> None:
    """The URLs in each kind of answer reach the one who takes them."""
    respx.get(url__startswith=ROOT).mock(return_value=success(data))
    assert ["r-1"] == ask(question)[1].files.offered


@pytest.mark.parametrize("status", [200, 404, 500])
@respx.mock
def test_exchange(status: int) -> None:
    """Any complete answer to any path is returned, and counted for the endpoint."""
    body = b'{"success": true, "data": 7}'
    respx.get(f"{ROOT}/any/path?a=b").respond(status, content=body, headers={"X-A": "b"})
    answer, setup = ask(lambda api, context: api.exchange("sessions", "/any/path?a=b", context))
    assert (status, body, "b") == (answer.status, answer.body, answer.headers["x-a"])  # type: ignore[attr-defined] # it is one
    assert ("sessions", str(status)) == setup.log.seen[0]
    assert (status == 200) == (len(setup.log.seen) == 1)


@respx.mock
def test_exchange_without_an_answer() -> None:
    """Without a complete answer there is an error."""
    respx.get(url__startswith=ROOT).mock(side_effect=httpx.ReadTimeout("slow"))
    error, _ = ask(lambda api, context: api.exchange("sessions", "/any", context))
    assert isinstance(error, ApiError)
    assert Reason.TIMEOUT is error.reason


@respx.mock
def test_change() -> None:
    """Later calls go to another place for another app, and are counted elsewhere."""
    url = "https://elsewhere.test/v4/accounts/other/realtime/kit/app-2/meetings/m-1"
    respx.get(url).mock(return_value=success({"record_on_start": False}))

    async def steps() -> None:
        setup, log = Setup(), Log()
        app = App("other", "other", "app-2")
        setup.api.change(app, base_url="https://elsewhere.test/v4/", observer=log)
        assert await setup.api.record_on_start("m-1", setup.context) is False
        assert ([], [("meeting", "200")]) == (setup.log.seen, log.seen)
        await setup.api.close()

    virtual_time.run(steps())


def test_leave() -> None:
    """No connection is reserved any more for an app that has left."""

    async def steps() -> None:
        clients = ClientPool(client_factory(BASE_URL), size=2)
        other, setup = clients.share(), Setup(clients)
        assert 3 == setup.api.max_concurrency
        setup.api.leave()
        async with (
            asyncio.timeout(1.0),
            clients.lend(other, fresh=False),
            clients.lend(other, fresh=False),
        ):
            pass

    virtual_time.run(steps())


@respx.mock
def test_close() -> None:
    """The kept connections are closed."""
    respx.get(url__startswith=ROOT).mock(return_value=success(None))
    made: list[httpx.AsyncClient] = []
    make_client = client_factory(BASE_URL)

    def make() -> httpx.AsyncClient:
        made.append(make_client())
        return made[-1]

    async def steps() -> None:
        setup = Setup(ClientPool(make))
        await setup.api.record_on_start("m-1", setup.context)
        assert [False] == [client.is_closed for client in made]
        await setup.api.close()
        assert [True] == [client.is_closed for client in made]

    virtual_time.run(steps())


@respx.mock
def test_smaller_pages() -> None:
    """A refused page makes the pages of its list smaller, for a day, and not those of another."""
    respx.get(url__startswith=LIST).mock(return_value=httpx.Response(422))
    sessions = respx.get(url__startswith=f"{ROOT}/sessions?").mock(return_value=success([]))

    async def steps() -> None:
        setup = Setup()
        assert 100 == setup.api.recordings_per_page
        with pytest.raises(PageSizeChanged):
            await setup.api.recordings_page(1, setup.context, status=None)
        await setup.api.live_sessions_page(1, setup.context)
        assert 50 == setup.api.recordings_per_page
        await asyncio.sleep(86_400)
        assert 100 == setup.api.recordings_per_page
        await setup.api.close()

    virtual_time.run(steps())
    assert "100" == sessions.calls[0].request.url.params["per_page"]


@respx.mock
def test_retried_call(caplog: pytest.LogCaptureFixture) -> None:
    """Both attempts of a call are counted with their own times, and logged in one line."""
    caplog.set_level(logging.DEBUG, "rk_exporter.api.call_log")

    async def answer(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep((route.call_count + 1) / 2)
        if route.call_count == 1:
            raise httpx.ReadError("closed")
        return success(None)

    route = respx.get(url__startswith=ROOT).mock(side_effect=answer)

    async def steps() -> Log:
        setup = Setup()
        await asyncio.sleep(100)
        for _ in range(2):
            await setup.api.record_on_start("m-1", setup.context)
        await setup.api.close()
        return setup.log

    log = virtual_time.run(steps())
    assert [("meeting", "200"), ("meeting", "none"), ("meeting", "200")] == log.seen
    assert [0.5, 1.0, 1.5] == log.durations
    logged = [vars(record) for record in caplog.records]
    assert [(1, 0.5), (2, 1.5)] == [
        (fields["attempts"], fields["duration_seconds"]) for fields in logged
    ]


@respx.mock
def test_refused_status() -> None:
    """If the API refuses a list with a status, the status may be the reason, and not the size."""
    respx.get(url__startswith=ROOT).mock(return_value=httpx.Response(400))

    async def steps() -> None:
        setup = Setup()
        with pytest.raises(ClientError):
            await setup.api.recordings_page(1, setup.context, status=Status.PAUSED)
        assert 100 == setup.api.recordings_per_page
        with pytest.raises(PageSizeChanged):
            await setup.api.live_sessions_page(1, setup.context)
        await setup.api.close()

    virtual_time.run(steps())


class TestUnclear404:
    """A 404 that is not the documented one, which the list of recordings explains."""

    MEETING = f"{ROOT}/recordings/active-recording/m-1"

    @pytest.fixture(autouse=True)
    def unclear(self) -> Iterable[None]:
        """Answer each question about a meeting with such a 404."""
        with respx.mock:
            self.route = respx.get(self.MEETING).mock(return_value=httpx.Response(404))
            yield

    @staticmethod
    def list_answers(*answers: httpx.Response | Exception) -> respx.Route:
        """Let the list have these *answers*."""
        return respx.get(url__startswith=LIST).mock(side_effect=answers)

    @staticmethod
    def results(*waits: float) -> tuple[list[object], list[Seen]]:
        """Return the results of a question after each of these times, and what was counted."""

        async def steps() -> tuple[list[object], list[Seen]]:
            setup, results = Setup(), list[object]()
            for seconds in waits:
                await asyncio.sleep(seconds)
                try:
                    results.append(await setup.api.active_recordings("m-1", setup.context))
                except ApiError as error:
                    results.append(type(error))
            await setup.api.close()
            return results, setup.log.seen

        return virtual_time.run(steps())

    def test_readable_list(self, caplog: pytest.LogCaptureFixture) -> None:
        """If the list can be read, there is no recording, and no failure; one page is enough."""
        caplog.set_level(logging.DEBUG, "rk_exporter.api.client")
        page = {"success": True, "data": [ITEM], "paging": {"total_count": 500, "end_offset": 1}}
        route = self.list_answers(httpx.Response(200, json=page))
        unclear = ("active-recording", "404")
        assert ([(), ()], [unclear, ("recordings", "200"), unclear]) == self.results(0, 599)
        request = route.calls[0].request
        assert f"Bearer {TOKEN.reveal()}" == request.headers["Authorization"]
        assert "status" not in request.url.params
        assert ["the 404 means that there is none: the list of recordings is readable"] == [
            record.getMessage() for record in caplog.records
        ]

    def test_proof_expires(self) -> None:
        """The list is read again after ten minutes."""
        route = self.list_answers(success([]), success([]))
        assert [(), ()] == self.results(0, 600)[0]
        assert 2 == route.call_count

    def test_unreadable_list(self) -> None:
        """If the list cannot be read, each 404 is a failure; the list is left alone a minute."""
        route = self.list_answers(httpx.Response(404), httpx.Response(500), success([]))
        results, seen = self.results(0, 59, 1, 60)
        assert [NotFound, NotFound, NotFound, ()] == results
        assert 3 == route.call_count
        assert 3 == seen.count(("active-recording", Reason.NOT_FOUND))
        assert 1 == seen.count(("recordings", Reason.NOT_FOUND))
        assert 1 == seen.count(("recordings", Reason.SERVER_ERROR))

    def test_list_that_was_not_asked_for(self) -> None:
        """A connection that cannot be opened says nothing about the list."""

        async def refuse(request: httpx.Request) -> httpx.Response:
            if route.call_count:
                return success([])
            host = {"host": request.url.host}
            await request.extensions["trace"]("connection.connect_tcp.started", host)
            raise httpx.ConnectError("refused")

        route = respx.get(url__startswith=LIST).mock(side_effect=refuse)
        assert [NotFound, ()] == self.results(0, 1)[0]

    def test_list_read_before(self) -> None:
        """A list that was read for another reason is a proof, too."""
        self.list_answers(success([]))

        async def question(api: RealtimeKitClient, context: PassContext) -> object:
            await api.recordings_page(1, context, status=None)
            return await api.active_recordings("m-1", context)

        assert () == ask(question)[0]
        assert 1 == self.route.call_count

    def test_other_errors(self) -> None:
        """Only a 404 may mean that there is none; the others are counted as they are."""
        self.route.mock(return_value=httpx.Response(500))
        route = self.list_answers()
        expected = [("active-recording", "500"), ("active-recording", Reason.SERVER_ERROR)]
        assert ([ServerError], expected) == self.results(0)
        assert 0 == route.call_count

    def test_web_page(self) -> None:
        """A web page does not mean that there is none."""
        self.route.mock(return_value=httpx.Response(404, html="<p>"))
        route = self.list_answers()
        assert [NotFound] == self.results(0)[0]
        assert 0 == route.call_count

import asyncio
import contextlib
import json
import logging

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

import httpx
import pytest
import respx

from rk_exporter.api.calls import ApiCaller
from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.connection import Answer, Connection, ConnectionPool
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.api.connection_setup import client_factory
from rk_exporter.api.endpoints import ACTIVE_RECORDING, RATELIMIT_FIELD, RECORDING
from rk_exporter.model import errors as api_errors
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App
from rk_exporter.model.recording import Recording, Status, StopReason
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import WINDOW_SECONDS, SlidingWindowBudget
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.server_clock import ServerClock
from tests.support import virtual_time
from tests.support.building import (
    ACCOUNT,
    APP,
    BASE_URL,
    Time,
    VirtualClock,
    free_limiter,
    pass_context,
    run,
)
from tests.support.payloads import DETAILS, RECORDING_ID, SAMPLE


T = TypeVar("T")

CANARY = "canary-4f1b9a"
RECORDINGS_URL = f"{BASE_URL}/accounts/{ACCOUNT}/realtime/kit/{APP}/recordings"
PREFIX = f"{RECORDINGS_URL}/active-recording"


class Log:
    """An observer that records the calls to one *endpoint*."""

    def __init__(self, endpoint: str = ACTIVE_RECORDING) -> None:
        self.endpoint = endpoint
        self.codes: list[str] = []
        self.reasons: list[Reason] = []
        self.fields: list[str] = []

    def called(self, endpoint: str, code: str, duration_seconds: float) -> None:
        assert (endpoint, True) == (self.endpoint, duration_seconds >= 0)
        self.codes.append(code)

    def failed(self, endpoint: str, reason: Reason) -> None:
        assert endpoint == self.endpoint
        self.reasons.append(reason)

    def malformed(self, fields: Iterable[str]) -> None:
        self.fields.extend(fields)


def client(
    log: Log,
    *,
    app: App | None = None,
    server_clock: ServerClock | None = None,
    limiter: RateLimiter | None = None,
) -> RealtimeKitClient:
    return RealtimeKitClient(
        ApiCaller(
            app or App("production", ACCOUNT, APP),
            base_url=BASE_URL,
            pool=ConnectionPool(ClientPool(client_factory(BASE_URL)), size=1),
            limiter=limiter or free_limiter(Secret(CANARY)),
            observer=log,
            server_clock=server_clock or ServerClock(Clock()),
        )
    )


def ask(
    question: Callable[[RealtimeKitClient, PassContext], Awaitable[T]],
    *,
    log: Log,
    app: App | None = None,
    server_clock: ServerClock | None = None,
    limiter: RateLimiter | None = None,
) -> T:
    async def call() -> T:
        api = client(log, app=app, server_clock=server_clock, limiter=limiter)
        deadline = asyncio.get_running_loop().time() + 5
        try:
            return await question(api, pass_context(token=Secret(CANARY), deadline=deadline))
        finally:
            await api.close()

    return run(call())


def read(
    meeting_id: str = "meeting-1",
    *,
    log: Log | None = None,
    app: App | None = None,
    server_clock: ServerClock | None = None,
    limiter: RateLimiter | None = None,
) -> tuple[Recording, ...]:
    return ask(
        lambda api, context: api.active_recordings(meeting_id, context),
        log=log or Log(),
        app=app,
        server_clock=server_clock,
        limiter=limiter,
    )


def read_recording(
    recording_id: str = RECORDING_ID, *, log: Log | None = None, app: App | None = None
) -> Recording | None:
    return ask(
        lambda api, context: api.recording(recording_id, context),
        log=log or Log(RECORDING),
        app=app,
    )


@respx.mock
def test_request() -> None:
    """The request has the documented path, the bearer token, no compression and no cookies."""
    route = respx.get(f"{PREFIX}/meeting-1").respond(200, text=SAMPLE)
    read()
    (call,) = route.calls
    headers = call.request.headers
    assert f"Bearer {CANARY}" == headers["Authorization"]
    assert "identity" == headers["Accept-Encoding"]
    assert headers["User-Agent"].startswith("rk-exporter/")
    assert "Cookie" not in headers


@respx.mock
def test_sample_of_the_endpoints_page() -> None:
    """The sample response on the endpoint's page is a recording in the status INVOKED."""
    respx.get(f"{PREFIX}/meeting-1").respond(200, text=SAMPLE)
    log = Log()
    (recording,) = read(log=log)
    assert Status.INVOKED is recording.status
    assert (["200"], [], []) == (log.codes, log.reasons, log.fields)


@respx.mock
def test_no_active_recording_is_a_success() -> None:
    """A 404 with RealtimeKit's `error` object counts as a call and not as a failure."""
    body = {"success": False, "error": {"code": 404, "message": "none"}}
    respx.get(f"{PREFIX}/meeting-1").respond(404, json=body)
    log = Log()
    assert () == read(log=log)
    assert (["404"], []) == (log.codes, log.reasons)


class TestRecording:
    """One recording by its id."""

    @respx.mock
    def test_request(self) -> None:
        """The request has the documented path, and the answer has the stop reason."""
        route = respx.get(f"{RECORDINGS_URL}/{RECORDING_ID}")
        route.respond(200, json={"success": True, "data": DETAILS})
        log = Log(RECORDING)
        recording = read_recording(log=log)
        assert recording
        assert StopReason.ALL_PEERS_LEFT is recording.stop_reason
        assert f"Bearer {CANARY}" == route.calls[0].request.headers["Authorization"]
        assert (["200"], [], []) == (log.codes, log.reasons, log.fields)

    @respx.mock
    def test_missing_recording_is_a_success(self) -> None:
        """A missing recording counts as a call and not as a failure."""
        body = {"success": False, "error": {"code": 404, "message": "none"}}
        respx.get(f"{RECORDINGS_URL}/{RECORDING_ID}").respond(404, json=body)
        log = Log(RECORDING)
        assert read_recording(log=log) is None
        assert (["404"], []) == (log.codes, log.reasons)

    @respx.mock
    def test_another_recording_is_a_failure(self) -> None:
        """An answer about another recording counts as an invalid response."""
        data = {**DETAILS, "id": "another"}
        route = respx.get(f"{RECORDINGS_URL}/{RECORDING_ID}")
        route.respond(200, json={"success": True, "data": data})
        log = Log(RECORDING)
        with pytest.raises(api_errors.InvalidResponse):
            read_recording(log=log)
        assert (["200"], [Reason.INVALID_RESPONSE]) == (log.codes, log.reasons)

    @respx.mock
    def test_malformed_fields_are_reported(self) -> None:
        """The observer gets the names of malformed fields."""
        data = {**DETAILS, "stop_reason": 7, "audio_download_url": 7}
        route = respx.get(f"{RECORDINGS_URL}/{RECORDING_ID}")
        route.respond(200, json={"success": True, "data": data})
        log = Log(RECORDING)
        read_recording(log=log)
        assert ["audio_download_url", "stop_reason"] == sorted(log.fields)

    @respx.mock
    def test_unusual_id(self) -> None:
        """Any id is one segment of the path."""
        odd = "a/b?c#d e%2f"
        route = respx.get(url__startswith=BASE_URL).respond(404, json={"error": {}})
        read_recording(odd)
        path = route.calls[0].request.url.raw_path.decode()
        assert path.endswith("/recordings/a%2Fb%3Fc%23d%20e%252f")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, {}),
        (Status.RECORDING, {"status": "RECORDING"}),
        (Status.ERRORED, {"status": "ERRORED"}),
    ],
)
@respx.mock
def test_query_of_a_list(status: Status | None, expected: dict[str, str]) -> None:
    """The query asks for the newest first, and optionally for one status; not for a time."""
    route = respx.get(url__startswith=RECORDINGS_URL)
    route.respond(200, json={"success": True, "data": []})
    ask(
        lambda api, context: api.recordings_page(3, context, status=status),
        log=Log("recordings"),
    )
    order = {"sort_by": "invokedTime", "sort_order": "DESC"}
    page = {"page_no": "3", "per_page": "100"}
    assert {**page, **order, **expected} == dict(route.calls[0].request.url.params)


@pytest.mark.parametrize(
    ("status_code", "body", "ahead"),
    [
        pytest.param(200, SAMPLE, 90.5, id="recording"),
        pytest.param(404, '{"success": false, "error": {"code": 404}}', 90.5, id="none"),
        pytest.param(200, "<html>", 0, id="page"),
        pytest.param(429, '{"success": false}', 0, id="too many calls"),
        pytest.param(502, "bad gateway", 0, id="gateway"),
    ],
)
@respx.mock
def test_answers_set_the_server_clock(status_code: int, body: str, ahead: float) -> None:
    """
    The Date of an answer that can be understood shows how far the API's clock is ahead.

    A gateway that answers in the API's place has another clock.
    """
    now = datetime(2026, 2, 3, tzinfo=UTC)
    clock = ServerClock(Time(now.timestamp()))
    date = format_datetime(now + timedelta(seconds=90), usegmt=True)
    respx.get(f"{PREFIX}/meeting-1").respond(status_code, text=body, headers={"Date": date})
    with contextlib.suppress(api_errors.ApiError):
        read(server_clock=clock)
    assert clock.offset_seconds == pytest.approx(ahead, abs=2)


@respx.mock
def test_age_of_an_answer() -> None:
    """The age of a cached answer is not an offset of the API's clock."""
    now = datetime(2026, 2, 3, tzinfo=UTC)
    clock = ServerClock(Time(now.timestamp()))
    headers = {"Date": format_datetime(now - timedelta(seconds=600), usegmt=True), "Age": "600"}
    respx.get(f"{PREFIX}/meeting-1").respond(200, text=SAMPLE, headers=headers)
    read(server_clock=clock)
    assert 0 == clock.offset_seconds


@pytest.mark.parametrize("status_code", [200, 404, 429, 502])
@respx.mock
def test_every_answer_informs_the_rate_limiter(status_code: int) -> None:
    """The rate limiter gets the policies of any answer, even of an error."""
    headers = {"Ratelimit": '"default";r=3;t=60'}
    body = {**json.loads(SAMPLE), "errors": [{"code": 7003}]}
    respx.get(f"{PREFIX}/meeting-1").respond(status_code, json=body, headers=headers)
    limiter = free_limiter(Secret(CANARY))
    with contextlib.suppress(api_errors.ApiError):
        read(limiter=limiter)
    (policy,) = limiter.budget_status(0.0).policies
    assert ("default", 3, 60) == (policy.policy, policy.remaining, policy.reset_seconds)


def test_retry_has_the_same_deadline() -> None:
    """A retry after a closed connection ends at the deadline of the first try."""

    async def send(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        if len(calls) == 2:
            await asyncio.sleep(3)
            raise httpx.ReadError("closed")
        await asyncio.sleep(0 if len(calls) == 1 else 60)
        return httpx.Response(200, stream=httpx.ByteStream(SAMPLE.encode()))

    async def seconds() -> float:
        api = RealtimeKitClient(
            ApiCaller(
                App("production", ACCOUNT, APP),
                base_url=BASE_URL,
                pool=ConnectionPool(
                    ClientPool(lambda: httpx.AsyncClient(transport=httpx.MockTransport(send))),
                    size=1,
                ),
                limiter=free_limiter(),
                observer=Log(),
                server_clock=ServerClock(Clock()),
            )
        )
        context = pass_context(call_timeout_seconds=5.0)
        await api.active_recordings("meeting-1", context)
        begun = asyncio.get_running_loop().time()
        with pytest.raises(api_errors.ApiTimeout):
            await api.active_recordings("meeting-1", context)
        return asyncio.get_running_loop().time() - begun

    calls: list[httpx.Request] = []
    assert (5.0, 3) == (virtual_time.run(seconds()), len(calls))


@respx.mock
def test_malformed_rate_limit_header() -> None:
    """A malformed header is counted and has no other effect."""
    headers = {"Ratelimit": '"default;r=50;t=30'}
    respx.get(f"{PREFIX}/meeting-1").respond(200, text=SAMPLE, headers=headers)
    log = Log()
    assert 1 == len(read(log=log))
    assert [RATELIMIT_FIELD] == log.fields


@pytest.mark.parametrize(
    ("answer", "code", "expected"),
    [
        ({"status_code": 401}, "401", api_errors.Unauthorized),
        ({"status_code": 403}, "403", api_errors.Unauthorized),
        ({"status_code": 404, "json": {"errors": [{"code": 7003}]}}, "404", api_errors.NotFound),
        ({"status_code": 429}, "429", api_errors.RateLimited),
        ({"status_code": 500}, "500", api_errors.ServerError),
        ({"status_code": 200, "html": "<p>hello"}, "200", api_errors.InvalidResponse),
        ({"status_code": 200, "json": {"success": False}}, "200", api_errors.InvalidResponse),
        ({"status_code": 302, "headers": {"Location": "/"}}, "302", api_errors.InvalidResponse),
        ({"status_code": 200, "content": b"x" * 1_100_000}, "none", api_errors.BodyTooLarge),
    ],
)
@respx.mock
def test_error_answers(
    answer: dict[str, Any], code: str, expected: type[api_errors.ApiError]
) -> None:
    """Each error answer is counted by its status and by its reason."""
    respx.get(f"{PREFIX}/meeting-1").respond(**answer)
    log = Log()
    with pytest.raises(expected):
        read(log=log)
    assert ([code], [expected.reason]) == (log.codes, log.reasons)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "7"}, 7),
        (
            {
                "Retry-After": "Tue, 03 Feb 2026 00:02:00 GMT",
                "Date": "Tue, 03 Feb 2026 00:00:00 GMT",
            },
            120,
        ),
    ],
)
@respx.mock
def test_retry_after(headers: dict[str, str], expected: float | None) -> None:
    """The error for a 429 has the time of Retry-After."""
    respx.get(f"{PREFIX}/meeting-1").respond(429, headers=headers)
    with pytest.raises(api_errors.RateLimited) as caught:
        read()
    assert "the API answered 429" == str(caught.value)
    assert expected == caught.value.retry_after_seconds


@respx.mock
def test_retry_at_a_time() -> None:
    """Without a Date, the time of Retry-After is compared with this machine's clock."""
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    respx.get(f"{PREFIX}/meeting-1").respond(429, headers={"Retry-After": later})
    with pytest.raises(api_errors.RateLimited) as caught:
        read()
    assert caught.value.retry_after_seconds == pytest.approx(600, abs=60)


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (503, {"Retry-After": "7"}, 7),
        (503, {}, None),
        (502, {"Retry-After": "7"}, None),
    ],
)
@respx.mock
def test_unavailable(status: int, headers: dict[str, str], expected: float | None) -> None:
    """The error for a 503 has the time of Retry-After, too."""
    respx.get(f"{PREFIX}/meeting-1").respond(status, headers=headers)
    with pytest.raises(api_errors.ServerError) as caught:
        read()
    assert expected == caught.value.retry_after_seconds


@respx.mock
def test_message_of_an_error() -> None:
    """An error has the API's message without the token; its own text does not have it."""
    body = {"errors": [{"code": 7003, "message": f"Could not route {CANARY} in {BASE_URL}/x"}]}
    respx.get(f"{PREFIX}/meeting-1").respond(404, json=body)
    with pytest.raises(api_errors.NotFound) as caught:
        read()
    failure = caught.value.failure
    assert "Could not route [redacted] in [redacted]" == failure.api_message
    assert "the API answered 404 with the error code 7003" == str(caught.value)


@respx.mock
def test_large_page() -> None:
    """A page of a list may have four mebibytes."""
    body = {"success": True, "data": [], "rest": "x" * (3 << 20)}
    respx.get(url__startswith=RECORDINGS_URL).respond(200, json=body)
    page = ask(
        lambda api, context: api.recordings_page(1, context, status=None), log=Log("recordings")
    )
    assert () == page.items


@respx.mock
def test_page_whose_call_waits() -> None:
    """A caller learns when its call was made, and not when it began to wait for the budget."""
    respx.get(url__startswith=RECORDINGS_URL).respond(200, json={"success": True, "data": []})

    async def call() -> None:
        clock, token = VirtualClock(), Secret(CANARY)
        budget = SlidingWindowBudget(1, now=clock.monotonic(), reserve_ratio=0.0)
        limiter = RateLimiter(BudgetGroup(budget, monotonic=clock.monotonic), token=token)
        api = client(Log("recordings"), limiter=limiter)
        made: list[float] = []
        context = pass_context(token=token)
        for _ in range(2):
            await api.recordings_page(
                1, context, status=None, on_call=lambda: made.append(clock.monotonic())
            )
        # Nobody waits for the first one.
        assert made == [0.0, clock.monotonic()]
        assert clock.monotonic() >= WINDOW_SECONDS
        await api.close()

    virtual_time.run(call())


@respx.mock
def test_unusual_answers_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A debug message names malformed fields and unknown statuses, but not their values."""
    caplog.set_level(logging.DEBUG, logger="rk_exporter")
    data = {**json.loads(SAMPLE)["data"], "status": "TRANSCODING", "file_size": CANARY}
    other = {**data, "id": "other", "status": "NEW", "file_size": 0, "started_time": CANARY}
    respx.get(f"{PREFIX}/meeting-1").respond(200, json={"success": True, "data": [data, other]})
    read()
    message = "API answer differs from its documentation"
    (record,) = (found for found in caplog.records if found.getMessage() == message)
    assert logging.DEBUG == record.levelno
    fields = vars(record)
    assert ("production", "/recordings/active-recording/meeting-1") == (
        fields["app"],
        fields["path"],
    )
    assert "file_size,started_time" == fields["malformed"]
    assert "TRANSCODING,NEW" == fields["unknown_status"]
    assert CANARY not in str([vars(record) for record in caplog.records])


@respx.mock
def test_malformed_fields_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One warning per malformed field says why its values are missing."""
    sample = json.loads(SAMPLE)["data"]
    data = [{**sample, "id": f"r{number}", "file_size": CANARY} for number in range(5)]
    respx.get(f"{PREFIX}/meeting-1").respond(200, json={"success": True, "data": data})
    read()
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "API answer has a field that cannot be understood" in warning.getMessage()
    assert ("production", "file_size") == (vars(warning)["app"], vars(warning)["field"])


@respx.mock
def test_unknown_states_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One warning per unknown state has its value, escaped and shortened, and there is a limit."""
    sample = json.loads(SAMPLE)["data"]
    states = ["TRANSCODING", "TRANSCODING", "é" * 90, *(f"STATE-{number}" for number in range(90))]
    data = [{**sample, "id": f"r{number}", "status": state} for number, state in enumerate(states)]
    respx.get(f"{PREFIX}/meeting-1").respond(200, json={"success": True, "data": data})
    read()
    warnings = [vars(record) for record in caplog.records if record.levelno == logging.WARNING]
    logged = [fields["status"] for fields in warnings]
    assert ["TRANSCODING", r"\xe9" * 10, "STATE-0"] == logged[:3]
    assert 20 == len(set(logged)) == len(logged)
    assert {"production"} == {fields["app"] for fields in warnings}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ConnectTimeout, api_errors.ApiTimeout),
        (httpx.ReadTimeout, api_errors.ApiTimeout),
        (httpx.PoolTimeout, api_errors.ApiTimeout),
        (httpx.ConnectError, api_errors.ConnectFailed),
        (httpx.ReadError, api_errors.ConnectFailed),
        (httpx.WriteError, api_errors.ConnectFailed),
        (httpx.RemoteProtocolError, api_errors.ConnectFailed),
    ],
)
@respx.mock
def test_network_errors(
    error: type[httpx.TransportError], expected: type[api_errors.ApiError]
) -> None:
    """Each network error has its reason; its own text is dropped, because it may contain a URL."""
    respx.get(f"{PREFIX}/meeting-1").mock(side_effect=error(CANARY))
    log = Log()
    with pytest.raises(expected) as caught:
        read(log=log)
    assert CANARY not in str(caught.value)
    assert (["none"], [expected.reason]) == (log.codes, log.reasons)


@respx.mock
def test_malformed_fields_are_reported() -> None:
    """The observer gets the names of malformed fields."""
    data = {**json.loads(SAMPLE)["data"], "file_size": "large", "stopped_time": "soon"}
    respx.get(f"{PREFIX}/meeting-1").respond(200, json={"success": True, "data": data})
    log = Log()
    read(log=log)
    assert ["file_size", "stopped_time"] == log.fields


@respx.mock
def test_unusual_ids() -> None:
    """Any id is one segment of the path."""
    odd = "a/b?c#d e%2f"
    route = respx.get(url__startswith=BASE_URL).respond(200, text=SAMPLE)
    read(odd, app=App("x", odd, odd))
    quoted = "a%2Fb%3Fc%23d%20e%252f"
    expected = (
        f"/client/v4/accounts/{quoted}/realtime/kit/{quoted}/recordings/active-recording/{quoted}"
    )
    assert expected == route.calls[0].request.url.raw_path.decode()


@respx.mock
def test_the_client_is_kept_after_a_complete_answer() -> None:
    """After a complete answer with any status, the same client is used again."""
    respx.get(f"{PREFIX}/meeting-1").respond(404, json={"error": {}})
    made: list[httpx.AsyncClient] = []
    make = client_factory(BASE_URL)

    def count() -> httpx.AsyncClient:
        made.append(make())
        return made[-1]

    async def calls() -> None:
        clients = ClientPool(count)
        connection = Connection(clients, clients.share())
        deadline = asyncio.get_running_loop().time() + 5
        for _ in range(3):
            await connection.get(f"{PREFIX}/meeting-1", token=Secret("x"), deadline=deadline)
        await clients.close()

    run(calls())
    assert 1 == len(made)
    assert made[0].is_closed


@respx.mock
def test_echo_of_the_token() -> None:
    """An echo of the token is marked; in a header the mark has no brackets, which are syntax."""
    echo = "Bearer a-token-that-is-not-shown"
    respx.get(f"{PREFIX}/meeting-1").respond(200, text=echo, headers={"X-Echo": echo})

    async def call() -> Answer:
        clients = ClientPool(client_factory(BASE_URL))
        connection = Connection(clients, clients.share())
        deadline = asyncio.get_running_loop().time() + 5
        token = Secret("a-token-that-is-not-shown")
        answer = await connection.get(f"{PREFIX}/meeting-1", token=token, deadline=deadline)
        await clients.close()
        return answer

    answer = run(call())
    assert (b"Bearer [redacted]", "Bearer redacted") == (answer.body, answer.headers["X-Echo"])


@respx.mock
def test_the_client_is_replaced_after_a_failure() -> None:
    """After anything but a complete answer, the client is closed and replaced."""
    answers: list[httpx.Response | Exception] = [
        httpx.ReadError("reset"),
        httpx.Response(404, json={"error": {}}),
    ]
    respx.get(f"{PREFIX}/meeting-1").mock(side_effect=answers)
    made: list[httpx.AsyncClient] = []

    def make() -> httpx.AsyncClient:
        made.append(client_factory(BASE_URL)())
        return made[-1]

    async def calls() -> None:
        clients = ClientPool(make)
        connection = Connection(clients, clients.share())
        deadline = asyncio.get_running_loop().time() + 5
        with pytest.raises(api_errors.ConnectFailed):
            await connection.get(f"{PREFIX}/meeting-1", token=Secret("x"), deadline=deadline)
        await connection.get(f"{PREFIX}/meeting-1", token=Secret("x"), deadline=deadline)
        assert [True, False] == [client.is_closed for client in made]
        await clients.close()

    run(calls())

"""Faults of real connections over real sockets."""

import asyncio
import errno
import gzip
import logging
import socket
import time
import traceback
import tracemalloc

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from rk_exporter import __version__
from rk_exporter.api.connection import LARGEST_BODY_BYTES, connection_error
from rk_exporter.api.endpoints import NO_STATUS
from rk_exporter.model.errors import (
    ApiError,
    ApiTimeout,
    BodyTooLarge,
    ConnectFailed,
    ConnectionStale,
    InvalidResponse,
)
from rk_exporter.model.failure import Reason
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import SlidingWindowBudget
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.ratelimit.reachability import FAILURES_UNTIL_OPEN
from tests.support.api_client import (
    BODY,
    LENGTH_100,
    MEETING,
    NOTHING,
    SHORT_SECONDS,
    TOKEN,
    Client,
    Observer,
    client_of,
    with_server,
)
from tests.support.building import limiter_of
from tests.support.fault_server import (
    TEST_TIMEOUT_SECONDS,
    Behaviour,
    Exchange,
    FaultServer,
    Flood,
    answer,
    close,
    drip,
    hang,
    head,
    reset,
    send,
)


# Complete answers.


def test_answer_is_read() -> None:
    """A complete answer is parsed; the request has the path, the token and the program's name."""

    async def test(server: FaultServer, client: Client) -> None:
        assert await client.call() == NOTHING
        (request,) = server.requests
        assert request.path == (
            "/client/v4/accounts/account/realtime/kit/app/recordings/active-recording/meeting"
        )
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["accept"] == "application/json"
        assert request.headers["user-agent"] == f"rk-exporter/{__version__}"
        assert client.observer == Observer(codes=["200"])

    with_server(test, answer())


def test_connection_is_kept() -> None:
    """Many calls use one connection, even over several passes."""

    async def test(server: FaultServer, client: Client) -> None:
        for _ in range(3):
            for _ in range(5):
                await client.call()
            # The event loop runs between two passes.
            await asyncio.sleep(0)
        assert (server.connections, len(server.requests)) == (1, 15)

    with_server(test, answer())


def test_error_answer_keeps_the_connection() -> None:
    """An answer with an error status is complete, so its connection stays in use."""

    async def test(server: FaultServer, client: Client) -> None:
        assert (await client.failure()).reason is Reason.SERVER_ERROR
        assert (await client.failure()).reason is Reason.CLIENT_ERROR
        assert await client.call() == NOTHING
        assert server.connections == 1
        assert client.observer.codes == ["503", "400", "200"]

    with_server(test, answer(503), answer(400), answer())


@pytest.mark.parametrize(
    ("behaviour", "connections"),
    [
        pytest.param(
            send(
                head(200, "Transfer-Encoding: chunked")
                + b"1\r\n{\r\n1B;x=y\r\n"
                + BODY[1:]
                + b"\r\n0\r\nX-Trailer: y\r\n\r\n"
            ),
            1,
            id="chunked",
        ),
        pytest.param(
            send(
                b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"
                + head(200, f"Content-Length: {len(BODY)}")
                + BODY
            ),
            1,
            id="after a hint",
        ),
        pytest.param(answer(200, BODY, "Content-Encoding: Identity"), 1, id="not compressed"),
        pytest.param(answer(200, BODY, "Content-Encoding:"), 1, id="empty encoding"),
        pytest.param(answer(200, BODY, "Content-Encoding: none"), 1, id="no encoding"),
        pytest.param(answer(200, BODY, "Content-Encoding: identity, none,"), 1, id="none of them"),
        pytest.param(close(b"HTTP/1.0 200 OK\r\n\r\n" + BODY), 2, id="until closed"),
        pytest.param(drip(BODY, head=head(200, "Content-Length: 28")), 1, id="slowly"),
    ],
)
def test_framings(behaviour: Behaviour, connections: int) -> None:
    """An answer may have any HTTP framing, and any speed within the deadline."""

    async def test(server: FaultServer, client: Client) -> None:
        assert await client.call() == NOTHING
        assert await client.call() == NOTHING
        assert server.connections == connections
        assert client.observer.failures == []

    with_server(test, behaviour)


def test_cookies_are_not_sent_back() -> None:
    """Cookies of the API are dropped."""

    async def test(server: FaultServer, client: Client) -> None:
        await client.call()
        await client.call()
        assert [request.headers.get("cookie") for request in server.requests] == [None, None]

    with_server(test, answer(200, BODY, "Set-Cookie: __cf_bm=1; Path=/", "Set-Cookie: b=2"))


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_this_machine_is_called_directly(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not used for an API on this machine, e.g. in the demo."""

    async def test(server: FaultServer, client: Client) -> None:
        proxy = FaultServer()
        async with proxy.running():
            monkeypatch.setenv(variable, proxy.url)
            assert await client.call() == NOTHING
        assert (len(server.requests), proxy.connections) == (1, 0)

    with_server(test, answer())


# Kept connections that the API closes.


def test_closed_between_calls() -> None:
    """A connection that the API closed between two calls is replaced without a failure."""

    async def test(server: FaultServer, client: Client) -> None:
        await client.call()
        await server.until(lambda: server.open_connections == 0)
        assert await client.call() == NOTHING
        assert server.connections == 2
        assert client.observer == Observer(codes=["200", "200"])

    with_server(test, close(head(200, f"Content-Length: {len(BODY)}") + BODY), answer())


def test_no_calls_left_for_a_retry() -> None:
    """A kept connection that closes during the last call of the budget is a failure."""

    async def test(server: FaultServer, client: Client) -> None:
        await client.call()
        failure = await client.failure()
        assert failure.reason is Reason.CONNECT
        assert str(failure) == "the API closed the connection"
        assert client.observer == Observer(codes=["200", NO_STATUS], failures=[Reason.CONNECT])
        assert server.connections == 1

    with_server(test, answer(), close(), limiter=limiter_of(2, Secret(TOKEN)))


def test_no_connection_for_a_retry() -> None:
    """If other calls have found no connection meanwhile, the call counts as the one that it was."""
    clock = time.monotonic
    budget = SlidingWindowBudget(100_000, now=clock() - 400, reserve_ratio=0.0)
    group = BudgetGroup(budget, monotonic=clock)

    async def lose_and_close(_exchange: Exchange) -> bool:
        error = ConnectFailed("no connection")
        error.opened_connection = False
        for _ in range(FAILURES_UNTIL_OPEN):
            group.reachability.take_failure(error, clock())
        return False

    async def test(server: FaultServer, client: Client) -> None:
        await client.call()
        assert isinstance(await client.failure(), ConnectionStale)
        assert client.observer == Observer(codes=["200", NO_STATUS], failures=[Reason.CONNECT])
        assert server.connections == 1

    limiter = RateLimiter(group, token=Secret(TOKEN))
    with_server(test, answer(), lose_and_close, limiter=limiter)


@pytest.mark.parametrize("end", [close(), reset()], ids=["closed", "reset"])
def test_closed_during_a_call(end: Behaviour) -> None:
    """A kept connection that closes during a call costs a second call, but no failure."""

    async def test(server: FaultServer, client: Client) -> None:
        await client.call()
        assert await client.call() == NOTHING
        assert [request.connection for request in server.requests] == [1, 1, 2]
        assert client.observer == Observer(codes=["200", NO_STATUS, "200"])

    with_server(test, answer(), end, answer())


def test_closed_twice() -> None:
    """A call is retried only once."""

    async def test(server: FaultServer, client: Client) -> None:
        await client.call()
        error = await client.failure()
        assert error.reason is Reason.CONNECT
        assert len(server.requests) == 3
        assert client.observer == Observer(
            codes=["200", NO_STATUS, NO_STATUS], failures=[Reason.CONNECT]
        )

    with_server(test, answer(), close())


def test_retry_has_the_same_deadline() -> None:
    """The retry must end before the deadline of the first try."""

    async def test(server: FaultServer, client: Client) -> None:
        await client.call()
        error = await client.failure(2 * SHORT_SECONDS)
        assert error.reason is Reason.TIMEOUT
        assert len(server.requests) == 3
        assert client.observer.failures == [Reason.TIMEOUT]

    with_server(test, answer(), close(), hang())


# Faults: each is one call with one failure, and the next call works.


@dataclass(frozen=True, slots=True)
class Fault:
    """A behaviour of the server, and the expected error."""

    behaviour: Behaviour
    error: type[ApiError]
    reason: Reason
    explanation: str
    seconds: float = TEST_TIMEOUT_SECONDS


def late(behaviour: Behaviour) -> Fault:
    """Return a fault that ends at the deadline."""
    explanation = "the API did not answer in time"
    return Fault(behaviour, ApiTimeout, Reason.TIMEOUT, explanation, SHORT_SECONDS)


def broken(behaviour: Behaviour, explanation: str) -> Fault:
    """Return a fault of the connection."""
    explanation = f"no connection to the API ({explanation})"
    return Fault(behaviour, ConnectFailed, Reason.CONNECT, explanation)


def garbled(raw: bytes, behave: Callable[[bytes], Behaviour] = close) -> Fault:
    """Return a fault of the protocol."""
    explanation = "the API's answer is not complete HTTP"
    return Fault(behave(raw), InvalidResponse, Reason.INVALID_RESPONSE, explanation)


CHUNKED = head(200, "Transfer-Encoding: chunked")
FAULTS = {
    "closed without an answer": broken(close(), "it was closed before the answer"),
    "closed within the head": broken(close(LENGTH_100[:30]), "it was closed before the answer"),
    "reset": broken(reset(), "Connection reset by peer"),
    "hangs": late(hang()),
    "hangs within the head": late(hang(LENGTH_100[:30])),
    "hangs before the body": late(hang(LENGTH_100)),
    "hangs within the body": late(hang(LENGTH_100 + b'{"success":')),
    "hangs within a chunk": late(hang(CHUNKED + b'ff\r\n{"success":')),
    "hangs before the last chunk": late(hang(CHUNKED + b"1c\r\n" + BODY + b"\r\n")),
    "drips its head": late(drip(LENGTH_100 + bytes(100))),
    "drips its body": late(drip(bytes(100), head=LENGTH_100)),
    "drips its chunks": late(drip(b"1\r\nx\r\n" * 100, head=CHUNKED)),
    "endless hints": late(drip(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)),
    "body is too short": garbled(LENGTH_100 + BODY),
    "there is no body": garbled(LENGTH_100),
    "chunk is too short": garbled(CHUNKED + b"ff\r\n" + BODY),
    "no last chunk": garbled(CHUNKED + b"1c\r\n" + BODY + b"\r\n"),
    "chunk's size is not a number": garbled(CHUNKED + b"zz\r\n" + BODY + b"\r\n0\r\n\r\n", hang),
    "chunk's size is negative": garbled(CHUNKED + b"-1\r\n\r\n", hang),
    "chunk's end is missing": garbled(CHUNKED + b"1c\r\n" + BODY + b"0\r\n\r\n", hang),
    "status line is garbage": garbled(b"\x00\x01garbage\r\n\r\n", hang),
    "status line is another protocol's": garbled(b"SSH-2.0-OpenSSH_9.9\r\n\r\n", hang),
    "status is not a number": garbled(b"HTTP/1.1 OK 200\r\n\r\n", hang),
    "header without a name": garbled(head(200, ": nameless"), hang),
    "lengths contradict": garbled(head(200, "Content-Length: 1", "Content-Length: 2"), hang),
    "length is negative": garbled(head(200, "Content-Length: -1"), hang),
    "unknown framing": garbled(head(200, "Transfer-Encoding: gzip"), hang),
    "protocol is switched": garbled(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n", hang),
    "head of 200 kB": garbled(head(200, f"X-Large: {'x' * 200_000}"), hang),
    "20000 headers": garbled(head(200, *(f"X-{number}: y" for number in range(20_000))), hang),
}


def everything_about(error: BaseException) -> Iterator[str]:
    """Yield all texts of *error* and of its causes."""
    yield from traceback.format_exception(error)
    seen: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        cause = left.pop()
        if cause is None or cause in seen:
            continue
        seen.append(cause)
        yield from (str(cause), repr(cause), repr(cause.args), repr(vars(cause)))
        left += [cause.__cause__, cause.__context__]
        if isinstance(cause, BaseExceptionGroup):
            left += cause.exceptions


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    """A fault has its reason, never shows the token, and the same Connection works afterwards."""
    fault = FAULTS[name]

    async def test(server: FaultServer, client: Client) -> None:
        error = await client.failure(fault.seconds)
        assert (type(error), error.reason) == (fault.error, fault.reason)
        assert str(error) == error.failure.explanation == fault.explanation
        assert [text for text in everything_about(error) if TOKEN in text] == []
        # The connection is closed, even if the server would have kept it.
        await server.until(lambda: server.open_connections == 0)
        assert await client.call() == NOTHING
        assert client.observer == Observer(codes=[NO_STATUS, "200"], failures=[fault.reason])
        assert server.connections == 2

    with_server(test, fault.behaviour, answer())


def test_deadline_in_the_past() -> None:
    """A call whose deadline is over fails immediately."""

    async def test(server: FaultServer, client: Client) -> None:
        assert (await client.failure(-1)).reason is Reason.TIMEOUT
        assert server.requests == []

    with_server(test, answer())


def test_timeout_ends_soon() -> None:
    """The deadline counts for the whole call, however often a byte comes."""

    async def test(_: FaultServer, client: Client) -> None:
        begun = time.monotonic()
        await client.failure(SHORT_SECONDS)
        # It would take 15 s.
        assert SHORT_SECONDS <= time.monotonic() - begun < 10

    with_server(test, drip(bytes(1500), head=head(200, "Content-Length: 1500")))


def test_reset_within_the_body() -> None:
    """A connection that is reset during an answer is a failure."""

    async def test(_: FaultServer, client: Client) -> None:
        assert (await client.failure()).reason in {Reason.CONNECT, Reason.INVALID_RESPONSE}
        assert await client.call() == NOTHING

    with_server(test, reset(LENGTH_100 + b"{"), answer())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_refused(host: str) -> None:
    """The error says that a connection was refused, even if the name has several addresses."""

    async def run() -> None:
        # Bound but not listening, so that no other program can use the port.
        with socket.socket() as idle:
            idle.bind(("127.0.0.1", 0))
            async with client_of(f"http://{host}:{idle.getsockname()[1]}") as client:
                error = await client.failure()
                assert str(error) == "no connection to the API (Connection refused)"
                assert client.observer == Observer([NO_STATUS], [Reason.CONNECT])

    asyncio.run(run())


@pytest.mark.parametrize("name", ["rk-exporter.invalid", "bücher.invalid"])
def test_unknown_name(name: str) -> None:
    """The error says that a name cannot be resolved."""

    async def run() -> None:
        lookup = asyncio.get_running_loop().getaddrinfo(name, 443)
        try:
            await asyncio.wait_for(lookup, 4)
        except TimeoutError:
            pytest.skip("the resolver of this machine does not answer")
        except OSError:
            pass
        async with client_of(f"https://{name}") as client:
            error = await client.failure()
            assert str(error) == "no connection to the API (the host name cannot be resolved)"
            assert client.observer == Observer([NO_STATUS], [Reason.CONNECT])

    asyncio.run(run())


@pytest.mark.parametrize("step", [1, -1])
def test_several_addresses(step: int) -> None:
    """If a name has several addresses, the first error that says something explains the failure."""
    each = [OSError("no number"), ConnectionRefusedError(errno.ECONNREFUSED, "")]
    error = httpx.ConnectError("all failed")
    error.__cause__ = OSError("all failed")
    error.__cause__.__cause__ = ExceptionGroup("several", each[::step])
    explained = connection_error(error, peer="the API")
    assert str(explained) == "no connection to the API (Connection refused)"


def test_circle_of_causes() -> None:
    """An error that is a cause of its own cause is explained like any other, and ends."""
    outer, inner = httpx.ConnectError("outer"), ConnectionRefusedError(errno.ECONNREFUSED, "")
    outer.__cause__, inner.__cause__ = inner, outer
    error = connection_error(outer, peer="the API")
    assert str(error) == "no connection to the API (Connection refused)"


# Answers that are rejected.


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "identity, gzip", "x-unknown"])
def test_compressed_answer(encoding: str) -> None:
    """A compressed answer is rejected and never decompressed."""
    bomb = gzip.compress(bytes(32 << 20), 1)

    async def test(server: FaultServer, client: Client) -> None:
        tracemalloc.start()
        try:
            error = await client.failure()
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (type(error), error.reason) == (InvalidResponse, Reason.INVALID_RESPONSE)
        assert str(error) == "the API compressed its answer although the request forbids it"
        assert peak_bytes < 8 << 20
        await server.until(lambda: server.open_connections == 0)
        assert await client.call() == NOTHING

    with_server(test, answer(200, bomb, f"Content-Encoding: {encoding}"), answer())


@pytest.mark.parametrize(
    "framing", ["Content-Length: 1073741824", "Connection: close"], ids=["length", "no length"]
)
def test_body_too_large(framing: str) -> None:
    """An endless answer is dropped after 1 MiB."""
    flood = Flood(head(200, framing), most_bytes=1 << 30)

    async def test(server: FaultServer, client: Client) -> None:
        error = await client.failure()
        assert (type(error), error.reason) == (BodyTooLarge, Reason.TOO_LARGE)
        assert str(error) == "the API's answer is larger than 1 MiB"
        await server.until(lambda: server.open_connections == 0)
        # This includes the buffers of the kernel.
        assert flood.sent_bytes < 32 << 20
        assert await client.call() == NOTHING
        assert client.observer.failures == [Reason.TOO_LARGE]

    with_server(test, flood, answer())


def test_largest_body() -> None:
    """An answer of exactly 1 MiB is read."""
    body = BODY + b" " * (LARGEST_BODY_BYTES - len(BODY))

    async def test(_: FaultServer, client: Client) -> None:
        assert await client.call() == NOTHING
        error = await client.failure()
        assert error.reason is Reason.TOO_LARGE

    with_server(test, answer(200, body), answer(200, body + b" "))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    """A redirect is an error: no other server gets a request or the token."""

    async def run() -> None:
        elsewhere, server = FaultServer(), FaultServer()
        elsewhere.script(MEETING, answer())
        async with elsewhere.running(), server.running():
            location = f"Location: {elsewhere.url}/{MEETING}"
            server.script(MEETING, answer(status, b"", location), answer())
            async with client_of(server.url) as client:
                error = await client.failure()
                assert error.reason is Reason.INVALID_RESPONSE
                assert str(error).startswith(f"the API answered {status}")
                assert await client.call() == NOTHING
            assert (elsewhere.connections, server.connections) == (0, 1)

    asyncio.run(run())


@pytest.mark.parametrize(
    "location",
    ["unknown:thing", "http://xn--a/", "http://\x80/", "http://[::1", "http://h:99999/", ""],
)
def test_redirect_to_nowhere(location: str) -> None:
    """A redirect with an invalid URL is an invalid response, too."""

    async def test(_: FaultServer, client: Client) -> None:
        error = await client.failure()
        assert error.reason is Reason.INVALID_RESPONSE
        assert str(error).startswith("the API answered 302")
        assert await client.call() == NOTHING

    with_server(test, answer(302, b"", f"Location: {location}"), answer())


# The token.


def test_token_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The token is in no log line and in no log record."""
    for name in (None, *logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    faults = [fault for fault in FAULTS.values() if fault.error is not ApiTimeout]

    async def test(_: FaultServer, client: Client) -> None:
        for fault in faults:
            await client.failure(fault.seconds)
        await client.failure(SHORT_SECONDS)
        await client.call()
        assert TOKEN not in repr(client.api)

    with_server(test, *(fault.behaviour for fault in faults), hang(), answer())
    assert {"httpx", "httpcore.connection"} <= {record.name for record in caplog.records}
    assert [record for record in caplog.records if TOKEN in str(vars(record))] == []
    assert TOKEN not in caplog.text

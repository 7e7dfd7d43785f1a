"""Bytes behind an answer never become the answer to the next call."""

import asyncio
import contextlib
import itertools
import ssl

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest
import trustme

from hypothesis import given, settings
from hypothesis import strategies as st

from rk_exporter.api.connection import Answer, Connection
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.api.connection_setup import client_factory
from rk_exporter.model.errors import InvalidResponse
from rk_exporter.model.secret import Secret
from tests.support.fault_server import (
    TEST_TIMEOUT_SECONDS,
    Behaviour,
    Exchange,
    FaultServer,
    answer,
    head,
    send,
)


AUTHORITY = trustme.CA()
BEHIND = "the API sent bytes behind its answer"
TWO_LENGTHS = "the API's answer has two lengths"
NOT_HTTP = "the API's answer is not complete HTTP"
OWN = b'{"own":true}'
FOREIGN = b'{"foreign":true}'
SECOND = head(200, f"Content-Length: {len(FOREIGN)}") + FOREIGN
CHUNKED = head(200, "Transfer-Encoding: chunked") + b"c\r\n" + OWN + b"\r\n0\r\n\r\n"
WITH_LENGTH = head(200, f"Content-Length: {len(OWN)}") + OWN


def in_segments(*segments: bytes) -> Behaviour:
    """Send *segments* one after the other: with TLS, each is a record of its own."""

    async def behave(exchange: Exchange) -> bool:
        for segment in segments:
            exchange.writer.write(segment)
        await exchange.writer.drain()
        return True

    return behave


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes calls over a connection to a *server*."""

    server: FaultServer
    connection: Connection

    async def call(self) -> Answer:
        """Make a call."""
        deadline = asyncio.get_running_loop().time() + TEST_TIMEOUT_SECONDS
        url = f"{self.server.url}/x"
        return await self.connection.get(url, token=Secret("secret"), deadline=deadline)

    async def assert_invalid(self, *messages: str) -> None:
        """Check that a call fails with one of the *messages*, and that its connection is closed."""
        with pytest.raises(InvalidResponse) as caught:
            await self.call()
        assert str(caught.value) in (messages or {BEHIND})
        await self.server.until(lambda: self.server.open_connections == 0)

    async def assert_own(self) -> None:
        """Check that a call gets the answer that was sent for it."""
        assert (await self.call()).body == OWN


def with_caller(
    test: Callable[[Caller], Awaitable[None]],
    behaviours: Sequence[Behaviour],
    context: ssl.SSLContext | None = None,
) -> None:
    """Run *test* with a server that has these *behaviours*."""

    async def run() -> None:
        server = FaultServer()
        server.script("x", *behaviours)
        async with server.running(context):
            clients = ClientPool(client_factory(server.url))
            await test(Caller(server, Connection(clients, clients.share())))
            await clients.close()

    asyncio.run(run())


@pytest.fixture(params=["plain", "tls"])
def context(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ssl.SSLContext | None:
    """Return None, or the context of a server that clients trust."""
    if request.param == "plain":
        return None
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    request.getfixturevalue("monkeypatch").setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return context


LEFT_OVER = {
    "an answer": (SECOND,),
    "an error": (head(404, "Content-Length: 0"),),
    "a hint": (b"HTTP/1.1 103 Early Hints\r\n\r\n",),
    "garbage": (b"\x00garbage",),
    "a line end": (b"\r\n",),
    "a byte": (b"H",),
    "half an answer": (SECOND[:-5],),
    "70 kB": (SECOND + bytes(70_000),),
    "300 kB": (SECOND + bytes(300_000),),
    "answers in records of their own": (SECOND, SECOND, SECOND),
}


@pytest.mark.parametrize("complete", [WITH_LENGTH, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("left_over", LEFT_OVER)
def test_bytes_behind_an_answer(
    complete: bytes, left_over: str, context: ssl.SSLContext | None
) -> None:
    """An answer with bytes behind it is invalid, and the next call gets its own answer."""

    async def test(caller: Caller) -> None:
        await caller.assert_invalid()
        await caller.assert_own()

    first, *others = LEFT_OVER[left_over]
    with_caller(test, [send(complete + first + b"".join(others)), answer(200, OWN)], context)
    with_caller(test, [in_segments(complete, first, *others), answer(200, OWN)], context)


@pytest.mark.parametrize("left_over", LEFT_OVER)
def test_bytes_between_two_calls(left_over: str, context: ssl.SSLContext | None) -> None:
    """Bytes that come after a call cost its connection; the next call gets its own answer."""

    async def test(caller: Caller) -> None:
        await caller.assert_own()
        await in_segments(*LEFT_OVER[left_over])(caller.server.exchanges[0])
        await caller.assert_own()
        assert caller.server.connections == 2

    with_caller(test, [answer(200, OWN)], context)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(head(204) + FOREIGN, id="204 with a body"),
        pytest.param(head(204, "Content-Length: 16") + FOREIGN, id="204 with a length"),
        pytest.param(head(304, "Content-Length: 16") + FOREIGN, id="304 with a body"),
        pytest.param(head(304) + SECOND, id="answer behind 304"),
        pytest.param(head(200, "Content-Length: 0") + SECOND, id="answer behind nothing"),
        pytest.param(
            head(200, "Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n" + SECOND,
            id="two framings, and more",
        ),
        pytest.param(
            head(200, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
            id="two framings",
        ),
        pytest.param(
            head(200, "Content-Length: 12", "Content-Length: 28") + OWN + SECOND, id="two lengths"
        ),
        pytest.param(head(200, "Content-Length: 12, 28") + OWN, id="two lengths in one header"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n" + WITH_LENGTH + SECOND, id="hint, answer, answer"
        ),
        pytest.param(
            head(200, "Connection: close", "Content-Length: 12") + OWN + SECOND, id="last answer"
        ),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nContent-Length: 12\r\n\r\n" + OWN + SECOND, id="HTTP/1.0"
        ),
    ],
)
def test_ambiguous_lengths(raw: bytes, context: ssl.SSLContext | None) -> None:
    """An answer whose end can be understood in two ways is invalid."""

    async def test(caller: Caller) -> None:
        await caller.assert_invalid(BEHIND, TWO_LENGTHS, NOT_HTTP)
        await caller.assert_own()

    with_caller(test, [send(raw), answer(200, OWN)], context)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (head(204), 204),
        (head(304, "Content-Length: 16"), 304),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + head(204), 204),
        (head(200, "Content-Length: 0", "Content-Length: 0"), 200),
    ],
)
def test_answers_without_a_body(raw: bytes, status: int) -> None:
    """An answer whose status allows no body is complete after its head."""

    async def test(caller: Caller) -> None:
        assert (await caller.call()).status == status
        await caller.assert_own()
        assert caller.server.connections == 1

    with_caller(test, [send(raw), answer(200, OWN)])


def test_answer_before_its_request(context: ssl.SSLContext | None) -> None:
    """A server that answers before it is asked is never believed."""

    async def test(caller: Caller) -> None:
        for number in range(1, 4):
            await caller.assert_own()
            await send(SECOND)(caller.server.exchanges[-1])
            assert caller.server.connections == number

    with_caller(test, [answer(200, OWN)], context)


def test_stale_and_own_answer_together(context: ssl.SSLContext | None) -> None:
    """If the answer to an earlier call comes before the own one, the call fails."""

    async def test(caller: Caller) -> None:
        await caller.assert_own()
        await caller.assert_invalid()
        await caller.assert_own()

    behaviours = [answer(200, OWN), in_segments(SECOND, WITH_LENGTH), answer(200, OWN)]
    with_caller(test, behaviours, context)


@pytest.mark.parametrize("calls", [1, 3])
def test_stale_answer_in_flight(calls: int) -> None:
    """
    A stale answer that comes after the next call has left is not noticed; a pause ends this.

    Nothing in HTTP/1.1 distinguishes it. The limits in the documentation say so.
    """

    async def test(caller: Caller) -> None:
        await caller.assert_own()
        for _ in range(calls):
            assert (await caller.call()).body == FOREIGN
        # The own answer to the last of these calls comes while no call runs.
        await send(WITH_LENGTH)(caller.server.exchanges[0])
        await caller.assert_own()
        assert caller.server.connections == 2

    with_caller(test, [answer(200, OWN), *[send(SECOND)] * calls, answer(200, OWN)])


@settings(max_examples=60, deadline=None)
@given(
    complete=st.sampled_from([WITH_LENGTH, CHUNKED]),
    left_over=st.one_of(st.binary(min_size=1, max_size=40), st.just(SECOND), st.just(SECOND * 3)),
    cuts=st.lists(st.integers(1, 300), max_size=4),
)
def test_any_bytes_in_any_segments(complete: bytes, left_over: bytes, cuts: list[int]) -> None:
    """Whatever follows an answer, in whatever pieces, each call gets its own answer or fails."""
    raw = complete + left_over
    edges = [0, *sorted({min(cut, len(raw)) for cut in cuts}), len(raw)]
    pieces = [raw[start:end] for start, end in itertools.pairwise(edges)]

    async def test(caller: Caller) -> None:
        with contextlib.suppress(InvalidResponse):
            await caller.assert_own()
        await caller.assert_own()

    with_caller(test, [in_segments(*pieces), answer(200, OWN)])

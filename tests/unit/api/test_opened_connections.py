"""Which failures show that no connection to the API can be opened."""

import asyncio
import contextlib
import socket

from collections.abc import Iterator

import httpx
import pytest
import trustme

from rk_exporter.api import connection_progress
from rk_exporter.api.connection import Connection
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.api.endpoints import NO_STATUS
from rk_exporter.model.errors import (
    ApiError,
    ApiTimeout,
    ConnectFailed,
    InvalidResponse,
    ServerError,
    TlsFailed,
)
from rk_exporter.model.secret import Secret
from tests.support.api_client import (
    LENGTH_100,
    MEETING,
    NOTHING,
    Client,
    client_of,
    with_server,
)
from tests.support.fault_server import (
    Behaviour,
    FaultServer,
    answer,
    close,
    hang,
    reset,
    send,
    server_context,
)
from tests.support.proxy import Proxy


# More than a connection takes, and than a call must have had with the fixture `_short`.
TIME_SECONDS = 0.5
NO_TIME_SECONDS = 0.1


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time after which a connection should have opened."""
    monkeypatch.setattr(connection_progress, "TIME_TO_CONNECT_SECONDS", TIME_SECONDS / 2)


@contextlib.contextmanager
def listening(backlog: int = 8) -> Iterator[str]:
    """Yield the address of a port on which connections open, and nobody says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """Yield the address of a port on which no connection opens, and which nobody else gets."""
    with socket.socket() as idle:
        idle.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{idle.getsockname()[1]}"


async def failure_at(url: str, seconds: float = TIME_SECONDS) -> ApiError:
    async with client_of(url) as client:
        return await client.failure(seconds)


def test_refused_connection() -> None:
    """A port that refuses connections opened none."""
    with refusing() as address:
        error = asyncio.run(failure_at(f"http://{address}"))
    assert (type(error), error.opened_connection) == (ConnectFailed, False)


def test_unknown_name() -> None:
    """A host name that cannot be resolved opened none."""
    error = asyncio.run(failure_at("http://nowhere.invalid", seconds=30.0))
    # Without a network, the resolver may be silent.
    assert isinstance(error, ConnectFailed | ApiTimeout)
    assert error.opened_connection is False


def test_untrusted_certificate() -> None:
    """A server that is not the API opened none."""

    async def test(server: FaultServer, client: Client) -> None:
        error = await client.failure()
        assert (type(error), error.opened_connection) == (TlsFailed, False)
        assert server.requests == []

    certificate = trustme.CA().issue_cert("127.0.0.1")
    with_server(test, answer(), context=server_context(certificate))


@pytest.mark.usefixtures("_short")
def test_silent_handshake() -> None:
    """A handshake that is not answered opened none, if the call had time for it."""
    with listening() as address:
        error = asyncio.run(failure_at(f"https://{address}"))
    assert (type(error), error.opened_connection) == (ApiTimeout, False)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_time_for_it(scheme: str) -> None:
    """A call that ends before a connection usually opens says nothing about connections."""
    with listening() as address:
        error = asyncio.run(failure_at(f"{scheme}://{address}", NO_TIME_SECONDS))
    assert isinstance(error, ApiTimeout)
    # Over plain HTTP the connection was open.
    assert error.opened_connection is (True if scheme == "http" else None)


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (answer(500), ServerError),
        (hang(), ApiTimeout),
        (hang(LENGTH_100), ApiTimeout),
        (close(), ConnectFailed),
        (reset(), ConnectFailed),
        (close(LENGTH_100), InvalidResponse),
        (send(b"garbage\r\n\r\n"), InvalidResponse),
    ],
    ids=["500", "silence", "half-a-body", "closed", "reset", "closed-in-the-body", "garbage"],
)
def test_opened_connection(behaviour: Behaviour, kind: type[ApiError]) -> None:
    """Whatever happens after the request was sent, the connection had been opened."""

    async def test(server: FaultServer, client: Client) -> None:
        error = await client.failure(TIME_SECONDS)
        assert isinstance(error, kind)
        assert error.opened_connection in {True, None}
        # An answer over HTTP needs no other proof.
        assert error.opened_connection or isinstance(error, ServerError)
        assert len(server.requests) == 1

    with_server(test, behaviour)


def test_kept_connection() -> None:
    """A failure on a connection that was open before says nothing about opening one."""

    async def test(server: FaultServer, client: Client) -> None:
        assert await client.call() == NOTHING
        error = await client.failure(NO_TIME_SECONDS)
        assert (type(error), error.opened_connection) == (ApiTimeout, None)
        assert server.connections == 1

    with_server(test, answer(), hang())


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("refusal", [b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b""])
def test_refusing_proxy(refusal: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that refuses a tunnel, or is silent about it, opened no connection to the API."""

    async def test() -> ApiError:
        async with Proxy(refusal=refusal).running(0) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
            error = await failure_at("https://api.test")
            assert [request.method for request in proxy.requests] == ["CONNECT"]
            return error

    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    error = asyncio.run(test())
    assert (type(error), error.opened_connection) == (
        ConnectFailed if refusal else ApiTimeout,
        False,
    )


def test_server_that_is_gone() -> None:
    """If the kept connection was closed and no other opens, one call is enough to know that."""

    async def test() -> None:
        server = FaultServer()
        server.script(MEETING, answer())
        async with contextlib.AsyncExitStack() as stack:
            async with server.running():
                client = await stack.enter_async_context(client_of(server.url))
                assert await client.call() == NOTHING
            await server.until(lambda: server.open_connections == 0)
            error = await client.failure()
        assert (type(error), error.opened_connection) == (ConnectFailed, False)
        assert client.observer.codes == ["200", NO_STATUS]

    asyncio.run(test())


@pytest.mark.parametrize("opens", [True, False])
def test_connection_that_cannot_be_closed(*, opens: bool) -> None:
    """An opened connection is closed after a failure, and a failure of that is not another one."""
    closed: list[str] = []

    class Stream:
        async def aclose(self) -> None:
            closed.append("closed")
            raise BrokenPipeError

    async def fail(request: httpx.Request) -> httpx.Response:
        trace = request.extensions["trace"]
        await trace("connection.connect_tcp.started", {"host": request.url.host})
        if opens:
            await trace("connection.connect_tcp.complete", {"return_value": Stream()})
        raise httpx.ConnectError("broken")

    async def steps() -> ApiError:
        clients = ClientPool(lambda: httpx.AsyncClient(transport=httpx.MockTransport(fail)))
        connection = Connection(clients, clients.share())
        deadline = asyncio.get_running_loop().time() + 5
        with pytest.raises(ApiError) as caught:
            await connection.get("http://api.test/", token=Secret("x"), deadline=deadline)
        return caught.value

    error = asyncio.run(steps())
    assert (type(error), error.opened_connection) == (ConnectFailed, False)
    assert (["closed"] if opens else []) == closed

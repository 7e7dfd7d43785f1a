"""Real TLS connections; connections with and without TLS leak nothing."""

import asyncio
import random
import ssl

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from rk_exporter.api.connection import Connection
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.api.connection_setup import client_factory
from rk_exporter.api.endpoints import NO_STATUS
from rk_exporter.model.errors import (
    ApiError,
    TlsFailed,
)
from rk_exporter.model.failure import Reason
from rk_exporter.model.secret import Secret
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
from tests.support.fault_server import (
    TEST_TIMEOUT_SECONDS,
    FaultServer,
    answer,
    close,
    drip,
    hang,
    head,
    reset,
    send,
    server_context,
)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Return the only authority that clients trust."""
    authority = trustme.CA()
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return authority


def test_trusted_certificate(authority: trustme.CA) -> None:
    """With a trusted certificate, calls work and keep their connection."""

    async def test(server: FaultServer, client: Client) -> None:
        for _ in range(5):
            assert await client.call() == NOTHING
        assert (server.scheme, server.connections) == ("https", 1)
        assert client.observer.failures == []

    with_server(test, answer(), context=server_context(authority.issue_cert("127.0.0.1")))


def test_closed_during_a_tls_call(authority: trustme.CA) -> None:
    """A kept TLS connection that closes during or between calls causes no failure."""

    async def test(server: FaultServer, client: Client) -> None:
        await client.call()
        assert await client.call() == NOTHING
        await server.until(lambda: server.open_connections == 0)
        assert await client.call() == NOTHING
        assert server.connections == 3
        assert client.observer == Observer(codes=["200", NO_STATUS, "200", "200"])

    last = close(head(200, f"Content-Length: {len(BODY)}") + BODY)
    context = server_context(authority.issue_cert("127.0.0.1"))
    with_server(test, answer(), close(), last, answer(), context=context)


def untrusted(authority: trustme.CA, folder: Path) -> ssl.SSLContext:
    """Return a context with a certificate of another authority."""
    del authority, folder
    return server_context(trustme.CA().issue_cert("127.0.0.1"))


def self_signed(authority: trustme.CA, folder: Path) -> ssl.SSLContext:
    """Return a context with a self-signed certificate."""
    del authority
    own = trustme.CA()
    own.cert_pem.write_to_path(folder / "own.pem")
    own.private_key_pem.write_to_path(folder / "own.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "own.pem", folder / "own.key")
    return context


def other_host(authority: trustme.CA, folder: Path) -> ssl.SSLContext:
    """Return a context with the certificate of another host."""
    del folder
    return server_context(authority.issue_cert("other.example"))


def expired(authority: trustme.CA, folder: Path) -> ssl.SSLContext:
    """Return a context with an expired certificate."""
    del folder
    old = datetime(2020, 1, 1, tzinfo=UTC)
    return server_context(authority.issue_cert("127.0.0.1", not_after=old))


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
@pytest.mark.parametrize(
    ("make_context", "explanation"),
    [
        (untrusted, "certificate: unable to get local issuer certificate"),
        (self_signed, "certificate: self-signed certificate"),
        (other_host, "certificate: IP address mismatch"),
        (expired, "certificate: certificate has expired"),
    ],
)
def test_bad_certificate(
    make_context: Callable[[trustme.CA, Path], ssl.SSLContext],
    explanation: str,
    scheme: str,
    authority: trustme.CA,
    tmp_path: Path,
) -> None:
    """An invalid certificate is rejected before the token is sent, and the error says why."""

    async def test(server: FaultServer, client: Client) -> None:
        error = await client.failure()
        assert (type(error), error.reason) == (TlsFailed, Reason.TLS)
        assert str(error).startswith(f"no trusted connection to the API ({explanation}")
        assert server.requests == []
        assert client.observer == Observer([NO_STATUS], [Reason.TLS])

    context = make_context(authority, tmp_path)
    with_server(test, answer(), context=context, scheme=scheme)


def test_no_tls_behind_https(authority: trustme.CA) -> None:
    """A server that speaks plain HTTP on an https URL is reported as a failed handshake."""
    del authority

    async def run() -> None:
        server = FaultServer(greeting=head(400, "Connection: close"))
        async with server.running(), client_of(f"https://127.0.0.1:{server.port}") as client:
            error = await client.failure()
            assert (type(error), error.reason) == (TlsFailed, Reason.TLS)
            assert str(error) == "no trusted connection to the API (handshake failed)"

    asyncio.run(run())


def test_handshake_hangs(authority: trustme.CA) -> None:
    """A server that never answers a handshake causes a timeout at the deadline."""
    del authority

    async def run() -> None:
        server = FaultServer(greeting=b"")
        async with server.running(), client_of(f"https://127.0.0.1:{server.port}") as client:
            error = await client.failure(SHORT_SECONDS)
            assert error.reason is Reason.TIMEOUT
            await server.until(lambda: server.open_connections == 0)

    asyncio.run(run())


def test_context_of_plain_http_trusts_no_server() -> None:
    """A client for plain HTTP never accepts an untrusted certificate."""

    async def run() -> None:
        server = FaultServer()
        server.script(MEETING, answer())
        context = server_context(trustme.CA().issue_cert("127.0.0.1"))
        async with server.running(context):
            clients = ClientPool(client_factory("http://127.0.0.1"))
            connection = Connection(clients, clients.share())
            deadline = asyncio.get_running_loop().time() + TEST_TIMEOUT_SECONDS
            with pytest.raises(TlsFailed):
                await connection.get(server.url, token=Secret(TOKEN), deadline=deadline)
            await clients.close()
        assert server.requests == []

    asyncio.run(run())


def open_files() -> int:
    """Return the number of open file descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count files")
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_nothing_leaks(encrypted: bool, authority: trustme.CA) -> None:  # noqa: FBT001 # a parameter
    """However and whenever calls end, each Connection works afterwards and nothing leaks."""
    chance = random.Random(1)  # noqa: S311 # not a secret
    kinds = (
        answer(),
        answer(404, b"<html>"),
        hang(),
        hang(LENGTH_100),
        drip(BODY, head=head(200, "Content-Length: 28")),
        close(),
        close(LENGTH_100),
        reset(),
        send(b"garbage\r\n\r\n"),
    )
    ending = [*(chance.choice(kinds) for _ in range(10_000)), answer()]

    async def churn(client: Client, count: int) -> None:
        for _ in range(count):
            # Either its own deadline ends a call, or its caller cancels it.
            own, callers = chance.choice([(0.02, 1.0), (1.0, 0.02)])
            call = asyncio.ensure_future(client.call(chance.uniform(0, own)))
            await asyncio.wait({call}, timeout=chance.uniform(0, callers))
            call.cancel()
            (outcome,) = await asyncio.gather(call, return_exceptions=True)
            assert isinstance(outcome, tuple | ApiError | asyncio.CancelledError)

    async def run() -> None:
        server = FaultServer()
        context = server_context(authority.issue_cert("127.0.0.1")) if encrypted else None
        async with server.running(context):
            files, tasks = open_files(), asyncio.all_tasks()
            clients = [Client(server.url) for _ in range(8)]
            server.script(MEETING, *ending)
            await asyncio.gather(*(churn(client, 40) for client in clients))
            server.script(MEETING, answer())
            for client in clients:
                assert await client.call() == NOTHING
                await client.api.close()
            await server.until(lambda: server.open_connections == 0)
            await asyncio.sleep(0)
            assert (open_files(), asyncio.all_tasks()) == (files, tasks)

    asyncio.run(run())

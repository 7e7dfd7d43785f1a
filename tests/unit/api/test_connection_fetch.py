"""A public document from any server, which may answer in any way."""

import asyncio
import ssl

from dataclasses import dataclass, field

import httpx
import pytest
import trustme

from rk_exporter import __version__
from rk_exporter.api.connection_fetch import fetch_public
from rk_exporter.api.connection_setup import client_factory
from rk_exporter.model.errors import ApiError
from rk_exporter.model.failure import Reason
from tests.support.fault_server import (
    TEST_TIMEOUT_SECONDS,
    Behaviour,
    FaultServer,
    Flood,
    answer,
    close,
    drip,
    hang,
    head,
    send,
    server_context,
)


DOCUMENT = "document"
MOST_BYTES = 2048


@dataclass(slots=True)
class Fetcher:
    """Fetches a document of at most 2 KiB."""

    server: FaultServer = field(default_factory=FaultServer)
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    async def fetch(self, behaviour: Behaviour, context: ssl.SSLContext | None) -> bytes:
        """Fetch from a server with this behaviour."""
        self.server.script(DOCUMENT, behaviour)
        async with self.server.running(context):
            return await self.fetch_running(TEST_TIMEOUT_SECONDS)

    async def fetch_running(self, seconds: float) -> bytes:
        """Fetch from the server, which runs."""
        url = f"{self.server.url}/{DOCUMENT}"
        make_client = client_factory(url)

        def make() -> httpx.AsyncClient:
            self.clients.append(make_client())
            return self.clients[-1]

        return await fetch_public(make, url, largest_body_bytes=MOST_BYTES, timeout_seconds=seconds)

    def run(self, behaviour: Behaviour, context: ssl.SSLContext | None = None) -> bytes:
        """Fetch once; the client is closed, whatever happens."""
        try:
            return asyncio.run(self.fetch(behaviour, context))
        finally:
            assert [True] == [client.is_closed for client in self.clients]


@pytest.mark.parametrize(
    "encoding", [(), ("Content-Encoding: Identity",), ("Content-Encoding: none",)]
)
def test_success(encoding: tuple[str, ...]) -> None:
    """A complete answer is returned; the request has no token, and asks for no compression."""
    fetcher = Fetcher()
    document = b"x" * MOST_BYTES
    assert document == fetcher.run(answer(200, document, *encoding))
    (request,) = fetcher.server.requests
    assert ("GET", f"/{DOCUMENT}") == (request.method, request.path)
    assert {
        "host": f"127.0.0.1:{fetcher.server.port}",
        "connection": "keep-alive",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"rk-exporter/{__version__}",
    } == {name: value for name, value in request.headers.items() if name}


def pieces(*sizes: int) -> Behaviour:
    """Send a document in pieces of these *sizes*, each of another letter."""
    chunks = (
        f"{size:x}\r\n".encode() + bytes([ord("a") + number]) * size + b"\r\n"
        for number, size in enumerate(sizes)
    )
    return send(head(200, "Transfer-Encoding: chunked") + b"".join(chunks) + b"0\r\n\r\n")


def test_pieces() -> None:
    """A document may come in pieces, which count together."""
    assert b"abbccc" == Fetcher().run(pieces(1, 2, 3))
    assert MOST_BYTES == len(Fetcher().run(pieces(2000, 48)))
    with pytest.raises(ApiError, match="larger than 2 KiB"):
        Fetcher().run(pieces(2000, 49))


@pytest.mark.parametrize(
    ("behaviour", "reason", "message"),
    [
        (
            answer(302, b"", "Location: http://169.254.169.254/"),
            Reason.CLIENT_ERROR,
            "the server answered 302 instead of 200",
        ),
        (answer(500), Reason.CLIENT_ERROR, "the server answered 500 instead of 200"),
        (
            answer(200, b"x" * (MOST_BYTES + 1)),
            Reason.TOO_LARGE,
            "the answer is larger than 2 KiB",
        ),
        (
            Flood(head(200, "Transfer-Encoding: chunked") + b"ffffffff\r\n", 50_000_000),
            Reason.TOO_LARGE,
            "the answer is larger than 2 KiB",
        ),
        (
            answer(200, b"", "Content-Encoding: gzip"),
            Reason.INVALID_RESPONSE,
            "the server compressed its answer although the request forbids it",
        ),
        (
            close(head(200, "Content-Length: 5") + b"x"),
            Reason.INVALID_RESPONSE,
            "the server's answer is not complete HTTP",
        ),
        (
            close(),
            Reason.CONNECT,
            "no connection to the server (it was closed before the answer)",
        ),
    ],
    ids=["redirect", "error", "large", "flood", "packed", "cut off", "closed"],
)
def test_failure(behaviour: Behaviour, reason: Reason, message: str) -> None:
    """Anything but a small complete answer 200 is refused; redirects are not followed."""
    with pytest.raises(ApiError) as caught:
        Fetcher().run(behaviour)
    assert (reason, message) == (caught.value.reason, str(caught.value))


@pytest.mark.parametrize(
    "behaviour", [hang(), drip(b"x" * 5000, head=head(200))], ids=["hang", "drip"]
)
def test_slow(behaviour: Behaviour) -> None:
    """A server that hangs or drips is given up at the deadline."""

    async def run() -> None:
        fetcher = Fetcher()
        fetcher.server.script(DOCUMENT, behaviour)
        async with fetcher.server.running():
            await fetcher.fetch_running(0.2)

    with pytest.raises(ApiError) as caught:
        asyncio.run(run())
    expected = (Reason.TIMEOUT, "the server did not answer in time")
    assert expected == (caught.value.reason, str(caught.value))


def test_untrusted() -> None:
    """A certificate of an unknown authority is refused."""
    context = server_context(trustme.CA().issue_cert("127.0.0.1"))
    with pytest.raises(ApiError) as caught:
        Fetcher().run(answer(), context)
    assert Reason.TLS is caught.value.reason
    assert str(caught.value).startswith("no trusted connection to the server (certificate: ")

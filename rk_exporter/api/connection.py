"""
Connections to the API. Only this module uses httpx.

The usual way to use httpx fails here. Many concurrent requests on one client time out while they
wait for its pool, and a cancelled request leaks its place in the pool (encode/httpcore issue 1093).
So each Connection has its own client, makes one request at a time, and discards the client after
anything but a complete answer.
"""

import asyncio
import contextlib
import http.cookiejar
import os
import socket
import ssl

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import h11
import httpx

from rk_exporter import __version__
from rk_exporter.model.errors import (
    ApiError,
    ApiTimeout,
    BodyTooLarge,
    ConnectFailed,
    ConnectionStale,
    InvalidResponse,
    TlsFailed,
)
from rk_exporter.model.secret import Secret
from rk_exporter.runtime.background_call import bounded_call
from rk_exporter.runtime.files import FileHangs


LARGEST_BODY_BYTES = 1 << 20
CONNECT_TIMEOUT_SECONDS = 5.0
# Longer than usual scrape intervals, because a handshake costs more than a call.
KEEPALIVE_SECONDS = 150.0
ClientFactory = Callable[[], httpx.AsyncClient]
# httpx calls it at each step of a request.
_Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]


class SetupError(Exception):
    """Connections to the API cannot be set up on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    """The headers; their names are case-insensitive."""


class _NoCookies(http.cookiejar.CookieJar):
    """Keeps no cookies: nothing needs them, and handling them costs as much CPU as parsing."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Ignore all cookies."""


async def _forget_location(response: httpx.Response) -> None:
    """Remove the Location header, because httpx always parses it and some values raise."""
    response.headers.pop("Location", None)


def client_factory(base_url: str) -> ClientFactory:
    """
    Return a factory of clients for *base_url*, with one connection each.

    The clients share one TLS context, because creating one takes 50 ms. Raises SetupError.
    """
    context = _tls_context(base_url)
    limits = httpx.Limits(
        max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS
    )
    # Callers set the deadline of a call; only connecting has its own timeout.
    timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS)

    return partial(
        httpx.AsyncClient,
        verify=context,
        limits=limits,
        timeout=timeout,
        # Proxies and .netrc in the environment would send the token elsewhere.
        trust_env=False,
        cookies=_NoCookies(),
        event_hooks={"response": [_forget_location]},
    )


def _tls_context(base_url: str) -> ssl.SSLContext:
    try:
        url = httpx.URL(base_url)
        _ = url.host  # decodes the host
    except (httpx.InvalidURL, UnicodeError):
        raise SetupError("api.base_url: invalid host name") from None
    if url.scheme != "https":
        # Has no certificate authorities, so that it rejects all servers if it is ever used.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return bounded_call(httpx.create_ssl_context)
    except FileHangs as error:
        raise SetupError(f"SSL_CERT_FILE and SSL_CERT_DIR: {error}") from None
    except OSError as error:
        raise SetupError(
            "SSL_CERT_FILE and SSL_CERT_DIR: cannot read certificates "
            f"({error.strerror or error}): correct or unset these variables"
        ) from None


class Connection:
    """A kept connection for one request at a time, which is replaced after any failure."""

    def __init__(self, make_client: ClientFactory) -> None:
        self._make_client = make_client
        self._client: httpx.AsyncClient | None = None
        """The client of the last call if that succeeded."""

    async def get(
        self,
        url: str,
        *,
        token: Secret,
        deadline: float,
        largest_body_bytes: int = LARGEST_BODY_BYTES,
    ) -> Answer:
        """
        Return the complete answer to a GET of *url*.

        Raises ApiError for anything else; ApiTimeout at *deadline* (loop time).
        """
        was_proven = self._client is not None
        client = self._client or self._make_client()
        # If anything ends this method early, even cancellation, the client is not used again.
        self._client = None
        opened = contextlib.AsyncExitStack()

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            # If a deadline cancels a TLS handshake, httpx leaves the TCP connection open.
            if event == "connection.connect_tcp.complete":
                opened.push_async_callback(info["return_value"].aclose)

        try:
            async with asyncio.timeout_at(deadline):
                answer = await _get(client, url, token, trace, largest_body_bytes)
        except BaseException as error:
            await _close(client)
            with contextlib.suppress(OSError):
                await opened.aclose()
            failure = _translate(error, was_proven=was_proven)
            if failure is None:
                raise
            raise failure from None
        self._client = client
        return answer

    async def close(self) -> None:
        """Close the connection; the next call makes a new one."""
        if self._client is not None:
            client, self._client = self._client, None
            await _close(client)


class ConnectionPool:
    """Lends *size* connections to calls; a call waits while all of them are in use."""

    def __init__(self, make_client: ClientFactory, *, size: int) -> None:
        self.size = size
        self._connections = [Connection(make_client) for _ in range(size)]
        # Last in, first out: the connection used last is the least likely to be closed by now.
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in self._connections:
            self.release(connection)

    async def acquire(self) -> Connection:
        """Return a connection that no other call uses until its `release`."""
        return await self._idle.get()

    def release(self, connection: Connection) -> None:
        """Take back a *connection*, whatever the result of its call."""
        self._idle.put_nowait(connection)

    async def close(self) -> None:
        """Close all connections; the calls that use them must have ended."""
        for connection in self._connections:
            await connection.close()


async def _get(
    client: httpx.AsyncClient, url: str, token: Secret, trace: _Trace, largest_body_bytes: int
) -> Answer:
    headers = {
        "Authorization": f"Bearer {token.reveal()}",
        "Accept": "application/json",
        # httpx decompresses each chunk completely: 800 bytes can become a gigabyte.
        "Accept-Encoding": "identity",
        "User-Agent": f"rk-exporter/{__version__}",
    }
    stream = client.stream("GET", url, headers=headers, extensions={"trace": trace})
    async with stream as response:
        if _is_packed(response.headers.get("Content-Encoding", "")):
            raise InvalidResponse("the API compressed its answer although the request forbids it")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > largest_body_bytes:
                largest = largest_body_bytes >> 20
                raise BodyTooLarge(f"the API's answer is larger than {largest} MiB")
    return Answer(response.status_code, bytes(body), response.headers)


def _is_packed(content_encoding: str) -> bool:
    """Return whether the header names a compression; it may be empty, or name none."""
    codings = {coding.strip().lower() for coding in content_encoding.split(",")}
    return not codings <= {"", "identity", "none"}


async def _close(client: httpx.AsyncClient) -> None:
    """Close *client*, even if its connection is broken."""
    with contextlib.suppress(httpx.HTTPError, OSError):
        await client.aclose()


def _translate(error: BaseException, *, was_proven: bool) -> ApiError | None:
    """Return the ApiError for an error of httpx; None for errors unrelated to the network."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return ApiTimeout("the API did not answer in time")
    if isinstance(error, httpx.TransportError | OSError):
        return _connection_error(list(_causes(error)), was_proven=was_proven)
    return None


def _connection_error(causes: list[BaseException], *, was_proven: bool) -> ApiError:
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return TlsFailed(f"no trusted connection to the API ({_tls_problem(causes)})")
    if any(isinstance(cause, h11.RemoteProtocolError) for cause in causes):
        return InvalidResponse("the API's answer is not complete HTTP")
    if was_proven:
        return ConnectionStale("the API closed the connection")
    return ConnectFailed(f"no connection to the API ({_connect_problem(causes)})")


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for member in error.exceptions:
                yield from _causes(member)
        error = error.__cause__ or error.__context__


def _tls_problem(causes: Iterable[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate: {cause.verify_message}"
    return "handshake failed"


def _connect_problem(causes: Iterable[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return "the host name cannot be resolved"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
    return "it was closed before the answer"

"""
Calls over kept connections.

The usual way to use httpx fails here. Many concurrent requests on one client time out while they
wait for its pool, and a cancelled request leaks its place in the pool (encode/httpcore issue 1093).
So each client has one connection and makes one request at a time, and is discarded after anything
but a complete answer.
"""

import asyncio
import contextlib
import os
import socket
import ssl

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import h11
import httpcore
import httpx

from rk_exporter import __version__
from rk_exporter.api.connection_pool import ClientPool, Share
from rk_exporter.api.connection_progress import CallProgress
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
from rk_exporter.runtime.redaction import without_token


LARGEST_BODY_BYTES = 1 << 20
REQUEST_HEADERS = {
    "Accept": "application/json",
    # httpx decompresses each chunk completely: 800 bytes can become a gigabyte.
    "Accept-Encoding": "identity",
    "User-Agent": f"rk-exporter/{__version__}",
}
# Each of these headers tells how long an answer is.
_LENGTHS = ("Transfer-Encoding", "Content-Length")
# Bytes that have reached this machine are read in the next iteration of the event loop.
_SILENCE_SECONDS = 0.001
# httpx calls it at each step of a request.
_Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer, without the token of its request: an API may echo it anywhere."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    """The headers; their names are case-insensitive."""


class Connection:
    """Makes one call of an app at a time, with a client of the pool that all apps share."""

    def __init__(self, clients: ClientPool, share: Share) -> None:
        self._clients = clients
        self._share = share
        self._needs_fresh = False
        """Whether the last call ended because the server had closed a kept connection."""

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
        fresh, self._needs_fresh = self._needs_fresh, False
        progress = CallProgress(url)
        was_proven = False
        try:
            async with (
                asyncio.timeout_at(deadline),
                self._clients.lend(self._share, fresh=fresh) as loan,
            ):
                was_proven = loan.is_proven
                answer, loan.is_reusable = await _get(
                    loan.client, url, token, progress.trace, largest_body_bytes
                )
        except BaseException as error:
            with contextlib.suppress(OSError):
                await progress.opened.aclose()
            # A lent client whose connection has closed meanwhile opens another one.
            is_kept = was_proven and not progress.has_tried_to_connect
            failure = _translate_error(error, was_proven=is_kept, peer=progress.peer)
            if failure is None:
                raise
            failure.opened_connection = progress.opened_connection(failure)
            self._needs_fresh = isinstance(failure, ConnectionStale)
            raise failure from None
        return answer


class ConnectionPool:
    """The connections of one app: up to *size* calls at a time; further calls wait."""

    def __init__(self, clients: ClientPool, *, size: int) -> None:
        self.size = size
        self._clients = clients
        self._share = clients.share()
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for _ in range(size):
            self.release(Connection(clients, self._share))

    async def acquire(self) -> Connection:
        """Return a connection that no other call uses until its `release`."""
        return await self._idle.get()

    def release(self, connection: Connection) -> None:
        """Take back a *connection*, whatever the result of its call."""
        self._idle.put_nowait(connection)

    def leave(self) -> None:
        """Make no more calls; the connections are for other apps."""
        self._clients.leave(self._share)

    async def close(self) -> None:
        """Close the connections that no call uses, also those of other apps."""
        await self._clients.close()


async def _get(
    client: httpx.AsyncClient, url: str, token: Secret, trace: _Trace, largest_body_bytes: int
) -> tuple[Answer, bool]:
    """Return the answer, and whether the connection can be used again."""
    headers = {**REQUEST_HEADERS, "Authorization": f"Bearer {token.reveal()}"}
    stream = client.stream("GET", url, headers=headers, extensions={"trace": trace})
    async with stream as response:
        _check_head(response)
        # Taken before the body is read, because httpcore forgets connections that cannot be kept.
        wire = _wire_of(client, response)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > largest_body_bytes:
                largest = largest_body_bytes >> 20
                raise BodyTooLarge(f"the API's answer is larger than {largest} MiB")
        is_open = await wire.is_open_after_answer() if wire else True
    return _without_token(response, bytes(body), token.reveal()), is_open


def _without_token(response: httpx.Response, body: bytes, token: str) -> Answer:
    # In a header, the brackets of the usual mark would be syntax.
    headers = [
        (key, without_token(value, token, mark="redacted")) for key, value in response.headers.raw
    ]
    return Answer(response.status_code, without_token(body, token), httpx.Headers(headers))


def _check_head(response: httpx.Response) -> None:
    headers = response.headers
    if response.status_code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        raise ConnectFailed(f"no connection to the API ({_refusal('407')})")
    if is_packed(headers):
        raise InvalidResponse("the API compressed its answer although the request forbids it")
    if all(name in headers for name in _LENGTHS):
        # A proxy that obeys the other header sees another answer behind this one.
        raise InvalidResponse("the API's answer has two lengths")


def is_packed(headers: httpx.Headers) -> bool:
    """Return whether an answer is compressed; the header may be empty, or name no compression."""
    named = headers.get("Content-Encoding", "").split(",")
    codings = {coding.strip().lower() for coding in named}
    return not codings <= {"", "identity", "none"}


@dataclass(frozen=True, slots=True)
class _Wire:
    """The connection of a request."""

    stream: httpcore.AsyncNetworkStream
    parser: h11.Connection

    async def is_open_after_answer(self) -> bool:
        """
        Return whether the connection can be used again.

        Raises InvalidResponse if there are bytes behind the answer: they would be taken for the
        next one. They may be in the parser, in the buffers of TLS and asyncio, or in the socket.
        """
        late = self.parser.trailing_data[0]
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                late = late or await self.stream.read(1)
        except TimeoutError:
            return True
        except httpcore.NetworkError:
            return False
        if late:
            raise InvalidResponse("the API sent bytes behind its answer")
        return False


def _wire_of(client: httpx.AsyncClient, response: httpx.Response) -> _Wire | None:
    """Return the connection of *response*; None if it came from an application in this process."""
    stream = response.extensions.get("network_stream")
    if stream is None:
        return None
    # httpcore does not show what its parser has left.
    transport: Any = client._transport  # noqa: SLF001
    (connection,) = transport._pool.connections  # noqa: SLF001
    while not isinstance(connection, httpcore.AsyncHTTP11Connection):
        connection = connection._connection  # noqa: SLF001 # of a tunnel, for example
    return _Wire(stream, connection._h11_state)  # noqa: SLF001


def _translate_error(error: BaseException, *, was_proven: bool, peer: str) -> ApiError | None:
    """Return the ApiError for an error of httpx; None for errors unrelated to the network."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return ApiTimeout("the API did not answer in time")
    if isinstance(error, httpx.TransportError | OSError):
        return connection_error(error, was_proven=was_proven, peer=peer)
    return None


def connection_error(error: BaseException, *, was_proven: bool = False, peer: str) -> ApiError:
    """Return the ApiError for an *error* of a connection to a *peer*."""
    causes = _causes(error)
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return TlsFailed(f"no trusted connection to {peer} ({_tls_problem(causes)})")
    for cause in causes:
        if isinstance(cause, httpx.ProxyError):
            return ConnectFailed(f"no connection to the API ({_refusal(str(cause)[:3])})")
    if any(isinstance(cause, h11.RemoteProtocolError) for cause in causes):
        return InvalidResponse(f"{peer}'s answer is not complete HTTP")
    if was_proven:
        return ConnectionStale("the API closed the connection")
    return ConnectFailed(f"no connection to {peer} ({_connect_problem(causes)})")


def _refusal(status: str) -> str:
    if status == str(httpx.codes.PROXY_AUTHENTICATION_REQUIRED.value):
        return "the proxy rejected the user name or the password in its URL, or expects them"
    return f"the proxy answered {status}"


def _causes(error: BaseException) -> list[BaseException]:
    """Return *error* and its causes, each once: `raise inner from outer` can make a circle."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        cause = left.pop()
        if cause is None or cause in found:
            continue
        found.append(cause)
        left.append(cause.__cause__ or cause.__context__)
        if isinstance(cause, BaseExceptionGroup):
            left.extend(cause.exceptions)
    return found


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

"""
One connection to the API, over httpx: the only module that knows it.

As it is usually used, httpx fails here: requests gathered on one client time out waiting for its
pool, and a cancelled request leaks its place in the pool for ever (encode/httpcore issue 1093).
So each Connection has a client of its own, makes one request at a time, and throws the client
away after anything that is not a complete answer.
"""

import asyncio
import contextlib
import http.cookiejar
import os
import socket
import ssl

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
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
from rk_exporter.ratelimit.headers import RateLimitHeaders


LARGEST_BODY_BYTES = 1 << 20
CONNECT_TIMEOUT_SECONDS = 5.0
# Longer than the scrape intervals that make sense: a handshake costs more than a call.
KEEPALIVE_SECONDS = 150.0
ClientFactory = Callable[[], httpx.AsyncClient]


class SetupError(Exception):
    """The way to the API cannot be set up on this machine; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    body: bytes
    ratelimit_headers: RateLimitHeaders


class _NoCookies(http.cookiejar.CookieJar):
    """Keep no cookies: the API's are not wanted, and sorting them costs as much as parsing."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Ignore them."""


async def _forget_location(response: httpx.Response) -> None:
    """Drop where an answer redirects to: httpx parses it unasked, and some values break it."""
    response.headers.pop("Location", None)


def client_factory(base_url: str) -> ClientFactory:
    """
    Return a maker of clients for *base_url* that hold one connection each.

    They share one TLS context, which costs 50 ms to make, so that throwing a client away is cheap.
    Raises SetupError.
    """
    context = _tls_context(base_url)
    limits = httpx.Limits(
        max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS
    )
    # The deadline of a call is its caller's; only connecting has a limit of its own. The
    # environment's proxies and .netrc would send the token elsewhere.
    timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS)

    def make() -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=context,
            limits=limits,
            timeout=timeout,
            trust_env=False,
            cookies=_NoCookies(),
            event_hooks={"response": [_forget_location]},
        )

    return make


def _tls_context(base_url: str) -> ssl.SSLContext:
    try:
        url = httpx.URL(base_url)
        _ = url.host  # is decoded only when it is read
    except (httpx.InvalidURL, UnicodeError):
        raise SetupError("api.base_url: its host can be no name") from None
    if url.scheme != "https":
        # Without certificates of authorities it trusts nobody, should it ever be used.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise SetupError(
            "SSL_CERT_FILE and SSL_CERT_DIR: no certificates can be read there "
            f"({error.strerror or error})"
        ) from None


class Connection:
    """One request at a time over one kept connection, which is made anew after any failure."""

    def __init__(self, make_client: ClientFactory) -> None:
        self._make_client = make_client
        self._client: httpx.AsyncClient | None = None
        self._is_proven = False

    async def get(self, url: str, *, token: Secret, deadline: float) -> Answer:
        """
        Return the complete answer to a GET of *url*, at the latest at *deadline* (loop time).

        Raises ApiError for anything else.
        """
        client = self._client or self._make_client()
        was_proven = self._is_proven
        # Whatever ends this method early, cancellation included, leaves no client behind.
        self._client, self._is_proven = None, False
        opened = _OpenedStreams()
        try:
            async with asyncio.timeout_at(deadline):
                answer = await _get(client, url, token, opened)
        except BaseException as error:
            await _close(client)
            await opened.close()
            failure = _translate(error, was_proven=was_proven)
            if failure is None:
                raise
            raise failure from None
        self._client, self._is_proven = client, True
        return answer

    async def close(self) -> None:
        """Close the connection; the next call makes a new one."""
        if self._client is not None:
            client, self._client, self._is_proven = self._client, None, False
            await _close(client)


class _OpenedStreams:
    """
    The TCP connections that were made during a call.

    httpx forgets the one whose TLS handshake is cancelled, by a deadline for instance, and leaves
    it open.
    """

    def __init__(self) -> None:
        self._closers: list[Callable[[], Awaitable[None]]] = []

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Be told by httpx of each step of a call (its request extension "trace")."""
        if event == "connection.connect_tcp.complete":
            self._closers.append(info["return_value"].aclose)

    async def close(self) -> None:
        """Close them, however they are."""
        for close in self._closers:
            with contextlib.suppress(OSError):
                await close()


async def _get(
    client: httpx.AsyncClient, url: str, token: Secret, opened: _OpenedStreams
) -> Answer:
    headers = {
        "Authorization": f"Bearer {token.reveal()}",
        "Accept": "application/json",
        # httpx unpacks whatever arrives at once: 800 bytes can become a gigabyte.
        "Accept-Encoding": "identity",
        "User-Agent": f"rk-exporter/{__version__}",
    }
    extensions = {"trace": opened.trace}
    async with client.stream("GET", url, headers=headers, extensions=extensions) as response:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise InvalidResponse("the API packed its answer although asked not to")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > LARGEST_BODY_BYTES:
                raise BodyTooLarge("the API's answer is larger than 1 MiB")
    return Answer(response.status_code, bytes(body), _ratelimit_headers(response.headers))


def _ratelimit_headers(headers: httpx.Headers) -> RateLimitHeaders:
    return RateLimitHeaders(
        ratelimit=headers.get("Ratelimit"),
        ratelimit_policy=headers.get("Ratelimit-Policy"),
        retry_after=headers.get("Retry-After"),
        date=headers.get("Date"),
    )


async def _close(client: httpx.AsyncClient) -> None:
    """Close *client*, whose connection may be broken in any way."""
    with contextlib.suppress(httpx.HTTPError, OSError):
        await client.aclose()


def _translate(error: BaseException, *, was_proven: bool) -> ApiError | None:
    """Return the ApiError for what httpx raised; None for what is not the network's doing."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return ApiTimeout("the API did not answer in time")
    if isinstance(error, httpx.TransportError | OSError):
        return _broken(list(_causes(error)), was_proven=was_proven)
    return None


def _broken(causes: list[BaseException], *, was_proven: bool) -> ApiError:
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return TlsFailed(f"no trusted connection to the API ({_tls_trouble(causes)})")
    if any(isinstance(cause, h11.RemoteProtocolError) for cause in causes):
        return InvalidResponse("the API's answer is not complete HTTP")
    if was_proven:
        return ConnectionStale("the API closed the connection")
    return ConnectFailed(f"no connection to the API ({_connect_trouble(causes)})")


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or error.__context__


def _tls_trouble(causes: Iterable[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate: {cause.verify_message}"
    return "handshake failed"


def _connect_trouble(causes: Iterable[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return "its name cannot be resolved"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
    return "it was closed before an answer came"

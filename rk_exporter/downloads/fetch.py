"""
Request the beginning of a file: HTTP/1.1 over TLS, to an address that was checked before.

It is no general client on purpose. It follows no redirect, uses no proxy, and sends neither cookies
nor a token, so that nobody who controls an API answer can make the exporter speak to another host.
"""

import asyncio
import re
import socket
import ssl

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

import h11

from rk_exporter import __version__
from rk_exporter.downloads.addresses import is_allowed
from rk_exporter.downloads.hosts import DownloadRules, RefusedHost, Target, parse_target
from rk_exporter.downloads.media import HEAD_BYTES
from rk_exporter.downloads.verdict import Answer
from rk_exporter.model.download import CheckFailure
from rk_exporter.model.secret import Secret


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
TIMEOUT_SECONDS = 15.0
MOST_BYTES = 64 * 1024
"""The most that is read of an answer, headers included."""
_CHUNK_BYTES = 8 * 1024
_LARGEST_HEAD_BYTES = 16 * 1024
# An address that does not answer leaves time for another one.
_CONNECT_SECONDS = 5.0
_MOST_ADDRESSES = 3
_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>\d{1,19})-\d{1,19}|\*)/(?P<size>\d{1,19}|\*)")
_LENGTH = re.compile(r"\d{1,19}")
_HAS_FILE: frozenset[int] = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})


class FetchFailed(Exception):
    """There is no answer to judge; *failure* says why, without the URL."""

    def __init__(self, failure: CheckFailure) -> None:
        super().__init__(failure.value)
        self.failure = failure


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of *host*, or raise OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Fetcher:
    """Requests files with the authorities of *tls*; the addresses of a host are from *resolver*."""

    def __init__(
        self,
        tls: ssl.SSLContext,
        *,
        resolver: Resolve = resolve,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._tls = tls
        self._resolve = resolver
        self._timeout_seconds = timeout_seconds

    async def __call__(self, url: Secret, rules: DownloadRules) -> Answer:
        """Return the beginning of the file at *url*. Raises FetchFailed."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._fetch(parse_target(url, rules), rules)
        except RefusedHost:
            raise FetchFailed(CheckFailure.REFUSED_HOST) from None
        except TimeoutError:
            raise FetchFailed(CheckFailure.TIMEOUT) from None
        except ssl.SSLError:
            raise FetchFailed(CheckFailure.TLS) from None
        except OSError:
            raise FetchFailed(CheckFailure.CONNECT) from None
        except h11.RemoteProtocolError:
            raise FetchFailed(CheckFailure.SERVER_ERROR) from None

    async def _fetch(self, target: Target, rules: DownloadRules) -> Answer:
        addresses = await self._resolve(target.host, target.port)
        allow_private = rules.allow_private_addresses
        if not all(is_allowed(address, allow_private=allow_private) for address in addresses):
            raise RefusedHost("the host has an address that is not public")
        reader, writer = await self._connect(target, addresses[:_MOST_ADDRESSES])
        try:
            return await _exchange(target, reader, writer)
        finally:
            # A server that does not close its side must not hold this one open.
            writer.transport.abort()

    async def _connect(
        self, target: Target, addresses: Sequence[str]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first of the checked *addresses* that accepts."""
        error: OSError = ConnectionError("the host has no address")
        for address in addresses:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    # By its address: another look-up could give another one (DNS rebinding).
                    return await asyncio.open_connection(
                        address,
                        target.port,
                        ssl=self._tls,
                        server_hostname=target.host,
                        limit=_CHUNK_BYTES,
                    )
            except OSError as failed:  # a timeout as well
                error = failed
        raise error


async def _exchange(
    target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Answer:
    """Send the request, and read the answer as far as needed."""
    wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD_BYTES)
    writer.write(wire.send(_request(target)) or b"")
    writer.write(wire.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    answer, head = Answer(0), b""
    async for event in _events(wire, reader):
        if isinstance(event, h11.Response):
            answer = _described(event)
            if answer.status not in _HAS_FILE:
                break
        elif isinstance(event, h11.Data):
            head += event.data
            if len(head) >= HEAD_BYTES:
                break
    return Answer(answer.status, answer.size, head[:HEAD_BYTES])


async def _events(wire: h11.Connection, reader: asyncio.StreamReader) -> AsyncIterator[h11.Event]:
    """Return what arrives, up to the end of the answer."""
    received, has_ended = 0, False
    while True:
        try:
            event = wire.next_event()
        except h11.RemoteProtocolError:
            if has_ended:
                raise ConnectionError("the server closed the connection too early") from None
            raise
        if event is h11.NEED_DATA:
            data = await reader.read(_CHUNK_BYTES)
            received, has_ended = received + len(data), not data
            if received > MOST_BYTES:
                raise FetchFailed(CheckFailure.SERVER_ERROR)
            wire.receive_data(data)
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return
        elif isinstance(event, h11.Event):
            yield event


def _request(target: Target) -> h11.Request:
    # Presigned URLs of S3 refuse HEAD, because the method is signed.
    return h11.Request(
        method="GET",
        target=target.path,
        headers=[
            ("Host", target.host_header),
            ("Range", f"bytes=0-{HEAD_BYTES - 1}"),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", f"rk-exporter/{__version__}"),
            ("Connection", "close"),
        ],
    )


def _described(response: h11.Response) -> Answer:
    """Return the status of a response, and the size of the whole file."""
    status = response.status_code
    headers = {name.decode("latin-1"): text.decode("latin-1") for name, text in response.headers}
    if status == HTTPStatus.OK:
        length = headers.get("content-length", "")
        return Answer(status, int(length) if _LENGTH.fullmatch(length) else None)
    return Answer(status, _size_of_range(headers, is_part=status == HTTPStatus.PARTIAL_CONTENT))


def _size_of_range(headers: Mapping[str, str], *, is_part: bool) -> int | None:
    match = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if match is None:
        return None
    if is_part and match["first"] != "0":
        # Another part of the file than the one that was requested.
        raise FetchFailed(CheckFailure.SERVER_ERROR)
    return None if match["size"] == "*" else int(match["size"])

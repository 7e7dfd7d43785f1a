"""The exporter's own servers, which get any bytes through a real socket."""

import asyncio
import contextlib
import re

from functools import cache

from rk_exporter.config.parsers import Address
from rk_exporter.web.server import Listener, serve
from rk_exporter.web.sockets import bind
from rk_exporter.webhooks.application import WebhookApplication
from rk_exporter.webhooks.receiver import Result
from tests.support.building import config, scripted, setup


# Much longer than an answer takes. The server closes a connection that the client has half closed.
_ANSWERED_SECONDS = 4.0
_GOOD = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_GOOD_EVERY = 50
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_STATUSES = frozenset({200, 304, 400, 403, 404, 405, 406, 408, 413, 417, 431, 503})
# A client that sends `Expect: 100-continue` gets this before the answer.
_INTERIM = 100


class _Site:
    """A server of metrics and one of webhooks, in a loop that runs only while bytes are sent."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._requests = 0
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        configuration = config(scrape__min_interval="4m", meeting_ids=["meeting-1"])
        exporter = setup(scripted("meeting-1"), configuration=configuration).exporter
        applications = (exporter.application, WebhookApplication(_accept))
        listeners = [
            Listener(application, bind(Address("127.0.0.1", 0))) for application in applications
        ]
        self._addresses = [listener.socket.getsockname()[:2] for listener in listeners]
        self._serving = asyncio.create_task(serve(listeners))

    def check(self, data: bytes) -> None:
        """Send *data* to one of the servers; both must go on to serve."""
        self._requests += 1
        which = data[0] % len(self._addresses) if data else 0
        answer = self._loop.run_until_complete(self._answer(which, data[1:]))
        found = {int(status) for status in _STATUS.findall(answer)}
        assert found <= _STATUSES | {_INTERIM}, answer[:500]
        assert bool(found) == bool(answer), answer[:500]
        if self._requests % _GOOD_EVERY == 0:
            good = self._loop.run_until_complete(self._answer(0, _GOOD))
            assert good.startswith(b"HTTP/1.1 200 "), good[:500]

    async def _answer(self, which: int, data: bytes) -> bytes:
        """Return everything that a server sends after it got *data* and the end of the stream."""
        reader, writer = await asyncio.open_connection(*self._addresses[which])
        try:
            async with asyncio.timeout(_ANSWERED_SECONDS):
                with contextlib.suppress(ConnectionError):
                    writer.write(data)
                    writer.write_eof()
                    await writer.drain()
                return await _rest(reader)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            assert not self._serving.done(), "the server has ended"


async def _rest(reader: asyncio.StreamReader) -> bytes:
    received = bytearray()
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(1 << 16):
            received += chunk
    return bytes(received)


async def _accept(_headers: object, _body: bytes) -> Result:
    return Result.ACCEPTED


@cache
def _site() -> _Site:
    return _Site()


def http_requests(data: bytes) -> None:
    """
    Send bytes to a server, and close the sending side.

    The first byte chooses the server: of metrics, or of webhooks.
    """
    _site().check(data)

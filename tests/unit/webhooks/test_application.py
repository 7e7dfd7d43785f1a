"""The application that receives webhooks, on the project's own server."""

import asyncio
import signal

from collections.abc import Awaitable, Callable, Mapping

import pytest

from rk_exporter.config.parsers import Address
from rk_exporter.web.server import Listener, serve
from rk_exporter.web.sockets import bind
from rk_exporter.webhooks import application
from rk_exporter.webhooks.application import LARGEST_BODY_BYTES, WebhookApplication
from rk_exporter.webhooks.receiver import Result
from tests.support.running_server import TIMEOUT_SECONDS, Peer


PATH = "/webhooks/realtimekit"


class Taken(list[bytes]):
    """The bodies that were taken, all with the same *result*."""

    result: Result | Exception = Result.ACCEPTED

    async def take(self, headers: Mapping[str, str], body: bytes) -> Result:
        assert headers["host"] == "x"
        self.append(body)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def with_receiver(test: Callable[[Callable[[], Awaitable[Peer]], Taken], Awaitable[None]]) -> None:
    """Run *test* with a function that connects to a running receiver."""

    async def run() -> None:
        taken, peers = Taken(), list[Peer]()
        with bind(Address("127.0.0.1", 0)) as listening:
            listener = Listener(WebhookApplication(taken.take), listening)
            serving = asyncio.create_task(serve([listener]))
            address = (listener.address.host, listener.address.port)
            await asyncio.sleep(0)

            async def connect() -> Peer:
                peers.append(Peer(*await asyncio.open_connection(*address)))
                return peers[-1]

            try:
                await test(connect, taken)
            finally:
                for peer in peers:
                    peer.writer.close()
                signal.raise_signal(signal.SIGTERM)
                await asyncio.wait_for(serving, TIMEOUT_SECONDS)

    asyncio.run(run())


def post(body: bytes = b"", *headers: str, path: str = PATH, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def of_length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


def responses(
    *requests: bytes, result: Result | Exception = Result.ACCEPTED
) -> tuple[list[tuple[int, bytes]], Taken]:
    """Return the response to each request, on a connection of its own, and what was taken."""
    found: list[tuple[int, bytes]] = []
    kept = Taken()

    async def test(connect: Callable[[], Awaitable[Peer]], taken: Taken) -> None:
        taken.result = result
        for data in requests:
            peer = await connect()
            await peer.send(data)
            found.append(await peer.response())
        kept.extend(taken)

    with_receiver(test)
    return found, kept


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (Result.ACCEPTED, 200),
        (Result.DUPLICATE, 200),
        (Result.UNKNOWN_MEETING, 200),
        (Result.BAD_SIGNATURE, 403),
        (Result.MALFORMED, 400),
        # RealtimeKit sends it again only after a 5xx.
        (Result.NO_KEY, 503),
    ],
)
def test_results(result: Result, status: int) -> None:
    """Only what was taken, and what never needs to be sent again, is answered with 2xx."""
    ((answered, _),), taken = responses(post(b"event", of_length(b"event")), result=result)
    assert answered == status
    assert taken == [b"event"]


def test_bug() -> None:
    """A bug is answered with 500, so that the event is sent again, and shows nothing."""
    ((status, body),), _ = responses(
        post(b"event", of_length(b"event")), result=RuntimeError("secret")
    )
    assert status == 500
    assert b"secret" not in body


@pytest.mark.parametrize(
    ("request_bytes", "status", "text"),
    [
        (post(path="/"), 404, PATH),
        (post(path="/metrics"), 404, PATH),
        (post(method="GET"), 405, "use POST"),
        (post(method="PUT"), 405, "use POST"),
        (post(b"", f"Content-Length: {LARGEST_BODY_BYTES + 1}"), 413, "64 KiB"),
        (post(b"", "Content-Length: 99999999999999999999"), 413, "64 KiB"),
        (b"nonsense\r\n\r\n", 400, "Invalid"),
    ],
)
def test_refused(request_bytes: bytes, status: int, text: str) -> None:
    """Requests that are no events are refused before their body is read."""
    ((answered, body),), taken = responses(request_bytes)
    assert answered == status
    assert text in body.decode()
    assert not taken


def test_chunks() -> None:
    """A body may come in chunks, and its size is limited all the same."""
    chunked = "Transfer-Encoding: chunked"
    piece = b"%x\r\n%s\r\n" % (30_000, b"x" * 30_000)
    found, taken = responses(
        post(piece + piece + b"0\r\n\r\n", chunked), post(piece * 3 + b"0\r\n\r\n", chunked)
    )
    assert [status for status, _ in found] == [200, 413]
    assert [len(body) for body in taken] == [60_000]


def test_largest() -> None:
    """A body of exactly 64 KiB is taken."""
    body = b"x" * LARGEST_BODY_BYTES
    found, taken = responses(post(body, of_length(body)))
    assert found[0][0] == 200
    assert taken == [body]


def test_slow_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not arrive in time is refused, and the connection is closed."""
    monkeypatch.setattr(application, "BODY_SECONDS", 0.2)
    ((status, _),), taken = responses(post(b"ev", "Content-Length: 5"))
    assert status == 408
    assert not taken


def test_gone() -> None:
    """A client that closes the connection within the body leaves nothing behind."""

    async def test(connect: Callable[[], Awaitable[Peer]], taken: Taken) -> None:
        peer = await connect()
        await peer.send(post(b"ev", "Content-Length: 5"))
        peer.reset()
        other = await connect()
        await other.send(post(b"event", of_length(b"event")))
        assert (await other.response())[0] == 200
        assert taken == [b"event"]

    with_receiver(test)

import asyncio
import contextlib

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rk_exporter.model.errors import ConnectFailed
from rk_exporter.runtime.files import FileError
from rk_exporter.simulator.webhooks.signing import public_pem
from rk_exporter.webhooks.keys import FetchedKey, KeyFile
from tests.support.webhooks import key


@dataclass
class Server:
    """Where the key is published: the number of the key, or None if the server is down."""

    number: int | None = 0
    requests: int = 0
    now: float = 0.0
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    async def fetch(self) -> bytes:
        self.requests += 1
        await self.answers.wait()
        if self.number is None:
            raise ConnectFailed("no connection to the server (Connection refused)")
        return public_pem(self.number).encode()


def with_server(
    test: Callable[[Server, FetchedKey], Awaitable[None]], **options: int | None
) -> None:
    async def run() -> None:
        server = Server(**options)  # type: ignore[arg-type] # the number of the key
        source = FetchedKey(server.fetch, monotonic=lambda: server.now)
        await test(server, source)
        await source.close()

    asyncio.run(run())


class TestFetchedKey:
    def test_cached(self) -> None:
        """The key is fetched once a day, also by many requests at the same time."""

        async def test(server: Server, source: FetchedKey) -> None:
            assert set(await asyncio.gather(*(source.current() for _ in range(9)))) == {key()}
            server.now += 86_399
            await source.current()
            assert server.requests == 1
            server.now += 1
            server.number = 1
            # The old one is used until the new one is there.
            assert await source.current() == key()
            await asyncio.sleep(0)
            assert await source.current() == key(1)
            assert server.requests == 2

        with_server(test)

    def test_kept(self, caplog: pytest.LogCaptureFixture) -> None:
        """A key that cannot be fetched again stays in use, which is logged once."""

        async def test(server: Server, source: FetchedKey) -> None:
            await source.current()
            server.number = None
            for _ in range(3):
                server.now += 86_400
                assert await source.current() == key()
                await asyncio.sleep(0)
            server.number = 0
            server.now += 60
            await source.current()
            await asyncio.sleep(0)

        caplog.set_level("INFO")
        with_server(test)
        problem, recovery = caplog.messages
        assert problem.startswith("public key of webhooks cannot be fetched, the last one stays in")
        assert problem.endswith("no connection to the server (Connection refused)")
        assert recovery == "public key of webhooks can be fetched again"

    def test_down_at_start(self) -> None:
        """Without any key there is none, and it is tried at most once a minute."""

        async def test(server: Server, source: FetchedKey) -> None:
            for _ in range(5):
                assert await source.current() is None
            assert server.requests == 1
            server.number = 0
            server.now += 59.9
            assert await source.current() is None
            server.now += 0.1
            assert await source.current() == key()

        with_server(test, number=None)

    def test_rotated(self) -> None:
        """After a bad signature, the key is fetched again at most once a minute."""

        async def test(server: Server, source: FetchedKey) -> None:
            await source.current()
            server.number = 1
            for _ in range(5):
                assert await source.renewed(key()) is None
            assert server.requests == 1
            server.now += 60
            assert await source.renewed(key()) == key(1)
            # A request that has used the old key in the meantime gets the new one.
            assert await source.renewed(key()) == key(1)
            assert await source.renewed(key(1)) is None
            assert server.requests == 2

        with_server(test)

    def test_no_key_there(self, caplog: pytest.LogCaptureFixture) -> None:
        """An answer without a key does not replace the key in use."""

        async def run() -> None:
            answers = [public_pem(0).encode(), b"{}"]
            now = [0.0]

            async def fetch() -> bytes:
                return answers.pop(0)

            source = FetchedKey(fetch, monotonic=lambda: now[0])
            await source.current()
            now[0] += 60
            assert await source.renewed(key()) is None
            assert await source.current() == key()

        asyncio.run(run())
        assert "what is there is no key" in caplog.text

    def test_client_gives_up(self) -> None:
        """If the first request is cancelled, the others still get the key."""

        async def test(server: Server, source: FetchedKey) -> None:
            server.answers.clear()
            first = asyncio.create_task(source.current())
            second = asyncio.create_task(source.current())
            await asyncio.sleep(0)
            first.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await first
            server.answers.set()
            assert await second == key()

        with_server(test)


class TestKeyFile:
    def test_replaced(self, tmp_path: Path) -> None:
        """A key in a file is read again when the file changes."""
        path = tmp_path / "key.pem"
        path.write_text(public_pem(0))
        source = KeyFile(path, option="webhook.public_key_file")

        async def run() -> None:
            assert await source.current() == key()
            assert await source.renewed(key()) is None
            path.write_text(public_pem(1))
            assert await source.current() == key(1)
            assert await source.renewed(key()) == key(1)
            path.write_text("nothing")
            assert await source.current() == key(1)

        asyncio.run(run())

    def test_invalid(self, tmp_path: Path) -> None:
        """A file without a key is refused, with its path and what is expected."""
        path = tmp_path / "key.pem"
        path.write_text("nothing")
        with pytest.raises(FileError, match=r"key\.pem: expected a public key in PEM"):
            KeyFile(path, option="webhook.public_key_file")

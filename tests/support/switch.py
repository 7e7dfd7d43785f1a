"""A port whose connections go to a server of the test's choice, or nowhere."""

import asyncio
import contextlib
import socket

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

from tests.support.faulty_api import Loop


class Switch:
    """A port, whose connections go on to another *target* port on this machine."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0
        self.target = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Switch"]:
        """Pass connections on until the block ends."""
        await self._listen()
        try:
            yield self
        finally:
            await self._close()

    @contextmanager
    def leading_to(self, port: int) -> Iterator[None]:
        """Let new connections go elsewhere, and close those that are open, as a restart does."""
        before = self.target
        self.target = port
        self._loop.run(self._end_connections())
        try:
            yield
        finally:
            self.target = before
            self._loop.run(self._end_connections())

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections."""
        self._loop.run(self._close())
        try:
            yield
        finally:
            self._loop.run(self._listen())

    @contextmanager
    def ignoring(self) -> Iterator[None]:
        """Let the system drop what asks for a connection, as many firewalls do."""
        with self.refusing(), ExitStack() as stack:
            listening = stack.enter_context(socket.socket())
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", self.port))
            listening.listen(0)
            # Nobody accepts these, and there is no room for another one.
            for _ in range(3):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)  # noqa: FBT003 # the standard library's signature
                with contextlib.suppress(BlockingIOError):
                    waiting.connect(("127.0.0.1", self.port))
            yield

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._handle, "127.0.0.1", self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server
        self._server.close()
        await self._end_connections()

    async def _end_connections(self) -> None:
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._pass_on(reader, writer)
        finally:
            writer.transport.abort()
            self._open.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            copies = {
                asyncio.ensure_future(_copy(reader, onward)),
                asyncio.ensure_future(_copy(onward_reader, writer)),
            }
            try:
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for copy in copies:
                    copy.cancel()
        finally:
            onward.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

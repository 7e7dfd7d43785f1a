"""A fixed number of connections to the API, each used by one call at a time."""

import asyncio

from rk_exporter.api.connection import ClientFactory, Connection


class ConnectionPool:
    """Lends *size* connections to calls; a call waits while all of them are in use."""

    def __init__(self, make_client: ClientFactory, *, size: int) -> None:
        self.size = size
        self._connections = [Connection(make_client) for _ in range(size)]
        # Last in, first out: the connection used last is the least likely to be closed by now.
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in self._connections:
            self._idle.put_nowait(connection)

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

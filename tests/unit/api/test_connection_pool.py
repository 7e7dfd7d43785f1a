import asyncio
import random

import httpx
import pytest

from rk_exporter.api.connection import Connection, ConnectionPool
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.api.connection_setup import client_factory
from rk_exporter.model.errors import ConnectionStale
from rk_exporter.model.secret import Secret
from tests.support import virtual_time
from tests.support.fault_server import TEST_TIMEOUT_SECONDS, Exchange, FaultServer, head


def never_called() -> httpx.AsyncClient:
    raise AssertionError("no client is needed")


def pool_of(size: int) -> ConnectionPool:
    return ConnectionPool(ClientPool(never_called), size=size)


async def use(pool: ConnectionPool, seconds: float) -> Connection:
    connection = await pool.acquire()
    try:
        await asyncio.sleep(seconds)
    finally:
        pool.release(connection)
    return connection


async def assert_all_idle(pool: ConnectionPool) -> None:
    """Check that exactly as many calls as the pool has connections run at a time."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    used = await asyncio.gather(*(use(pool, 1.0) for _ in range(2 * pool.size)))
    assert loop.time() == begun + 2.0
    assert len(set(map(id, used))) == pool.size


def test_each_call_has_its_own_connection() -> None:
    """Two calls never use one connection at a time; further calls wait."""
    virtual_time.run(assert_all_idle(pool_of(3)))


def test_last_used_first() -> None:
    """Calls one after the other use one connection, so that the others may expire."""

    async def calls() -> None:
        pool = pool_of(3)
        used = {id(await use(pool, 1.0)) for _ in range(5)}
        assert len(used) == 1

    virtual_time.run(calls())


def test_cancelled_while_waiting() -> None:
    """A cancelled wait loses no connection, even if a connection was just handed over."""

    async def calls() -> None:
        pool = pool_of(1)
        first, second = (asyncio.create_task(use(pool, 1.0)) for _ in range(2))
        third = asyncio.create_task(use(pool, 1.0))
        await asyncio.sleep(0.5)
        third.cancel()
        await first
        # The connection is idle again, and the second call has not run since.
        second.cancel()
        await asyncio.wait([second, third])
        await assert_all_idle(pool)

    virtual_time.run(calls())


def test_cancelled_while_in_use() -> None:
    """A cancelled call gives its connection back."""

    async def calls() -> None:
        pool = pool_of(2)
        tasks = [asyncio.create_task(use(pool, 10.0)) for _ in range(4)]
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await assert_all_idle(pool)

    virtual_time.run(calls())


def test_cancelled_at_any_time() -> None:
    """However calls are cancelled, all connections can be used afterwards."""
    chance = random.Random(1)  # noqa: S311 # not a secret

    async def calls() -> None:
        loop = asyncio.get_running_loop()
        pool = pool_of(3)
        tasks = []
        for _ in range(500):
            tasks.append(asyncio.create_task(use(pool, chance.choice([0.0, 0.5, 1.0]))))
            loop.call_later(chance.choice([0.0, 0.5, 1.0, 1.5]), tasks[-1].cancel)
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.5]))
        await asyncio.wait(tasks)
        await assert_all_idle(pool)

    virtual_time.run(calls())


def test_close() -> None:
    """All connections are closed."""
    clients: list[httpx.AsyncClient] = []

    async def send(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    def make_client() -> httpx.AsyncClient:
        clients.append(httpx.AsyncClient(transport=httpx.MockTransport(send)))
        return clients[-1]

    async def call(pool: ConnectionPool) -> None:
        deadline = asyncio.get_running_loop().time() + 5
        connection = await pool.acquire()
        await connection.get("http://api.test/", token=Secret("x"), deadline=deadline)
        pool.release(connection)

    async def calls() -> None:
        pool = ConnectionPool(ClientPool(make_client), size=2)
        await asyncio.gather(call(pool), call(pool))
        assert [False, False] == [client.is_closed for client in clients]
        await pool.close()

    asyncio.run(calls())
    assert [True, True] == [client.is_closed for client in clients]


def test_restart_of_the_api() -> None:
    """If all kept connections are stale, each call succeeds after one retry on a new connection."""
    body = b"{}"

    async def calls() -> None:
        server = FaultServer()
        together = asyncio.Barrier(3)

        async def behave(exchange: Exchange) -> bool:
            if server.requests[-1].path == "/first":
                # So that each of these calls has a connection of its own.
                await together.wait()
            elif server.requests[-1].connection <= 3:
                return False
            await exchange.send(head(200, f"Content-Length: {len(body)}") + body)
            return True

        server.script("first", behave)
        server.script("later", behave)
        async with server.running():
            pool = ConnectionPool(ClientPool(client_factory(server.url)), size=3)
            await asyncio.gather(*(get(pool, f"{server.url}/first") for _ in range(3)))
            assert server.connections == 3
            with pytest.raises(ConnectionStale):
                await get(pool, f"{server.url}/later")
            # The pool still has two stale connections.
            await get(pool, f"{server.url}/later")
            await pool.close()

    asyncio.run(calls())


async def get(pool: ConnectionPool, url: str) -> None:
    """Make a call."""
    deadline = asyncio.get_running_loop().time() + TEST_TIMEOUT_SECONDS
    connection = await pool.acquire()
    try:
        await connection.get(url, token=Secret("x"), deadline=deadline)
    finally:
        pool.release(connection)

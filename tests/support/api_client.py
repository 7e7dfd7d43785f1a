"""An API client with a real connection to a server with faults."""

import asyncio
import contextlib
import ssl

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import pytest

from rk_exporter.api.calls import ApiCaller
from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.connection import ConnectionPool
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.api.connection_setup import client_factory
from rk_exporter.api.endpoints import ACTIVE_RECORDING
from rk_exporter.model.errors import (
    ApiError,
)
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App
from rk_exporter.model.recording import Recording
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.server_clock import ServerClock
from tests.support.building import free_limiter, pass_context
from tests.support.fault_server import (
    TEST_TIMEOUT_SECONDS,
    Behaviour,
    FaultServer,
    head,
)


TOKEN = "canary-token-7f3a9c51"
APP = App(name="studio", account_id="account", app_id="app")
NOTHING = ()
SHORT_SECONDS = 0.2

MEETING = "meeting"

BODY = b'{"success":true,"data":null}'
LENGTH_100 = head(200, "Content-Length: 100")


@dataclass(slots=True)
class Observer:
    """Records the calls and the failures."""

    codes: list[str] = field(default_factory=list)
    failures: list[Reason] = field(default_factory=list)

    def called(self, endpoint: str, code: str, duration_seconds: float) -> None:
        """Record the status of a call."""
        assert endpoint == ACTIVE_RECORDING
        assert duration_seconds >= 0
        self.codes.append(code)

    def failed(self, endpoint: str, reason: Reason) -> None:
        """Record the reason of a failure."""
        assert endpoint == ACTIVE_RECORDING
        self.failures.append(reason)

    def malformed(self, fields: Iterable[str]) -> None:
        """Expect no malformed fields."""
        assert not tuple(fields)


@dataclass(slots=True)
class Client:
    """The API client of the exporter, with one connection."""

    url: str
    observer: Observer = field(default_factory=Observer)
    limiter: RateLimiter = field(default_factory=lambda: free_limiter(Secret(TOKEN)))
    api: RealtimeKitClient = field(init=False)

    def __post_init__(self) -> None:
        base_url = f"{self.url}/client/v4"
        self.api = RealtimeKitClient(
            ApiCaller(
                APP,
                base_url=base_url,
                pool=ConnectionPool(ClientPool(client_factory(base_url)), size=1),
                limiter=self.limiter,
                observer=self.observer,
                server_clock=ServerClock(Clock()),
            )
        )

    async def call(self, seconds: float = TEST_TIMEOUT_SECONDS) -> tuple[Recording, ...]:
        """Read the meeting within *seconds*."""
        deadline = asyncio.get_running_loop().time() + seconds
        return await self.api.active_recordings(
            MEETING,
            pass_context(
                token=Secret(TOKEN),
                deadline=deadline,
                call_timeout_seconds=TEST_TIMEOUT_SECONDS,
                wait_until=0.0,
            ),
        )

    async def failure(self, seconds: float = TEST_TIMEOUT_SECONDS) -> ApiError:
        """Return the error of a call that must fail before the test times out."""
        with pytest.raises(ApiError) as caught:
            async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
                await self.call(seconds)
        return caught.value


@contextlib.asynccontextmanager
async def client_of(url: str, limiter: RateLimiter | None = None) -> AsyncIterator[Client]:
    """Yield a client, and close it at the end."""
    client = Client(url, limiter=limiter or free_limiter(Secret(TOKEN)))
    try:
        yield client
    finally:
        await client.api.close()


def with_server(
    test: Callable[[FaultServer, Client], Awaitable[None]],
    *behaviours: Behaviour,
    context: ssl.SSLContext | None = None,
    scheme: str | None = None,
    limiter: RateLimiter | None = None,
) -> None:
    """Run *test* with a server that has these *behaviours*, and with a client of it."""

    async def run() -> None:
        server = FaultServer()
        server.script(MEETING, *behaviours)
        async with server.running(context):
            url = f"{scheme or server.scheme}://127.0.0.1:{server.port}"
            async with client_of(url, limiter) as client:
                await test(server, client)

    asyncio.run(run())

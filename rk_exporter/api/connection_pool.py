"""The connections of the process: how many there are, and which app may use how many of them."""

import asyncio
import contextlib

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx

from rk_exporter.api.connection_setup import KEEPALIVE_SECONDS, ClientFactory


# The budget allows a few calls a second, so more would help only if calls take many seconds.
MAX_CONNECTIONS = 64


@dataclass(eq=False, slots=True)
class Share:
    """The connections that one app uses."""

    in_use: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    """The calls that wait for a connection."""
    has_left: bool = False
    """Whether the app makes no more calls."""


@dataclass(slots=True)
class Loan:
    """A lent client; its borrower sets *is_reusable* after a complete answer."""

    client: httpx.AsyncClient
    is_proven: bool
    """Whether the client has made a call."""
    is_reusable: bool = False


class ClientPool:
    """
    Lends clients, which have one connection each, to the apps; never more than *size* at a time.

    One connection is reserved for each app that uses none, up to half of all connections. So a few
    apps whose calls hang cannot stop the others. If apps wait, the one that uses the fewest is
    next.
    """

    def __init__(self, make_client: ClientFactory, *, size: int = MAX_CONNECTIONS) -> None:
        self._make_client = make_client
        self._free = size
        self._most_reserved = size // 2
        self._apps_without = 0
        self._idle: deque[tuple[float, httpx.AsyncClient]] = deque()
        """When each client became idle, longest ago first."""
        # A dict, because apps that use equally many take turns.
        self._waiting: dict[Share, None] = {}

    def share(self) -> Share:
        """Return the share of another app."""
        self._apps_without += 1
        return Share()

    def leave(self, share: Share) -> None:
        """Reserve nothing any more for the *share* of an app that makes no more calls."""
        share.has_left = True
        self._apps_without -= share.in_use == 0
        self._hand_out()

    def renew(self, make_client: ClientFactory) -> list[httpx.AsyncClient]:
        """Make all further clients in another way, and return the idle ones, to be closed."""
        self._make_client = make_client
        idle, self._idle = self._idle, deque()
        return [client for _, client in idle]

    @contextlib.asynccontextmanager
    async def lend(self, share: Share, *, fresh: bool) -> AsyncIterator[Loan]:
        """Lend a client, without an open connection if it must be *fresh*."""
        await self._wait_for_place(share)
        try:
            loan = await self._loan(fresh=fresh)
            try:
                yield loan
            finally:
                if loan.is_reusable:
                    self._idle.append((asyncio.get_running_loop().time(), loan.client))
                else:
                    await close_client(loan.client)
        finally:
            self._leave(share)

    async def close(self) -> None:
        """Close all connections that are not in use."""
        while self._idle:
            await close_client(self._idle.popleft()[1])

    async def _loan(self, *, fresh: bool) -> Loan:
        oldest_kept = asyncio.get_running_loop().time() - KEEPALIVE_SECONDS
        while self._idle and self._idle[0][0] < oldest_kept:
            await close_client(self._idle.popleft()[1])
        if not self._idle:
            return Loan(self._make_client(), is_proven=False)
        # The connection used last is the least likely to be closed by now.
        _, client = self._idle.pop()
        if not fresh:
            return Loan(client, is_proven=True)
        # Closed, because otherwise there would be more connections than places.
        await close_client(client)
        return Loan(self._make_client(), is_proven=False)

    async def _wait_for_place(self, share: Share) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        share.waiting.append(place)
        self._waiting[share] = None
        self._hand_out()
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                # The place was handed over in the same moment.
                self._leave(share)
            raise

    def _leave(self, share: Share) -> None:
        share.in_use -= 1
        self._free += 1
        self._apps_without += share.in_use == 0 and not share.has_left
        self._hand_out()

    def _hand_out(self) -> None:
        """Give the free places to waiting calls."""
        while self._waiting:
            share = min(self._waiting, key=lambda waiting: waiting.in_use)
            if self._free <= (min(self._apps_without, self._most_reserved) if share.in_use else 0):
                return
            place = share.waiting.popleft()
            if not share.waiting:
                del self._waiting[share]
            if not place.done():
                self._apps_without -= share.in_use == 0
                share.in_use += 1
                self._free -= 1
                place.set_result(None)


async def close_client(client: httpx.AsyncClient) -> None:
    """Close *client*, even if its connection is broken."""
    with contextlib.suppress(httpx.HTTPError, OSError):
        await client.aclose()

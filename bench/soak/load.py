"""What happens to the exporter under soak: scrapes, strangers, faults, changes, slow clients."""

import asyncio
import os
import random
import signal
import ssl

from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx

from bench.soak.counters import CounterWatch
from bench.soak.own_delay import OwnDelay
from bench.soak.site import Site, authorization
from rk_exporter.simulator import Simulator
from rk_exporter.simulator.api.faults import Fault


Act: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_TIMEOUT_SECONDS = 20.0
# The exporter closes clients that need 5 s for their part, and is right if this process was late.
_MUCH_DELAY_SECONDS = 2.5
_FAULT_CALLS = 3
# These refuse every call of the user, so that the rest of the soak would be idle.
_ACCOUNT_WIDE = frozenset(
    {
        Fault.UNAUTHORIZED,
        Fault.FORBIDDEN,
        Fault.GATEWAY_NOT_FOUND,
        Fault.RATE_LIMITED,
        Fault.RATE_LIMITED_971_AS_500,
        Fault.UNAVAILABLE,
    }
)
FAULTS = [fault for fault in Fault if fault not in _ACCOUNT_WIDE]
_METRICS = b"GET /metrics HTTP/1.1\r\nHost: soak\r\nAuthorization: %s\r\n\r\n"


@dataclass(slots=True)
class Load:
    """Everything that runs against the exporter at *url* in process *pid*, until cancelled."""

    url: str
    pid: int
    site: Site
    simulator: Simulator
    chance: random.Random
    watch: CounterWatch
    done: Counter[str] = field(default_factory=Counter)
    """How often each thing happened."""
    failures: list[str] = field(default_factory=list)
    _own_delay: OwnDelay = field(default_factory=OwnDelay)
    _turn: int = 0
    # On a busy machine a reload may take longer than the time until the next one.
    _reloading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, seconds: float) -> None:
        """Run all of it for *seconds*."""
        context = self.site.client_context()
        with suppress(TimeoutError):
            # The client is closed last: connections that it kept would be open for minutes.
            async with (
                httpx.AsyncClient(verify=context, timeout=_TIMEOUT_SECONDS) as keeping,
                asyncio.timeout(seconds),
                asyncio.TaskGroup() as group,
            ):
                group.create_task(self._own_delay.watch())
                group.create_task(self._observe(context))
                self._start_scrapers(group, keeping, context)
                self._every(group, 1.0, self._be_refused)
                self._every(group, 2.0, self._inject_fault)
                self._every(group, 5.0, self._reload)
                self._every(group, 7.0, self._rotate_token)
                self._every(group, 11.0, self._rotate_certificate)
                for hang in (self._silent, self._silent_tls, self._half_a_head, self._slow_reader):
                    for _ in range(5):
                        group.create_task(self._again_and_again(hang))

    async def reload_at_last(self) -> None:
        """Take a good configuration without faults, so that the end is the same each time."""
        self.simulator.clear()
        self.site.configure(0)
        await self._post_reload(HTTPStatus.OK)

    def _start_scrapers(
        self, group: asyncio.TaskGroup, keeping: httpx.AsyncClient, context: ssl.SSLContext
    ) -> None:
        """Start eight scrapes a second; two of them make a connection of their own."""

        async def scrape_kept() -> None:
            await self._scrape(keeping)

        async def scrape_once() -> None:
            async with httpx.AsyncClient(verify=context, timeout=_TIMEOUT_SECONDS) as other:
                await self._scrape(other)

        self._every(group, 1 / 6, scrape_kept)
        self._every(group, 1 / 2, scrape_once)

    async def _observe(self, context: ssl.SSLContext) -> None:
        """Scrape twice a second, one scrape after the other, and watch all counters."""
        async with httpx.AsyncClient(verify=context, timeout=_TIMEOUT_SECONDS) as client:
            while True:
                text = await self._scrape(client)
                if text is not None:
                    self.failures += self.watch.see(text)
                await asyncio.sleep(0.5)

    async def _scrape(self, client: httpx.AsyncClient) -> str | None:
        answer = await self._expect(client, HTTPStatus.OK, "scrape", "/metrics", authorization())
        return answer.text if answer else None

    async def _be_refused(self) -> None:
        """Try a wrong password."""
        headers = authorization(f"wrong {self.chance.random()}")
        async with self._client() as client:
            await self._expect(client, HTTPStatus.UNAUTHORIZED, "refusal", "/metrics", headers)

    async def _inject_fault(self) -> None:
        fault = self.chance.choice(FAULTS)
        meeting = self.chance.choice(["*", *self.site.meetings])
        self.simulator.inject(meeting, fault, _FAULT_CALLS)
        self.done["fault"] += 1

    async def _reload(self) -> None:
        """Reload by signal, by request, or a configuration that is refused."""
        async with self._reloading:
            self._turn += 1
            if self._turn % 4 == 0:
                self.site.misconfigure()
                await self._post_reload(HTTPStatus.INTERNAL_SERVER_ERROR)
            elif self._turn % 2:
                self.site.configure(self._turn)
                os.kill(self.pid, signal.SIGHUP)
                self.done["SIGHUP"] += 1
            else:
                self.site.configure(self._turn)
                await self._post_reload(HTTPStatus.OK)

    async def _post_reload(self, status: HTTPStatus) -> None:
        what = "reload" if status is HTTPStatus.OK else "refused reload"
        async with self._client() as client:
            await self._expect(client, status, what, "/-/reload", authorization(), method="POST")

    async def _rotate_token(self) -> None:
        self.done["token"] += 1
        self.site.rotate_token(self.done["token"])

    async def _rotate_certificate(self) -> None:
        self.done["certificate"] += 1
        self.site.rotate_certificate()

    async def _silent(self) -> None:
        """Connect and say nothing, not even TLS."""
        await self._hang(None, b"")

    async def _silent_tls(self) -> None:
        """Complete the TLS handshake and say nothing."""
        await self._hang(self.site.client_context(), b"")

    async def _half_a_head(self) -> None:
        """Send half a request."""
        await self._hang(self.site.client_context(), b"GET /metrics HTTP/1.1\r\nHos")

    async def _slow_reader(self) -> None:
        """Ask for the metrics many times and read nothing."""
        request = _METRICS % authorization()["Authorization"].encode()
        await self._hang(self.site.client_context(), request * 50)

    async def _hang(self, context: ssl.SSLContext | None, data: bytes) -> None:
        address = urlsplit(self.url)
        # The exporter may close it at any time, also during the handshake.
        with suppress(OSError):
            _, writer = await asyncio.open_connection(
                address.hostname,
                address.port,
                ssl=context,
                limit=1024,
                server_hostname=address.hostname if context else None,
            )
            self.done["slow client"] += 1
            try:
                writer.write(data)
                await asyncio.sleep(self.chance.uniform(1, 12))
            finally:
                writer.transport.abort()

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=self.site.client_context(), timeout=_TIMEOUT_SECONDS)

    async def _expect(
        self,
        client: httpx.AsyncClient,
        status: HTTPStatus,
        what: str,
        path: str,
        headers: dict[str, str],
        *,
        method: str = "GET",
    ) -> httpx.Response | None:
        """Send a request and count it; record a failure if the answer has another *status*."""
        delay_before = self._own_delay.total_seconds
        try:
            answer = await client.request(method, f"{self.url}{path}", headers=headers)
        except httpx.HTTPError as error:
            if self._own_delay.total_seconds - delay_before > _MUCH_DELAY_SECONDS:
                self.done["request that the load delayed"] += 1
                return None
            self.failures.append(f"{what}: {type(error).__name__}: {error}")
            return None
        self.done[what] += 1
        if answer.status_code != status:
            self.failures.append(f"{what}: {answer.status_code} {answer.text[:200]!r}")
            return None
        return answer

    def _every(self, group: asyncio.TaskGroup, seconds: float, act: Act) -> None:
        """Start *act* in each interval of *seconds*, also if the one before still runs."""

        async def repeat() -> None:
            while True:
                group.create_task(act())
                await asyncio.sleep(seconds)

        group.create_task(repeat())

    @staticmethod
    async def _again_and_again(act: Act) -> None:
        while True:
            await act()
            await asyncio.sleep(0.1)

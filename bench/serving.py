"""How many scrapes a second are answered in time, with 100 and with 1,000 recordings shown."""

import asyncio
import gzip
import math
import ssl
import statistics
import tempfile

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.processes import Running, running
from bench.scraping import exporting, p99, recordings_shown, write_config
from tests.support.web_config import (
    TLS_FILES,
    USER,
    authorization,
    bcrypt_hash,
    client_context,
    write_web_config,
)


RECORDINGS = (100, 1000)
LIMIT_SECONDS = 0.1
_CONNECTIONS = 20
_STEP_SECONDS = 3.0
_FIRST_RATE = 200
_FACTOR = 1.2
_RUNS = 3
# A generator that is itself too slow would measure itself.
_REACHED = 0.97
_BCRYPT_COST = 10


@dataclass(slots=True)
class Generator:
    """Sends requests at a given rate, whether or not the ones before were answered."""

    reader_writers: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    request: bytes
    seconds: list[float] = field(default_factory=list)
    last_body: bytes = b""

    @property
    def shown(self) -> int:
        """Return the number of recordings in the last answer."""
        return recordings_shown(gzip.decompress(self.last_body).decode())

    async def run(self, rate: float) -> float:
        """Return the 99th percentile of the time from when a request was due to its answer."""
        loop, self.seconds = asyncio.get_running_loop(), []
        count, begun = int(rate * _STEP_SECONDS), loop.time()
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                due = begun + number / rate
                await asyncio.sleep(max(0.0, due - loop.time()))
                group.create_task(self._ask(due))
        reached = count / (loop.time() - begun)
        return math.inf if reached < rate * _REACHED else p99(self.seconds)

    async def _ask(self, due: float) -> None:
        reader, writer = await self.reader_writers.get()
        writer.write(self.request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        self.last_body = await reader.readexactly(int(length))
        self.seconds.append(asyncio.get_running_loop().time() - due)
        self.reader_writers.put_nowait((reader, writer))


@asynccontextmanager
async def connected(
    url: str, *, context: ssl.SSLContext | None = None, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Generator]:
    """Connect to an exporter, and close the connections at the end of the block."""
    address = urlsplit(url)
    all_headers = {"Host": address.netloc, "Accept-Encoding": "gzip", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    generator = Generator(asyncio.Queue(), f"GET /metrics HTTP/1.1\r\n{lines}\r\n".encode())
    connections = [
        await asyncio.open_connection(address.hostname, address.port, ssl=context)
        for _ in range(_CONNECTIONS)
    ]
    for connection in connections:
        generator.reader_writers.put_nowait(connection)
    try:
        yield generator
    finally:
        for _, writer in connections:
            writer.close()


async def highest_rate(generator: Generator) -> float:
    """Return the highest rate at which 99 % of the answers arrive within 100 ms."""
    rate, highest = float(_FIRST_RATE), 0.0
    while await generator.run(rate) <= LIMIT_SECONDS:
        highest, rate = rate, rate * _FACTOR
    return highest


def print_serving() -> None:
    """Print how many scrapes a second are answered in time, plain and with TLS and a password."""
    print(
        f"scrapes per second with 99 % of the answers within {LIMIT_SECONDS * 1000:.0f} ms "
        f"(new values every 5 s, {_CONNECTIONS} connections, gzip; median of {_RUNS}):\n"
    )
    for count in RECORDINGS:
        with running("bench.finished_account", str(count)) as simulator:
            for name, is_protected in (("plain HTTP", False), ("TLS and a password", True)):
                rates = _highest_rates(simulator, count, is_protected=is_protected)
                print(f"- {count:,} recordings shown, {name}: {statistics.median(rates):.0f}")
    print()


def _highest_rates(simulator: Running, count: int, *, is_protected: bool) -> list[float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        more: dict[str, Any] = {"scrape": {"min_interval": "5s"}}
        if is_protected:
            users = {USER: bcrypt_hash(cost=_BCRYPT_COST)}
            web = write_web_config(folder, tls=TLS_FILES, basic_auth_users=users)
            more["web"] = {"listen_address": "127.0.0.1:0", "config_file": str(web)}
        config = write_config(folder, simulator, read="list", more=more)
        with exporting(config) as exporter:
            return [
                asyncio.run(_highest_rate(exporter, count, is_protected=is_protected))
                for _ in range(_RUNS)
            ]


async def _highest_rate(exporter: Running, count: int, *, is_protected: bool) -> float:
    context = client_context() if is_protected else None
    headers = {"Authorization": authorization()} if is_protected else {}
    async with connected(exporter.url, context=context, headers=headers) as generator:
        await generator.run(_FIRST_RATE)  # reads the account, and warms up
        if generator.shown != count:
            raise RuntimeError(f"{generator.shown} recordings are shown, not {count}")
        return await highest_rate(generator)

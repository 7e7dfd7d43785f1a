"""What TLS and passwords cost the exporter, per scrape."""

import ssl
import statistics
import tempfile
import time

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.processes import Running, running
from bench.scraping import HEADERS, exporting, p99, recordings_shown, write_config
from tests.support.web_config import (
    CLIENT_CERTIFICATES,
    PASSWORD,
    USER,
    authority,
    bcrypt_hash,
    client_context,
    write_web_config,
)


# Finished recordings; those in progress are shown too.
RECORDINGS = 100
MEETINGS = 10
SCRAPES = 300
SLOW_SCRAPES = 20
COSTS = (10, 12)
_OK, _UNAUTHORIZED = 200, 401
_USERS = {"basic_auth_users": {USER: bcrypt_hash(cost=COSTS[0])}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One kind of protection, and how it is used.

    The connection is *kept* between scrapes or made for each. A *wrong* password is another one
    each time, so that no result is remembered.
    """

    name: str
    web: Mapping[str, Any]
    has_tls: bool = False
    kept: bool = True
    auth: tuple[str, str] | None = None
    wrong: bool = False

    @property
    def count(self) -> int:
        """Return how many scrapes are measured."""
        return SLOW_SCRAPES if self.wrong else SCRAPES


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of the exporter and duration of a scrape, both in milliseconds."""

    cpu_ms: float
    median_ms: float
    p99_ms: float


CASES = (
    Case(name="HTTP, connection kept", web={}),
    Case(name="HTTP, a connection for each scrape", web={}, kept=False),
    Case(name="password, remembered", web=_USERS, auth=(USER, PASSWORD)),
    Case(name="TLS, connection kept", web={}, has_tls=True),
    Case(
        name="TLS, client certificate and password, connection kept",
        web=_USERS,
        has_tls=True,
        auth=(USER, PASSWORD),
    ),
    Case(
        name="TLS, client certificate and password, a connection for each scrape",
        web=_USERS,
        has_tls=True,
        kept=False,
        auth=(USER, PASSWORD),
    ),
    *(
        Case(
            name=f"password that is not remembered, cost {cost}",
            web={"basic_auth_users": {USER: bcrypt_hash(cost=cost)}},
            wrong=True,
        )
        for cost in COSTS
    ),
)


def print_protection() -> None:
    """Print the cost of each kind of protection."""
    print(
        f"TLS and passwords, {RECORDINGS} to {RECORDINGS + MEETINGS} recordings shown, metrics "
        "rendered already:\n\n"
        "| protection | CPU per scrape | scrape (median / p99) |\n| :--- | ---: | ---: |"
    )
    simulator = running(
        "rk_exporter",
        *("simulate", "--web.listen-address", "127.0.0.1:0", "--rate-limit", "0"),
        *("--meetings", str(MEETINGS), "--pace", "demo"),
    )
    with simulator as api, tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            cost = measure(case, api, Path(folder))
            print(
                f"| {case.name} | {cost.cpu_ms:.2f} ms "
                f"| {cost.median_ms:.1f} / {cost.p99_ms:.1f} ms |"
            )
    print()


def measure(case: Case, simulator: Running, folder: Path) -> Cost:
    """Return the cost of one kind of protection."""
    tls = CLIENT_CERTIFICATES if case.has_tls else None
    web = write_web_config(folder, tls=tls, **case.web)
    more = {
        # No pass falls into the measurement.
        "scrape": {"min_interval": "4m"},
        "follow": {"max_recordings": RECORDINGS},
        "web": {"listen_address": "127.0.0.1:0", "config_file": str(web)},
    }
    client_tls = client_context(authority().issue("client"), folder=folder)
    with exporting(write_config(folder, simulator, more=more)) as exporter:
        if exporter.url.startswith("https:") is not case.has_tls:
            raise RuntimeError(exporter.url)
        with _clients(case, client_tls) as clients:
            if not case.wrong:
                _scrape(next(clients), exporter, case, 0)  # runs the pass, and checks the password
            return _cost(clients, exporter, case)


def _cost(clients: Iterator[httpx.Client], exporter: Running, case: Case) -> Cost:
    cpu_before, seconds = exporter.cpu_seconds(), []
    for number in range(1, case.count + 1):
        client = next(clients)
        begun = time.monotonic()
        _scrape(client, exporter, case, number)
        seconds.append(time.monotonic() - begun)
    cpu_seconds = exporter.cpu_seconds() - cpu_before
    return Cost(
        cpu_ms=1000 * cpu_seconds / case.count,
        median_ms=1000 * statistics.median(seconds),
        p99_ms=1000 * p99(seconds),
    )


def _scrape(client: httpx.Client, exporter: Running, case: Case, number: int) -> None:
    """Scrape, and make sure that the exporter has done its work."""
    auth = (USER, f"wrong {number}") if case.wrong else case.auth
    answer = client.get(f"{exporter.url}/metrics", headers=HEADERS, auth=auth)
    expected = _UNAUTHORIZED if case.wrong else _OK
    shown = recordings_shown(answer.text)
    if answer.status_code != expected or (shown < RECORDINGS) is (expected == _OK):
        raise RuntimeError(f"{case.name}: status {answer.status_code}, {shown} recordings")


@contextmanager
def _clients(case: Case, tls: ssl.SSLContext) -> Iterator[Iterator[httpx.Client]]:
    """Give a client for each scrape: always the same one, or one with a connection of its own."""
    opened: list[httpx.Client] = []

    def new() -> httpx.Client:
        opened.append(httpx.Client(verify=tls, trust_env=False, timeout=60))
        return opened[-1]

    def each() -> Iterator[httpx.Client]:
        kept = new() if case.kept else None
        while True:
            yield kept or new()

    try:
        yield each()
    finally:
        for client in opened:
            client.close()

"""The exporter beside two of Prometheus's own: memory, scrapes, and clients that are slow."""

import socket
import statistics
import tempfile
import time

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

import httpx

from bench.processes import Running, running, running_command
from bench.scraping import HEADERS, exporting, p99, recordings_shown, write_config


RECORDINGS = 50
SCRAPES = 300
SLOW_CLIENTS = 300
# Debian's packages, and the options without which they do not start.
_NEIGHBOURS = (
    ("prometheus-node-exporter",),
    ("prometheus-blackbox-exporter", "--config.file=/etc/prometheus/blackbox.yml"),
)
_LONGEST_WAIT_SECONDS = 90.0
_HALF_A_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nX-Slow: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured of one exporter; memory is in MiB, and durations are in milliseconds."""

    series: int
    memory_mib: tuple[float, float, float]
    """After the start, after the scrapes, and while many clients have sent half a request."""
    median_ms: float
    p99_ms: float
    slow_p99_ms: float
    """Beside these clients."""
    closed_after_seconds: float | None
    """How long after the scrapes the last of them was disconnected; None if they stay."""


def print_neighbours() -> None:
    """Print the figures of all exporters that are installed, from one run."""
    print(
        f"beside other exporters: {SCRAPES} scrapes on one connection with gzip, then as many "
        f"beside {SLOW_CLIENTS} clients that have sent half a request:\n"
    )
    print(
        "| exporter | series | memory: start / scraped / slow clients | scrape: median / p99 "
        "| p99 beside slow clients | all of them disconnected after |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as name, _own(Path(name)) as exporter:
        print(_row("rk-exporter", _measure(exporter, recordings=RECORDINGS)))
    for program, *options in _NEIGHBOURS:
        if which(program) is None:
            print(f"| {program} | not installed |")
            continue
        command = [program, "--web.listen-address=127.0.0.1:0", *options]
        with running_command(command) as exporter:
            print(_row(program, _measure(exporter)))
    print()


def _row(name: str, figures: Figures) -> str:
    seconds = figures.closed_after_seconds
    closed = f"more than {_LONGEST_WAIT_SECONDS:.0f} s" if seconds is None else f"{seconds:.0f} s"
    memory = " / ".join(f"{mib:.0f}" for mib in figures.memory_mib)
    return (
        f"| {name} | {figures.series:,} | {memory} MiB | {figures.median_ms:.1f} / "
        f"{figures.p99_ms:.1f} ms | {figures.slow_p99_ms:.1f} ms | {closed} |"
    )


def _measure(exporter: Running, *, recordings: int = 0) -> Figures:
    before = exporter.resident_mib()
    with httpx.Client(headers=HEADERS, base_url=exporter.url, timeout=60) as client:
        page = client.get("/metrics").raise_for_status().text
        if recordings_shown(page) != recordings:
            raise AssertionError(f"{recordings_shown(page)} recordings are shown, not {recordings}")
        seconds = _scrapes(client)
        scraped = exporter.resident_mib()
        with _slow_clients(exporter) as clients:
            slow_seconds = _scrapes(client)
            slow = exporter.resident_mib()
            closed_after = _closed_after(clients)
    return Figures(
        series=_series(page),
        memory_mib=(before, scraped, slow),
        median_ms=statistics.median(seconds) * 1000,
        p99_ms=p99(seconds) * 1000,
        slow_p99_ms=p99(slow_seconds) * 1000,
        closed_after_seconds=closed_after,
    )


def _series(page: str) -> int:
    return sum(1 for line in page.splitlines() if line and not line.startswith("#"))


def _scrapes(client: httpx.Client) -> list[float]:
    seconds = []
    for _ in range(SCRAPES):
        begun = time.monotonic()
        client.get("/metrics").raise_for_status()
        seconds.append(time.monotonic() - begun)
    return seconds


@contextmanager
def _slow_clients(exporter: Running) -> Iterator[list[socket.socket]]:
    address = urlsplit(exporter.url)
    with ExitStack() as stack:
        clients = []
        for _ in range(SLOW_CLIENTS):
            client = socket.create_connection((str(address.hostname), address.port or 0))
            clients.append(stack.enter_context(client))
            client.sendall(_HALF_A_REQUEST)
            client.settimeout(0)
        yield clients


def _closed_after(clients: list[socket.socket]) -> float | None:
    """Return how long it takes until the server has closed all connections of *clients*."""
    begun, open_clients = time.monotonic(), clients
    while open_clients:
        if time.monotonic() - begun > _LONGEST_WAIT_SECONDS:
            return None
        open_clients = [client for client in open_clients if not _is_closed(client)]
        time.sleep(0.1)
    return time.monotonic() - begun


def _is_closed(client: socket.socket) -> bool:
    try:
        while client.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def _own(folder: Path) -> Iterator[Running]:
    with running("bench.finished_account", str(RECORDINGS)) as simulator:
        more = {"scrape": {"min_interval": "5s"}}
        config = write_config(folder, simulator, read="list", more=more)
        with exporting(config) as exporter:
            yield exporter

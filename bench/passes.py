"""Whole processes, measured from outside: passes, their processor time and their memory."""

import itertools
import json
import math
import re
import statistics
import tempfile
import time

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.processes import Running, rk_exporter
from rk_exporter.exporter import WORKERS_PER_APP


LATENCY_SECONDS = 0.05
PASSES = {10: 20, 100: 10, 1000: 5}
STARTS = 5
LISTED = (1000, 10_000)
LISTED_PASSES = 10
# What calls may be made is not measured here.
BUDGET = 100_000
DEFAULT_BUDGET = 600

# As Prometheus asks.
HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one size of fleet costs: medians over the passes."""

    pass_seconds: float
    floor_seconds: float
    cpu_ms_per_meeting: float
    peak_mib: float
    scrape_bytes: int
    deferred: int


@dataclass(frozen=True, slots=True)
class Listed:
    """What one size of fleet costs that is read through the list: medians over the scrapes."""

    recordings: int
    scrape_seconds: float
    cpu_seconds: float
    peak_mib: float
    scrape_bytes: int


def print_processes() -> None:
    """Print what starts, passes and scrapes cost."""
    with tempfile.TemporaryDirectory() as folder:
        _print_start(Path(folder))
        _print_passes(Path(folder))
        _print_listed(Path(folder))


def _print_start(folder: Path) -> None:
    idle: list[float] = []
    seconds = {}
    with _simulator(10) as simulator:
        for budget in (BUDGET, DEFAULT_BUDGET):
            config = _write_config(folder, simulator, budget=budget)
            first_scrapes = []
            for _ in range(STARTS):
                with _exporter(config) as exporter:
                    idle.append(exporter.resident_mib())
                    _scrape(exporter)
                    first_scrapes.append(time.monotonic() - exporter.started_at)
            seconds[budget] = statistics.median(first_scrapes)
    print(
        f"start to first answered scrape: {seconds[BUDGET]:.2f} s (10 meetings, "
        f"{LATENCY_SECONDS * 1000:.0f} ms latency; median of {STARTS}), and with the default "
        f"budget, which begins spent, {seconds[DEFAULT_BUDGET]:.2f} s\n"
        f"idle memory: {statistics.median(idle):.0f} MiB\n"
    )


def _print_passes(folder: Path) -> None:
    print(
        f"passes at {LATENCY_SECONDS * 1000:.0f} ms latency and {WORKERS_PER_APP} workers "
        "(medians):\n\n"
        "| meetings | pass | floor | pass / floor | CPU per meeting | peak memory | gzipped |"
        "\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for count in PASSES:
        with _simulator(count) as simulator:
            config = _write_config(folder, simulator)
            with _exporter(config) as exporter:
                it = _measure(exporter, count)
        late = f" ({it.deferred} late)" if it.deferred else ""
        print(
            f"| {count:,} | {it.pass_seconds:.2f} s{late} | {it.floor_seconds:.2f} s "
            f"| {it.pass_seconds / it.floor_seconds:.2f} | {it.cpu_ms_per_meeting:.2f} ms "
            f"| {it.peak_mib:.0f} MiB | {it.scrape_bytes / 1000:,.0f} kB |"
        )
    print()


def _measure(exporter: Running, meeting_count: int) -> Measured:
    _scrape(exporter)  # connects, and warms up
    seconds, cpu, sizes, deferred = [], [], [], []
    for _ in range(PASSES[meeting_count]):
        before = exporter.cpu_seconds()
        answer = _scrape(exporter)
        cpu.append((exporter.cpu_seconds() - before) * 1000 / meeting_count)
        sizes.append(answer.num_bytes_downloaded)
        seconds.append(_figure(answer, "rk_scrape_duration_seconds"))
        deferred.append(_figure(answer, "rk_meetings_deferred"))
    return Measured(
        pass_seconds=statistics.median(seconds),
        floor_seconds=math.ceil(meeting_count / WORKERS_PER_APP) * LATENCY_SECONDS,
        cpu_ms_per_meeting=statistics.median(cpu),
        peak_mib=exporter.peak_mib(),
        scrape_bytes=int(statistics.median(sizes)),
        deferred=int(max(deferred)),
    )


def _print_listed(folder: Path) -> None:
    print(
        f"read through the list at {LATENCY_SECONDS * 1000:.0f} ms latency, in a real pace "
        "(medians of whole scrapes):\n\n"
        "| meetings | recordings shown | scrape | CPU | peak memory | gzipped |"
        "\n| ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    figures = []
    for count in LISTED:
        with _simulator(count, pace="real") as simulator:
            config = _write_config(folder, simulator, read="list")
            with _exporter(config) as exporter:
                it = _measure_listed(exporter)
        figures.append(it)
        print(
            f"| {count:,} | {it.recordings:,} | {it.scrape_seconds:.2f} s "
            f"| {it.cpu_seconds:.2f} s | {it.peak_mib:.0f} MiB "
            f"| {it.scrape_bytes / 1000:,.0f} kB |"
        )
    small, large = figures
    print(
        f"| x {LISTED[1] / LISTED[0]:.0f} | x {large.recordings / small.recordings:.1f} "
        f"| x {large.scrape_seconds / small.scrape_seconds:.1f} "
        f"| x {large.cpu_seconds / small.cpu_seconds:.1f} "
        f"| x {large.peak_mib / small.peak_mib:.1f} "
        f"| x {large.scrape_bytes / small.scrape_bytes:.1f} |\n"
    )


def _measure_listed(exporter: Running) -> Listed:
    _scrape(exporter)  # connects, and warms up
    seconds, cpu, sizes, recordings = [], [], [], []
    for _ in range(LISTED_PASSES):
        cpu_before, begun = exporter.cpu_seconds(), time.monotonic()
        answer = _scrape(exporter)
        seconds.append(time.monotonic() - begun)
        cpu.append(exporter.cpu_seconds() - cpu_before)
        sizes.append(answer.num_bytes_downloaded)
        recordings.append(len(re.findall(r"^rk_recording_info{", answer.text, re.MULTILINE)))
    return Listed(
        recordings=int(statistics.median(recordings)),
        scrape_seconds=statistics.median(seconds),
        cpu_seconds=statistics.median(cpu),
        peak_mib=exporter.peak_mib(),
        scrape_bytes=int(statistics.median(sizes)),
    )


def _simulator(meeting_count: int, *, pace: str = "demo") -> AbstractContextManager[Running]:
    # In the demo's pace every meeting shows a recording at any time.
    linger = ("--linger", "1e6") if pace == "demo" else ()
    return rk_exporter(
        *("simulate", "--web.listen-address", "127.0.0.1:0", "--rate-limit", "0"),
        *("--pace", pace, *linger),
        *("--meetings", str(meeting_count), "--latency", str(LATENCY_SECONDS)),
        environment={},
    )


def _exporter(config: Path) -> AbstractContextManager[Running]:
    environment = {"CLOUDFLARE_API_TOKEN": "simulated"}
    return rk_exporter("serve", "--config.file", str(config), environment=environment)


def _write_config(
    folder: Path, simulator: Running, *, read: str = "active-recording", budget: int = BUDGET
) -> Path:
    """Write a configuration file that lists all meetings of the simulator."""
    base_url = f"{simulator.url}/client/v4"
    path = folder / "rk.yml"
    options = {
        "account_id": "account",
        "app_id": "app",
        "meeting_ids": list(_meeting_ids(base_url)),
        "api": {"base_url": base_url, "budget": budget, "read": read},
        "scrape": {"min_interval": "0s"},
        "web": {"listen_address": "127.0.0.1:0"},
    }
    path.write_text(json.dumps(options))
    return path


def _meeting_ids(base_url: str) -> Iterator[str]:
    for page in itertools.count(1):
        document = httpx.get(
            f"{base_url}/accounts/account/realtime/kit/app/meetings",
            params={"page_no": page, "per_page": 100},
            headers={"Authorization": "Bearer simulated"},
            timeout=60,
        ).json()
        yield from (each["id"] for each in document["data"])
        if document["paging"]["end_offset"] >= document["paging"]["total_count"]:
            return


def _scrape(exporter: Running) -> httpx.Response:
    answer = httpx.get(f"{exporter.url}/metrics", headers=HEADERS, timeout=60)
    return answer.raise_for_status()


def _figure(answer: httpx.Response, name: str) -> float:
    match = re.search(rf"^{name}{{.*}} (\S+)$", answer.text, re.MULTILINE)
    if not match:
        raise LookupError(name)
    return float(match[1])

"""Measure passes, memory and expositions; run by `make bench`."""

import itertools
import json
import math
import os
import platform
import re
import statistics
import tempfile
import time

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from prometheus_client.metrics_core import Metric

from bench.processes import Running, rk_exporter
from rk_exporter import __version__
from rk_exporter.exporter import WORKERS_PER_APP
from rk_exporter.exposition import Format, encode
from rk_exporter.metrics import families
from rk_exporter.recordings import (
    App,
    AppSnapshot,
    Meeting,
    Reading,
    Recording,
    Snapshot,
    Status,
)


LATENCY_SECONDS = 0.05
MEETING_COUNTS = (10, 100, 1000)
PASSES = {10: 20, 100: 10, 1000: 5}
STARTS = 5
RENDERINGS = 9

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


def main() -> None:
    """Print all figures."""
    print(
        f"rk-exporter {__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors, {_memory_gib():.0f} GiB of memory\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        _print_start(Path(folder))
        _print_passes(Path(folder))
    _print_expositions()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _print_start(folder: Path) -> None:
    first_scrapes, idle = [], []
    with _simulator(10) as simulator:
        config = _write_config(folder, simulator)
        for _ in range(STARTS):
            with _exporter(config) as exporter:
                idle.append(exporter.resident_mib())
                _scrape(exporter)
                first_scrapes.append(time.monotonic() - exporter.started_at)
    print(
        f"start to first answered scrape: {statistics.median(first_scrapes):.2f} s "
        f"(10 meetings, {LATENCY_SECONDS * 1000:.0f} ms latency; median of {STARTS})\n"
        f"idle memory: {statistics.median(idle):.0f} MiB\n"
    )


def _print_passes(folder: Path) -> None:
    print(
        f"passes at {LATENCY_SECONDS * 1000:.0f} ms latency and {WORKERS_PER_APP} workers "
        "(medians):\n\n"
        "| meetings | pass | floor | pass / floor | CPU per meeting | peak memory | gzipped |"
        "\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for count in MEETING_COUNTS:
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


def _print_expositions() -> None:
    print(
        "exposition, built once for each snapshot (every recording with all its fields; medians):"
        "\n\n| recordings | families | text | OpenMetrics | bytes |"
        "\n| ---: | ---: | ---: | ---: | ---: |"
    )
    for count in MEETING_COUNTS:
        snapshot = _snapshot(count)
        built = _build(snapshot)
        building = _milliseconds(partial(_build, snapshot))
        text, openmetrics = (_milliseconds(partial(encode, built, form)) for form in Format)
        size = len(encode(built, Format.OPENMETRICS)) / 1000
        print(
            f"| {count:,} | {building:.1f} ms | {text:.1f} ms | {openmetrics:.1f} ms "
            f"| {size:,.0f} kB |"
        )


def _build(snapshot: Snapshot) -> list[Metric]:
    return list(families(snapshot))


def _milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(RENDERINGS):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def _snapshot(count: int) -> Snapshot:
    now = time.time()
    readings = tuple(
        Reading(
            meeting=Meeting(f"{number:08x}-0000-4000-8000-000000000000", "weekly review"),
            recordings=(
                Recording(
                    recording_id=f"{number:08x}-0000-4000-8000-000000000001",
                    status=Status.UPLOADED,
                    session_id=f"{number:08x}-0000-4000-8000-000000000002",
                    output_file_name=f"{number:08x}-0000-4000-8000-000000000000_1795356967052.mp4",
                    file_size_bytes=20_212_537,
                    reported_duration_seconds=3723,
                    download_url_expiry_timestamp_seconds=now + 604_800,
                    invoked_timestamp_seconds=now - 4000.123,
                    started_timestamp_seconds=now - 3998.456,
                    stopped_timestamp_seconds=now - 200.789,
                ),
            ),
            last_attempt_timestamp_seconds=now,
            last_success_timestamp_seconds=now,
        )
        for number in range(count)
    )
    app = App("production", "023e105f4ecef8ad9ca31a8372d0c353", "app")
    only = AppSnapshot(app=app, readings=readings, up=True, deferred=0, duration_seconds=1.0)
    return Snapshot((only,), now)


def _simulator(meeting_count: int) -> AbstractContextManager[Running]:
    return rk_exporter(
        *("simulate", "--web.listen-address", "127.0.0.1:0", "--rate-limit", "0"),
        # Every meeting shows a recording at any time.
        *("--pace", "demo", "--linger", "1e6"),
        *("--meetings", str(meeting_count), "--latency", str(LATENCY_SECONDS)),
        environment={},
    )


def _exporter(config: Path) -> AbstractContextManager[Running]:
    environment = {"CLOUDFLARE_API_TOKEN": "simulated"}
    return rk_exporter("serve", "--config.file", str(config), environment=environment)


def _write_config(folder: Path, simulator: Running) -> Path:
    """Write a configuration file that lists all meetings of the simulator."""
    base_url = f"{simulator.url}/client/v4"
    path = folder / "rk.yml"
    options = {
        "account_id": "account",
        "app_id": "app",
        "meeting_ids": list(_meeting_ids(base_url)),
        "api": {"base_url": base_url},
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


if __name__ == "__main__":
    main()

"""An exporter process: its configuration, scrapes, and their cost."""

import itertools
import json
import re
import statistics
import time

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.processes import Running, running


# The budget is not measured here.
BUDGET = 100_000

# The headers of Prometheus.
HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}


@dataclass(frozen=True, slots=True)
class ScrapeCosts:
    """The cost of a scrape, measured from outside: medians."""

    recordings: int
    """The number of recordings shown."""
    seconds: float
    cpu_seconds: float
    peak_mib: float
    bytes: int


def exporting(config: Path, tree: Path | None = None) -> AbstractContextManager[Running]:
    """Run an exporter with the configuration file *config*, by default from this source tree."""
    arguments = ("serve", "--config.file", str(config))
    environment = {"CLOUDFLARE_API_TOKEN": "simulated"}
    return running("rk_exporter", *arguments, environment=environment, tree=tree)


def write_config(
    folder: Path,
    simulator: Running,
    *,
    read: str = "active-recording",
    budget: int = BUDGET,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write a configuration file that lists all meetings of the simulator; return its path."""
    base_url = f"{simulator.url}/client/v4"
    path = folder / "rk.yml"
    options = {
        "account_id": "account",
        "app_id": "app",
        "meeting_ids": list(_meeting_ids(base_url)),
        "api": {"base_url": base_url, "budget": budget, "read": read},
        "scrape": {"min_interval": "0s"},
        "web": {"listen_address": "127.0.0.1:0"},
        **(more or {}),
    }
    path.write_text(json.dumps(options))
    return path


def scrape(exporter: Running) -> httpx.Response:
    """Scrape an exporter as Prometheus does."""
    answer = httpx.get(f"{exporter.url}/metrics", headers=HEADERS, timeout=60)
    return answer.raise_for_status()


def measure_scrapes(exporter: Running, count: int) -> ScrapeCosts:
    """Scrape an exporter *count* times in a row."""
    seconds, cpu, sizes, recordings = [], [], [], []
    for _ in range(count):
        cpu_before, begun = exporter.cpu_seconds(), time.monotonic()
        answer = scrape(exporter)
        seconds.append(time.monotonic() - begun)
        cpu.append(exporter.cpu_seconds() - cpu_before)
        sizes.append(answer.num_bytes_downloaded)
        recordings.append(len(re.findall(r"^rk_recording_info{", answer.text, re.MULTILINE)))
    return ScrapeCosts(
        recordings=int(statistics.median(recordings)),
        seconds=statistics.median(seconds),
        cpu_seconds=statistics.median(cpu),
        peak_mib=exporter.peak_mib(),
        bytes=int(statistics.median(sizes)),
    )


def figure(answer: httpx.Response, name: str) -> float:
    """Return the value of a metric that has one series."""
    match = re.search(rf"^{name}{{.*}} (\S+)$", answer.text, re.MULTILINE)
    if not match:
        raise LookupError(name)
    return float(match[1])


def _meeting_ids(base_url: str) -> Iterator[str]:
    for page in itertools.count(1):
        document = httpx.get(
            f"{base_url}/accounts/account/realtime/kit/app/meetings",
            params={"page_no": page, "per_page": 100},
            headers={"Authorization": "Bearer simulated"},
            timeout=60,
        ).json()
        yield from (meeting["id"] for meeting in document["data"])
        if document["paging"]["end_offset"] >= document["paging"]["total_count"]:
            return

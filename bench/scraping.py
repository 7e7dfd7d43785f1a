"""An exporter process: its configuration, scrapes, and their cost."""

import itertools
import json
import math
import re
import statistics
import time

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.processes import Running, running


# The budget is not measured here.
BUDGET = 100_000
_MOST_WARM_UP_SCRAPES = 10

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


def warm_up(exporter: Running, *, meetings: int) -> None:
    """Scrape until all *meetings* have been read, so that the connections exist as well."""
    for _ in range(_MOST_WARM_UP_SCRAPES):
        read = meetings_read(scrape(exporter).text)
        if read == meetings:
            return
    raise AssertionError(f"only {read} of {meetings} meetings have been read")


def measure_scrapes(exporter: Running, count: int) -> ScrapeCosts:
    """Scrape an exporter *count* times in a row."""
    seconds, cpu, sizes, recordings = [], [], [], []
    for _ in range(count):
        cpu_before, begun = exporter.cpu_seconds(), time.monotonic()
        answer = scrape(exporter)
        seconds.append(time.monotonic() - begun)
        cpu.append(exporter.cpu_seconds() - cpu_before)
        sizes.append(answer.num_bytes_downloaded)
        recordings.append(recordings_shown(answer.text))
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


def recordings_shown(text: str) -> int:
    """Return how many recordings an exposition shows."""
    return len(re.findall(r"^rk_recording_info{", text, re.MULTILINE))


def meetings_read(text: str) -> int:
    """Return how many meetings the exporter has read since it started."""
    pattern = r"^rk_meeting_last_success_timestamp_seconds{"
    return len(re.findall(pattern, text, re.MULTILINE))


def calls_by_app(text: str) -> Counter[str]:
    """Return how many calls the exporter has made for each app."""
    calls: Counter[str] = Counter()
    pattern = r'^rk_api_requests_total{.*rk_app="([^"]*)".*} (\S+)$'
    for app, number in re.findall(pattern, text, re.MULTILINE):
        calls[app] += int(float(number))
    return calls


def p99(seconds: Sequence[float]) -> float:
    """Return the time within which 99 % of the answers arrived."""
    return sorted(seconds)[math.ceil(0.99 * len(seconds)) - 1]


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

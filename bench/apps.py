"""What an account with many apps costs: its passes, and scrapes that need none."""

import json
import re
import statistics
import tempfile
import time

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.processes import Running, running
from bench.scraping import BUDGET, calls_by_app, exporting, recordings_shown, scrape


APPS = (50, 200)
MEETINGS = 3
RECORDINGS = 20
PASSES = 10
SCRAPES = 20
LATENCY_SECONDS = 0.05
# For so long after a pass, scrapes show it again.
_NO_PASS_SECONDS = 240


@dataclass(frozen=True, slots=True)
class Cost:
    """What passes through all apps of an account cost, and scrapes between them."""

    calls: int
    recordings: int
    pass_seconds: float
    pass_cpu_seconds: float
    scrape_cpu_seconds: float
    peak_mib: float
    bytes: int


def print_apps() -> None:
    """Print the cost of accounts of several sizes, the smallest first."""
    print(
        f"apps of an account, each with {MEETINGS} meetings and {RECORDINGS} recordings shown, at "
        f"{LATENCY_SECONDS * 1000:.0f} ms latency and without a limit of calls (medians of "
        f"{PASSES} passes, mean of {SCRAPES} scrapes that need no pass):\n\n"
        "| apps | recordings | calls per pass | pass | CPU per pass | CPU per scrape "
        "| peak memory | gzipped |"
        "\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    with tempfile.TemporaryDirectory() as folder:
        for count in APPS:
            cost = cost_of(count, Path(folder))
            print(
                f"| {count} | {cost.recordings:,} | {cost.calls:,} | {cost.pass_seconds:.2f} s "
                f"| {cost.pass_cpu_seconds:.2f} s | {cost.scrape_cpu_seconds * 1000:.1f} ms "
                f"| {cost.peak_mib:.0f} MiB | {cost.bytes / 1000:,.0f} kB |"
            )
    print()


def cost_of(count: int, folder: Path) -> Cost:
    """Return the cost of an account with so many apps."""
    with _simulator(count) as simulator:
        with exporting(_write_config(folder, simulator, min_interval="0s")) as exporter:
            _until_read(exporter, count)
            calls, seconds, cpu, sizes = [], [], [], []
            before = calls_by_app(scrape(exporter).text)
            for _ in range(PASSES):
                used, begun = exporter.cpu_seconds(), time.monotonic()
                answer = scrape(exporter)
                seconds.append(time.monotonic() - begun)
                cpu.append(exporter.cpu_seconds() - used)
                sizes.append(answer.num_bytes_downloaded)
                after = calls_by_app(answer.text)
                calls.append(_made(before, after, count))
                before = after
            peak = exporter.peak_mib()
        config = _write_config(folder, simulator, min_interval=f"{_NO_PASS_SECONDS}s")
        with exporting(config) as exporter:
            of_scrape = _scrape_cpu_seconds(exporter, count)
    return Cost(
        calls=int(statistics.median(calls)),
        recordings=recordings_shown(answer.text),
        pass_seconds=statistics.median(seconds),
        pass_cpu_seconds=statistics.median(cpu),
        scrape_cpu_seconds=of_scrape,
        peak_mib=peak,
        bytes=int(statistics.median(sizes)),
    )


def _until_read(exporter: Running, count: int) -> None:
    """Scrape until each app was read, and at least one of its meetings."""
    for _ in range(PASSES):
        text = scrape(exporter).text
        read = {*re.findall(r'^rk_meeting_up{.*rk_app="([^"]*)".*} 1', text, re.MULTILINE)}
        if len(read) == count == len(re.findall(r"^rk_up{.*} 1", text, re.MULTILINE)):
            return
    raise AssertionError(f"not all of {count} apps are read")


def _made(before: Counter[str], after: Counter[str], count: int) -> int:
    """Return the calls of one pass, in which each app must have had some."""
    made = after - before
    if len(made) != count:
        raise AssertionError(f"a pass has read {len(made)} of {count} apps")
    return made.total()


def _scrape_cpu_seconds(exporter: Running, count: int) -> float:
    """Return what a scrape costs that shows the last pass."""
    before = calls_by_app(scrape(exporter).text)
    used = exporter.cpu_seconds()
    for _ in range(SCRAPES):
        text = scrape(exporter).text
    cost = (exporter.cpu_seconds() - used) / SCRAPES
    if calls_by_app(text) != before or len(re.findall(r"^rk_up{", text, re.MULTILINE)) != count:
        raise AssertionError("a scrape was to show the last pass of all apps")
    return cost


@contextmanager
def _simulator(count: int) -> Iterator[Running]:
    """Simulate an account whose apps all have the same meetings."""
    arguments = (
        *("simulate", "--web.listen-address", "127.0.0.1:0", "--rate-limit", "0"),
        *("--pace", "demo", "--linger", "1e6"),
        *("--meetings", str(MEETINGS), "--latency", str(LATENCY_SECONDS)),
    )
    with running("rk_exporter", *arguments) as simulator:
        apps = ",".join(f"app-{number}" for number in range(count))
        url = f"{simulator.url}/simulator/settings/apps"
        httpx.put(url, params={"value": apps}).raise_for_status()
        yield simulator


def _write_config(folder: Path, simulator: Running, *, min_interval: str) -> Path:
    path = folder / "rk.yml"
    options = {
        "accounts": [{"account_id": "account"}],
        "api": {"base_url": f"{simulator.url}/client/v4", "budget": BUDGET},
        "follow": {"max_recordings": RECORDINGS},
        "scrape": {"min_interval": min_interval},
        "web": {"listen_address": "127.0.0.1:0"},
    }
    path.write_text(json.dumps(options))
    return path

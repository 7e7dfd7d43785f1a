"""The connections of an exporter process with many apps."""

import json
import statistics
import tempfile

from pathlib import Path

from bench.processes import Running, running
from bench.scraping import BUDGET, exporting, meetings_read, scrape


APPS = (1, 20, 200)
MEETINGS_PER_APP = 5
SCRAPES = 5
LATENCY_SECONDS = 0.05


def print_connections() -> None:
    """Print how many sockets are open after scrapes of many apps."""
    print(
        f"connections at {LATENCY_SECONDS * 1000:.0f} ms latency, {MEETINGS_PER_APP} meetings per "
        f"app (the most after {SCRAPES} scrapes; sockets include those of the server):\n\n"
        "| apps | sockets | scrape (median) |\n| ---: | ---: | ---: |"
    )
    simulator = running(
        "rk_exporter",
        *("simulate", "--web.listen-address", "127.0.0.1:0", "--rate-limit", "0"),
        *("--meetings", str(MEETINGS_PER_APP), "--latency", str(LATENCY_SECONDS)),
    )
    with simulator as api, tempfile.TemporaryDirectory() as folder:
        for count in APPS:
            with exporting(_write_config(Path(folder), api, count)) as exporter:
                scrapes = [_scrape(exporter) for _ in range(SCRAPES)]
            read, sockets, seconds = zip(*scrapes, strict=True)
            if max(read) != count * MEETINGS_PER_APP:
                raise AssertionError(f"only {max(read)} meetings of {count} apps have been read")
            print(f"| {count:,} | {max(sockets):,} | {statistics.median(seconds):.2f} s |")
    print()


def _scrape(exporter: Running) -> tuple[int, int, float]:
    """Scrape; return the meetings that have been read, the open sockets, and the duration."""
    answer = scrape(exporter)
    return meetings_read(answer.text), exporter.open_sockets(), answer.elapsed.total_seconds()


def _write_config(folder: Path, simulator: Running, count: int) -> Path:
    path = folder / f"{count}.yml"
    ids = [f"meeting-{number:04}" for number in range(MEETINGS_PER_APP)]
    options = {
        "account_id": "account",
        "apps": [
            {"app_id": f"app-{number}", "name": f"app-{number}", "meetings": {"ids": ids}}
            for number in range(count)
        ],
        "api": {
            "base_url": f"{simulator.url}/client/v4",
            "budget": BUDGET,
            "read": "active-recording",
        },
        "scrape": {"min_interval": "0s"},
        "web": {"listen_address": "127.0.0.1:0"},
    }
    path.write_text(json.dumps(options))
    return path

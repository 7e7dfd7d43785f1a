"""Whole processes measured from outside: passes, CPU time and memory."""

import json
import math
import statistics
import tempfile
import time

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.processes import Running, running
from bench.scraping import (
    ScrapeCosts,
    calls_by_app,
    exporting,
    figure,
    measure_scrapes,
    scrape,
    warm_up,
    write_config,
)
from rk_exporter.exporter.exporter import WORKERS_PER_APP


LATENCY_SECONDS = 0.05
PASSES = {10: 20, 100: 10, 1000: 5}
STARTS = 5
STARTED = 30
LISTED = (1000, 10_000)
MOSTLY_IDLE = 100_000
"""How many meetings are listed if only `LISTED[0]` of them ever have a recording."""
LISTED_PASSES = 10
# The default of `--follow.max-recordings`. More have finished in each of these accounts.
_FINISHED_SHOWN = 1000
# In the real pace, one in twenty meetings is being recorded.
_LEAST_RUNNING = 0.03
DEFAULT_BUDGET = 600


@dataclass(frozen=True, slots=True)
class Measured:
    """The cost of one size of fleet: medians over the passes."""

    pass_seconds: float
    floor_seconds: float
    cpu_ms_per_meeting: float
    peak_mib: float
    scrape_bytes: int
    deferred: int


def print_processes() -> None:
    """Print the cost of starts, passes and scrapes."""
    with tempfile.TemporaryDirectory() as folder:
        _print_start(Path(folder))
        _print_passes(Path(folder))
        _print_listed(Path(folder))
        _print_mostly_idle(Path(folder))


def _print_start(folder: Path) -> None:
    idle, first_scrapes, answers = [], [], []
    with _simulator(STARTED) as simulator:
        config = write_config(folder, simulator, budget=DEFAULT_BUDGET)
        for _ in range(STARTS):
            with exporting(config) as exporter:
                idle.append(exporter.resident_mib())
                begun = time.monotonic()
                answer = scrape(exporter)
                answers.append(time.monotonic() - begun)
                first_scrapes.append(time.monotonic() - exporter.started_at)
                if figure(answer, "rk_meetings_deferred"):
                    raise RuntimeError("the first scrape is incomplete")
    print(
        f"start of the process to first answered scrape, complete: "
        f"{statistics.median(first_scrapes):.2f} s, {statistics.median(answers):.2f} s of them for "
        f"the scrape ({STARTED} meetings, {LATENCY_SECONDS * 1000:.0f} ms latency, default budget; "
        f"median of {STARTS})\n"
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
            # The cost of finished recordings is measured separately.
            more = {"follow": {"max_recordings": count}}
            config = write_config(folder, simulator, more=more)
            with exporting(config) as exporter:
                measured = _measure(exporter, count)
        late = f" ({measured.deferred} late)" if measured.deferred else ""
        print(
            f"| {count:,} | {measured.pass_seconds:.2f} s{late} | {measured.floor_seconds:.2f} s "
            f"| {measured.pass_seconds / measured.floor_seconds:.2f} "
            f"| {measured.cpu_ms_per_meeting:.2f} ms "
            f"| {measured.peak_mib:.0f} MiB | {measured.scrape_bytes / 1000:,.0f} kB |"
        )
    print()


def _measure(exporter: Running, meeting_count: int) -> Measured:
    warm_up(exporter, meetings=meeting_count)
    seconds, cpu, sizes, deferred = [], [], [], []
    calls = _calls(scrape(exporter))
    for _ in range(PASSES[meeting_count]):
        before = exporter.cpu_seconds()
        answer = scrape(exporter)
        cpu.append((exporter.cpu_seconds() - before) * 1000 / meeting_count)
        sizes.append(answer.num_bytes_downloaded)
        seconds.append(figure(answer, "rk_scrape_duration_seconds"))
        deferred.append(figure(answer, "rk_meetings_deferred"))
        calls, made = _calls(answer), _calls(answer) - calls
        if made < meeting_count - deferred[-1]:
            raise AssertionError(f"a pass of {meeting_count} meetings made only {made} calls")
    return Measured(
        pass_seconds=statistics.median(seconds),
        floor_seconds=math.ceil(meeting_count / WORKERS_PER_APP) * LATENCY_SECONDS,
        cpu_ms_per_meeting=statistics.median(cpu),
        peak_mib=exporter.peak_mib(),
        scrape_bytes=int(statistics.median(sizes)),
        deferred=int(max(deferred)),
    )


def _calls(answer: httpx.Response) -> int:
    return calls_by_app(answer.text).total()


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
            config = write_config(folder, simulator, read="list")
            costs = _listed_costs(config, meetings=count, in_use=count)
        figures.append(costs)
        print(f"| {count:,} | {_listed(costs)}")
    small, large = figures
    print(
        f"| x {LISTED[1] / LISTED[0]:.0f} | x {large.recordings / small.recordings:.1f} "
        f"| x {large.seconds / small.seconds:.1f} "
        f"| x {large.cpu_seconds / small.cpu_seconds:.1f} "
        f"| x {large.peak_mib / small.peak_mib:.1f} "
        f"| x {large.bytes / small.bytes:.1f} |\n"
    )


def _print_mostly_idle(folder: Path) -> None:
    with _simulator(LISTED[0], pace="real") as simulator:
        config = write_config(folder, simulator, read="list")
        options = json.loads(config.read_text())
        found = options["meeting_ids"]
        idle = [f"idle-{number}" for number in range(MOSTLY_IDLE - len(found))]
        config.write_text(json.dumps({**options, "meeting_ids": [*found, *idle]}))
        costs = _listed_costs(config, meetings=MOSTLY_IDLE, in_use=LISTED[0])
    print(
        "the same, and most meetings never have a recording:\n\n"
        "| meetings | recordings shown | scrape | CPU | peak memory | gzipped |"
        "\n| ---: | ---: | ---: | ---: | ---: | ---: |\n"
        f"| {MOSTLY_IDLE:,} | {_listed(costs)}\n"
    )


def _listed_costs(config: Path, *, meetings: int, in_use: int) -> ScrapeCosts:
    """Measure scrapes of *meetings* that are read through the list, so many of which are used."""
    with exporting(config) as exporter:
        warm_up(exporter, meetings=meetings)
        costs = measure_scrapes(exporter, LISTED_PASSES)
    if costs.recordings < _FINISHED_SHOWN + _LEAST_RUNNING * in_use:
        raise AssertionError(f"{costs.recordings} recordings of {in_use} meetings are shown")
    return costs


def _listed(costs: ScrapeCosts) -> str:
    return (
        f"{costs.recordings:,} | {costs.seconds:.2f} s | {costs.cpu_seconds:.2f} s "
        f"| {costs.peak_mib:.0f} MiB | {costs.bytes / 1000:,.0f} kB |"
    )


def _simulator(meeting_count: int, *, pace: str = "demo") -> AbstractContextManager[Running]:
    # At the demo's pace every meeting always shows a recording.
    linger = ("--linger", "1e6") if pace == "demo" else ()
    return running(
        "rk_exporter",
        *("simulate", "--web.listen-address", "127.0.0.1:0", "--rate-limit", "0"),
        *("--pace", pace, *linger),
        *("--meetings", str(meeting_count), "--latency", str(LATENCY_SECONDS)),
    )

"""Run the soak and judge it: `python -m bench.soak [--minutes M]`; exit code 1 if anything grew."""

import argparse
import asyncio
import logging
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.processes import Running
from bench.soak.counters import CounterWatch
from bench.soak.load import Load
from bench.soak.site import BUDGET, PASSWORD, TOKENS, Site, authorization
from rk_exporter.simulator import DEMO_PACE, GeneratedScenario, Simulator
from tests.support.counted_tasks import TASKS_VARIABLE
from tests.support.serving import served


_MEETINGS = 12
# Exactly the budget, so that the API refuses the first call too many.
_RATE_LIMIT = BUDGET
_SAMPLE_SECONDS = 1.0
_WARM_UP_SECONDS = 10.0
# A client that hangs is closed after 5 s, a response that nobody reads after 30 s.
_QUIET_SECONDS = 40.0
# Longer than the minimum interval.
_BETWEEN_SNAPSHOTS_SECONDS = 1.5
# Connections that hang at the same time by chance were worth 7 %.
_MOST_GROWTH = 1.15
_MOST_NEW = 6
# A call that finds its connection closed never reaches the API.
_MOST_COUNTED = 1.05
_MOST_FAILURES_SHOWN = 20
# On a busy machine the answer to a signal takes a while.
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """The sockets, files, tasks and threads of a process at one time."""

    sockets: int
    files: int
    tasks: int
    threads: int


@dataclass(slots=True)
class Watched:
    """The exporter's process: its memory over time, and what it holds."""

    process: Running
    tasks_file: Path
    resident_mib: list[float] = field(default_factory=list)

    async def sample(self) -> None:
        """Record the memory once a second, until cancelled."""
        while True:
            self.resident_mib.append(self.process.resident_mib())
            await asyncio.sleep(_SAMPLE_SECONDS)

    async def held(self) -> Held:
        """Return what the process holds now."""
        proc = Path(f"/proc/{self.process.pid}")
        self.tasks_file.unlink(missing_ok=True)
        os.kill(self.process.pid, signal.SIGUSR1)
        # An exporter that has ended never answers.
        async with asyncio.timeout(_ANSWER_SECONDS):
            # A signal's answer has no event to wait for.
            while not self.tasks_file.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return Held(
            sockets=self.process.open_sockets(),
            files=len(list((proc / "fd").iterdir())),
            tasks=int(self.tasks_file.read_text()),
            threads=len(list((proc / "task").iterdir())),
        )


@contextmanager
def _exporter(site: Site) -> Iterator[Watched]:
    """Run the exporter; its log goes to a file, because nobody would read a pipe."""
    tasks_file = site.folder / "tasks"
    command = [sys.executable, "-m", "tests.support.counted_tasks", "serve", "--config.file"]
    environment = {"PATH": os.environ["PATH"], TASKS_VARIABLE: str(tasks_file)}
    started_at = time.monotonic()
    with (
        site.log_file.open("wb") as log,
        subprocess.Popen([*command, site.config_file], stderr=log, env=environment) as process,
    ):
        try:
            url = _url(process, site.log_file)
            yield Watched(Running(url, process.pid, started_at, time.monotonic()), tasks_file)
        finally:
            process.terminate()


def _url(process: subprocess.Popen[bytes], log_file: Path) -> str:
    """Return the address that the exporter logs when it listens."""
    while process.poll() is None:
        listening = re.search(r"https://127\.0\.0\.1:\d+", log_file.read_text())
        if listening:
            return listening[0]
        time.sleep(0.1)
    raise RuntimeError(f"the exporter did not start: {log_file.read_text()}")


async def _soak(site: Site, simulator: Simulator, watched: Watched, seconds: float) -> list[str]:
    """Run the load for *seconds*; return everything that is wrong at its end."""
    url, watch = watched.process.url, CounterWatch()
    chance = random.Random(1)  # noqa: S311 # which fault comes next is no secret
    load = Load(url, watched.process.pid, site, simulator, chance, watch)
    await _warm_up(site, url)
    before = await watched.held()
    sampling = asyncio.create_task(watched.sample())
    await load.run(seconds)
    sampling.cancel()
    await load.reload_at_last()
    await asyncio.sleep(_QUIET_SECONDS)
    after = await watched.held()
    failures = load.failures
    for text in await _last_scrapes(site, url):
        failures += watch.see(text)
    failures += _grown(before, after) + _memory(watched.resident_mib)
    failures += _calls(simulator, watch) + _missing(load, watch, seconds)
    _print(load, watch, simulator, watched.resident_mib, before, after)
    return failures


async def _warm_up(site: Site, url: str) -> None:
    async with httpx.AsyncClient(verify=site.client_context(), timeout=20) as client:
        ends = time.monotonic() + _WARM_UP_SECONDS
        while time.monotonic() < ends:
            await client.get(f"{url}/metrics", headers=authorization())
            await asyncio.sleep(0.5)


async def _last_scrapes(site: Site, url: str) -> list[str]:
    """Return scrapes of different snapshots; a new counter is behind in the first two."""
    texts = []
    async with httpx.AsyncClient(verify=site.client_context(), timeout=20) as client:
        for _ in range(3):
            await asyncio.sleep(_BETWEEN_SNAPSHOTS_SECONDS)
            answer = await client.get(f"{url}/metrics", headers=authorization())
            texts.append(answer.raise_for_status().text)
    return texts


def _grown(before: Held, after: Held) -> list[str]:
    """Return what the process holds more of after the load than before it."""
    return [
        f"{name}: {getattr(before, name)} before, {getattr(after, name)} after"
        for name in Held.__slots__
        if getattr(after, name) > getattr(before, name) + _MOST_NEW
    ]


def _quarters(samples: list[float]) -> tuple[float, float]:
    """Return the medians of the second and of the last quarter."""
    quarter = len(samples) // 4
    return (
        statistics.median(samples[quarter : 2 * quarter]),
        statistics.median(samples[3 * quarter :]),
    )


def _memory(samples: list[float]) -> list[str]:
    second, last = _quarters(samples)
    grown = f"memory grew from {second:.0f} MiB (second quarter) to {last:.0f} MiB (last quarter)"
    return [grown] if last > second * _MOST_GROWTH else []


def _calls(simulator: Simulator, watch: CounterWatch) -> list[str]:
    """
    Compare the calls that the API saw with those that the exporter counted.

    An app that is removed takes its last calls with it, before a scrape has shown them.
    """
    seen = simulator.requests
    counted, of_first = watch.calls_of_first, seen.by_app["first"]
    wrong = []
    if seen.refused:
        wrong.append(f"the API refused {seen.refused} calls with 429")
    if seen.peak > BUDGET:
        wrong.append(f"{seen.peak} calls in 5 minutes; the budget is {BUDGET}")
    if not of_first <= counted <= of_first * _MOST_COUNTED:
        wrong.append(f"the exporter counted {counted:.0f} calls of an app, the API saw {of_first}")
    return wrong


def _missing(load: Load, watch: CounterWatch, seconds: float) -> list[str]:
    """Return what did not happen often enough for the soak to prove anything."""
    least = {
        "scrape": 5 * seconds,
        "refusal": seconds / 4,
        "reload": seconds / 30,
        "refused reload": seconds / 30,
        "SIGHUP": seconds / 20,
        "token": seconds / 10,
        "certificate": seconds / 15,
        "fault": seconds / 4,
        "slow client": seconds,
    }
    missing = [
        f"only {load.done[what]} times: {what}"
        for what, count in least.items()
        if load.done[what] < count
    ]
    if not watch.increases["rk_recordings_finished_total"]:
        missing.append("no recording ended")
    return missing


def _log_failures(log: str) -> list[str]:
    """Return what the log of the whole run must not have."""
    secrets = (*TOKENS, PASSWORD, "SIMULATED-SECRET", "$2b$", "PRIVATE KEY")
    wrong = [f"the log contains {secret!r}" for secret in secrets if secret in log]
    bugs = [line for line in log.splitlines() if "traceback" in line.lower()]
    return [*wrong, *(f"a bug is in the log: {line[:500]}" for line in bugs)]


def _print(
    load: Load,
    watch: CounterWatch,
    simulator: Simulator,
    resident_mib: list[float],
    before: Held,
    after: Held,
) -> None:
    second, last = _quarters(resident_mib)
    print("\n".join(f"{count:7} {what}" for what, count in sorted(load.done.items())))
    print(
        f"memory: {second:.0f} MiB in the second quarter, {last:.0f} MiB in the last, "
        f"{max(resident_mib):.0f} MiB at most\n"
        f"before the load: {before}\nafter it: {after}\n"
        f"API: {simulator.requests.total} calls, {simulator.requests.peak} in the busiest "
        f"5 minutes, {simulator.requests.refused} refused; "
        f"{simulator.requests.by_app['first']} of the first app, of which the exporter counted "
        f"{watch.calls_of_first:.0f}\n"
        f"recordings: {watch.increases['rk_recordings_started_total']:.0f} started, "
        f"{watch.increases['rk_recordings_finished_total']:.0f} finished"
    )


def main() -> None:
    """Run the soak for some minutes."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    seconds = parser.parse_args().minutes * 60
    # The simulator's server reports each answer that a fault cuts off.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    scenario = GeneratedScenario(1, _MEETINGS, time.time(), DEMO_PACE)
    simulator = Simulator(
        scenario,
        rate_limit=_RATE_LIMIT,
        token=TOKENS,
        users=dict.fromkeys(TOKENS, "operator"),
    )
    meetings = tuple(meeting.id for meeting in scenario.meetings())
    with tempfile.TemporaryDirectory() as folder, served(simulator) as api:
        site = Site(Path(folder), f"{api}/client/v4", meetings)
        site.write_all()
        with _exporter(site) as watched:
            failures = asyncio.run(_soak(site, simulator, watched, seconds))
        log = site.log_file.read_text()
        print(f"log: {log.count(chr(10)) / seconds * 60:.0f} lines per minute, {len(log):,} bytes")
        failures += _log_failures(log)
    for failure in failures[:_MOST_FAILURES_SHOWN]:
        print(f"FAILED: {failure}")
    if len(failures) > _MOST_FAILURES_SHOWN:
        print(f"and {len(failures) - _MOST_FAILURES_SHOWN} more failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

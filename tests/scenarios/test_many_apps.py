"""Many apps in one exporter share its connections to the API."""

import asyncio
import contextlib

from pathlib import Path

import pytest

from rk_exporter.config.loader import load
from rk_exporter.exporter import Exporter
from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.serving import served


APPS = 200
MEETINGS = [f"meeting-{number}" for number in range(5)]
# On a busy machine, some of a thousand calls at the same time miss their deadline.
MOST_PASSES = 20


def open_sockets() -> int:
    """Return the number of open sockets of this process."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        # The folder that is being listed is gone by now.
        with contextlib.suppress(FileNotFoundError):
            count += str(entry.readlink()).startswith("socket:")
    return count


def config_of(folder: Path, url: str) -> Path:
    """Write the configuration of an exporter of many apps with one token; return its path."""
    path = folder / "rk.yml"
    ids = ", ".join(MEETINGS)
    apps = "".join(
        f"  - {{app_id: app-{number}, name: app-{number}, meetings: {{ids: [{ids}]}}}}\n"
        for number in range(APPS)
    )
    path.write_text(
        "account_id: account\n"
        f"api: {{base_url: {url}/client/v4, budget: 100000, read: active-recording}}\n"
        "scrape: {min_interval: 0s}\n"
        f"apps:\n{apps}"
    )
    return path


@pytest.mark.no_cover  # because coverage makes a thousand calls at the same time much slower
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count sockets")
def test_200_apps_use_fewer_than_100_sockets(tmp_path: Path) -> None:
    """200 apps with 5 meetings each are all read, over fewer than 100 connections in total."""
    simulator = Simulator(ScriptedScenario(meetings=MEETINGS), rate_limit=0, latency_seconds=0.02)
    most = 0

    async def watch(before: int) -> None:
        nonlocal most
        while True:
            # The simulator is in this process: each connection has two ends.
            most = max(most, (open_sockets() - before) // 2)
            await asyncio.sleep(0.05)

    async def test(url: str) -> None:
        config = load(config_of(tmp_path, url), {}, {"CLOUDFLARE_API_TOKEN": "simulated"})
        exporter = Exporter(config)
        watcher = asyncio.create_task(watch(open_sockets()))
        for _ in range(MOST_PASSES):
            snapshot = await exporter.collector.scrape(60.0)
            are_up = [reading.up for app in snapshot.apps for reading in app.readings]
            if all(are_up):
                break
        watcher.cancel()
        assert are_up == [True] * APPS * len(MEETINGS)
        assert [app.up for app in snapshot.apps] == [True] * APPS
        await exporter.close()

    with served(simulator) as url:
        asyncio.run(test(url))
    assert 8 <= most < 100

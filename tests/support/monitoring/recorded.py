"""What an exporter shows through the scenario with every state, recorded within a second."""

import asyncio

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import httpx

from rk_exporter.config.loader import load
from rk_exporter.exporter import Exporter
from rk_exporter.metrics.config_reload import ConfigReloadMetrics
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.web_config import WebConfigMetrics
from rk_exporter.simulator import Fault, Simulator
from tests.support.building import ImmediateExecutor, Time, in_process, run
from tests.support.exporters import Reloaded
from tests.support.monitoring import every_state
from tests.support.monitoring.every_state import STEP_SECONDS, STEPS


# The API must deny a vanished recording twice, with a minute between.
_LASTS_SECONDS = len(STEPS) * STEP_SECONDS + 75
_BUDGET_FILLS_SECONDS = 400


class _OneClock(Time):
    """A clock whose monotonic time follows its wall time."""

    def monotonic(self) -> float:
        """Return seconds."""
        return self.now


def record(folder: Path, ends_at: float) -> Sequence[str]:
    """
    Return what the exporter shows through the scenario. The last exposition is of *ends_at*.

    Nothing happens between those with the indices 2 and 3.
    """
    begin = ends_at - _LASTS_SECONDS
    clock = _OneClock(begin)
    simulator = every_state.simulator(clock)
    file = every_state.write_configuration(folder, simulator.scenario, "https://api.test")
    return run(_recorded(file, simulator, clock))


async def _recorded(file: Path, simulator: Simulator, clock: _OneClock) -> list[str]:
    asyncio.get_running_loop().set_default_executor(ImmediateExecutor())
    begin = clock.now
    # A new exporter has spent most of its budget.
    clock.now = begin - _BUDGET_FILLS_SECONDS
    exporter = Exporter(
        load(file, {}, every_state.ENVIRONMENT), make_client=in_process(simulator), clock=clock
    )
    reloads = _reloads(begin)
    transport = httpx.ASGITransport(app=exporter.application)
    found = []
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            for clock.now in _moments(begin):
                answer = await client.get("/metrics", headers={"Accept": "text/plain"})
                found.append(answer.text + reloads)
                simulator.inject(every_state.BREAKS, Fault.SERVER_ERROR)
    finally:
        await exporter.close()
    return found


def _moments(begin: float) -> Iterator[float]:
    """Yield a moment of each step, two moments of the second one, and two after the last."""
    yield begin
    for step in range(len(STEPS)):
        yield begin + 1 + step * STEP_SECONDS
        if step == 1:
            yield begin + 2 + step * STEP_SECONDS
    yield begin + len(STEPS) * STEP_SECONDS + 5
    yield begin + _LASTS_SECONDS


def _reloads(now: float) -> str:
    """Return the metrics that only a process shows whose configuration can be reloaded."""
    loaded = Reloaded(last_success_timestamp_seconds=now)
    sources = (ConfigReloadMetrics(loaded), WebConfigMetrics(loaded))
    return encode(chain.from_iterable(source.collect() for source in sources), Format.TEXT).decode()

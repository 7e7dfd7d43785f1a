"""Calls in the busiest 5 minutes, by their arrival at the API, in the worst cases."""

import asyncio
import tempfile

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.exporter import Exporter
from tests.support.building import BASE_URL, Simulation, config, in_process, simulate


BUDGET = 600
LATENCY_SECONDS = 0.05
WINDOW_SECONDS = 300
# More than the budget allows to read at each scrape.
_MEETINGS = [f"meeting-{number}" for number in range(700)]
_TOKENS = {TOKEN_VARIABLE: "simulated", "SECOND": "second", "THIRD": "third"}


@dataclass(frozen=True, slots=True)
class BudgetCase:
    """Some minutes of exporters, and how many calls 5 minutes may contain at most."""

    name: str
    drive: Callable[[Simulation], Awaitable[object]]
    least: int
    most: int
    configuration: Callable[[], Config] | None = None

    def run(self) -> int:
        """Return the calls in the busiest 5 minutes; raise if they are not as expected."""
        count = simulate(
            self._steps,
            meetings=_MEETINGS,
            configuration=(self.configuration or _one_app)(),
            latency_seconds=LATENCY_SECONDS,
            token=tuple(_TOKENS.values()),
        )
        if not self.least <= count <= self.most:
            raise RuntimeError(f"{self.name}: {count} calls, not {self.least} to {self.most}")
        return count

    async def _steps(self, simulation: Simulation) -> int:
        await self.drive(simulation)
        return simulation.simulator.requests.busiest_window(WINDOW_SECONDS)


def _one_app(budget: int = BUDGET) -> Config:
    return config(meeting_ids=_MEETINGS, api__budget=str(budget), api__read="active-recording")


def _three_tokens() -> Config:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rk.yml"
        path.write_text(
            f"account_id: account\napi: {{read: active-recording, base_url: '{BASE_URL}'}}\napps:\n"
            + "".join(
                f"  - {{app_id: {name.lower()}, api_token_env: {name}, "
                f"meetings: {{ids: {_MEETINGS}}}}}\n"
                for name in _TOKENS
            )
        )
        return load(path, {}, _TOKENS)


async def _regular(simulation: Simulation) -> None:
    await simulation.scrapes(60)


async def _crash_loop(simulation: Simulation) -> None:
    for number in range(45):
        await asyncio.sleep(20.0 * number - asyncio.get_running_loop().time())
        await simulation.restart(is_killed=True)
        await simulation.scrape(20.0)


async def _restart(simulation: Simulation) -> None:
    await simulation.scrapes(41)
    await simulation.restart(is_killed=True)
    await simulation.scrapes(20)


async def _burst_and_restart(simulation: Simulation) -> None:
    await simulation.scrapes(12, 300.0)
    await simulation.restart(is_killed=True)
    await simulation.scrapes(20)


def _processes(budgets: Sequence[int]) -> Callable[[Simulation], Awaitable[object]]:
    async def drive(simulation: Simulation) -> None:
        exporters = [
            Exporter(
                _one_app(budget),
                make_client=in_process(simulation.proxy),
                clock=simulation.clock,
            )
            for budget in budgets
        ]
        for number in range(1, 61):
            await asyncio.gather(*(exporter.collector.scrape(9.5) for exporter in exporters))
            await asyncio.sleep(15.0 * number - asyncio.get_running_loop().time())
        for exporter in exporters:
            await exporter.close()

    return drive


CASES = (
    BudgetCase("one process", _regular, 570, BUDGET),
    BudgetCase("three tokens of one user", _regular, 570, BUDGET, _three_tokens),
    BudgetCase("crash loop, killed every 20 s", _crash_loop, 570, BUDGET),
    BudgetCase("one restart of a busy process", _restart, BUDGET, BUDGET + 40),
    BudgetCase("5-minute interval, burst and restart", _burst_and_restart, BUDGET, BUDGET * 3 // 2),
    BudgetCase("two processes", _processes((BUDGET, BUDGET)), 1140, 2 * BUDGET),
    BudgetCase("two processes, half of it each", _processes((300, 300)), 570, BUDGET),
)


def print_budgets() -> None:
    """Run all cases and print their calls."""
    print(
        f"calls in the busiest 5 minutes, by arrival at the API (a budget of {BUDGET}, "
        f"{LATENCY_SECONDS * 1000:.0f} ms latency, more meetings than calls, simulated time):\n\n"
        "| case | calls | at most |\n| :--- | ---: | ---: |"
    )
    for case in CASES:
        print(f"| {case.name} | {case.run():,} | {case.most:,} |")
    print()

"""Apps that use the same token, through the whole exporter."""

from pathlib import Path

import pytest

from rk_exporter.config.config import Config, load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from tests.support.building import Call, Simulation, labelled, simulate


MEETINGS = [f"meeting-{number}" for number in range(10)]


def three_apps(path: Path, budgets: tuple[int, int]) -> Config:
    """Return a configuration of two apps with one token, and of a third with another token."""
    meetings = f"meetings: {{ids: {MEETINGS}}}"
    path.write_text(
        "account_id: account\n"
        "api: {read: active-recording}\n"
        "apps:\n"
        f"  - {{app_id: one, budget: {budgets[0]}, {meetings}}}\n"
        f"  - {{app_id: two, budget: {budgets[1]}, {meetings}}}\n"
        f"  - {{app_id: other, budget: 20, api_token_env: OTHER, {meetings}}}\n"
    )
    return load(path, {}, {TOKEN_VARIABLE: "simulated", "OTHER": "other"})


@pytest.mark.parametrize("budgets", [(100, 40), (40, 100)])
def test_smallest_budget(budgets: tuple[int, int], tmp_path: Path) -> None:
    """Apps with the same token share the smallest of their budgets: 40 calls in any window."""

    async def steps(simulation: Simulation) -> tuple[list[tuple[float, str]], str]:
        calls: list[tuple[float, str]] = []

        def record(call: Call) -> None:
            calls.append((simulation.now(), call.app_id))

        simulation.proxy.before = record
        texts = await simulation.scrapes(60)
        return calls, texts[-1]

    configuration = three_apps(tmp_path / "rk.yml", budgets)
    calls, text = simulate(steps, meetings=MEETINGS, configuration=configuration)
    called_at = [at for at, app in calls if app in {"one", "two"}]
    in_window = [sum(1 for at in called_at if 0 <= at - first < 300) for first in called_at]
    # The apps need far more calls, so they use all that they may make.
    assert 35 <= max(in_window) <= 40
    assert {"one", "two"} <= {app for _, app in calls}
    limits = {labels["rk_app"]: limit for labels, limit in labelled(text, "rk_api_budget_limit")}
    assert limits == {"one": 40, "two": 40, "other": 20}

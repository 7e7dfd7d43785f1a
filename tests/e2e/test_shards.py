"""Several processes that share the apps of one configuration."""

import re

from contextlib import ExitStack
from pathlib import Path

import httpx

from rk_exporter.model.shard import Shard
from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import labelled, value
from tests.support.processes import TOKEN, invoke, listening_lines, started, url_in
from tests.support.serving import served


APPS = [f"app-{number}" for number in range(8)]


def configuration(folder: Path, api: str) -> Path:
    """Write a configuration of several apps, and return its path."""
    path = folder / "rk.yml"
    path.write_text(
        f"account_id: account\napi: {{base_url: {api}/client/v4}}\n"
        "web: {listen_address: '127.0.0.1:0'}\napps:\n"
        + "".join(f"  - {{app_id: {app}, meetings: {{ids: [weekly]}}}}\n" for app in APPS)
    )
    return path


def test_two_processes(tmp_path: Path) -> None:
    """Two processes read all apps, each app once, with half of the budget each."""
    simulator = Simulator(ScriptedScenario(meetings=["weekly"]))
    with served(simulator) as api, ExitStack() as running:
        path = str(configuration(tmp_path, api))
        texts = []
        for index in range(2):
            arguments = ("serve", "--config.file", path, "--shard", f"{index}/2")
            process = running.enter_context(started(*arguments, environment=TOKEN))
            texts.append(httpx.get(f"{url_in(*listening_lines(process))}/metrics").text)
    apps = [labels["rk_app"] for text in texts for labels, _ in labelled(text, "rk_up")]
    assert sorted(apps) == APPS
    for index, text in enumerate(texts):
        assert index == value(text, "rk_exporter_shard")
        limits = {limit for _, limit in labelled(text, "rk_api_budget_limit")}
        assert {600.0} == limits


def test_check(tmp_path: Path) -> None:
    """`check` reads the apps of its shard only; one without apps is fine, but cannot be probed."""
    empty = next(
        str(shard)
        for shard in (Shard(index, 50) for index in range(50))
        if not any(shard.owns("account", app) for app in APPS)
    )
    simulator = Simulator(ScriptedScenario(meetings=["weekly"]))
    with served(simulator) as api:
        path = str(configuration(tmp_path, api))
        half, nothing, probe = (
            invoke("check", "--config.file", path, "--shard", *arguments)
            for arguments in (["0/2"], [empty], [empty, "--probe"])
        )
    names = re.findall(r"(?m)^(app-\d): account", half.output)
    assert names == [app for app in APPS if Shard(0, 2).owns("account", app)]
    assert (0, "0 apps, 0 meetings: fine\n") == (nothing.exit_code, nothing.stdout)
    assert 2 == probe.exit_code
    assert f"shard {empty} has no app to ask about; leave out --shard" in probe.output

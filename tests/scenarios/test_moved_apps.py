"""Apps that move between `apps` and `accounts`, or get a new name, lose nothing."""

import json
import logging

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.sources import Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from tests.support.building import BASE_URL, NOW, Simulation, labelled, scripted, simulate, value
from tests.support.state_files import FINISHED, STARTED, read_state


ACCOUNT = {"account_id": "acme"}
# The recordings of an app are the same for all apps of the simulator.
ENDS = scripted("weekly", invoked_at=NOW + 5, started_at=NOW + 7, paused=[], stopped_at=NOW + 40)
GOES_ON = scripted(
    "daily", invoked_at=NOW + 5, started_at=NOW + 7, stopped_at=None, uploaded_at=None
)


def app(app_id: str, name: str) -> dict[str, Any]:
    meetings = {"ids": ["weekly", "daily"], "discover": True}
    return {"account_id": "acme", "app_id": app_id, "name": name, "meetings": meetings}


A, B = app("a", "production"), app("b", "staging")


def of(
    folder: Path, *apps: dict[str, Any], account: dict[str, Any] | None = None, **options: Any
) -> Config:
    """Return a configuration of *apps*, and of an *account* if there is one."""
    accounts = [] if account is None else [account]
    content = {"apps": apps, "accounts": accounts, "api": {"base_url": BASE_URL, "budget": 5000}}
    content = {key: part for key, part in content.items() if part}
    file = folder / "rk.json"
    file.write_text(json.dumps({**content, **options}))
    setting = Setting(str(folder / "state"), "state.file")
    return load(file, {"state.file": setting}, {TOKEN_VARIABLE: "simulated"})


def story(
    steps: Callable[[Simulation], Awaitable[None]], configuration: Config, **options: Any
) -> None:
    options = {"apps": "a=production,b=staging", **options}
    simulate(steps, ENDS, GOES_ON, configuration=configuration, **options)


def counts(text: str) -> dict[str, tuple[float, float]]:
    """Return how many recordings have started and finished, by app."""
    started, finished = (
        {name: sum(n for labels, n in found if labels["rk_app"] == name) for name in names}
        for found in (labelled(text, STARTED), labelled(text, FINISHED))
        for names in [{labels["rk_app"] for labels, _ in found}]
    )
    return {name: (started[name], finished[name]) for name in started}


def saved(folder: Path) -> list[str]:
    return sorted(entry["app"]["app_id"] for entry in read_state(folder / "state")["apps"])


def answer_lists(simulation: Simulation, status: int) -> None:
    """Answer the calls that list the apps of the account with a *status*."""
    simulator = simulation.simulator
    simulator.settings = replace(simulator.settings, apps_status=status)


BOTH = {"production": (2, 1), "staging": (2, 1)}


@pytest.mark.parametrize("is_killed", [False, True])
def test_restart_while_the_list_fails(tmp_path: Path, *, is_killed: bool) -> None:
    """Apps that moved to an account are read on while the list fails, and their counters go on."""

    async def steps(simulation: Simulation) -> None:
        before = await simulation.last_scrape(9)
        assert BOTH == counts(before)
        answer_lists(simulation, 403)
        await simulation.restart(of(tmp_path, account=ACCOUNT))
        failing = await simulation.last_scrape(3)
        assert BOTH == counts(failing)
        assert {1.0} == {number for _, number in labelled(failing, "rk_up")}
        assert 0 == value(failing, "rk_account_up")
        assert "rk_account_apps{" not in failing
        assert simulation.exporter.why_not_ready()
        await simulation.restart(is_killed=is_killed)
        assert ["a", "b"] == saved(tmp_path)
        answer_lists(simulation, 200)
        listed = await simulation.last_scrape(40)
        assert BOTH == counts(listed)
        assert (1, 2) == (value(listed, "rk_account_up"), value(listed, "rk_account_apps"))

    story(steps, of(tmp_path, A, B))


def test_end_before_the_first_scrape(tmp_path: Path) -> None:
    """A process that ends before its first list keeps what an earlier one has saved."""

    async def steps(simulation: Simulation) -> None:
        await simulation.last_scrape(9)
        for _ in range(2):
            await simulation.restart(of(tmp_path, account=ACCOUNT))
        assert ["a", "b"] == saved(tmp_path)
        assert BOTH == counts(await simulation.scrape())

    story(steps, of(tmp_path, A, B))


def test_kill_during_the_first_list(tmp_path: Path) -> None:
    """What is written before the first list has the apps that the list may have."""

    async def steps(simulation: Simulation) -> None:
        await simulation.last_scrape(9)
        await simulation.restart(of(tmp_path, account=ACCOUNT))
        (tmp_path / "state").unlink()

        def during_the_list(call: Any) -> None:
            if call.app_id == "apps":
                written.append(saved(tmp_path))

        written: list[list[str]] = []
        simulation.proxy.instead = during_the_list
        await simulation.scrape()
        assert [["a", "b"]] == written

    story(steps, of(tmp_path, A, B))


@pytest.mark.parametrize("status", [200, 403])
def test_reload(status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A reload that moves apps to an account neither removes nor adds them, without a list, too."""
    caplog.set_level(logging.INFO)

    async def steps(simulation: Simulation) -> None:
        await simulation.last_scrape(9)
        answer_lists(simulation, status)
        before = simulation.exporter.collector.snapshot
        configuration = of(tmp_path, account=ACCOUNT)
        changes = await simulation.exporter.change(simulation.exporter.prepare(configuration))
        assert ((), ()) == (changes.added, changes.removed)
        shown = simulation.exporter.collector.snapshot
        names = [[found.app.name for found in taken.apps] for taken in (before, shown)]
        assert names == [["production", "staging"]] * 2
        for _ in range(3):
            assert BOTH == counts(await simulation.scrape())
        # Also if another reload comes before the list.
        await simulation.reload(of(tmp_path, account={**ACCOUNT, "name": "Acme"}))
        assert BOTH == counts(await simulation.last_scrape(3))
        # And back to entries of their own.
        await simulation.reload(of(tmp_path, B, A))
        assert BOTH == counts(await simulation.scrape())

    story(steps, of(tmp_path, A, B))


def test_the_list_decides(tmp_path: Path) -> None:
    """An app that two lists of the account do not have is gone, and with it what is saved."""

    async def steps(simulation: Simulation) -> None:
        await simulation.last_scrape(9)
        await simulation.reload(of(tmp_path, account=ACCOUNT))
        assert BOTH == counts(await simulation.scrape())
        assert {"production": (2, 1)} == counts(await simulation.last_scrape(6))
        await simulation.restart()
        assert ["a"] == saved(tmp_path)

    story(steps, of(tmp_path, A, B), apps="a=production")


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize(
    ("after", "kept"),
    [
        ({"account": {**ACCOUNT, "apps": {"exclude": "staging"}}}, ["production"]),
        ({"account": {"account_id": "another"}}, []),
        ({"account": ACCOUNT, "shard": "0/2"}, ["production", "staging"]),
        ({"account": ACCOUNT, "shard": "1/2"}, []),
    ],
    ids=["unwanted", "another account", "their shard", "another shard"],
)
def test_others(
    after: dict[str, Any], kept: list[str], tmp_path: Path, *, is_restarted: bool
) -> None:
    """Apps that the account does not want, of another account or of another shard, are removed."""

    async def steps(simulation: Simulation) -> None:
        await simulation.last_scrape(9)
        answer_lists(simulation, 403)
        configuration = of(tmp_path, **after)
        if is_restarted:
            await simulation.restart(configuration)
        else:
            await simulation.reload(configuration)
        assert {name: BOTH[name] for name in kept} == counts(await simulation.last_scrape(2))

    story(steps, of(tmp_path, A, B))


def test_first_scrape(tmp_path: Path) -> None:
    """The first scrape waits for the first list, and shows the other apps of the account, too."""

    async def steps(simulation: Simulation) -> None:
        await simulation.last_scrape(9)
        await simulation.restart(of(tmp_path, account=ACCOUNT))
        readings = labelled(await simulation.scrape(), "rk_up")
        assert {"production", "staging"} == {
            labels["rk_app"] for labels, is_up in readings if is_up
        }

    story(steps, of(tmp_path, A))


@pytest.mark.parametrize("is_restarted", [False, True])
def test_other_names(tmp_path: Path, *, is_restarted: bool) -> None:
    """Counters go on under the names that Cloudflare has, and back under those in `apps`."""
    both = [{**A, "name": "one"}, {**B, "name": "two"}]

    async def steps(simulation: Simulation) -> None:
        await simulation.last_scrape(9)
        for configuration, names in (
            (of(tmp_path, account=ACCOUNT), ["production", "staging"]),
            (of(tmp_path, *both), ["one", "two"]),
        ):
            if is_restarted:
                await simulation.restart(configuration)
            else:
                await simulation.reload(configuration)
            assert dict.fromkeys(names, (2, 1)) == counts(await simulation.last_scrape(2))

    story(steps, of(tmp_path, *both))


class TestNames:
    """New names of apps at a restart."""

    def after(self, folder: Path, *apps: dict[str, Any]) -> dict[str, tuple[float, float]]:
        found: list[dict[str, tuple[float, float]]] = []

        async def steps(simulation: Simulation) -> None:
            await simulation.last_scrape(9)
            await simulation.restart(of(folder, *apps))
            found.append(counts(await simulation.last_scrape(2)))

        story(steps, of(folder, A, B))
        return found[0]

    def test_new_name(self, tmp_path: Path) -> None:
        """Counters go on under a new name, as at a reload, and other apps are not disturbed."""
        assert {"new": (2, 1), "staging": (2, 1)} == self.after(tmp_path, app("a", "new"), B)

    def test_swapped(self, tmp_path: Path) -> None:
        """No series goes on with the counts of another app, and nothing is counted again."""
        swapped = app("a", "staging"), app("b", "production")
        assert dict.fromkeys(BOTH, (0, 0)) == self.after(tmp_path, *swapped)

    def test_name_of_a_removed_app(self, tmp_path: Path) -> None:
        """The name of an app that is gone begins at 0 with another one."""
        assert {"staging": (0, 0)} == self.after(tmp_path, app("a", "staging"))

    def test_name_of_a_renamed_app(self, tmp_path: Path) -> None:
        """An app under a new name goes on, and another one under its old name starts at 0."""
        after = self.after(tmp_path, app("a", "new"), app("c", "production"))
        assert {"new": (2, 1), "production": (0, 0)} == after

    def test_second_entry(self, tmp_path: Path) -> None:
        """Of two entries of one app, the one with the saved name goes on."""
        after = self.after(tmp_path, app("a", "again"), A)
        assert {"production": (2, 1), "again": (0, 0)} == after

"""Several exporters that share the apps and the budget of one Cloudflare user."""

import asyncio

from collections.abc import Sequence
from pathlib import Path

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.sources import Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.exporter import Exporter
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.snapshot import Snapshot
from tests.support.building import (
    BASE_URL,
    NOW,
    Simulation,
    in_process,
    labelled,
    samples,
    scripted,
    simulate,
)


APPS = [f"app-{number}" for number in range(12)]
MEETINGS = [f"meeting-{number}" for number in range(10)]
FINISHED = [
    scripted(
        f"finished-{number}",
        invoked_at=NOW - 7200 * number - 600,
        started_at=NOW - 7200 * number - 598,
        paused=[],
        stopped_at=NOW - 7200 * number - 300,
        uploaded_at=NOW - 7200 * number - 200,
    )
    for number in range(1, 6)
]


def sharded(
    folder: Path, shard: str | None, *, meetings: str = "{discover: true}", budget: int = 600
) -> Config:
    """Return the configuration of one shard, or of the only exporter."""
    path = folder / "rk.yml"
    path.write_text(
        f"account_id: account\napi: {{base_url: '{BASE_URL}', budget: {budget}}}\napps:\n"
        + "".join(f"  - {{app_id: {app}, meetings: {meetings}}}\n" for app in APPS)
    )
    settings = {} if shard is None else {"shard": Setting(shard, "--shard")}
    return load(path, settings, {TOKEN_VARIABLE: "simulated"})


class Fleet:
    """Exporters that a Prometheus server scrapes at the same time, in a *simulation*."""

    def __init__(self, simulation: Simulation, configs: Sequence[Config]) -> None:
        self._begun_at = asyncio.get_running_loop().time()
        self.exporters = [
            Exporter(config, make_client=in_process(simulation.proxy), clock=simulation.clock)
            for config in configs
        ]

    async def scrape(self) -> list[Snapshot]:
        """Scrape all exporters, 15 s after the last time."""
        snapshots = await asyncio.gather(
            *(exporter.collector.scrape(9.5) for exporter in self.exporters)
        )
        self._begun_at += 15.0
        await asyncio.sleep(self._begun_at - asyncio.get_running_loop().time())
        return snapshots

    async def close(self) -> None:
        """Stop all exporters."""
        for exporter in self.exporters:
            await exporter.close()


def shown(snapshots: Sequence[Snapshot]) -> set[tuple[str, str]]:
    """Return the app and the meeting of all recordings that have series."""
    return {
        (app.app.name, known.meeting.meeting_id)
        for snapshot in snapshots
        for app in snapshot.apps
        for known in app.recordings
    }


def test_budget(tmp_path: Path) -> None:
    """However many calls three shards need, together they stay within the budget of one."""
    ids = f"{{ids: {MEETINGS}}}"

    async def steps(simulation: Simulation) -> int:
        configs = [sharded(tmp_path, f"{index}/3", meetings=ids, budget=60) for index in range(3)]
        fleet = Fleet(simulation, configs)
        for _ in range(80):
            await fleet.scrape()
        await fleet.close()
        return simulation.simulator.requests.busiest_window(300)

    configuration = sharded(tmp_path, "0/3")
    assert 50 <= simulate(steps, meetings=MEETINGS, configuration=configuration) <= 60


def test_every_app_once(tmp_path: Path) -> None:
    """Each app has series in exactly one of the expositions, and each exporter names its shard."""

    async def steps(simulation: Simulation) -> list[str]:
        fleet = Fleet(simulation, [sharded(tmp_path, f"{index}/3") for index in range(3)])
        snapshots = await fleet.scrape()
        texts = [
            encode(exporter.families(snapshot), Format.TEXT).decode()
            for exporter, snapshot in zip(fleet.exporters, snapshots, strict=True)
        ]
        await fleet.close()
        return texts

    texts = simulate(steps, configuration=sharded(tmp_path, "0/3"))
    apps = [labels["rk_app"] for text in texts for labels, _ in labelled(text, "rk_up")]
    assert sorted(apps) == sorted(APPS)
    assert [{"": 0.0}, {"": 1.0}, {"": 2.0}] == [samples(t, "rk_exporter_shard") for t in texts]
    assert [{"": 3.0}] * 3 == [samples(text, "rk_exporter_shards") for text in texts]


def test_no_shard(tmp_path: Path) -> None:
    """Without the option, the exposition has nothing about shards."""

    async def steps(simulation: Simulation) -> str:
        return await simulation.scrape()

    text = simulate(steps, configuration=sharded(tmp_path, None))
    assert "shard" not in text


def test_resharding_by_restarts(tmp_path: Path) -> None:
    """
    An exporter that takes over an app shows its finished recordings with the first list.

    An app whose list was read shows all of them, and all lists are read within two minutes.
    """
    everything = {(app, recording.meeting_id) for app in APPS for recording in FINISHED}

    async def steps(simulation: Simulation) -> int:
        one = Fleet(simulation, [sharded(tmp_path, None)])
        for _ in range(8):
            before = await one.scrape()
        assert everything == shown(before)
        await one.close()
        three = Fleet(simulation, [sharded(tmp_path, f"{index}/3") for index in range(3)])
        scrapes = 0
        complete: set[str] = set()
        while len(complete) < len(APPS):
            snapshots = await three.scrape()
            scrapes += 1
            apps = [app for snapshot in snapshots for app in snapshot.apps]
            complete = {app.app.name for app in apps if app.is_restored}
            assert {pair for pair in everything if pair[0] in complete} <= shown(snapshots)
            assert scrapes < 100
        await three.close()
        return scrapes

    configuration = sharded(tmp_path, None)
    assert simulate(steps, *FINISHED, configuration=configuration) <= 8


def test_resharding_by_reloads(tmp_path: Path) -> None:
    """A reload with another shard keeps what is known of the apps that stay."""

    async def steps(simulation: Simulation) -> list[set[tuple[str, str]]]:
        for _ in range(8):
            before = await simulation.scrape_snapshot()
        await simulation.reload(sharded(tmp_path, "0/2"))
        after = simulation.exporter.collector.snapshot
        return [shown([before]), shown([after])]

    kept = {app.app.name for app in sharded(tmp_path, "0/2").apps}
    before, after = simulate(steps, *FINISHED, configuration=sharded(tmp_path, None))
    assert after == {pair for pair in before if pair[0] in kept}
    assert 5 * len(kept) == len(after) > 0


def test_resharding_within_the_budget(tmp_path: Path) -> None:
    """
    A change from two shards to three stays within the budget if they first get smaller parts.

    That is the order in docs/how-to/scaling.md. Old and new exporters run at the same time, as
    during the update of a StatefulSet.
    """
    ids = f"{{ids: {MEETINGS}}}"

    def of(shard: str, budget: int) -> Config:
        return sharded(tmp_path, shard, meetings=ids, budget=budget)

    async def steps(simulation: Simulation) -> int:
        old = Fleet(simulation, [of("0/2", 90), of("1/2", 90)])
        for _ in range(30):
            await old.scrape()
        # Two thirds of the budget, so that each part is that of the third shard.
        for index, exporter in enumerate(old.exporters):
            await exporter.change(exporter.prepare(of(f"{index}/2", 60)))
        for _ in range(30):
            await old.scrape()
        mixed = Fleet(simulation, [of("2/3", 90)])
        mixed.exporters += old.exporters
        for _ in range(30):
            await mixed.scrape()
        for index, exporter in enumerate(old.exporters):
            await exporter.change(exporter.prepare(of(f"{index}/3", 90)))
        for _ in range(30):
            await mixed.scrape()
        await mixed.close()
        return simulation.simulator.requests.busiest_window(300)

    configuration = sharded(tmp_path, "0/2")
    assert 80 <= simulate(steps, meetings=MEETINGS, configuration=configuration) <= 90

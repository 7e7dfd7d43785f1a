"""How often the configuration is reloaded, when a reload is refused, and who is told."""

import asyncio

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import pytest

from rk_exporter.config.config import Config, with_fixed_options
from rk_exporter.config.parsers import Address
from rk_exporter.config.sources import ConfigError
from rk_exporter.exporter.reloader import Reloader, ReloadSteps
from rk_exporter.metrics.config_reload import ConfigReloadMetrics
from rk_exporter.web.reload_page import ReloadResult
from tests.support.building import Simulation, by_meeting, config, simulate


T = TypeVar("T")
MEETINGS = ["a", "b"]


@dataclass
class World:
    """A reloader, what its steps do, and when they did it."""

    simulation: Simulation
    next_config: Config = field(default_factory=lambda: config(meeting_ids=MEETINGS))
    error: Exception | None = None
    other_error: Exception | None = None
    loaded_at: list[float] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        steps = ReloadSteps(
            load=self.load,
            others=[self.other],
            begin=lambda: self.events.append("begin"),
            end=lambda: self.events.append("end"),
            finish=lambda before, after: self.events.append(
                f"{before.log_level} {after.log_level}"
            ),
        )
        self.reloader = Reloader(steps, clock=self.simulation.clock.wall)

    def load(self) -> Config:
        self.loaded_at.append(asyncio.get_running_loop().time())
        if self.error:
            raise self.error
        return self.next_config

    def finish(self, before: Config, after: Config) -> None:
        self.events.append(f"{before.log_level} {after.log_level}")

    async def other(self) -> None:
        if self.other_error:
            raise self.other_error

    @property
    def in_use(self) -> Config:
        return self.simulation.exporter.config

    def metric(self, name: str) -> float:
        (family,) = [
            family
            for family in ConfigReloadMetrics(self.reloader).collect()
            if family.name.endswith(name)
        ]
        number: float = family.samples[0].value
        return number


def in_world(steps: Callable[[World], Awaitable[T]]) -> T:
    """Run *steps* with a running reloader, in virtual time."""

    async def run(simulation: Simulation) -> T:
        world = World(simulation)
        async with world.reloader.running(simulation.exporter):
            return await steps(world)

    return simulate(run, meetings=MEETINGS, configuration=config(meeting_ids=["a"]))


class TestHowOften:
    def test_storm(self) -> None:
        """A thousand requests in a second cause two reloads: the first, and one for the rest."""

        async def steps(world: World) -> list[float]:
            for _ in range(1000):
                world.reloader.request()
                await asyncio.sleep(0.001)
            await asyncio.sleep(60)
            return world.loaded_at

        assert 2 == len(in_world(steps))

    def test_many_at_the_same_time(self) -> None:
        """Requests that come at the same time share one reload, and all of them get its result."""

        async def steps(world: World) -> tuple[list[ReloadResult], int]:
            results = await asyncio.gather(*(world.reloader.reload() for _ in range(50)))
            return results, len(world.loaded_at)

        results, count = in_world(steps)
        assert ([ReloadResult()] * 50, 1) == (results, count)

    def test_during_a_reload(self) -> None:
        """A request during a reload gets the result of the next one, which sees later changes."""

        async def steps(world: World) -> tuple[ReloadResult, ReloadResult, list[float]]:
            first = asyncio.create_task(world.reloader.reload())
            await asyncio.sleep(0.5)
            world.error = ConfigError("wrong")
            second = await world.reloader.reload()
            return await first, second, world.loaded_at

        first, second, loaded_at = in_world(steps)
        assert (ReloadResult(), ReloadResult("wrong")) == (first, second)
        assert [0.0, 1.0] == loaded_at

    def test_client_that_gives_up(self) -> None:
        """A client that gives up costs the others nothing."""

        async def steps(world: World) -> ReloadResult:
            waiting = [asyncio.create_task(world.reloader.reload()) for _ in range(2)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            return await waiting[1]

        assert ReloadResult() == in_world(steps)

    def test_during_a_pass(self) -> None:
        """A reload waits for the running pass, and the scrape gets its complete answer."""

        async def steps(world: World) -> tuple[list[str], list[str]]:
            world.simulation.proxy.delayed = lambda _: 2.0
            scrape = asyncio.create_task(world.simulation.scrape())
            await asyncio.sleep(0.1)
            reload = asyncio.create_task(world.reloader.reload())
            await asyncio.sleep(0.5)
            assert not reload.done()
            first = await scrape
            await reload
            second = await world.simulation.scrape()
            return [*by_meeting(first, "rk_meeting_up")], [*by_meeting(second, "rk_meeting_up")]

        assert (["a"], ["a", "b"]) == in_world(steps)

    def test_no_scrape_starves_a_reload(self) -> None:
        """A reload gets its turn although scrapes follow each other without a pause."""

        async def steps(world: World) -> bool:
            async def scrape_for_ever() -> None:
                while True:
                    await world.simulation.exporter.collector.scrape(5.0)
                    await asyncio.sleep(0)

            world.simulation.proxy.delayed = lambda _: 0.1
            scrapers = [asyncio.create_task(scrape_for_ever()) for _ in range(5)]
            await asyncio.sleep(1)
            async with asyncio.timeout(5):
                await world.reloader.reload()
            for scraper in scrapers:
                scraper.cancel()
            return world.in_use == world.next_config

        assert in_world(steps)


class TestRefusal:
    @pytest.mark.parametrize("name", ["error", "other_error"])
    def test_wrong(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        """What cannot be used is refused as a whole, logged, and shown by the metrics."""

        async def steps(world: World) -> tuple[ReloadResult, bool, list[float]]:
            before = world.in_use
            setattr(world, name, ConfigError("rk.yml:3: apps: must not be empty"))
            await asyncio.sleep(7)
            result = await world.reloader.reload()
            figures = [
                world.metric("last_reload_successful"),
                world.simulation.now() - world.metric("success_timestamp_seconds"),
            ]
            return result, before is world.in_use, figures

        result, is_same, figures = in_world(steps)
        assert (ReloadResult("rk.yml:3: apps: must not be empty"), True) == (result, is_same)
        assert [0, 7] == figures
        message = (
            "configuration was not reloaded, the last good one stays in use: "
            "rk.yml:3: apps: must not be empty"
        )
        assert [message] == [record.getMessage() for record in caplog.records]

    def test_good_again(self) -> None:
        """The next good configuration is taken into use."""

        async def steps(world: World) -> list[float]:
            world.error = ConfigError("wrong")
            await world.reloader.reload()
            world.error = None
            await world.reloader.reload()
            age = world.simulation.now() - world.metric("success_timestamp_seconds")
            return [world.metric("last_reload_successful"), age]

        assert [1, 0] == in_world(steps)

    def test_bug(self, caplog: pytest.LogCaptureFixture) -> None:
        """A bug costs one reload; the log has no values, and the next reload works."""

        async def steps(world: World) -> list[ReloadResult]:
            world.error = RuntimeError("c0ffee")
            first = await world.reloader.reload()
            world.error = None
            return [first, await world.reloader.reload()]

        first, second = in_world(steps)
        assert ReloadResult("internal error; see the exporter's log") == first
        assert ReloadResult() == second
        assert "c0ffee" not in caplog.text

    def test_metric_is_shown_immediately(self) -> None:
        """A scrape after a refusal shows it, although no new pass was made."""

        async def steps(world: World) -> list[float | None]:
            exporter = world.simulation.exporter
            exporter.show(ConfigReloadMetrics(world.reloader))
            shown = []
            for error in (None, ConfigError("wrong"), None):
                world.error = error
                await world.reloader.reload()
                families = exporter.exposition._families(exporter.collector.snapshot)  # noqa: SLF001
                shown += [
                    family.samples[0].value
                    for family in families
                    if family.name == "rk_config_last_reload_successful"
                ]
                assert exporter.exposition._snapshot is None  # noqa: SLF001 # renders it again
            return [*shown]

        assert [1, 0, 1] == in_world(steps)


class TestSteps:
    def test_order(self) -> None:
        """The service manager learns the beginning and the end, also of a refused reload."""

        async def steps(world: World) -> list[str]:
            world.next_config = replace(world.next_config, log_level="debug")
            await world.reloader.reload()
            world.error = ConfigError("wrong")
            await world.reloader.reload()
            return world.events

        assert ["begin", "info debug", "end", "begin", "end"] == in_world(steps)

    def test_fixed_options(self) -> None:
        """What cannot change is named, and all else is taken."""

        async def steps(world: World) -> tuple[ReloadResult, Config]:
            world.next_config = replace(
                world.next_config,
                listen_addresses=(Address("", 1),),
                state_file=Path("other"),
                max_requests=7,
            )
            return await world.reloader.reload(), world.in_use

        result, in_use = in_world(steps)
        assert ReloadResult(fixed=("state.file", "web.listen_address")) == result
        assert (7, None, (Address("", 10058),)) == (
            in_use.max_requests,
            in_use.state_file,
            in_use.listen_addresses,
        )

    def test_only_some_options_are_fixed(self) -> None:
        """Only the sockets, what else webhooks need, and the paths of two files cannot change."""
        running = config()
        other = replace(
            running,
            **{
                name: object()  # type: ignore[arg-type] # any other value
                for name in running.__slots__
                if name not in {"apps", "warnings"}
            },
        )
        _, fixed = with_fixed_options(other, running)
        assert {
            "state.file",
            "web.listen_address",
            "web.systemd_socket",
            "web.config_file",
            "webhook.listen_address",
            "webhook.public_key_file",
            "webhook.public_key_url",
        } == set(fixed)


class TestPage:
    def test_disabled(self) -> None:
        """Without --web.enable-lifecycle nobody can reload by a request."""

        async def steps(simulation: Simulation) -> None:
            status, text = await ask(simulation, "POST")
            assert 403 == status
            assert "lifecycle API is not enabled; set --web.enable-lifecycle\n" == text

        simulate(steps, meetings=MEETINGS, configuration=config(meeting_ids=["a"]))

    def test_no_reloader(self) -> None:
        """An exporter that cannot reload, e.g. the demo, says so."""

        async def steps(simulation: Simulation) -> tuple[int, str]:
            return await ask(simulation, "POST")

        enabled = config(meeting_ids=["a"], web__enable_lifecycle="true")
        status, text = simulate(steps, meetings=MEETINGS, configuration=enabled)
        assert (500, True) == (status, "cannot reload" in text)

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
    def test_other_methods(self, method: str) -> None:
        """Only POST and PUT reload, as in Prometheus."""

        async def steps(simulation: Simulation) -> int:
            return (await ask(simulation, method))[0]

        assert 405 == simulate(steps, meetings=MEETINGS, configuration=config(meeting_ids=["a"]))


async def ask(simulation: Simulation, method: str) -> tuple[int, str]:
    """Return the answer to a request for a reload."""
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        raise AssertionError("the application must not receive anything")

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "raw_path": b"/-/reload",
        "query_string": b"",
        "headers": [],
    }
    await simulation.exporter.application(scope, receive, send)
    status = sent[0]["status"]
    assert isinstance(status, int)
    return status, b"".join(message.get("body", b"") for message in sent).decode()  # type: ignore[misc]

"""Prometheus servers that scrape the worlds, all through the same scenario."""

import json

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.monitoring import shortened
from tests.support.monitoring.servers import Prometheus, eventually, free_port, started_prometheus
from tests.support.monitoring.views import answer
from tests.support.monitoring.worlds import JOB, Shown, World
from tests.support.serving import served


_STEP = "replayed_step"
_SCRAPES = 3
"""Scrapes of each step, so that rates and series over time have enough samples."""
OTHERS_ALERTS = ("RKE2Down", "KubePodCrash")
_OTHERS_METRICS = """\
node_load1 3
process_start_time_seconds 1.5e+09
process_resident_memory_bytes 8e+12
process_virtual_memory_bytes 9e+12
process_open_fds 1e+06
process_max_fds 1e+06
process_cpu_seconds_total {seconds}
python_info{{implementation="CPython",version="2.7.18"}} 1
python_gc_collections_total{{generation="0"}} {seconds}
"""


class _Replay:
    """An ASGI application that shows a target's view of the current step."""

    def __init__(self, shown: Shown, expositions: Sequence[str]) -> None:
        self._texts = [
            f"{shown.text(text)}{_STEP} {step}\n" for step, text in enumerate(expositions)
        ]
        # Prometheus may scrape a target for seconds after it was removed. It must not show the next
        # step: what is counted in it would be the first sample of the target that replaces it.
        self._last_step = len(expositions) - 1 if shown.until is None else shown.until - 1
        self.step = 0

    def show(self, step: int) -> None:
        """Show a step, but none after the target was removed."""
        self.step = min(step, self._last_step)

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Answer a scrape."""
        await answer(self._texts[self.step], send)


class _Others:
    """An ASGI application that shows metrics of another team's program."""

    def __init__(self) -> None:
        self._scrapes = 0

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Answer a scrape. The program uses much CPU."""
        self._scrapes += 1
        await answer(_OTHERS_METRICS.format(seconds=1000 * self._scrapes), send)


class Scenes:
    """The running worlds, and the step of the scenario that their targets show."""

    def __init__(self, stack: ExitStack, folder: Path, program: str, root: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._program = program
        self._root = root
        self._replays: list[_Replay] = []
        self._targets: list[tuple[World, Path, Sequence[tuple[Shown, str]]]] = []
        self.servers: dict[str, Prometheus] = {}

    def start(self, world: World, expositions: Sequence[str]) -> None:
        """Start the servers of a world."""
        folder = self._folder / world.name
        folder.mkdir()
        addressed = []
        for shown in world.shown:
            replay = _Replay(shown, expositions)
            self._replays.append(replay)
            addressed.append((shown, self._served(replay)))
        self._targets.append((world, folder / "targets.json", addressed))
        self._show(0)
        others = {"node": [self._served(_Others()), f"127.0.0.1:{free_port()}"]}
        self.servers[world.name] = self._stack.enter_context(
            started_prometheus(
                self._program,
                folder,
                targets=others if world.has_others else {},
                discovered={JOB: folder / "targets.json"},
                rule_files=list(self._rule_files(world, folder)),
            )
        )

    def play(self, steps: int) -> None:
        """Play the scenario, as fast as the servers scrape it."""
        for step in range(steps):
            self._show(step)
            for world, _, _ in self._targets:
                self._wait_for(world, step)

    def _served(self, application: Any) -> str:
        return self._stack.enter_context(served(application)).removeprefix("http://")

    def _show(self, step: int) -> None:
        for replay in self._replays:
            replay.show(step)
        for _, file, addressed in self._targets:
            groups = [
                {"targets": [address], "labels": dict(shown.labels)}
                for shown, address in addressed
                if _is_shown(shown, step)
            ]
            new = file.with_suffix(".new")
            new.write_text(json.dumps(groups))
            new.replace(file)

    def _wait_for(self, world: World, step: int) -> None:
        server = self.servers[world.name]
        count = sum(_is_shown(shown, step) for shown in world.shown)
        scraped = f"count(count_over_time(({_STEP} == {step})[10m:1s]) >= {_SCRAPES})"
        eventually(
            lambda: server.number(scraped) == count,
            what=f"{world} has scraped step {step}",
            details=lambda: str(server.query(_STEP)),
        )

    def _rule_files(self, world: World, folder: Path) -> Iterator[Path]:
        if world.has_rules:
            # There is no cost while the product is free.
            thresholds = {"rk:price_ratio:threshold": "1"}
            file = folder / "rules.yml"
            shortened.write_rules(self._root, file, thresholds, service_levels=True)
            yield file
        if world.has_others:
            rules = [
                {"alert": name, "expr": "up == 0", "labels": {"severity": "critical"}}
                for name in OTHERS_ALERTS
            ]
            file = folder / "others.yml"
            file.write_text(yaml.safe_dump({"groups": [{"name": "others", "rules": rules}]}))
            yield file


def _is_shown(shown: Shown, step: int) -> bool:
    return shown.since <= step and (shown.until is None or step < shown.until)


@contextmanager
def started_worlds(
    program: str,
    folder: Path,
    root: Path,
    *,
    worlds: Sequence[World],
    expositions: Sequence[str],
) -> Iterator[Mapping[str, Prometheus]]:
    """Start the worlds, play the scenario in all of them, and yield their servers by name."""
    with ExitStack() as stack:
        scenes = Scenes(stack, folder, program, root)
        for world in worlds:
            scenes.start(world, expositions)
        scenes.play(len(expositions))
        yield scenes.servers

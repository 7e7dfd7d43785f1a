"""Prometheus and Alertmanager beside the demo, with the rules and the examples that are shipped."""

import asyncio
import signal
import tempfile

from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rk_exporter import assets
from rk_exporter.config.parsers import Address
from rk_exporter.demo.programs import Place, Process, Program, StackError, answers, start
from rk_exporter.web.server import bind


SCRAPE_INTERVAL = "5s"
_ALERTS_PAGES = ("/alerts", "/classic/alerts")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PROMETHEUS = Program("Prometheus", ("prometheus",), "prometheus")
ALERTMANAGER = Program(
    "Alertmanager", ("prometheus-alertmanager", "alertmanager"), "prometheus-alertmanager"
)


@dataclass(frozen=True, slots=True)
class Stack:
    """Both, not started yet."""

    prometheus: Place
    alertmanager: Place


def prepare(*, prometheus_address: Address, alertmanager_address: Address) -> Stack:
    """
    Find both programs, and see that they can listen where they are to; port 0 is any free one.

    Raises StackError, and AddressError.
    """
    programs = (PROMETHEUS, ALERTMANAGER)
    missing = [each for each in programs if each.path() is None]
    if missing:
        titles = " and ".join(each.title for each in missing)
        packages = " ".join(each.package for each in missing)
        raise StackError(f"not installed: {titles}; on Debian: apt install {packages}")
    with ExitStack() as bound:
        places = []
        for program, address in zip(
            programs, (prometheus_address, alertmanager_address), strict=True
        ):
            port = bound.enter_context(bind(address)).getsockname()[1]
            places.append(Place(program, program.path() or "", Address(address.host, port)))
    return Stack(*places)


@dataclass(frozen=True, slots=True)
class RunningStack:
    """Both, while they run: *alerts_url* is Prometheus' page of alerts."""

    processes: Sequence[Process]
    alerts_url: str
    alertmanager_url: str

    def failures(self) -> Iterator[Coroutine[Any, Any, None]]:
        """Give for each program what waits until it ends by itself, and raises StackError then."""
        return (each.fail_when_it_ends() for each in self.processes)


@asynccontextmanager
async def started(stack: Stack, *, target: str) -> AsyncIterator[RunningStack]:
    """
    Run both in a temporary folder, the exporter at *target* scraped, until the context ends.

    They are ready when it begins. While they are stopped, a signal kills them. Raises StackError.
    """
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="rk-exporter-demo-") as name:
        # A terminal that is closed would end the demo alone.
        loop.add_signal_handler(signal.SIGHUP, signal.raise_signal, signal.SIGTERM)
        commands = _prepared(stack, Path(name), target=target)
        processes: list[Process] = []
        try:
            for place, command in commands:
                processes.append(await start(place, command, Path(name)))
            for each in processes:
                await each.become_ready()
            yield RunningStack(
                processes,
                alerts_url=await asyncio.to_thread(_alerts_url, stack.prometheus),
                alertmanager_url=stack.alertmanager.url,
            )
        finally:
            for number in _SIGNALS:
                loop.add_signal_handler(number, _kill, processes)
            await asyncio.gather(*(each.stop() for each in processes))
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def _alerts_url(prometheus: Place) -> str:
    # Debian's has the pages of old alone.
    page = next((each for each in _ALERTS_PAGES if answers(prometheus, each)), "")
    return f"{prometheus.url}{page}"


def _kill(processes: Sequence[Process]) -> None:
    for each in processes:
        each.kill()


def _prepared(stack: Stack, folder: Path, *, target: str) -> list[tuple[Place, list[str]]]:
    """Write what both read into *folder*, and return the command of each."""
    try:
        texts = {each.path: each.text for each in assets.shipped()}
    except assets.AssetsMissing as error:
        raise StackError(str(error)) from None
    rules = folder / assets.RULES.name
    rules.write_text(_dumped(rule_groups(texts[assets.RULES])), encoding="utf-8")
    prometheus = _configured(
        stack.prometheus,
        folder,
        prometheus_configuration(
            texts[assets.PROMETHEUS_EXAMPLE],
            target=target,
            alertmanager=stack.alertmanager.target,
            rules=rules,
        ),
    )
    alertmanager = _configured(
        stack.alertmanager, folder, alertmanager_configuration(texts[assets.ALERTMANAGER_EXAMPLE])
    )
    return [
        (stack.prometheus, [*prometheus, f"--storage.tsdb.path={folder}/prometheus"]),
        (
            stack.alertmanager,
            # It has no peers.
            [*alertmanager, f"--storage.path={folder}/alertmanager", "--cluster.listen-address="],
        ),
    ]


def _configured(place: Place, folder: Path, document: dict[str, Any]) -> list[str]:
    """Write what a program is configured by, and return the command that both have in common."""
    file = folder / f"{place.program.title}.yml"
    file.write_text(_dumped(document), encoding="utf-8")
    return [
        place.path,
        f"--config.file={file}",
        f"--web.listen-address={place.listen_address}",
        f"--web.external-url={place.url}",
    ]


def _dumped(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)


def rule_groups(shipped: str) -> dict[str, Any]:
    """Return the *shipped* rules, evaluated as often as a demo changes."""
    document: dict[str, Any] = yaml.safe_load(shipped)
    document["groups"] = [{**each, "interval": SCRAPE_INTERVAL} for each in document["groups"]]
    return document


def prometheus_configuration(
    example: str, *, target: str, alertmanager: str, rules: Path
) -> dict[str, Any]:
    """Return the *example* for an exporter at *target*, with an interval that suits a demo."""
    document: dict[str, Any] = yaml.safe_load(example)
    document["global"] |= {
        "scrape_interval": SCRAPE_INTERVAL,
        "evaluation_interval": SCRAPE_INTERVAL,
    }
    document["scrape_configs"] = [
        {**each, "static_configs": [{"targets": [target]}]}
        for each in document["scrape_configs"]
        if each["job_name"] == assets.DEFAULT_JOB
    ]
    document["rule_files"] = [str(rules)]
    document["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    return document


def alertmanager_configuration(example: str) -> dict[str, Any]:
    """Return the *example* with receivers that send nothing: nobody is there to be told."""
    document: dict[str, Any] = yaml.safe_load(example)
    document["receivers"] = [{"name": each["name"]} for each in document["receivers"]]
    return document

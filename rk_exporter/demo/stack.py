"""Prometheus and Alertmanager beside the demo, with the shipped rules and examples."""

import asyncio
import signal
import tempfile

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from rk_exporter import assets
from rk_exporter.config.parsers import Address
from rk_exporter.demo.programs import Process, Program, StackError, has_page, start
from rk_exporter.web.server import bind


SCRAPE_INTERVAL = "5s"
_ALERTS_PAGES = ("/alerts", "/classic/alerts")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Stack:
    """Prometheus and Alertmanager before their start."""

    prometheus: Program
    alertmanager: Program


def prepare(prometheus_address: Address, alertmanager_address: Address) -> Stack:
    """
    Find both programs, and check that their addresses are free; port 0 is any free port.

    Raises StackError and AddressError.
    """
    programs = (
        Program("Prometheus", ("prometheus",), "prometheus", prometheus_address),
        Program(
            "Alertmanager",
            ("prometheus-alertmanager", "alertmanager"),
            "prometheus-alertmanager",
            alertmanager_address,
        ),
    )
    missing = [program for program in programs if program.path() is None]
    if missing:
        titles = " and ".join(program.title for program in missing)
        packages = " ".join(program.package for program in missing)
        raise StackError(f"not installed: {titles}; on Debian: apt install {packages}")
    with ExitStack() as bound:
        ports = [
            bound.enter_context(bind(program.address)).getsockname()[1] for program in programs
        ]
    return Stack(
        *(
            replace(program, address=replace(program.address, port=port))
            for program, port in zip(programs, ports, strict=True)
        )
    )


@dataclass(frozen=True, slots=True)
class RunningStack:
    """Prometheus and Alertmanager while they run; *alerts_url* is the page of alerts."""

    processes: Sequence[Process]
    alerts_url: str
    alertmanager_url: str


@asynccontextmanager
async def started(stack: Stack, *, target: str) -> AsyncIterator[RunningStack]:
    """
    Run both in a temporary folder until the context ends; Prometheus scrapes *target*.

    They are ready when the context begins. A signal during its end kills them. Raises StackError.
    """
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="rk-exporter-demo-") as name:
        # Closing the terminal would otherwise end only the demo.
        loop.add_signal_handler(signal.SIGHUP, signal.raise_signal, signal.SIGTERM)
        commands = _prepared(stack, Path(name), target=target)
        processes: list[Process] = []
        try:
            for program, command in commands:
                processes.append(await start(program, command, Path(name)))
            for process in processes:
                await process.become_ready()
            yield RunningStack(
                processes,
                alerts_url=await asyncio.to_thread(_alerts_url, stack.prometheus),
                alertmanager_url=stack.alertmanager.address.url,
            )
        finally:
            for number in _SIGNALS:
                loop.add_signal_handler(number, _kill, processes)
            await asyncio.gather(*(process.stop() for process in processes))
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def _alerts_url(prometheus: Program) -> str:
    # Debian's Prometheus has only the classic pages.
    page = next((page for page in _ALERTS_PAGES if has_page(prometheus, page)), "")
    return f"{prometheus.address.url}{page}"


def _kill(processes: Sequence[Process]) -> None:
    for process in processes:
        process.kill()


def _prepared(stack: Stack, folder: Path, *, target: str) -> list[tuple[Program, list[str]]]:
    """Write the configuration of both to *folder*, and return the command of each."""
    try:
        texts = {asset.path: asset.text for asset in assets.shipped()}
    except assets.AssetsError as error:
        raise StackError(str(error)) from None
    rules = folder / assets.RULES.name
    rules.write_text(_dumped(rule_groups(texts[assets.RULES])), encoding="utf-8")
    prometheus = _configured(
        stack.prometheus,
        folder,
        prometheus_configuration(
            texts[assets.PROMETHEUS_EXAMPLE],
            target=target,
            alertmanager=str(stack.alertmanager.address.reachable),
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
            # It runs alone, without a cluster.
            [*alertmanager, f"--storage.path={folder}/alertmanager", "--cluster.listen-address="],
        ),
    ]


def _configured(program: Program, folder: Path, document: dict[str, Any]) -> list[str]:
    """Write the configuration of a program, and return the part of its command that both share."""
    file = folder / f"{program.title}.yml"
    file.write_text(_dumped(document), encoding="utf-8")
    return [
        program.path() or "",
        f"--config.file={file}",
        f"--web.listen-address={program.address}",
        f"--web.external-url={program.address.url}",
    ]


def _dumped(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)


def rule_groups(shipped: str) -> dict[str, Any]:
    """Return the *shipped* rules with a short evaluation interval."""
    document: dict[str, Any] = yaml.safe_load(shipped)
    document["groups"] = [{**group, "interval": SCRAPE_INTERVAL} for group in document["groups"]]
    return document


def prometheus_configuration(
    example: str, *, target: str, alertmanager: str, rules: Path
) -> dict[str, Any]:
    """Return the *example* for an exporter at *target*, with a short scrape interval."""
    document: dict[str, Any] = yaml.safe_load(example)
    document["global"] |= {
        "scrape_interval": SCRAPE_INTERVAL,
        "evaluation_interval": SCRAPE_INTERVAL,
    }
    document["scrape_configs"] = [
        {**job, "static_configs": [{"targets": [target]}]}
        for job in document["scrape_configs"]
        if job["job_name"] == assets.DEFAULT_JOB
    ]
    document["rule_files"] = [str(rules)]
    document["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    return document


def alertmanager_configuration(example: str) -> dict[str, Any]:
    """Return the *example* with receivers that send no notifications."""
    document: dict[str, Any] = yaml.safe_load(example)
    document["receivers"] = [{"name": receiver["name"]} for receiver in document["receivers"]]
    return document

"""Prometheus and Alertmanager beside the demo, with the shipped rules and examples."""

import asyncio
import signal
import tempfile

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rk_exporter.assets import files
from rk_exporter.assets.forms import Choices, adapted
from rk_exporter.assets.job import DEFAULT_JOB
from rk_exporter.config.parsers import Address
from rk_exporter.demo.programs import Process, Program, StackError, has_page
from rk_exporter.web.sockets import bind


_Document = dict[str, Any]
SCRAPE_INTERVAL = "5s"
_PROMETHEUS = partial(
    Program, "Prometheus", ("prometheus",), ("--storage.tsdb.path={folder}/prometheus",)
)
_ALERTMANAGER = partial(
    Program,
    "Alertmanager",
    ("prometheus-alertmanager", "alertmanager"),
    # It runs alone, without a cluster.
    ("--storage.path={folder}/alertmanager", "--cluster.listen-address="),
)
_ALERTS_PAGES = ("/alerts", "/classic/alerts")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stack(NamedTuple):
    """Prometheus and Alertmanager before their start."""

    prometheus: Program
    alertmanager: Program


def prepare(prometheus_address: Address, alertmanager_address: Address) -> Stack:
    """
    Find both programs, and check that their addresses are free; port 0 is any free port.

    Raises StackError and AddressError.
    """
    programs = (_PROMETHEUS(prometheus_address), _ALERTMANAGER(alertmanager_address))
    missing = [program for program in programs if program.path() is None]
    if missing:
        titles = " and ".join(program.title for program in missing)
        packages = " ".join(program.names[0] for program in missing)
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
    """The *processes* of a stack, and what newcomers need to know about Prometheus."""

    text: str
    processes: Sequence[Process] = ()


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
        folder = Path(name)
        _write_configurations(stack, folder, target=target)
        processes: list[Process] = []
        try:
            for program in stack:
                process = await program.start(folder)
                processes.append(process)
            for process in processes:
                await process.become_ready()
            alerts_url = await asyncio.to_thread(_alerts_url, stack.prometheus)
            yield RunningStack(
                f"Prometheus    {alerts_url}  (the first alerts fire after about two minutes)\n"
                f"Alertmanager  {stack.alertmanager.address.url}  (it sends no notifications)\n",
                processes,
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


def _write_configurations(stack: Stack, folder: Path, *, target: str) -> None:
    """Write the rules and the configuration of both programs to *folder*."""
    try:
        texts = adapted(files.shipped(), Choices())
    except files.AssetsError as error:
        raise StackError(str(error)) from None
    rules = folder / files.RULES.name
    documents = {
        rules: rule_groups(yaml.safe_load(texts[files.RULES])),
        stack.prometheus.configuration(folder): prometheus_configuration(
            yaml.safe_load(texts[files.PROMETHEUS_EXAMPLE]),
            target=target,
            alertmanager=str(stack.alertmanager.address.reachable),
            rules=rules,
        ),
        stack.alertmanager.configuration(folder): alertmanager_configuration(
            yaml.safe_load(texts[files.ALERTMANAGER_EXAMPLE])
        ),
    }
    for path, document in documents.items():
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def rule_groups(shipped: _Document) -> _Document:
    """Return the *shipped* rules with a short evaluation interval."""
    groups = [{**group, "interval": SCRAPE_INTERVAL} for group in shipped["groups"]]
    return {**shipped, "groups": groups}


def prometheus_configuration(
    example: _Document, *, target: str, alertmanager: str, rules: Path
) -> _Document:
    """Return the *example* for an exporter at *target*, with short intervals."""
    intervals = {"scrape_interval": SCRAPE_INTERVAL, "evaluation_interval": SCRAPE_INTERVAL}
    alertmanagers = [{"static_configs": [{"targets": [alertmanager]}]}]
    return {
        **example,
        "global": {**example["global"], **intervals},
        "alerting": {**example["alerting"], "alertmanagers": alertmanagers},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {**job, "static_configs": [{"targets": [target]}]}
            for job in example["scrape_configs"]
            if job["job_name"] == DEFAULT_JOB
        ],
    }


def alertmanager_configuration(example: _Document) -> _Document:
    """Return the *example* with receivers that send no notifications."""
    return {**example, "receivers": [{"name": old["name"]} for old in example["receivers"]]}

"""A Prometheus with what the rules would have recorded in simulated weeks."""

import json
import re
import subprocess

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import yaml

from rk_exporter.assets import files
from rk_exporter.assets.forms import Choices, adapted
from tests.support.monitoring.servers import Server, free_port
from tools.screenshots.weeks import APPS, BEGIN, HOUR, write_pages


# Rules are evaluated once an hour, at any minute of it.
_LOOK_BACK = "61m"
_SETTINGS = {"price_ratio": "1"}
# promtool asks for a rule what Prometheus has at that time, so each stage needs the one before.
_STAGES = (
    r"rk:\w+:threshold|app:\w+:total",
    r"rk:objective:budget_ratio|rk:recorded_minute:price|app:rk_(?!recorded_cost)\w+:increase\w+",
    r"app:rk_recorded_cost:increase1d",
)


@dataclass(frozen=True, slots=True)
class Programs:
    """The paths of the programs of Prometheus."""

    prometheus: str
    promtool: str


@dataclass(frozen=True, slots=True)
class Past:
    """A Prometheus at *url* that knows the time from *begin* to *end*, in unix seconds."""

    url: str
    begin: int
    end: int


@contextmanager
def past(
    programs: Programs, folder: Path, *, lasting: timedelta, address: str | None = None
) -> Iterator[Past]:
    """Run a Prometheus with data in *folder* for the last part of the time, 28 days at most."""
    storage = folder / "data"
    end = BEGIN + int(lasting.total_seconds()) // HOUR * HOUR
    _write_samples(programs.promtool, folder, storage, lasting)
    rules = _rules()
    for number, pattern in enumerate(_STAGES):
        stage = {name: expr for name, expr in rules.items() if re.fullmatch(pattern, name)}
        file = folder / f"stage{number}.yml"
        file.write_text(json.dumps(_document(stage)), encoding="utf-8")
        # Prometheus finds new blocks when it starts.
        with _server(programs.prometheus, folder, storage) as url:
            _create(
                programs.promtool,
                *("rules", f"--url={url}", f"--output-dir={storage}"),
                *(f"--start={BEGIN}", f"--end={end}", "--eval-interval=1h", str(file)),
            )
    with _server(programs.prometheus, folder, storage, address=address) as url:
        yield Past(url, max(BEGIN, end - 28 * 24 * HOUR), end)


def _write_samples(promtool: str, folder: Path, storage: Path, lasting: timedelta) -> None:
    samples = [folder / f"{app}.txt" for app in APPS]
    # Simulated time is slow: an app takes a processor for minutes.
    with ProcessPoolExecutor() as pool:
        list(pool.map(write_pages, APPS, repeat(lasting), samples))
    for file in samples:
        _create(promtool, "openmetrics", str(file), str(storage))


def _create(promtool: str, kind: str, *arguments: str) -> None:
    # Without it there is a block for every two hours.
    command = [promtool, "tsdb", "create-blocks-from", "--max-block-duration=2000h", "--quiet"]
    done = subprocess.run([*command, kind, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"promtool failed:\n{done.stderr}")


def _rules() -> Mapping[str, str]:
    """Return the shipped expressions of recorded series, and totals for one exporter per app."""
    texts = adapted(files.shipped(), Choices(settings=_SETTINGS))
    documents = [yaml.safe_load(texts[path]) for path in (files.RULES, files.SERVICE_LEVEL_RULES)]
    found: dict[str, str] = {
        rule["record"]: rule["expr"]
        for document in documents
        for group in document["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    for name, expr in list(found.items()):
        if counted := re.fullmatch(r"instance:(\w+):count", name):
            # A total depends on itself, which promtool cannot evaluate in the past. Nothing is
            # restarted there, so it is the count.
            within_an_hour = expr.replace("[15m]", "[1h]")
            found[f"app:{counted[1]}:total"] = f"max without (instance) ({within_an_hour})"
    return found


def _document(rules: Mapping[str, str]) -> Mapping[str, Any]:
    records: Sequence[Mapping[str, str]] = [
        {"record": name, "expr": expr} for name, expr in rules.items()
    ]
    return {"groups": [{"name": "past", "rules": records}]}


@contextmanager
def _server(
    prometheus: str, folder: Path, storage: Path, *, address: str | None = None
) -> Iterator[str]:
    file = folder / "prometheus.yml"
    file.write_text("{}\n", encoding="utf-8")
    chosen = address or f"127.0.0.1:{free_port()}"
    command = [
        *(prometheus, f"--config.file={file}", f"--web.listen-address={chosen}"),
        *(f"--storage.tsdb.path={storage}", "--storage.tsdb.retention.time=10y"),
        f"--query.lookback-delta={_LOOK_BACK}",
    ]
    with Server(command, address=chosen, log=folder / "prometheus.log") as server:
        yield server.url

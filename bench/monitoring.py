"""The cost of rules and dashboards for a large account, in a real Prometheus."""

import re
import shutil
import statistics
import tempfile
import time

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from bench.grafana import PanelQueries, panel_queries
from bench.history import write_history
from bench.large_account import (
    CHOSEN,
    FAILED,
    MEETINGS,
    RECORDINGS,
    SELECTED,
    STUCK,
    UNRECORDED,
    LargeAccount,
)
from bench.replay import FINE_SECONDS, Replay
from tests.support.monitoring.series import OF_DOWNLOADS, OF_OPTIONS
from tests.support.monitoring.servers import Prometheus, Server, free_port
from tests.support.serving import served
from tools import prometheus3


MOST_SECONDS = 2.0
ROOT = Path(__file__).parents[1]
_DASHBOARDS = ("overview", "recordings", "recording", "service-level", "exporter")
# The account has no API calls, and its recordings have no lengths or prices.
_PARTLY_EMPTY = ("service-level", "exporter")
# The account uses none of the optional parts.
_MISSING = (OF_OPTIONS, OF_DOWNLOADS, re.compile("_delay_seconds"))
_RULES = sorted((ROOT / "dashboards/rules").glob("*.rules.yml"))
_ALERTS = {
    "RealtimeKitRecordingErrored": FAILED,
    "RealtimeKitRecordingStuckInvoked": STUCK,
    "RealtimeKitMeetingNotRecorded": UNRECORDED,
}
_STORAGE = "samples"
# What Prometheus says of a group or rule that has not run yet.
_NEVER = "0001-01-01T00:00:00Z"
# Those of the target. Otherwise the samples of the past would be other series.
_JOB, _INSTANCE = "rk-exporter", "exporter"
_HISTORY_SECONDS = 6 * 3600.0
# Prometheus keeps at least this in memory. Queries of the present do not read older blocks.
_IN_MEMORY_SECONDS = 3600.0
_ROUNDS = 5
_TRIES = 3
_SLOWEST = 8
# A day on a busy machine.
_PATIENCE_SECONDS = 3600.0
# Failing scrapes, while the next page is rendered, cost nothing.
_FILLING = {"scrape_interval": "1s", "scrape_timeout": "1s"}
_SCRAPING = {"scrape_interval": f"{FINE_SECONDS:.0f}s", "scrape_timeout": f"{FINE_SECONDS:.0f}s"}


@dataclass(frozen=True, slots=True)
class _Site:
    """A Prometheus in a folder that scrapes a target."""

    program: str
    folder: Path
    target: str

    def configure(self, scraping: Mapping[str, str], *rules: str) -> None:
        """Write the configuration."""
        target = {"targets": [self.target], "labels": {"instance": _INSTANCE}}
        job = {"job_name": _JOB, "static_configs": [target]}
        configuration = {"rule_files": [*rules], "scrape_configs": [{**job, **scraping}]}
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))

    @contextmanager
    def running(self) -> Iterator[Prometheus]:
        """Run the program, which keeps the samples of the one before."""
        address = f"127.0.0.1:{free_port()}"
        command = [
            *(self.program, f"--config.file={self.folder}/prometheus.yml"),
            *(f"--storage.tsdb.path={self.folder / _STORAGE}", f"--web.listen-address={address}"),
            "--web.enable-lifecycle",
        ]
        log = self.folder / "prometheus.log"
        with (
            Server(command, address=address, log=log) as server,
            httpx.Client(base_url=server.url, timeout=120) as client,
        ):
            yield Prometheus(client)


def print_monitoring() -> None:
    """Fill a Prometheus with samples of the past and measure it, then Prometheus 3."""
    print(
        f"rules and dashboards: {MEETINGS:,} meetings and {RECORDINGS:,} recordings, of which "
        f"{FAILED} failed within a day.\nA round of all rules, and each panel, must take less than "
        f"{MOST_SECONDS:.0f} s (medians). Samples of {_HISTORY_SECONDS / 3600:.0f} hours.\n"
    )
    programs = {
        "Prometheus 2 (`apt install prometheus`)": shutil.which("prometheus"),
        "Prometheus 3 (`make prometheus3`)": shutil.which(prometheus3.programs() / "prometheus"),
    }
    found = {name: program for name, program in programs.items() if program}
    for name in programs.keys() - found.keys():
        print(f"skipped, because it is missing: {name}\n")
    if not found:
        return
    now = time.time()
    account = LargeAccount(now)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        promtool = next(Path(program).with_name("promtool") for program in found.values())
        write_history(
            str(promtool),
            account.exposition,
            labels={"job": _JOB, "instance": _INSTANCE},
            begin=now - _HISTORY_SECONDS,
            end=now - _IN_MEMORY_SECONDS,
            storage=folder / _STORAGE,
        )
        replay = Replay(account.exposition, begin=now - _IN_MEMORY_SECONDS)
        with served(replay) as target:
            for title, program in found.items():
                print(f"{title}\n")
                _measure(_Site(program, folder, target.removeprefix("http://")), replay)


def _measure(site: _Site, replay: Replay) -> None:
    site.configure(_FILLING)
    with site.running() as prometheus:
        _wait(lambda: replay.is_live)
        for file in _RULES:
            (site.folder / file.name).write_text(_frequent(file.read_text()))
        site.configure(_SCRAPING, *(str(site.folder / file.name) for file in _RULES))
        prometheus.reload()
        series = prometheus.number('count({__name__=~"rk_.+"})') or 0
        print(f"{series:,.0f} series\n")
        _print_rules(prometheus)
        _print_panels(prometheus)


def _frequent(rules: str) -> str:
    """Return the rules with more rounds per minute, and alerts that fire immediately."""
    document = yaml.safe_load(rules)
    for group in document["groups"]:
        group["interval"] = f"{FINE_SECONDS:.0f}s"
        for rule in group["rules"]:
            rule.pop("for", None)
    return str(yaml.safe_dump(document, sort_keys=False))


def _print_rules(prometheus: Prometheus) -> None:
    groups: dict[str, dict[str, float]] = defaultdict(dict)
    rules: dict[str, dict[str, float]] = defaultdict(dict)

    def are_complete() -> bool:
        for group in prometheus.rule_groups():
            groups[group["name"]] |= last_round(group)
            for rule in group["rules"]:
                # One alert may have several rules.
                key = f"{rule['name']} {rule.get('labels', {}).get('severity', '')}".rstrip()
                rules[key] |= last_round(rule)
        return min(map(len, groups.values())) >= _ROUNDS

    _wait(are_complete)
    _check_rules(prometheus)
    print("| rules | median | rounds |\n| :--- | ---: | ---: |")
    medians = {name: statistics.median(rounds.values()) for name, rounds in groups.items()}
    for name, seconds in medians.items():
        print(f"| group {name} | {seconds:.2f} s | {len(groups[name])} |")
    print(_row("**all groups**", sum(medians.values())))
    slowest = {name: statistics.median(rounds.values()) for name, rounds in rules.items()}
    for name in sorted(slowest, key=lambda name: -slowest[name])[:_SLOWEST]:
        print(f"| {name} | {slowest[name]:.2f} s | |")
    print()


def last_round(evaluated: Mapping[str, Any]) -> dict[str, float]:
    """Return how long the last round of a group or rule took, by its time; nothing before it."""
    time_of_round = evaluated["lastEvaluation"]
    return {} if time_of_round == _NEVER else {time_of_round: evaluated["evaluationTime"]}


def _check_rules(prometheus: Prometheus) -> None:
    """Fail unless the rules have done their work."""
    rules = prometheus.rules()
    failed = [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"]
    if failed:
        raise AssertionError(failed)
    for name, expected in _ALERTS.items():
        firing = prometheus.number(f'count(ALERTS{{alertname="{name}", alertstate="firing"}})')
        if firing != expected:
            raise AssertionError(f"{firing} alerts {name} fire instead of {expected}")
    states = prometheus.number("count(rk_recording_status == 1)")
    if states != RECORDINGS:
        raise AssertionError(f"{states} recordings have a state instead of {RECORDINGS}")


def _print_panels(prometheus: Prometheus) -> None:
    print(
        "The default time range, but with the points of all of it in the hours with samples. The "
        "account has no API calls, so the panels about them are empty.\n\n"
        "| dashboard | panel | queries | points each | series | median |\n"
        "| :--- | :--- | ---: | ---: | ---: | ---: |"
    )
    for dashboard in _DASHBOARDS:
        file = ROOT / f"dashboards/{dashboard}.json"
        for panel in panel_queries(file, CHOSEN, SELECTED, most_seconds=_HISTORY_SECONDS):
            times = []
            for _ in range(_TRIES):
                begun = time.monotonic()
                series = panel.ask(prometheus)
                times.append(time.monotonic() - begun)
            if not series and dashboard not in _PARTLY_EMPTY and not _may_be_empty(panel):
                raise AssertionError(f"{dashboard}: {panel.title} has no result")
            seconds = statistics.median(times)
            print(
                f"| {dashboard} | {panel.title} | {len(panel.questions)} | {panel.points} "
                f"| {series:,} | {seconds:.2f} s{'' if seconds < MOST_SECONDS else ' TOO SLOW'} |"
            )
    print()


def _may_be_empty(panel: PanelQueries) -> bool:
    queries = "".join(question.promql for question in panel.questions)
    return any(missing.search(queries) for missing in _MISSING)


def _row(name: str, seconds: float) -> str:
    return f"| {name} | {seconds:.2f} s{'' if seconds < MOST_SECONDS else ' TOO SLOW'} | |"


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_PATIENCE_SECONDS:.0f} s")
        time.sleep(1)

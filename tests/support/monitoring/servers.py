"""Real servers for tests: exporters, Prometheus, Alertmanager, and a webhook receiver."""

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import time

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import yaml

from tests.support.serving import served


TIMEOUT_SECONDS = 60
_LOG_LINES = 30


# Linux gives clients ports from 32,768 on. One of them could take a free port before the program
# that is started for it.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a port on which nothing listens, and which no client gets."""
    while True:
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("", port))
            return port


def eventually(
    condition: Callable[[], bool],
    *,
    what: str,
    details: Callable[[], str] = lambda: "",
    after_seconds: float = 0.0,
) -> None:
    """
    Wait until a condition is true, *after_seconds* at best. On a busy machine this takes longer.

    The error message contains *what* was expected, and the *details*.
    """
    seconds = after_seconds + TIMEOUT_SECONDS
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.HTTPError:  # the server is not up yet
            pass
        time.sleep(0.1)  # another process needs time
    pytest.fail(f"not within {seconds:g} s: {what}\n{details()}".rstrip())


class Server:
    """An HTTP server in its own process. It can start again after a stop."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        address: str,
        log: Path,
        ready_path: str = "/-/ready",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.address = address
        self.url = f"http://{address}"
        self._command = command
        self._log = log
        self._ready_path = ready_path
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment
            )

        def is_ready() -> bool:
            if process.poll() is not None:
                pytest.fail(f"{self._command[0]} has ended:\n{self._logged()}")
            return httpx.get(f"{self.url}{self._ready_path}").is_success

        eventually(is_ready, what=f"{self._command[0]} is ready", details=self._logged)

    def stop(self) -> None:
        """Stop the server and wait until it has ended."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(TIMEOUT_SECONDS)
            finally:
                self._process.kill()
                self._process.wait()
                self._process = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _logged(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])


def exporter(folder: Path, *arguments: str, environment: Mapping[str, str]) -> Server:
    """Return an exporter that is not started yet and logs into a folder."""
    address = f"127.0.0.1:{free_port()}"
    program = (sys.executable, "-m", "rk_exporter", "serve", "--web.listen-address", address)
    return Server(
        [*program, *arguments],
        address=address,
        log=folder / "exporter.log",
        # /-/ready fails before the first scrape.
        ready_path="/-/healthy",
        environment=environment,
    )


class QueryRefusedError(Exception):
    """Prometheus rejected a query."""


class Prometheus:
    """A server that answers PromQL."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def query(self, promql: str, *, at: float | None = None) -> list[dict[str, Any]]:
        """Return the result of an instant query *at* a time, or now."""
        given = {} if at is None else {"time": at}
        result: list[dict[str, Any]] = self._ask("query", query=promql, **given)["result"]
        return result

    def query_range(
        self, promql: str, *, seconds: float, step_seconds: float, at: float | None = None
    ) -> list[dict[str, Any]]:
        """Return the result of a query over the last *seconds* before a time, or before now."""
        end = time.time() if at is None else at
        given = {"start": end - seconds, "end": end, "step": step_seconds}
        result: list[dict[str, Any]] = self._ask("query_range", query=promql, **given)["result"]
        return result

    def label_values(self, label: str, *selectors: str) -> list[str]:
        """Return the values of a label in the series that match one of the selectors."""
        given = {"match[]": list(selectors)} if selectors else {}
        values: list[str] = self._ask(f"label/{label}/values", **given)
        return values

    def label_names(self) -> list[str]:
        """Return the names of all labels."""
        names: list[str] = self._ask("labels")
        return names

    def number(self, promql: str) -> float | None:
        """Return the value of a query with at most one result."""
        result = self.query(promql)
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else None

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules with their health and alerts."""
        return [rule for group in self.rule_groups() for rule in group["rules"]]

    def rule_groups(self) -> list[dict[str, Any]]:
        """Return all groups of rules, and how long their last evaluation took."""
        groups: list[dict[str, Any]] = self._ask("rules")["groups"]
        return groups

    def metrics(self) -> str:
        """Return Prometheus's own metrics."""
        return self._client.get("/metrics").raise_for_status().text

    def reload(self) -> None:
        """Reload the configuration and the rules."""
        self._client.post("/-/reload").raise_for_status()

    def remembering(self) -> "Remembering":
        """Return this server with a memory."""
        return Remembering(self._client)

    def _ask(self, path: str, **parameters: Any) -> Any:
        response = self._client.get(f"/api/v1/{path}", params=parameters)
        answer = response.json()
        if answer["status"] != "success":
            raise QueryRefusedError(answer["error"])
        return answer["data"]


class Remembering(Prometheus):
    """A Prometheus that is asked each query once, until its answer is forgotten."""

    def __init__(self, client: httpx.Client) -> None:
        super().__init__(client)
        self._known: dict[tuple[str, str], Any] = {}

    def forget(self, promql: str) -> None:
        """Ask this query again."""
        self._known = {key: answer for key, answer in self._known.items() if key[1] != promql}

    def _ask(self, path: str, **parameters: Any) -> Any:
        key = (path, parameters.get("query") or "".join(parameters.get("match[]", ())))
        if key not in self._known:
            self._known[key] = super()._ask(path, **parameters)
        return self._known[key]


@contextmanager
def started_prometheus(
    program: str,
    folder: Path,
    *,
    targets: Mapping[str, Sequence[str | Mapping[str, Any]]],
    scraping: Mapping[str, Any] | None = None,
    rule_files: Sequence[Path] = (),
    alertmanager: str | None = None,
    discovered: Mapping[str, Path] | None = None,
) -> Iterator[Prometheus]:
    """
    Start a Prometheus that scrapes its targets and evaluates its rules every second.

    *targets* has the addresses of each job, or groups of addresses with labels. *scraping* has
    further settings of the jobs. *discovered* has files with more targets of further jobs, which
    may change.
    """
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(file) for file in rule_files],
        "scrape_configs": [
            {
                "job_name": job,
                "static_configs": [
                    {"targets": [group]} if isinstance(group, str) else dict(group)
                    for group in groups
                ],
                **(scraping or {}),
            }
            for job, groups in targets.items()
        ]
        + [
            {
                "job_name": job,
                "file_sd_configs": [{"files": [str(file)], "refresh_interval": "1s"}],
                **(scraping or {}),
            }
            for job, file in (discovered or {}).items()
        ],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]
            if alertmanager
            else []
        },
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    command = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder}/prometheus",
        f"--web.listen-address={address}",
        "--web.enable-lifecycle",
        # Alerts are lost that it sends before it has found its Alertmanager, even after a reload.
        "--rules.alert.resend-delay=3s",
    ]
    with (
        Server(command, address=address, log=folder / "prometheus.log") as server,
        httpx.Client(base_url=server.url, timeout=TIMEOUT_SECONDS) as client,
    ):
        yield Prometheus(client)


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """An Alertmanager at an address."""

    address: str

    def alerts(self) -> list[dict[str, Any]]:
        """Return all alerts, including suppressed ones."""
        answer = httpx.get(f"http://{self.address}/api/v2/alerts").raise_for_status()
        alerts: list[dict[str, Any]] = answer.json()
        return alerts


@contextmanager
def started_alertmanager(program: str, folder: Path, config_path: Path) -> Iterator[Alertmanager]:
    """Start an Alertmanager with the configuration at *config_path*."""
    address = f"127.0.0.1:{free_port()}"
    command = [
        program,
        f"--config.file={config_path}",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address={address}",
        # There are no peers.
        "--cluster.listen-address=",
    ]
    with Server(command, address=address, log=folder / "alertmanager.log"):
        yield Alertmanager(address)


@dataclass(frozen=True, slots=True)
class Notified:
    """An alert in a notification to a *receiver*. *status* is firing or resolved."""

    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class WebhookReceiver:
    """An ASGI application that collects Alertmanager's notifications, oldest first."""

    def __init__(self) -> None:
        self.notified: list[Notified] = []

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        """Store a notification."""
        body, is_whole = b"", False
        while not is_whole:
            message = await receive()
            body += message.get("body", b"")
            is_whole = not message.get("more_body", False)
        notification = json.loads(body)
        self.notified += [
            Notified(
                receiver=notification["receiver"],
                status=alert["status"],
                labels=alert["labels"],
                annotations=alert["annotations"],
            )
            for alert in notification["alerts"]
        ]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@contextmanager
def started_webhook_receiver() -> Iterator[tuple[WebhookReceiver, str]]:
    """Start a webhook receiver and yield it with its URL."""
    receiver = WebhookReceiver()
    with served(receiver) as url:
        yield receiver, url

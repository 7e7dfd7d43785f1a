"""Webhooks with real processes: simulator, exporter, Prometheus and Alertmanager."""

import subprocess
import sys

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.monitoring import shortened
from tests.support.monitoring.servers import (
    Prometheus,
    Server,
    WebhookReceiver,
    eventually,
    free_port,
    started_alertmanager,
    started_prometheus,
    started_webhook_receiver,
)
from tests.support.processes import TOKEN, invoke
from tests.support.programs import in_one_version


APP = "2a95132c-1573-2412-d22c-16fd0a01e000"
LABELS = {"alertname": "RealtimeKitWebhookSilent", "rk_app": "telehealth"}
CONFIGURATION = """\
account_id: account
apps: [{{name: telehealth, app_id: {app}, meetings: {{discover: true}}, budget: 1200}}]
api: {{base_url: "{api}/client/v4"}}
scrape: {{min_interval: 0s}}
web: {{listen_address: "{web}"}}
webhook: {{listen_address: "{webhook}", public_key_url: "{api}/.well-known/webhooks.json"}}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """All running servers."""

    simulator: Server
    exporter: Server
    webhook_url: str
    prometheus: Prometheus
    notifications: WebhookReceiver

    def set_fault(self, fault: str) -> None:
        """Let all events from now on go wrong."""
        url = f"{self.simulator.url}/simulator/settings/webhook_fault"
        httpx.put(url, params={"value": fault}).raise_for_status()

    def until_notified(self, status: str) -> None:
        """Wait for a notification about the alert."""
        eventually(
            lambda: any(
                notified.status == status and LABELS.items() <= notified.labels.items()
                for notified in self.notifications.notified
            ),
            what=f"a notification that the alert is {status}",
            details=lambda: httpx.get(f"{self.exporter.url}/metrics").text,
        )


def python(*arguments: str, address: str, log: Path, path: str, **environment: str) -> Server:
    return Server(
        [sys.executable, "-m", *arguments],
        address=address,
        log=log,
        ready_path=path,
        environment={"PYTHONPATH": ".", **environment},
    )


@pytest.fixture
def site(prometheus: str, alertmanager: str, root: Path, tmp_path: Path) -> Iterator[Site]:
    """Start everything, with rules whose waiting times are short."""
    api, web, webhook = (f"127.0.0.1:{free_port()}" for _ in range(3))
    webhook_url = f"http://{webhook}/webhooks/realtimekit"
    configuration, rules = tmp_path / "rk.yml", tmp_path / "rules.yml"
    configuration.write_text(
        CONFIGURATION.format(app=APP, api=f"http://{api}", web=web, webhook=webhook)
    )
    shortened.write_rules(root, rules)
    simulate = ("rk_exporter", "simulate", "--web.listen-address", api, "--pace", "demo")
    options = ("--webhook.url", webhook_url, "--webhook.app-id", APP, "--rate-limit", "0")
    simulator = python(*simulate, *options, address=api, log=tmp_path / "simulator.log", path="/")
    exporter = python(
        *("tests.support.hurried_exporter", "serve", "--config.file", str(configuration)),
        address=web,
        log=tmp_path / "exporter.log",
        path="/-/healthy",
        **TOKEN,
    )
    with started_webhook_receiver() as (notifications, notification_url):
        alerting = tmp_path / "alertmanager.yml"
        shortened.write_alertmanager_configuration(root, alerting, webhook_url=notification_url)
        with (
            simulator,
            exporter,
            started_alertmanager(alertmanager, tmp_path, alerting) as alertmanager_server,
            started_prometheus(
                prometheus,
                tmp_path,
                targets={shortened.JOB: [exporter.address]},
                rule_files=[rules],
                alertmanager=alertmanager_server.address,
            ) as prometheus_server,
        ):
            yield Site(simulator, exporter, webhook_url, prometheus_server, notifications)


@in_one_version
def test_silent_webhooks(site: Site) -> None:
    """The team is notified when events stop while recordings go on, and when they come again."""
    number = site.prometheus.number
    eventually(lambda: number("rk_webhook_up") == 1, what="an event has announced a change")
    accepted = 'sum(rk_webhook_events_total{result="accepted"})'
    assert (number(accepted) or 0) > 0
    assert number('sum(rk_webhook_events_total{result!="accepted"})') == 0
    forged = httpx.post(site.webhook_url, content=b"{}", headers={"rtk-signature": "AAAA"})
    assert forged.status_code == 403
    eventually(
        lambda: number('sum(rk_webhook_events_total{result="bad_signature"})') == 1,
        what="the forged event is counted",
    )
    site.set_fault("silent")
    site.until_notified("firing")
    assert (number("rk_webhook_missed_total") or 0) >= 2
    site.set_fault("none")
    site.until_notified("resolved")


def test_check_accepts_webhooks(tmp_path: Path) -> None:
    """`check --offline` accepts a configuration with webhooks, and listens on nothing."""
    configuration = tmp_path / "rk.yml"
    configuration.write_text(
        CONFIGURATION.format(
            app=APP, api="http://127.0.0.1:1", web="127.0.0.1:1", webhook="127.0.0.1:1"
        )
    )
    result = invoke("check", "--offline", "--config.file", str(configuration))
    assert result.exit_code == 0, result.output


def started(configuration: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Return the error of an exporter that must not start."""
    path = folder / "rk.yml"
    path.write_text(configuration)
    result = subprocess.run(
        [sys.executable, "-m", "rk_exporter", "serve", "--config.file", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=dict(environment),
    )
    assert result.returncode in {1, 2}, result.stderr
    return result.stderr


def test_start_errors(tmp_path: Path) -> None:
    """An address in use and a file without a key are each an error of one line."""
    port = free_port()
    one = {"app": APP, "api": "http://127.0.0.1:1", "web": f"127.0.0.1:{port}"}
    same = CONFIGURATION.format(**one, webhook=f"127.0.0.1:{port}")
    message = started(same, tmp_path, TOKEN)
    assert f"cannot listen on 127.0.0.1:{port}" in message
    assert message.count("\n") == 1
    (tmp_path / "key.pem").write_text("nothing\n")
    broken = CONFIGURATION.format(**one, webhook="127.0.0.1:0").replace(
        'public_key_url: "http://127.0.0.1:1/.well-known/webhooks.json"',
        "public_key_file: key.pem",
    )
    message = started(broken, tmp_path, TOKEN)
    checked = invoke("check", "--offline", "--config.file", str(tmp_path / "rk.yml"))
    assert checked.exit_code == 2
    assert "webhook.public_key_file" in checked.output
    assert "webhook.public_key_file" in message
    assert "expected a public key in PEM, or JSON with data.publicKey" in message
    assert message.count("\n") == 1

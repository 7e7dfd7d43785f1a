"""A real Prometheus and a real Alertmanager notify about an account whose apps are not listed."""

from pathlib import Path

import httpx

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import labelled
from tests.support.monitoring import shortened
from tests.support.monitoring.servers import (
    Notified,
    eventually,
    exporter,
    started_alertmanager,
    started_prometheus,
    started_webhook_receiver,
)
from tests.support.programs import in_one_version
from tests.support.serving import served


CONFIGURATION = """\
api: {{base_url: "{api}/client/v4", budget: 100000}}
scrape: {{min_interval: 0s}}
web: {{enable_lifecycle: true}}
accounts: [{{account_id: acme, name: clinics}}]
"""


@in_one_version
def test_an_account_that_cannot_be_listed(
    prometheus: str, alertmanager: str, root: Path, tmp_path: Path
) -> None:
    """The team is notified until the apps are listed again; the apps known before are read on."""
    rules, configuration = tmp_path / "rules.yml", tmp_path / "alertmanager.yml"
    shortened.write_rules(root, rules)
    simulator = Simulator(ScriptedScenario(recordings=[]), rate_limit=0, apps="a=north,b=south")
    with (
        served(simulator) as api,
        started_webhook_receiver() as (webhook, webhook_url),
    ):
        shortened.write_alertmanager_configuration(root, configuration, webhook_url=webhook_url)
        (tmp_path / "rk.yml").write_text(CONFIGURATION.format(api=api))
        exporting = exporter(
            tmp_path,
            *("--config.file", str(tmp_path / "rk.yml")),
            environment={"CLOUDFLARE_API_TOKEN": "simulated"},
        )

        def answer_lists_with(status: int) -> None:
            simulator.settings = simulator.settings.changed("apps_status", str(status))
            # A reload lists the apps at the next scrape, instead of ten minutes later.
            assert 200 == httpx.post(f"{exporting.url}/-/reload", timeout=60).status_code

        def apps() -> set[str]:
            text = httpx.get(f"{exporting.url}/metrics", timeout=60).text
            return {labels["rk_app"] for labels, _ in labelled(text, "rk_up")}

        def notified(status: str) -> list[Notified]:
            return [
                found
                for found in webhook.notified
                if found.labels["alertname"] == "RealtimeKitAccountUnreadable"
                and found.status == status
            ]

        with (
            exporting,
            started_alertmanager(alertmanager, tmp_path, configuration) as manager,
            started_prometheus(
                prometheus,
                tmp_path,
                targets={shortened.JOB: [exporting.address]},
                rule_files=[rules],
                alertmanager=manager.address,
            ),
        ):
            eventually(lambda: apps() == {"north", "south"}, what="both apps are found")
            answer_lists_with(403)
            eventually(lambda: bool(notified("firing")), what="the alert fires")
            first = notified("firing")[0]
            assert "team" == first.receiver
            assert "clinics" in first.annotations["summary"]
            assert {"north", "south"} == apps()
            answer_lists_with(200)
            eventually(lambda: bool(notified("resolved")), what="the alert resolves")

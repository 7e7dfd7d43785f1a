"""A real Prometheus and a real Alertmanager notify about an account whose apps are not listed."""

from pathlib import Path

import httpx

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import labelled
from tests.support.monitoring.alerting import AlertingPrograms
from tests.support.monitoring.servers import eventually, exporter
from tests.support.programs import in_one_version
from tests.support.serving import served


CONFIGURATION = """\
api: {{base_url: "{api}/client/v4", budget: 100000}}
scrape: {{min_interval: 0s}}
web: {{enable_lifecycle: true}}
accounts: [{{account_id: acme, name: clinics}}]
"""


@in_one_version
def test_an_account_that_cannot_be_listed(alerting: AlertingPrograms, tmp_path: Path) -> None:
    """The team is notified until the apps are listed again; the apps known before are read on."""
    simulator = Simulator(ScriptedScenario(recordings=[]), rate_limit=0, apps="a=north,b=south")
    with served(simulator) as api:
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

        unreadable = {"alertname": "RealtimeKitAccountUnreadable"}
        with exporting, alerting.watching(tmp_path, exporting) as watched:
            eventually(lambda: apps() == {"north", "south"}, what="both apps are found")
            answer_lists_with(403)
            first = watched.notification("firing", unreadable)
            assert "team" == first.receiver
            assert "clinics" in first.annotations["summary"]
            assert {"north", "south"} == apps()
            answer_lists_with(200)
            watched.notification("resolved", unreadable)

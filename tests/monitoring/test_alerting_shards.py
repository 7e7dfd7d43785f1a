"""A real Prometheus and a real Alertmanager notify about a shard that nobody scrapes."""

import json

from contextlib import ExitStack
from pathlib import Path

import httpx

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import labelled
from tests.support.monitoring.alerting import AlertingPrograms
from tests.support.monitoring.servers import Prometheus, Server, eventually, exporter
from tests.support.programs import in_one_version
from tests.support.serving import served


CONFIGURATION = """\
api: {{base_url: "{api}/client/v4", budget: 100000}}
scrape: {{min_interval: 0s}}
accounts: [{{account_id: acme}}]
"""
APPS = [f"app-{number}" for number in range(6)]


def list_targets(file: Path, *exporters: Server) -> None:
    """Tell Prometheus which exporters there are, as service discovery does."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps([{"targets": [found.address for found in exporters]}]))
    new.rename(file)


@in_one_version
def test_a_shard_that_is_gone(alerting: AlertingPrograms, tmp_path: Path) -> None:
    """Somebody is called when the target of a shard goes, until it is back."""
    targets = tmp_path / "targets.json"
    names = ",".join(f"{app}={app}" for app in APPS)
    simulator = Simulator(ScriptedScenario(recordings=[]), rate_limit=0, apps=names)
    with served(simulator) as api, ExitStack() as running:
        (tmp_path / "rk.yml").write_text(CONFIGURATION.format(api=api))
        file = ("--config.file", str(tmp_path / "rk.yml"))
        token = {"CLOUDFLARE_API_TOKEN": "simulated"}
        first, second = (
            running.enter_context(
                exporter(tmp_path, *file, "--shard", f"{index}/2", environment=token)
            )
            for index in range(2)
        )
        list_targets(targets, first, second)

        def read(server: Prometheus) -> list[str]:
            return sorted(found["metric"]["rk_app"] for found in server.query("rk_up"))

        watched = running.enter_context(alerting.watching(tmp_path, discovered=targets))
        server, missing = watched.prometheus, {"alertname": "RealtimeKitShardMissing"}
        eventually(lambda: read(server) == APPS, what="each app has an exporter")
        list_targets(targets, first)
        found = watched.notification("firing", missing)
        assert "pager" == found.receiver
        assert "critical" == found.labels["severity"]
        assert "1 shard of the exporter does not run." == found.annotations["summary"]
        text = httpx.get(f"{first.url}/metrics", timeout=60).text
        assert read(server) == sorted(labels["rk_app"] for labels, _ in labelled(text, "rk_up"))
        assert len(read(server)) < len(APPS)
        list_targets(targets, first, second)
        watched.notification("resolved", missing)
        assert read(server) == APPS

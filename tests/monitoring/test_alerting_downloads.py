"""A real Prometheus and a real Alertmanager notify about a download that is broken."""

from pathlib import Path

from rk_exporter.simulator import FileFault
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
from tests.support.storages import IDS, allowing, finished, storage


@in_one_version
def test_a_file_that_is_cut_off(
    prometheus: str, alertmanager: str, root: Path, tmp_path: Path
) -> None:
    """The team is notified about a file that is cut off, with both sizes, until it is whole."""
    rules, configuration = tmp_path / "rules.yml", tmp_path / "alertmanager.yml"
    shortened.write_rules(root, rules)
    with (
        storage(tmp_path, finished(), file_fault=FileFault.WRONG_SIZE) as served,
        started_webhook_receiver() as (webhook, webhook_url),
    ):
        shortened.write_alertmanager_configuration(root, configuration, webhook_url=webhook_url)
        exporting = exporter(
            tmp_path,
            *IDS,
            *("--api.base-url", served.api, "--api.budget", "100000"),
            *("--scrape.min-interval", "0s", *allowing(served)),
            environment={
                "CLOUDFLARE_API_TOKEN": "simulated",
                "SSL_CERT_FILE": str(served.authority),
            },
        )

        def notified(status: str) -> list[Notified]:
            return [
                found
                for found in webhook.notified
                if found.labels["alertname"] == "RealtimeKitDownloadBroken"
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
            eventually(lambda: bool(notified("firing")), what="the alert fires")
            first = notified("firing")[0]
            assert "team" == first.receiver
            assert ("r-1", "composite") == (first.labels["recording_id"], first.labels["kind"])
            sizes = "has another size than the API reports, 9.638MiB instead of 19.28MiB"
            assert sizes in first.annotations["description"]
            simulator = served.simulator
            simulator.settings = simulator.settings.changed("file_fault", "none")
            # A new process does not wait until the failed check is repeated.
            exporting.stop()
            exporting.start()
            eventually(lambda: bool(notified("resolved")), what="the alert resolves")

"""A real Prometheus and a real Alertmanager notify about a download that is broken."""

from pathlib import Path

from rk_exporter.simulator import FileFault
from tests.support.monitoring.alerting import AlertingPrograms
from tests.support.monitoring.servers import exporter
from tests.support.programs import in_one_version
from tests.support.storages import IDS, allowing, finished, storage


@in_one_version
def test_a_file_that_is_cut_off(alerting: AlertingPrograms, tmp_path: Path) -> None:
    """The team is notified about a file that is cut off, with both sizes, until it is whole."""
    with storage(tmp_path, finished(), file_fault=FileFault.WRONG_SIZE) as served:
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

        broken = {"alertname": "RealtimeKitDownloadBroken"}
        with exporting, alerting.watching(tmp_path, exporting) as watched:
            first = watched.notification("firing", broken)
            assert "team" == first.receiver
            assert ("r-1", "composite") == (first.labels["recording_id"], first.labels["kind"])
            sizes = "has another size than the API reports, 9.638MiB instead of 19.28MiB"
            assert sizes in first.annotations["description"]
            simulator = served.simulator
            simulator.settings = simulator.settings.changed("file_fault", "none")
            # A new process does not wait until the failed check is repeated.
            exporting.stop()
            exporting.start()
            watched.notification("resolved", broken)

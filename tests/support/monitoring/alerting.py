"""A real Prometheus and a real Alertmanager with the shipped rules, and what they notify about."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.monitoring import shortened
from tests.support.monitoring.servers import (
    Alertmanager,
    Notified,
    Prometheus,
    Server,
    WebhookReceiver,
    eventually,
    started_alertmanager,
    started_prometheus,
    started_webhook_receiver,
)


@dataclass(frozen=True, slots=True)
class Alerting:
    """The running servers, and a webhook that receives the notifications."""

    prometheus: Prometheus
    alertmanager: Alertmanager
    webhook: WebhookReceiver
    rules: Path

    @property
    def notified(self) -> list[Notified]:
        """Return the notifications so far."""
        return self.webhook.notified

    def notification(self, status: str, labels: Mapping[str, str], *, after: int = 0) -> Notified:
        """
        Wait for a notification about an alert with these labels and status, and return it.

        It ignores the first *after* notifications.
        """

        def found() -> list[Notified]:
            return [
                notified
                for notified in self.notified[after:]
                if notified.status == status and labels.items() <= notified.labels.items()
            ]

        eventually(
            lambda: bool(found()),
            what=f"a notification that {labels} is {status}",
            details=lambda: "\n".join(map(str, self.notified)),
        )
        return found()[-1]


@dataclass(frozen=True, slots=True)
class AlertingPrograms:
    """The paths of the programs, and the folder of the project, which has the rules."""

    prometheus: str
    alertmanager: str
    root: Path

    @contextmanager
    def watching(
        self,
        folder: Path,
        *targets: Server,
        discovered: Path | None = None,
        thresholds: Mapping[str, str] | None = None,
        service_levels: bool = False,
    ) -> Iterator[Alerting]:
        """
        Start both servers, and evaluate the rules about *targets*, and those in a file.

        Alerts fire within seconds, with other *thresholds* if there are any.
        """
        rules, configuration = folder / "rules.yml", folder / "alertmanager.yml"
        shortened.write_rules(self.root, rules, thresholds, service_levels=service_levels)
        with started_webhook_receiver() as (webhook, webhook_url):
            shortened.write_alertmanager_configuration(
                self.root, configuration, webhook_url=webhook_url
            )
            with (
                started_alertmanager(self.alertmanager, folder, configuration) as alertmanager,
                started_prometheus(
                    self.prometheus,
                    folder,
                    targets={shortened.JOB: [target.address for target in targets]}
                    if targets
                    else {},
                    discovered={shortened.JOB: discovered} if discovered else None,
                    rule_files=[rules],
                    alertmanager=alertmanager.address,
                ) as prometheus,
            ):
                yield Alerting(prometheus, alertmanager, webhook, rules)

"""Metrics of the accounts whose apps are found through the API."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.api_calls import code_values
from rk_exporter.metrics.builders import Gauge, LabelSet, gauges, info
from rk_exporter.model.failure import Reason
from rk_exporter.snapshot import AccountSnapshot


ACCOUNT_GAUGES: tuple[Gauge[AccountSnapshot], ...] = (
    Gauge(
        "rk_account_up",
        "Whether the last list of the account's apps succeeded. Only with accounts.",
        lambda account: account.up,
    ),
    Gauge(
        "rk_account_apps",
        "Apps of the account that are read, by all shards together. Only with accounts.",
        lambda account: account.apps,
    ),
    Gauge(
        "rk_account_list_complete",
        "Whether the last list had all apps of the account: 0 if there are more than 100 pages, "
        "whose other apps are not read. Only with accounts.",
        lambda account: None if account.is_cut is None else not account.is_cut,
    ),
    Gauge(
        "rk_account_last_success_timestamp_seconds",
        "When the account's apps were last listed. Only with accounts.",
        lambda account: account.last_success_timestamp_seconds,
    ),
)


def account_families(accounts: Sequence[AccountSnapshot]) -> Iterator[Metric]:
    """Return the metric families of the *accounts*; nothing if there are none."""
    if not accounts:
        return
    labelled = [(LabelSet(rk_account=shown.account.name), shown) for shown in accounts]
    yield from gauges(ACCOUNT_GAUGES, labelled)
    yield info(
        "rk_account",
        "The account's id. Only with accounts.",
        (labels.plus(rk_account_id=shown.account.account_id) for labels, shown in labelled),
    )


class AccountMetrics:
    """The counters of calls about accounts, and of bugs in their lists."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "rk_account_api_requests",
            "API calls that list apps, by HTTP status; `none` if no complete response arrived. "
            "Only with accounts.",
            ["rk_account", "code"],
            registry=self.registry,
        )
        self.failures = Counter(
            "rk_account_api_request_failures",
            "Failed API calls that list apps, by reason. Only with accounts.",
            ["rk_account", "reason"],
            registry=self.registry,
        )
        self.malformed = Counter(
            "rk_account_api_malformed_fields",
            "Malformed fields that were ignored in lists of apps. Only with accounts.",
            ["rk_account"],
            registry=self.registry,
        )
        self.internal_errors = Counter(
            "rk_account_internal_errors",
            "Unexpected exceptions in lists of apps; each is a bug in the exporter, and the known "
            "apps stay. Only with accounts.",
            ["rk_account"],
            registry=self.registry,
        )
        self.codes = code_values()

    def set_accounts(self, names: Iterable[str]) -> None:
        """Let the counters of the accounts with these *names* begin at 0; remove all others."""
        # The series of all processes are in the same order, which a set does not keep.
        wanted = dict.fromkeys(names)
        known = {
            sample.labels["rk_account"]
            for family in self.malformed.collect()
            for sample in family.samples
        }
        for name in known - wanted.keys():
            for counter in (self.requests, self.failures, self.malformed, self.internal_errors):
                counter.remove_by_labels({"rk_account": name})
        for name in wanted:
            self.requests.labels(name, "200")
            self.malformed.labels(name)
            self.internal_errors.labels(name)
            for reason in Reason:
                self.failures.labels(name, reason.value)


@dataclass(frozen=True, slots=True)
class AccountCallMetrics:
    """An api.CallObserver that counts for one account; there is only one endpoint."""

    account: str
    metrics: AccountMetrics

    def called(self, endpoint: str, code: str, duration_seconds: float) -> None:
        """Count a call."""
        del endpoint, duration_seconds
        self.metrics.requests.labels(self.account, self.metrics.codes.of(code)).inc()

    def failed(self, endpoint: str, reason: Reason) -> None:
        """Count a failed call."""
        del endpoint
        self.metrics.failures.labels(self.account, reason.value).inc()

    def malformed(self, fields: Iterable[str]) -> None:
        """Count ignored fields."""
        self.metrics.malformed.labels(self.account).inc(len([*fields]))

"""Metrics of apps, their API budget and the state file."""

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.builders import Gauge, LabelSet, LabelValues, gauges, info
from rk_exporter.metrics.meetings import DISCOVERY_GAUGES, FILE_GAUGES
from rk_exporter.ratelimit.status import BudgetStatus, RateLimitPolicy
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.state_file import StateFileStatus


APP_GAUGES: tuple[Gauge[AppSnapshot], ...] = (
    Gauge(
        "rk_up",
        "Whether at least one API call of the last pass succeeded.",
        lambda app: app.up,
    ),
    Gauge(
        "rk_meetings",
        "Meetings in the list.",
        lambda app: len(app.readings),
    ),
    Gauge(
        "rk_meetings_deferred",
        "Meetings not read in the last pass because the budget or the time ran out, or calls were "
        "blocked (rk_api_blocked_until_timestamp_seconds).",
        lambda app: app.deferred,
    ),
    Gauge(
        "rk_scrape_duration_seconds",
        "Duration of the last pass over the app's meetings.",
        lambda app: app.duration_seconds,
    ),
)
BUDGET_GAUGES: tuple[Gauge[BudgetStatus], ...] = (
    Gauge(
        "rk_api_budget_limit",
        "API calls that the exporter may make in any 5 minutes, for all apps of the app's "
        "budget_group.",
        lambda budget: budget.limit,
    ),
    Gauge(
        "rk_api_budget_remaining",
        "API calls left of rk_api_budget_limit.",
        lambda budget: budget.remaining,
    ),
    Gauge(
        "rk_api_blocked_until_timestamp_seconds",
        "Time until which API calls are suspended after a refusal (429, 503 with Retry-After, "
        "rejected token, firewall); absent otherwise.",
        lambda budget: budget.blocked_until_timestamp_seconds,
    ),
)
POLICY_GAUGES: tuple[Gauge[RateLimitPolicy], ...] = (
    Gauge(
        "rk_api_ratelimit_limit",
        "Calls that each of the API's rate limit policies allows (header Ratelimit-Policy, q).",
        lambda policy: policy.limit,
    ),
    Gauge(
        "rk_api_ratelimit_remaining",
        "Calls that the API reports as left by each of its policies (header Ratelimit, r); absent "
        "if the last report is too old.",
        lambda policy: policy.remaining,
    ),
)
STATE_FILE_GAUGES: tuple[Gauge[StateFileStatus], ...] = (
    Gauge(
        "rk_state_file_last_write_successful",
        "Whether the last write of the state file succeeded. Only with state.file.",
        lambda file: file.is_written,
    ),
    Gauge(
        "rk_state_file_last_write_success_timestamp_seconds",
        "When the state file was last written. Only with state.file.",
        lambda file: file.last_success_timestamp_seconds,
    ),
)


def app_families(snapshot: Snapshot, policy_names: LabelValues) -> Iterator[Metric]:
    """Return the metric families of the apps in *snapshot* and of the state file."""
    apps = [(LabelSet(rk_app=app.app.name), app) for app in snapshot.apps]
    yield from gauges(APP_GAUGES, apps)
    discoveries = [(labels, app.discovery) for labels, app in apps if app.discovery]
    yield from gauges(DISCOVERY_GAUGES, discoveries)
    budgets = [(labels, app.budget_status) for labels, app in apps if app.budget_status]
    yield from gauges(BUDGET_GAUGES, budgets)
    yield from gauges(POLICY_GAUGES, list(_policies(budgets, policy_names)))
    files = [(labels.plus(file=file.path), file) for labels, app in apps for file in app.files]
    yield from gauges(FILE_GAUGES, files)
    state_files = [(LabelSet(), file) for file in [snapshot.state_file] if file]
    yield from gauges(STATE_FILE_GAUGES, state_files)
    yield _app_info(snapshot)


def _policies(
    budgets: Iterable[tuple[LabelSet, BudgetStatus]], names: LabelValues
) -> Iterator[tuple[LabelSet, RateLimitPolicy]]:
    """Return the policies with their labels; of several with the same labels, the tightest."""
    for labels, budget in budgets:
        policies: dict[str, RateLimitPolicy] = {}
        for policy in budget.policies:
            policies.setdefault(names.of(policy.policy), policy)
        for name, policy in policies.items():
            yield labels.plus(policy=name), policy


def _app_info(snapshot: Snapshot) -> Metric:
    return info(
        "rk_app",
        "The app's account and id, and how its recordings are read.",
        (
            LabelSet(
                rk_app=app.app.name,
                rk_account_id=app.app.account_id,
                rk_app_id=app.app.app_id,
                read=app.read_mode.value,
            )
            for app in snapshot.apps
        ),
    )

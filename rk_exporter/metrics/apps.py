"""Metrics that are gauges of one value each: their names, their HELP and where it comes from."""

from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.builders import Gauge, info
from rk_exporter.ratelimit.status import BudgetStatus, RateLimitPolicy
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.state_file import StateFileStatus


def _app_info(snapshot: Snapshot) -> Metric:
    return info(
        "rk_app",
        "The app's account and id, and how its recordings are read.",
        (
            {
                "app": app.app.name,
                "account_id": app.app.account_id,
                "app_id": app.app.app_id,
                "read": app.read_mode.value,
            }
            for app in snapshot.apps
        ),
    )


APP_GAUGES: tuple[Gauge[AppSnapshot], ...] = (
    Gauge(
        "rk_up",
        "Whether the last pass could reach the API and was let in: at least one call succeeded.",
        lambda app: app.up,
    ),
    Gauge(
        "rk_meetings",
        "Meetings in the list.",
        lambda app: len(app.readings),
    ),
    Gauge(
        "rk_meetings_deferred",
        "Meetings that the last pass did not read, for want of budget or time, or since calls were "
        "held back (rk_api_blocked_until_timestamp_seconds).",
        lambda app: app.deferred,
    ),
    Gauge(
        "rk_scrape_duration_seconds",
        "How long the last pass over the app's meetings took.",
        lambda app: app.duration_seconds,
    ),
)
BUDGET_GAUGES: tuple[Gauge[BudgetStatus], ...] = (
    Gauge(
        "rk_api_budget_limit",
        "Calls that the exporter may make in any 5 minutes with the app's token, whichever app "
        "they are for.",
        lambda budget_status: budget_status.limit,
    ),
    Gauge(
        "rk_api_budget_remaining",
        "Calls that are left of rk_api_budget_limit.",
        lambda budget_status: budget_status.remaining,
    ),
    Gauge(
        "rk_api_blocked_until_timestamp_seconds",
        "Until when no calls are made, since the API's rate limit was exceeded or the token was "
        "refused; absent while calls are made.",
        lambda budget_status: budget_status.blocked_until_timestamp_seconds,
    ),
)
POLICY_GAUGES: tuple[Gauge[RateLimitPolicy], ...] = (
    Gauge(
        "rk_api_ratelimit_limit",
        "Calls that the API allows by each of its policies (header Ratelimit-Policy, q).",
        lambda policy: policy.limit,
    ),
    Gauge(
        "rk_api_ratelimit_remaining",
        "Calls that the API said to be left by each of its policies (header Ratelimit, r).",
        lambda policy: policy.remaining,
    ),
)
STATE_FILE_GAUGES: tuple[Gauge[StateFileStatus], ...] = (
    Gauge(
        "rk_state_file_last_write_successful",
        "Whether the state file could be written the last time. With state.file only.",
        lambda file: file.is_written,
    ),
    Gauge(
        "rk_state_file_last_write_success_timestamp_seconds",
        "When the state file was last written. With state.file only.",
        lambda file: file.last_success_timestamp_seconds,
    ),
)

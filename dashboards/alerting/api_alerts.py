"""Alerts about the API, its answers and the calls that are left."""

from dashboards.alerting.rule import Alert, Link, Severity


ALERTS = (
    Alert(
        name="RealtimeKitAPIAuthFailing",
        expr="""\
sum by (<app>) (increase(rk_api_request_failures_total{reason="auth"}[15m])) > 0
and on (<app>)
min by (<app>) (last_over_time(rk_up[5m])) == 0
""",
        pending="5m",
        severity=Severity.CRITICAL,
        summary="Cloudflare rejects the API token.",
        description=(
            "The exporter cannot read anything of app {{ $labels.rk_app }}. The token was "
            "revoked, has expired, or lacks the Realtime permission for the account. Create a "
            "new token, give it to the exporter, and run `rk-exporter check`."
        ),
        link=Link.EXPORTER,
        note="The exporter retries a rejected token every 5 minutes or sooner.",
    ),
    Alert(
        name="RealtimeKitAPIRateLimited",
        expr="""\
sum by (<app>) (
  increase(rk_api_request_failures_total{reason="rate_limited"}[10m])
)
> 0
""",
        pending="1m",
        severity=Severity.WARNING,
        summary="Cloudflare blocks API calls because there were too many.",
        description=(
            "Cloudflare blocks every API call of the user who owns the token of app {{ "
            "$labels.rk_app }}, for 5 minutes each time. This also stops your product and "
            "Cloudflare's dashboard. Find the other programs that use this user's tokens, or "
            "lower `--api.budget`."
        ),
        link=Link.EXPORTER,
    ),
    Alert(
        name="RealtimeKitBudgetExhausted",
        expr="""\
(
  max by (<app>) (min_over_time(rk_meetings_deferred[10m])) > 0
  and on (<app>)
  min by (<app>) (last_over_time(rk_api_budget_remaining[5m]))
  <= on (<app>)
  <api_budget_remaining_ratio>
  * min by (<app>) (last_over_time(rk_api_budget_limit[5m]))
)
unless on (<app>)
last_over_time(rk_api_blocked_until_timestamp_seconds[5m])
""",
        pending="15m",
        severity=Severity.WARNING,
        summary="The API budget is too small for all meetings.",
        description=(
            "Every scrape leaves at least {{ $value }} meetings of app {{ $labels.rk_app }} "
            "unread, so changes show late. Scrape less often, set `--api.read` to auto, or "
            "raise `--api.budget` if no other program needs the calls."
        ),
        link=Link.EXPORTER,
        note="Only if calls ran out. Neither a lack of time nor suspended calls count.",
    ),
)

"""Alerts about the API, its answers and the calls that are left."""

from dashboards.alerting.rule import Alert, Link, Severity


ALERTS = (
    Alert(
        name="RealtimeKitAPIAuthFailing",
        expr="""\
sum by (<app>) (
  increase(rk_api_request_failures_total{reason="auth"}[<known>])
  and ignoring (api_endpoint, reason)
  (last_over_time(rk_up[<known>]) == 0)
  unless ignoring (rk_app, api_endpoint, reason)
  instance:up:failing
)
> 0
and on (<app>)
app:rk_meetings:configured
""",
        pending="5m",
        severity=Severity.WARNING,
        summary="Cloudflare rejects the API token of app <app>.",
        description=(
            "An exporter cannot read anything of this app: its token was revoked, has expired, or "
            "lacks the Realtime permission for the account. Create a new token, give it to the "
            "exporter, and run `rk-exporter check`."
        ),
        link=Link.EXPORTER,
        note=(
            "The exporter retries a rejected token every 5 minutes or sooner. "
            "RealtimeKitNothingRead fires too if no other exporter can read the app."
        ),
    ),
    Alert(
        name="RealtimeKitAPIRateLimited",
        expr="""\
(
    sum by (<app>) (increase(rk_api_request_failures_total{reason="rate_limited"}[20m])) > 0
  or on (<app>)
    # An app makes no call while another one of its user is refused, or for an hour at most.
    max by (<app>) (
      last_over_time(rk_api_blocked_until_timestamp_seconds[<known>]) - time() + <known seconds>
      > 0
      and on (<exporter>)
      sum by (<exporter>) (increase(rk_api_request_failures_total{reason="rate_limited"}[80m]))
      > 0
      unless on (<exporter app>)
      sum by (<exporter app>) (
        increase(
          rk_api_request_failures_total{reason=~"auth|intercepted|server_error"}[80m]
        )
      )
      > 0
    )
)
and on (<app>)
app:rk_meetings:configured
""",
        pending="1m",
        severity=Severity.WARNING,
        summary="Cloudflare blocks the API calls of app <app> because there were too many.",
        description=(
            "Your product and Cloudflare's dashboard may be blocked too, because Cloudflare "
            "rejects every API call of the user who owns the token, for 5 minutes each time. Find "
            "the other programs that use this user's tokens, or lower `--api.budget`."
        ),
        link=Link.EXPORTER,
        note=(
            "While calls are blocked, one app of the user tries one every 5 minutes or more. The "
            "other apps are blocked too, unless they have a reason of their own."
        ),
    ),
    Alert(
        name="RealtimeKitBudgetExhausted",
        expr="""\
max by (<app>) (
  max by (<exporter app>) (min_over_time(rk_meetings_deferred[<known>])) > 0
  and on (<exporter app>)
  min by (<exporter app>) (last_over_time(rk_api_budget_remaining[<known>]))
  <= on (<exporter app>)
  <api_budget_remaining_ratio>
  * min by (<exporter app>) (last_over_time(rk_api_budget_limit[<known>]))
)
unless on (<app>)
last_over_time(rk_api_blocked_until_timestamp_seconds[<known>])
and on (<app>)
app:rk_meetings:configured
""",
        pending="10m",
        severity=Severity.WARNING,
        summary="The API budget of app <app> is too small for all meetings.",
        description=(
            "Changes show late, because every scrape leaves at least <1 meeting|meetings> unread. "
            "Scrape less often, set `--api.read` to auto, or raise `--api.budget` if no other "
            "program needs the calls."
        ),
        link=Link.EXPORTER,
        note="Only if calls ran out. Neither a lack of time nor suspended calls count.",
    ),
)

"""The panels of the exporter dashboard about API calls and their budget."""

from dashboards import legends
from dashboards.panels import (
    About,
    Panel,
    Size,
    dashed,
    events,
    fixed,
    history,
    quantiles,
    query,
)
from dashboards.scope import BY_APP
from dashboards.selectors import by_exporter, nonzero, of_app, once
from dashboards.totals import counted
from rk_exporter.model.palette import BAD, GOOD, SOON, UNKNOWN


_HALF = Size(12, 8)
_THIRD = Size(8, 8)
# `none` is a status.
_IDLE = "no calls"
_COLOURS = {
    "200": GOOD,
    "404": "blue",
    "none": SOON,
    "429": BAD,
    "401": BAD,
    "403": BAD,
    _IDLE: UNKNOWN,
}


def budget() -> Panel:
    """Show the calls made and left within the budget."""
    limit, remaining = of_app("rk_api_budget_limit"), of_app("rk_api_budget_remaining")
    panel = history(
        About(
            "Budget used",
            "Calls made and allowed in 5 minutes. The apps of a budget_group share a budget, "
            "which is shown for each of them.",
        ),
        [
            query(by_exporter(f"{limit} - {remaining}"), "{{rk_app}} {{exporter}} used"),
            query(by_exporter(limit), "{{rk_app}} {{exporter}} limit"),
        ],
        size=_HALF,
    )
    panel.legend(legends.compact("lastNotNull", "max"))
    return panel.override_by_regexp("/ limit$/", [*dashed(), fixed("text")])


def rate_limit() -> Panel:
    """Show the rate limit that Cloudflare reports."""
    by_policy = f"{BY_APP}, policy"
    remaining = f"min by ({by_policy}) ({of_app('rk_api_ratelimit_remaining')})"
    panel = history(
        About(
            "Rate limit",
            "Calls left and calls allowed according to Cloudflare, for each of its policies. Empty "
            "if Cloudflare has not reported any.",
        ),
        [
            query(remaining, "{{rk_app}} {{policy}} left"),
            query(once(by_policy, of_app("rk_api_ratelimit_limit")), "{{rk_app}} {{policy}} limit"),
        ],
        size=_HALF,
        absent="Cloudflare has not reported any limit.",
    )
    return panel.override_by_regexp("/ limit$/", [*dashed(), fixed("text")])


def endpoints() -> Panel:
    """Show the calls by endpoint."""
    calls = f"rate({of_app('rk_api_requests_total')}[$__rate_interval])"
    return history(
        About("Calls by endpoint", "API calls per minute by endpoint.", unit="cpm"),
        [query(nonzero(f"60 * {calls}", "api_endpoint", _IDLE), "{{api_endpoint}}")],
        size=_THIRD,
        colours={_IDLE: UNKNOWN},
        stacked=True,
    )


def codes() -> Panel:
    """Show the calls by HTTP status."""
    calls = f"rate({of_app('rk_api_requests_total')}[$__rate_interval])"
    return history(
        About(
            "Calls by status",
            "API calls per minute by HTTP status. 404 is normal and means that a meeting has no "
            "recording. `none` means that there was no complete response.",
            unit="cpm",
        ),
        [query(nonzero(f"60 * {calls}", "code", _IDLE), "{{code}}")],
        size=_THIRD,
        colours=_COLOURS,
        stacked=True,
    )


def failures() -> Panel:
    """Show the failed calls by reason."""
    failures = counted(of_app("rk_api_request_failures_total"))
    panel = events(
        About(
            "Failed calls",
            "API calls that returned no usable data.",
        ),
        [query(nonzero(failures, "reason"), "{{reason}}")],
        size=_THIRD,
        shades_of=BAD,
        colours={"none": GOOD},
    )
    # The axis of no failures is short.
    return panel.axis_soft_max(1)


def latency() -> Panel:
    """Show how long calls took."""
    return quantiles(
        About(
            "Call duration",
            "Duration of API calls.",
            unit="s",
        ),
        lambda series: f"rate({of_app(series)}[$__rate_interval])",
        "rk_api_request_duration_seconds",
        size=_THIRD,
        absent="The exporter made no API call.",
    )

"""RealtimeKit / Exporter: what the exporter does, what it may do, and what it could not."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.frame import EXPORTER, RECORDING, Framing, Row, framed, link_to
from dashboards.panels import (
    About,
    Panel,
    Size,
    dashed,
    events,
    instant,
    number,
    quantiles,
    query,
    text_of,
    tracker,
)
from dashboards.selectors import (
    BY_MEETING,
    happening,
    named,
    of_app,
    of_exporter,
    of_meeting,
    once,
    or_zero,
)
from dashboards.states import values
from dashboards.tables import Label, Value, table_of


_FIGURE = Size(3, 4)
_HALF = Size(12, 8)
_THIRD = Size(8, 8)
_MINUTE_SECONDS = 60
_STALE_SECONDS = 5 * _MINUTE_SECONDS

_READ_AT = once(BY_MEETING, of_meeting("rk_meeting_last_success_timestamp_seconds"))
_UP = once(BY_MEETING, of_meeting("rk_meeting_up"))


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return framed(
        Framing(
            "Exporter",
            EXPORTER,
            "What the exporter does, how much of its budget that takes, and what it could not "
            "read.",
            since="now-3h",
        ),
        [
            Row("Now", _figures()),
            Row("Budget", [_budget(), _rate_limit()]),
            Row("Calls", [_endpoints(), _codes(), _failures()]),
            Row("Passes", [_latency(), _pass_duration(), _deferred()]),
            Row("What is stale", [_unread(), _ages(), _sources()]),
            Row("Process", [_memory(), _cpu(), _malformed()], collapsed=True),
        ],
    )


def _figures() -> list[Panel]:
    remaining = f"min({of_app('rk_api_budget_remaining')} / {of_app('rk_api_budget_limit')})"
    return [
        text_of(
            About("Version", "Of the exporters chosen above.", unit="none"),
            instant(f"count by (version) ({of_exporter('rk_exporter_build_info')})"),
            label="version",
            size=_FIGURE,
        ),
        text_of(
            About(
                "Read by",
                "active-recording is a call for each meeting; list is the app's list of "
                "recordings, a hundred with each call.",
                unit="none",
            ),
            instant(f"count by (read) ({of_app('rk_app_info')})"),
            label="read",
            size=_FIGURE,
        ),
        number(
            About(
                "Budget left",
                "Of the calls that may be made in any 5 minutes. A process begins with it spent.",
                unit="percentunit",
            ),
            instant(remaining),
            size=_FIGURE,
            colours={0: "orange", 0.05: "green"},
            decimals=0,
        ),
        number(
            About(
                "Blocked for",
                "For how long no calls are made, after Cloudflare's rate limit was exceeded or a "
                "token was refused. None: calls are made.",
                unit="s",
            ),
            instant(f"max({of_app('rk_api_blocked_until_timestamp_seconds')}) - time()"),
            size=_FIGURE,
            colours={-1e12: "red"},
            absent="none",
        ),
        number(
            About("Meetings", "In the list: configured, in files, and live ones."),
            instant(f"sum({once('app', of_app('rk_meetings'))})"),
            size=_FIGURE,
        ),
        number(
            About(
                "Deferred",
                "Meetings that the last pass did not read: for want of budget or time, or since "
                "calls are held back. They have their turn in the next.",
            ),
            instant(or_zero(f"sum({once('app', of_app('rk_meetings_deferred'))})")),
            size=_FIGURE,
            colours={0: "green", 1: "orange"},
        ),
        number(
            About("Unreadable", "Meetings that could not be read the last time."),
            instant(or_zero(f"count({_UP} == 0)")),
            size=_FIGURE,
            colours={0: "green", 1: "red"},
        ),
        number(
            About("Memory", "Of the exporter's process.", unit="bytes"),
            instant(f"max({of_exporter('process_resident_memory_bytes')})"),
            size=_FIGURE,
            decimals=0,
        ),
    ]


def _budget() -> Panel:
    limit, remaining = of_app("rk_api_budget_limit"), of_app("rk_api_budget_remaining")
    return tracker(
        About(
            "Budget, calls in 5 minutes",
            "Calls that were made and that are left. A token's budget is shared by all apps that "
            "have it, and shown with each of them.",
        ),
        [
            query(f"{limit} - {remaining}", "{{app}} used"),
            query(remaining, "{{app}} left"),
            query(limit, "{{app}} limit"),
        ],
        size=_HALF,
    ).override_by_regexp("/ limit$/", dashed())


def _rate_limit() -> Panel:
    return tracker(
        About(
            "Rate limit, as Cloudflare reports it",
            "Calls that Cloudflare said to be left, of what it allows, by each of its policies. "
            "Nothing is drawn where it has not reported any.",
        ),
        [
            query(of_app("rk_api_ratelimit_remaining"), "{{app}} {{policy}} left"),
            query(of_app("rk_api_ratelimit_limit"), "{{app}} {{policy}} limit"),
        ],
        size=_HALF,
        absent="not reported",
    ).override_by_regexp("/ limit$/", dashed())


def _endpoints() -> Panel:
    calls = f"rate({of_app('rk_api_requests_total')}[$__rate_interval])"
    return tracker(
        About(
            "Calls, by endpoint", "Calls to the API in a minute, by what was asked for.", unit="cpm"
        ),
        [query(happening(f"60 * {calls}", "endpoint"), "{{endpoint}}")],
        size=_THIRD,
        stacked=True,
    )


def _codes() -> Panel:
    calls = f"rate({of_app('rk_api_requests_total')}[$__rate_interval])"
    return tracker(
        About(
            "Calls, by answer",
            "Calls to the API in a minute, by HTTP status. 404 is usual: the meeting has no "
            "recording. `none` is no complete answer.",
            unit="cpm",
        ),
        [query(happening(f"60 * {calls}", "code"), "{{code}}")],
        size=_THIRD,
        colours={"200": "green", "404": "blue", "429": "red", "401": "red", "403": "red"},
        stacked=True,
    )


def _failures() -> Panel:
    failures = f"increase({of_app('rk_api_request_failures_total')}[$__interval])"
    return events(
        About(
            "Failures, by reason",
            "Calls that gave no reading.",
        ),
        [query(happening(failures, "reason"), "{{reason}}")],
        size=_THIRD,
    )


def _latency() -> Panel:
    buckets = of_app("rk_api_request_duration_seconds_bucket")
    return quantiles(
        About(
            "Latency of calls",
            "How long calls to the API took. Nothing is drawn where none was made.",
            unit="s",
        ),
        f"rate({buckets}[$__rate_interval])",
        size=_THIRD,
    )


def _pass_duration() -> Panel:
    return tracker(
        About(
            "Duration of a pass",
            "How long the reading of an app's meetings took at the last scrape. It ends half a "
            "second before Prometheus gives up.",
            unit="s",
        ),
        [query(of_app("rk_scrape_duration_seconds"), "{{app}} {{instance}}")],
        size=_THIRD,
    )


def _deferred() -> Panel:
    return tracker(
        About(
            "Meetings, and those deferred",
            "Meetings in the list, and of them those that a pass did not read.",
        ),
        [
            query(of_app("rk_meetings"), "{{app}} meetings"),
            query(of_app("rk_meetings_deferred"), "{{app}} deferred"),
        ],
        size=_THIRD,
    ).override_by_regexp("/ meetings$/", dashed())


def _unread() -> Panel:
    age = f"time() - {_READ_AT}"
    stale = (
        f"({age} > {_STALE_SECONDS} or on ({BY_MEETING}) {age} and on ({BY_MEETING}) {_UP} == 0)"
    )
    meeting = link_to(
        RECORDING, app='${__data.fields["App"]}', meeting='${__data.fields["Meeting id"]}'
    )
    return table_of(
        About(
            "Meetings that are not fresh",
            "Meetings that could not be read the last time, or not for 5 minutes. What has no age "
            "was never read. None: all have been read lately.",
        ),
        [
            Label("App", "app", width=110),
            Label("Meeting", "name", link=meeting, link_title="Its recordings"),
            Label("Meeting id", "meeting_id"),
            Value(
                "Last attempt",
                named(f"{_UP} == 0 or on ({BY_MEETING}) {_UP} and on ({BY_MEETING}) {stale}"),
                width=110,
                texts=values({1: ("read", "green"), 0: ("failed", "red")}),
            ),
            Value("Age", stale, unit="s", width=100, decimals=1),
        ],
        size=_HALF,
        sorted_by="Age",
        absent="none",
    )


def _ages() -> Panel:
    discovered_at = once("app", of_app("rk_discovery_last_success_timestamp_seconds"))
    return tracker(
        About(
            "Age of the readings",
            "How long ago the meeting was read that waits longest, and the live sessions were "
            "listed.",
            unit="s",
        ),
        [
            query(f"time() - min by (app) ({_READ_AT})", "{{app}} oldest reading"),
            query(f"time() - {discovered_at}", "{{app}} live sessions"),
        ],
        size=Size(6, 8),
    )


def _sources() -> Panel:
    return tracker(
        About(
            "Files and lists",
            "1 where the exporter's files, and the list of live sessions, could be read or written"
            " the last time, 0 where not. Nothing is drawn of what is not in use.",
            unit="bool",
        ),
        [
            query(of_app("rk_discovery_up"), "{{app}} live sessions"),
            query(of_app("rk_meetings_file_last_read_successful"), "{{app}} {{file}}"),
            query(of_exporter("rk_state_file_last_write_successful"), "state file"),
        ],
        size=Size(6, 8),
        absent="none in use",
    ).max(1)


def _memory() -> Panel:
    return tracker(
        About("Memory", "Resident memory of each process.", unit="bytes"),
        [query(of_exporter("process_resident_memory_bytes"), "{{instance}}")],
        size=_THIRD,
    )


def _cpu() -> Panel:
    cpu = f"rate({of_exporter('process_cpu_seconds_total')}[$__rate_interval])"
    return tracker(
        About("CPU", "The part of one processor that each process takes.", unit="percentunit"),
        [query(cpu, "{{instance}}")],
        size=_THIRD,
    )


def _malformed() -> Panel:
    malformed = f"increase({of_app('rk_api_malformed_fields_total')}[$__interval])"
    return events(
        About(
            "Malformed fields",
            "Fields that were left out of otherwise sound answers, since they were not what the "
            "API documents.",
        ),
        [query(happening(malformed, "field"), "{{field}}")],
        size=_THIRD,
    )

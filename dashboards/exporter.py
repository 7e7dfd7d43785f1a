"""RealtimeKit / Exporter: the exporter's API calls, budget, failures and data age."""

from grafana_foundation_sdk.builders import dashboard

from dashboards import exporter_calls as calls
from dashboards.frame import Framing, Row, framed
from dashboards.links import EXPORTER, RECORDING, link_to
from dashboards.panels import (
    About,
    Panel,
    Size,
    dashed,
    events,
    history,
    instant,
    number,
    query,
    text_of,
)
from dashboards.selectors import (
    BY_APP,
    BY_MEETING,
    named,
    nonzero,
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
            "The exporter's API calls and budget, and the meetings that it could not read.",
            since="now-3h",
        ),
        [
            Row("Now", _figures()),
            Row("API budget", [calls.budget(), calls.rate_limit()]),
            Row("API calls", [calls.endpoints(), calls.codes(), calls.failures()]),
            Row("Passes", [calls.latency(), _pass_duration(), _deferred()]),
            Row("Stale data", [_unread(), _ages(), _sources()]),
            Row("Process", [_memory(), _cpu(), _malformed(), _reloads()], collapsed=True),
        ],
    )


def _figures() -> list[Panel]:
    remaining = f"min({of_app('rk_api_budget_remaining')} / {of_app('rk_api_budget_limit')})"
    return [
        text_of(
            About("Version", "Version of the selected exporters.", unit="none"),
            instant(f"count by (exporter_version) ({of_exporter('rk_exporter_build_info')})"),
            label="exporter_version",
            size=_FIGURE,
        ),
        text_of(
            About(
                "Read mode",
                "active-recording makes one call per meeting. list reads the app's list, a hundred "
                "recordings per call.",
                unit="none",
            ),
            instant(f"count by (read) ({of_app('rk_app_info')})"),
            label="read",
            size=_FIGURE,
        ),
        number(
            About(
                "Budget left",
                "Share of the allowed calls in 5 minutes that is left. After a restart without "
                "--state.file, most of it counts as used.",
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
                "How long API calls remain suspended after Cloudflare's rate limit was exceeded or "
                "a token was rejected. None means that they are not suspended.",
                unit="s",
            ),
            instant(f"max({of_app('rk_api_blocked_until_timestamp_seconds')}) - time()"),
            size=_FIGURE,
            colours={-1e12: "red"},
            absent="none",
        ),
        number(
            About("Meetings", "Number of meetings: configured, from files, and live ones."),
            instant(f"sum({once(BY_APP, of_app('rk_meetings'))})"),
            size=_FIGURE,
        ),
        number(
            About(
                "Deferred",
                "Meetings not read in the last pass because the budget or the time ran out, or "
                "calls were suspended. A later pass reads them.",
            ),
            instant(or_zero(f"sum({once(BY_APP, of_app('rk_meetings_deferred'))})")),
            size=_FIGURE,
            colours={0: "green", 1: "orange"},
        ),
        number(
            About("Unreadable", "Meetings whose last read failed."),
            instant(or_zero(f"count({_UP} == 0)")),
            size=_FIGURE,
            colours={0: "green", 1: "red"},
        ),
        number(
            About("Memory", "Memory of the exporter's process.", unit="bytes"),
            instant(f"max({of_exporter('process_resident_memory_bytes')})"),
            size=_FIGURE,
            decimals=0,
        ),
    ]


def _pass_duration() -> Panel:
    return history(
        About(
            "Pass duration",
            "How long it took to read an app's meetings in the last scrape. A pass ends half a "
            "second before Prometheus's scrape timeout.",
            unit="s",
        ),
        [query(of_app("rk_scrape_duration_seconds"), "{{rk_app}} {{instance}}")],
        size=_THIRD,
    )


def _deferred() -> Panel:
    return history(
        About(
            "Deferred meetings",
            "Number of meetings, and how many of them a pass did not read.",
        ),
        [
            query(once(BY_APP, of_app("rk_meetings")), "{{rk_app}} meetings"),
            query(once(BY_APP, of_app("rk_meetings_deferred")), "{{rk_app}} deferred"),
        ],
        size=_THIRD,
    ).override_by_regexp("/ meetings$/", dashed())


def _unread() -> Panel:
    age = f"time() - {_READ_AT}"
    stale = (
        f"({age} > {_STALE_SECONDS} or on ({BY_MEETING}) {age} and on ({BY_MEETING}) {_UP} == 0)"
    )
    meeting = link_to(RECORDING, app="App", meeting="Meeting id")
    return table_of(
        About(
            "Stale meetings",
            "Meetings whose last read failed or is older than 5 minutes. Meetings without an age "
            "were never read. None means that all were read recently.",
        ),
        [
            Label("App", "rk_app", width=110),
            Label("Meeting", "meeting_name", link=meeting, link_title="Open recordings"),
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
        empty="none",
    )


def _ages() -> Panel:
    discovered_at = once(BY_APP, of_app("rk_discovery_last_success_timestamp_seconds"))
    return history(
        About(
            "Data age",
            "Time since the oldest read of a meeting, and since the last list of live sessions.",
            unit="s",
        ),
        [
            query(f"time() - min by (rk_app) ({_READ_AT})", "{{rk_app}} oldest read"),
            query(f"time() - {discovered_at}", "{{rk_app}} live sessions"),
        ],
        size=Size(6, 8),
    )


def _sources() -> Panel:
    discovery = f"min by ({BY_APP}) ({of_app('rk_discovery_up')})"
    files = f"min by ({BY_APP}, file) ({of_app('rk_meetings_file_last_read_successful')})"
    state_file = of_exporter("rk_state_file_last_write_successful")
    return history(
        About(
            "Files and discovery",
            "1 if the last read or write of a file, or the last list of live sessions, succeeded, "
            "otherwise 0. Shows only what is in use.",
            unit="bool",
        ),
        [
            query(discovery, "{{rk_app}} live sessions"),
            query(files, "{{rk_app}} {{file}}"),
            query(state_file, "{{instance}} state file"),
        ],
        size=Size(6, 8),
        absent="none in use",
    ).max(1)


def _memory() -> Panel:
    return history(
        About("Memory", "Resident memory of each process.", unit="bytes"),
        [query(of_exporter("process_resident_memory_bytes"), "{{instance}}")],
        size=_THIRD,
    )


def _cpu() -> Panel:
    cpu = f"rate({of_exporter('process_cpu_seconds_total')}[$__rate_interval])"
    return history(
        About("CPU", "Share of one CPU core that each process uses.", unit="percentunit"),
        [query(cpu, "{{instance}}")],
        size=_THIRD,
    )


def _reloads() -> Panel:
    failed = f"1 - min by (instance) ({of_exporter('rk_config_last_reload_successful')})"
    return history(
        About(
            "Configuration not reloaded",
            "1 for each exporter that refused its new configuration and uses the last good one.",
        ),
        [query(failed, "{{instance}}")],
        size=_THIRD,
    )


def _malformed() -> Panel:
    malformed = f"increase({of_app('rk_api_malformed_fields_total')}[$__interval])"
    return events(
        About(
            "Malformed fields",
            "Fields that the exporter ignored because they were not as the API documents them.",
        ),
        [query(nonzero(malformed, "field"), "{{field}}")],
        size=_THIRD,
    )

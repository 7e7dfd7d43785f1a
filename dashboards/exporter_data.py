"""The panels of the exporter dashboard about the data that it reads: how old, and from where."""

from dashboards import legends
from dashboards.links import RECORDING, link_to
from dashboards.panels import (
    DURATION,
    About,
    Panel,
    Size,
    dashed,
    fixed,
    history,
    query,
    timeline,
)
from dashboards.scope import BY_APP, BY_MEETING
from dashboards.selectors import (
    CHOSEN,
    by_exporter,
    named,
    of_app,
    of_exporter,
    of_meeting,
    once,
    threshold,
)
from dashboards.states import values
from dashboards.tables import Label, Value, table_of
from rk_exporter.model.palette import BAD, GOOD


_THIRD = Size(8, 8)
_ROWS = 100
_FEW_POINTS = 180
# More than any age in seconds.
_NEVER = "1e10"
_STALE = threshold("data_age_seconds")

_READ_AT = once(BY_MEETING, of_meeting("rk_meeting_last_success_timestamp_seconds"))
_UP = once(BY_MEETING, of_meeting("rk_meeting_up"))
READ_FAILED = f"{_UP} == 0"
"""The meetings that no exporter could read."""
_TEXTS = values({1: ("ok", GOOD), 0: ("failed", BAD)})


def pass_duration() -> Panel:
    """Show how long passes took."""
    return history(
        About(
            "Pass duration",
            "How long it took to read an app's meetings in the last scrape. A pass ends half a "
            "second before Prometheus's scrape timeout.",
            unit="s",
        ),
        [query(by_exporter(of_app("rk_scrape_duration_seconds")), "{{rk_app}} {{exporter}}")],
        size=_THIRD,
    )


def deferred() -> Panel:
    """Show how many meetings passes did not read."""
    of_apps = {
        title: f"sum by ({BY_APP}) ({once(CHOSEN.app_in_place, of_app(metric))})"
        for title, metric in (("meetings", "rk_meetings"), ("deferred", "rk_meetings_deferred"))
    }
    panel = history(
        About(
            "Deferred meetings",
            "Number of meetings, and how many of them a pass did not read.",
        ),
        [query(promql, f"{{{{rk_app}}}} {title}") for title, promql in of_apps.items()],
        size=_THIRD,
    )
    return panel.override_by_regexp("/ meetings$/", [*dashed(), fixed("text")])


def stale() -> Panel:
    """Show the meetings that were not read lately, the oldest first."""
    meeting = link_to(RECORDING, meeting="Meeting id")
    return table_of(
        About(
            "Stale meetings",
            "Meetings whose last read failed, or is older than the alert about old data allows. "
            f"Meetings without an age were never read. At most {_ROWS} are shown.",
        ),
        [
            Label("Meeting", "meeting_name", link=meeting, link_title="Open recordings"),
            Value("Last read", named(last_reads_of_stale()), width=95, texts=_TEXTS),
            Value("Age", ages_of_stale(), unit=DURATION, width=110),
            Label("App", "rk_app", width=110),
            Label("Meeting id", "meeting_id", is_hidden=True),
        ],
        size=_THIRD,
        sorted_by="Age",
        empty="All meetings were read recently.",
    )


def last_reads_of_stale() -> str:
    """Return whether the last read of the stale meetings with a row succeeded."""
    return f"{_UP} and on ({BY_MEETING})\n{_stalest()}"


def ages_of_stale() -> str:
    """Return the age of the stale meetings with a row, except of those that were never read."""
    return f"{_stalest()} < {_NEVER}"


def _stalest() -> str:
    """Return the age of the stale meetings with a row, or `_NEVER`."""
    age = f"time() - {_READ_AT}"
    return (
        f"topk({_ROWS}, {age} > {_STALE}\n"
        f"or on ({BY_MEETING}) {age} and on ({BY_MEETING}) {READ_FAILED}\n"
        f"or on ({BY_MEETING}) {_NEVER} + ({READ_FAILED}))"
    )


def ages() -> Panel:
    """Show how old the data is."""
    discovered_at = once(BY_APP, of_app("rk_discovery_last_success_timestamp_seconds"))
    panel = history(
        About(
            "Data age",
            "Time since the oldest read of a meeting, and since the last list of live sessions.",
            unit=DURATION,
        ),
        [
            query(f"time() - min by ({BY_APP}) ({_READ_AT})", "{{rk_app}} meetings"),
            query(f"time() - {discovered_at}", "{{rk_app}} live sessions"),
        ],
        size=_THIRD,
    )
    # Each point looks at all meetings.
    panel = panel.max_data_points(_FEW_POINTS)
    # The axis has whole seconds.
    return panel.axis_soft_max(60)


def sources() -> Panel:
    """Show when files, the list of live sessions and that of apps could be read or written."""
    of_apps = {
        "{{rk_app}} live sessions": ("rk_discovery_up", BY_APP),
        "{{rk_app}} archive": ("rk_archive_up", BY_APP),
        "{{rk_app}} {{file}}": ("rk_meetings_file_last_read_successful", f"{BY_APP}, file"),
    }
    of_exporters = {
        "{{exporter}} configuration": "rk_config_last_reload_successful",
        "{{exporter}} web configuration": "rk_web_config_last_reload_successful",
        "{{exporter}} state file": "rk_state_file_last_write_successful",
    }
    targets = [
        query(f"min by ({labels}) ({of_app(metric)})", legend)
        for legend, (metric, labels) in of_apps.items()
    ]
    account = of_exporter("rk_account_up")
    targets.append(query(f"min by (rk_account) ({account})", "{{rk_account}} apps"))
    targets += [
        query(f"min by (exporter) ({by_exporter(of_exporter(metric))})", legend)
        for legend, metric in of_exporters.items()
    ]
    return timeline(
        About(
            "Files and lists",
            "Whether the last read or write of a file, the last reload of a configuration, and the "
            "last list of live sessions, of an archive and of an account's apps succeeded. Shows "
            "only what is in use.",
            unit="none",
        ),
        targets,
        size=_THIRD,
        texts=_TEXTS,
        absent="Neither a file nor a list is in use.",
    ).legend(legends.names().show_legend(False))

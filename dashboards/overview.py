"""RealtimeKit / Overview: whether recording works, at a glance."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.frame import Framing, Row, framed
from dashboards.links import OVERVIEW, RECORDING, link_to
from dashboards.overview_figures import figures
from dashboards.panels import (
    About,
    Panel,
    Size,
    bars,
    events,
    history,
    instant,
    quantiles,
    query,
)
from dashboards.queries import EXPIRING, FAILED, HIDDEN, LIVE_UNRECORDED, ended_within, in_states
from dashboards.selectors import (
    BY_APP,
    BY_MEETING,
    BY_RECORDING,
    named,
    of_app,
    of_meeting,
    once,
    or_zero,
)
from dashboards.states import COLOURS, IN_PROGRESS, STATES, values
from dashboards.tables import Label, Value, table_of


_HALF = Size(12, 8)
_THIRD = Size(8, 8)
_OUTCOME_COLOURS = {
    "uploaded": "dark-blue",
    "errored": "red",
    "upload_failed": "orange",
    "vanished": "purple",
}
_SEVERITY_COLOURS = {
    "critical": ("critical", "red"),
    "warning": ("warning", "orange"),
    "info": ("info", "blue"),
}
_SIZES = once(BY_RECORDING, of_meeting("rk_recording_file_size_bytes"))
_TO_MEETING = link_to(RECORDING, app="App", meeting="Meeting id")


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return framed(
        Framing(
            "Overview",
            OVERVIEW,
            "Shows whether recording works: active recordings, failures, and files that expire "
            "soon.",
        ),
        [
            Row("Now", figures()),
            Row("Recordings in progress", [_states_over_time(), _states_now()]),
            Row("Needs attention", [_alerts(), _unrecorded()]),
            Row("Starts and ends", [_started(), _ended(), _failure_rate()]),
            Row("Delays", [_start_delay(), _upload_delay()]),
            Row("Files", [_data_recorded(), _expiring()]),
        ],
    )


def _states_over_time() -> Panel:
    return history(
        About(
            "Recordings in progress by state",
            "Recordings in each state that is not final. Empty if none is known.",
        ),
        [query(f"sum({in_states(name)})", name) for name in IN_PROGRESS],
        size=Size(16, 9),
        colours=COLOURS,
        stacked=True,
    )


def _states_now() -> Panel:
    return bars(
        About(
            "Recordings by state",
            "Current number of recordings in each state, including those that ended in the last "
            "days. Hidden ones ended too, but they have no series of their own.",
        ),
        [
            *(instant(or_zero(f"sum({in_states(state.name)})"), state.name) for state in STATES),
            instant(or_zero(f"sum({HIDDEN})"), "hidden"),
        ],
        size=Size(8, 9),
        fixed_colours=COLOURS,
    )


def _alerts() -> Panel:
    labels = "alertname, severity, rk_app, meeting_id"
    firing = f'count by ({labels}) (ALERTS{{alertname=~"RealtimeKit.+", alertstate="firing"}})'
    return table_of(
        About(
            "Firing alerts",
            "Alerts that are firing now, by meeting. None means that no alert fires, or that the "
            "rules are not loaded into Prometheus.",
        ),
        [
            Label("Severity", "severity", width=90, texts=values(_SEVERITY_COLOURS)),
            Label("Alert", "alertname"),
            Label("App", "rk_app", width=110),
            Label("Meeting", "meeting_name", link=_TO_MEETING, link_title="Open recordings"),
            Value("Alerts", f"{named(firing)}\nor on ({labels})\n{firing}", width=70),
            Label("Meeting id", "meeting_id"),
        ],
        size=_HALF,
        sorted_by="Severity",
        descending=False,
        empty="none",
    )


def _unrecorded() -> Panel:
    on_start = once(BY_MEETING, of_meeting("rk_meeting_record_on_start"))
    return table_of(
        About(
            "Live meetings without a recording",
            "Meetings with people in them that have not been recorded for at least a minute. None "
            "means that every meeting is recorded, or that `--meetings.discover` is off.",
        ),
        [
            Label("App", "rk_app", width=110),
            Label("Meeting", "meeting_name", link=_TO_MEETING, link_title="Open recordings"),
            Label("Meeting id", "meeting_id"),
            Value("People", named(LIVE_UNRECORDED), width=80),
            Value(
                "Record on start",
                f"{named(on_start)}\nand on ({BY_MEETING})\n{LIVE_UNRECORDED}",
                width=120,
                texts=values({1: ("yes", "red"), 0: ("no", "transparent")}),
            ),
        ],
        size=_HALF,
        sorted_by="Record on start",
        empty="none",
    )


def _started() -> Panel:
    started = once(BY_APP, f"increase({of_app('rk_recordings_started_total')}[$__interval])")
    return events(
        About("Started", "Recordings that started."),
        [query(f"sum({started})", "started")],
        size=_THIRD,
        colours={"started": COLOURS["RECORDING"]},
    )


def _ended() -> Panel:
    ended = once(
        "rk_app, outcome", f"increase({of_app('rk_recordings_finished_total')}[$__interval])"
    )
    return events(
        About(
            "Ended",
            "Ended recordings by outcome. Vanished recordings no longer exist in the API, e.g. "
            "those of empty meetings.",
        ),
        [query(f"sum by (outcome) ({ended})", "{{outcome}}")],
        size=_THIRD,
        colours=_OUTCOME_COLOURS,
    )


def _failure_rate() -> Panel:
    return history(
        About(
            "Failure rate by app",
            "Share of ERRORED recordings among those that ended within an hour. Empty if none "
            "ended.",
            unit="percentunit",
        ),
        [
            query(
                f"sum by (rk_app) ({ended_within('1h', FAILED)})\n"
                f"/\n(sum by (rk_app) ({ended_within('1h', f'{FAILED}|uploaded')}) > 0)",
                "{{rk_app}}",
            )
        ],
        size=_THIRD,
    ).max(1)


def _start_delay() -> Panel:
    return quantiles(
        About(
            "Start delay",
            "Time from the request for a recording to its start, for recordings of the last hour. "
            "About 2 s is normal. Empty if none started.",
            unit="s",
        ),
        _within_an_hour,
        "rk_recording_start_delay_seconds",
        size=_HALF,
    )


def _upload_delay() -> Panel:
    return quantiles(
        About(
            "Upload delay",
            "Time from the end of a recording until the exporter saw it UPLOADED, for recordings "
            "of the last hour. The upload itself took no longer. Empty if none was uploaded.",
            unit="s",
        ),
        _within_an_hour,
        "rk_recording_upload_delay_seconds",
        size=_HALF,
    )


def _data_recorded() -> Panel:
    return history(
        About(
            "Data recorded",
            "Total size of the files of all known recordings, which are those of the last days. "
            "Empty if there is no file.",
            unit="bytes",
        ),
        [query(f"sum by (rk_app) ({_SIZES})", "{{rk_app}}")],
        size=_HALF,
        stacked=True,
    )


def _expiring() -> Panel:
    return table_of(
        About(
            "Files that expire within 24 h",
            "RealtimeKit deletes these files when their download URLs expire. None means that no "
            "file expires within 24 hours.",
        ),
        [
            Label("App", "rk_app", width=110),
            Label("Meeting", "meeting_name", link=_TO_MEETING, link_title="Open recordings"),
            Label("Meeting id", "meeting_id"),
            Value("Expires in", named(EXPIRING), unit="s", width=110, decimals=1),
            Value("Size", f"{_SIZES}\nand on ({BY_RECORDING})\n{EXPIRING}", unit="bytes", width=90),
        ],
        size=_HALF,
        sorted_by="Expires in",
        descending=False,
        empty="none",
        hidden_labels=["recording_id"],
    )


def _within_an_hour(series: str) -> str:
    return f"increase({of_app(series)}[1h])"

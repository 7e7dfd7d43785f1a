"""RealtimeKit / Overview: does recording work, at a glance."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.frame import OVERVIEW, RECORDING, Framing, Row, framed, link_to
from dashboards.panels import (
    About,
    Panel,
    Size,
    bars,
    events,
    instant,
    number,
    quantiles,
    query,
    tracker,
)
from dashboards.selectors import (
    BY_APP,
    BY_MEETING,
    BY_RECORDING,
    named,
    of_app,
    of_exporter,
    of_meeting,
    once,
    or_zero,
)
from dashboards.states import COLOURS, IN_PROGRESS, STATES, values
from dashboards.tables import Label, Value, table_of


_FIGURE = Size(3, 4)
_HALF = Size(12, 8)
_THIRD = Size(8, 8)
_OUTCOME_COLOURS = {"uploaded": "dark-blue", "errored": "red", "vanished": "purple"}
_SEVERITY_COLOURS = {
    "critical": ("critical", "red"),
    "warning": ("warning", "orange"),
    "info": ("info", "blue"),
}
_DAY_SECONDS = 86_400
_MINUTE_SECONDS = 60

_UNRECORDED = of_meeting("instance:rk_meeting_live_participants:unrecorded")
# Seen three times: who is where is told more rarely than what records, and people leave last.
_LIVE_UNRECORDED = (
    f"({once(BY_MEETING, _UNRECORDED)}\nand on ({BY_MEETING})\n"
    f"count_over_time({_UNRECORDED}[2m]) > 2)"
)
_EXPIRES_IN = once(BY_RECORDING, of_meeting("rk_recording_download_url_expires_in_seconds"))
_EXPIRING = f"({_EXPIRES_IN} > 0) < {_DAY_SECONDS}"
_SIZES = once(BY_RECORDING, of_meeting("rk_recording_file_size_bytes"))
_TO_MEETING = link_to(
    RECORDING, app='${__data.fields["App"]}', meeting='${__data.fields["Meeting id"]}'
)


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return framed(
        Framing(
            "Overview",
            OVERVIEW,
            "Does recording work: what records now, what failed, and what has to be fetched soon.",
        ),
        [
            Row("Now", [*_health(), *_figures()]),
            Row("Recordings in progress", [_states_over_time(), _states_now()]),
            Row("What needs somebody", [_alerts(), _unrecorded()]),
            Row("How recordings start and end", [_started(), _ended(), _failed_of_all()]),
            Row("How long they take", [_start_delay(), _upload_delay()]),
            Row("Files", [_data_recorded(), _expiring()]),
        ],
    )


def _health() -> list[Panel]:
    read_at = once(BY_MEETING, of_meeting("rk_meeting_last_success_timestamp_seconds"))
    return [
        number(
            About(
                "Exporter",
                "DOWN where Prometheus cannot scrape one of the exporters chosen above.",
                unit="none",
            ),
            instant(f"min({of_exporter('up')})"),
            size=_FIGURE,
            texts=values({1: ("UP", "green"), 0: ("DOWN", "red")}),
            absent="no target",
        ),
        number(
            About(
                "API",
                "FAILING where the last pass over an app's meetings could not reach the API, or "
                "was not let in.",
                unit="none",
            ),
            instant(f"min({of_app('rk_up')})"),
            size=_FIGURE,
            texts=values({1: ("OK", "green"), 0: ("FAILING", "red")}),
        ),
        number(
            About(
                "Oldest reading",
                "How long ago the meeting was read that waits longest. Unknown until one was read.",
                unit="s",
            ),
            instant(f"time() - min({read_at})"),
            size=_FIGURE,
            colours={0: "green", 5 * _MINUTE_SECONDS: "orange", 10 * _MINUTE_SECONDS: "red"},
            decimals=0,
        ),
    ]


def _figures() -> list[Panel]:
    return [
        number(
            About("In progress", "Recordings that are INVOKED, RECORDING, PAUSED or UPLOADING."),
            query(or_zero(f"sum({_in_states('|'.join(IN_PROGRESS))})")),
            size=_FIGURE,
            tracker=True,
        ),
        number(
            About(
                "Failed, last 24 h",
                "Recordings that became ERRORED within 24 hours: there are no files of them.",
            ),
            instant(f"round(sum({_ended_within('1d', 'errored')}))"),
            size=_FIGURE,
            colours={0: "green", 1: "red"},
        ),
        number(
            About(
                "Failed of all, 24 h",
                "The part that is ERRORED of the recordings that ended within 24 hours.",
                unit="percentunit",
            ),
            instant(
                f"sum({_ended_within('1d', 'errored')})\n"
                f"/\n(sum({_ended_within('1d', 'errored|uploaded')}) > 0)"
            ),
            size=_FIGURE,
            colours={0: "green", 0.05: "orange", 0.2: "red"},
            absent="none ended",
            decimals=1,
        ),
        number(
            About(
                "Live, not recorded",
                "Meetings that people are in and nobody has recorded for a minute, whether they "
                "should be recorded or not. Unknown without `--meetings.discover`.",
            ),
            instant(f"count({_LIVE_UNRECORDED})\nor\n0 * sum({of_app('rk_discovery_up')})"),
            size=_FIGURE,
            colours={0: "green", 1: "orange"},
        ),
        number(
            About(
                "Expire within 24 h",
                "Recordings whose download URL expires within 24 hours, and their file with it.",
            ),
            instant(or_zero(f"count({_EXPIRING})")),
            size=_FIGURE,
            colours={0: "green", 1: "yellow"},
        ),
    ]


def _states_over_time() -> Panel:
    return tracker(
        About(
            "In progress, by state",
            "Recordings in each state that is not final. Nothing is drawn where none is known.",
        ),
        [query(f"sum({_in_states(name)})", name) for name in IN_PROGRESS],
        size=Size(16, 9),
        colours=COLOURS,
        stacked=True,
    )


def _states_now() -> Panel:
    return bars(
        About(
            "All that are shown, by state",
            "Recordings in each state now: those that ended in the last days as well.",
        ),
        [instant(or_zero(f"sum({_in_states(state.name)})"), state.name) for state in STATES],
        size=Size(8, 9),
        fixed_colours=COLOURS,
    )


def _alerts() -> Panel:
    labels = "alertname, severity, app, meeting_id"
    firing = f'count by ({labels}) (ALERTS{{alertname=~"RK.+", alertstate="firing"}})'
    return table_of(
        About(
            "Alerts",
            "Alerts that fire now, by meeting. None: the rules have nothing to say; they have to "
            "be loaded into Prometheus for that.",
        ),
        [
            Label("Severity", "severity", width=90, texts=values(_SEVERITY_COLOURS)),
            Label("Alert", "alertname"),
            Label("App", "app", width=110),
            Label("Meeting", "name", link=_TO_MEETING, link_title="Its recordings"),
            Value("Alerts", f"{named(firing)}\nor on ({labels})\n{firing}", width=70),
            Label("Meeting id", "meeting_id"),
        ],
        size=_HALF,
        sorted_by="Severity",
        descending=False,
        absent="none",
    )


def _unrecorded() -> Panel:
    on_start = once(BY_MEETING, of_meeting("rk_meeting_record_on_start"))
    return table_of(
        About(
            "Live meetings that nobody records",
            "People are in these meetings, for a minute or longer. None: each is recorded, or "
            "`--meetings.discover` is off.",
        ),
        [
            Label("App", "app", width=110),
            Label("Meeting", "name", link=_TO_MEETING, link_title="Its recordings"),
            Label("Meeting id", "meeting_id"),
            Value("People", named(_LIVE_UNRECORDED), width=80),
            Value(
                "Should be",
                f"{named(on_start)}\nand on ({BY_MEETING})\n{_LIVE_UNRECORDED}",
                width=100,
                texts=values({1: ("yes", "red"), 0: ("no", "transparent")}),
            ),
        ],
        size=_HALF,
        sorted_by="Should be",
        absent="none",
    )


def _started() -> Panel:
    started = once(BY_APP, f"increase({of_app('rk_recordings_started_total')}[$__interval])")
    return events(
        About("Started", "Recordings that began to record."),
        [query(f"sum({started})", "started")],
        size=_THIRD,
        colours={"started": COLOURS["RECORDING"]},
    )


def _ended() -> Panel:
    ended = once("app, outcome", f"increase({of_app('rk_recordings_finished_total')}[$__interval])")
    return events(
        About(
            "Ended",
            "How recordings ended. Vanished ones are no longer known to the API, as those of empty "
            "meetings.",
        ),
        [query(f"sum by (outcome) ({ended})", "{{outcome}}")],
        size=_THIRD,
        colours=_OUTCOME_COLOURS,
    )


def _failed_of_all() -> Panel:
    return tracker(
        About(
            "Failed of all, by app",
            "The part that is ERRORED of the recordings that ended in the hour before. Nothing is "
            "drawn where none has ended.",
            unit="percentunit",
        ),
        [
            query(
                f"sum by (app) ({_ended_within('1h', 'errored')})\n"
                f"/\n(sum by (app) ({_ended_within('1h', 'errored|uploaded')}) > 0)",
                "{{app}}",
            )
        ],
        size=_THIRD,
    ).max(1)


def _start_delay() -> Panel:
    return quantiles(
        About(
            "Start delay",
            "From when recordings were asked for until they began, of those in the hour before. "
            "About 2 s is usual. Nothing is drawn where none began.",
            unit="s",
        ),
        _counted_within_an_hour("rk_recording_start_delay_seconds_bucket"),
        size=_HALF,
    )


def _upload_delay() -> Panel:
    return quantiles(
        About(
            "Upload delay",
            "From when recordings stopped until they were seen UPLOADED, of those in the hour "
            "before: uploads took no longer. Nothing is drawn where none was uploaded.",
            unit="s",
        ),
        _counted_within_an_hour("rk_recording_upload_delay_seconds_bucket"),
        size=_HALF,
    )


def _data_recorded() -> Panel:
    return tracker(
        About(
            "Data recorded",
            "Size of the files of all recordings that are shown: those of the last days. Nothing "
            "is drawn where there is no file.",
            unit="bytes",
        ),
        [query(f"sum by (app) ({_SIZES})", "{{app}}")],
        size=_HALF,
        stacked=True,
    )


def _expiring() -> Panel:
    return table_of(
        About(
            "Files that expire within 24 h",
            "RealtimeKit deletes files with their URL. None: no file is about to go.",
        ),
        [
            Label("App", "app", width=110),
            Label("Meeting", "name", link=_TO_MEETING, link_title="Its recordings"),
            Label("Meeting id", "meeting_id"),
            Value("Expires in", named(_EXPIRING), unit="s", width=110, decimals=1),
            Value(
                "Size", f"{_SIZES}\nand on ({BY_RECORDING})\n{_EXPIRING}", unit="bytes", width=90
            ),
        ],
        size=_HALF,
        sorted_by="Expires in",
        descending=False,
        absent="none",
        hidden_labels=["recording_id"],
    )


def _in_states(statuses: str) -> str:
    matcher = f'status=~"{statuses}"' if "|" in statuses else f'status="{statuses}"'
    return once(f"{BY_RECORDING}, status", of_meeting("rk_recording_status", matcher))


def _ended_within(window: str, outcomes: str) -> str:
    matcher = f'outcome=~"{outcomes}"' if "|" in outcomes else f'outcome="{outcomes}"'
    return once(
        "app, outcome", of_app(f"instance:rk_recordings_finished:increase{window}", matcher)
    )


def _counted_within_an_hour(buckets: str) -> str:
    return once("app, le", f"increase({of_app(buckets)}[1h])")

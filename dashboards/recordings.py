"""RealtimeKit / Recordings: all that are shown, those in trouble first."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.frame import RECORDING, RECORDINGS, Framing, Row, framed, link_to
from dashboards.panels import About, Panel, Size, bars, instant, query, timeline, tracker
from dashboards.selectors import BY_MEETING, BY_RECORDING, as_time, named, of_meeting, once
from dashboards.states import as_text, values
from dashboards.tables import Label, Value, table_of


_LIMIT_SECONDS = 86_400
"""RealtimeKit ends a recording after 24 hours, or what its `max_seconds` says."""
_NEAR_LIMIT_SECONDS = 0.9 * _LIMIT_SECONDS
_DAY_SECONDS = 86_400
_TROUBLE = {
    5: ("stuck", "red"),
    4: ("failed", "red"),
    3: ("empty", "orange"),
    2: ("look", "orange"),
    1: ("expires", "yellow"),
    0: ("fine", "transparent"),
}
_RUNNING = once(
    BY_RECORDING, of_meeting("rk_recording_status", 'status=~"RECORDING|PAUSED"') + " == 1"
)
_STARTED_AT = once(BY_RECORDING, of_meeting("rk_recording_started_timestamp_seconds"))
_RUNNING_FOR = f"(time() - {_STARTED_AT}) and on ({BY_RECORDING}) {_RUNNING}"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return framed(
        Framing(
            "Recordings",
            RECORDINGS,
            "Every recording that is shown, those in trouble first, and what each meeting's last "
            "one has been through.",
            since="now-6h",
        ),
        [
            Row("Recordings", [_list()]),
            Row("Meetings", [_states(), _running()]),
            Row("Over time", [_durations(), _sizes()], collapsed=True),
        ],
    )


def _list() -> Panel:
    to_recording = link_to(
        RECORDING,
        app='${__data.fields["App"]}',
        meeting='${__data.fields["Meeting id"]}',
        recording='${__data.fields["Recording id"]}',
    )
    return table_of(
        About(
            "Recordings, those in trouble first",
            "Stuck: INVOKED for 5 minutes or UPLOADING for an hour (the thresholds of the alerts)."
            " Failed: ERRORED. Empty: its file is too small for its length. Look: PAUSED, or in a "
            "state that the API does not document. Expires: the file is deleted within 24 h. What "
            "is not known, as the size of a recording that still runs, is -.",
        ),
        [
            Value(
                "Trouble",
                named(once(BY_RECORDING, of_meeting("instance:rk_recording_trouble:level"))),
                width=85,
                texts=values(_TROUBLE),
            ),
            Value(
                "State",
                once(BY_RECORDING, of_meeting("instance:rk_recording_state:code")),
                width=110,
                texts=as_text(),
            ),
            Label("App", "app", width=110),
            Label("Meeting", "name", link=to_recording, link_title="This recording"),
            Value("Started", as_time(_STARTED_AT), unit="dateTimeAsIso", width=165),
            Value(
                "Duration",
                once(BY_RECORDING, of_meeting("rk_recording_duration_seconds")),
                unit="s",
                width=95,
                decimals=1,
            ),
            Value(
                "Size",
                once(BY_RECORDING, of_meeting("rk_recording_file_size_bytes")),
                unit="bytes",
                width=95,
                decimals=1,
            ),
            Value(
                "Expires in",
                once(BY_RECORDING, of_meeting("rk_recording_download_url_expires_in_seconds")),
                unit="s",
                width=95,
                decimals=1,
                colours={-1e12: "red", 0: "orange", _DAY_SECONDS: "text"},
            ),
            Value(
                "Read",
                as_time(
                    once(BY_RECORDING, of_meeting("rk_recording_last_success_timestamp_seconds"))
                ),
                unit="dateTimeFromNow",
                width=130,
            ),
            Label("Recording id", "recording_id", link=to_recording, link_title="This recording"),
            Label("Meeting id", "meeting_id"),
        ],
        size=Size(24, 14),
        sorted_by="Trouble",
    )


def _states() -> Panel:
    code = once(BY_RECORDING, of_meeting("instance:rk_recording_state:code"))
    invoked_at = once(BY_RECORDING, of_meeting("rk_recording_invoked_timestamp_seconds"))
    # Of those whose state is recorded already: else a new one would hide the one before.
    invoked_at = f"({invoked_at} and on ({BY_RECORDING}) {code})"
    newest = f"{invoked_at} == on ({BY_MEETING}) group_left () max by ({BY_MEETING}) {invoked_at}"
    of_newest = f"max by ({BY_MEETING}) ({code} and on ({BY_RECORDING}) ({newest}))"
    return timeline(
        About(
            "Each meeting's last recording",
            "The state of the recording that was asked for last in each meeting. Nothing is drawn "
            "where a meeting has none, or it was not known.",
            unit="none",
        ),
        query(named(of_newest), "{{name}}"),
        size=Size(16, 13),
    )


def _running() -> Panel:
    return bars(
        About(
            "In progress, of 24 hours",
            "For how long those run that are RECORDING or PAUSED. RealtimeKit ends a recording "
            "after 24 hours, or sooner where its `max_seconds` says so. None: nothing is "
            "recording.",
            unit="s",
        ),
        [instant(named(_RUNNING_FOR), "{{name}}")],
        size=Size(8, 13),
        most=_LIMIT_SECONDS,
        colours={0: "green", _NEAR_LIMIT_SECONDS: "red"},
    )


def _durations() -> Panel:
    return tracker(
        About(
            "Running for",
            "For how long each recording has run that is RECORDING or PAUSED. Nothing is drawn "
            "while none is.",
            unit="s",
        ),
        [query(named(_RUNNING_FOR), "{{name}}")],
        size=Size(12, 9),
    )


def _sizes() -> Panel:
    sizes = once(BY_RECORDING, of_meeting("rk_recording_file_size_bytes"))
    return tracker(
        About(
            "Size by meeting",
            "Size of the files of all recordings that are shown. Nothing is drawn where there is "
            "no file.",
            unit="bytes",
        ),
        [query(named(f"sum by ({BY_MEETING}) ({sizes})"), "{{name}}")],
        size=Size(12, 9),
        stacked=True,
    )

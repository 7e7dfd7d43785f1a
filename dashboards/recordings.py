"""RealtimeKit / Recordings: all known recordings, problems first."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.frame import Framing, Row, framed
from dashboards.links import RECORDING, RECORDINGS, link_to
from dashboards.panels import About, Panel, Size, bars, history, instant, query, timeline
from dashboards.selectors import (
    BY_MEETING,
    BY_RECORDING,
    as_time,
    named,
    named_over_time,
    newest,
    of_meeting,
    once,
)
from dashboards.states import as_text, values
from dashboards.tables import Label, Value, table_of


_LIMIT_SECONDS = 86_400
"""RealtimeKit stops a recording after 24 hours, or after its `max_seconds`."""
_NEAR_LIMIT_SECONDS = 0.9 * _LIMIT_SECONDS
_DAY_SECONDS = 86_400
_PROBLEMS = {
    5: ("stuck", "red"),
    4: ("failed", "red"),
    3: ("empty", "orange"),
    2: ("check", "orange"),
    1: ("expires", "yellow"),
    0: ("fine", "transparent"),
}
_IS_RUNNING = 'status=~"RECORDING|PAUSED"'
_CODES = of_meeting("instance:rk_recording_state:code")
_CODE = once(BY_RECORDING, newest(_CODES))
_RUNNING = f"{once(BY_RECORDING, newest(of_meeting('rk_recording_status', _IS_RUNNING)))} == 1"
_STARTED_AT = once(BY_RECORDING, of_meeting("rk_recording_started_timestamp_seconds"))
_RUNNING_FOR = f"(time() - {_STARTED_AT}) and on ({BY_RECORDING}) {_RUNNING}"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return framed(
        Framing(
            "Recordings",
            RECORDINGS,
            "All known recordings, problems first, and the history of each meeting's latest "
            "recording.",
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
        app="App",
        meeting="Meeting id",
        recording="Recording id",
    )
    return table_of(
        About(
            "Recordings, problems first",
            "Stuck: INVOKED for 5 minutes or UPLOADING for an hour (the thresholds of the alerts)."
            " Failed: ERRORED. Empty: the file is too small for its length. Check: PAUSED, or in a "
            "state that the API does not document. Expires: the file will be deleted within 24 h. "
            "A dash is an unknown value, e.g. the size of a running recording.",
        ),
        [
            Value(
                "Problem",
                named(
                    once(BY_RECORDING, newest(of_meeting("instance:rk_recording_trouble:level")))
                ),
                width=85,
                texts=values(_PROBLEMS),
            ),
            Value(
                "State",
                _CODE,
                width=110,
                texts=as_text(),
            ),
            Label("App", "rk_app", width=110),
            Label("Meeting", "meeting_name", link=to_recording, link_title="Open recording"),
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
                "Last read",
                as_time(
                    once(BY_RECORDING, of_meeting("rk_recording_last_success_timestamp_seconds"))
                ),
                unit="dateTimeFromNow",
                width=130,
            ),
            Label("Recording id", "recording_id", link=to_recording, link_title="Open recording"),
            Label("Meeting id", "meeting_id"),
        ],
        size=Size(24, 14),
        sorted_by="Problem",
    )


def _states() -> Panel:
    requested_at = once(BY_RECORDING, of_meeting("rk_recording_invoked_timestamp_seconds"))
    # A recording that has no code yet must not hide the one before it.
    requested_at = f"({requested_at} and on ({BY_RECORDING}) {_CODES})"
    latest = (
        f"{requested_at} == on ({BY_MEETING}) group_left () max by ({BY_MEETING}) {requested_at}"
    )
    of_latest = f"max by ({BY_MEETING}) ({_CODE} and on ({BY_RECORDING}) ({latest}))"
    return timeline(
        About(
            "Latest recording per meeting",
            "State of the most recently requested recording of each meeting. Empty while a meeting "
            "has no recording, or its state is unknown.",
            unit="none",
        ),
        query(named_over_time(of_latest), "{{meeting_name}}"),
        size=Size(16, 13),
    )


def _running() -> Panel:
    return bars(
        About(
            "Recording time, up to 24 h",
            "How long each RECORDING or PAUSED recording has been running. RealtimeKit stops a "
            "recording after 24 hours, or after its `max_seconds`. None means that nothing is "
            "being recorded.",
            unit="s",
        ),
        [instant(named(_RUNNING_FOR), "{{meeting_name}}")],
        size=Size(8, 13),
        most=_LIMIT_SECONDS,
        colours={0: "green", _NEAR_LIMIT_SECONDS: "red"},
    )


def _durations() -> Panel:
    return history(
        About(
            "Recording time",
            "How long each RECORDING or PAUSED recording has been running. Empty if there is none.",
            unit="s",
        ),
        [query(named_over_time(_RUNNING_FOR), "{{meeting_name}}")],
        size=Size(12, 9),
    )


def _sizes() -> Panel:
    sizes = once(BY_RECORDING, of_meeting("rk_recording_file_size_bytes"))
    return history(
        About(
            "Size by meeting",
            "Total size of the files of all known recordings of each meeting. Empty if there is no "
            "file.",
            unit="bytes",
        ),
        [query(named_over_time(f"sum by ({BY_MEETING}) ({sizes})"), "{{meeting_name}}")],
        size=Size(12, 9),
        stacked=True,
    )

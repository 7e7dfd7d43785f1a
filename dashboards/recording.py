"""RealtimeKit / Recording: the history of one recording, or of all recordings of a meeting."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.frame import Framing, Row, framed
from dashboards.links import RECORDING
from dashboards.panels import About, Panel, Size, history, instant, number, query, timeline
from dashboards.selectors import (
    BY_MEETING,
    BY_RECORDING,
    as_time,
    newest,
    newest_labels,
    of_meeting,
    of_recording,
    once,
    with_label,
)
from dashboards.states import COLOURS, as_text, values
from dashboards.tables import Label, Value, table_of


_FIGURE = Size(4, 4)
_HALF = Size(12, 8)
_DAY_SECONDS = 86_400
_HOUR_SECONDS = 3_600
_CODE = once(BY_RECORDING, newest(of_recording("instance:rk_recording_state:code")))
_STOP_REASONS = {
    "INTERNAL_ERROR": ("INTERNAL_ERROR", "red"),
    "UNKNOWN": ("UNKNOWN", COLOURS["UNKNOWN"]),
    "API_CALL": ("API_CALL", "transparent"),
    "ALL_PEERS_LEFT": ("ALL_PEERS_LEFT", "transparent"),
    "": ("-", "transparent"),
}


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return framed(
        Framing(
            "Recording",
            RECORDING,
            "The recordings of one meeting. Select the meeting, and a recording if you like, at "
            "the top. The numbers are those of the latest recording.",
            of_one_meeting=True,
        ),
        [
            Row("Latest recording", _figures()),
            Row("History", [_states(), _timestamps()]),
            Row("File", [_size(), _expiry(), _details()]),
            Row("Duration, data age and people", [_duration(), _ages(), _people()]),
        ],
    )


def _figures() -> list[Panel]:
    return [
        number(
            About("State", "State of the recording. None if no recording is known.", unit="none"),
            instant(_of_latest(_CODE)),
            size=_FIGURE,
            texts=as_text(),
            absent="none",
        ),
        number(
            About("Requested", "When the recording was requested.", unit="dateTimeFromNow"),
            instant(as_time(_latest("rk_recording_invoked_timestamp_seconds"))),
            size=_FIGURE,
        ),
        number(
            About(
                "Start delay",
                "Time from the request to the start. None until the recording has started.",
                unit="s",
            ),
            instant(
                f"{_latest('rk_recording_started_timestamp_seconds')}\n"
                f"- {_latest('rk_recording_invoked_timestamp_seconds')}"
            ),
            size=_FIGURE,
            colours={-1e12: "green", 30: "orange", 5 * 60: "red"},
            absent="none",
            decimals=1,
        ),
        number(
            About("Duration", "Length of the recording. None until it has started.", unit="s"),
            instant(_latest("rk_recording_duration_seconds")),
            size=_FIGURE,
            absent="none",
            decimals=1,
        ),
        number(
            About("Size", "Size of the file. None until it is uploaded.", unit="bytes"),
            instant(_latest("rk_recording_file_size_bytes")),
            size=_FIGURE,
            absent="none",
            decimals=1,
        ),
        number(
            About(
                "Expires in",
                "Time until the download URL expires and RealtimeKit deletes the file. Negative "
                "after that. Recordings in your own storage have no URL.",
                unit="s",
            ),
            instant(_latest("rk_recording_download_url_expires_in_seconds")),
            size=_FIGURE,
            colours={-1e12: "red", 0: "orange", _DAY_SECONDS: "green"},
            absent="none",
            decimals=1,
        ),
    ]


def _latest(metric: str) -> str:
    """Return the value of a metric for the most recently requested recording."""
    return _of_latest(once(BY_RECORDING, of_recording(metric)))


def _of_latest(value: str) -> str:
    """Return the value for the most recently requested recording."""
    requested_at = of_recording("rk_recording_invoked_timestamp_seconds")
    latest = f"{once(BY_RECORDING, requested_at)} == scalar(max({requested_at}))"
    return f"max({value} and on ({BY_RECORDING}) ({latest}))"


def _states() -> Panel:
    return timeline(
        About(
            "States",
            "State history of each recording. Empty while the state is unknown.",
            unit="none",
        ),
        query(_CODE, "{{recording_id}}"),
        size=Size(24, 8),
    )


def _timestamps() -> Panel:
    timestamps = {
        "Requested": "invoked",
        "Started": "started",
        "Stopped": "stopped",
        "URL expires": "download_url_expiry",
    }
    return table_of(
        About(
            "Timestamps",
            "When each recording was requested, started and stopped, according to the API. A dash "
            "means that this has not happened.",
        ),
        [
            Label("Recording id", "recording_id"),
            Value(
                "State",
                _CODE,
                width=110,
                texts=as_text(),
            ),
            *(
                Value(
                    title,
                    as_time(
                        once(BY_RECORDING, of_recording(f"rk_recording_{name}_timestamp_seconds"))
                    ),
                    unit="dateTimeAsIso",
                    width=170,
                )
                for title, name in timestamps.items()
            ),
        ],
        size=Size(24, 8),
        sorted_by="Requested",
        hidden_labels=["rk_app", "meeting_id"],
    )


def _size() -> Panel:
    return history(
        About("Size", "Size of each file. Empty until it is uploaded.", unit="bytes"),
        [
            query(
                once(BY_RECORDING, of_recording("rk_recording_file_size_bytes")), "{{recording_id}}"
            )
        ],
        size=_HALF,
    )


def _expiry() -> Panel:
    return history(
        About(
            "Time left to download",
            "Time until each download URL expires. It rises when a URL is renewed. Empty if there "
            "is no URL.",
            unit="s",
        ),
        [
            query(
                once(BY_RECORDING, of_recording("rk_recording_download_url_expires_in_seconds")),
                "{{recording_id}}",
            )
        ],
        size=_HALF,
    )


def _details() -> Panel:
    available = once(
        BY_RECORDING, of_recording("rk_recording_download_available", 'kind="composite"')
    )
    reason = newest_labels("reason", f"({of_recording('rk_recording_stop_reason')} == 1)")
    info = newest_labels("session_id, output_file_name, kind", of_recording("rk_recording_info"))
    with_reason = with_label(info, "reason", BY_RECORDING, reason)
    return table_of(
        About(
            "Files",
            "File details from the API, and why the recording stopped. A dash means that the "
            "exporter did not see the end.",
        ),
        [
            Label("Recording id", "recording_id"),
            Label("File", "output_file_name"),
            Label("Kind", "kind", width=100),
            Label("Stop reason", "reason", width=150, texts=values(_STOP_REASONS)),
            Value(
                "Downloadable",
                f"({with_reason}\nor on ({BY_RECORDING})\n{info})\n"
                f"* on ({BY_RECORDING}) group_left () {available}",
                width=110,
                texts=values({1: ("yes", "green"), 0: ("no", "transparent")}),
            ),
            Label("Session", "session_id"),
        ],
        size=Size(24, 7),
        sorted_by="File",
        hidden_labels=["rk_app", "meeting_id"],
    )


def _duration() -> Panel:
    return history(
        About(
            "Duration",
            "Length of each recording. Empty until it has started.",
            unit="s",
        ),
        [
            query(
                once(BY_RECORDING, of_recording("rk_recording_duration_seconds")),
                "{{recording_id}}",
            )
        ],
        size=Size(8, 8),
    )


def _ages() -> Panel:
    recording = once(BY_RECORDING, of_recording("rk_recording_last_success_timestamp_seconds"))
    meeting = once(BY_MEETING, of_meeting("rk_meeting_last_success_timestamp_seconds"))
    return history(
        About(
            "Data age",
            "Time since each recording and its meeting were last read. The exporter reads ended "
            "recordings only every few hours.",
            unit="s",
        ),
        [
            query(f"time() - {recording}", "{{recording_id}}"),
            query(f"time() - {meeting}", "meeting {{meeting_id}}"),
        ],
        size=Size(8, 8),
    )


def _people() -> Panel:
    people = once(BY_MEETING, of_meeting("rk_meeting_live_participants"))
    active = once(BY_MEETING, of_meeting("rk_meeting_active_recordings"))
    return history(
        About(
            "People and recordings",
            "Number of people in the meeting, and of its recordings in progress. People are known "
            "with `--meetings.discover` only. A recorder may count as a person.",
        ),
        [
            query(f"sum({people})", "people"),
            query(f"sum({active})", "recordings in progress"),
        ],
        size=Size(8, 8),
        colours={"people": "blue", "recordings in progress": "green"},
    )

"""RealtimeKit / Recording: the life of one recording, or of all that one meeting has."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.frame import RECORDING, Framing, Row, framed
from dashboards.panels import About, Panel, Size, instant, number, query, timeline, tracker
from dashboards.selectors import BY_MEETING, BY_RECORDING, as_time, of_meeting, of_recording, once
from dashboards.states import as_text, values
from dashboards.tables import Label, Value, table_of


_FIGURE = Size(4, 4)
_HALF = Size(12, 8)
_DAY_SECONDS = 86_400
_HOUR_SECONDS = 3_600
_ENDED_BY = {
    "INTERNAL_ERROR": ("INTERNAL_ERROR", "red"),
    "UNKNOWN": ("UNKNOWN", "orange"),
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
            "The recordings of one meeting, or one of them: choose above. Figures are those of the"
            " one that was asked for last.",
            of_one_meeting=True,
        ),
        [
            Row("Last recording", _figures()),
            Row("Life", [_states(), _moments()]),
            Row("File", [_size(), _expiry(), _details()]),
            Row("How fresh this is", [_duration(), _ages(), _people()]),
        ],
    )


def _figures() -> list[Panel]:
    return [
        number(
            About("State", "Unknown where no recording is known.", unit="none"),
            instant(_last("instance:rk_recording_state:code")),
            size=_FIGURE,
            texts=as_text(),
            absent="none",
        ),
        number(
            About("Asked for", "When the recording was asked for.", unit="dateTimeFromNow"),
            instant(as_time(_last("rk_recording_invoked_timestamp_seconds"))),
            size=_FIGURE,
        ),
        number(
            About(
                "Start delay",
                "From when it was asked for until it began. Not known until it has begun.",
                unit="s",
            ),
            instant(
                f"{_last('rk_recording_started_timestamp_seconds')}\n"
                f"- {_last('rk_recording_invoked_timestamp_seconds')}"
            ),
            size=_FIGURE,
            colours={-1e12: "green", 30: "orange", 5 * 60: "red"},
            absent="none",
            decimals=1,
        ),
        number(
            About("Duration", "How long it is; not known until it has begun.", unit="s"),
            instant(_last("rk_recording_duration_seconds")),
            size=_FIGURE,
            absent="none",
            decimals=1,
        ),
        number(
            About("Size", "Of its file; not known until it was uploaded.", unit="bytes"),
            instant(_last("rk_recording_file_size_bytes")),
            size=_FIGURE,
            absent="none",
            decimals=1,
        ),
        number(
            About(
                "Expires in",
                "Until the download URL expires, and the file with it; negative after that. "
                "Recordings in storage of your own have no URL.",
                unit="s",
            ),
            instant(_last("rk_recording_download_url_expires_in_seconds")),
            size=_FIGURE,
            colours={-1e12: "red", 0: "orange", _DAY_SECONDS: "green"},
            absent="none",
            decimals=1,
        ),
    ]


def _last(metric: str) -> str:
    """Return what *metric* says of the recording that was asked for last."""
    asked_at = of_recording("rk_recording_invoked_timestamp_seconds")
    value = once(BY_RECORDING, of_recording(metric))
    newest = f"{once(BY_RECORDING, asked_at)} == scalar(max({asked_at}))"
    return f"max({value} and on ({BY_RECORDING}) ({newest}))"


def _states() -> Panel:
    code = once(BY_RECORDING, of_recording("instance:rk_recording_state:code"))
    return timeline(
        About(
            "States",
            "What each recording has been through, as it was read. Nothing is drawn where it was "
            "not known.",
            unit="none",
        ),
        query(code, "{{recording_id}}"),
        size=Size(24, 8),
    )


def _moments() -> Panel:
    moments = {
        "Asked for": "invoked",
        "Began": "started",
        "Stopped": "stopped",
        "URL expires": "download_url_expiry",
    }
    return table_of(
        About(
            "Moments",
            "When each recording was asked for, began and stopped, by the API. What has not "
            "happened is -.",
        ),
        [
            Label("Recording id", "recording_id"),
            Value(
                "State",
                once(BY_RECORDING, of_recording("instance:rk_recording_state:code")),
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
                for title, name in moments.items()
            ),
        ],
        size=Size(24, 8),
        sorted_by="Asked for",
        hidden_labels=["app", "meeting_id"],
    )


def _size() -> Panel:
    return tracker(
        About("Size", "Of each file. Nothing is drawn until it was uploaded.", unit="bytes"),
        [
            query(
                once(BY_RECORDING, of_recording("rk_recording_file_size_bytes")), "{{recording_id}}"
            )
        ],
        size=_HALF,
    )


def _expiry() -> Panel:
    return tracker(
        About(
            "Time left to download",
            "Until each download URL expires; it rises where a URL is refreshed. Nothing is drawn "
            "where there is no URL.",
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
    labels = f"{BY_RECORDING}, session_id, output_file_name, kind"
    available = once(
        BY_RECORDING, of_recording("rk_recording_download_available", 'kind="composite"')
    )
    reason = once(f"{BY_RECORDING}, reason", of_recording("rk_recording_stop_reason"))
    info = once(labels, of_recording("rk_recording_info"))
    told = f"{info} * on ({BY_RECORDING}) group_left (reason) ({reason} == 1)"
    return table_of(
        About(
            "Files",
            "What the API says of each file, and what ended the recording: - where its end was"
            " not seen.",
        ),
        [
            Label("Recording id", "recording_id"),
            Label("File", "output_file_name"),
            Label("Kind", "kind", width=100),
            Label("Ended by", "reason", width=150, texts=values(_ENDED_BY)),
            Value(
                "To download",
                f"({told}\nor on ({BY_RECORDING})\n{info})\n"
                f"* on ({BY_RECORDING}) group_left () {available}",
                width=110,
                texts=values({1: ("yes", "green"), 0: ("no", "transparent")}),
            ),
            Label("Session", "session_id"),
        ],
        size=Size(24, 7),
        sorted_by="File",
        hidden_labels=["app", "meeting_id"],
    )


def _duration() -> Panel:
    return tracker(
        About(
            "Duration",
            "How long each recording is. Nothing is drawn until it has begun.",
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
    return tracker(
        About(
            "Age of the readings",
            "How long ago each recording and its meeting were read. One that has ended is read "
            "every few hours only.",
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
    return tracker(
        About(
            "People and recordings",
            "How many people are in the meeting (with `--meetings.discover`; a recorder may count "
            "as one), and how many of its recordings are in progress.",
        ),
        [
            query(f"sum({people})", "people"),
            query(f"sum({active})", "recordings in progress"),
        ],
        size=Size(8, 8),
        colours={"people": "blue", "recordings in progress": "green"},
    )

"""RealtimeKit / Recordings: all known recordings, problems first."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from dashboards import recordings_queries as queries
from dashboards.downloads import broken_files
from dashboards.frame import Framing, Row, framed
from dashboards.links import RECORDING, RECORDINGS, link_to
from dashboards.panels import (
    DURATION,
    LONG_DURATION,
    About,
    Panel,
    Size,
    bars,
    instant,
    query,
    timeline,
)
from dashboards.queries import EXPIRES_IN, REQUESTED_AT, STATE_CODE, read_last
from dashboards.recording_queries import saved
from dashboards.selectors import as_time
from dashboards.settings import THRESHOLDS
from dashboards.states import SAVED, as_text, values
from dashboards.tables import Label, Value, table_of
from dashboards.troubles import TROUBLES
from dashboards.variables import LATEST_MEETINGS


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return framed(
        Framing(
            "Recordings",
            RECORDINGS,
            "All known recordings, problems first, the history of the meetings that recorded last, "
            "and the recordings that run longest.",
            since="now-6h",
            has_latest=True,
        ),
        [
            Row("Recordings", [_list()]),
            Row("Meetings", [_states(), _running()]),
            Row("Files", [_sizes(), broken_files()], collapsed=True),
        ],
    )


def _list() -> Panel:
    to_recording = link_to(RECORDING, meeting="Meeting id", recording="Id")
    return table_of(
        About(
            "Recordings, problems first",
            f"The {queries.ROWS} recordings that need attention most. Stuck: INVOKED or UPLOADING "
            "for too long. Failed: ERRORED. Empty: the file is too small for its length. Check: "
            "PAUSED, or in a state that the API does not document. Expires: the file will be "
            "deleted soon. The thresholds are those of the alerts. A dash is an unknown value, "
            "e.g. the size of a running recording. Saved says whether your archive has a copy; it "
            "needs `downloads.archive`. The id shows its first characters.",
        ),
        [
            Value("Problem", queries.most_urgent(), width=95, texts=values(TROUBLES)),
            Value("State", STATE_CODE, width=115, texts=as_text()),
            Label("Meeting", "meeting_name", link=to_recording, link_title="Open recording"),
            Value(
                "Requested",
                as_time(REQUESTED_AT),
                unit="dateTimeAsIso",
                width=165,
            ),
            Value(
                "Duration",
                read_last("rk_recording_duration_seconds"),
                unit=DURATION,
                width=100,
            ),
            Value(
                "Size",
                read_last("rk_recording_file_size_bytes"),
                unit="bytes",
                width=90,
                decimals=1,
            ),
            Value(
                "Expires in",
                EXPIRES_IN,
                unit=LONG_DURATION,
                width=110,
                colours={0: "orange", THRESHOLDS.download_url_expires_in_seconds: "text"},
            ),
            Value(
                "Saved",
                saved(),
                width=75,
                texts=SAVED,
            ),
            Label("App", "rk_app", width=110),
            Label(
                "Id",
                "recording_id",
                width=85,
                link=to_recording,
                link_title="Open recording",
                texts=_first_characters(),
            ),
            Label("Meeting id", "meeting_id", is_hidden=True),
        ],
        size=Size(24, 14),
        sorted_by="Problem",
        then_by="Requested",
        only_with="Problem",
        empty="No recording is known.",
    )


def _first_characters() -> list[models.ValueMapping]:
    """Return the mapping from an id to its first characters."""
    shown = models.ValueMappingResult(text="$1", color="transparent")
    return [
        models.RegexMap(
            options=models.DashboardRegexMapOptions(pattern="^(.{1,8}).*$", result=shown)
        )
    ]


def _states() -> Panel:
    return timeline(
        About(
            "Latest recording per meeting",
            f"State of the latest recording of the {LATEST_MEETINGS} meetings that recorded last. "
            "Empty while a meeting has no recording, or its state is unknown.",
            unit="none",
        ),
        [query(queries.state_of_latest(), "{{meeting_name}}")],
        size=Size(14, 13),
        texts=as_text(),
    )


def _running() -> Panel:
    return bars(
        About(
            "In progress, of 24 hours",
            f"How long the {queries.LONGEST} longest RECORDING or PAUSED recordings have been "
            "running. RealtimeKit stops a recording after 24 hours, or after its `max_seconds`. "
            "None means that nothing is being recorded, which may be fine.",
            unit=DURATION,
        ),
        [instant(queries.running_longest(), "{{bar}}")],
        size=Size(10, 13),
        most=queries.LIMIT_SECONDS,
        colours={
            0: "green",
            THRESHOLDS.recording_running_seconds: "orange",
            queries.LIMIT_SECONDS: "red",
        },
        absent="nothing is being recorded",
    )


def _sizes() -> Panel:
    return bars(
        About(
            "Size by meeting",
            f"Total size of the files of all known recordings, of the {queries.LONGEST} meetings "
            "with the largest.",
            unit="bytes",
        ),
        [instant(queries.sizes_of_meetings(), "{{meeting_name}}")],
        size=Size(24, 9),
        colours={0: "blue"},
        absent="no file is known",
    )

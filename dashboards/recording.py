"""RealtimeKit / Recording: one recording, the selected one or the newest of a meeting."""

from collections.abc import Mapping

from grafana_foundation_sdk.builders import common, dashboard
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from dashboards import legends
from dashboards import recording_queries as queries
from dashboards.downloads import files_of_recording
from dashboards.frame import Framing, Row, framed
from dashboards.links import RECORDING
from dashboards.panels import (
    DURATION,
    LONG_DURATION,
    About,
    Panel,
    Size,
    history,
    instant,
    number,
    query,
    steps,
    timeline,
)
from dashboards.recording_tables import details, recordings, times
from dashboards.settings import THRESHOLDS
from dashboards.states import as_text, values
from dashboards.troubles import TROUBLES


_FIGURE = Size(4, 4)
_NEUTRAL = "text"
_LEGEND = legends.in_table("lastNotNull", "max")
_NO_COLOUR = steps({}, "transparent")
"""The background of a tile without a value."""


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return framed(
        Framing(
            "Recording",
            RECORDING,
            "One recording: the one that you select, or the newest of the meeting.",
            of_one_meeting=True,
        ),
        [
            Row(
                "${meeting:text}",
                [*_figures(), _life(), times(), details(), recordings()],
            ),
            Row("Downloads", [files_of_recording()], collapsed=True),
            Row("Age of the data, and people", [_ages(), _people()], collapsed=True),
        ],
    )


def _figures() -> list[Panel]:
    return [_state(), _problem(), _duration(), _size(), _expiry()]


def _state() -> Panel:
    absent = {queries.NO_RECORDING: ("no recording", "transparent")}
    return (
        number(
            About(
                "Meeting and state",
                "The meeting's name, and the state of the recording. The meeting has no recording "
                "if it says so, or if the selected recording is no longer shown.",
                unit="none",
            ),
            instant(queries.state_of_meeting(), "{{meeting_name}}"),
            size=Size(8, 4),
            texts=[*as_text(), *values(absent)],
            absent="no meeting is selected",
        )
        .text_mode(common_models.BigValueTextMode.VALUE_AND_NAME)
        .text(common.VizTextDisplayOptions().title_size(20).value_size(40))
        .color_mode(common_models.BigValueColorMode.BACKGROUND_SOLID)
        .thresholds(_NO_COLOUR)
    )


def _problem() -> Panel:
    problem = number(
        About(
            "Problem",
            "Stuck: INVOKED or UPLOADING for too long. Failed: ERRORED. Empty: the file is too "
            "small for its length. Check: PAUSED, or in a state that the API does not document. "
            "Expires: the file will be deleted soon. The thresholds are those of the alerts.",
            unit="none",
        ),
        instant(queries.trouble()),
        size=_FIGURE,
        texts=values(TROUBLES),
        absent="-",
    )
    solid = common_models.BigValueColorMode.BACKGROUND_SOLID
    return problem.color_mode(solid).thresholds(_NO_COLOUR)


def _duration() -> Panel:
    return number(
        About(
            "Duration",
            "Length of the recording. If it runs, the time since its start.",
            unit=DURATION,
        ),
        instant(queries.duration()),
        size=_FIGURE,
        texts=_reasons({queries.NOT_YET: "not started", queries.NO_FILE: "never started"}),
        absent="-",
    )


def _size() -> Panel:
    return number(
        About(
            "Size",
            "Size of the file. The API reports none for a recording with one file per participant.",
            unit="bytes",
        ),
        instant(queries.size()),
        size=_FIGURE,
        texts=_reasons(
            {
                queries.NOT_YET: "not uploaded",
                queries.NO_FILE: "no file",
                queries.PER_TRACK: "several files",
            }
        ),
        absent="-",
        decimals=1,
    )


def _expiry() -> Panel:
    expired = models.RangeMap(
        options=models.DashboardRangeMapOptions(
            from_val=queries.NOT_YET / 10,
            to=0,
            result=models.ValueMappingResult(text="expired", color=_NEUTRAL),
        )
    )
    return number(
        About(
            "Expires in",
            "Time until the download URL expires and RealtimeKit deletes the file. A recording in "
            "your own storage has no URL.",
            unit=LONG_DURATION,
        ),
        instant(queries.expires_in()),
        size=_FIGURE,
        colours={0: "orange", THRESHOLDS.download_url_expires_in_seconds: _NEUTRAL},
        texts=[
            *_reasons(
                {
                    queries.NOT_YET: "not uploaded",
                    queries.NO_FILE: "no file",
                    queries.NO_URL: "no URL",
                }
            ),
            expired,
        ],
        absent="-",
    )


def _reasons(texts: Mapping[int, str]) -> list[models.ValueMapping]:
    """Return the mapping from the numbers for a missing value to the reason."""
    return values({number_: (text, _NEUTRAL) for number_, text in texts.items()})


def _life() -> Panel:
    return timeline(
        About(
            "Life",
            "State of the recording over time. Empty before the exporter first saw it, and while "
            "the exporter did not run.",
            unit="none",
        ),
        [query(queries.state(), "State")],
        size=Size(24, 4),
        texts=as_text(),
    ).legend(common.VizLegendOptions().show_legend(False))


def _ages() -> Panel:
    return history(
        About(
            "Data age",
            "Time since the recording and its meeting were last read. The exporter reads ended "
            "recordings only every few hours.",
            unit=DURATION,
        ),
        [
            query(f"time() - ({queries.last_read()})", "recording"),
            query(f"time() - {queries.meeting_read_at()}", "meeting"),
        ],
        size=Size(12, 7),
    ).legend(_LEGEND)


def _people() -> Panel:
    return history(
        About(
            "People and recordings",
            "Number of people in the meeting, and of its recordings in progress. People are known "
            "with `--meetings.discover` only. A recorder may count as a person.",
        ),
        [
            query(queries.people(), "people"),
            query(queries.in_progress(), "recordings in progress"),
        ],
        size=Size(12, 7),
        colours={"people": "blue", "recordings in progress": "green"},
    ).legend(_LEGEND)

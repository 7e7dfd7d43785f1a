"""The table of the overview: one row for each meeting, those with problems first."""

from dashboards.expressions import state_of_latest
from dashboards.links import RECORDING, link_to
from dashboards.overview_queries import (
    LATEST_AT,
    ROWS,
    UNREAD,
    UNRECORDED,
    most_urgent,
    of_latest,
    of_live_meeting,
)
from dashboards.panels import DURATION, LONG_DURATION, About, Panel, Size
from dashboards.queries import EXPIRES_IN, read_last
from dashboards.scope import BY_MEETING
from dashboards.selectors import CHOSEN, as_time, named
from dashboards.states import as_text, values
from dashboards.tables import Label, Value, table_of
from dashboards.troubles import TROUBLES
from rk_exporter.model.palette import BAD, SOON


_TROUBLES = {UNRECORDED: ("unrecorded", BAD), UNREAD: ("unread", SOON), **TROUBLES}


def meetings() -> Panel:
    """Return the table."""
    to_recording = link_to(RECORDING, meeting="Meeting id")
    return table_of(
        About(
            "Meetings, problems first",
            f"The {ROWS} meetings that need attention most, with their latest recording. "
            "Unrecorded: people are in a meeting that should record from the start. Unread: the "
            "exporter cannot read it. Stuck: the recording does not start, or its upload does not "
            "end. Failed, empty: of the last 24 h. Check: it is PAUSED or in an unknown state. "
            "Expires: the next file that RealtimeKit deletes. A dash is an unknown value, e.g. the "
            "size of a running recording.",
        ),
        [
            Value("Trouble", named(most_urgent()), width=95, texts=values(_TROUBLES)),
            Value("State", state_of_latest(CHOSEN), width=110, texts=as_text()),
            Label("Meeting", "meeting_name", link=to_recording, link_title="Open recordings"),
            Value(
                "Started",
                as_time(LATEST_AT),
                unit="dateTimeFromNow",
                width=140,
            ),
            Value(
                "Duration",
                of_latest(read_last("rk_recording_duration_seconds")),
                unit=DURATION,
                width=90,
            ),
            Value(
                "Size",
                of_latest(read_last("rk_recording_file_size_bytes")),
                unit="bytes",
                width=85,
                decimals=1,
            ),
            Value(
                "Expires in",
                f"min by ({BY_MEETING}) ({EXPIRES_IN} > 0)",
                unit=LONG_DURATION,
                width=110,
            ),
            Value("People", of_live_meeting("live_participants"), width=85),
            Label("App", "rk_app", width=110),
            Label("Meeting id", "meeting_id", is_hidden=True),
        ],
        size=Size(24, 9),
        sorted_by="Trouble",
        then_by="Started",
        only_with="Trouble",
        empty="The exporter watches no meeting, or Prometheus has no data.",
    )

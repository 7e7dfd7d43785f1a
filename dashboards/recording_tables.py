"""The tables about one recording, and about all recordings of its meeting."""

from dashboards import recording_queries as queries
from dashboards.links import RECORDING, link_to
from dashboards.panels import DURATION, LONG_DURATION, About, Panel, Size
from dashboards.queries import read_last
from dashboards.selectors import as_time
from dashboards.states import SAVED, as_text, values
from dashboards.tables import Label, Value, table_of
from dashboards.troubles import TROUBLES


_HALF = Size(12, 10)
_SELECT = link_to(RECORDING, "app", "meeting", recording="Recording id")


def times() -> Panel:
    """Show when each event of the recording's life happened."""
    return table_of(
        About(
            "Times",
            "When each event happened, and how long after the event before. A missing event has "
            "not happened. Paused, uploaded and failed are not reported by the API: they are as "
            "exact as the history above, and known if its time range has the change.",
        ),
        [
            Label("Event", "event"),
            Value("When", queries.times(), unit="dateTimeAsIso", width=170),
            Value("Ago", queries.times(), unit="dateTimeFromNow", width=145),
            Value("After", queries.times_since(), unit=LONG_DURATION, width=115),
        ],
        size=_HALF,
        empty="There is no recording.",
        sorted_by="When",
        descending=False,
        hidden_labels=["rk_app", "meeting_id", "recording_id"],
    )


def details() -> Panel:
    """Show all texts about the recording."""
    return table_of(
        About(
            "Details",
            "What the API says about the recording. The stop reason is known if the exporter saw "
            "the end. Copy says whether your archive has the file; it needs `downloads.archive`.",
        ),
        [
            Label("Field", "field", width=105),
            Label("Value", "text"),
            Value("Order", queries.details(), is_hidden=True),
        ],
        size=_HALF,
        empty="There is no recording.",
        sorted_by="Order",
        descending=False,
    )


def recordings() -> Panel:
    """Show all recordings of the meeting, newest first."""
    return table_of(
        About(
            "All recordings of this meeting",
            "A click on the id of a recording shows it above. Saved says whether your archive has "
            "a copy; it needs `downloads.archive`.",
        ),
        [
            Value(
                "Above",
                queries.is_the_one(),
                width=75,
                texts=values({1: ("▲", "blue"), 0: (" ", "transparent")}),
            ),
            Value("Problem", queries.troubles_of_meeting(), width=95, texts=values(TROUBLES)),
            Value("State", queries.states_of_meeting(), width=115, texts=as_text()),
            Value(
                "Requested",
                as_time(read_last("rk_recording_invoked_timestamp_seconds")),
                unit="dateTimeAsIso",
                width=160,
            ),
            Value(
                "Duration",
                read_last("rk_recording_duration_seconds"),
                unit=DURATION,
                width=105,
            ),
            Value(
                "Size",
                read_last("rk_recording_file_size_bytes"),
                unit="bytes",
                width=85,
                decimals=1,
            ),
            Value(
                "Expires in",
                read_last("rk_recording_download_url_expires_in_seconds"),
                unit=LONG_DURATION,
                width=110,
            ),
            Value("Saved", queries.saved(), width=75, texts=SAVED),
            Label("Recording id", "recording_id", link=_SELECT, link_title="Show this recording"),
        ],
        size=Size(24, 8),
        empty="This meeting has no recording.",
        sorted_by="Requested",
        hidden_labels=["rk_app", "meeting_id"],
    )

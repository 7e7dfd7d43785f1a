"""The panels about checks of downloads, on several dashboards."""

from dashboards import download_queries as queries
from dashboards.links import RECORDING, link_to
from dashboards.panels import LONG_DURATION, About, Panel, Size, events, query
from dashboards.queries import EXPIRES_IN
from dashboards.selectors import as_time
from dashboards.states import values
from dashboards.tables import Label, Value, table_of
from rk_exporter.model.download import CheckFailure
from rk_exporter.model.palette import BAD, GOOD, SOON


_OPTION = "Only with `--downloads.verify`."
_RESULTS = values({1: ("verified", GOOD), 0: ("broken", BAD)})
# Red: the file is lost or damaged. Yellow and others: nobody knows, because the storage could not
# be asked.
_COLOURS = {
    "succeeded": GOOD,
    CheckFailure.GONE: BAD,
    CheckFailure.EMPTY: "semi-dark-red",
    CheckFailure.SIZE_MISMATCH: "light-red",
    CheckFailure.NOT_MEDIA: "super-light-red",
    CheckFailure.FORBIDDEN: "dark-orange",
    CheckFailure.REFUSED_HOST: "purple",
    CheckFailure.SERVER_ERROR: "orange",
    CheckFailure.TLS: "dark-yellow",
    CheckFailure.CONNECT: SOON,
    CheckFailure.TIMEOUT: "light-yellow",
}


def files_of_recording() -> Panel:
    """Show the last check of each file of the recording."""
    return table_of(
        About(
            "Downloads",
            "Whether each file of the recording could be downloaded in the last check, and if not, "
            f"why. The size is that of the storage. {_OPTION}",
        ),
        [
            Label("File", "kind", width=130),
            Value("Result", queries.result(), width=110, texts=_RESULTS),
            Label("Reason", "reason"),
            Value("Size", queries.size(), unit="bytes", width=110, decimals=1),
            Value("Checked", as_time(queries.checked_at()), unit="dateTimeFromNow", width=170),
        ],
        size=Size(24, 6),
        empty="No file was checked: see downloads.verify.",
        sorted_by="File",
        descending=False,
        hidden_labels=["rk_app", "meeting_id", "recording_id"],
    )


def broken_files() -> Panel:
    """Show all files that could not be downloaded in their last check."""
    to_recording = link_to(RECORDING, meeting="Meeting id", recording="Recording id")
    checked_at = queries.of_broken("rk_recording_download_last_check_timestamp_seconds")
    return table_of(
        About(
            "Broken downloads",
            "Files that could not be downloaded in the last check, and why. The first size is that "
            f"of the storage, the second one that of the API. {_OPTION}",
        ),
        [
            Value("Broken", queries.broken(), is_hidden=True),
            Label("Meeting", "meeting_name", link=to_recording, link_title="Open recording"),
            Label("File", "kind", width=110),
            Label("Reason", "reason", width=140),
            Value(
                "Size",
                queries.of_broken("rk_recording_download_size_bytes"),
                unit="bytes",
                width=100,
                decimals=1,
            ),
            Value("Reported size", queries.reported_sizes(), unit="bytes", width=130, decimals=1),
            Value("Checked", as_time(checked_at), unit="dateTimeFromNow", width=150),
            Value("Expires in", EXPIRES_IN, unit=LONG_DURATION, width=120),
            Label("App", "rk_app", width=110),
            Label("Recording id", "recording_id", is_hidden=True),
            Label("Meeting id", "meeting_id", is_hidden=True),
        ],
        size=Size(24, 9),
        empty="No download is broken, or no exporter checks them: see downloads.verify.",
        sorted_by="Checked",
        only_with="Broken",
    )


def checks() -> Panel:
    """Show how many checks were made, by result."""
    return events(
        About(
            "Checks of downloads",
            f"Checks of the files of recordings, by result. {_OPTION}",
        ),
        [query(queries.succeeded(), "succeeded"), query(queries.failures(), "{{reason}}")],
        size=Size(24, 8),
        colours=_COLOURS,
        absent="No exporter checks downloads: see downloads.verify.",
    )

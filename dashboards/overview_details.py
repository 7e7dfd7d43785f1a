"""The collapsed rows of the overview."""

from dashboards import expressions, legends, totals
from dashboards.links import RECORDING, link_to
from dashboards.overview_queries import of_live_meeting
from dashboards.panels import (
    LONG_DURATION,
    About,
    Panel,
    Size,
    bars,
    events,
    history,
    instant,
    quantiles,
    query,
)
from dashboards.queries import HIDDEN, LIVE_UNRECORDED, ended_within, in_states, read_last
from dashboards.recording_queries import saved
from dashboards.scope import BY_APP, BY_RECORDING
from dashboards.selectors import CHOSEN, named, of_app, of_meeting, or_zero
from dashboards.states import COLOURS, SAVED, STATES, values
from dashboards.tables import Label, Value, table_of
from rk_exporter.model.palette import BAD


_HALF = Size(12, 8)
_ROWS = 50
_APP = "{{rk_app}}"
_TO_MEETING = link_to(RECORDING, meeting="Meeting id")
_OF_MEETING = (
    Label("App", "rk_app", width=110),
    Label("Meeting", "meeting_name", link=_TO_MEETING, link_title="Open recordings"),
    Label("Meeting id", "meeting_id", is_hidden=True),
)


def live() -> list[Panel]:
    """Return the live meetings without a recording, also those that need none."""
    people = f"topk({_ROWS}, {LIVE_UNRECORDED})"
    return [
        table_of(
            About(
                "Live meetings without a recording",
                f"The {_ROWS} largest meetings with people in them that have not been recorded for "
                "at least a minute. Those that record from the start should be recorded.",
            ),
            [
                *_OF_MEETING,
                Value("People", named(people), width=80),
                Value(
                    "From the start",
                    of_live_meeting("record_on_start"),
                    width=140,
                    texts=values({1: ("yes", BAD), 0: ("no", "transparent")}),
                ),
            ],
            size=Size(24, 7),
            sorted_by="From the start",
            then_by="People",
            only_with="People",
            empty=(
                "Every live meeting is recorded, or the exporter runs without --meetings.discover."
            ),
        )
    ]


def failures() -> list[Panel]:
    """Return how many recordings start, are known, and fail."""
    started = totals.growth_of_apps(CHOSEN, of_app("rk_recordings_started_total"))
    failed = f"sum by ({BY_APP}) ({ended_within('1h', totals.FAILURES)})"
    every = f"sum by ({BY_APP}) ({ended_within('1h', totals.ENDS)})"
    return [
        history(
            About(
                "Failure rate by app",
                "Share of ERRORED recordings among those that ended within an hour.",
                unit="percentunit",
            ),
            [query(f"{failed}\n/\n({every} > 0)", _APP)],
            size=Size(8, 8),
            absent="No recording ended within an hour.",
        )
        .max(1)
        .legend(legends.compact("lastNotNull", "max")),
        events(
            About("Started", "Recordings that started."),
            [query(f"sum({started})", "started")],
            size=Size(8, 8),
            colours={"started": COLOURS["RECORDING"]},
        ).legend(legends.in_table("sum")),
        bars(
            About(
                "Recordings by state",
                "Current number of recordings in each state, including those that ended in the "
                "last days. Hidden ones ended too, but they have no series of their own.",
            ),
            [
                *(
                    instant(or_zero(f"sum({in_states(state.name)})"), state.name)
                    for state in STATES
                ),
                instant(or_zero(f"sum({HIDDEN})"), "hidden"),
            ],
            size=Size(8, 8),
            fixed_colours=COLOURS,
        ),
    ]


def delays() -> list[Panel]:
    """Return how long recordings take to start and to upload."""
    return [
        quantiles(
            About(
                "Start delay",
                "Time from the request for a recording to its start, for recordings of the last "
                "hour. About 2 s is normal.",
                unit="s",
            ),
            _within_an_hour,
            "rk_recording_start_delay_seconds",
            size=_HALF,
            absent="No recording started within an hour.",
        ),
        quantiles(
            About(
                "Upload delay",
                "Time from the end of a recording until the exporter saw it UPLOADED, for "
                "recordings of the last hour. The upload itself took no longer.",
                unit="s",
            ),
            _within_an_hour,
            "rk_recording_upload_delay_seconds",
            size=_HALF,
            absent="No recording was uploaded within an hour.",
        ),
    ]


def files() -> list[Panel]:
    """Return how much is stored, and what expires."""
    expiring = f"bottomk({_ROWS}, {expressions.expiring_once(CHOSEN, '$within')})"
    sizes = read_last("rk_recording_file_size_bytes")
    totals_of_apps = totals.one_view(
        CHOSEN,
        f"sum by ({CHOSEN.app_in_exporter}) ({of_meeting('rk_recording_file_size_bytes')})",
    )
    return [
        history(
            About(
                "Data recorded",
                "Total size of the files of all known recordings, which are those of the last "
                "days.",
                unit="bytes",
            ),
            [query(f"sum by ({BY_APP}) ({totals_of_apps})", _APP)],
            size=_HALF,
            absent="No recording has a file at this time.",
        ),
        table_of(
            About(
                "Expiring files",
                f"The {_ROWS} files that RealtimeKit deletes next, within the time chosen "
                "at the top. Saved says whether your archive has a copy; it is empty without one, "
                "see `downloads.archive`.",
            ),
            [
                *_OF_MEETING,
                Value("Expires in", named(expiring), unit=LONG_DURATION, width=110),
                Value(
                    "Size",
                    f"{sizes}\nand on ({BY_RECORDING})\n{expiring}",
                    unit="bytes",
                    width=90,
                    decimals=1,
                ),
                Value(
                    "Saved",
                    f"{saved()}\nand on ({BY_RECORDING})\n{expiring}",
                    width=75,
                    texts=SAVED,
                ),
            ],
            size=_HALF,
            sorted_by="Expires in",
            descending=False,
            empty="No file expires so soon.",
            hidden_labels=["recording_id"],
        ),
    ]


def _within_an_hour(series: str) -> str:
    return f"increase({of_app(series)}[1h])"

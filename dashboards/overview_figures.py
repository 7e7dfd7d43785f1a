"""The six tiles at the top of the overview, which answer whether recording works."""

from dashboards.links import EXPORTER, RECORDINGS, link_with_variables
from dashboards.overview_queries import (
    EXPIRING_SOON,
    FAILED_TODAY,
    NO_DATA,
    OLD_DATA,
    RECORDING_NOW,
    REFUSED,
    STUCK_NOW,
    UNRECORDED_NOW,
    WATCHING,
)
from dashboards.panels import About, Panel, Size, instant, tile
from dashboards.states import values
from rk_exporter.model.palette import BAD, GOOD, SOON


_TILE = Size(4, 4)
_BLIND = {
    NO_DATA: ("no data", BAD),
    OLD_DATA: ("old data", BAD),
    REFUSED: ("API fails", BAD),
}


def tiles() -> list[Panel]:
    """Return the tiles."""
    return [
        _watching(),
        tile(
            About("Recording now", "Recordings in the state RECORDING."),
            instant(RECORDING_NOW),
            size=_TILE,
            colours={0: GOOD},
            link=link_with_variables(RECORDINGS),
        ),
        *_problems(),
    ]


def _watching() -> Panel:
    return tile(
        About(
            "Watching",
            "Meetings that the exporter watches. It says `no data` if an exporter is down and "
            "nobody else reads its app, `old data` if an app could not be read for as long as the "
            "alert about old data allows, and `API fails` if the last calls failed.",
        ),
        instant(WATCHING),
        size=_TILE,
        colours={0: GOOD},
        texts=values(_BLIND),
        link=link_with_variables(EXPORTER),
    )


def _problems() -> list[Panel]:
    return [
        _problem(
            About(
                "Stuck",
                "Recordings that do not start or whose upload does not end, by the thresholds of "
                "the alerts.",
            ),
            STUCK_NOW,
            BAD,
        ),
        _problem(
            About(
                "Failed, 24 h",
                "Recordings that became ERRORED within 24 hours. They have no file.",
            ),
            FAILED_TODAY,
            BAD,
        ),
        _problem(
            About(
                "Unrecorded",
                "Meetings with people in them that should record from the start and have not been "
                "recorded for at least a minute. Unknown without `--meetings.discover`.",
            ),
            UNRECORDED_NOW,
            BAD,
        ),
        _problem(
            About(
                "Expiring",
                "Recordings whose download URL expires within the time that you choose at the "
                "top. RealtimeKit deletes the file at the same time.",
            ),
            EXPIRING_SOON,
            SOON,
        ),
    ]


def _problem(about: About, promql: str, colour: str) -> Panel:
    """Show a number that should be 0. It is unknown if an app cannot be read."""
    return tile(
        about,
        instant(promql),
        size=_TILE,
        colours={0: GOOD, 1: colour},
        link=link_with_variables(RECORDINGS),
    )

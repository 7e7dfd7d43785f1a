"""The six tiles at the top of the overview, which answer whether recording works."""

from dashboards import expressions
from dashboards.links import EXPORTER, RECORDINGS, link_with_variables
from dashboards.panels import About, Panel, Size, instant, tile
from dashboards.queries import MISSED, ended_within, in_states
from dashboards.selectors import CHOSEN, of_app, of_meeting, once, threshold, up
from dashboards.states import values
from rk_exporter.model.palette import BAD, GOOD, SOON


_TILE = Size(4, 4)
_NO_DATA, _OLD_DATA, _REFUSED = -1, -2, -3
_DATA_AGE = threshold("data_age_seconds")
_MEETINGS = once(CHOSEN.app_in_place, of_app("rk_meetings"))
# An app whose only exporter is down has no series. The other apps would hide that.
_LOST = (
    f"(max by ({CHOSEN.app_in_place}) (last_over_time({of_app('rk_meetings')}[1d]))\n"
    f"unless on ({CHOSEN.app_in_place}) {_MEETINGS}\nand on () ({up()} == 0))"
)
_READ_AT = once(CHOSEN.app_in_place, of_meeting("rk_meeting_last_success_timestamp_seconds"))
_OLD = f"(time() - {_READ_AT} > {_DATA_AGE})"
_REFUSING = f"({once(CHOSEN.app_in_place, of_app('rk_up'))} == 0)"
# Not even a 0 is known about apps that cannot be read.
_ZERO = f"(0 * sum({_MEETINGS})\nunless on () (count({_LOST}) or count({_OLD})))"
_DISCOVERED_AT = once(CHOSEN.app_in_place, of_app("rk_discovery_last_success_timestamp_seconds"))
_UNDISCOVERED = (
    f"({_MEETINGS}\nunless on ({CHOSEN.app_in_place}) (time() - {_DISCOVERED_AT} < {_DATA_AGE}))"
)


def tiles() -> list[Panel]:
    """Return the tiles."""
    return [_watching(), _recording_now(), _stuck(), _failed(), _unrecorded(), _expiring()]


def _watching() -> Panel:
    problems = {
        _NO_DATA: ("no data", BAD),
        _OLD_DATA: ("old data", BAD),
        _REFUSED: ("API fails", BAD),
    }
    return tile(
        About(
            "Watching",
            "Meetings that the exporter watches. It says `no data` if an exporter is down and "
            "nobody else reads its app, `old data` if an app could not be read for as long as the "
            "alert about old data allows, and `API fails` if the last calls failed.",
        ),
        instant(
            f"0 * count({_LOST}) + {_NO_DATA}\n"
            f"or 0 * count({_OLD}) + {_OLD_DATA}\n"
            f"or 0 * count({_REFUSING}) + {_REFUSED}\n"
            f"or sum({_MEETINGS})\nor vector({_NO_DATA})"
        ),
        size=_TILE,
        colours={0: GOOD},
        texts=values(problems),
        link=link_with_variables(EXPORTER),
    )


def _recording_now() -> Panel:
    return tile(
        About("Recording now", "Recordings in the state RECORDING."),
        instant(f"sum({in_states('RECORDING')})\nor {_ZERO}"),
        size=_TILE,
        colours={0: GOOD},
        link=link_with_variables(RECORDINGS),
    )


def _stuck() -> Panel:
    return _problem(
        About(
            "Stuck",
            "Recordings that do not start or whose upload does not end, by the thresholds of the "
            "alerts.",
        ),
        f"count({expressions.stuck(CHOSEN)})",
        BAD,
    )


def _failed() -> Panel:
    return _problem(
        About("Failed, 24 h", "Recordings that became ERRORED within 24 hours. They have no file."),
        f"sum({ended_within('1d', expressions.FAILURES)}) > 0",
        BAD,
    )


def _unrecorded() -> Panel:
    return tile(
        About(
            "Unrecorded",
            "Meetings with people in them that should record from the start and have not been "
            "recorded for at least a minute. Unknown without `--meetings.discover`.",
        ),
        instant(f"count({MISSED})\nor ({_ZERO} unless on () {_UNDISCOVERED})"),
        size=_TILE,
        colours={0: GOOD, 1: BAD},
        link=link_with_variables(RECORDINGS),
    )


def _expiring() -> Panel:
    return _problem(
        About(
            "Expiring",
            "Recordings whose download URL expires within the time that you choose at the top. "
            "RealtimeKit deletes the file at the same time.",
        ),
        f"count({expressions.expiring_once(CHOSEN, '$within')})",
        SOON,
    )


def _problem(about: About, promql: str, colour: str) -> Panel:
    return tile(
        about,
        instant(f"{promql}\nor {_ZERO}"),
        size=_TILE,
        colours={0: GOOD, 1: colour},
        link=link_with_variables(RECORDINGS),
    )

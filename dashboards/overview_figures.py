"""The numbers at the top of the overview."""

from dashboards.panels import (
    About,
    Panel,
    Size,
    instant,
    number,
    query,
)
from dashboards.queries import (
    EXPIRING_WITHIN_A_DAY,
    FAILED,
    LIVE_UNRECORDED,
    ended_within,
    in_states,
)
from dashboards.selectors import (
    BY_MEETING,
    of_app,
    of_meeting,
    once,
    or_zero,
    up,
)
from dashboards.states import IN_PROGRESS, values


_FIGURE = Size(3, 4)
_MINUTE_SECONDS = 60


def figures() -> list[Panel]:
    """Return the panels."""
    return [*_health(), *_recordings()]


def _health() -> list[Panel]:
    read_at = once(BY_MEETING, of_meeting("rk_meeting_last_success_timestamp_seconds"))
    return [
        number(
            About(
                "Exporter",
                "DOWN if Prometheus cannot scrape one of the selected exporters.",
                unit="none",
            ),
            instant(f"min({up()})"),
            size=_FIGURE,
            texts=values({1: ("UP", "green"), 0: ("DOWN", "red")}),
            absent="no target",
        ),
        number(
            About(
                "API",
                "FAILING if the last pass over an app's meetings could not reach the API or was "
                "rejected.",
                unit="none",
            ),
            instant(f"min({of_app('rk_up')})"),
            size=_FIGURE,
            texts=values({1: ("OK", "green"), 0: ("FAILING", "red")}),
        ),
        number(
            About(
                "Oldest data",
                "Time since the last read of the meeting that has waited longest. Unknown until "
                "the first read.",
                unit="s",
            ),
            instant(f"time() - min({read_at})"),
            size=_FIGURE,
            colours={0: "green", 5 * _MINUTE_SECONDS: "orange", 10 * _MINUTE_SECONDS: "red"},
            decimals=0,
        ),
    ]


def _recordings() -> list[Panel]:
    return [
        number(
            About("In progress", "Recordings that are INVOKED, RECORDING, PAUSED or UPLOADING."),
            query(or_zero(f"sum({in_states('|'.join(IN_PROGRESS))})")),
            size=_FIGURE,
            history=True,
        ),
        number(
            About(
                "Failed, last 24 h",
                "Recordings that became ERRORED within 24 hours. They have no file.",
            ),
            instant(f"round(sum({ended_within('1d', FAILED)}))"),
            size=_FIGURE,
            colours={0: "green", 1: "red"},
        ),
        number(
            About(
                "Failure rate, 24 h",
                "Share of ERRORED recordings among those that ended within 24 hours.",
                unit="percentunit",
            ),
            instant(
                f"sum({ended_within('1d', FAILED)})\n"
                f"/\n(sum({ended_within('1d', f'{FAILED}|uploaded')}) > 0)"
            ),
            size=_FIGURE,
            colours={0: "green", 0.05: "orange", 0.2: "red"},
            absent="none ended",
            decimals=1,
        ),
        number(
            About(
                "Live, not recorded",
                "Meetings with people in them that have not been recorded for at least a minute, "
                "with or without record_on_start. Unknown without `--meetings.discover`.",
            ),
            instant(f"count({LIVE_UNRECORDED})\nor\n0 * sum({of_app('rk_discovery_up')})"),
            size=_FIGURE,
            colours={0: "green", 1: "orange"},
        ),
        number(
            About(
                "Expire within 24 h",
                "Recordings whose download URL expires within 24 hours. RealtimeKit deletes the "
                "file at the same time.",
            ),
            instant(or_zero(f"sum({EXPIRING_WITHIN_A_DAY})")),
            size=_FIGURE,
            colours={0: "green", 1: "yellow"},
        ),
    ]

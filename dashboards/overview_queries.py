"""PromQL of the overview's tiles and of its table of meetings."""

from dashboards import expressions
from dashboards.queries import MISSED, REQUESTED_AT, in_states, top_troubles
from dashboards.scope import BY_MEETING, BY_RECORDING
from dashboards.selectors import (
    CHOSEN,
    newest_of_live_meetings,
    of_app,
    of_meeting,
    once,
    threshold,
    up,
)


ROWS = 50
NO_DATA, OLD_DATA, REFUSED = -1, -2, -3
"""What is wrong if nothing can be watched."""
UNREAD, UNRECORDED = expressions.STUCK + 1, expressions.STUCK + 2
"""Trouble levels that only meetings have."""
_DAY_SECONDS = 86_400
_APP = CHOSEN.app_in_place
_DATA_AGE = threshold("data_age_seconds")


def _of_each_meeting(metric: str) -> str:
    """Select a metric of meetings, each once."""
    return once(BY_MEETING, of_meeting(f"rk_meeting_{metric}"))


def of_live_meeting(metric: str) -> str:
    """Select a metric of live meetings, each as it was listed last."""
    return once(BY_MEETING, newest_of_live_meetings(of_meeting(f"rk_meeting_{metric}")))


_MEETINGS = once(_APP, of_app("rk_meetings"))
# An app whose only exporter is down has no series. The other apps would hide that.
_LOST = (
    f"(max by ({_APP}) (last_over_time({of_app('rk_meetings')}[1d]))\n"
    f"unless on ({_APP}) {_MEETINGS}\nand on () ({up()} == 0))"
)
_READ_AT = once(_APP, of_meeting("rk_meeting_last_success_timestamp_seconds"))
_OLD = f"(time() - {_READ_AT} > {_DATA_AGE})"
_REFUSING = f"({once(_APP, of_app('rk_up'))} == 0)"
_DISCOVERED_AT = once(_APP, of_app("rk_discovery_last_success_timestamp_seconds"))
_UNDISCOVERED = f"({_MEETINGS}\nunless on ({_APP}) (time() - {_DISCOVERED_AT} < {_DATA_AGE}))"
# Not even a 0 is known about apps that cannot be read.
_ZERO = f"(0 * sum({_MEETINGS})\nunless on () (count({_LOST}) or count({_OLD})))"

_STOPPED_AT, _DURATION = (
    once(BY_RECORDING, of_meeting(f"rk_recording_{name}_seconds"))
    for name in ("stopped_timestamp", "duration")
)
# The API does not report when a recording failed.
_ENDED_AT = (
    f"({_STOPPED_AT}\n"
    f"or on ({BY_RECORDING}) {REQUESTED_AT} + on ({BY_RECORDING}) {_DURATION}\n"
    f"or on ({BY_RECORDING}) {REQUESTED_AT})"
)

WATCHING = (
    f"0 * count({_LOST}) + {NO_DATA}\n"
    f"or 0 * count({_OLD}) + {OLD_DATA}\n"
    f"or 0 * count({_REFUSING}) + {REFUSED}\n"
    f"or sum({_MEETINGS})\nor vector({NO_DATA})"
)
RECORDING_NOW = f"sum({in_states('RECORDING')})\nor {_ZERO}"
STUCK_NOW = f"count({expressions.stuck(CHOSEN)})\nor {_ZERO}"
# By state, because counters miss what failed while no exporter ran.
FAILED_TODAY = (
    f"count(({expressions.in_state(CHOSEN, 'ERRORED')} == 1)\n"
    f"unless on ({BY_RECORDING}) ({_ENDED_AT} < time() - {_DAY_SECONDS}))\nor {_ZERO}"
)
UNRECORDED_NOW = f"count({MISSED})\nor ({_ZERO} unless on () {_UNDISCOVERED})"
EXPIRING_SOON = f"count({expressions.expiring_once(CHOSEN, '$within')})\nor {_ZERO}"

LATEST_AT = once(BY_MEETING, of_meeting("rk_recording_invoked_timestamp_seconds"))
_LATEST = f"{REQUESTED_AT} == on ({BY_MEETING}) group_left () {LATEST_AT}"


def of_latest(promql: str) -> str:
    """Return the value of each meeting's most recently requested recording."""
    return f"max by ({BY_MEETING}) ({promql}\nand on ({BY_RECORDING})\n({_LATEST}))"


def _trouble() -> str:
    """
    Return the most urgent problem of each meeting that has one.

    Failures and empty files are of today.
    """
    past = f"({_ENDED_AT} < time() - {_DAY_SECONDS})"
    expires = f"{expressions.EXPIRES} * ({expressions.expiring_once(CHOSEN)}) ^ 0"
    return (
        f"max by ({BY_MEETING}) (\n{UNRECORDED} * {MISSED} ^ 0\n"
        f"or {UNREAD} * ({_unread()}) ^ 0\n"
        f"or {expressions.urgent_trouble(CHOSEN, past=past)}\n"
        f"or {expires})"
    )


def most_urgent() -> str:
    """Return the trouble of the meetings with a row: of equal ones, those that started last."""
    known = once(BY_MEETING, of_meeting("rk_meeting_info"))
    return top_troubles(BY_MEETING, _trouble(), LATEST_AT, known, rows=ROWS)


def _unread() -> str:
    """Return the meetings that have not been read for a while, or never."""
    read_at = _of_each_meeting("last_success_timestamp_seconds")
    return (
        f"{_of_each_meeting('up')} == 0\nunless on ({BY_MEETING}) time() - {read_at} <= {_DATA_AGE}"
    )

"""PromQL of the overview's tiles and of its table of meetings."""

from dashboards import expressions
from dashboards.queries import MISSED, in_states
from dashboards.selectors import (
    BY_MEETING,
    BY_RECORDING,
    CHOSEN,
    newest,
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
# More than any time in seconds.
_RANK = "1e10"
_DAY_SECONDS = 86_400
_PLACE = CHOSEN.app_in_place
_DATA_AGE = threshold("data_age_seconds")


def of_recording(metric: str) -> str:
    """Select a metric of recordings, each once."""
    return once(BY_RECORDING, of_meeting(f"rk_recording_{metric}"))


def read_last(metric: str) -> str:
    """Select a metric of recordings, each as it was read last."""
    return once(BY_RECORDING, newest(of_meeting(f"rk_recording_{metric}")))


def of_each_meeting(metric: str) -> str:
    """Select a metric of meetings, each once."""
    return once(BY_MEETING, of_meeting(f"rk_meeting_{metric}"))


def of_live_meeting(metric: str) -> str:
    """Select a metric of live meetings, each as it was listed last."""
    return once(BY_MEETING, newest_of_live_meetings(of_meeting(f"rk_meeting_{metric}")))


_MEETINGS = once(_PLACE, of_app("rk_meetings"))
# An app whose only exporter is down has no series. The other apps would hide that.
_LOST = (
    f"(max by ({_PLACE}) (last_over_time({of_app('rk_meetings')}[1d]))\n"
    f"unless on ({_PLACE}) {_MEETINGS}\nand on () ({up()} == 0))"
)
_READ_AT = once(_PLACE, of_meeting("rk_meeting_last_success_timestamp_seconds"))
_OLD = f"(time() - {_READ_AT} > {_DATA_AGE})"
_REFUSING = f"({once(_PLACE, of_app('rk_up'))} == 0)"
_DISCOVERED_AT = once(_PLACE, of_app("rk_discovery_last_success_timestamp_seconds"))
_UNDISCOVERED = f"({_MEETINGS}\nunless on ({_PLACE}) (time() - {_DISCOVERED_AT} < {_DATA_AGE}))"
# Not even a 0 is known about apps that cannot be read.
_ZERO = f"(0 * sum({_MEETINGS})\nunless on () (count({_LOST}) or count({_OLD})))"

_REQUESTED_AT = of_recording("invoked_timestamp_seconds")
# The API does not report when a recording failed.
_ENDED_AT = (
    f"({of_recording('stopped_timestamp_seconds')}\n"
    f"or on ({BY_RECORDING}) "
    f"{_REQUESTED_AT} + on ({BY_RECORDING}) {of_recording('duration_seconds')}\n"
    f"or on ({BY_RECORDING}) {_REQUESTED_AT})"
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

EXPIRES_IN = of_recording("download_url_expires_in_seconds")
LATEST_AT = once(BY_MEETING, of_meeting("rk_recording_invoked_timestamp_seconds"))
_LATEST = f"{_REQUESTED_AT} == on ({BY_MEETING}) group_left () {LATEST_AT}"


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
    # Another label keeps the trouble apart. A sum costs less than the joins of all meetings.
    urgent = f'label_replace({_RANK} * {_trouble()}, "part", "trouble", "", "")'
    known = once(BY_MEETING, of_meeting("rk_meeting_info"))
    rank = f"sum by ({BY_MEETING}) (\n{urgent}\nor {LATEST_AT}\nor {known})"
    return f"floor(topk({ROWS}, {rank}) / {_RANK})"


def _unread() -> str:
    """Return the meetings that have not been read for a while, or never."""
    read_at = of_each_meeting("last_success_timestamp_seconds")
    return (
        f"{of_each_meeting('up')} == 0\nunless on ({BY_MEETING}) time() - {read_at} <= {_DATA_AGE}"
    )

"""
PromQL for the meetings that need attention most, and for what is known about them.

Which they are costs much, because Prometheus must read all meetings. A variable has their ids, so
that all other queries read only these.
"""

from dashboards import expressions, queries
from dashboards.names import with_names
from dashboards.scope import Scope
from dashboards.selectors import CHOSEN, URGENT, once, threshold


ROWS = 50
UNREAD, UNRECORDED = expressions.STUCK + 1, expressions.STUCK + 2
"""Trouble levels that only meetings have."""
# More than any time in seconds.
_RANK = "1e10"
_DATA_AGE = threshold("data_age_seconds")


def most_urgent() -> str:
    """Return the most urgent of the selected meetings. Of equal ones, those that started last."""
    return f"topk({ROWS}, {_rank(CHOSEN)})"


def trouble(scope: Scope = URGENT) -> str:
    """Return the most urgent problem of each meeting, or 0, with the meeting's name."""
    return with_names(scope, f"floor({_rank(scope)} / {_RANK})")


def started_at() -> str:
    """Return when the latest recording of each meeting was requested, in unix seconds."""
    return _latest_at(URGENT)


def of_latest(metric: str, scope: Scope = URGENT) -> str:
    """Return a value of each meeting's most recently requested recording."""
    requested_at = once(scope.recording, scope.of_recording(_REQUESTED))
    latest = f"{requested_at} == on ({scope.meeting}) group_left () {_latest_at(scope)}"
    values = queries.of_recordings(scope, metric)
    return f"max by ({scope.meeting}) ({values}\nand on ({scope.recording})\n({latest}))"


def expires_in() -> str:
    """Return the time until the next file of each meeting expires, in seconds."""
    metric = "rk_recording_download_url_expires_in_seconds"
    left = once(URGENT.recording, URGENT.of_recording(metric))
    return f"min by ({URGENT.meeting}) ({left} > 0)"


_REQUESTED = "rk_recording_invoked_timestamp_seconds"


def _latest_at(scope: Scope) -> str:
    return once(scope.meeting, scope.of_recording(_REQUESTED))


def _rank(scope: Scope) -> str:
    """Return a number for each meeting that is higher the more urgent it is."""
    # Another label keeps the trouble apart. A sum costs less than the joins of all meetings.
    urgent = f'label_replace({_RANK} * {_trouble(scope)}, "part", "trouble", "", "")'
    known = once(scope.meeting, scope.of_meeting("rk_meeting_info"))
    return f"sum by ({scope.meeting}) (\n{urgent}\nor {_latest_at(scope)}\nor {known})"


def _trouble(scope: Scope) -> str:
    """
    Return the most urgent problem of each meeting that has one.

    Failures and empty files are of today.
    """
    expires = f"{expressions.EXPIRES} * ({expressions.expiring_once(scope)}) ^ 0"
    return (
        f"max by ({scope.meeting}) (\n{UNRECORDED} * {queries.missed(scope)} ^ 0\n"
        f"or {UNREAD} * ({_unread(scope)}) ^ 0\n"
        f"or {expressions.urgent_trouble(scope, past=queries.past(scope))}\n"
        f"or {expires})"
    )


def _unread(scope: Scope) -> str:
    """Return the meetings that have not been read for a while, or never."""
    meeting = scope.meeting
    up, read_at = (
        once(meeting, scope.of_meeting(f"rk_meeting_{metric}"))
        for metric in ("up", "last_success_timestamp_seconds")
    )
    return f"{up} == 0\nunless on ({meeting}) time() - {read_at} <= {_DATA_AGE}"

"""PromQL of the overview's tiles."""

from dashboards import expressions
from dashboards.queries import in_states, missed, past
from dashboards.selectors import (
    BY_RECORDING,
    CHOSEN,
    of_app,
    of_meeting,
    once,
    threshold,
    up,
)


NO_DATA, OLD_DATA, REFUSED = -1, -2, -3
"""What is wrong if nothing can be watched."""
_PLACE = CHOSEN.app_in_place
_DATA_AGE = threshold("data_age_seconds")


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
    f"unless on ({BY_RECORDING}) {past(CHOSEN)})\nor {_ZERO}"
)
UNRECORDED_NOW = f"count({missed(CHOSEN)})\nor ({_ZERO} unless on () {_UNDISCOVERED})"
EXPIRING_SOON = f"count({expressions.expiring_once(CHOSEN, '$within')})\nor {_ZERO}"

"""PromQL that several panels share."""

from dashboards import expressions, totals
from dashboards.selectors import (
    BY_MEETING,
    CHOSEN,
    newest_of_live_meetings,
    of_app,
    of_meeting,
    once,
)


FAILED = totals.FAILURES
STATE_CODE = expressions.state_code(CHOSEN)
# A recording may start a moment after the first people.
LIVE_UNRECORDED = (
    f"({expressions.unrecorded(CHOSEN)}\n"
    f"and on ({BY_MEETING})\n{expressions.people_for_a_minute(CHOSEN)})"
)
# Only these meetings need a recording.
MISSED = (
    f"({LIVE_UNRECORDED}\nand on ({BY_MEETING})\n"
    f"{newest_of_live_meetings(of_meeting('rk_meeting_record_on_start'))} == 1)"
)
HIDDEN = once(CHOSEN.app_in_place, of_app("rk_recordings_hidden"))


def in_states(statuses: str) -> str:
    """
    Return how many recordings of each app are known in one or several states, separated by `|`.

    A recording that two exporters know in two of the states counts once.
    """
    matcher = f'status=~"{statuses}"' if "|" in statuses else f'status="{statuses}"'
    known = totals.one_view(CHOSEN, of_app("rk_recordings", matcher))
    return totals.total_of_apps(CHOSEN, known)


def ended_within(window: str, outcomes: str) -> str:
    """Return how many recordings of each app ended with one or several outcomes."""
    return totals.ended_within(CHOSEN, window, outcomes)

"""PromQL that several panels share."""

from dashboards import expressions, totals
from dashboards.scope import Scope
from dashboards.selectors import CHOSEN, of_app, once


FAILED = totals.FAILURES
STATE_CODE = expressions.state_code(CHOSEN)
HIDDEN = once(CHOSEN.app_in_place, of_app("rk_recordings_hidden"))
_DAY_SECONDS = 86_400


def of_recordings(scope: Scope, metric: str) -> str:
    """Return the value of a metric for each recording, from the exporter that read it last."""
    return once(scope.recording, expressions.newest(scope, scope.of_recording(metric)))


def of_live_meetings(scope: Scope, metric: str) -> str:
    """Return the value of a metric for each live meeting, from the exporter that listed it last."""
    return once(scope.meeting, expressions.newest_of_live_meetings(scope, scope.of_meeting(metric)))


def live_unrecorded(scope: Scope) -> str:
    """Return the number of people in each meeting that has not been recorded for a minute."""
    # A recording may start a moment after the first people.
    return (
        f"({expressions.unrecorded(scope)}\n"
        f"and on ({scope.meeting})\n{expressions.people_for_a_minute(scope)})"
    )


def missed(scope: Scope) -> str:
    """Return those of them that should record from the start. Only they need a recording."""
    should = scope.of_meeting("rk_meeting_record_on_start")
    return (
        f"({live_unrecorded(scope)}\nand on ({scope.meeting})\n"
        f"{expressions.newest_of_live_meetings(scope, should)} == 1)"
    )


def past(scope: Scope) -> str:
    """Return the recordings that ended more than a day ago."""
    invoked, stopped, duration = (
        once(scope.recording, scope.of_recording(f"rk_recording_{name}"))
        for name in (
            "invoked_timestamp_seconds",
            "stopped_timestamp_seconds",
            "duration_seconds",
        )
    )
    # The API does not report when a recording failed.
    ended_at = (
        f"({stopped}\n"
        f"or on ({scope.recording}) {invoked} + on ({scope.recording}) {duration}\n"
        f"or on ({scope.recording}) {invoked})"
    )
    return f"({ended_at} < time() - {_DAY_SECONDS})"


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

"""PromQL that several panels share."""

from dashboards import expressions, totals
from dashboards.scope import BY_MEETING, BY_RECORDING
from dashboards.selectors import CHOSEN, newest, newest_of_live_meetings, of_app, of_meeting, once


# More than any time in seconds.
_RANK = "1e10"
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
REQUESTED_AT = once(BY_RECORDING, of_meeting("rk_recording_invoked_timestamp_seconds"))
"""When each recording was requested, in unix seconds, which no read changes."""
EXPIRES_IN = once(BY_RECORDING, of_meeting("rk_recording_download_url_expires_in_seconds"))
"""The time until each file expires, in seconds. A renewed URL expires later."""
HIDDEN = once(CHOSEN.app_in_place, of_app("rk_recordings_hidden"))


def read_last(metric: str) -> str:
    """Return the value of a metric for each recording, from the exporter that read it last."""
    return once(BY_RECORDING, newest(of_meeting(metric)))


def top_troubles(labels: str, trouble: str, *others: str, rows: int) -> str:
    """
    Return the *trouble* of the most urgent meetings or recordings, which *labels* identify.

    Those without a trouble, and equally urgent ones, are ranked by the sum of the *others*.
    """
    # Another label keeps the trouble apart. A sum costs less than joins.
    urgent = f'label_replace({_RANK} * {trouble}, "part", "trouble", "", "")'
    parts = "\nor ".join((urgent, *others))
    return f"floor(topk({rows}, sum by ({labels}) (\n{parts})) / {_RANK})"


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

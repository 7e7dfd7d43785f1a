"""PromQL for all recordings of the selected meetings."""

from dataclasses import replace

from dashboards import expressions
from dashboards.expressions import in_state, trouble_level
from dashboards.names import names
from dashboards.queries import REQUESTED_AT, read_last, top_troubles
from dashboards.scope import BY_MEETING, BY_RECORDING
from dashboards.selectors import CHOSEN, named, of_latest, of_meeting, once


ROWS = 500
"""How many recordings the table shows."""
LIMIT_SECONDS = 86_400
"""RealtimeKit stops a recording after 24 hours, or after its `max_seconds`."""
LONGEST = 10
"""How many recordings or meetings a ranking shows."""


def most_urgent() -> str:
    """Return the trouble of the recordings with a row: of equal ones, those requested last."""
    trouble = trouble_level(CHOSEN)
    return named(top_troubles(BY_RECORDING, trouble, REQUESTED_AT, rows=ROWS))


def running_longest() -> str:
    """Return how long the longest recordings have been running, with a label for their bars."""
    started_at = once(BY_RECORDING, of_meeting("rk_recording_started_timestamp_seconds"))
    runs = f"({in_state(CHOSEN, 'RECORDING|PAUSED')}) == 1"
    longest = named(f"topk({LONGEST}, (time() - {started_at}) and on ({BY_RECORDING}) {runs})")
    name = f'label_replace({longest}, "bar", "$1", "meeting_name", "(?s)(.*)")'
    # Two recordings of one meeting differ in the first characters of their ids.
    with_id = f'label_replace({longest}, "bar", "$1", "recording_id", "(.{{1,8}}).*")'
    with_id = f'label_join({with_id}, "bar", " ", "meeting_name", "bar")'
    several = f"count by (meeting_name) ({longest}) > 1"
    return (
        f"sort_desc(({with_id}\nand on (meeting_name) ({several}))\nor on ({BY_RECORDING}) {name})"
    )


def state_of_latest() -> str:
    """Return the code of the state of each meeting's latest recording, over time."""
    scope = replace(CHOSEN, of_meeting=of_latest, of_recording=of_latest)
    return _uniquely_named(expressions.state_of_latest(scope), names(scope, " @ end()"))


def sizes_of_meetings() -> str:
    """Return the size of all files of each of the meetings with the largest."""
    sizes = f"sum by ({BY_MEETING}) ({read_last('rk_recording_file_size_bytes')}) > 0"
    return f"sort_desc({_uniquely_named(f'topk({LONGEST}, {sizes})', names(CHOSEN))})"


def _uniquely_named(promql: str, all_names: str) -> str:
    """Add the label `meeting_name`, with a part of the id if several meetings have one name."""
    same = f"({all_names} and on (meeting_name) count by (meeting_name) ({all_names}) > 1)"
    with_id = f'label_replace({same}, "short_id", "$1", "meeting_id", "(.{{1,8}}).*")'
    with_id = f'label_join({with_id}, "meeting_name", " ", "meeting_name", "short_id")'
    unique = f"({all_names} unless on ({BY_MEETING}) {same} or on ({BY_MEETING}) {with_id})"
    unique = f"topk by ({BY_MEETING}) (1, {unique})"
    return f"({promql})\n* on ({BY_MEETING}) group_left (meeting_name)\n{unique}"

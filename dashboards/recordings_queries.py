"""PromQL for all recordings of the selected meetings."""

from dataclasses import replace

from dashboards.expressions import in_state, state_code, trouble_level
from dashboards.selectors import BY_MEETING, BY_RECORDING, CHOSEN, named, newest, of_meeting, once
from dashboards.totals import one_view


ROWS = 500
"""How many recordings the table shows."""
LIMIT_SECONDS = 86_400
"""RealtimeKit stops a recording after 24 hours, or after its `max_seconds`."""
LONGEST = 10
"""How many recordings or meetings a ranking shows."""
MEETINGS = 20
"""How many meetings a history shows, because more would not be legible."""
# More than any time in seconds.
_RANK = "1e10"


def _by_recording(metric: str) -> str:
    return once(BY_RECORDING, of_meeting(metric))


STATE = state_code(CHOSEN)
REQUESTED_AT = _by_recording("rk_recording_invoked_timestamp_seconds")
STARTED_AT = _by_recording("rk_recording_started_timestamp_seconds")
DURATION = once(BY_RECORDING, newest(of_meeting("rk_recording_duration_seconds")))
SIZE = once(BY_RECORDING, newest(of_meeting("rk_recording_file_size_bytes")))
EXPIRES_IN = _by_recording("rk_recording_download_url_expires_in_seconds")


def most_urgent() -> str:
    """Return the trouble of the recordings with a row: of equal ones, those requested last."""
    read_at = _by_recording("rk_recording_last_success_timestamp_seconds")
    requested = f"({REQUESTED_AT}\nor 0 * {read_at})"
    rank = f"{_RANK} * {trouble_level(CHOSEN)}\n+ on ({BY_RECORDING}) {requested}"
    return named(f"floor(topk({ROWS}, {rank}) / {_RANK})")


def running_longest() -> str:
    """Return how long the longest recordings have been running, with a label for their bars."""
    runs = f"{in_state(CHOSEN, 'RECORDING|PAUSED')} == 1"
    longest = named(f"topk({LONGEST}, (time() - {STARTED_AT}) and on ({BY_RECORDING}) {runs})")
    name = f'label_replace({longest}, "bar", "$1", "meeting_name", "(?s)(.*)")'
    # Two recordings of one meeting differ in the first characters of their ids.
    with_id = f'label_replace({longest}, "bar", "$1", "recording_id", "(.{{1,4}}).*")'
    with_id = f'label_join({with_id}, "bar", " ", "meeting_name", "bar")'
    several = f"count by (meeting_name) ({longest}) > 1"
    return (
        f"sort_desc(({with_id}\nand on (meeting_name) ({several}))\nor on ({BY_RECORDING}) {name})"
    )


def state_of_latest() -> str:
    """Return the code of the state of each meeting's latest recording, over time."""
    requested = of_meeting("rk_recording_invoked_timestamp_seconds")
    last = f"topk({MEETINGS}, {once(BY_MEETING, requested + ' @ end()')})"

    def of_these(metric: str, *matchers: str) -> str:
        # The state is one of many series of a recording. Without the others, the rest is cheap.
        only = " == 1" if metric == "rk_recording_status" else ""
        return f"({of_meeting(metric, *matchers)}{only}\nand on ({BY_MEETING}) {last})"

    requested = once(BY_RECORDING, of_these("rk_recording_invoked_timestamp_seconds"))
    latest = f"{requested}\n== on ({BY_MEETING}) group_left ()\n{once(BY_MEETING, requested)}"
    codes = state_code(replace(CHOSEN, of_recording=of_these))
    return once(BY_MEETING, f"{codes}\nand on ({BY_RECORDING}) ({latest})")


def sizes_of_meetings() -> str:
    """Return the size of all files of each of the meetings with the largest, over time."""
    size = of_meeting("rk_recording_file_size_bytes")
    largest = f"sum by ({BY_MEETING}) ({once(BY_RECORDING, size + ' @ end()')})"
    sizes = one_view(CHOSEN, f"sum by ({CHOSEN.exporter}, {BY_MEETING}) ({size})")
    sizes = f"max by ({BY_MEETING}) ({sizes})"
    return f"{sizes}\nand on ({BY_MEETING}) topk({LONGEST}, {largest})"

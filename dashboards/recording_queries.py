"""PromQL for one recording: the selected one, or the newest of the meeting."""

from collections.abc import Iterator, Mapping

from dashboards.expressions import (
    STATE_CODES,
    newest_number,
    state_code,
    trouble_level,
)
from dashboards.names import with_names
from dashboards.scope import BY_MEETING, BY_RECORDING, Select
from dashboards.selectors import (
    CHOSEN,
    ONE_RECORDING,
    as_time,
    newest,
    newest_labels,
    of_app,
    of_meeting,
    of_recording,
    once,
)
from rk_exporter.model.thresholds import LONGEST_SCRAPE_INTERVAL_SECONDS


# Numbers that no recording has, for the reasons why a number is missing.
NOT_YET, NO_FILE, NO_URL, PER_TRACK = (-n * 10**12 for n in range(1, 5))
NO_RECORDING = 0
"""The code of the state of a meeting without a recording."""

_INFO = "rk_recording_info"
_MEMORY = f"{3 * LONGEST_SCRAPE_INTERVAL_SECONDS}s"
_AFTER = {
    "Started": "Requested",
    "Paused": "Started",
    "Stopped": "Started",
    "Uploaded": "Stopped",
    "Failed": "Requested",
    "Expires": "Stopped",
}
"""The event before each event."""
_STATE = state_code(ONE_RECORDING)
_STATES_OF_MEETING = state_code(CHOSEN)


def of_the_one(promql: str) -> str:
    """Keep the series of the recording that the dashboard shows, also in a history."""
    ends = " @ end()"
    times = ("invoked", "started")
    of_times = [of_recording(f"rk_recording_{name}_timestamp_seconds") + ends for name in times]
    # A recording has a state even if the API reports its times wrongly.
    known = f"0 * {once(BY_RECORDING, of_recording('rk_recording_status') + ends)}"
    newness = " or ".join([*(once(BY_RECORDING, time) for time in of_times), known])
    return f"({promql})\nand on ({BY_RECORDING}) topk(1, {newness})"


def state() -> str:
    """Return the code of the recording's state."""
    return of_the_one(_STATE)


def state_of_meeting() -> str:
    """Return the code of the recording's state with the meeting's name, or `NO_RECORDING`."""
    meeting = once(BY_MEETING, of_meeting("rk_meeting_info"))
    return with_names(CHOSEN, f"{once(BY_MEETING, state())}\nor\n{NO_RECORDING} * {meeting}")


def trouble() -> str:
    """Return how urgently the recording needs attention."""
    return of_the_one(trouble_level(ONE_RECORDING))


def duration() -> str:
    """Return the recording's length, or why it has none."""
    length = _read_last("rk_recording_duration_seconds")
    return of_the_one(f"{length}\nor\n{_without_file()}")


def size() -> str:
    """Return the size of the recording's file, or why it has none."""
    # The API reports size 0 for a recording with one file per participant.
    tracks = once(ONE_RECORDING.recording_in_exporter, of_recording(_INFO, 'kind="track"'))
    tracks = f"({newest_number(ONE_RECORDING, tracks)} == 1)"
    bytes_ = _read_last("rk_recording_file_size_bytes")
    return of_the_one(
        f"{bytes_} unless {tracks}\nor\n{PER_TRACK} * {tracks}\nor\n{_without_file()}"
    )


def expires_in() -> str:
    """Return the time until the recording's URL expires, or why it has none."""
    left = _read_last("rk_recording_download_url_expires_in_seconds")
    without_url = f"{NO_URL} * ({_STATE} == {STATE_CODES['UPLOADED']}) ^ 0"
    return of_the_one(f"{left}\nor\n{without_url}\nor\n{_without_file()}")


def _read_last(metric: str, *matchers: str) -> str:
    """Return the value of a metric for each selected recording, as it was read last."""
    return once(BY_RECORDING, newest(of_recording(metric, *matchers)))


def _without_file() -> str:
    failed = f"{NO_FILE} * ({_STATE} == {STATE_CODES['ERRORED']}) ^ 0"
    return f"{failed}\nor\n{NOT_YET} * ({_STATE} < {STATE_CODES['UPLOADED']}) ^ 0"


def last_read() -> str:
    """Return when the recording was last read."""
    return of_the_one(
        once(BY_RECORDING, of_recording("rk_recording_last_success_timestamp_seconds"))
    )


def meeting_read_at() -> str:
    """Return when the meeting was last read."""
    return once(BY_MEETING, of_meeting("rk_meeting_last_success_timestamp_seconds"))


def people() -> str:
    """Return the number of people in the meeting, from the exporter that counted last."""
    counted = of_app("rk_discovery_last_success_timestamp_seconds")
    last = f"topk by ({CHOSEN.app_in_place}) (1, {once(CHOSEN.app_in_exporter, counted)})"
    on = f"on ({CHOSEN.app_in_exporter})"
    return f"max({of_meeting('rk_meeting_live_participants')} and {on} {last})"


def in_progress() -> str:
    """Return the number of the meeting's recordings in progress, from the exporter that read it."""
    by = f"{CHOSEN.exporter}, {BY_MEETING}"
    read_at = once(by, of_meeting("rk_meeting_last_success_timestamp_seconds"))
    last = f"topk by ({BY_MEETING}) (1, {read_at})"
    return f"max({of_meeting('rk_meeting_active_recordings')} and on ({by}) {last})"


def times() -> str:
    """Return when each event of the recording's life happened, by the label `event`."""
    return as_time(f"({_by_event(dict(_times()))})")


def times_since() -> str:
    """Return how long after the event before each event happened, by the label `event`."""
    at = dict(_times())
    return _by_event({event: f"{at[event]} - {at[before]}" for event, before in _AFTER.items()})


def _by_event(promql: Mapping[str, str]) -> str:
    events = [_labelled(value, "event", event) for event, value in promql.items()]
    return of_the_one("\nor\n".join(events))


def _times() -> Iterator[tuple[str, str]]:
    reported = {
        "Requested": "invoked",
        "Started": "started",
        "Stopped": "stopped",
        "Expires": "download_url_expiry",
    }
    for event, name in reported.items():
        yield event, _read_last(f"rk_recording_{name}_timestamp_seconds")
    for event, status in {"Paused": "PAUSED", "Uploaded": "UPLOADED", "Failed": "ERRORED"}.items():
        yield event, _change_to(status)


def _change_to(status: str) -> str:
    """
    Return when the history last shows a change to a state. The API does not report it.

    It asks only the exporter that read the recording last, and its pods one after the other. It
    merges little over time, because the history has many points.
    """
    now = of_recording("rk_recording_status", f'status="{status}"')
    before = f"last_over_time({now}[{_MEMORY}] offset $__interval)"
    was_not = f"min by ({BY_RECORDING}) ({before}) == 0"
    change = f"{now} == 1 unless {before} == 1 and on ({BY_RECORDING}) {was_not}"
    last_change = f"max_over_time((time() * ({change}))[$__range:$__interval])"
    return once(BY_RECORDING, newest(last_change))


def details() -> str:
    """Return a series for each text about the recording, with the labels `field` and `text`."""
    info = newest_labels("session_id, output_file_name, kind", of_recording(_INFO))
    reason = newest_labels("reason", f"({of_recording('rk_recording_stop_reason')} == 1)")
    texts = {
        "App": _text(_STATE, "rk_app"),
        "Meeting id": _text(_STATE, "meeting_id"),
        "Recording id": _text(_STATE, "recording_id"),
        "Session id": _text(info, "session_id"),
        "File": _text(info, "output_file_name"),
        "Copy": f"{_copy(1, 'is in the archive')}\nor\n{_copy(0, 'is not in the archive')}",
        "Kind": _text(info, "kind"),
        "Stop reason": _text(reason, "reason"),
        "Video": _labelled(_with_url("composite"), "text", "has a download URL"),
        "Audio": _labelled(_with_url("audio"), "text", "has a download URL"),
    }
    rows = [
        _labelled(f"{order} * ({value}) ^ 0", "field", field)
        for order, (field, value) in enumerate(texts.items(), 1)
    ]
    return once("field, text", of_the_one("\nor\n".join(rows)))


def _with_url(kind: str) -> str:
    available = _read_last("rk_recording_download_available", f'kind="{kind}"')
    return f"{available} == 1"


def _copy(is_saved: int, text: str) -> str:
    return _labelled(f"{saved(of_recording)} == {is_saved}", "text", text)


def _text(promql: str, label: str) -> str:
    return f'label_replace({promql}, "text", "$1", "{label}", "(?s)(.*)")'


def _labelled(promql: str, label: str, text: str) -> str:
    return f'label_replace({promql}, "{label}", "{text}", "", "")'


def is_the_one() -> str:
    """Return 1 for the recording that the dashboard shows, and 0 for the meeting's others."""
    return f"({of_the_one(_STATE)}) ^ 0\nor\n0 * {_STATES_OF_MEETING}"


def states_of_meeting() -> str:
    """Return the code of the state of each recording of the meeting."""
    return _STATES_OF_MEETING


def troubles_of_meeting() -> str:
    """Return how urgently each recording of the meeting needs attention."""
    return trouble_level(CHOSEN)


def saved(select: Select = of_meeting) -> str:
    """Return whether each recording has a copy, as far as any exporter has found it."""
    return once(BY_RECORDING, select("rk_recording_archived"))

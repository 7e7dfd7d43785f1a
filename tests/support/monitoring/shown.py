"""The series that an exporter shows for an app, a meeting and a recording, for timelines."""

import math

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from rk_exporter.model.recording import Status, StopReason
from tests.support.monitoring.timelines import APP, Scrape, Series, Steps, Value


States: TypeAlias = Sequence[tuple[float, str]]
"""The states of a recording, each with the minute from which it has it."""
_WEEK_MINUTES = 7 * 24 * 60
_FINAL = ("UPLOADED", "ERRORED")
_STOPPED = ("UPLOADING", *_FINAL)


def read_at(scrape: Scrape) -> float | None:
    """Return when the API was last read."""
    return scrape.read_at


def is_read(scrape: Scrape) -> float:
    """Return whether the API was read for this scrape."""
    return float(scrape.read_at == scrape.at)


def growing(*minutes: float) -> Steps:
    """Return the steps of a counter that begins at 0 and grows by one in each of these minutes."""
    return [(0, 0), *((minute, number) for number, minute in enumerate(sorted(minutes), 1))]


def app(
    name: str = APP, *, meetings: float = 1, discovers: bool = True, until: float = math.inf
) -> Iterator[Series]:
    """
    Yield the series of an app, which is in the configuration *until* a minute, and of its exporter.

    To change one of them, put a series with the same labels behind these.
    """
    labels = {"rk_app": name}
    build = {"exporter_version": "1.0", "exporter_revision": "unknown", "python_version": "3.13"}
    info = {**labels, "rk_account_id": "account", "rk_app_id": name, "read": "active-recording"}
    yield Series("rk_exporter_build_info", build, [(0, 1)])
    yield Series("process_start_time_seconds", {}, [(0, 0)])
    yield Series("rk_config_last_reload_success_timestamp_seconds", {}, [(0, 0)])
    yield Series("rk_app_info", info, _until(until, [(0, 1)]))
    always: dict[str, Value] = {
        "rk_up": is_read,
        "rk_meetings": meetings,
        "rk_meetings_deferred": 0,
        "rk_recordings_hidden": 0,
        "rk_api_budget_limit": 600,
        "rk_api_budget_remaining": 500,
    }
    if discovers:
        always["rk_discovery_up"] = is_read
        always["rk_discovery_last_success_timestamp_seconds"] = read_at
    for metric, value in always.items():
        yield Series(metric, labels, _until(until, [(0, value)]))


def meeting(
    meeting_id: str,
    *,
    app: str = APP,
    name: str | None = None,
    people: Steps = (),
    record_on_start: bool | None = None,
    active: Steps = ((0, 0),),
    until: float = math.inf,
) -> Iterator[Series]:
    """
    Yield the series of a meeting, which is in the list *until* a minute.

    *people* are in it from each minute on, and None if it is not live. So many recordings are
    *active*.
    """
    labels = {"rk_app": app, "meeting_id": meeting_id}
    info = {**labels, "meeting_name": name or meeting_id}
    yield Series("rk_meeting_info", info, _until(until, [(0, 1)]))
    yield Series("rk_meeting_up", labels, _until(until, [(0, is_read)]))
    read: dict[str, Steps] = {
        "rk_meeting_last_success_timestamp_seconds": [(0, read_at)],
        "rk_meeting_active_recordings": active,
        "rk_meeting_live_participants": people,
        "rk_meeting_live": _while_live(people, 1),
        "rk_meeting_record_on_start": _while_live(people, record_on_start),
    }
    for metric, steps in read.items():
        yield Series(metric, labels, _until(until, steps), read=True)


def recording(
    recording_id: str,
    *,
    meeting: str,
    states: States,
    app: str = APP,
    size: float | None = 20_000_000,
    expires: float | None = None,
    stop_reason: str | None = None,
    kind: str = "composite",
    until: float = math.inf,
) -> Iterator[Series]:
    """
    Yield the series of a recording with these *states*, which is shown *until* a minute.

    It was invoked when its first state began, has a file of a *size* after it stopped, and a URL
    that *expires* in a minute, by default a week after the upload.
    """
    labels = {"rk_app": app, "meeting_id": meeting, "recording_id": recording_id}
    first = states[0][0]
    for status in Status:
        steps = [(minute, float(state == status)) for minute, state in states]
        yield _read("rk_recording_status", {**labels, "status": status}, steps, until)
    info = {**labels, "kind": kind, "session_id": "", "output_file_name": f"{recording_id}.mp4"}
    yield _read("rk_recording_info", info, [(first, 1)], until)
    for metric, metric_steps in _moments(states).items():
        yield _read(f"rk_recording_{metric}_seconds", labels, metric_steps, until)
    stopped, uploaded = _begin(states, *_STOPPED), _begin(states, "UPLOADED")
    yield _read("rk_recording_file_size_bytes", labels, [(stopped, size)], until)
    if stop_reason:
        for reason in StopReason:
            steps = [(stopped, float(reason == stop_reason))]
            yield _read("rk_recording_stop_reason", {**labels, "reason": reason}, steps, until)
    if kind == "composite" and uploaded < math.inf:
        expiry = 60 * (uploaded + _WEEK_MINUTES if expires is None else expires)
        url = "rk_recording_download_url"
        yield _read(f"{url}_expiry_timestamp_seconds", labels, [(uploaded, expiry)], until)
        left: Steps = [(uploaded, lambda scrape: expiry - scrape.at)]
        yield _read(f"{url}_expires_in_seconds", labels, left, until)


def _moments(states: States) -> dict[str, Steps]:
    """Return the times in the life of a recording, and its duration."""
    invoked, started = states[0][0], _begin(states, "RECORDING", "PAUSED", "UPLOADING", "UPLOADED")
    # A recording that fails before it starts does not stop.
    stopped = _begin(states, *_STOPPED) if started < math.inf else math.inf
    final = _begin(states, *_FINAL)
    return {
        "invoked_timestamp": [(invoked, 60 * invoked)],
        "started_timestamp": [(started, 60 * started)],
        "stopped_timestamp": [(stopped, 60 * stopped)],
        # A finished recording is read only every few hours.
        "last_success_timestamp": [(invoked, read_at), (final, 60 * final)],
        "duration": [
            (started, lambda scrape: (scrape.read_at or 0) - 60 * started),
            (stopped, 60 * (stopped - started)),
        ],
    }


def _begin(states: States, *wanted: str) -> float:
    return next((minute for minute, state in states if state in wanted), math.inf)


def _read(metric: str, labels: dict[str, str], steps: Steps, until: float) -> Series:
    return Series(metric, labels, _until(until, steps), read=True)


def _while_live(people: Steps, value: Value) -> Steps:
    return [(minute, None if number is None else value) for minute, number in people]


def _until(until: float, steps: Steps) -> Steps:
    return [*(step for step in steps if step[0] < until), (until, None)]

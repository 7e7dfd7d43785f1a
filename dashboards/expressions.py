"""
PromQL about recordings and meetings that dashboards and rules share, without recorded series.

A meeting or recording counts once, however many exporters read it. If they disagree, the exporter
that read it last wins. No expression fails because two exporters or two pods disagree: each side of
a vector matching is aggregated by the labels of the match.
"""

from collections.abc import Iterator, Mapping

from dashboards.scope import Scope
from rk_exporter.model.recording import Status


STATE_CODES = {status.value: code for code, status in enumerate(Status, start=1)}
"""The states as numbers, for state timelines and sorted tables."""
RUNNING = "INVOKED|RECORDING|PAUSED"
"""The states in which people are being recorded, or will be in a moment."""
FINE, EXPIRES, CHECK, EMPTY, FAILED, STUCK = range(6)
"""The trouble levels."""

_IN_DOUBT = {"PAUSED": CHECK, "UNKNOWN": CHECK}
# Numbers of a recording are below this.
_BASE = 8


def state_code(scope: Scope) -> str:
    """Return one number for each recording, its state. See `STATE_CODES`."""
    return newest_number(scope, _by_status(scope, STATE_CODES))


def state_of_latest(scope: Scope) -> str:
    """Return the code of the state of each meeting's most recently requested recording."""
    requested = scope.of_recording("rk_recording_invoked_timestamp_seconds")
    # The maximum of the time and the code, in one number, costs less than a join of all meetings.
    times = _room_for_number(f"max by ({scope.recording}) ({requested})")
    codes = f"{times}\n+ on ({scope.recording}) {state_code(scope)}"
    return f"max by ({scope.meeting}) ({codes}) % {_BASE}"


def in_state(scope: Scope, statuses: str) -> str:
    """Return 1 for each recording in one or several states, separated by `|`; 0 for the others."""
    return newest_number(scope, _by_status(scope, dict.fromkeys(statuses.split("|"), 1)))


def trouble_level(scope: Scope) -> str:
    """
    Return how urgently each recording needs attention.

    5 is stuck, 4 failed, 3 an empty file, 2 paused or in an unknown state, 1 a file that expires
    soon, and 0 fine.
    """
    expires = f"{EXPIRES} * ({expiring(scope)}) ^ 0"
    levels = [
        *_stuck(scope),
        _uploaded(scope, f"{_empty(scope)}\nor\n{expires}"),
        _by_status(scope, {"ERRORED": FAILED, **_IN_DOUBT}),
    ]
    return newest_number(scope, "\nor\n".join(levels))


def urgent_trouble(scope: Scope, *, past: str) -> str:
    """
    Return the trouble level of the recordings in trouble, except of those that only expire soon.

    *past* has the recordings that ended so long ago that failures and empty files are no longer
    urgent. To omit them, and files that expire, by exporter costs less than afterwards.
    """
    lost = f"{_uploaded(scope, _empty(scope))}\nor\n{_by_status(scope, {'ERRORED': FAILED})}"
    levels = [
        *_stuck(scope),
        f"(({lost})\nunless on ({scope.recording})\n{past})",
        _by_status(scope, _IN_DOUBT),
    ]
    levels_of_each = "\nor\n".join(levels)
    return f"({newest_number(scope, levels_of_each)} > 0)"


def stuck(scope: Scope) -> str:
    """Return the recordings that do not start, and those whose upload does not end."""
    late = "\nor\n".join(_each_late(scope))
    return f"({newest_number(scope, late)} == 1)"


def empty_file(scope: Scope) -> str:
    """Return the size of each file that is too small for its recording's length, by exporter."""
    return _uploaded(scope, _small(scope))


def expiring(scope: Scope, within: str | None = None) -> str:
    """
    Return the time left of each file that expires soon, by exporter.

    *within* is the time in seconds, by default the alert's.
    """
    within = within or scope.threshold("download_url_expires_in_seconds")
    left = scope.of_recording("rk_recording_download_url_expires_in_seconds")
    return f"({_of_each(scope, left)} > 0) < {within}"


def expiring_once(scope: Scope, within: str | None = None) -> str:
    """Return the time left of each file that expires soon. A renewed URL expires later."""
    within = within or scope.threshold("download_url_expires_in_seconds")
    left = scope.of_recording("rk_recording_download_url_expires_in_seconds")
    return f"(max by ({scope.recording}) ({left}) > 0) < {within}"


def unrecorded(scope: Scope) -> str:
    """
    Return the number of people in each meeting without a running recording.

    It omits meetings whose recordings could not be read, and meetings whose recording ended after
    the people were counted, because they may have left.
    """
    meeting, app = scope.meeting, scope.app
    people = newest_of_live_meetings(scope, scope.of_meeting("rk_meeting_live_participants"))
    read = scope.of_meeting("rk_meeting_active_recordings")
    stopped = scope.of_recording("rk_recording_stopped_timestamp_seconds")
    counted_at = scope.of_app("rk_discovery_last_success_timestamp_seconds")
    return (
        f"max by ({meeting}) ({people}) > 0\n"
        f"and on ({meeting})\n{read}\n"
        f"unless on ({meeting})\n{_running(scope, people)}\n"
        f"unless on ({meeting})\n"
        f"(max by ({meeting}) ({stopped})\n"
        f"> on ({app}) group_left ()\nmax by ({app}) ({counted_at}))"
    )


def people_for_a_minute(scope: Scope) -> str:
    """Return the meetings in which people were a minute ago."""
    people = scope.of_meeting("rk_meeting_live_participants")
    return f"last_over_time({people}[15m] offset 1m) > 0"


def newest(scope: Scope, promql: str) -> str:
    """Omit what exporters say of recordings that another exporter has read later."""
    read_at = scope.of_recording("rk_recording_last_success_timestamp_seconds")
    return _without_older(promql, read_at, scope.recording_in_exporter, scope.recording)


def newest_of_live_meetings(scope: Scope, promql: str) -> str:
    """Omit what exporters say of live meetings that another exporter has listed later."""
    listed_at = scope.of_app("rk_discovery_last_success_timestamp_seconds")
    # Apps of two clusters may have one name.
    return _without_older(promql, listed_at, scope.app_in_exporter, scope.app_in_place)


def _without_older(promql: str, read_at: str, in_exporter: str, of_all: str) -> str:
    # With one exporter, nothing is older, which costs less than to look for the newest.
    each = f"max by ({in_exporter}) ({read_at})"
    older = f"{each} < on ({of_all}) group_left () max by ({of_all}) ({read_at})"
    return f"({promql}\nunless on ({in_exporter})\n({older}))"


def newest_number(scope: Scope, promql: str, *, of_meetings: str | None = None) -> str:
    """
    Return the number of each recording from the exporter that read it last.

    *promql* has a whole number from 0 to 7 for each recording in each exporter; 0 may be missing.
    The maximum of the time and the number, in one number, costs less than joins. It costs less
    still for a part of the meetings; the numbers of all others may come from any exporter.
    """
    read_at = scope.of_recording("rk_recording_last_success_timestamp_seconds")
    if of_meetings:
        read_at += f"\nand on ({scope.meeting})\n{of_meetings}"
    read_at = _of_each(scope, read_at)
    return (
        f"(max by ({scope.recording}) (\nsum by ({scope.recording_in_exporter}) (\n"
        f"{_room_for_number(read_at)}\nor\n"
        # Another label keeps the two apart.
        f'label_replace({promql}, "part", "number", "", "")\n)\n) % {_BASE})'
    )


def _room_for_number(seconds: str) -> str:
    """Return times in milliseconds, to which a number can be added that `% 8` returns."""
    return f"round({_BASE * 1000} * {seconds}, {_BASE})"


def _by_status(scope: Scope, numbers: Mapping[str, int]) -> str:
    """Return the number of the state of each recording in each exporter, if its state has one."""
    status = scope.of_recording("rk_recording_status", f'status=~"{"|".join(numbers)}"')
    if len({*numbers.values()}) == 1:
        number = next(iter(numbers.values()))
        in_state = _of_each(scope, f"{status} == 1")
        return in_state if number == 1 else f"{number} * {in_state}"
    # One small vector of numbers, so that the many series of recordings are read once.
    by_number = "\nor\n".join(
        f'label_replace(vector({number}), "status", "{name}", "", "")'
        for name, number in numbers.items()
    )
    return _of_each(scope, f"({status} == 1)\n* on (status) group_left ()\n({by_number})")


def _small(scope: Scope) -> str:
    """
    Return the size of each file that is too small for its recording's length, by exporter.

    The API always reports size 0 for recordings with one file per participant.
    """
    on = f"on ({scope.recording_in_exporter})"
    size = _of_each(scope, scope.of_recording("rk_recording_file_size_bytes"))
    duration = _of_each(scope, scope.of_recording("rk_recording_duration_seconds"))
    long = f"({duration} > {scope.threshold('recording_duration_seconds')})"
    track = scope.of_recording("rk_recording_info", 'kind="track"')
    per_second = scope.threshold("recording_bytes_per_second")
    return f"{size}\n< {on}\n{per_second} * {long}\nunless {on}\n{track}"


def _uploaded(scope: Scope, promql: str) -> str:
    """Keep the series of recordings that are UPLOADED, by exporter."""
    status = scope.of_recording("rk_recording_status", 'status="UPLOADED"')
    return f"(({promql})\nand on ({scope.recording_in_exporter})\n{status} == 1)"


def _stuck(scope: Scope) -> Iterator[str]:
    """Yield the trouble level of each recording that is stuck in a state, by exporter."""
    return (f"{STUCK} * {late}" for late in _each_late(scope))


def _empty(scope: Scope) -> str:
    """Return the trouble level of each file that is too small, by exporter."""
    return f"{EMPTY} * ({_small(scope)}) ^ 0"


def _each_late(scope: Scope) -> Iterator[str]:
    """Yield 1 for each recording that is stuck in a state, by exporter."""
    yield _late(scope, "INVOKED", since="invoked", threshold="recording_invoked")
    yield _late(scope, "UPLOADING", since="stopped", threshold="recording_uploading")


def _late(scope: Scope, status: str, *, since: str, threshold: str) -> str:
    """Return 1 for each recording that has been in a state for too long, by exporter."""
    now_in = scope.of_recording("rk_recording_status", f'status="{status}"')
    began = scope.of_recording(f"rk_recording_{since}_timestamp_seconds")
    return (
        f"({_of_each(scope, f'{now_in} == 1')}\nand on ({scope.recording_in_exporter})\n"
        f"{began} < time() - {scope.threshold(f'{threshold}_seconds')})"
    )


def _running(scope: Scope, people: str) -> str:
    """Return the recordings that run in meetings with *people*. The API may have a new word."""
    on = f"on ({scope.recording_in_exporter})"
    known = _by_status(scope, dict.fromkeys(RUNNING.split("|"), 1))
    unknown = scope.of_recording("rk_recording_status", 'status="UNKNOWN"')
    stopped = scope.of_recording("rk_recording_stopped_timestamp_seconds")
    runs = f"({_of_each(scope, f'{unknown} == 1')}\nunless {on}\n{stopped})"
    running = newest_number(scope, f"{runs}\nor\n{known}", of_meetings=f"({people} > 0)")
    return f"({running} == 1)"


def _of_each(scope: Scope, promql: str) -> str:
    """Merge series that differ in other labels of the target, e.g. of two pods."""
    return f"max by ({scope.recording_in_exporter}) ({promql})"

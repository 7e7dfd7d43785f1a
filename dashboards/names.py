"""PromQL for the names of meetings: one for each, although exporters may know others."""

from dashboards.scope import Scope
from dashboards.targets import started_at


def names(scope: Scope, at: str = "") -> str:
    """
    Return one series for each meeting, with its name in the label `meeting_name`.

    The name is that of the exporter that started last, because it has the latest configuration. A
    meeting without a name has its id. *at* is a modifier for the time, e.g. ` @ end()`.
    """
    meeting = scope.meeting
    others = (
        scope.of_recording("rk_recording_last_success_timestamp_seconds") + at,
        scope.of_meeting("rk_meeting_up") + at,
        scope.of_meeting("rk_meeting_live_participants") + at,
    )
    unnamed = "\nor\n".join(f"group by ({meeting}) ({other})" for other in others)
    return f"({latest_names(scope, at)}\nor on ({meeting})\n{_named_by_id(unnamed)}) ^ 0"


def latest_names(scope: Scope, at: str = "") -> str:
    """Return one series for each meeting that has a name, with the label `meeting_name`."""
    info = scope.of_meeting("rk_meeting_info") + at
    started = started_at(scope, f"{{}}{at}")
    dated = f"{info}\n* on ({scope.exporter}) group_left ()\n{started}"
    return f"topk by ({scope.meeting}) (1, max by ({scope.meeting}, meeting_name) ({dated}))"


def with_names(scope: Scope, promql: str) -> str:
    """Add the label `meeting_name` to series of meetings or recordings."""
    on = f"on ({scope.meeting}) group_left (meeting_name)"
    return f"({promql})\n* {on}\n{names(scope)}"


def with_names_if_known(scope: Scope, promql: str, labels: str) -> str:
    """
    Add the label `meeting_name`, which is the id for meetings that have left.

    It evaluates the expression twice. The *labels* identify its series.
    """
    return f"{with_names(scope, promql)}\nor on ({labels})\n{_named_by_id(promql)}"


def _named_by_id(promql: str) -> str:
    return f'label_replace({promql}, "meeting_name", "$1", "meeting_id", "(.+)")'

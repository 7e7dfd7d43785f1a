"""PromQL for the selected exporters, apps, meetings and recordings."""

from dashboards.settings import CLUSTER


_EXPORTER = (f'{CLUSTER}=~"$cluster"', 'job=~"$job"', 'instance=~"$instance"')
_APP = (*_EXPORTER, 'rk_app=~"$app"')
_MEETING = (*_APP, 'meeting_id=~"$meeting"')

BY_APP = "rk_app"
BY_MEETING = "rk_app, meeting_id"
BY_RECORDING = "rk_app, meeting_id, recording_id"
# The address alone may be the same in two clusters.
_BY_EXPORTER = f"{CLUSTER}, env, namespace, job, instance"
_ON_EXPORTER = f"on ({_BY_EXPORTER}, {BY_RECORDING})"


def of_exporter(metric: str, *matchers: str) -> str:
    """Select a metric of the selected exporters."""
    return _select(metric, *_EXPORTER, *matchers)


def of_app(metric: str, *matchers: str) -> str:
    """Select a metric of the selected apps."""
    return _select(metric, *_APP, *matchers)


def of_meeting(metric: str, *matchers: str) -> str:
    """Select a metric of the selected meetings or of their recordings."""
    return _select(metric, *_MEETING, *matchers)


def of_recording(metric: str, *matchers: str) -> str:
    """Select a metric of the selected recordings."""
    return of_meeting(metric, 'recording_id=~"$recording"', *matchers)


def firing(*matchers: str) -> str:
    """Select our alerts that fire for the selected jobs and apps."""
    return _select(
        "ALERTS",
        'alertname=~"RealtimeKit.+"',
        'alertstate="firing"',
        'cluster=~"$cluster"',
        'job=~"$job"',
        # Alerts about an exporter have no app.
        'rk_app=~"$app|"',
        *matchers,
    )


def once(labels: str, promql: str) -> str:
    """Merge the same series of several exporters, by *labels*."""
    return f"max by ({labels}) ({promql})"


def named(promql: str) -> str:
    """Add the label `meeting_name` to each series of a meeting or recording."""
    return _with_name(promql, _names())


def named_over_time(promql: str) -> str:
    """Add the label `meeting_name` to a history. Meetings have their current name all the time."""
    # A meeting that no longer exists has the name of that time.
    return _with_name(promql, f"{_names(' @ end()')} or {of_meeting('rk_meeting_info')}")


def _names(at: str = "") -> str:
    """Return the names of meetings. The exporter that started last has the highest value."""
    info = of_meeting("rk_meeting_info") + at
    started_at = of_exporter("process_start_time_seconds") + at
    # Not every system has a start time.
    return f"{info} * on ({_BY_EXPORTER}) group_left () {started_at} or 2 * {info}"


def _with_name(promql: str, names: str) -> str:
    name = _one_of(BY_MEETING, once(f"{BY_MEETING}, meeting_name", names))
    return with_label(promql, "meeting_name", BY_MEETING, f"{name} ^ 0")


def newest(promql: str) -> str:
    """Keep the series of the exporter that read the recording last."""
    last = _one_of(BY_RECORDING, f"{_read_at()} and {_ON_EXPORTER} {promql}")
    return f"{promql} and {_ON_EXPORTER} {last}"


def newest_labels(labels: str, promql: str) -> str:
    """Keep one series of each recording, with the *labels* that were read last."""
    read = once(
        f"{BY_RECORDING}, {labels}", f"{promql} * {_ON_EXPORTER} group_left () {_read_at()}"
    )
    return f"{_one_of(BY_RECORDING, read)} ^ 0"


def with_label(promql: str, label: str, labels: str, info: str) -> str:
    """Add a *label* of *info*, which has one series for each value of the *labels*."""
    return f"({promql})\n* on ({labels}) group_left ({label})\n{info}"


def or_zero(promql: str) -> str:
    """Return 0 if the expression is empty, but nothing if no exporter answers."""
    return f"{promql}\nor\n0 * sum({of_app('rk_meetings')})"


def as_time(timestamp: str) -> str:
    """Convert unix seconds to the milliseconds that Grafana shows as a time."""
    return f"1000 * {timestamp}"


def nonzero(rates: str, label: str) -> str:
    """Omit rates of 0. If all are 0, return one series with the label value `none`."""
    nothing = f'label_replace(0 * sum({rates}), "{label}", "none", "", "")'
    by_label = f"sum by ({label}) ({rates})"
    return f"{by_label} > 0\nor on ()\n{nothing}"


def _select(metric: str, *matchers: str) -> str:
    return f"{metric}{{{', '.join(matchers)}}}"


def _one_of(labels: str, promql: str) -> str:
    """Keep one series for each value of the *labels*, because exporters may disagree on others."""
    return f"topk by ({labels}) (1, {promql})"


def _read_at() -> str:
    return of_meeting("rk_recording_last_success_timestamp_seconds")

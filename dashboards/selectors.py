"""PromQL for the selected exporters, apps, meetings and recordings."""

from dataclasses import replace

from dashboards import expressions, names, targets
from dashboards.scope import BY_APP, BY_EXPORTER, BY_MEETING, BY_RECORDING, PLACE, Scope
from dashboards.settings import CLUSTER, THRESHOLDS


_EXPORTER = (f'{CLUSTER}=~"$cluster"', 'job=~"$job"', 'instance=~"$instance"')
_APP = (*_EXPORTER, 'rk_app=~"$app"')
_MEETING = (*_APP, 'meeting_id=~"$meeting"')


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


def of_rules(series: str, *matchers: str) -> str:
    """Select a series of the selected apps that rules record, which has no instance."""
    of_place = (f'{CLUSTER}=~"$cluster"', 'job=~"$job"', 'rk_app=~"$app"')
    return _select(series, *of_place, *matchers)


def of_latest(metric: str, *matchers: str) -> str:
    """Select a metric of the selected meetings that recorded last, or of their recordings."""
    return of_meeting(metric, 'meeting_id=~"$latest"', *matchers)


def once(labels: str, promql: str) -> str:
    """Merge the same series of several exporters, by *labels*."""
    return f"max by ({labels}) ({promql})"


def threshold(name: str) -> str:
    """Return a threshold as a number for PromQL."""
    return str(getattr(THRESHOLDS, name))


CHOSEN = Scope(
    of_exporter=of_exporter,
    of_app=of_app,
    of_meeting=of_meeting,
    of_recording=of_meeting,
    exporter=BY_EXPORTER,
    app=BY_APP,
    app_in_place=f"{PLACE}, {BY_APP}",
    meeting=BY_MEETING,
    recording=BY_RECORDING,
    threshold=threshold,
)
"""The exporters, apps and meetings that the variables select."""
ONE_RECORDING = replace(CHOSEN, of_recording=of_recording)
"""The recordings that the variables select."""


def named(promql: str) -> str:
    """Add the label `meeting_name` to each series of a meeting or recording."""
    return names.with_names(CHOSEN, promql)


def up() -> str:
    """Select whether each of our targets could be scraped."""
    return targets.our_targets(CHOSEN, of_exporter("up"))


def of_process(metric: str, *, function: str = "", window: str = "") -> str:
    """
    Select a metric of our processes, without those of other programs.

    *function* is applied to a *window* of it.
    """
    selected = of_exporter(metric)
    return targets.our_processes(
        CHOSEN, f"{function}({selected}[{window}])" if function else selected
    )


def by_exporter(promql: str) -> str:
    """Add the label `exporter`. It is the instance, after the cluster if there is one."""
    joined = f'label_join({promql}, "exporter", " ", "{CLUSTER}", "instance")'
    return f'label_replace({joined}, "exporter", "$1", "exporter", " *(.+)")'


def firing(*matchers: str) -> str:
    """Select our alerts that fire for the selected jobs and apps."""
    ours = ('alertname=~"RealtimeKit.+"', 'alertstate="firing"')
    of_place = (f'{CLUSTER}=~"$cluster"', 'job=~"$job"')
    # Alerts about an exporter have no app.
    return _select("ALERTS", *ours, *of_place, 'rk_app=~"$app|"', *matchers)


def newest(promql: str) -> str:
    """Omit what exporters say of recordings that another exporter has read later."""
    return expressions.newest(CHOSEN, promql)


def newest_of_live_meetings(promql: str) -> str:
    """Omit what exporters say of live meetings that another exporter has listed later."""
    return expressions.newest_of_live_meetings(CHOSEN, promql)


def newest_labels(labels: str, promql: str) -> str:
    """Keep one series of each recording, with the *labels* that were read last."""
    by = CHOSEN.recording_in_exporter
    read_at = once(by, of_meeting("rk_recording_last_success_timestamp_seconds"))
    read = once(f"{BY_RECORDING}, {labels}", f"{promql} * on ({by}) group_left () {read_at}")
    # Exporters may have read it at the same time, and disagree.
    return f"topk by ({BY_RECORDING}) (1, {read}) ^ 0"


def or_zero(promql: str) -> str:
    """Return 0 if the expression is empty, but nothing if no exporter answers."""
    return f"{promql}\nor\n0 * sum({of_app('rk_meetings')})"


def as_time(timestamp: str) -> str:
    """Convert unix seconds to the milliseconds that Grafana shows as a time."""
    return f"1000 * {timestamp}"


def nonzero(rates: str, label: str, nothing: str = "none") -> str:
    """Omit rates of 0. If all are 0, return one series with the label value *nothing*."""
    zero = f'label_replace(0 * sum({rates}), "{label}", "{nothing}", "", "")'
    by_label = f"sum by ({label}) ({rates})"
    return f"{by_label} > 0\nor on ()\n{zero}"


def _select(metric: str, *matchers: str) -> str:
    return f"{metric}{{{', '.join(matchers)}}}"
